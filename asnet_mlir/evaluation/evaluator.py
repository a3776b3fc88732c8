# SPDX-License-Identifier: Apache-2.0
"""A bound network, compiled for this machine."""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from asnet_mlir.binding import Binding, Rule, is_within, split_channels
from asnet_mlir.compiler import bind, split_by_channels, to_approx
from asnet_mlir.cores.models.model import Strategy
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.evaluation.backend import Backend, Compiled, Rows, Weights
from asnet_mlir.evaluation.contractions import Way
from asnet_mlir.evaluation.cpu_backend import CpuBackend
from asnet_mlir.evaluation.layer_outputs import layer_values
from asnet_mlir.evaluation.stages import split_stages
from asnet_mlir.frontends import load_model
from asnet_mlir.native.contraction import Contraction
from asnet_mlir.native.objects import aligned
from asnet_mlir.network import Network

__all__ = ["CompiledNetwork", "Evaluator", "default_threads"]

#: Of the lanes, what samples at the end of a run have to fill to be computed in them at any rate.
_FEW = 4
#: Seconds that fewer samples have taken in lanes until code for one sample at once is compiled.
_SECONDS_OF_FEW = 2.0
#: Samples whose layers' outputs are computed at once.
_TOGETHER = 256


def default_threads() -> int:
    """Return the number of processors this process may use."""
    return len(os.sched_getaffinity(0))


class CompiledNetwork:
    """A network lowered once, and the native code of its configurations.

    Configurations share the native code of every stage that is bound alike, and also where only the
    masks of truncating cores differ: a mask is an argument, so that sweeping it compiles nothing.

    Attributes:
      network: what was compiled.
      lowered: it in the approx dialect, unbound.
      stages: its layers, in the order of computation.
      weights: the network's own.
      backend: compiles and runs the stages.
      lanes: samples that native code computes at once, each in a lane of a vector.
      block: samples in a block: `lanes` times the batch for which the network was lowered.
      sizes: bytes of a block of each value, by number.  Values of stages have a sample in each
        lane; the last two are rows: the input as the user has it, and the output.
    """

    def __init__(
        self,
        model: Any,
        *,
        strategy: Strategy | None = None,
        way: Way | None = None,
        backend: Backend | None = None,
        channels: Mapping[str, Sequence[tuple[int, int]]] | None = None,
        every: int = 0,
    ) -> None:
        """Lower `model`, whatever `load_model` takes.

        Args:
          strategy: force one for the models of all cores; by default each core's fastest.
          way: force one for sums of products of codes; by default each one's quickest.
          backend: runs the stages; by default this machine's processor.
          channels: ranges of output channels, by layer, that bindings will be about, besides those
            of the network's own binding (`Binding.channels`).
          every: see `split_by_channels`.
        """
        self.network: Network = load_model(model)
        batch = self.network.fixed_batch or 1
        own = self.network.binding.channels if self.network.binding else {}
        parts = {**own, **(channels or {})}
        self.lowered = split_by_channels(to_approx(self.network, batch), parts, every)
        split = split_stages(self.lowered)
        self.stages = split.stages
        self.backend: Backend = backend or CpuBackend(split.has_lanes, strategy, way)
        self.lanes = self.backend.lanes
        self.block = self.lanes * batch
        self._inputs = batch * math.prod(self.network.input_shape)
        self._outputs = batch * math.prod(self.network.output_shape)
        self._check_formats()
        self.weights = Weights({weight.name: weight.value for weight in self.network.weights})
        self.output = self.stages[-1].outputs[-1] if self.stages else 0
        self.sizes: dict[int, int] = {}

    @property
    def rows(self) -> tuple[int, int]:
        """The numbers of the input's and the output's rows among the values."""
        return self.output + 1, self.output + 2

    @property
    def native_stages(self) -> int:
        """How many stages native code was made of, or loaded from the cache, so far."""
        return self.backend.compiled

    def without_binding(self) -> CompiledNetwork:
        """Return the network with what it is bound to itself made exact; native code is shared."""
        if self.network.binding is None:
            return self
        plain = copy.copy(self)
        plain.network = replace(self.network, binding=None, missing=())
        return plain

    def of_one_sample(self) -> CompiledNetwork | None:
        """Return the network for one sample at once, lanes along the outputs of a layer.

        None where the backend has no such code, or none that is quicker.
        """
        backend = self.backend.of_one_sample()
        if backend is None:
            return None
        single = copy.copy(self)
        single.backend, single.sizes = backend, {}
        single.lanes, single.block = backend.lanes, self.block // self.lanes
        return single

    def bind(self, binding: Binding) -> tuple[Compiled, ...]:
        """Return the stages under `binding` (see `Network.complete`), compiled.

        Raises:
          InputError: a rule names a layer that the network does not have, or one without its op.
        """
        binding = self.network.complete(binding)
        kinds = {kind for stage in self.stages for kind, _, _ in stage.sites}
        unreached = [
            rule
            for rule in binding.rules
            if (rule.layer is not None or rule.op in kinds)
            and not any(stage.is_reached_by(rule) for stage in self.stages)
        ]
        if unreached:
            bind(self.lowered, binding)  # raises, and names the nearest layers or the ops' format
        for rule in binding.rules:
            if rule.channels is not None and not self._has_channels(rule):
                raise InputError(
                    f"{self.network.name}: was compiled without the channels of {rule.place}; "
                    "give CompiledNetwork the binding's channels"
                )
        bound = self.backend.compile(self.stages, binding)
        if not self.sizes:
            self.sizes = self._find_sizes(bound)
        return bound

    def _has_channels(self, rule: Rule) -> bool:
        """Return whether the parts of its layers make up all the channels that a rule is about."""
        scope, channels = split_channels(rule.layer or "")
        begin, end = channels or (0, 0)
        inside: dict[str, int] = {}
        for kind, layer in {site[:2] for stage in self.stages for site in stage.sites}:
            own, part = split_channels(layer)
            # Sums of anything but products have no parts.
            if kind != rule.op or not is_within(own, scope) or (part is None and kind == "addi"):
                continue
            first, last = part or (0, 0)
            size = last - first if begin <= first and last <= end else 0
            inside[own] = inside.get(own, 0) + size
        return bool(inside) and all(size == end - begin for size in inside.values())

    def _check_formats(self) -> None:
        network = self.network
        edges = {"the input": network.input_format, "the output": network.output_format}
        edges |= {f"weight '{weight.name}'": weight.format for weight in network.weights}
        for what, format in edges.items():
            if format.element_type not in self.backend.formats:
                raise UnsupportedError(
                    f"{network.name}: {what} is {format}; {self.backend.name} computes on "
                    f"{', '.join(sorted(self.backend.formats))}"
                )

    def _find_sizes(self, bound: Iterable[Compiled]) -> dict[int, int]:
        network = self.network
        taken = self._inputs * self.lanes * network.input_format.storage_bytes
        given = self._outputs * self.lanes * network.output_format.storage_bytes
        sizes = {0: taken}
        for stage in bound:
            sizes.update(stage.value_bytes)
        return {**sizes, **dict(zip(self.rows, (taken, given), strict=True))}

    def plan(
        self,
        stages: Sequence[Compiled],
        weights: Weights | None = None,
        *,
        enter: bool,
        leave: bool,
    ) -> Any:
        """Return the plan that runs `stages`, in the order of computation.

        Args:
          weights: by default the network's own.
          enter: begin with the input's rows, not with values that are there already.
          leave: end with the output's rows.
        """
        rows_in, rows_out = self.rows
        formats = self.network.input_format, self.network.output_format
        entry = Rows(rows_in, 0, self.lanes, self._inputs, formats[0])
        exit = Rows(rows_out, self.output, self.lanes, self._outputs, formats[1])
        return self.backend.plan(
            stages,
            weights or self.weights,
            self.sizes,
            enter=entry if enter else None,
            leave=exit if leave else None,
        )


class Evaluator:
    """Computes a network's outputs as its binding's hardware would, bit for bit.

    Results do not depend on the number of samples, their order, or `threads`.
    """

    def __init__(
        self,
        model: Any,
        binding: Binding | None = None,
        *,
        threads: int | None = None,
    ) -> None:
        """Compile `model` under `binding`.

        Args:
          model: whatever `load_model` takes, or a `CompiledNetwork`, whose native code is reused.
          binding: which instances compute which ops; exact without.
          threads: at most this many run at once; by default one per processor.

        Raises:
          InputError, UnsupportedError: see `asnet_mlir.compile`.
        """
        self.threads = checked_threads(threads)
        if isinstance(model, CompiledNetwork):
            self._compiled = model
        else:
            network = load_model(model)
            channels = network.complete(binding).channels
            self._compiled = CompiledNetwork(network, channels=channels)
        self.network = self._compiled.network
        self.binding = self.network.complete(binding)
        self._bound = self._compiled.bind(self.binding)
        self._plan = self._compiled.plan(self._bound, enter=True, leave=True)
        self._single: Evaluator | None = None
        self._seconds_of_few = 0.0

    @property
    def stages(self) -> tuple[Compiled, ...]:
        """The stages, bound and compiled."""
        return self._bound

    def with_stages(self, stages: Sequence[Compiled]) -> Evaluator:
        """Return an evaluator of its stages where some have other products of codes."""
        other = copy.copy(self)
        other._bound, other._single = tuple(stages), None
        other._plan = self._compiled.plan(other._bound, enter=True, leave=True)
        return other

    @property
    def contractions(self) -> tuple[tuple[str, Contraction], ...]:
        """Sums of products of 8-bit codes that are not computed by models, with their layers."""
        return self._compiled.backend.contractions(self._bound, self._compiled.weights)

    def outputs(
        self,
        x: np.ndarray,
        weights: Mapping[str, np.ndarray] | None = None,
        *,
        keep: Mapping[int, np.ndarray] | None = None,
    ) -> np.ndarray:
        """Return [n, *output_shape] for [n, *input_shape], both of the network's formats.

        NaNs in `x` must be quiet (numpy's own are); a `Dataset` makes them so.

        Args:
          weights: other values of some of the network's weights, for this run.
          keep: get the blocks of values, by number; of whole blocks of samples only.

        Raises:
          InputError: `x` or a weight has another shape or dtype, or there is no such weight.
        """
        network, compiled = self.network, self._compiled
        taken, given = network.input_format.dtype, network.output_format.dtype
        if x.dtype != taken or x.shape[1:] != network.input_shape:
            raise InputError(
                f"{network.name}: takes {taken} samples of shape {network.input_shape}, got "
                f"{x.dtype} of {x.shape[1:]}"
            )
        plan = self._plan
        if weights:
            changed = compiled.weights.replaced(weights)
            plan = compiled.plan(self._bound, changed, enter=True, leave=True)
        x = np.ascontiguousarray(x)
        result = np.empty((len(x), *network.output_shape), given)
        whole = len(x) // compiled.block
        if whole:
            self._run(plan, x, result, whole, keep)
        done = whole * compiled.block
        if done < len(x):
            result[done:] = self._rest(plan, x[done:], weights)
        return result

    def _rest(
        self, plan: Any, x: np.ndarray, weights: Mapping[str, np.ndarray] | None
    ) -> np.ndarray:
        """Return the outputs of fewer samples than a block has."""
        network, compiled = self.network, self._compiled
        is_few = len(x) * _FEW <= compiled.block
        if is_few and self._single is None and self._seconds_of_few > _SECONDS_OF_FEW:
            self._seconds_of_few = -math.inf  # asked once
            single = None if self.contractions else compiled.of_one_sample()
            if single is not None:
                self._single = Evaluator(single, self.binding, threads=self.threads)
        if is_few and self._single is not None:
            return self._single.outputs(x, weights)
        began = time.perf_counter()
        # Filled up with zeros, whose outputs are dropped.
        padded = np.zeros((compiled.block, *network.input_shape), network.input_format.dtype)
        padded[: len(x)] = x
        last = np.empty((compiled.block, *network.output_shape), network.output_format.dtype)
        self._run(plan, padded, last, 1)
        if is_few:
            self._seconds_of_few += time.perf_counter() - began
        return last[: len(x)]

    def layer_outputs(self, x: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return what `outputs` returns, and each layer's output by the layer's name.

        A layer's output is the last value that it gives to others: [n, *shape] of the layer's
        format, in the order of computation.  Integers inside a network are read as signed ones.

        Raises:
          InputError: see `outputs`.
          UnsupportedError: the network is of a fixed batch, and a layer mixes it into its values.
        """
        compiled = self._compiled
        lanes, batch = max(compiled.lanes, 1), self.network.fixed_batch or 1
        values = layer_values(compiled.stages, batch, compiled.sizes, lanes)
        outputs: list[np.ndarray] = []
        parts: dict[str, list[np.ndarray]] = {value.name: [] for value in values}
        size = compiled.block * max(1, _TOGETHER // compiled.block)
        for start in range(0, len(x), size):
            some = x[start : start + size]
            blocks = -(-len(some) // compiled.block)
            padded = np.zeros((blocks * compiled.block, *x.shape[1:]), x.dtype)
            padded[: len(some)] = some
            kept = {value.number: aligned(blocks * value.bytes(lanes)) for value in values}
            outputs.append(self.outputs(padded, keep=kept)[: len(some)])
            for value in values:
                rows = value.rows(kept[value.number], lanes)
                parts[value.name].append(rows[: len(some)])
        layers = {name: np.concatenate(rows) for name, rows in parts.items()}
        return np.concatenate(outputs), layers

    def _run(
        self,
        plan: Any,
        x: np.ndarray,
        y: np.ndarray,
        blocks: int,
        keep: Mapping[int, np.ndarray] | None = None,
    ) -> None:
        rows_in, rows_out = self._compiled.rows
        arrays = {rows_in: x, rows_out: y, **(keep or {})}
        self._compiled.backend.run(plan, arrays, blocks, self.threads)


def checked_threads(threads: int | None) -> int:
    """Return how many threads to use.

    Raises:
      InputError: fewer than one.
    """
    if threads is None:
        return default_threads()
    if threads < 1:
        raise InputError(f"the number of threads must be at least 1, not {threads}")
    return threads
