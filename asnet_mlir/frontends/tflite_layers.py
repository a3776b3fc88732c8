# SPDX-License-Identifier: Apache-2.0
"""TensorFlow Lite's ops on codes as layers of a `Builder`, with the bits of its reference kernels.

How each kernel rounds was found by experiment with LiteRT 2.3 (`test/py/test_tflite.py`):
convolutions round twice, dense layers once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.frontends.tflite_model import TfliteModel, TfliteOp, TfliteTensor
from asnet_mlir.frontends.weights import unique_name
from asnet_mlir.quantized import Builder, Program, Quantization, Value
from asnet_mlir.quantized.exponentials import leaky_relu_codes, logistic_codes, tanh_codes

__all__ = ["SUPPORTED_OPS", "layer_names", "program_of"]

_CODES: Mapping[str, tuple[int, bool]] = MappingProxyType(
    {"INT8": (8, True), "UINT8": (8, False), "INT16": (16, True)}
)
_ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6")
_SAME, _VALID = 0, 1
_MOST_NUMBERS = 1 << 28
#: Ops at the end of a name, which says the layer before it; converters number them.
_KINDS = re.compile(
    r"(Relu6?|LeakyRelu|BiasAdd|Conv2D|convolution|depthwise|separable_conv2d|MatMul|Softmax"
    r"|[aA]dd|AddV2|Mul|Pad|Reshape|Mean|AvgPool|MaxPool|MaxPool2d|FusedBatchNormV3|Tanh|Sigmoid"
    r"|concat)\d*"
)
#: Names that say nothing.
_EMPTY = re.compile(r"((Stateful)?PartitionedCall|Identity|serving_default)?(_\d+)?")


def program_of(name: str, model: TfliteModel) -> Program:
    """Return a model as a program.

    Raises:
      InputError: the file holds what no kernel of TensorFlow Lite takes.
      UnsupportedError: an op, a version of it, or a type is not supported; it is named.
    """
    return _Translation(name, model).program()


def layer_names(model: TfliteModel) -> list[str]:
    """Return a name for each op: that of its first output, without what all paths begin with."""
    parts = [_parts(model, op) for op in model.ops]
    named = [part for part in parts if len(part) > 1]
    prefix = 0
    while named and all(len(p) > prefix + 1 and p[prefix] == named[0][prefix] for p in named):
        prefix += 1
    taken: set[str] = set()
    names = []
    for op, part in zip(model.ops, parts, strict=True):
        text = "/".join(part[prefix if len(part) > 1 else 0 :]) or op.name.lower().strip("'")
        name = unique_name(text, taken)
        taken.add(name)
        names.append(name)
    return names


def _parts(model: TfliteModel, op: TfliteOp) -> list[str]:
    if not op.outputs:
        return []
    first = model.tensors[op.outputs[0]].name.partition(";")[0].rpartition(":")
    text = first[0] if first[1] and first[2].isdigit() else "".join(first)
    parts = ["".join(c if c.isalnum() or c in "_-." else "_" for c in p) for p in text.split("/")]
    parts = [part for part in parts if not _EMPTY.fullmatch(part)]
    return parts[:-1] if len(parts) > 1 and _KINDS.fullmatch(parts[-1]) else parts


class _Translation:
    """One file on its way to a program; values by the number of their tensor."""

    def __init__(self, name: str, model: TfliteModel) -> None:
        self.name, self.model = name, model
        for what, numbers in (("input", model.inputs), ("output", model.outputs)):
            if not numbers:
                raise UnsupportedError(f"{name}: has no {what}")
        given = [model.tensors[number] for number in model.inputs]
        for tensor in given:
            if not tensor.shape:
                raise InputError(f"{name}: the input '{tensor.name}' lacks a batch dimension")
            if tensor.content is not None:
                raise InputError(f"{name}: the input '{tensor.name}' is a constant")
        self.batch = given[0].shape[0]
        self._check_sizes()
        meanings = [self._meaning(tensor, with_floats=True) for tensor in given]
        self.builder = Builder(name, given[0].shape[1:], meanings[0])
        self.values: dict[int, Value] = {model.inputs[0]: self.builder.input}
        for number, tensor, meaning in list(zip(model.inputs, given, meanings, strict=True))[1:]:
            own = model.name_of(number)
            if tensor.shape[0] != self.batch:
                raise InputError(
                    f"{name}: the first dimension of all inputs is the batch; it is {self.batch} "
                    f"in '{given[0].name}' and {tensor.shape[0]} in '{tensor.name}'"
                )
            self.values[number] = self.builder.take(own, tensor.shape[1:], meaning)
        self.shapes: set[int] = set()

    def program(self) -> Program:
        """Translate op by op."""
        for op, layer in zip(self.model.ops, layer_names(self.model), strict=True):
            if self._is_of_shapes(op):
                self.shapes.update(op.outputs)
            else:
                self._translate(op, layer)
        outputs: dict[str, Value] = {}
        taken: set[str] = set()
        for number in self.model.outputs:
            if number not in self.values:
                tensor = self.model.tensors[number]
                raise InputError(f"{self.name}: no op gives the output '{tensor.name}'")
            outputs[unique_name(self.model.name_of(number), taken)] = self.values[number]
        first = self.model.name_of(self.model.inputs[0])
        return self.builder.program(outputs, first_input=first)

    def _is_of_shapes(self, op: TfliteOp) -> bool:
        """Say whether an op computes sizes of tensors alone, from sizes and constants.

        Converters write a flattening of any batch so; sizes are those that the file states.
        """
        if op.name == "SHAPE":
            return True
        inputs = [number for number in op.inputs if number >= 0]
        known = [n in self.shapes or self.model.tensors[n].content is not None for n in inputs]
        return all(known) and any(number in self.shapes for number in inputs)

    def _check_sizes(self) -> None:
        for tensor in self.model.tensors:
            open_sizes = [axis for axis, size in enumerate(tensor.signature) if size == -1]
            if any(axis > 0 for axis in open_sizes) or 0 in tensor.shape:
                raise UnsupportedError(
                    f"{self.name}: tensor '{tensor.name}' has no fixed shape: "
                    f"{list(tensor.signature)}"
                )
            if math.prod(tensor.shape) > _MOST_NUMBERS:
                raise UnsupportedError(
                    f"{self.name}: tensor '{tensor.name}' of {list(tensor.shape)} numbers is too "
                    "large"
                )

    def _translate(self, op: TfliteOp, layer: str) -> None:
        tensors = self.model.tensors
        about = f"'{tensors[op.outputs[0]].name}'" if op.outputs else "no tensor"
        entry = SUPPORTED_OPS.get(op.name)
        if entry is None:
            raise UnsupportedError(
                f"{self.name}: op {op.name}, which gives {about}, is not supported; supported are "
                f"{', '.join(SUPPORTED_OPS)}"
            )
        newest, translate = entry
        if not 1 <= op.version <= newest:
            raise UnsupportedError(
                f"{self.name}: version {op.version} of op {op.name}, which gives {about}, is not "
                f"supported; 1 to {newest} are"
            )
        try:
            results = translate(_Call(self, op, layer))
        except InputError as error:
            text = str(error).removeprefix(f"{self.name}: ")
            raise type(error)(f"{self.name}: op {op.name}, which gives {about}: {text}") from None
        self._keep(op, results)

    def _keep(self, op: TfliteOp, results: Sequence[Value]) -> None:
        if len(results) != len(op.outputs):
            raise InputError(
                f"{self.name}: op {op.name} gives {len(results)} tensors, {len(op.outputs)} named"
            )
        for number, value in zip(op.outputs, results, strict=True):
            tensor = self.model.tensors[number]
            if (self.batch, *value.shape) != tensor.shape:
                raise UnsupportedError(
                    f"{self.name}: op {op.name}: tensor '{tensor.name}' has the shape "
                    f"{list(tensor.shape)}; the op gives {[self.batch, *value.shape]}"
                )
            self.values[number] = value

    def _meaning(self, tensor: TfliteTensor, *, with_floats: bool = False) -> Quantization | None:
        """Return what a tensor's codes mean; None of f32 where these may be."""
        if tensor.type == "FLOAT32" and with_floats:
            return None
        if tensor.type not in _CODES:
            raise UnsupportedError(f"tensor '{tensor.name}' is {tensor.type}; codes of INT8 and "
                                   "UINT8 are supported")  # fmt: skip
        if not tensor.scale.size:
            raise UnsupportedError(f"tensor '{tensor.name}' is not quantised: it has no scale")
        bits, signed = _CODES[tensor.type]
        if bits > 8:
            raise UnsupportedError(f"tensor '{tensor.name}' is {tensor.type}; activations of 8 "
                                   "bits are supported")  # fmt: skip
        try:
            return Quantization(tensor.scale, tensor.zero_point, bits=bits, signed=signed)
        except InputError as error:
            raise InputError(f"tensor '{tensor.name}': {error}") from None


class _Call:
    """One op: what it is given, for the functions below."""

    def __init__(self, translation: _Translation, op: TfliteOp, layer: str) -> None:
        self.translation, self.op, self.layer = translation, op, layer
        self.builder = translation.builder

    def tensor(self, index: int) -> TfliteTensor:
        """Return an input as the file has it."""
        if index >= len(self.op.inputs) or self.op.inputs[index] == -1:
            raise InputError(f"lacks its input {index}")
        return self.translation.model.tensors[self.op.inputs[index]]

    def has(self, index: int) -> bool:
        """Whether there is an input."""
        return index < len(self.op.inputs) and self.op.inputs[index] != -1

    def value(self, index: int, *, floats: bool = False) -> Value:
        """Return an input that the network computes, or a constant of codes."""
        tensor = self.tensor(index)
        known = self.translation.values.get(self.op.inputs[index])
        if known is None:
            if tensor.content is None:
                raise InputError(f"tensor '{tensor.name}' is used before an op gives it")
            meaning = self.translation._meaning(tensor)
            assert meaning is not None
            codes = tensor.value(tensor.type)
            if codes.ndim and codes.shape[0] == 1 and codes.ndim == len(self.result().shape):
                codes = codes[0]
            return self.builder.constant(codes, meaning, layer=self.layer)
        if known.quantization is None and not floats:
            raise UnsupportedError(f"tensor '{tensor.name}' is FLOAT32; this op is supported on "
                                   "codes")  # fmt: skip
        return known

    def result(self, index: int = 0) -> TfliteTensor:
        """Return an output as the file has it."""
        if index >= len(self.op.outputs):
            raise InputError("lacks an output")
        return self.translation.model.tensors[self.op.outputs[index]]

    def meaning(self) -> Quantization:
        """Return what the codes of the output mean."""
        meaning = self.translation._meaning(self.result())
        assert meaning is not None
        _ = meaning.single_scale
        return meaning

    def integers(self, index: int) -> np.ndarray:
        """Return a constant of integers, flat; int64."""
        tensor = self.tensor(index)
        dtype = "INT64" if tensor.type == "INT64" else "INT32"
        return tensor.value(dtype).astype(np.int64).reshape(-1)

    def axes(self, numbers: Sequence[int] | np.ndarray) -> list[int]:
        """Return axes of the first input without the batch, sorted, each once."""
        rank = len(self.tensor(0).shape)
        found = {int(number) + (rank if number < 0 else 0) for number in numbers}
        if any(not 0 < axis < rank for axis in found):
            raise UnsupportedError(f"axes {sorted(found)} of {rank} dimensions: those after the "
                                   "batch are supported")  # fmt: skip
        return sorted(axis - 1 for axis in found)

    def activation(self, meaning: Quantization) -> tuple[int, int] | None:
        """Return which codes the fused activation leaves."""
        number = self.op.option("FusedActivationFunction")
        if not 0 <= number < len(_ACTIVATIONS):
            raise UnsupportedError(f"the fused activation number {number} is not supported")
        return _limits(_ACTIVATIONS[number], meaning)


def _limits(activation: str, meaning: Quantization) -> tuple[int, int] | None:
    if activation == "NONE":
        return None
    scale, zero = np.float32(meaning.single_scale), meaning.single_zero_point

    def code(number: float) -> int:
        ratio = float(np.float32(number) / scale)
        return zero + int(math.copysign(math.floor(abs(ratio) + 0.5), ratio))

    low, high = {"RELU": (0.0, None), "RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0)}[activation]
    greatest = meaning.high if high is None else min(meaning.high, code(high))
    return max(meaning.low, code(low)), max(greatest, meaning.low)


def _pads(
    kind: int, size: Sequence[int], kernel: Sequence[int], strides: Sequence[int],
    dilation: Sequence[int] = (1, 1),
) -> tuple[tuple[int, int], tuple[int, int]]:  # fmt: skip
    if kind == _VALID:
        return (0, 0), (0, 0)
    if kind != _SAME:
        raise UnsupportedError(f"the padding number {kind} is not supported")
    pads = []
    for n, k, stride, step in zip(size, kernel, strides, dilation, strict=True):
        out = -(-n // stride)
        total = max((out - 1) * stride + (k - 1) * step + 1 - n, 0)
        pads.append((total // 2, total - total // 2))
    return pads[0], pads[1]


def _positive(*numbers: int) -> None:
    if min(numbers) < 1:
        raise InputError(f"strides, dilations and sizes must be positive, got {list(numbers)}")


def _weights(call: _Call, axis: int) -> tuple[np.ndarray, Quantization]:
    tensor = call.tensor(1)
    meaning = call.translation._meaning(tensor)
    assert meaning is not None
    if meaning.is_per_channel:
        if tensor.axis != axis:
            raise InputError(f"scales of '{tensor.name}' are along axis {tensor.axis}, not {axis}")
        if tensor.shape[axis : axis + 1] != (meaning.scale.size,):
            raise InputError(
                f"{meaning.scale.size} scales for '{tensor.name}' of shape {list(tensor.shape)}"
            )
    return tensor.value(tensor.type), meaning


def _bias(call: _Call, channels: int) -> np.ndarray | None:
    if not call.has(2):
        return None
    bias = call.tensor(2).value("INT32").reshape(-1)
    if len(bias) != channels:
        raise InputError(f"a bias of {len(bias)} numbers for {channels} channels")
    return bias


def _product_factors(x: Quantization, weights: Quantization, output: Quantization) -> np.ndarray:
    """Return the factors of sums: of one scale, the product of scales is rounded to f32."""
    if weights.is_per_channel:
        return x.scale * weights.scale / output.scale
    product = x.scale.astype(np.float32) * weights.scale.astype(np.float32)
    return product.astype(np.float64) / output.scale


def _convolution(call: _Call, depthwise: bool) -> list[Value]:
    x, output = call.value(0), call.meaning()
    codes, meaning = _weights(call, 3 if depthwise else 0)
    if codes.ndim != 4 or len(x.shape) != 3:
        raise InputError(f"weights {list(codes.shape)} on {list(x.shape)}")
    option = call.op.option
    strides = option("StrideH", 1), option("StrideW", 1)
    dilation = option("DilationHFactor", 1), option("DilationWFactor", 1)
    _positive(*strides, *dilation)
    if depthwise:
        if codes.shape[0] != 1 or codes.shape[3] % x.shape[2]:
            raise InputError(f"depthwise weights {list(codes.shape)} on {list(x.shape)}")
        kernel, groups = codes.transpose(1, 2, 0, 3), x.shape[2]
    else:
        if x.shape[2] % codes.shape[3]:
            raise InputError(f"weights {list(codes.shape)} on {list(x.shape)}")
        kernel, groups = codes.transpose(1, 2, 3, 0), x.shape[2] // codes.shape[3]
    if kernel.shape[3] % groups:
        raise InputError(f"{kernel.shape[3]} channels in {groups} groups")
    size = kernel.shape[:2]
    padding = _pads(option("Padding"), x.shape[:2], size, strides, dilation)
    return [
        call.builder.conv2d(
            x, np.ascontiguousarray(kernel), meaning, _bias(call, kernel.shape[3]), output,
            layer=call.layer, strides=strides, padding=padding, dilation=dilation, groups=groups,
            activation=call.activation(output), rounding="double",
            factors=None if output.signed else _product_factors(x.codes, meaning, output),
        )
    ]  # fmt: skip


def _fully_connected(call: _Call) -> list[Value]:
    x, output = call.value(0), call.meaning()
    codes, meaning = _weights(call, 0)
    if call.op.option("WeightsFormat"):
        raise UnsupportedError("shuffled weights are not supported")
    if codes.ndim != 2:
        raise InputError(f"weights {list(codes.shape)} are no matrix")
    channels, inputs = codes.shape
    if not call.op.option("KeepNumDims", False):
        if math.prod(x.shape) != inputs:
            raise UnsupportedError(f"weights {list(codes.shape)} on samples of {list(x.shape)}")
        x = call.builder.reshape(x, [inputs], layer=call.layer)
    return [
        call.builder.dense(
            x, np.ascontiguousarray(codes.T), meaning, _bias(call, channels), output,
            layer=call.layer, activation=call.activation(output), rounding="single",
            factors=_product_factors(x.codes, meaning, output),
        )
    ]  # fmt: skip


def _sum(call: _Call, subtract: bool) -> list[Value]:
    output = call.meaning()
    return [
        call.builder.add(
            call.value(0), call.value(1), output, layer=call.layer, subtract=subtract,
            activation=call.activation(output),
        )
    ]  # fmt: skip


def _product(call: _Call) -> list[Value]:
    x, y, output = call.value(0), call.value(1), call.meaning()
    scales = [np.float32(meaning.single_scale) for meaning in (x.codes, y.codes, output)]
    factor = float(scales[0] * scales[1] / scales[2])
    return [
        call.builder.multiply(
            x, y, output, layer=call.layer, activation=call.activation(output), factor=factor
        )
    ]


def _pool(call: _Call, average: bool) -> list[Value]:
    x, output = call.value(0), call.meaning()
    if len(x.shape) != 3:
        raise InputError(f"pools {list(x.shape)}, which are no images")
    option = call.op.option
    kernel = option("FilterHeight", 1), option("FilterWidth", 1)
    strides = option("StrideH", 1), option("StrideW", 1)
    _positive(*kernel, *strides)
    if not x.codes.same(output):
        raise InputError("input and output of a pool must have one scale and zero point")
    build = call.builder.average_pool if average else call.builder.max_pool
    return [
        build(
            x, kernel, layer=call.layer, strides=strides,
            padding=_pads(option("Padding"), x.shape[:2], kernel, strides),
            activation=call.activation(output),
        )
    ]  # fmt: skip


def _mean(call: _Call) -> list[Value]:
    axes = call.axes(call.integers(1))
    keep = bool(call.op.option("KeepDims", False))
    return [
        call.builder.mean(
            call.value(0), axes, call.meaning(), layer=call.layer, keep_dimensions=keep,
            rounding="double",
        )
    ]  # fmt: skip


def _greatest(call: _Call) -> list[Value]:
    x, axes = call.value(0), call.axes(call.integers(1))
    if not x.codes.same(call.meaning()):
        raise InputError("input and output of a maximum must have one scale and zero point")
    keep = bool(call.op.option("KeepDims", False))
    return [call.builder.greatest(x, axes, layer=call.layer, keep_dimensions=keep)]


def _pad(call: _Call) -> list[Value]:
    x = call.value(0)
    pads = call.integers(1)
    if len(pads) != 2 * (len(x.shape) + 1) or (pads < 0).any():
        raise InputError(f"paddings {pads.tolist()} for {len(x.shape) + 1} dimensions")
    if pads[:2].any():
        raise UnsupportedError("pads the batch")
    code = None
    if call.has(2):
        code = int(call.tensor(2).value(call.tensor(2).type).reshape(-1)[0])
    pairs = [(int(before), int(after)) for before, after in pads[2:].reshape(-1, 2)]
    return [call.builder.pad(x, tuple(pairs), layer=call.layer, code=code)]


def _concatenation(call: _Call) -> list[Value]:
    output = call.meaning()
    (axis,) = call.axes([call.op.option("Axis")])
    values = [call.value(index) for index in range(len(call.op.inputs))]
    joined = []
    for value in values:
        if not value.codes.same(output):
            if output.signed:
                raise InputError("inputs and output of a concatenation must have one scale")
            value = call.builder.table(
                value, _scaled_codes(value.codes, output), output, layer=call.layer
            )
        joined.append(value)
    activation = call.activation(output)
    result = call.builder.concatenate(joined, axis, output, layer=call.layer)
    return [call.builder.clamp(result, activation, layer=call.layer) if activation else result]


def _scaled_codes(given: Quantization, output: Quantization) -> np.ndarray:
    """Return codes in another quantisation by arithmetic of f32, as a concatenation of uint8."""
    scale = np.float32(given.single_scale) * (np.float32(1) / np.float32(output.single_scale))
    bias = np.float32(-given.single_zero_point) * scale
    numbers = np.arange(given.low, given.high + 1, dtype=np.float32) * scale + bias
    rounded = np.copysign(np.floor(np.abs(numbers.astype(np.float64)) + 0.5), numbers)
    return np.clip(rounded + output.single_zero_point, output.low, output.high)


def _reshape(call: _Call) -> list[Value]:
    shape = call.result().shape
    if not shape or shape[0] != call.translation.batch:
        raise UnsupportedError(f"gives the shape {list(shape)}, which mixes samples of a batch")
    return [call.builder.reshape(call.value(0, floats=True), shape[1:], layer=call.layer)]


def _transpose(call: _Call) -> list[Value]:
    order = call.integers(1).tolist()
    x = call.value(0, floats=True)
    if sorted(order) != list(range(len(x.shape) + 1)) or order[0]:
        raise UnsupportedError(f"exchanges dimensions as {order}; the batch must stay first")
    order = [axis - 1 for axis in order[1:]]
    return [call.builder.transpose(x, order, layer=call.layer)]


def _slice_of(call: _Call, x: Value, axis: int, start: int, stop: int, layer: str) -> Value:
    starts, stops = [0] * len(x.shape), list(x.shape)
    starts[axis], stops[axis] = start, stop
    return call.builder.slice(x, starts, stops, [1] * len(x.shape), layer=layer)


def _split(call: _Call, x_index: int, axis_index: int, sizes: list[int] | None) -> list[Value]:
    x = call.value(x_index, floats=True)
    number = int(call.integers(axis_index)[0])
    rank = len(x.shape) + 1
    axis = number + (rank if number < 0 else 0) - 1
    if not 0 <= axis < rank - 1:
        raise UnsupportedError(f"splits axis {number}; those after the batch are supported")
    count = len(call.op.outputs)
    if sizes is None:
        sizes = [x.shape[axis] // max(count, 1)] * count
    if -1 in sizes:
        sizes[sizes.index(-1)] = x.shape[axis] - sum(sizes) - 1
    if sum(sizes) != x.shape[axis] or min(sizes, default=0) < 1:
        raise InputError(f"sizes {sizes} of {x.shape[axis]}")
    ends = np.cumsum(sizes).tolist()
    return [
        _slice_of(call, x, axis, end - size, end, call.layer)
        for size, end in zip(sizes, ends, strict=True)
    ]


def _slice(call: _Call) -> list[Value]:
    x = call.value(0, floats=True)
    starts, sizes = call.integers(1).tolist(), call.integers(2).tolist()
    rank = len(x.shape) + 1
    if len(starts) != rank or len(sizes) != rank:
        raise InputError(f"begins at {starts} and takes {sizes} of {rank} dimensions")
    if starts[0] or sizes[0] not in (-1, call.translation.batch):
        raise UnsupportedError("takes part of the batch")
    stops = [
        full if size == -1 else start + size
        for start, size, full in zip(starts[1:], sizes[1:], x.shape, strict=True)
    ]
    _inside(starts[1:], stops, x.shape)
    return [call.builder.slice(x, starts[1:], stops, [1] * len(x.shape), layer=call.layer)]


def _inside(starts: Sequence[int], stops: Sequence[int], shape: Sequence[int]) -> None:
    for start, stop, size in zip(starts, stops, shape, strict=True):
        if not 0 <= start < stop <= size:
            raise InputError(f"takes {list(starts)} to {list(stops)} of {list(shape)}")


def _strided_slice(call: _Call) -> list[Value]:
    x = call.value(0, floats=True)
    option = call.op.option
    if option("EllipsisMask") or option("NewAxisMask") or option("Offset", False):
        raise UnsupportedError("ellipsis, new axes and offsets are not supported")
    begins, ends, steps = (call.integers(index).tolist() for index in (1, 2, 3))
    full = (call.translation.batch, *x.shape)
    if not len(begins) == len(ends) == len(steps) <= len(full):
        raise InputError(f"begins {begins}, ends {ends}, strides {steps} of {list(full)}")
    masks = option("BeginMask"), option("EndMask"), option("ShrinkAxisMask")
    bounds, kept = [], []
    for axis, size in enumerate(full):
        if axis >= len(begins):
            bounds.append((0, size, 1))
            kept.append(size)
            continue
        first, last, shrinks = (bool(mask >> axis & 1) for mask in masks)
        step = steps[axis]
        if step < 1:
            raise UnsupportedError(f"strides {steps}: positive ones are supported")
        if shrinks:
            start = begins[axis] + (size if begins[axis] < 0 else 0)
            bound = (start, start + 1, 1)
        else:
            chosen = slice(None if first else begins[axis], None if last else ends[axis], step)
            bound = chosen.indices(size)
        bounds.append(bound)
        if not shrinks:
            kept.append(len(range(*bound)))
    if bounds[0] != (0, full[0], 1) or masks[2] & 1:
        raise UnsupportedError("takes part of the batch")
    starts, stops, strides = zip(*bounds[1:], strict=True)
    _inside(starts, stops, x.shape)
    part = call.builder.slice(x, starts, stops, strides, layer=call.layer)
    return [call.builder.reshape(part, kept[1:], layer=call.layer)]


def _quantize(call: _Call) -> list[Value]:
    x, output = call.value(0, floats=True), call.meaning()
    if x.quantization is None:
        return [call.builder.quantize(x, output, layer=call.layer)]
    return [call.builder.requantize(x, output, layer=call.layer)]


def _dequantize(call: _Call) -> list[Value]:
    return [call.builder.dequantize(call.value(0), layer=call.layer)]


def _softmax(call: _Call) -> list[Value]:
    x, output = call.value(0), call.meaning()
    beta = float(call.op.option("Beta", 1.0))
    return [call.builder.softmax(x, output, layer=call.layer, beta=beta)]


def _by_table(
    call: _Call, codes: Callable[[Quantization, Quantization], np.ndarray]
) -> list[Value]:
    x, output = call.value(0), call.meaning()
    return [call.builder.table(x, codes(x.codes, output), output, layer=call.layer)]


def _leaky_relu(call: _Call) -> list[Value]:
    alpha = float(call.op.option("Alpha"))
    return _by_table(call, lambda x, y: leaky_relu_codes(x, y, alpha))


def _relu(call: _Call, activation: str) -> list[Value]:
    x, output = call.value(0), call.meaning()
    limits = _limits(activation, output)
    return [call.builder.requantize(x, output, layer=call.layer, activation=limits)]


#: What is read: the newest version known of each op, and what makes layers of it.
SUPPORTED_OPS: Mapping[str, tuple[int, Callable[[_Call], list[Value]]]] = MappingProxyType(
    {
        "ADD": (5, lambda call: _sum(call, False)),
        "AVERAGE_POOL_2D": (3, lambda call: _pool(call, True)),
        "CONCATENATION": (4, _concatenation),
        "CONV_2D": (8, lambda call: _convolution(call, False)),
        "DEPTHWISE_CONV_2D": (7, lambda call: _convolution(call, True)),
        "DEQUANTIZE": (6, _dequantize),
        "EXPAND_DIMS": (1, _reshape),
        "FULLY_CONNECTED": (14, _fully_connected),
        "LEAKY_RELU": (2, _leaky_relu),
        "LOGISTIC": (3, lambda call: _by_table(call, logistic_codes)),
        "MAX_POOL_2D": (3, lambda call: _pool(call, False)),
        "MEAN": (3, _mean),
        "MUL": (7, _product),
        "PAD": (4, _pad),
        "PADV2": (4, _pad),
        "QUANTIZE": (4, _quantize),
        "REDUCE_MAX": (3, _greatest),
        "RELU": (3, lambda call: _relu(call, "RELU")),
        "RELU6": (3, lambda call: _relu(call, "RELU6")),
        "RELU_N1_TO_1": (1, lambda call: _relu(call, "RELU_N1_TO_1")),
        "RESHAPE": (2, _reshape),
        "SLICE": (6, _slice),
        "SOFTMAX": (3, _softmax),
        "SPLIT": (4, lambda call: _split(call, 1, 0, None)),
        "SPLIT_V": (2, lambda call: _split(call, 0, 2, call.integers(1).tolist())),
        "SQUEEZE": (2, _reshape),
        "STRIDED_SLICE": (8, _strided_slice),
        "SUB": (5, lambda call: _sum(call, True)),
        "TANH": (3, lambda call: _by_table(call, tanh_codes)),
        "TRANSPOSE": (6, _transpose),
    }
)
