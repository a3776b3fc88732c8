# SPDX-License-Identifier: Apache-2.0
"""A float network's StableHLO as a graph: values, operations, and the numbers that they take."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.frontends.calls import inline_calls
from asnet_mlir.frontends.constants import main_of
from asnet_mlir.frontends.locations import describe_op, scope_of
from asnet_mlir.frontends.stablehlo import INLINE, run_passes
from asnet_mlir.frontends.stablehlo_file import parse_stablehlo
from asnet_mlir.frontends.xla import run_samples_by_xla
from asnet_mlir.network import Network

__all__ = ["Graph", "Op", "returning"]

#: Bytes of values that one call of XLA's process returns.
_TOGETHER = 64 << 20


@dataclass(frozen=True)
class Op:
    """An operation.

    Attributes:
      index: among the graph's operations.
      name: without `stablehlo.`.
      operands, results: numbers of values.
      captured: those that its regions read from outside.
      layer: that it belongs to, or "".
      mlir: the operation of jaxlib's MLIR, for its attributes and regions.
    """

    index: int
    name: str
    operands: tuple[int, ...]
    results: tuple[int, ...]
    captured: tuple[int, ...]
    layer: str
    mlir: Any

    @property
    def read(self) -> tuple[int, ...]:
        """All values that it takes."""
        return (*self.operands, *self.captured)

    @property
    def result(self) -> int:
        """The value of an operation that gives one."""
        return self.results[0]

    def integers(self, name: str, default: Sequence[int] = ()) -> tuple[int, ...]:
        """Return an attribute that is a list of integers."""
        if name not in self.mlir.attributes:
            return tuple(default)
        return tuple(int(item) for item in self.mlir.attributes[name])

    def matrix(self, name: str, rows: int) -> np.ndarray:
        """Return an attribute of shape [rows, 2], zeros by default."""
        if name not in self.mlir.attributes:
            return np.zeros((rows, 2), np.int64)
        return np.array(self.mlir.attributes[name], np.int64).reshape(rows, 2)

    def region_op(self) -> str:
        """Return the name of the only operation of a reduction's region, or ""."""
        names = [op.operation.name for op in self.mlir.regions[0].blocks[0].operations]
        return names[0].removeprefix("stablehlo.") if len(names) == 2 else ""


class Graph:
    """The operations of a network between its input and its output, for one batch.

    Attributes:
      network: as its framework gave it, weights not folded.
      batch: samples of a batch: 1, or what the network fixes.
      ops: that depend on the input, in the order of computation.
      shapes: of each value, the batch included; `elements`: MLIR's types of their numbers.
      input, output: values.
      constants: arrays of values that do not depend on the input and that `ops` read.
      uses: operations that read each value; the network's output counts as one more, -1.
    """

    def __init__(self, network: Network) -> None:
        """Read a network.

        Raises:
          InputError: it is of a form past StableHLO.
          UnsupportedError: it is no straight-line code.
        """
        if network.is_approx:
            raise InputError(
                f"{network.name}: is of the form approx or bound; networks are quantized from what "
                "their framework gives, or from StableHLO"
            )
        self.network = network.unfolded or network
        self.batch = network.fixed_batch or 1
        self._module = parse_stablehlo(network.name, network.stablehlo(self.batch).encode())
        with self._module.context:
            run_passes(self._module.operation, INLINE)
            inline_calls(self._module)
        self._number()
        self.constants = self._constants()

    @property
    def takes_floats(self) -> bool:
        """Whether the input is f32: integers, such as the numbers of words, are no codes."""
        return self.elements[self.input] == "f32"

    def producer(self, value: int) -> Op | None:
        """Return the operation of `ops` that gives a value."""
        return self._producers.get(value)

    def sample_shape(self, value: int) -> tuple[int, ...]:
        """Return a value's shape without the batch."""
        return self.shapes[value][1:]

    def is_batched(self, value: int) -> bool:
        """Return whether a value has f32 numbers and begins with the batch."""
        return self.elements[value] == "f32" and self.shapes[value][:1] == (self.batch,)

    def single_use(self, value: int) -> Op | None:
        """Return the only operation that reads a value, if there is one and nobody else does."""
        uses = self.uses.get(value, [])
        return self.op(uses[0]) if len(uses) == 1 and uses[0] >= 0 else None

    def value(self, number: int) -> Any:
        """Return the value of jaxlib's MLIR that has a number."""
        return self._values[number]

    def op(self, index: int) -> Op:
        """Return an operation by its index."""
        return self._by_index[index]

    def _number(self) -> None:
        main = main_of(self._module)
        block = main.regions[0].blocks[0]
        self._values = list(block.arguments)
        numbers = {value: number for number, value in enumerate(self._values)}
        self.input, self.output = 0, -1
        varying = {0}
        everything: list[Op] = []
        for view in block.operations:
            op = view.operation
            operands = tuple(numbers[value] for value in op.operands)
            if op.name == "func.return":
                (self.output,) = operands
                break
            results = []
            for result in op.results:
                numbers[result] = len(self._values)
                results.append(len(self._values))
                self._values.append(result)
            name = op.name.removeprefix("stablehlo.")
            inner = [own for region in op.regions for own in _values_read(region)]
            captured = tuple(dict.fromkeys(numbers[own] for own in inner if own in numbers))
            found = Op(
                len(everything),
                name,
                operands,
                tuple(results),
                captured,
                scope_of(op.location),
                op,
            )
            everything.append(found)
            if varying.intersection(found.read):
                varying.update(results)
        self.shapes, self.elements = [], []
        for value in self._values:
            if not hasattr(value.type, "shape"):
                raise UnsupportedError(f"{self.network.name}: {value.type} can't be quantized")
            self.shapes.append(tuple(value.type.shape))
            self.elements.append(str(value.type.element_type))
        if self.output not in varying:
            raise InputError(f"{self.network.name}: its output does not depend on its input")
        live = _live(everything, self.output)
        self._fixed = set(range(len(self._values))) - varying
        self.ops = [op for op in everything if op.index in live and op.results[0] in varying]
        self._by_index = {op.index: op for op in self.ops}
        self._producers = {value: op for op in self.ops for value in op.results}
        self.uses: dict[int, list[int]] = {self.output: [-1]}
        for op in self.ops:
            for value in set(op.read):
                self.uses.setdefault(value, []).append(op.index)

    def _constants(self) -> dict[int, np.ndarray]:
        wanted = sorted({v for op in self.ops for v in op.read if v in self._fixed})
        given = {number: weight.value for number, weight in enumerate(self.network.weights, 1)}
        found = {value: given[value] for value in wanted if value in given}
        rest = [value for value in wanted if value not in given]
        if rest:
            x = np.zeros((1, *self.shapes[0]), self.network.input_format.dtype)
            computed = run_samples_by_xla(self.network.name, self._text(rest), x, self._weights)
            found |= {value: array[0] for value, array in zip(rest, computed, strict=True)}
        return found

    @functools.cached_property
    def _weights(self) -> list[np.ndarray]:
        return [weight.value for weight in self.network.weights]

    def _text(self, values: Sequence[int]) -> str:
        """Return a module that gives some values, for one batch."""
        return returning(self._module, values)

    def run(self, values: Sequence[int], x: np.ndarray) -> Iterator[list[np.ndarray]]:
        """Yield values for some samples after the others, computed by XLA.

        Args:
          x: [n, *input_shape], of the network's format.

        Yields:
          For each of the values [m, ...], of the next m samples where it begins with the batch,
          else of batches.
        """
        text = self._text(values)
        size = 4 * sum(int(np.prod(self.shapes[value])) for value in (0, *values))
        rows = max(1, _TOGETHER // size) * self.batch
        for start in range(0, len(x), rows):
            part = x[start : start + rows]
            count = len(part)
            if count % self.batch:  # the last sample again, and dropped afterwards
                fill = np.repeat(part[-1:], -count % self.batch, axis=0)
                part = np.concatenate([part, fill])
            batches = part.reshape(-1, *self.shapes[0])
            results = run_samples_by_xla(self.network.name, text, batches, self._weights)
            yield [
                array.reshape(-1, *array.shape[2:])[:count] if self.is_batched(value) else array
                for value, array in zip(values, results, strict=True)
            ]

    def describe(self, op: Op) -> str:
        """Return an operation's name and place, for messages."""
        return describe_op(op.mlir)


def returning(module: Any, values: Sequence[int]) -> str:
    """Return the text of a module that gives some of the values of another one's `@main`.

    Args:
      values: numbers, the arguments' first, then the results of the operations in their order.
    """
    from jaxlib.mlir import ir

    with module.context, ir.Location.unknown():
        copy = module.operation.clone()
        main = main_of(copy)
        block = main.regions[0].blocks[0]
        own = list(block.arguments)
        ops = [view.operation for view in block.operations]
        for op in ops[:-1]:
            own += list(op.results)
        chosen = [own[value] for value in values]
        with ir.InsertionPoint(ops[-1]):
            ir.Operation.create("func.return", operands=chosen)
        ops[-1].erase()
        kinds = [value.type for value in block.arguments], [value.type for value in chosen]
        main.attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get(*kinds))
        if "res_attrs" in main.attributes:
            del main.attributes["res_attrs"]
        return str(copy.operation.get_asm(enable_debug_info=True))


def _live(ops: Sequence[Op], output: int) -> set[int]:
    """Return the indices of operations that the output depends on."""
    wanted, live = {output}, set()
    for op in reversed(ops):
        if wanted.intersection(op.results):
            live.add(op.index)
            wanted.update(op.read)
    return live


def _values_read(region: Any) -> Iterator[Any]:
    """Yield what the operations of a region read, those of regions inside included."""
    for block in region.blocks:
        for view in block.operations:
            yield from view.operation.operands
            for inner in view.operation.regions:
                yield from _values_read(inner)
