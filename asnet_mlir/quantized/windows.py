# SPDX-License-Identifier: Apache-2.0
"""Pooling and sums of codes (docs/semantics.md, Q7)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asnet_mlir.quantized.products import Convolution
from asnet_mlir.quantized.rescaling import uniform_or_weight
from asnet_mlir.quantized.writer import Tensor, Writer

__all__ = ["divide", "pool", "reduce", "window_counts"]

# How an empty pool starts, and what its region does.
_REGION = (
    "\n      ^bb0(%left: tensor<{e}>, %right: tensor<{e}>):"
    '\n        %r = "stablehlo.{op}"(%left, %right) : (tensor<{e}>, tensor<{e}>) -> tensor<{e}>'
    '\n        "stablehlo.return"(%r) : (tensor<{e}>) -> ()\n    '
)


def _region(op: str, element: str) -> str:
    return _REGION.format(op=op, e=element)


def pool(
    writer: Writer, x: Tensor, op: str, start: int, kernel: tuple[int, int], window: Convolution
) -> Tensor:
    """Reduce windows of images [h, w, c] by an op, `add` or `maximum`, padding being `start`."""
    size = window.output_size((x.shape[0], x.shape[1]), kernel)
    (top, bottom), (left, right) = window.padding
    strides = window.strides
    return writer.op(
        "reduce_window",
        [x, writer.constant(start, x.element)],
        (*size, x.shape[2]),
        x.element,
        f"window_dimensions = array<i64: 1, {kernel[0]}, {kernel[1]}, 1>, "
        f"window_strides = array<i64: 1, {strides[0]}, {strides[1]}, 1>, "
        f"padding = dense<[[0, 0], [{top}, {bottom}], [{left}, {right}], [0, 0]]> : "
        "tensor<4x2xi64>",
        region=_region(op, x.element),
    )


def reduce(writer: Writer, x: Tensor, op: str, start: int | float, axes: Sequence[int]) -> Tensor:
    """Reduce dimensions by an op.

    Args:
      axes: without the batch, which is never reduced.
    """
    kept = tuple(size for axis, size in enumerate(x.shape) if axis not in axes)
    return writer.op(
        "reduce",
        [x, writer.constant(start, x.element)],
        kept,
        x.element,
        f"dimensions = array<i64: {', '.join(str(axis + 1) for axis in axes)}>",
        region=_region(op, x.element),
    )


def window_counts(
    size: tuple[int, int], kernel: tuple[int, int], window: Convolution
) -> np.ndarray:
    """Return how many numbers of an image lie under each window, without padding: int32 [h, w]."""
    counts = []
    for n, k, stride, (before, _), out in zip(
        size, kernel, window.strides, window.padding, window.output_size(size, kernel), strict=True
    ):
        first = np.arange(out) * stride - before
        counts.append(np.clip(np.minimum(first + k, n) - np.maximum(first, 0), 0, None))
    return np.outer(*counts).astype(np.int32)


def divide(writer: Writer, x: Tensor, counts: np.ndarray) -> Tensor:
    """Return i32 numbers divided by positive integers, to nearest, ties away from zero.

    Args:
      counts: int32, of the first dimensions of `x`.
    """
    if (counts == 1).all():
        return x
    rest = (1,) * (len(x.shape) - counts.ndim)
    full = np.broadcast_to(counts.reshape(*counts.shape, *rest), x.shape)
    divisors = uniform_or_weight(writer, "count", np.ascontiguousarray(full), "i32", x)
    halves = uniform_or_weight(writer, "half", np.ascontiguousarray(full // 2, np.int32), "i32", x)
    negated = writer.elementwise("negate", halves)
    nudge = writer.elementwise("select", writer.compare("GT", x, 0), halves, negated, element="i32")
    return writer.elementwise("divide", writer.elementwise("add", x, nudge), divisors)
