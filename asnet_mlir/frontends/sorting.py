# SPDX-License-Identifier: Apache-2.0
"""`stablehlo.sort` as exchanges of neighbours, in a loop.

Odd-even transposition (A. N. Habermann, 1972): n rounds sort n numbers, whatever they are. In a
round all pairs of neighbours are compared at once, and exchanged only if the second has to come
before the first, so that equal ones keep their order.  Nothing depends on data but which of two
numbers a selection takes: software computes it for several samples at once, and hardware has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asnet_mlir.frontends.loops import as_type, counted_loop, signless

__all__ = ["exchanged"]


def exchanged(op: Any) -> list[Any]:
    """Return the results of a `stablehlo.sort`, made before it."""
    from jaxlib.mlir import ir

    kinds = [ir.RankedTensorType(value.type) for value in op.operands]
    dimension = ir.IntegerAttr(op.attributes["dimension"]).value
    size = kinds[0].shape[dimension]
    if size < 2:
        return list(op.operands)

    def rounds(_: Any, carried: Sequence[Any]) -> list[Any]:
        values = [as_type(value, kind) for value, kind in zip(carried, kinds, strict=True)]
        for start in (0, 1):
            values = _exchange(op, values, dimension, start)
        return [signless(value) for value in values]

    results = counted_loop(-(-size // 2), [signless(value) for value in op.operands], rounds)
    return [as_type(value, kind) for value, kind in zip(results, kinds, strict=True)]


def _exchange(op: Any, values: Sequence[Any], dimension: int, start: int) -> list[Any]:
    """Return values whose pairs from `start` on are in order."""
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import stablehlo

    size = ir.RankedTensorType(values[0].type).shape[dimension]
    end = start + (size - start) // 2 * 2
    if end == start:
        return list(values)
    firsts = [_part(value, dimension, start, end, 2) for value in values]
    seconds = [_part(value, dimension, start + 1, end, 2) for value in values]
    pairs = [value for pair in zip(seconds, firsts, strict=True) for value in pair]
    is_before = _mapped(op, pairs)
    made = []
    for value, first, second in zip(values, firsts, seconds, strict=True):
        kind = ir.RankedTensorType(first.type)
        shape = list(kind.shape)
        pair_of = ir.RankedTensorType.get(
            [*shape[: dimension + 1], 1, *shape[dimension + 1 :]], kind.element_type
        )
        both = [
            stablehlo.reshape(pair_of, stablehlo.select(is_before, a, b))
            for a, b in ((second, first), (first, second))
        ]
        shape[dimension] = end - start
        row = stablehlo.reshape(
            ir.RankedTensorType.get(shape, kind.element_type),
            stablehlo.concatenate(both, dimension=dimension + 1),
        )
        rest = [_part(value, dimension, 0, start, 1), row, _part(value, dimension, end, size, 1)]
        parts = [part for part in rest if part is not None]
        made.append(stablehlo.concatenate(parts, dimension=dimension) if parts[1:] else row)
    return made


def _part(value: Any, dimension: int, start: int, end: int, stride: int) -> Any:
    """Return a slice of one dimension; None of nothing."""
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import stablehlo

    shape = list(ir.RankedTensorType(value.type).shape)
    if start == end:
        return None
    starts, strides = [0] * len(shape), [1] * len(shape)
    shape[dimension], starts[dimension], strides[dimension] = end, start, stride
    arrays = (ir.DenseI64ArrayAttr.get(array) for array in (starts, shape, strides))
    return stablehlo.slice(value, *arrays)


def _mapped(op: Any, operands: Sequence[Any]) -> Any:
    """Return what the comparison of a sort says of each pair."""
    from jaxlib.mlir import ir

    block = op.regions[0].blocks[0]
    shape = list(ir.RankedTensorType(operands[0].type).shape)
    made = ir.Operation.create(
        "stablehlo.map",
        results=[ir.RankedTensorType.get(shape, ir.IntegerType.get_signless(1))],
        operands=list(operands),
        attributes={"dimensions": ir.DenseI64ArrayAttr.get(list(range(len(shape))))},
        regions=1,
    )
    inside = made.regions[0].blocks.append(*[argument.type for argument in block.arguments])
    mapping = dict(zip(block.arguments, inside.arguments, strict=True))
    for view in block.operations:
        copy = view.operation.clone(ir.InsertionPoint(inside))
        for number, value in enumerate(copy.operands):
            copy.operands[number] = mapping.get(value, value)
        mapping.update(zip(view.operation.results, copy.results, strict=True))
    return made.result
