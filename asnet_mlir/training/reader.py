# SPDX-License-Identifier: Apache-2.0
"""A network's StableHLO as a list of operations, free of MLIR."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.frontends.calls import inline_calls
from asnet_mlir.frontends.constants import main_of
from asnet_mlir.frontends.locations import describe_op, scope_of
from asnet_mlir.frontends.stablehlo import INLINE, run_passes
from asnet_mlir.frontends.stablehlo_file import parse_stablehlo
from asnet_mlir.network import Network, Weight

__all__ = ["Operation", "Straight", "Type", "read_network"]


@dataclass(frozen=True)
class Type:
    """A tensor's type: its shape, the batch included, and StableHLO's name of its elements."""

    shape: tuple[int, ...]
    element: str


@dataclass(frozen=True)
class Operation:
    """An operation.

    Attributes:
      name: without the dialect of StableHLO: `add`, `chlo.erf`.
      operands, results: numbers of values.
      layer: that it belongs to, or "".
      attributes: integers, lists of them, names; constants have `value`, reductions `body`, the
        name of the operation that joins two elements.
      place: for messages.
    """

    name: str
    operands: tuple[int, ...]
    results: tuple[int, ...]
    layer: str
    attributes: dict[str, Any]
    place: str


@dataclass(frozen=True)
class Straight:
    """A network as straight-line code for one batch.

    Attributes:
      name: of the network.
      batch: of it.
      weights: values 1, 2, .. in their order; value 0 is the input.
      types: of all values.
      output: a value.
    """

    name: str
    batch: int
    weights: tuple[Weight, ...]
    operations: tuple[Operation, ...]
    types: tuple[Type, ...]
    output: int
    producers: dict[int, Operation] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        made = {value: op for op in self.operations for value in op.results}
        object.__setattr__(self, "producers", made)

    @functools.cached_property
    def users(self) -> dict[int, list[Operation]]:
        """The operations that read a value."""
        found: dict[int, list[Operation]] = {}
        for op in self.operations:
            for value in set(op.operands):
                found.setdefault(value, []).append(op)
        return found

    def source(self, value: int, through: Sequence[str]) -> int:
        """Return the value that a chain of operations of the names `through` begins with."""
        while (op := self.producers.get(value)) is not None and op.name in through:
            value = op.operands[0]
        return value


def read_network(network: Network) -> Straight:
    """Read a network's StableHLO, as its framework or file gives it.

    Raises:
      InputError: it is a module of a later form.
      UnsupportedError: it is no straight-line code.
    """
    if network.is_approx:
        raise InputError(
            f"{network.name}: is of the form approx or bound, which JAX doesn't compute; give the "
            "network that it was made of"
        )
    own = network.unfolded or network
    batch = own.fixed_batch or 1
    module = parse_stablehlo(own.name, own.stablehlo(batch).encode())
    with module.context:
        run_passes(module.operation, INLINE)
        inline_calls(module)
        return _straight(own, batch, main_of(module).regions[0].blocks[0])


def _straight(network: Network, batch: int, block: Any) -> Straight:
    numbers = {value: number for number, value in enumerate(block.arguments)}
    types = [_type(network.name, value) for value in block.arguments]
    operations: list[Operation] = []
    output = -1
    for view in block.operations:
        op = view.operation
        operands = tuple(numbers[value] for value in op.operands)
        if op.name == "func.return":
            if len(operands) != 1:
                raise UnsupportedError(
                    f"{network.name}: has {len(operands)} outputs; in JAX it may have one"
                )
            (output,) = operands
            break
        results = range(len(types), len(types) + len(op.results))
        for number, value in zip(results, op.results, strict=True):
            numbers[value] = number
            types.append(_type(network.name, value))
        name = op.name.removeprefix("stablehlo.")
        operations.append(
            Operation(
                name,
                operands,
                tuple(results),
                scope_of(op.location),
                _attributes(name, op),
                describe_op(op),
            )
        )
    live = _live(operations, output)
    return Straight(network.name, batch, network.weights, live, tuple(types), output)


def _live(operations: Sequence[Operation], output: int) -> tuple[Operation, ...]:
    wanted, live = {output}, []
    for op in reversed(operations):
        if wanted.intersection(op.results):
            live.append(op)
            wanted.update(op.operands)
    return tuple(reversed(live))


def _type(name: str, value: Any) -> Type:
    if not hasattr(value.type, "shape"):
        raise UnsupportedError(f"{name}: {value.type} is no tensor")
    return Type(tuple(value.type.shape), str(value.type.element_type))


#: Attributes that are lists of integers, by what they are called in what is read.
_LISTS = (
    "broadcast_dimensions",
    "dimensions",
    "permutation",
    "window_strides",
    "window_dimensions",
    "base_dilations",
    "window_dilations",
    "lhs_dilation",
    "rhs_dilation",
    "window_reversal",
    "edge_padding_low",
    "edge_padding_high",
    "interior_padding",
    "start_indices",
    "limit_indices",
    "strides",
    "slice_sizes",
)
_NUMBERS = ("feature_group_count", "batch_group_count", "iota_dimension", "dimension")


def _attributes(name: str, op: Any) -> dict[str, Any]:
    from jaxlib.mlir import ir

    given = op.attributes
    found: dict[str, Any] = {
        key: tuple(int(item) for item in given[key]) for key in _LISTS if key in given
    }
    found |= {key: int(given[key].value) for key in _NUMBERS if key in given}
    if "padding" in given:
        pairs = np.array(given["padding"], np.int64).reshape(-1, 2)
        found["padding"] = tuple((int(low), int(high)) for low, high in pairs)
    if "comparison_direction" in given:
        found["comparison_direction"] = str(given["comparison_direction"]).split()[-1].rstrip(">")
    if name == "constant":
        found["value"] = _constant(ir, op)
    special = _SPECIAL.get(name)
    if special is not None:
        found |= special(given)
    if len(op.regions):
        inner = [one.operation.name for one in op.regions[0].blocks[0].operations]
        found["body"] = inner[0].removeprefix("stablehlo.") if len(inner) == 2 else ""
    return found


def _convolution(given: Any) -> dict[str, Any]:
    from jaxlib.mlir.dialects import stablehlo

    numbers = stablehlo.ConvDimensionNumbers(given["dimension_numbers"])
    return {
        "lhs": (
            numbers.input_batch_dimension,
            *numbers.input_spatial_dimensions,
            numbers.input_feature_dimension,
        ),
        "rhs": (
            *numbers.kernel_spatial_dimensions,
            numbers.kernel_input_feature_dimension,
            numbers.kernel_output_feature_dimension,
        ),
        "out": (
            numbers.output_batch_dimension,
            *numbers.output_spatial_dimensions,
            numbers.output_feature_dimension,
        ),
    }


def _dot(given: Any) -> dict[str, Any]:
    from jaxlib.mlir.dialects import stablehlo

    numbers = stablehlo.DotDimensionNumbers(given["dot_dimension_numbers"])
    return {
        "contracting": (
            tuple(numbers.lhs_contracting_dimensions),
            tuple(numbers.rhs_contracting_dimensions),
        ),
        "batching": (
            tuple(numbers.lhs_batching_dimensions),
            tuple(numbers.rhs_batching_dimensions),
        ),
    }


def _gather(given: Any) -> dict[str, Any]:
    from jaxlib.mlir.dialects import stablehlo

    numbers = stablehlo.GatherDimensionNumbers(given["dimension_numbers"])
    return {
        "offset": tuple(numbers.offset_dims),
        "collapsed": tuple(numbers.collapsed_slice_dims),
        "start_index_map": tuple(numbers.start_index_map),
        "index_vector_dim": numbers.index_vector_dim,
        "operand_batching": tuple(numbers.operand_batching_dims),
        "index_batching": tuple(numbers.start_indices_batching_dims),
    }


_SPECIAL: dict[str, Callable[[Any], dict[str, Any]]] = {
    "convolution": _convolution,
    "dot_general": _dot,
    "gather": _gather,
}


def _constant(ir: Any, op: Any) -> np.ndarray:
    kind = op.results[0].type
    value = np.array(ir.DenseElementsAttr(op.attributes["value"]))
    element = str(kind.element_type)
    return value.astype(bool) if element == "i1" else value.reshape(tuple(kind.shape))
