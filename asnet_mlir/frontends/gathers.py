# SPDX-License-Identifier: Apache-2.0
"""`stablehlo.gather` of whole rows without addresses that are data.

Rows at places that are known are slices.  Of a table of few rows, the one that an index names is
selected in a loop over all, which computes several samples at once; larger tables are read where
the index says, one sample at a time, which hardware does by the address (`approx-data-addresses`).
Tables of codes, one dimension of integers, stay: they are ROMs of hardware on codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from asnet_mlir.frontends.loops import (
    as_type,
    constant_of,
    counted_loop,
    extract,
    integer_constant,
    signless,
)

__all__ = ["gathered"]

#: Rows of a table that are gone through, and rows at known places that become slices.
_MOST_ROWS, _MOST_SLICES = 256, 256


@dataclass(frozen=True)
class _Rows:
    """A gather of rows `source[.., index, ..]`.

    Attributes:
      dim: the dimension in which the indices say where.
      batch, offset: the places of the indices' dimensions and of a row's in the result.
    """

    source: Any
    indices: Any
    dim: int
    batch: list[int]
    offset: list[int]


def gathered(op: Any) -> list[Any]:
    """Return the results of a gather made without data as addresses, or the gather's own."""
    from jaxlib.mlir.dialects import stablehlo

    numbers = stablehlo.GatherDimensionNumbers(op.attributes["dimension_numbers"])
    if len(numbers.operand_batching_dims) or 0 in _shape(op.results[0]):
        return list(op.results)
    known = constant_of(op.operands[1])
    if known is not None and known.size <= _MOST_SLICES:
        return [_sliced(op, numbers, known)]
    rows = _rows_of(op, numbers)
    return list(op.results) if rows is None else [_selected(op, rows)]


def _shape(value: Any) -> list[int]:
    from jaxlib.mlir import ir

    return list(ir.RankedTensorType(value.type).shape)


def _rows_of(op: Any, numbers: Any) -> _Rows | None:
    """Return what a gather picks whole rows of by one index each, of a small table; or None."""
    source, indices = op.operands
    map_, shape = list(numbers.start_index_map), _shape(source)
    sizes = [int(size) for size in op.attributes["slice_sizes"]]
    vector, places = numbers.index_vector_dim, _shape(indices)
    if (
        len(map_) != 1
        or list(numbers.collapsed_slice_dims) != map_
        or sizes != [1 if dim == map_[0] else size for dim, size in enumerate(shape)]
        or vector not in (len(places), len(places) - 1)
        or shape[map_[0]] > _MOST_ROWS
        or (len(shape) == 1 and _is_integer(op.results[0].type.element_type))
    ):
        return None
    offset = list(numbers.offset_dims)
    batch = [dim for dim in range(len(_shape(op.results[0]))) if dim not in offset]
    return _Rows(source, indices, map_[0], batch, offset)


def _sliced(op: Any, numbers: Any, indices: np.ndarray) -> Any:
    """Return slices at known places, joined, their dimensions in the result's order."""
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import stablehlo

    source, shape, result = op.operands[0], _shape(op.operands[0]), _shape(op.results[0])
    sizes = [int(size) for size in op.attributes["slice_sizes"]]
    if numbers.index_vector_dim == indices.ndim:
        indices = indices[..., None]
    else:
        indices = np.moveaxis(indices, numbers.index_vector_dim, -1)
    offset = list(numbers.offset_dims)
    batch = [dim for dim in range(len(result)) if dim not in offset]
    element = ir.RankedTensorType(source.type).element_type
    piece = ir.RankedTensorType.get([1, *(result[dim] for dim in offset)], element)
    slices = []
    for vector in indices.reshape(-1, indices.shape[-1]).tolist():
        starts = [0] * len(shape)
        for dim, place in zip(numbers.start_index_map, vector, strict=True):
            starts[dim] = min(max(place, 0), shape[dim] - sizes[dim])
        ends = [start + size for start, size in zip(starts, sizes, strict=True)]
        arrays = (ir.DenseI64ArrayAttr.get(array) for array in (starts, ends, [1] * len(shape)))
        slices.append(stablehlo.reshape(piece, stablehlo.slice(source, *arrays)))
    joined = stablehlo.concatenate(slices, dimension=0) if slices[1:] else slices[0]
    order = [*batch, *offset]
    whole = ir.RankedTensorType.get([result[dim] for dim in order], element)
    back = ir.DenseI64ArrayAttr.get(np.argsort(order).tolist())
    return stablehlo.transpose(stablehlo.reshape(whole, joined), back)


def _selected(op: Any, rows: _Rows) -> Any:
    """Return rows at computed places: each element is that of the row whose turn it is."""
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import stablehlo

    shape, result = _shape(rows.source), _shape(op.results[0])
    size = shape[rows.dim]
    kind = ir.RankedTensorType(op.results[0].type)
    words = ir.IntegerType(ir.RankedTensorType(rows.indices.type).element_type)
    whole = ir.RankedTensorType.get(result, words)
    index = stablehlo.reshape(
        ir.RankedTensorType.get([result[dim] for dim in rows.batch], words), rows.indices
    )
    index = stablehlo.broadcast_in_dim(whole, index, ir.DenseI64ArrayAttr.get(rows.batch))
    ends = [
        integer_constant(ir.RankedTensorType.get(result, words), np.array(value))
        for value in (0, size - 1)
    ]
    index = stablehlo.clamp(ends[0], index, ends[1])
    counts = integer_constant(ir.RankedTensorType.get([size], words), np.arange(size))
    source, counts = signless(rows.source), signless(counts)

    def picked(counter: Any, carried: Any) -> list[Any]:
        number = as_type(extract(counts, [counter], [1]), ir.RankedTensorType.get([1], words))
        number = stablehlo.reshape(ir.RankedTensorType.get([], words), number)
        turn = stablehlo.compare(
            stablehlo.broadcast_in_dim(whole, number, ir.DenseI64ArrayAttr.get([])),
            index,
            ir.Attribute.parse("#stablehlo<comparison_direction EQ>"),
        )
        places = [counter if dim == rows.dim else 0 for dim in range(len(shape))]
        sizes = [1 if dim == rows.dim else length for dim, length in enumerate(shape)]
        row = extract(source, places, sizes)
        element = ir.RankedTensorType(row.type).element_type
        left = [length for dim, length in enumerate(shape) if dim != rows.dim]
        row = stablehlo.reshape(ir.RankedTensorType.get(left, element), row)
        row = stablehlo.broadcast_in_dim(
            ir.RankedTensorType.get(result, element), row, ir.DenseI64ArrayAttr.get(rows.offset)
        )
        return [stablehlo.select(turn, row, carried[0])]

    element = ir.RankedTensorType(source.type).element_type
    zero = (
        ir.FloatAttr.get(element, 0.0)
        if not _is_integer(element)
        else ir.IntegerAttr.get(element, 0)
    )
    start = stablehlo.constant(
        ir.DenseElementsAttr.get_splat(ir.RankedTensorType.get(result, element), zero)
    )
    return as_type(counted_loop(size, [start], picked)[0], kind)


def _is_integer(element: Any) -> bool:
    from jaxlib.mlir import ir

    return isinstance(element, ir.IntegerType)
