# SPDX-License-Identifier: Apache-2.0
"""The check of instances that are simulated together, on every operand pair that is tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from asnet_mlir.cores.checks import fit
from asnet_mlir.cores.checks.chunks import chunks
from asnet_mlir.cores.checks.findings import Findings, operands_text
from asnet_mlir.cores.core import Core
from asnet_mlir.cores.models.kernel import compile_elementwise
from asnet_mlir.cores.models.model import Model
from asnet_mlir.cores.models.native import at_exact_parameters
from asnet_mlir.cores.operands import exact_float, exact_integer
from asnet_mlir.cores.simulation.simulation import (
    RestlessError,
    Simulation,
    SimulationError,
    observed_latencies,
)
from asnet_mlir.errors import AsnetError
from asnet_mlir.support.formats import FLOAT_FORMATS, INTEGER_OPS

__all__ = ["JOBS", "FamilyCheck"]

#: Compilers and simulations side by side.
JOBS = 2

# Pairs that are tried once more in another order.
_REORDERED_PAIRS = 1 << 15


@dataclass(frozen=True)
class _Part:
    """Operand pairs and what Verilator gave for them, (members, pairs)."""

    a: np.ndarray
    b: np.ndarray
    results: np.ndarray


class FamilyCheck:
    """The check of instances that are simulated together: by Verilator, and in groups by CXXRTL."""

    def __init__(
        self,
        members: Sequence[Findings],
        derived: dict[str, Model],
        random_vectors: int,
        seed: int,
        pool: ThreadPoolExecutor,
    ) -> None:
        self._members = members
        self._core = members[0].instance.core
        self._widths = members[0].widths
        self._simulations: Sequence[Simulation] = ()
        self._models = [derived.get(member.instance.content_hash) for member in members]
        self._random_vectors = random_vectors
        self._seed = seed
        self._pool = pool
        self._format = FLOAT_FORMATS[self._core.format] if self._core.format else None
        self._exact = [
            self._core.exact and at_exact_parameters(self._core, member.instance)
            for member in members
        ]
        for member, model in zip(members, self._models, strict=True):
            member.strategy = model.strategy if model else "simulated"
        self._kernel = self._compile()

    def run(self, simulations: Sequence[Simulation]) -> None:
        """Try the instances on all operands; what is found goes to the members.

        Args:
          simulations: Verilator's, then those of CXXRTL, in the order of the members.
        """
        self._simulations = simulations
        if self._format is None:
            self._look_at_function()
        latency = max(member.instance.latency for member in self._members)
        for number, chunk in enumerate(
            chunks(self._core, latency, self._widths, self._random_vectors, self._seed)
        ):
            a, b = chunk.a, chunk.b
            seen_a, seen_b = a, b
            if self._format is not None:
                seen_a, seen_b = self._format.canonical(a), self._format.canonical(b)
            if not number and not self._latency_is_right(seen_a, seen_b):
                return
            results, verilated = self._simulate(seen_a, seen_b, chunk.part)
            if not number:
                self._compare_other_seed(verilated)
            if self._core.is_stateful and number < 2:
                self._compare_other_order(seen_a, seen_b, results)
            self._compare_models((a, b), (seen_a, seen_b), results)
            self._compare_exact((a, b), (seen_a, seen_b), results, chunk.typical)

    def _look_at_function(self) -> None:
        """Find out what integer functions approximate, and whether they are declared as such."""
        widths = self._widths
        a, b = fit.probes(widths)
        kept = self._core.ports.specified(a, b)
        a, b = a[kept], b[kept]
        kinds = widths.dtypes
        try:
            results = self._simulations[0].run(a.astype(kinds[0]), b.astype(kinds[1]))
        except AsnetError:
            return  # the check itself meets it
        for member, got in zip(self._members, results, strict=True):
            found = fit.distances(widths, a, b, got)
            core = self._core
            if core.op is None:
                inference = fit.infer(core.module, widths, found, core.signed, a.size)
                if inference is not None:
                    member.op, member.signed = inference.op, inference.signed
                    member.inferred = str(inference)
            elif core.op in INTEGER_OPS and fit.fits_other_signedness(found, core.op, core.signed):
                member.warnings.append(_signedness(core, found))

    def _simulate(self, a: np.ndarray, b: np.ndarray, part: int) -> tuple[np.ndarray, _Part]:
        """Run both simulators side by side, compare them and return the results of all pairs.

        Where only `part` of the pairs goes to one of them, the other one is the faster: Verilator
        for what has a clock, CXXRTL for what has none.

        Returns:
          The results, (members, len(a)), and what Verilator was given.
        """
        core = self._core
        everything = np.arange(a.size)
        chosen = everything
        if part < a.size:
            rng = np.random.default_rng(self._seed)
            chosen = np.sort(rng.choice(a.size, part, replace=False))
        first, *groups = self._simulations
        verilated, others = everything, chosen
        swapped = part < a.size and core.ports.clock is None
        if swapped:
            verilated, others = chosen, everything
        # Each half of CXXRTL's pairs may have a processor.
        halves = [half for half in np.array_split(others, JOBS) if half.size]

        def start(simulation: Simulation, where: Any) -> Future[tuple[np.ndarray, np.ndarray]]:
            return self._pool.submit(simulation.run_with_cycles, a[where], b[where])

        jobs = [[start(group, half) for half in halves] for group in groups]
        rows, cycles = start(first, verilated).result()
        parts = [[job.result() for job in row] for row in jobs]
        other_rows = np.concatenate(
            [np.concatenate([rows for rows, _ in row], axis=1) for row in parts]
        )
        other_cycles = np.concatenate([each for _, each in parts[0]])
        name = groups[0].name
        for position, member in enumerate(self._members):
            for simulator, size in ((first.name, verilated.size), (name, others.size)):
                member.simulators[simulator] = member.simulators.get(simulator, 0) + size
            left, right = rows[position], other_rows[position]
            if swapped:
                member.compare(first.name, a[chosen], b[chosen], right[chosen], left, False)
            else:
                member.compare(name, a[chosen], b[chosen], left[chosen], right, False)
        if core.has_handshake:
            self._compare_cycles(a, b, cycles, cycles[chosen] != other_cycles)
        return other_rows if swapped else rows, _Part(a[verilated], b[verilated], rows)

    def _compare_cycles(
        self, a: np.ndarray, b: np.ndarray, cycles: np.ndarray, unequal: np.ndarray
    ) -> None:
        """Check the times that a handshake took."""
        (member,) = self._members
        declared = member.instance.latency
        slowest = int(np.argmax(cycles))
        if int(cycles[slowest]) > declared and not any("takes" in f for f in member.failures):
            measured = member.instance.core.latency_is_measured
            member.failures.append(
                ("took" if measured else "declares a latency of")
                + f" at most {declared} cycles"
                + (" when its latency was measured" if measured else "")
                + f", takes {int(cycles[slowest])} "
                f"for {operands_text(a[slowest], b[slowest], self._widths)}"
                + ("; declare the latency of the slowest operands" if measured else "")
            )
        # A core that says when it is ready may need time after other operands, and each simulator
        # has its own order of them.
        if unequal.any() and member.instance.core.ports.ready is None:
            member.failures.append("the simulators see done in different cycles")

    def _compare_other_seed(self, part: _Part) -> None:
        """Simulate the corners again with other values for what Verilog leaves undefined."""
        a, b = part.a, part.b
        again = self._simulations[0].run(a, b, seed=2)
        for member, got, other in zip(self._members, part.results, again, strict=True):
            where = np.flatnonzero(got != other)
            if where.size:
                first = where[0]
                member.undefined.append(
                    f"{operands_text(a[first], b[first], self._widths)}: "
                    "the result depends on undefined (x) values: on a signal that is assigned on "
                    "other paths only (a latch), or nowhere"
                )

    def _compare_other_order(self, a: np.ndarray, b: np.ndarray, results: np.ndarray) -> None:
        """Simulate some pairs again in another order, with other pauses."""
        rng = np.random.default_rng((self._seed, 1))
        order = rng.permutation(a.size)[:_REORDERED_PAIRS]
        again = self._simulations[0].run(a[order], b[order], waiting=self._seed + 1)
        for member, got, other in zip(self._members, results, again, strict=True):
            where = np.flatnonzero(got[order] != other)
            if where.size:
                first = order[where[0]]
                member.failures.append(
                    f"{operands_text(a[first], b[first], self._widths)}: "
                    "its result depends on earlier operands"
                )

    def _latency_is_right(self, a: np.ndarray, b: np.ndarray) -> bool:
        """Compare declared latencies with those observed on some of the first operands."""
        if self._core.has_handshake:
            return True  # its cycles are counted everywhere
        picked = np.random.default_rng(0).permutation(a.size)[:48]
        try:
            observed = observed_latencies(self._simulations[0], a[picked], b[picked])
        except RestlessError:
            return True  # results pass by; they are picked at the declared time
        except SimulationError:
            raise
        except AsnetError as error:
            for member in self._members:
                member.failures.append(str(error))
            return True
        for member, cycles in zip(self._members, observed, strict=True):
            if cycles is not None and cycles != member.instance.latency:
                member.failures.append(
                    f"declares a latency of {member.instance.latency} cycles, "
                    f"simulation shows {cycles}"
                )
        return True

    def _compile(self) -> Any:
        known = {model.symbol: model for model in self._models if model is not None}
        return compile_elementwise(known) if known else None

    def _modelled(
        self,
        model: Model,
        raw: tuple[np.ndarray, np.ndarray],
        seen: tuple[np.ndarray, np.ndarray],
    ) -> np.ndarray:
        """Return the model's result bits."""
        kind = self._format
        if kind is None or kind.name != "f32":
            return self._kernel(model.symbol, *seen)
        operands = raw
        if model.strategy == "native":
            # A native model relies on NaNs being quiet, which every NaN from arithmetic is.
            operands = (
                np.where(kind.is_signalling(raw[0]), seen[0], raw[0]),
                np.where(kind.is_signalling(raw[1]), seen[1], raw[1]),
            )
        return self._kernel(model.symbol, *(v.view(np.float32) for v in operands)).view(np.uint32)

    def _compare_models(
        self,
        raw: tuple[np.ndarray, np.ndarray],
        seen: tuple[np.ndarray, np.ndarray],
        results: np.ndarray,
    ) -> None:
        """Compare the models of all members with the simulated results."""
        for member, model, got in zip(self._members, self._models, results, strict=True):
            member.vectors += got.size
            if model is not None:
                want = self._modelled(model, raw, seen)
                member.compare("model", *seen, got, want, model.strategy == "native")

    def _compare_exact(
        self,
        raw: tuple[np.ndarray, np.ndarray],
        seen: tuple[np.ndarray, np.ndarray],
        results: np.ndarray,
        typical: int,
    ) -> None:
        """Compare exact cores with the exact operation, and measure the errors of the others.

        Args:
          typical: where the typical operands begin, on which errors of floats are measured.
        """
        reference, defined = self._reference(*seen)
        for member, is_exact, got in zip(self._members, self._exact, results, strict=True):
            if self._format is None and member.op is not None:
                member.measure_integers(*raw, got, member.op, member.signed)
            if reference is None:
                continue
            if is_exact:
                name = "IEEE-754" if self._format else f"exact {self._core.op}"
                want = reference if defined is None else np.where(defined, reference, got)
                member.compare(name, *seen, got, want, False)
            if self._format is not None and typical < got.size:
                member.measure(self._format, *(v[typical:] for v in (*seen, got, reference)))

    def _reference(
        self, a: np.ndarray, b: np.ndarray
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return the exact results, and where they are defined (None: everywhere)."""
        op, widths = self._core.op, self._widths
        if self._format is not None and op is not None:
            return exact_float(self._format, op, a, b), None
        if op in INTEGER_OPS and any(self._exact):
            sizes = (widths.a, widths.b, widths.result)
            result, defined = exact_integer(op, a, b, sizes, self._core.signed)
            return result.astype(widths.dtypes[2]), defined
        return None, None


def _signedness(core: Core, found: Mapping[fit.Reading, float]) -> str:
    """Say that an integer core fits its operation better when its operands are read otherwise."""
    op, signed = str(core.op), core.signed
    read = "signed" if signed else "unsigned"
    option = "--no-signed" if signed else "--signed"
    return (
        f"it fits {op} of {'unsigned' if signed else 'signed'} operands far better: the mean "
        f"distance is {found[op, not signed]:.2%} of that of a constant 0, against "
        f"{found[op, signed]:.2%} for {read} ones, as which they are read; say {option} "
        f"(signed={not signed} in Python, signed = {str(not signed).lower()} in core.toml)"
    )
