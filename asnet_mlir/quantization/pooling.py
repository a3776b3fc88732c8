# SPDX-License-Identifier: Apache-2.0
"""Poolings of a graph: maxima and averages of windows, means over all of space."""

from __future__ import annotations

import math

import numpy as np

from asnet_mlir.quantization.graph import Graph, Op
from asnet_mlir.quantization.groups import Average, Layout, Maximum, Mean, Window

__all__ = ["pooling_of"]


def pooling_of(graph: Graph, op: Op) -> tuple[Maximum | Average | Mean, list[Op]] | None:
    """Return a pooling and its operations, or None."""
    if op.name == "reduce_window":
        return _windows(graph, op)
    return _reduction(graph, op) if op.name == "reduce" and len(op.results) == 1 else None


def _windows(graph: Graph, op: Op) -> tuple[Maximum | Average | Mean, list[Op]] | None:
    x = op.operands[0]
    rank = len(graph.shapes[x])
    sizes = op.integers("window_dimensions")
    ones = (1,) * rank
    dilations = (*op.integers("base_dilations", ones), *op.integers("window_dilations", ones))
    found = _window(op, sizes, rank) if set(dilations) == {1} else None
    if found is None or len(op.results) != 1:
        return None
    window, layout = found
    if op.region_op() == "maximum":
        start = graph.constants.get(op.operands[1])
        is_least = start is not None and float(start) == -math.inf
        return (Maximum(window, layout), [op]) if is_least else None
    if op.region_op() != "add":
        return None
    divided = _divided(graph, op.result)
    if divided is None:
        return None
    following, counts = divided
    area = math.prod(sizes)
    if (counts == area).all():
        return Average(window, layout, counts_padding=True), [op, following]
    own = _counts(window, layout, graph.sample_shape(x))
    same = np.array_equal(np.broadcast_to(own, counts.shape[1:]), counts[0])
    return (Average(window, layout), [op, following]) if same else None


def _window(op: Op, sizes: tuple[int, ...], rank: int) -> tuple[Window, Layout] | None:
    """Return window and layout of a window over images or sequences, channels last or first."""
    strides = op.integers("window_strides", (1,) * rank)
    padding = op.matrix("padding", rank)
    still = [size == step == 1 for size, step in zip(sizes, strides, strict=True)]
    still = [own and not pad.any() for own, pad in zip(still, padding, strict=True)]
    if rank not in (3, 4) or not still[0] or (padding < 0).any():
        return None
    channel = rank - 1 if still[-1] else 1
    if not still[channel]:
        return None
    space = tuple(dim for dim in range(1, rank) if dim != channel)

    def pair(values: tuple[int, ...]) -> tuple[int, int]:
        own = [values[dim] for dim in space]
        return (own[0], own[1]) if len(own) == 2 else (1, own[0])

    pads = [(int(padding[dim][0]), int(padding[dim][1])) for dim in space]
    both = (pads[0], pads[1]) if len(pads) == 2 else ((0, 0), pads[0])
    window = Window(pair(sizes), pair(strides), padding=both)
    return window, Layout(len(space), tuple(dim - 1 for dim in (*space, channel)))


def _divided(graph: Graph, value: int) -> tuple[Op, np.ndarray] | None:
    """Return the operation that divides a sum by constants, and these."""
    following = graph.single_use(value)
    if following is None or following.name not in ("divide", "multiply"):
        return None
    others = [own for own in following.operands if own != value]
    if len(others) != 1 or others[0] not in graph.constants or following.operands[0] != value:
        return None
    constant = graph.constants[others[0]].astype(np.float64)
    if following.name == "divide":
        return following, constant
    with np.errstate(divide="ignore"):
        # A factor is 1 / n rounded to f32.
        counts = np.rint(1 / constant)
    return (following, counts) if np.allclose(counts * constant, 1, rtol=1e-6) else None


def _counts(window: Window, layout: Layout, shape: tuple[int, ...]) -> np.ndarray:
    """Return how many numbers of an image each window covers, in the layout of a sample."""
    sizes = [shape[dim] for dim in layout.order[:-1]]
    sizes = sizes if len(sizes) == 2 else [1, *sizes]
    lines = []
    for size, length, step, (before, after) in zip(
        sizes, window.size, window.strides, window.padding, strict=True
    ):
        inside = np.zeros(before + size + after)
        inside[before : before + size] = 1
        starts = range(0, len(inside) - length + 1, step)
        lines.append(np.array([inside[start : start + length].sum() for start in starts]))
    counts = np.outer(*lines)[..., np.newaxis]
    counts = counts[0] if layout.spatial == 1 else counts
    return counts.transpose(layout.back)


def _reduction(graph: Graph, op: Op) -> tuple[Maximum | Average | Mean, list[Op]] | None:
    """Return the mean, or the maximum, over all of an image's space."""
    x = op.operands[0]
    axes = tuple(sorted(op.integers("dimensions")))
    rank = len(graph.shapes[x])
    # The mean over channels is part of what normalizes, where codes are too coarse.
    if rank not in (3, 4) or axes not in (tuple(range(1, rank - 1)), tuple(range(2, rank))):
        return None
    if op.region_op() == "maximum":
        start = graph.constants.get(op.operands[1])
        is_least = start is not None and float(start) == -math.inf
        return (_whole_maximum(graph.sample_shape(x), axes), [op]) if is_least else None
    ops, value = [op], op.result
    following = graph.single_use(value)
    if following is not None and following.name in ("reshape", "broadcast_in_dim"):
        if graph.shapes[following.result][:1] != (graph.batch,) or np.prod(
            graph.shapes[following.result]
        ) != np.prod(graph.shapes[value]):
            return None
        ops.append(following)
        value = following.result
    divided = _divided(graph, value) if op.region_op() == "add" else None
    count = math.prod(graph.shapes[x][axis] for axis in axes)
    if divided is None or not (divided[1] == count).all():
        return None
    shape = graph.sample_shape(divided[0].result)
    return Mean(tuple(axis - 1 for axis in axes), shape), [*ops, divided[0]]


def _whole_maximum(shape: tuple[int, ...], axes: tuple[int, ...]) -> Maximum:
    """Return the maximum over a sample's dimensions `axes`, the batch counted, as one window."""
    space = tuple(axis - 1 for axis in axes)
    (channel,) = set(range(len(shape))) - set(space)
    sizes = [shape[dim] for dim in space]
    size = (sizes[0], sizes[1]) if len(sizes) == 2 else (1, sizes[0])
    return Maximum(Window(size), Layout(len(space), (*space, channel)))
