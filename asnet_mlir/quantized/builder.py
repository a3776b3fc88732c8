# SPDX-License-Identifier: Apache-2.0
"""Networks on integer codes, layer by layer, as StableHLO (docs/semantics.md, section 8)."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.quantized.fixed_point import FixedPoint, Rounding
from asnet_mlir.quantized.parameters import Quantization
from asnet_mlir.quantized.products import (
    Convolution,
    check_accumulator,
    convolve,
    correct_sums,
    folded_bias,
    multiply_matrix,
    ones,
    requantize_sums,
)
from asnet_mlir.quantized.rescaling import element_of, rescale, saturate, subtract_zero, whole
from asnet_mlir.quantized.softmax import probabilities, softmax
from asnet_mlir.quantized.windows import divide, pool, reduce, window_counts
from asnet_mlir.quantized.writer import Program, Tensor, Writer

__all__ = ["Builder", "Value"]

Pads = tuple[tuple[int, int], ...]
Activation = tuple[int, int] | None

# By how much terms are shifted left before they are added: of codes of 8 bits, and of more.
_SMALL_SHIFT, _WIDE_SHIFT = 20, 15


@dataclass(frozen=True)
class Value:
    """A tensor of a network.

    Attributes:
      tensor: in the module.
      quantization: what its codes mean; None where it is f32, or numbers that are no codes.
    """

    tensor: Tensor
    quantization: Quantization | None

    @property
    def shape(self) -> tuple[int, ...]:
        """Without the batch."""
        return self.tensor.shape

    @property
    def codes(self) -> Quantization:
        """What the codes mean.

        Raises:
          InputError: it is f32.
        """
        if self.quantization is None:
            raise InputError("takes codes, and is given f32: quantise it first")
        return self.quantization


@dataclass(frozen=True)
class _Product:
    """What a layer of products multiplies; `Builder.conv2d` says what each is."""

    x: Quantization
    weights: np.ndarray
    quantization: Quantization
    bias: np.ndarray | None
    factors: np.ndarray | None


class Builder:
    """Builds a network from its inputs to its outputs.

    Each method writes one layer, and names its ops after `layer`.  Codes in, codes out; `output`
    says what the codes of the result mean, and `activation` which of them the layer may give, the
    least and the greatest.  Errors name the layer.
    """

    def __init__(
        self,
        name: str,
        input_shape: Sequence[int],
        input: Quantization | None,
        *,
        element: str = "f32",
    ) -> None:
        """Begin a network; `input` is None where it takes no codes, but numbers of `element`."""
        if input is not None:
            element = element_of(input)
        self._writer = Writer(name, tuple(input_shape), element)
        self.input = Value(self._writer.input, input)

    @property
    def writer(self) -> Writer:
        """Writes the module: for operations that no method writes."""
        return self._writer

    def take(self, name: str, shape: Sequence[int], quantization: Quantization | None) -> Value:
        """Return another input than `input`; see `Builder`."""
        element = "f32" if quantization is None else element_of(quantization)
        return Value(self._writer.take(name, shape, element), quantization)

    def program(
        self, output: Value | Mapping[str, Value], *, first_input: str = "input"
    ) -> Program:
        """Return the module that gives `output`.

        Args:
          output: several by their names.
          first_input: the name of `input` where there are others.
        """
        outputs = {"output": output} if isinstance(output, Value) else output
        return self._writer.program(
            {name: value.tensor for name, value in outputs.items()}, first_input
        )

    def constant(self, codes: np.ndarray, quantization: Quantization, *, layer: str) -> Value:
        """Return codes that are the same for each sample, for an operand of an addition or so."""
        with self._layer(layer):
            return Value(
                self._writer.weight("constant", self._carried(codes, quantization)), quantization
            )

    def float_constant(self, numbers: np.ndarray, *, layer: str) -> Value:
        """Return f32 numbers that are the same for each sample."""
        with self._layer(layer):
            return Value(self._writer.weight("constant", numbers.astype(np.float32)), None)

    # Products.

    def conv2d(
        self,
        x: Value,
        weights: np.ndarray,
        weight_quantization: Quantization,
        bias: np.ndarray | None,
        output: Quantization,
        *,
        layer: str,
        strides: tuple[int, int] = (1, 1),
        padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0)),
        dilation: tuple[int, int] = (1, 1),
        groups: int = 1,
        activation: Activation = None,
        rounding: Rounding = "single",
        factors: np.ndarray | None = None,
    ) -> Value:
        """Convolve images [h, w, c]; `groups` = c is a depthwise convolution.

        Args:
          weights: codes, HWIO: [kernel h, kernel w, c / groups, channels].
          weight_quantization: one scale, or one for each output channel.
          bias: int32 [channels], of the scale of the product, or None.
          padding: with codes of 0.0.
          factors: of the sums, one or one a channel; `x scale * weight scale / output scale` by
            default.
        """
        with self._layer(layer):
            window = Convolution(strides, padding, dilation, groups)
            if len(x.shape) != 3 or x.shape[2] != weights.shape[2] * groups:
                raise InputError(
                    f"weights {list(weights.shape)} in {groups} groups don't fit {list(x.shape)}"
                )
            window.output_size(x.shape[:2], weights.shape[:2])
            zero = x.codes.single_zero_point
            padded = self._pad(x.tensor, (*padding, (0, 0)), zero)
            kernel = self._writer.weight("kernel", self._carried(weights, weight_quantization))
            sums = convolve(self._writer, padded, kernel, window, "i32")
            inputs = None
            if weight_quantization.zero_point.any():
                all_of_them = ones(self._writer, (*weights.shape[:3], groups))
                inputs = convolve(self._writer, padded, all_of_them, window, "i64")
            product = _Product(x.codes, weights, weight_quantization, bias, factors)
            return self._requantized(product, sums, inputs, output, activation, rounding)

    def dense(
        self,
        x: Value,
        weights: np.ndarray,
        weight_quantization: Quantization,
        bias: np.ndarray | None,
        output: Quantization,
        *,
        layer: str,
        activation: Activation = None,
        rounding: Rounding = "single",
        factors: np.ndarray | None = None,
    ) -> Value:
        """Multiply the last dimension, [.., n], by a matrix.

        Args:
          weights: codes [n, channels]; the rest is as of `conv2d`.
        """
        with self._layer(layer):
            if not x.shape or x.shape[-1] != weights.shape[0]:
                raise InputError(f"weights {list(weights.shape)} don't fit {list(x.shape)}")
            kernel = self._writer.weight("kernel", self._carried(weights, weight_quantization))
            sums = multiply_matrix(self._writer, x.tensor, kernel, "i32")
            inputs = None
            if weight_quantization.zero_point.any():
                all_of_them = ones(self._writer, (x.shape[-1], 1))
                inputs = multiply_matrix(self._writer, x.tensor, all_of_them, "i64")
            product = _Product(x.codes, weights, weight_quantization, bias, factors)
            return self._requantized(product, sums, inputs, output, activation, rounding)

    def _requantized(
        self,
        product: _Product,
        sums: Tensor,
        inputs: Tensor | None,
        output: Quantization,
        activation: Activation,
        rounding: Rounding,
    ) -> Value:
        x, weights, quantization = product.x, product.weights, product.quantization
        if quantization.is_per_channel and quantization.scale.size != weights.shape[-1]:
            raise InputError(
                f"{quantization.scale.size} scales for {weights.shape[-1]} output channels"
            )
        if product.bias is not None and product.bias.shape != weights.shape[-1:]:
            raise InputError(
                f"a bias of shape {list(product.bias.shape)} for {weights.shape[-1]} channels"
            )
        if inputs is not None:
            sums = correct_sums(self._writer, sums, inputs, quantization.zero_point)
        bias = folded_bias(weights, x, quantization, product.bias)
        check_accumulator(weights, x, bias, quantization.zero_point)
        factors = product.factors
        if factors is None:
            factors = x.single_scale * quantization.scale / output.single_scale
        codes = requantize_sums(self._writer, sums, bias, factors, output, activation, rounding)
        return Value(codes, output)

    # Elementwise arithmetic of two tensors, the smaller one broadcast.

    def add(
        self,
        x: Value,
        y: Value,
        output: Quantization,
        *,
        layer: str,
        activation: Activation = None,
        subtract: bool = False,
        rounding: Rounding = "double",
    ) -> Value:
        """Add tensors, each of its own scale, or subtract the second.

        Both are scaled by 2^20 (15 for codes of more than 8 bits) over twice the larger scale,
        added, and scaled to the output.
        """
        with self._layer(layer):
            writer = self._writer
            largest = 2 * max(x.codes.single_scale, y.codes.single_scale)
            left_shift = _SMALL_SHIFT if max(x.codes.bits, y.codes.bits) <= 8 else _WIDE_SHIFT
            terms = []
            for term in self._together(x, y):
                wide = subtract_zero(writer, term.tensor, term.codes.single_zero_point)
                wide = writer.elementwise("shift_left", wide, left_shift)
                factor = FixedPoint.of([term.codes.single_scale / largest])
                terms.append(rescale(writer, wide, factor, rounding))
            total = writer.elementwise("subtract" if subtract else "add", *terms)
            factor = FixedPoint.of([largest / (2.0**left_shift * output.single_scale)])
            scaled = rescale(writer, total, factor, rounding)
            return Value(saturate(writer, scaled, output, activation), output)

    def multiply(
        self,
        x: Value,
        y: Value,
        output: Quantization,
        *,
        layer: str,
        activation: Activation = None,
        rounding: Rounding = "double",
        factor: float | None = None,
    ) -> Value:
        """Multiply tensors element by element; plain logic, which no binding reaches."""
        with self._layer(layer):
            writer = self._writer
            factors = [
                subtract_zero(writer, value.tensor, value.codes.single_zero_point)
                for value in self._together(x, y)
            ]
            product = writer.elementwise("multiply", *factors)
            if factor is None:
                factor = x.codes.single_scale * y.codes.single_scale / output.single_scale
            scaled = rescale(writer, product, FixedPoint.of([factor]), rounding)
            return Value(saturate(writer, scaled, output, activation), output)

    # Windows and sums.

    def max_pool(
        self,
        x: Value,
        kernel: tuple[int, int],
        *,
        layer: str,
        strides: tuple[int, int] = (1, 1),
        padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0)),
        activation: Activation = None,
    ) -> Value:
        """Take the greatest code of each window of images [h, w, c]."""
        with self._layer(layer):
            window = Convolution(strides, padding)
            codes = pool(self._writer, x.tensor, "maximum", x.codes.low, kernel, window)
            return self._limited(Value(codes, x.codes), activation)

    def average_pool(
        self,
        x: Value,
        kernel: tuple[int, int],
        *,
        layer: str,
        strides: tuple[int, int] = (1, 1),
        padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0)),
        activation: Activation = None,
        output: Quantization | None = None,
    ) -> Value:
        """Average the codes of each window, ties away from code 0; padding does not count.

        Args:
          output: of another scale than the input: numbers are averaged and scaled in f32, ties to
            even; every window must then have as many numbers.
        """
        with self._layer(layer):
            writer, window = self._writer, Convolution(strides, padding)
            sums = pool(writer, writer.convert(x.tensor, "i32"), "add", 0, kernel, window)
            counts = window_counts((x.shape[0], x.shape[1]), kernel, window)
            if not counts.all():
                raise InputError("a window lies in the padding only: it has no average")
            if output is not None:
                return self._scaled_average(x, sums, counts, output)
            mean = divide(writer, sums, counts)
            codes = saturate(writer, mean, x.codes, activation, add_zero=False)
            return Value(codes, x.codes)

    def _scaled_average(
        self, x: Value, sums: Tensor, counts: np.ndarray, output: Quantization
    ) -> Value:
        count = int(counts.flat[0])
        if (counts != count).any():
            raise InputError("an average of another scale can't have padding")
        zero = count * x.codes.single_zero_point
        sums = self._writer.elementwise("subtract", sums, zero) if zero else sums
        real = x.codes.single_scale / output.single_scale / count
        factor = FixedPoint.of([_single(real)])
        return Value(
            saturate(self._writer, rescale(self._writer, sums, factor, "even"), output), output
        )

    def mean(
        self,
        x: Value,
        axes: Sequence[int],
        output: Quantization,
        *,
        layer: str,
        keep_dimensions: bool = False,
        rounding: Rounding = "single",
    ) -> Value:
        """Average over dimensions, which are counted without the batch."""
        with self._layer(layer):
            writer, count = self._writer, math.prod(x.shape[axis] for axis in axes)
            sums = reduce(writer, writer.convert(x.tensor, "i32"), "add", 0, axes)
            zero = count * x.codes.single_zero_point
            sums = writer.elementwise("subtract", sums, zero) if zero else sums
            real = x.codes.single_scale / output.single_scale
            if rounding == "even":
                factor = FixedPoint.of([_single(real / count)])
            else:
                factor = FixedPoint.of([real]).over(count)
            codes = saturate(writer, rescale(writer, sums, factor, rounding), output)
            return Value(self._kept(x, codes, axes, keep_dimensions), output)

    def greatest(
        self, x: Value, axes: Sequence[int], *, layer: str, keep_dimensions: bool = False
    ) -> Value:
        """Take the greatest code over dimensions, which are counted without the batch."""
        with self._layer(layer):
            codes = reduce(self._writer, x.tensor, "maximum", x.codes.low, axes)
            return Value(self._kept(x, codes, axes, keep_dimensions), x.codes)

    def _kept(self, x: Value, codes: Tensor, axes: Sequence[int], keep: bool) -> Tensor:
        if not keep:
            return codes
        kept = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
        return self._writer.op("reshape", [codes], kept, codes.element)

    # Data movement.

    def pad(self, x: Value, padding: Pads, *, layer: str, code: int | None = None) -> Value:
        """Pad each dimension (the batch is none) before and after, with 0.0 or a code."""
        with self._layer(layer):
            zero = x.codes.single_zero_point if code is None else code
            return Value(self._pad(x.tensor, padding, zero), x.quantization)

    def concatenate(
        self, values: Sequence[Value], axis: int, output: Quantization | None, *, layer: str
    ) -> Value:
        """Join tensors along a dimension, those of other scales requantised before."""
        with self._layer(layer):
            tensors = [
                self._requantize(value, output).tensor if output else value.tensor
                for value in values
            ]
            shape = list(tensors[0].shape)
            shape[axis] = sum(tensor.shape[axis] for tensor in tensors)
            dimension = f"dimension = {axis + 1} : i64"
            joined = self._writer.op("concatenate", tensors, shape, tensors[0].element, dimension)
            return Value(joined, output)

    def reshape(self, x: Value, shape: Sequence[int], *, layer: str) -> Value:
        """Give the numbers of a sample another shape."""
        with self._layer(layer):
            if math.prod(shape) != math.prod(x.shape):
                raise InputError(f"{list(x.shape)} can't become {list(shape)}")
            if tuple(shape) == x.shape:
                return x
            return self._moved(x, "reshape", shape)

    def transpose(self, x: Value, order: Sequence[int], *, layer: str) -> Value:
        """Exchange dimensions, the batch staying first."""
        with self._layer(layer):
            shape = [x.shape[axis] for axis in order]
            numbers = ", ".join(str(axis + 1) for axis in order)
            return self._moved(x, "transpose", shape, f"permutation = array<i64: 0, {numbers}>")

    def slice(
        self,
        x: Value,
        start: Sequence[int],
        stop: Sequence[int],
        step: Sequence[int],
        *,
        layer: str,
    ) -> Value:
        """Take part of each dimension (the batch is none): from `start`, before `stop`."""
        with self._layer(layer):
            shape = [len(range(*bounds)) for bounds in zip(start, stop, step, strict=True)]
            batch = self._writer.batch
            texts = [
                ", ".join(map(str, (first, *rest)))
                for first, rest in ((0, start), (batch, stop), (1, step))
            ]
            attributes = (
                f"start_indices = array<i64: {texts[0]}>, limit_indices = array<i64: {texts[1]}>, "
                f"strides = array<i64: {texts[2]}>"
            )
            return self._moved(x, "slice", shape, attributes)

    # Functions of codes.

    def table(
        self, x: Value, entries: np.ndarray, output: Quantization | None, *, layer: str
    ) -> Value:
        """Look each code up.

        Args:
          entries: the results for all codes from the least to the greatest: codes of `output`, or
            f32 where that is None.
        """
        with self._layer(layer):
            low, high = x.codes.low, x.codes.high
            if len(entries) != high - low + 1:
                raise InputError(f"{len(entries)} entries for {high - low + 1} codes")
            dtype = output.format.dtype if output else np.dtype(np.float32)
            values = self._writer.weight("table", entries.astype(dtype))
            index = self._writer.convert(x.tensor, "i32")
            index = self._writer.elementwise("subtract", index, low) if low else index
            return Value(self._writer.look_up(values, index), output)

    def function(
        self,
        x: Value,
        function: Callable[[np.ndarray], np.ndarray],
        output: Quantization,
        *,
        layer: str,
    ) -> Value:
        """Compute a function of real numbers by table: float64 in and out, rounded to codes."""
        codes = np.arange(x.codes.low, x.codes.high + 1)
        with np.errstate(all="ignore"):
            entries = output.codes(function(x.codes.numbers(codes)))
        return self.table(x, entries, output, layer=layer)

    def softmax(self, x: Value, output: Quantization, *, layer: str, beta: float = 1.0) -> Value:
        """Normalise exponentials over the last dimension, in integers.

        The codes are those of `probabilities`, requantised where `output` is another one.
        """
        with self._layer(layer):
            own = probabilities(output.bits, output.signed)
            codes = softmax(self._writer, x.tensor, x.codes, own, beta)
            return self._requantize(Value(codes, own), output)

    def clamp(self, x: Value, activation: tuple[int, int], *, layer: str) -> Value:
        """Limit codes: ReLU and its family where input and output have one quantisation."""
        with self._layer(layer):
            return self._limited(x, activation)

    def requantize(
        self,
        x: Value,
        output: Quantization,
        *,
        layer: str,
        activation: Activation = None,
        rounding: Rounding = "double",
    ) -> Value:
        """Give the same numbers in other codes."""
        with self._layer(layer):
            return self._limited(self._requantize(x, output, rounding), activation)

    # Real numbers.

    def quantize(
        self, x: Value, output: Quantization, *, layer: str, ties_to_even: bool = False
    ) -> Value:
        """Return the nearest codes of f32: `round(x / scale) + zero point`.

        Args:
          ties_to_even: ties go to the even integer, else away from zero.
        """
        with self._layer(layer):
            writer = self._writer
            ratio = writer.elementwise("divide", x.tensor, float(np.float32(output.single_scale)))
            rounding = "round_nearest_even" if ties_to_even else "round_nearest_afz"
            return Value(saturate(writer, whole(writer, ratio, rounding), output), output)

    def dequantize(self, x: Value, *, layer: str) -> Value:
        """Return the real numbers of codes as f32: `scale * (code - zero point)`."""
        with self._layer(layer):
            writer = self._writer
            wide = subtract_zero(writer, x.tensor, x.codes.single_zero_point)
            scale = float(np.float32(x.codes.single_scale))
            real = writer.elementwise("multiply", writer.convert(wide, "f32"), scale)
            return Value(real, None)

    def float_op(
        self,
        name: str,
        operands: Sequence[Value | float],
        *,
        layer: str,
    ) -> Value:
        """Write an elementwise op of StableHLO on f32, such as `tanh`; tensors are broadcast."""
        with self._layer(layer):
            values = [operand for operand in operands if isinstance(operand, Value)]
            wide = iter(self._together(*values))
            tensors = [
                next(wide).tensor if isinstance(operand, Value) else float(operand)
                for operand in operands
            ]
            return Value(self._writer.elementwise(name, *tensors), None)

    def float_softmax(self, x: Value, *, layer: str) -> Value:
        """Normalise exponentials over the last dimension, in f32."""
        with self._layer(layer):
            writer, last = self._writer, len(x.shape) - 1

            def spread(tensor: Tensor) -> Tensor:
                return writer.spread(tensor, x.tensor, range(last + 1))

            greatest = reduce(writer, x.tensor, "maximum", -math.inf, [last])
            power = writer.elementwise("subtract", x.tensor, spread(greatest))
            power = writer.elementwise("exponential", power)
            total = reduce(writer, power, "add", 0.0, [last])
            return Value(writer.elementwise("divide", power, spread(total)), None)

    # Parts of layers.

    @contextlib.contextmanager
    def _layer(self, layer: str) -> Iterator[None]:
        self._writer.layer = layer
        try:
            yield
        except InputError as error:
            raise InputError(f"{self._writer.name}: layer '{layer}': {error}") from None
        finally:
            self._writer.layer = ""

    def _carried(self, codes: np.ndarray, quantization: Quantization) -> np.ndarray:
        """Return codes in the dtype that carries them."""
        if codes.size and not quantization.low <= codes.min() <= codes.max() <= quantization.high:
            raise InputError(
                f"weights are codes from {quantization.low} to {quantization.high}, "
                f"got {codes.min()} to {codes.max()}"
            )
        return codes.astype(quantization.format.dtype)

    def _pad(self, x: Tensor, padding: Pads, code: int) -> Tensor:
        if not any(any(pad) for pad in padding):
            return x
        shape = [n + sum(pad) for n, pad in zip(x.shape, padding, strict=True)]
        low, high = (", ".join(map(str, (0, *side))) for side in zip(*padding, strict=True))
        interior = ", ".join(["0"] * x.rank)
        return self._writer.op(
            "pad",
            [x, self._writer.constant(code, x.element)],
            shape,
            x.element,
            f"edge_padding_low = array<i64: {low}>, edge_padding_high = array<i64: {high}>, "
            f"interior_padding = array<i64: {interior}>",
        )

    def _together(self, *values: Value) -> list[Value]:
        """Return tensors broadcast to one shape, as numpy does."""
        try:
            shape = np.broadcast_shapes(*(value.shape for value in values))
        except ValueError:
            shapes = " and ".join(str(list(value.shape)) for value in values)
            raise InputError(f"shapes {shapes} don't fit together") from None
        result = []
        for value in values:
            tensor = value.tensor
            whole = Tensor("", shape, tensor.element)
            if tensor.dims != whole.dims:
                first = whole.rank - len(tensor.shape)
                dims = [0] * tensor.batched + list(range(first, whole.rank))
                tensor = self._writer.spread(tensor, whole, dims)
            result.append(Value(tensor, value.quantization))
        return result

    def _limited(self, x: Value, activation: Activation) -> Value:
        if activation is None or activation == (x.codes.low, x.codes.high):
            return x
        wide = self._writer.convert(x.tensor, "i32")
        return Value(saturate(self._writer, wide, x.codes, activation, add_zero=False), x.codes)

    def _requantize(self, x: Value, output: Quantization, rounding: Rounding = "double") -> Value:
        if x.codes.same(output):
            return x
        wide = subtract_zero(self._writer, x.tensor, x.codes.single_zero_point)
        factor = FixedPoint.of([x.codes.single_scale / output.single_scale])
        scaled = rescale(self._writer, wide, factor, rounding)
        return Value(saturate(self._writer, scaled, output), output)

    def _moved(self, x: Value, name: str, shape: Sequence[int], attributes: str = "") -> Value:
        tensor = self._writer.op(name, [x.tensor], shape, x.tensor.element, attributes)
        return Value(tensor, x.quantization)


def _single(real: float) -> float:
    """Return the nearest number of f32; infinite ones are refused by `FixedPoint.of`."""
    with np.errstate(over="ignore"):
        return float(np.float32(real))
