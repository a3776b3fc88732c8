# SPDX-License-Identifier: Apache-2.0
"""Operations of a graph that move numbers to other places."""

from __future__ import annotations

import numpy as np

from asnet_mlir.quantization.graph import Graph, Op
from asnet_mlir.quantization.groups import Move

__all__ = ["move_of"]


def move_of(graph: Graph, op: Op) -> tuple[Move, list[Op]] | None:
    """Return an operation that moves a sample's numbers; None where it is none, or mixes them."""
    found = _FINDERS[op.name](graph, op) if op.name in _FINDERS else None
    return None if found is None else (found, [op])


def _reshape(graph: Graph, op: Op) -> Move | None:
    return Move("reshape", graph.sample_shape(op.result))


def _broadcast(graph: Graph, op: Op) -> Move | None:
    """Return a broadcast of each sample; one that adds dimensions of size 1 only is a reshape."""
    dimensions = op.integers("broadcast_dimensions")
    if dimensions[0] != 0 or list(dimensions) != sorted(dimensions):
        return None
    if np.prod(graph.shapes[op.operands[0]]) == np.prod(graph.shapes[op.result]):
        return _reshape(graph, op)
    return Move("broadcast", (dimensions, graph.sample_shape(op.result)))


def _transpose(_: Graph, op: Op) -> Move | None:
    order = op.integers("permutation")
    return Move("transpose", tuple(dim - 1 for dim in order[1:])) if order[0] == 0 else None


def _slice(graph: Graph, op: Op) -> Move | None:
    starts, stops, steps = (
        op.integers(name) for name in ("start_indices", "limit_indices", "strides")
    )
    if (starts[0], stops[0], steps[0]) != (0, graph.batch, 1):
        return None
    return Move("slice", tuple(zip(starts[1:], stops[1:], steps[1:], strict=True)))


def _pad(graph: Graph, op: Op) -> Move | None:
    low, high, interior = (
        op.integers(name) for name in ("edge_padding_low", "edge_padding_high", "interior_padding")
    )
    value = graph.constants.get(op.operands[1])
    is_zero = value is not None and float(value) == 0
    if not is_zero or any(interior) or min(*low, *high) < 0 or low[0] or high[0]:
        return None
    return Move("pad", tuple(zip(low[1:], high[1:], strict=True)))


_FINDERS = {
    "reshape": _reshape,
    "broadcast_in_dim": _broadcast,
    "transpose": _transpose,
    "slice": _slice,
    "pad": _pad,
}
