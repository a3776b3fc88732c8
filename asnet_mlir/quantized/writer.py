# SPDX-License-Identifier: Apache-2.0
"""Text of StableHLO modules `@main(input, *weights)` for any batch size."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from asnet_mlir.network import Weight
from asnet_mlir.support.formats import format_of_array

__all__ = ["Program", "Tensor", "Writer"]

# Stands for the batch size in texts; names can't hold it, as they are escaped.
_BATCH = "\0"


@dataclass(frozen=True)
class Tensor:
    """A tensor of the module.

    Attributes:
      ssa: its name there.
      shape: without the batch.
      element: StableHLO's name of the element type: `i8`, `ui8`, `i32`, `f32`, `i1`.
      batched: whether a dimension of the batch comes first.
    """

    ssa: str
    shape: tuple[int, ...]
    element: str
    batched: bool = True

    @property
    def dims(self) -> tuple[str, ...]:
        """All dimensions as text."""
        return ((_BATCH,) if self.batched else ()) + tuple(map(str, self.shape))

    @property
    def type(self) -> str:
        """The type, as text."""
        return f"tensor<{'x'.join([*self.dims, self.element])}>"

    @property
    def rank(self) -> int:
        """How many dimensions there are, the batch included."""
        return len(self.shape) + self.batched


@dataclass(frozen=True)
class Program:
    """A module for any batch size, and its weights.

    Attributes:
      name: for messages.
      template: the text, with a mark for the batch size.
      weights: the arguments of `@main` after the inputs.
      inputs, outputs: what it takes and gives, by names where there are several.
    """

    name: str
    template: str
    weights: tuple[Weight, ...]
    inputs: tuple[tuple[str, Tensor], ...]
    outputs: tuple[tuple[str, Tensor], ...]

    def text(self, batch: int) -> str:
        """Return the module for a batch size."""
        return self.template.replace(_BATCH, str(batch))


class Writer:
    """Writes operations one after the other, each with its layer in its location.

    Attributes:
      layer: of the operations that come next.
      batch: what stands for the batch size in attributes.
    """

    batch = _BATCH

    def __init__(self, name: str, shape: tuple[int, ...], element: str) -> None:
        self.name = name
        self.layer = ""
        self.input = Tensor("%input", tuple(shape), element)
        self._inputs = [("input", self.input)]
        self._weights: list[tuple[Weight, Tensor]] = []
        self._lines: list[str] = []
        self._count = 0
        self._constants: dict[str, Tensor] = {}

    def op(
        self,
        name: str,
        operands: Sequence[Tensor],
        shape: Sequence[int],
        element: str,
        attributes: str = "",
        *,
        batched: bool = True,
        region: str = "",
    ) -> Tensor:
        """Write `stablehlo.NAME` and return its result.

        Args:
          attributes: properties in MLIR's text, without braces.
          region: text of a region.
        """
        kind = Tensor("", tuple(shape), element, batched)
        (result,) = self.several(name, operands, [kind], attributes, regions=[region])
        return result

    def several(
        self,
        name: str,
        operands: Sequence[Tensor],
        kinds: Sequence[Tensor],
        attributes: str = "",
        *,
        regions: Sequence[str] = (),
    ) -> list[Tensor]:
        """Write `stablehlo.NAME` and return its results; see `op`.

        Args:
          kinds: of the results, whose names don't matter.
          regions: texts; empty ones are none.
        """
        results = [dataclasses.replace(kind, ssa=self._next()) for kind in kinds]
        properties = f" <{{{attributes}}}>" if attributes else ""
        arguments = ", ".join(operand.ssa for operand in operands)
        types = ", ".join(operand.type for operand in operands)
        bodies = ", ".join(f"{{{region}}}" for region in regions if region)
        given = ", ".join(result.type for result in results)
        self._lines.append(
            f"{', '.join(result.ssa for result in results)} = "
            f'"stablehlo.{name}"({arguments}){properties}{f" ({bodies})" if bodies else ""} : '
            f"({types}) -> {given if len(results) == 1 else f'({given})'} {self._location(name)}"
        )
        return results

    def weight(self, name: str, value: np.ndarray) -> Tensor:
        """Add an argument of `@main`, called after the layer, and return it.

        Args:
          value: of a format's dtype; taken over, not copied.
        """
        name = self._unique(f"{self.layer}/{name}" if self.layer else name)
        format = format_of_array(value)
        assert format is not None, value.dtype
        element = format.element_type if format.is_signed else f"u{format.element_type}"
        tensor = Tensor(f"%weight{len(self._weights)}", value.shape, element, batched=False)
        self._weights.append((Weight(name, np.asarray(value, order="C")), tensor))
        return tensor

    def constant(self, value: int | float, element: str, like: Tensor | None = None) -> Tensor:
        """Return a scalar, or a tensor of the shape of `like`, that is one number throughout."""
        shape, batched = ((), False) if like is None else (like.shape, like.batched)
        kind = Tensor("", shape, element, batched)
        literal = float(value).hex() if isinstance(value, float) else str(value)
        if isinstance(value, float):
            literal = f"0x{np.float32(value).view(np.uint32):08X}"
        key = f"dense<{literal}> : {kind.type}"
        if key not in self._constants:
            tensor = Tensor(self._next(), shape, element, batched)
            self._lines.append(f"{tensor.ssa} = stablehlo.constant {key} {self._location('c')}")
            self._constants[key] = tensor
        return self._constants[key]

    def spread(self, tensor: Tensor, like: Tensor, dims: Sequence[int] | None = None) -> Tensor:
        """Broadcast a tensor to the shape of `like`, its dimensions the last ones by default.

        Args:
          dims: which dimensions of `like`, the batch included, those of `tensor` are.
        """
        if tensor.dims == like.dims:
            return tensor
        given = range(like.rank - tensor.rank, like.rank) if dims is None else dims
        attributes = f"broadcast_dimensions = array<i64: {', '.join(map(str, given))}>"
        if not tensor.rank:
            attributes = "broadcast_dimensions = array<i64>"
        return self.op(
            "broadcast_in_dim",
            [tensor],
            like.shape,
            tensor.element,
            attributes,
            batched=like.batched,
        )

    def elementwise(
        self, name: str, *operands: Tensor | int | float, element: str | None = None
    ) -> Tensor:
        """Write an op on tensors of one shape; numbers become tensors of it.

        Args:
          element: of the result; that of the first tensor by default.
        """
        first = next(operand for operand in operands if isinstance(operand, Tensor))
        tensors = [
            operand if isinstance(operand, Tensor) else self.constant(operand, first.element, first)
            for operand in operands
        ]
        return self.op(name, tensors, first.shape, element or first.element, batched=first.batched)

    def convert(self, tensor: Tensor, element: str) -> Tensor:
        """Convert numbers to another type, or return the tensor."""
        if tensor.element == element:
            return tensor
        return self.op("convert", [tensor], tensor.shape, element, batched=tensor.batched)

    def compare(self, direction: str, left: Tensor, right: Tensor | int) -> Tensor:
        """Compare integers: `GT`, `LT`, ..; the result's elements are `i1`."""
        other = right if isinstance(right, Tensor) else self.constant(right, left.element, left)
        sign = "UNSIGNED" if left.element.startswith("u") else "SIGNED"
        attributes = (
            f"comparison_direction = #stablehlo<comparison_direction {direction}>, "
            f"compare_type = #stablehlo<comparison_type {sign}>"
        )
        return self.op("compare", [left, other], left.shape, "i1", attributes, batched=left.batched)

    def look_up(self, table: Tensor, index: Tensor) -> Tensor:
        """Return entries of a table of one dimension, by integers that are inside of it."""
        return self.op(
            "gather",
            [table, index],
            index.shape,
            table.element,
            "dimension_numbers = #stablehlo.gather<collapsed_slice_dims = [0], "
            f"start_index_map = [0], index_vector_dim = {index.rank}>, "
            "slice_sizes = array<i64: 1>, indices_are_sorted = false",
        )

    def take(self, name: str, shape: Sequence[int], element: str) -> Tensor:
        """Return another input."""
        tensor = Tensor(f"%input{len(self._inputs)}", tuple(shape), element)
        self._inputs.append((name, tensor))
        return tensor

    def program(self, outputs: Mapping[str, Tensor], first_input: str = "input") -> Program:
        """Return the module that returns `outputs`.

        Args:
          first_input: the name of the first input.
        """
        inputs = ((first_input, self.input), *self._inputs[1:])
        arguments = ", ".join(
            f"{tensor.ssa}: {tensor.type}"
            for tensor in (
                *(tensor for _, tensor in inputs),
                *(tensor for _, tensor in self._weights),
            )
        )
        returned = list(outputs.values())
        types = ", ".join(tensor.type for tensor in returned)
        result = types if len(returned) == 1 else f"({types})"
        names = ", ".join(tensor.ssa for tensor in returned)
        body = "\n    ".join(self._lines)
        text = (
            f"module {{\n  func.func public @main({arguments}) -> {result} {{\n    {body}\n"
            f"    return {names} : {types}\n  }}\n}}\n"
        )
        weights = tuple(weight for weight, _ in self._weights)
        return Program(self.name, text, weights, inputs, tuple(outputs.items()))

    def _next(self) -> str:
        """Return the next result's name: results are numbered as they come."""
        self._count += 1
        return f"%{self._count - 1}"

    def _location(self, name: str) -> str:
        scope = f"{self.layer}/{name}" if self.layer else name
        return f'loc("{_escaped(scope)}")'

    def _unique(self, name: str) -> str:
        taken = {weight.name for weight, _ in self._weights}
        number, unique = 1, name
        while unique in taken:
            unique, number = f"{name}_{number}", number + 1
        return unique


def _escaped(name: str) -> str:
    """Return a name as MLIR's strings hold it."""
    return "".join(
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\' else f"\\{byte:02X}"
        for byte in name.encode()
    )
