# SPDX-License-Identifier: Apache-2.0
"""A search in rounds, by threads that share what they found.

Compiled code does not hold Python's lock, so that threads are as good as processes.  A round has a
fixed number of candidates and what threads find is merged in their order, so that a search of a
number of rounds gives the same circuits whenever it is repeated or interrupted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.evolution import _evolve
from asnet_mlir.evolution.circuit import Circuit
from asnet_mlir.evolution.goal import Goal
from asnet_mlir.evolution.problem import METRICS, Errors, Problem, arrays

__all__ = ["Counts", "Found", "Search"]

#: Candidates that a thread makes in a round, of a problem with about 2^16 pairs.
_CANDIDATES = 100_000
#: The same where circuits are tried: what a thread goes on from is what passed.
_CANDIDATES_TO_TRY = 25_000
_PAIRS = 1 << 16


@dataclass(frozen=True)
class Counts:
    """What a search did.

    Attributes:
      rounds: of all threads together.
      candidates: circuits made by mutation.
      measured: those whose errors were decided by evaluating them.
      whole: those evaluated on all pairs, the others exceeded a bound before.
      gates: gates computed on a block of 4,096 pairs.
      accepted: candidates that became a parent.
      improved: candidates cheaper than any before under some bound.
      tried: circuits of which it was asked whether they keep what `Search.keeps` says.
      kept: those that did.
      seconds: of wall clock, all runs together.
    """

    rounds: int = 0
    candidates: int = 0
    measured: int = 0
    whole: int = 0
    gates: int = 0
    accepted: int = 0
    improved: int = 0
    tried: int = 0
    kept: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Found:
    """The cheapest circuit under a bound of the front.

    Attributes:
      bound: of the goal's first metric.
      cost: as the goal counts it.
      errors: of all operand pairs where `errors.exhaustive`.
    """

    bound: float
    circuit: Circuit
    cost: int
    errors: Errors


@dataclass
class Search:
    """A search, as far as it is: `circuits` are the elites, one for each bound, None for none.

    Attributes:
      threads: that a round has; part of what the search is, like the seed.
      keeps: says of a circuit that keeps the bounds whether it is of use, as in a network; none is
        an elite that is not.
      left_out: elites that broke a bound on pairs which the search had not seen, when `found` was
        asked last.
    """

    problem: Problem
    goal: Goal
    seed: int = 0
    threads: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    circuits: list[Circuit | None] = field(default_factory=list)
    counts: Counts = Counts()
    keeps: Callable[[Circuit], bool] | None = None
    left_out: int = 0

    def begin(self, circuits: Sequence[Circuit]) -> None:
        """Start with circuits, of which at least one keeps all bounds.

        Raises:
          InputError: none does; or a bound needs a histogram.
        """
        named = {bound.metric for bound in self.goal.bounds}
        weighted = sorted(named & {"WMED", "Wbias"})
        if weighted and not self.problem.has_weights:
            raise InputError(f"a bound on {weighted[0]} needs a histogram: --weights")
        shape = (self.problem.task.widths, self.problem.task.result)
        for circuit in circuits:
            if (circuit.widths, len(circuit.outputs)) != shape:
                raise InputError(
                    f"a start has operands of {circuit.widths} bits and a result of "
                    f"{len(circuit.outputs)}, the function has {shape[0]} and {shape[1]}"
                )
        if self.keeps is not None:
            # Those that break a bound are not tried, but named where none keeps them.
            given = len(circuits)
            circuits = [one for one in circuits if self.broken(one) or self.keeps(one)]
            if not circuits:
                raise InputError(f"none of the {given} circuits to start with is of use")
        try:
            self.circuits = self._compiled(circuits, 0, 0)[0]
        except ValueError:
            raise InputError(self._unreachable(circuits)) from None

    def _unreachable(self, circuits: Sequence[Circuit]) -> str:
        """Say which bounds no start keeps, and what the nearest has."""
        found = [self.problem.errors(circuit) for circuit in circuits]
        parts = []
        for bound in self.goal.bounds:
            values = [
                abs(value) for one in found if (value := getattr(one, bound.metric)) is not None
            ]
            parts.append(f"{bound.metric}<={bound.most:g} (the least is {min(values):g})")
        return f"none of the {len(circuits)} circuits to start with keeps {', '.join(parts)}"

    def broken(self, circuit: Circuit) -> str:
        """Return which bounds a circuit breaks, and what it has; empty where it keeps all."""
        found = self.problem.seen(circuit)
        parts = [(bound, abs(_value(found, bound.metric))) for bound in self.goal.bounds]
        return ", ".join(
            f"{bound.metric}<={bound.most:g} (it has {value:g})"
            for bound, value in parts
            if value > bound.most
        )

    def round(self) -> None:
        """Make a round of candidates in every thread."""
        start = time.monotonic()
        now = self.counts.rounds
        elites = [circuit for circuit in self.circuits if circuit is not None]
        # A candidate costs as much as some pairs even where there are few.
        most = _CANDIDATES if self.keeps is None else _CANDIDATES_TO_TRY
        size = max(1, most * _PAIRS // (self.problem.pairs + _PAIRS // 4))

        def part(thread: int) -> tuple[list[Circuit | None], tuple[int, ...]]:
            seed = int(np.random.SeedSequence([self.seed, now, thread]).generate_state(1)[0])
            return self._compiled(elites, seed, size)

        with ThreadPoolExecutor(self.threads) as pool:
            results = list(pool.map(part, range(self.threads)))
        merged = [circuit for circuits, _ in results for circuit in circuits if circuit is not None]
        self.circuits = self._merged(elites, merged)
        sums = [sum(column) for column in zip(*(counts for _, counts in results), strict=True)]
        names = ("candidates", "measured", "whole", "gates", "accepted", "improved")
        self.counts = replace(
            self.counts,
            rounds=now + 1,
            seconds=self.counts.seconds + time.monotonic() - start,
            **{n: getattr(self.counts, n) + v for n, v in zip(names, sums, strict=True)},
        )

    def _merged(self, elites: list[Circuit], found: list[Circuit]) -> list[Circuit | None]:
        """Return the best of elites and of what was found, of that what `keeps` lets pass."""
        merged = self._compiled([*elites, *found], 0, 0)[0]
        if self.keeps is None:
            return merged
        known = {_bytes(one): True for one in elites}
        while fresh := [c for c in merged if c is not None and _bytes(c) not in known]:
            for circuit in {_bytes(c): c for c in fresh}.values():
                is_kept = known[_bytes(circuit)] = self.keeps(circuit)
                counts = self.counts
                self.counts = replace(counts, tried=counts.tried + 1, kept=counts.kept + is_kept)
            found = [c for c in found if known.get(_bytes(c), True)]
            merged = self._compiled([*elites, *found], 0, 0)[0]
        return merged

    def run(
        self,
        go_on: Callable[[Counts], bool],
        keep: Callable[[], None] = lambda: None,
    ) -> None:
        """Make rounds while `go_on` says so; `keep` is called after each."""
        while go_on(self.counts):
            self.round()
            keep()

    def found(self) -> list[Found]:
        """Return what was found, with errors over all operand pairs where that is possible.

        Where the search saw only a sample, a circuit that breaks a bound on all pairs is left out,
        or stands where its errors put it; the exact circuit is there where nothing better is left.
        Circuits that are the cheapest under several bounds come once.
        """
        places = self.goal.places()
        metric = self.goal.bounds[0].metric
        best: dict[int, Found] = {}
        seen: set[bytes] = set()
        self.left_out = 0
        elites = [circuit for circuit in self.circuits if circuit is not None]
        for circuit in (*elites, self.problem.task.exact):
            key = _bytes(circuit)
            if key in seen:
                continue
            seen.add(key)
            errors = self.problem.errors(circuit, self.threads)
            if any(abs(_value(errors, b.metric)) > b.most for b in self.goal.bounds):
                self.left_out += 1
                continue
            place = int(np.searchsorted(places, abs(_value(errors, metric))))
            cost = self.cost(circuit)
            if place not in best or cost < best[place].cost:
                best[place] = Found(float(places[place]), circuit, cost, errors)
        front: list[Found] = []
        for place in sorted(best):
            if not front or best[place].cost < front[-1].cost:
                front.append(best[place])
        return front

    def cost(self, circuit: Circuit) -> int:
        """Return a circuit's cost as the search counts it."""
        whole = replace(self.goal, bounds=self.goal.bounds[:1], points=1)
        goal = (*whole.for_search()[:1], np.array([np.inf]), np.full(len(METRICS), np.inf))
        goal += whole.for_search()[3:]
        (elite,), _ = _evolve.search(self.problem.handle, goal, [arrays(circuit)], 0, 0)
        assert elite is not None  # no bound is broken
        return elite[1]

    def _compiled(
        self, circuits: Sequence[Circuit], seed: int, candidates: int
    ) -> tuple[list[Circuit | None], tuple[int, ...]]:
        elites, counts = _evolve.search(
            self.problem.handle,
            self.goal.for_search(),
            [arrays(circuit) for circuit in circuits],
            seed,
            candidates,
        )
        return [None if elite is None else self._circuit(elite[0]) for elite in elites], counts

    def _circuit(self, pair: tuple[bytes, bytes]) -> Circuit:
        gates = np.frombuffer(pair[0], np.int64).reshape(-1, 3)
        return Circuit(self.problem.task.widths, gates, np.frombuffer(pair[1], np.int64))


def _bytes(circuit: Circuit) -> bytes:
    return circuit.gates.tobytes() + circuit.outputs.tobytes()


def _value(errors: Errors, metric: str) -> float:
    value = getattr(errors, metric)
    return float("inf") if value is None else float(value)
