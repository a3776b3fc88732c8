# SPDX-License-Identifier: Apache-2.0
"""The back end of this machine's processor: code of LLVM, a sample in each lane of a vector."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from asnet_mlir.binding import Binding
from asnet_mlir.cores.models.model import Strategy
from asnet_mlir.errors import InputError
from asnet_mlir.evaluation.backend import Rows, Weights
from asnet_mlir.evaluation.contractions import Way
from asnet_mlir.evaluation.cpu import BoundStage, StageCompiler
from asnet_mlir.evaluation.stages import Stage
from asnet_mlir.evaluation.transpose import transposer
from asnet_mlir.native.contraction import Contraction
from asnet_mlir.native.objects import Argument, Plan
from asnet_mlir.support.cache import content_hash
from asnet_mlir.support.formats import EDGE_FORMATS
from asnet_mlir.support.memory import available_memory

__all__ = ["CpuBackend"]

_MOST_THREADS = 256
#: Of the memory that is available, what the values of all threads of a run together may take.
_MOST_MEMORY = 0.5
#: Configurations whose prepared weights are kept.
_KEPT_PREPARED = 256


class CpuBackend:
    """Runs stages on this processor (`asnet_mlir.evaluation.backend.Backend`)."""

    name = "cpu"
    formats = frozenset(format.element_type for format in EDGE_FORMATS)

    def __init__(
        self, has_lanes: bool = True, strategy: Strategy | None = None, way: Way | None = None
    ) -> None:
        """Make one.

        Args:
          way: force how sums of products of codes are computed, where that applies.
          has_lanes: False for scalar code: some op of the network has none for vectors.
          strategy: force one for the models of all cores; by default each core's fastest.
        """
        self._compiler = StageCompiler.for_host(has_lanes, strategy, way)
        self._strategy = strategy
        self._prepared: OrderedDict[str, dict[int, np.ndarray]] = OrderedDict()
        self._contractions: OrderedDict[str, list[Contraction]] = OrderedDict()

    @property
    def lanes(self) -> int:
        return self._compiler.lanes

    def of_one_sample(self) -> CpuBackend | None:
        return CpuBackend(False, self._strategy) if self.lanes > 1 else None

    @property
    def compiled(self) -> int:
        return self._compiler.count

    def compile(self, stages: Sequence[Stage], binding: Binding) -> tuple[BoundStage, ...]:
        return self._compiler.compile(stages, binding)

    def plan(
        self,
        stages: Sequence[BoundStage],
        weights: Weights,
        sizes: Mapping[int, int],
        *,
        enter: Rows | None,
        leave: Rows | None,
    ) -> Plan:
        functions = []
        keep: list[Any] = [weights]
        if enter is not None:
            element = enter.format.element_type
            move = transposer(enter.rows, enter.columns, max(self.lanes, 1), element)
            functions.append((move, [_value(enter.number), _value(enter.value)]))
        for stage in stages:
            prepared = self._prepare(stage, weights)
            contractions = self._contract(stage, weights, prepared)
            keep += [stage.native, stage.parameters, prepared, contractions]
            left = iter(contractions)
            arguments = []
            for argument in stage.native.main:
                role, name = argument["role"], argument["name"]
                if role == "value":
                    arguments.append(_value(name))
                elif role == "arena":
                    arguments.append(Argument("arena", argument["bytes"]))
                elif role == "contraction":
                    arguments.append(Argument("constant", next(left).address))
                else:
                    constants: dict[str, Any] = {
                        "weight": weights.arrays,
                        "prepared": prepared,
                        "parameters": {None: stage.parameters},
                    }
                    arguments.append(Argument("constant", constants[role][name].ctypes.data))
            functions.append((stage.native.entry, arguments))
        if leave is not None:
            element = leave.format.element_type
            move = transposer(leave.columns, leave.rows, max(self.lanes, 1), element)
            functions.append((move, [_value(leave.value), _value(leave.number)]))
        return Plan(functions, [sizes[number] for number in range(len(sizes))], keep)

    def contractions(
        self, stages: Sequence[BoundStage], weights: Weights
    ) -> tuple[tuple[str, Contraction], ...]:
        return tuple(
            (stage.stage.layer, contraction)
            for stage in stages
            for contraction in self._contract(stage, weights, self._prepare(stage, weights))
        )

    def run(self, plan: Plan, arrays: Mapping[int, np.ndarray], blocks: int, threads: int) -> None:
        # A thread more takes as much memory as one.
        memory, available = plan.memory(arrays), available_memory()
        if memory > available:
            raise InputError(
                f"a block of {self.lanes} samples takes {memory / 1e9:.1f} GB of memory, and "
                f"{available / 1e9:.1f} GB are available: give the network smaller inputs, or a "
                "machine with more memory"
            )
        fitting = int(_MOST_MEMORY * available / memory)
        threads = max(1, min(threads, _MOST_THREADS, fitting))
        plan.run(arrays, blocks, threads, self._compiler.check)

    def _prepare(self, stage: BoundStage, weights: Weights) -> dict[int, np.ndarray]:
        """Return what the stage computes of weights alone; kept for those of the last plans."""
        if not stage.native.prepare:
            return {}
        key = content_hash(stage.key, weights.key(stage.weights))
        if key not in self._prepared:
            self._prepared[key] = stage.native.prepared(weights.arrays, stage.parameters)
            if len(self._prepared) > _KEPT_PREPARED:
                self._prepared.popitem(last=False)
        self._prepared.move_to_end(key)
        return self._prepared[key]

    def _contract(
        self, stage: BoundStage, weights: Weights, prepared: Mapping[int, np.ndarray]
    ) -> list[Contraction]:
        """Return the contractions of a stage, made for its weights and kept likewise."""
        described = stage.native.contractions
        if not described:
            return []
        key = content_hash(stage.key, weights.key(stage.weights))
        if key not in self._contractions:
            self._contractions[key] = [
                stage.products[one["product"]].contraction(one, weights.arrays, prepared)
                for one in described
            ]
            if len(self._contractions) > _KEPT_PREPARED:
                self._contractions.popitem(last=False)
        self._contractions.move_to_end(key)
        return self._contractions[key]


def _value(number: int) -> Argument:
    return Argument("value", number)
