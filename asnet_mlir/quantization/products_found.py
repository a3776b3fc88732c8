# SPDX-License-Identifier: Apache-2.0
"""Convolutions, dense layers and normalizations of a graph, as products with constant weights."""

from __future__ import annotations

import math
import re

import numpy as np

from asnet_mlir.quantization.graph import Graph, Op
from asnet_mlir.quantization.groups import Layout, Product, Window

__all__ = ["normalization_of", "per_channel", "product_of"]

_AFFINE = ("add", "subtract", "multiply", "divide")


def product_of(graph: Graph, op: Op) -> tuple[Product, tuple[int, ...]] | None:
    """Return a product of activations and weights, and the axes of its channels; None if none."""
    if op.name not in ("convolution", "dot_general", "dot"):
        return None
    x, weights = op.operands
    if x in graph.constants or weights not in graph.constants:
        return None
    kernel = graph.constants[weights]
    if not np.isfinite(kernel).all():
        return None
    if op.name == "convolution":
        return _convolution(graph, op, kernel.astype(np.float64))
    return _dense(graph, op, kernel.astype(np.float64))


def normalization_of(graph: Graph, op: Op) -> tuple[Product, tuple[int, ...]] | None:
    """Return an operation with what each channel has of constants, as a depthwise convolution.

    It is the identity: what the operation adds or multiplies is put into it by who asks.
    """
    if op.name not in _AFFINE:
        return None
    values = [value for value in op.operands if value not in graph.constants]
    if len(values) != 1:
        return None
    (value,) = values
    rank = len(graph.shapes[value])
    (constant,) = (graph.constants[own] for own in op.operands if own in graph.constants)
    for axis in range(rank - 1, 0, -1):
        if rank > 4 or per_channel(constant, (axis,)) is None:
            continue
        channels = graph.shapes[value][axis]
        space = tuple(dim for dim in range(rank - 1) if dim != axis - 1)
        layout = Layout(len(space), (*space, axis - 1))
        kernel, window = np.ones((1, 1, 1, channels)), Window((1, 1))
        product = Product(
            kernel, np.zeros(channels), window=window, groups=channels, taken=layout, given=layout
        )
        return product, (axis,)
    return None


def per_channel(array: np.ndarray, axes: tuple[int, ...]) -> np.ndarray | None:
    """Return float64[channels] where an array differs along the channels' axes only, else None."""
    channels = math.prod(array.shape[axis] for axis in axes)
    moved = np.moveaxis(array, axes, range(-len(axes), 0)).reshape(-1, channels)
    if not moved.size or not np.isfinite(moved).all() or not (moved == moved[:1]).all():
        return None
    return moved[0].astype(np.float64)


def _convolution(
    graph: Graph, op: Op, kernel: np.ndarray
) -> tuple[Product, tuple[int, ...]] | None:
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import stablehlo

    attributes = op.mlir.attributes
    numbers = stablehlo.ConvDimensionNumbers(attributes["dimension_numbers"])
    spatial = len(numbers.input_spatial_dimensions)
    padding = op.matrix("padding", spatial)
    is_plain = (
        spatial in (1, 2)
        and ir.IntegerAttr(attributes["batch_group_count"]).value == 1
        and set(op.integers("lhs_dilation", (1,) * spatial)) == {1}
        and (padding >= 0).all()
        and numbers.input_batch_dimension == 0
        and numbers.output_batch_dimension == 0
    )
    if not is_plain:
        return None
    order = (
        *numbers.kernel_spatial_dimensions,
        numbers.kernel_input_feature_dimension,
        numbers.kernel_output_feature_dimension,
    )
    kernel = kernel.transpose(order)
    for axis, is_reversed in enumerate(op.integers("window_reversal", (0,) * spatial)):
        kernel = np.flip(kernel, axis) if is_reversed else kernel
    strides = op.integers("window_strides", (1,) * spatial)
    dilation = op.integers("rhs_dilation", (1,) * spatial)
    pads = tuple((int(before), int(after)) for before, after in padding)
    if spatial == 1:
        kernel = kernel[np.newaxis]
        strides, dilation, pads = (1, *strides), (1, *dilation), ((0, 0), *pads)
    channel = numbers.output_feature_dimension
    taken = (*numbers.input_spatial_dimensions, numbers.input_feature_dimension)
    given = (*numbers.output_spatial_dimensions, channel)
    product = Product(
        np.ascontiguousarray(kernel),
        np.zeros(kernel.shape[-1]),
        window=Window(
            (kernel.shape[0], kernel.shape[1]),
            (strides[0], strides[1]),
            (dilation[0], dilation[1]),
            (pads[0], pads[1]),
        ),
        groups=ir.IntegerAttr(attributes["feature_group_count"]).value,
        taken=Layout(spatial, tuple(dim - 1 for dim in taken)),
        given=Layout(spatial, tuple(dim - 1 for dim in given)),
    )
    return product, (channel,)


def _dense(graph: Graph, op: Op, kernel: np.ndarray) -> tuple[Product, tuple[int, ...]] | None:
    rank = len(graph.shapes[op.operands[0]])
    left: tuple[int, ...] = (rank - 1,)
    right: tuple[int, ...] = (0,)
    if op.name == "dot_general":
        # The Python bindings read no dimensions of this attribute but as text.
        text = str(op.mlir.attributes["dot_dimension_numbers"])
        lists = {
            name: tuple(int(number) for number in numbers.split(","))
            for name, numbers in re.findall(r"(\w+) = \[([0-9, ]+)\]", text)
        }
        if any("batching" in name for name in lists):
            return None
        left = lists.get("lhs_contracting_dimensions", ())
        right = lists.get("rhs_contracting_dimensions", ())
    count = len(left)
    if not 0 < count < rank or left != tuple(range(rank - count, rank)) or kernel.ndim <= count:
        return None
    kernel = np.moveaxis(kernel, right, range(count))
    length = math.prod(kernel.shape[:count])
    axes = tuple(range(rank - count, len(graph.shapes[op.result])))
    matrix = np.ascontiguousarray(kernel.reshape(length, -1))
    return Product(matrix, np.zeros(matrix.shape[1])), axes
