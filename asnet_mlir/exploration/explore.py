"""Evaluate every configuration of a design space (the paper's Algorithm 1)."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import asnet_mlir
from asnet_mlir.binding import Binding
from asnet_mlir.cache import content_hash
from asnet_mlir.cores import derive_models, ensure_checked
from asnet_mlir.data import Dataset
from asnet_mlir.errors import AsnetError, InputError
from asnet_mlir.evaluation.evaluate import accuracy, prepare_data
from asnet_mlir.evaluation.evaluator import CompiledNetwork, Evaluator
from asnet_mlir.exploration.constraints import Constraints, load_constraints
from asnet_mlir.exploration.store import Store
from asnet_mlir.frontends import load_model
from asnet_mlir.worker import in_mlir_process

__all__ = ["Exploration", "Result", "choose", "explore", "progress_line"]


@dataclass(frozen=True)
class Result:
    """One configuration and the accuracy (0..1) it reaches."""

    binding: Binding
    accuracy: float

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {"accuracy": self.accuracy, "label": self.binding.label, **self.binding.to_json()}


@dataclass(frozen=True)
class Exploration:
    """All results of a sweep, in the order of the constraints.

    Attributes:
      seconds: of the whole sweep, compilation included; results found in the store cost nothing.
      evaluated: how many configurations were run rather than found in the store.
    """

    network: str
    data: str
    samples: int
    constraints: Constraints
    results: tuple[Result, ...]
    seconds: float
    evaluated: int

    @property
    def exact(self) -> Result:
        """The configuration without approximation."""
        return next(result for result in self.results if not result.binding.rules)

    def axis(self, op: str) -> list[Result]:
        """Return the results in which `op` alone is approximated, in the constraints' order."""
        return [r for r in self.results if [rule.op for rule in r.binding.rules] == [op]]

    def to_json(self) -> dict[str, Any]:
        """Return the exploration as JSON values."""
        return {
            "network": self.network,
            "data": self.data,
            "samples": self.samples,
            "seconds": self.seconds,
            "evaluated": self.evaluated,
            "results": [result.to_json() for result in self.results],
        }


@in_mlir_process
def explore(
    model: Any,
    data: str | Dataset,
    constraints: str | Path | Mapping[str, Any] | Constraints,
    *,
    store: str | Path | None = None,
    only_axes: bool = False,
    threads: int | None = None,
    progress: Callable[[int, int, Result, float], None] | None = None,
) -> Exploration:
    """Measure the accuracy of every configuration that the constraints span.

    Args:
      model: whatever `load_model` takes.
      data: whatever `load_data` takes.
      constraints: a constraints file, its content, or what `load_constraints` returned.
      store: an SQLite file that keeps the results; those in it already are not computed again.
      only_axes: leave out configurations that approximate more than one op kind.
      threads: see `Evaluator`.
      progress: called with (done, total, result, seconds so far) after each configuration.

    Raises:
      InputError: see `load_constraints`, `load_model`, `load_data`; a store of another version.
    """
    network = load_model(model)
    dataset = prepare_data(data, network)
    space = constraints if isinstance(constraints, Constraints) else load_constraints(constraints)
    bindings = [
        binding.over(network.instances)
        for binding in (space.axes() if only_axes else space.bindings())
    ]
    begin = time.perf_counter()
    compiled = CompiledNetwork(network, samples=len(dataset))
    _prepare_cores(space)
    base = _base_key(compiled, dataset)
    results, evaluated = [], 0
    with Store(store) as kept:
        for binding in bindings:
            key = content_hash(base, binding.pass_option, *_hashes(binding))
            known = kept.get(key)
            if known is None:
                evaluator = Evaluator(compiled, binding, threads=threads)
                reached = accuracy(evaluator.outputs(dataset.x), dataset.y)
                kept.put(key, network.name, dataset.name, binding.label, {"accuracy": reached})
                evaluated += 1
            else:
                reached = known["accuracy"]
            results.append(Result(binding, reached))
            if progress:
                progress(len(results), len(bindings), results[-1], time.perf_counter() - begin)
    return Exploration(
        network.name,
        dataset.name,
        len(dataset),
        space,
        tuple(results),
        time.perf_counter() - begin,
        evaluated,
    )


_BOUND = re.compile(r"\s*accuracy\s*(>=|>)\s*([0-9.eE+-]+)\s*(%?)\s*")


def choose(exploration: Exploration, bound: str) -> Result:
    """Pick a configuration (Algorithm 1, line 8) whose accuracy satisfies `bound`.

    The constraints file lists each op kind's instances from the exact one onwards; of all
    configurations within the bound, the one that is furthest along these lists, all op kinds
    together, is taken, and the more accurate one of two that are equally far.

    Args:
      bound: `accuracy>=0.9`, `accuracy>90%`.

    Raises:
      InputError: the bound can't be read.
      AsnetError: no configuration reaches it; the message says what the best one reaches.
    """
    match = _BOUND.fullmatch(bound)
    try:
        limit = float(match[2]) / (100 if match[3] else 1) if match else None
    except ValueError:
        limit = None
    if limit is None or match is None:
        raise InputError(f"'{bound}': write a bound as accuracy>=0.9")
    strict = match[1] == ">"
    feasible = [
        r for r in exploration.results if r.accuracy > limit or (not strict and r.accuracy == limit)
    ]
    if not feasible:
        best = max(exploration.results, key=lambda r: r.accuracy)
        raise AsnetError(
            f"no configuration satisfies {bound}; the best one, {best.binding.label}, reaches "
            f"{best.accuracy:.4f}"
        )
    choices = exploration.constraints.choices
    return max(feasible, key=lambda r: (_steps(r.binding, choices), r.accuracy))


def _steps(binding: Binding, choices: Mapping[str, Sequence[Any]]) -> float:
    """How far along its op kinds' lists a configuration is: 0 exact, 1 per list at its end."""
    return sum(
        choices[rule.op].index(rule.instance) / (len(choices[rule.op]) - 1)
        for rule in binding.rules
    )


def progress_line(done: int, total: int, result: Result, seconds: float) -> None:
    """Show progress on a terminal's standard error; print nothing elsewhere."""
    if not sys.stderr.isatty():
        return
    rate = done / seconds if seconds else 0.0
    left = (total - done) / rate if rate else 0.0
    end = "\n" if done == total else ""
    print(
        f"\r{done}/{total} configurations, {rate:.1f}/s, {left:.0f} s left, last "
        f"{result.accuracy:.4f} {result.binding.label[:60]:60}",
        end=end,
        file=sys.stderr,
        flush=True,
    )


def _prepare_cores(space: Constraints) -> None:
    """Check all instances and derive their models together: tools start once, not once each."""
    instances = [i for choice in space.choices.values() for i in choice if i is not None]
    ensure_checked(instances)
    derive_models({f"core_{index}": instance for index, instance in enumerate(instances)})


def _hashes(binding: Binding) -> Iterable[str]:
    return (instance.content_hash for instance in binding.instances.values())


def _base_key(compiled: CompiledNetwork, dataset: Dataset) -> str:
    given = (i.content_hash for i in compiled.network.instances.values())
    arrays = [*(w.value for w in compiled.network.weights), dataset.x, dataset.y]
    return content_hash(
        asnet_mlir.__version__,
        compiled.lowered,
        *given,
        *(np.ascontiguousarray(a).tobytes() for a in arrays),
    )
