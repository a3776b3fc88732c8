# SPDX-License-Identifier: Apache-2.0
"""Many configurations of one network on one data set, each computed from where it is new."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from asnet_mlir.binding import Binding
from asnet_mlir.data import Dataset
from asnet_mlir.evaluation.backend import Compiled, Weights
from asnet_mlir.evaluation.evaluate import judge_of
from asnet_mlir.evaluation.evaluator import CompiledNetwork, Evaluator, checked_threads
from asnet_mlir.metrics import Difference, Judge, Reference
from asnet_mlir.native.objects import aligned
from asnet_mlir.support.cache import content_hash

__all__ = ["Session"]

#: Bytes of results of layers that a session keeps.
_KEPT = 512 << 20
#: Keys of values that a session remembers having computed.
_REMEMBERED = 1 << 16


class Session:
    """Evaluates bindings of a network on a data set.

    The results of a layer depend on the bindings of the layers up to it.  Where a configuration
    shares its first layers with one seen before, they are not computed again: what a layer that
    changes reads is kept when it is computed for the second time, up to half a gibibyte.
    """

    def __init__(
        self,
        model: Any,
        dataset: Dataset,
        *,
        threads: int | None = None,
        judge: Judge | None = None,
        weights_of: Callable[[Binding], Mapping[str, np.ndarray]] | None = None,
    ) -> None:
        """Prepare a session.

        Args:
          model: whatever `load_model` takes, or a `CompiledNetwork`.
          dataset: samples of the network's shape and format (`prepare_data`).
          threads: see `Evaluator`.
          judge: decides how good outputs are; by default what `judge_of` makes of the data.
          weights_of: gives the weights that another binding changes, by name; none by default.
        """
        self._weights_of = weights_of
        self._given_judge = judge
        self.compiled = model if isinstance(model, CompiledNetwork) else CompiledNetwork(model)
        self.dataset = dataset
        self.threads = checked_threads(threads)
        block = self.compiled.block
        self._blocks = -(-len(dataset) // block)
        x = dataset.x
        if len(x) % block:
            # The last block is filled up with zeros, whose outputs are dropped.
            x = np.zeros((self._blocks * block, *x.shape[1:]), x.dtype)
            x[: len(dataset)] = dataset.x
        self._x = np.ascontiguousarray(x)
        self._kept: OrderedDict[str, np.ndarray] = OrderedDict()
        self._seen: OrderedDict[str, None] = OrderedDict()

    def outputs(
        self,
        binding: Binding | None = None,
        start: int = 0,
        stop: int | None = None,
        *,
        weights: Weights | None = None,
    ) -> np.ndarray:
        """Return [stop - start, *output_shape] of samples `start` to `stop`.

        Equal, bit for bit, to what `Evaluator` gives.  `weights` are by default the network's own,
        with what the session's `weights_of` changes.
        """
        compiled = self.compiled
        stop = len(self.dataset) if stop is None else min(stop, len(self.dataset))
        stages = compiled.bind(binding or Binding())
        if weights is None and self._weights_of is not None:
            complete = compiled.network.complete(binding)
            weights = compiled.weights.replaced(self._weights_of(complete))
        weights = weights or compiled.weights
        keys = self._keys(stages, weights)
        first, last = start // compiled.block, -(-stop // compiled.block)
        is_whole = first == 0 and last == self._blocks
        needed, sources, frontier = self._needed(stages, keys)
        rows_in, rows_out = compiled.rows
        network = compiled.network
        rows = (last - first) * compiled.block
        y = np.empty((rows, *network.output_shape), network.output_format.dtype)
        arrays = {rows_in: self._x[first * compiled.block :], rows_out: y}
        for number, array in sources.items():
            arrays[number] = array[first * compiled.sizes[number] :]
        kept = {}
        if is_whole:
            for number in self._worth_keeping(frontier, keys, sources):
                kept[number] = arrays[number] = aligned(self._blocks * compiled.sizes[number])
        enter = 0 not in sources and 0 in frontier
        plan = compiled.plan(needed, weights, enter=enter, leave=True)
        compiled.backend.run(plan, arrays, last - first, self.threads)
        for number, array in kept.items():
            self._kept[keys[number]] = array
        for key in keys.values():
            self._seen[key] = None
            self._seen.move_to_end(key)
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        offset = start - first * compiled.block
        return y[offset : offset + stop - start]

    @cached_property
    def exact(self) -> np.ndarray:
        """The outputs of all samples with exact arithmetic everywhere, [n, *output_shape]."""
        evaluator = Evaluator(self.compiled.without_binding(), threads=self.threads)
        return evaluator.outputs(self.dataset.x)

    @cached_property
    def judge(self) -> Judge:
        """What decides how good outputs are; it knows the exact network's."""
        judge = self._given_judge or judge_of(None, self.dataset, self.compiled.network)
        return judge.resolved(self.exact)

    @cached_property
    def _reference(self) -> Reference:
        return Reference(self.judge.judged(self.exact))

    def value(self, binding: Binding | None = None) -> float:
        """Return the figure of the metric for all samples."""
        return self.judge.value(self.outputs(binding))

    def difference(self, outputs: np.ndarray) -> Difference:
        """Return how outputs of all samples differ from the exact network's."""
        return self._reference.difference(self.judge.judged(outputs))

    def _keys(self, stages: Iterable[Compiled], weights: Weights) -> dict[int, str]:
        """Return a hash of what decides each value, by number."""
        keys = {0: "input"}
        for bound in stages:
            inputs = [keys[number] for number in bound.stage.inputs]
            own = weights.key(bound.weights)
            for number in bound.stage.outputs:
                keys[number] = content_hash(bound.key, own, str(number), *inputs)
        return keys

    def _needed(
        self, stages: tuple[Compiled, ...], keys: dict[int, str]
    ) -> tuple[list[Compiled], dict[int, np.ndarray], set[int]]:
        """Return the stages to run, the kept values that they start from, and all they read."""
        makers = {number: bound for bound in stages for number in bound.stage.outputs}
        pending, run, sources, read = [self.compiled.output], [], {}, set()
        while pending:
            number = pending.pop()
            if number in read:
                continue
            read.add(number)
            key = keys[number]
            # The output itself is moved to rows, so that it is always computed.
            if key in self._kept:
                self._kept.move_to_end(key)
                sources[number] = self._kept[key]
            elif number in makers and makers[number] not in run:
                run.append(makers[number])
                pending += makers[number].stage.inputs
        order = {id(bound): position for position, bound in enumerate(stages)}
        return sorted(run, key=lambda bound: order[id(bound)]), sources, read

    def _worth_keeping(
        self, read: set[int], keys: dict[int, str], sources: dict[int, np.ndarray]
    ) -> list[int]:
        """Return the values to keep: seen before, and read by a stage whose results are new."""
        compiled = self.compiled
        numbers = []
        for stage in compiled.stages:
            if all(keys[number] in self._seen for number in stage.outputs):
                continue
            for number in stage.inputs:
                is_new = number in sources or number in numbers
                if number in read and not is_new and keys[number] in self._seen:
                    numbers.append(number)
        size = sum(self._blocks * compiled.sizes[number] for number in numbers)
        if size > _KEPT:
            return []
        held = sum(array.nbytes for array in self._kept.values())
        using = {keys[number] for number in sources}
        for key in list(self._kept):
            if held + size <= _KEPT:
                break
            if key not in using:
                held -= self._kept.pop(key).nbytes
        return numbers if held + size <= _KEPT else []
