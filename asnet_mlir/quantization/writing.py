# SPDX-License-Identifier: Apache-2.0
"""A network of codes, written group by group."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from asnet_mlir.quantization.accumulators import Weights, quantize_weights
from asnet_mlir.quantization.float_ops import write_float_op
from asnet_mlir.quantization.functions import function_of
from asnet_mlir.quantization.graph import Graph
from asnet_mlir.quantization.groups import (
    Average,
    Clamp,
    Concatenation,
    Function,
    Group,
    Layout,
    Maximum,
    Mean,
    Move,
    Pairwise,
    Product,
    Softmax,
)
from asnet_mlir.quantization.scheme import Scheme
from asnet_mlir.quantized import Builder, Program, Quantization, Value
from asnet_mlir.quantized.writer import Tensor

__all__ = ["Written", "write_program"]


@dataclass(frozen=True)
class Written:
    """A network of codes.

    Attributes:
      program: its StableHLO.
      weights: of each group of products, by the group's name.
      values: of the graph, in the program: codes where there are any, else f32.
    """

    program: Program
    weights: dict[str, Weights]
    values: dict[int, Value]


def write_program(
    graph: Graph,
    groups: Sequence[Group],
    codes: Mapping[int, Quantization],
    scheme: Scheme,
    *,
    input: Quantization | None = None,
) -> Written:
    """Write a network.

    Args:
      groups: of the graph; those that are `Float` are written as they are.
      codes: how values become codes: the input, and what groups of codes take and give.
      input: the codes that the network takes; by default it takes what the graph does.
    """
    return _Writing(graph, codes, scheme, input).run(groups)


class _Writing:
    def __init__(
        self,
        graph: Graph,
        codes: Mapping[int, Quantization],
        scheme: Scheme,
        input: Quantization | None,
    ) -> None:
        self.graph = graph
        self.quantizations = codes
        self.scheme = scheme
        self.builder = Builder(
            graph.network.name,
            graph.sample_shape(graph.input),
            input,
            element=graph.elements[graph.input],
        )
        self.weights: dict[str, Weights] = {}
        self.floats: dict[int, Value] = {}
        self.codes: dict[int, Value] = {}
        if input is None:
            self.floats[graph.input] = self.builder.input
        else:
            self.codes[graph.input] = self.builder.input

    def run(self, groups: Sequence[Group]) -> Written:
        for group in groups:
            if group.is_float:
                self._write_floats(group)
                continue
            x = [self._codes_of(value, group.name) for value in group.inputs]
            self.codes[group.output] = self._write(group, x)
        values = {**self.floats, **self.codes}
        program = self.builder.program(values[self.graph.output])
        return Written(program, self.weights, values)

    def _codes_of(self, value: int, layer: str) -> Value:
        """Return a value as codes; those of the input may be others than the network takes."""
        wanted = self.quantizations.get(value)
        if value in self.codes:
            known = self.codes[value]
            if value != self.graph.input or wanted is None or known.codes.same(wanted):
                return known
            self.codes[value] = self.builder.requantize(known, wanted, layer="input")
        else:
            assert wanted is not None
            self.codes[value] = self.builder.quantize(self.floats[value], wanted, layer=layer)
        return self.codes[value]

    def _write_floats(self, group: Group) -> None:
        for index in group.ops:
            op = self.graph.op(index)
            for value in op.read:
                if value not in self.floats and value in self.codes:
                    real = self.builder.dequantize(self.codes[value], layer=op.layer)
                    self.floats[value] = real
            self.floats |= write_float_op(self.graph, op, self.floats, self.builder)

    def _write(self, group: Group, x: Sequence[Value]) -> Value:
        detail, builder, name = group.detail, self.builder, group.name
        if isinstance(detail, Move):
            return self._move(detail, x[0], name)
        if isinstance(detail, Maximum | Average):
            pooled = self._pool(detail, x[0], name)
            # The maximum over all of space leaves no space.
            return builder.reshape(pooled, self.graph.sample_shape(group.output), layer=name)
        output = self.quantizations[group.output]
        if isinstance(detail, Softmax):
            flat = builder.reshape(x[0], self.graph.sample_shape(group.output), layer=name)
            return builder.softmax(flat, output, layer=name)
        if isinstance(detail, Product):
            return self._product(group, detail, x[0], output)
        if isinstance(detail, Mean):
            mean = builder.mean(x[0], detail.axes, output, layer=name)
            return builder.reshape(mean, detail.shape, layer=name)
        if isinstance(detail, Concatenation):
            return builder.concatenate(x, detail.axis, output, layer=name)
        if isinstance(detail, Function):
            function = function_of(self.graph, group.ops, group.inputs[0], group.output)
            return builder.function(x[0], function, output, layer=name)
        assert isinstance(detail, Pairwise)
        limits = _limits(detail.clamp, output)
        first, second = x
        if detail.name == "multiply":
            return builder.multiply(first, second, output, layer=name, activation=limits)
        subtract = detail.name == "subtract"
        return builder.add(first, second, output, layer=name, activation=limits, subtract=subtract)

    def _product(self, group: Group, detail: Product, x: Value, output: Quantization) -> Value:
        kernel = self.scheme.kernel(detail.kernel)
        weights = quantize_weights(detail.kernel, detail.bias, x.codes, kernel)
        self.weights[group.name] = weights
        limits = _limits(detail.clamp, output)
        bias = weights.bias if weights.bias.any() else None
        if detail.window is None:
            dense = self.builder.dense(
                _rows(self.builder, x, len(weights.codes), group.name),
                weights.codes, weights.quantization, bias, output,
                activation=limits, layer=group.name,
            )  # fmt: skip
            return self.builder.reshape(
                dense, self.graph.sample_shape(group.output), layer=group.name
            )
        assert detail.taken is not None and detail.given is not None
        window = detail.window
        images = self.builder.conv2d(
            self._images(x, detail.taken, group.name),
            weights.codes,
            weights.quantization,
            bias,
            output,
            strides=window.strides,
            padding=window.padding,
            dilation=window.dilation,
            groups=detail.groups,
            activation=limits,
            layer=group.name,
        )
        return self._back(images, detail.given, group.name)

    def _pool(self, detail: Maximum | Average, x: Value, name: str) -> Value:
        window = detail.window
        images, padding = self._images(x, detail.layout, name), window.padding
        if isinstance(detail, Maximum):
            pooled = self.builder.max_pool(
                images, window.size, strides=window.strides, padding=padding, layer=name
            )
        else:
            if detail.counts_padding:
                images = self.builder.pad(images, (*padding, (0, 0)), layer=name)
                padding = ((0, 0), (0, 0))
            pooled = self.builder.average_pool(
                images, window.size, strides=window.strides, padding=padding, layer=name
            )
        return self._back(pooled, detail.layout, name)

    def _move(self, detail: Move, x: Value, name: str) -> Value:
        builder = self.builder
        if detail.name in ("reshape", "transpose"):
            numbers = [int(number) for number in np.ravel(detail.arguments)]
            move = builder.reshape if detail.name == "reshape" else builder.transpose
            return move(x, numbers, layer=name)
        if detail.name == "broadcast":
            dims, shape = (tuple(np.ravel(part).tolist()) for part in detail.arguments)
            like = Tensor("", shape, x.tensor.element)
            builder.writer.layer = name
            spread = builder.writer.spread(x.tensor, like, dims)
            builder.writer.layer = ""
            return Value(spread, x.quantization)
        rows = [tuple(row) for row in np.reshape(detail.arguments, (len(x.shape), -1)).tolist()]
        if detail.name == "slice":
            start, stop, step = zip(*rows, strict=True)
            return builder.slice(x, start, stop, step, layer=name)
        return builder.pad(x, tuple((before, after) for before, after in rows), layer=name)

    def _images(self, x: Value, layout: Layout, name: str) -> Value:
        """Return a value as images [height, width, channels]."""
        moved = x
        if layout.order != tuple(range(len(layout.order))):
            moved = self.builder.transpose(x, layout.order, layer=name)
        if layout.spatial == 2:
            return moved
        ones = (1,) * (2 - layout.spatial)
        return self.builder.reshape(moved, (*ones, *moved.shape), layer=name)

    def _back(self, images: Value, layout: Layout, name: str) -> Value:
        if layout.spatial < 2:
            images = self.builder.reshape(images, images.shape[2 - layout.spatial :], layer=name)
        if layout.order != tuple(range(len(layout.order))):
            images = self.builder.transpose(images, layout.back, layer=name)
        return images


def _rows(builder: Builder, x: Value, length: int, name: str) -> Value:
    """Return a value whose last dimensions, `length` numbers together, are one."""
    count = 1
    while math.prod(x.shape[-count:]) != length:
        count += 1
    return builder.reshape(x, (*x.shape[:-count], length), layer=name)


def _limits(clamp: Clamp, output: Quantization) -> tuple[int, int] | None:
    """Return the least and the greatest code that an activation function leaves."""
    if clamp == Clamp():
        return None
    low, high = output.low, output.high
    if math.isfinite(clamp.low):
        low = int(output.codes(np.array([clamp.low]))[0])
    if math.isfinite(clamp.high):
        high = int(output.codes(np.array([clamp.high]))[0])
    return low, high
