# SPDX-License-Identifier: Apache-2.0
"""ONNX's quantised graphs as layers of a `Builder` (docs/semantics.md, Q4, Q10).

A `DequantizeLinear` makes numbers of codes, and a layer between it and a `QuantizeLinear` computes
on the codes: convolutions, dense layers and averages wait for the scale of their output.  Images
are [h, w, c] inside and [c, h, w] at the edges.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.frontends.onnx_file import DAMAGED, tensor_array
from asnet_mlir.frontends.onnx_node import OnnxNode, attributes_of, layer_name
from asnet_mlir.frontends.weights import unique_name
from asnet_mlir.quantized import Builder, Program, Quantization, Value

__all__ = ["SUPPORTED_ONNX_OPS", "onnx_program"]

_OLDEST = 10
_DOMAINS = ("", "ai.onnx")
_DTYPES: Mapping[str, tuple[int, bool]] = MappingProxyType(
    {"int8": (8, True), "uint8": (8, False), "int16": (16, True), "uint16": (16, False)}
)


@dataclass(frozen=True)
class _Constant:
    """A constant; `quantization` where it was dequantised, and `axis` of its channels."""

    value: np.ndarray
    quantization: Quantization | None = None
    axis: int = 0


@dataclass(frozen=True)
class _Real:
    """Numbers that codes stand for."""

    codes: Value


@dataclass(frozen=True)
class _Pending:
    """A layer that waits for the scale of its output, and the clamp behind it."""

    build: Callable[[Quantization, tuple[int, int] | None], Value]
    low: float = -np.inf
    high: float = np.inf


_Known = _Constant | _Real | _Pending | Value


@dataclass
class _Node(OnnxNode):
    """A node with what its inputs are, for the functions below."""

    graph: _Graph = field(kw_only=True)

    @property
    def builder(self) -> Builder:
        return self.graph.builder

    def array(self, index: int) -> np.ndarray:
        """Return an input that is a plain constant."""
        found = self.input(index)
        if not isinstance(found, _Constant) or found.quantization is not None:
            raise UnsupportedError(f"its input {index} must be a constant")
        return found.value

    def codes(self, index: int) -> Value:
        """Return the codes behind an input."""
        found = self.input(index)
        if isinstance(found, _Real):
            return found.codes
        if isinstance(found, Value) and found.quantization is not None:
            return found
        raise UnsupportedError(f"its input {index} is not quantised")

    def real(self, index: int) -> Value:
        """Return an input as f32."""
        found = self.input(index)
        if isinstance(found, _Real):
            return self.builder.dequantize(found.codes, layer=self.layer)
        if isinstance(found, Value) and found.quantization is None:
            return found
        raise UnsupportedError(f"its input {index} is neither f32 nor codes")

    def like_input(self, codes: Value) -> _Known:
        """Return codes as numbers where the first input is."""
        return _Real(codes) if isinstance(self.input(0), _Real) else codes

    def meaning(self, scale: int, zero: int, dtype: np.dtype[Any] | None = None) -> Quantization:
        """Return the quantisation that two inputs give."""
        scales = self.array(scale).astype(np.float64).reshape(-1)
        point = self.array(zero) if self.has(zero) else np.zeros(1, dtype or np.uint8)
        if point.dtype.name not in _DTYPES:
            raise UnsupportedError(f"codes of {point.dtype} are not supported")
        bits, signed = _DTYPES[point.dtype.name]
        return Quantization(scales, point.reshape(-1).astype(np.int64), bits, signed)


class _Graph:
    def __init__(self, name: str, model: Any) -> None:
        self.name, graph = name, model.graph
        versions = [
            entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")
        ]
        if not versions or versions[0] < _OLDEST:
            raise UnsupportedError(f"{name}: opset {versions}; {_OLDEST} and later are supported")
        self.known: dict[str, _Known] = {
            tensor.name: _Constant(_array(name, tensor)) for tensor in graph.initializer
        }
        inputs = [value for value in graph.input if value.name not in self.known]
        for what, values in (("input", inputs), ("output", graph.output)):
            if not values:
                raise UnsupportedError(f"{name}: has no {what}")
        self.inputs = [value.name for value in inputs]
        self.outputs = [value.name for value in graph.output]
        self.images = False
        shape, codes = self._kind(inputs[0])
        self.builder = Builder(self.name, shape, codes)
        values = [self.builder.input]
        values += [self.builder.take(given.name, *self._kind(given)) for given in inputs[1:]]
        for given, value in zip(inputs, values, strict=True):
            # Images are [height, width, channel] inside.
            turn = len(value.shape) == 3
            self.known[given.name] = (
                self.builder.transpose(value, (1, 2, 0), layer="input") if turn else value
            )
        self.nodes = graph.node

    def _kind(self, given: Any) -> tuple[list[int], Quantization | None]:
        """Return an input's shape without the batch, and what its codes mean."""
        import onnx

        kind = given.type.tensor_type
        sizes = [d.dim_value if d.HasField("dim_value") else 0 for d in kind.shape.dim]
        if not sizes or any(size < 1 for size in sizes[1:]):
            raise UnsupportedError(f"{self.name}: input '{given.name}' has no fixed shape: {sizes}")
        try:
            dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name
        except DAMAGED:
            dtype = f"of type {kind.elem_type}"
        if dtype == "float32":
            codes = None
        elif dtype in _DTYPES:
            bits, signed = _DTYPES[dtype]
            codes = Quantization(np.ones(1), np.zeros(1), bits, signed)
        else:
            raise UnsupportedError(f"{self.name}: input '{given.name}' is {dtype}")
        return sizes[1:], codes

    def program(self) -> Program:
        """Translate node by node, and give the outputs in ONNX's order."""
        taken: set[str] = set()
        for proto in self.nodes:
            layer = unique_name(layer_name(proto), taken)
            taken.add(layer)
            self._translate(proto, layer)
        outputs: dict[str, Value] = {}
        named: set[str] = set()
        for output in self.outputs:
            found = self.known.get(output)
            if isinstance(found, _Real):
                found = self.builder.dequantize(found.codes, layer="output")
            if not isinstance(found, Value):
                raise UnsupportedError(f"{self.name}: the output '{output}' is not quantised")
            if len(found.shape) == 3:
                found = self.builder.transpose(found, (2, 0, 1), layer="output")
            outputs[unique_name(output, named)] = found
        return self.builder.program(outputs, first_input=self.inputs[0])

    def _translate(self, proto: Any, layer: str) -> None:
        about = f"{self.name}: op {proto.op_type}, which gives '{', '.join(proto.output)}'"
        translate = SUPPORTED_ONNX_OPS.get(proto.op_type)
        if translate is None or proto.domain not in _DOMAINS:
            supported = ", ".join(SUPPORTED_ONNX_OPS)
            raise UnsupportedError(f"{about}, is not supported; supported are {supported}")
        for name in proto.input:
            if name and name not in self.known:
                raise InputError(f"{about}: no node gives its input '{name}'")
        inputs = [self.known[name] if name else None for name in proto.input]
        try:
            attributes = attributes_of(proto)
            result = translate(_Node(proto.op_type, layer, inputs, attributes, graph=self))
        except InputError as error:
            text = str(error).removeprefix(f"{self.name}: ")
            raise type(error)(f"{about}: {text}") from None
        if len(proto.output) != 1:
            raise UnsupportedError(f"{about}: {len(proto.output)} outputs")
        self.known[proto.output[0]] = result


def onnx_program(name: str, model: Any) -> Program:
    """Return a `ModelProto` as a program.

    Raises:
      InputError: its parts don't fit together.
      UnsupportedError: an op or a type is not supported; it is named.
    """
    return _Graph(name, model).program()


def _array(name: str, tensor: Any) -> np.ndarray:
    array = tensor_array(name, tensor)
    if array.dtype.kind not in "iuf":
        raise UnsupportedError(f"{name}: '{tensor.name}' holds {array.dtype}")
    return array


def _quantize_linear(node: _Node) -> _Known:
    output = node.meaning(1, 2)
    x = node.input(0)
    if isinstance(x, _Constant):
        return _Constant(_codes_of(node, x.value, output))
    _ = output.single_scale
    if isinstance(x, _Pending):
        return x.build(output, _limits(x, output))
    if isinstance(x, _Real) and x.codes.codes.same(output):
        return x.codes
    return node.builder.quantize(node.real(0), output, layer=node.layer, ties_to_even=True)


def _codes_of(node: _Node, numbers: np.ndarray, output: Quantization) -> np.ndarray:
    """Return codes of constants, in f32 as the file says."""
    shape = [1] * numbers.ndim
    if output.is_per_channel:
        axis = node.integer("axis", 1) % max(numbers.ndim, 1)
        if numbers.shape[axis : axis + 1] != output.scale.shape:
            raise InputError(f"{output.scale.size} scales for weights {list(numbers.shape)}")
        shape[axis] = -1
    scale = output.scale.astype(np.float32).reshape(shape)
    ratios = np.rint(numbers.astype(np.float32) / scale).astype(np.float64)
    codes = np.nan_to_num(ratios) + output.zero_point.reshape(shape)
    return np.clip(codes, output.low, output.high).astype(output.format.dtype)


def _limits(pending: _Pending, output: Quantization) -> tuple[int, int] | None:
    """Return which codes a clamp leaves: the nearest to its ends."""
    scale, zero = output.single_scale, output.single_zero_point
    if np.isinf(pending.low) and np.isinf(pending.high):
        return None
    ends = np.rint(np.array([pending.low, pending.high]) / scale) + zero
    low, high = np.clip(ends, output.low, output.high).astype(int).tolist()
    return low, high


def _dequantize_linear(node: _Node) -> _Known:
    x = node.input(0)
    axis = node.integer("axis", 1)
    if node.integer("block_size"):
        raise UnsupportedError("scales of blocks are not supported")
    if isinstance(x, _Constant):
        if x.value.dtype == np.int32:  # a bias
            return _Constant(x.value.astype(np.float64) * node.array(1).astype(np.float64))
        return _Constant(x.value, node.meaning(1, 2, x.value.dtype), axis % max(x.value.ndim, 1))
    if not isinstance(x, Value) or x.quantization is None:
        raise UnsupportedError("dequantises what is no codes")
    default = x.codes.format.dtype
    meaning = node.meaning(1, 2, default)
    if meaning.format != x.codes.format:
        raise InputError(f"codes of {x.codes.format} with a zero point of {meaning.format}")
    _ = meaning.single_scale
    return _Real(Value(x.tensor, meaning))


def _weights(node: _Node, index: int, axis: int, rank: int) -> tuple[np.ndarray, Quantization]:
    found = node.input(index)
    if not isinstance(found, _Constant) or found.quantization is None:
        raise UnsupportedError(f"its input {index} must be a constant that is dequantised")
    if found.value.ndim != rank:
        raise UnsupportedError(f"weights {list(found.value.shape)}, of {rank} dimensions are read")
    if found.quantization.is_per_channel and found.axis != axis:
        raise UnsupportedError(f"scales of weights along axis {found.axis}, not {axis}")
    return found.value, found.quantization


def _bias(
    node: _Node, index: int, x: Quantization, weights: Quantization, channels: int
) -> np.ndarray | None:
    if not node.has(index):
        return None
    given = node.array(index).astype(np.float64).reshape(-1)
    if given.size not in (1, channels):
        raise InputError(f"a bias of {given.size} numbers for {channels} channels")
    real = np.broadcast_to(given, (channels,))
    codes = np.rint(real / (x.single_scale * weights.scale))
    if not (np.abs(codes) < 2**31).all():
        raise InputError("its bias does not fit in 32 bits")
    return codes.astype(np.int32)


def _factors(x: Quantization, weights: Quantization, output: Quantization) -> np.ndarray:
    """Return factors of sums as f32: (x scale * weight scale) / output scale."""
    product = x.scale.astype(np.float32) * weights.scale.astype(np.float32)
    return (product / output.scale.astype(np.float32)).astype(np.float64)


Pads = tuple[tuple[int, int], tuple[int, int]]


def _window(
    node: _Node, size: Sequence[int], kernel: Sequence[int]
) -> tuple[tuple[int, int], Pads, tuple[int, int]]:
    """Return strides, padding and dilations."""
    strides, dilations = node.integers("strides", (1, 1)), node.integers("dilations", (1, 1))
    pads = node.integers("pads", (0, 0, 0, 0))
    if len(strides) != 2 or len(dilations) != 2 or len(pads) != 4 or min(strides + dilations) < 1:
        raise InputError("strides, dilations or pads are not those of images")
    if min(pads) < 0 or node.integer("ceil_mode") or node.integer("storage_order"):
        raise UnsupportedError("negative pads, ceil_mode and storage_order are not supported")
    automatic = node.text("auto_pad", "NOTSET")
    padding = [(pads[0], pads[2]), (pads[1], pads[3])]
    if automatic in ("SAME_UPPER", "SAME_LOWER"):
        padding = []
        for n, k, stride, step in zip(size, kernel, strides, dilations, strict=True):
            total = max((-(-n // stride) - 1) * stride + (k - 1) * step + 1 - n, 0)
            less = total // 2
            padding.append((less, total - less) if automatic[5] == "U" else (total - less, less))
    elif automatic not in ("NOTSET", "VALID"):
        raise UnsupportedError(f"auto_pad {automatic} is not supported")
    return (strides[0], strides[1]), (padding[0], padding[1]), (dilations[0], dilations[1])


def _conv_of(
    node: _Node, x: Value, w: np.ndarray, meaning: Quantization, bias: np.ndarray | None,
    output: Quantization, activation: tuple[int, int] | None,
) -> Value:  # fmt: skip
    if len(x.shape) != 3 or w.ndim != 4:
        raise UnsupportedError(f"weights {list(w.shape)} on {list(x.shape)}: images are supported")
    strides, padding, dilation = _window(node, x.shape[:2], w.shape[2:])
    return node.builder.conv2d(
        x, np.ascontiguousarray(w.transpose(2, 3, 1, 0)), meaning, bias, output, layer=node.layer,
        strides=strides, padding=padding, dilation=dilation,
        groups=node.integer("group", 1), activation=activation, rounding="even",
        factors=_factors(x.codes, meaning, output),
    )  # fmt: skip


def _conv(node: _Node) -> _Known:
    x = node.codes(0)
    w, meaning = _weights(node, 1, 0, 4)
    bias = _bias(node, 2, x.codes, meaning, w.shape[0])
    return _Pending(lambda output, limits: _conv_of(node, x, w, meaning, bias, output, limits))


def _dense_of(
    node: _Node, x: Value, w: np.ndarray, meaning: Quantization, bias: np.ndarray | None,
    output: Quantization, activation: tuple[int, int] | None,
) -> Value:  # fmt: skip
    if w.ndim != 2 or len(x.shape) == 3:
        raise UnsupportedError(f"a matrix {list(w.shape)} on {list(x.shape)}")
    return node.builder.dense(
        x, w, meaning, bias, output, layer=node.layer, activation=activation, rounding="even",
        factors=_factors(x.codes, meaning, output),
    )  # fmt: skip


def _gemm(node: _Node) -> _Known:
    x = node.codes(0)
    if node.number("alpha", 1.0) != 1 or node.number("beta", 1.0) != 1 or node.integer("transA"):
        raise UnsupportedError("alpha, beta and transA are not supported")
    turned = bool(node.integer("transB"))
    w, meaning = _weights(node, 1, 0 if turned else 1, 2)
    w = np.ascontiguousarray(w.T) if turned else w
    bias = _bias(node, 2, x.codes, meaning, w.shape[1])
    return _Pending(lambda output, limits: _dense_of(node, x, w, meaning, bias, output, limits))


def _matmul(node: _Node) -> _Known:
    x = node.codes(0)
    w, meaning = _weights(node, 1, 1, 2)
    return _Pending(lambda output, limits: _dense_of(node, x, w, meaning, None, output, limits))


def _qlinear(node: _Node, convolution: bool) -> _Known:
    x, w = node.codes(0), node.array(3)
    x = Value(x.tensor, node.meaning(1, 2))
    meaning, output = node.meaning(4, 5), node.meaning(6, 7)
    if convolution:
        bias = node.array(8) if node.has(8) else None
        return _conv_of(node, x, w, meaning, bias, output, None)
    return _dense_of(node, x, w, meaning, None, output, None)


def _relu(node: _Node) -> _Known:
    return _clamped(node, 0.0, np.inf)


def _clip(node: _Node) -> _Known:
    if node.attributes:  # before opset 11
        raise UnsupportedError("limits as attributes are not supported; convert to opset 13")
    low, high = (
        float(node.array(index).reshape(())) if node.has(index) else default
        for index, default in ((1, -np.inf), (2, np.inf))
    )
    return _clamped(node, low, high)


def _clamped(node: _Node, low: float, high: float) -> _Known:
    x = node.input(0)
    if isinstance(x, _Pending):
        return _Pending(x.build, max(x.low, low), min(x.high, high))
    pending = _Pending(lambda output, limits: node.codes(0), low, high)
    codes = node.codes(0)
    limits = _limits(pending, codes.codes)
    return _Real(node.builder.clamp(codes, limits, layer=node.layer) if limits else codes)


def _elementwise(node: _Node, name: str) -> _Known:
    constants = [isinstance(node.input(index), _Constant) for index in (0, 1)]
    if all(constants):
        raise UnsupportedError("arithmetic of constants is not supported")
    values = [node.real(index) for index in (0, 1) if not constants[index]]
    if constants[0]:
        values.insert(0, _numbers(node, 0, len(values[0].shape)))
    elif constants[1]:
        values.append(_numbers(node, 1, len(values[0].shape)))
    return node.builder.float_op(name, values, layer=node.layer)


def _numbers(node: _Node, index: int, rank: int) -> Value:
    """Return a constant as f32, shaped as a sample of `rank` dimensions."""
    found = node.input(index)
    assert isinstance(found, _Constant)
    value = found.value
    if found.quantization is not None:
        value = found.quantization.numbers(value, axis=found.axis)
    if value.ndim > rank:
        if value.ndim > rank + 1 or value.shape[0] != 1:
            raise UnsupportedError(f"a constant of shape {list(value.shape)}")
        value = value[0]
    if rank == 3:  # of images, in the order that they have inside
        value = value.reshape((1,) * (3 - value.ndim) + value.shape).transpose(1, 2, 0)
    return node.builder.float_constant(np.ascontiguousarray(value), layer=node.layer)


def _constant(node: _Node) -> _Known:
    tensor = node.attributes.get("value")
    if not hasattr(tensor, "data_location"):
        raise UnsupportedError("constants that are no tensors are not supported")
    return _Constant(_array(node.graph.name, tensor))


def _softmax(node: _Node) -> _Known:
    x = node.real(0)
    axis = node.integer("axis", -1)
    if len(x.shape) == 3 or axis not in (-1, len(x.shape)):
        raise UnsupportedError(f"over axis {axis} of {len(x.shape) + 1}: the last is supported")
    return node.builder.float_softmax(x, layer=node.layer)


def _function(node: _Node, name: str) -> _Known:
    return node.builder.float_op(name, [node.real(0)], layer=node.layer)


def _max_pool(node: _Node) -> _Known:
    x, kernel = _pooled(node)
    strides, padding, dilation = _window(node, x.shape[:2], kernel)
    if dilation != (1, 1):
        raise UnsupportedError("dilated pools are not supported")
    pooled = node.builder.max_pool(x, kernel, layer=node.layer, strides=strides, padding=padding)
    return node.like_input(pooled)


def _pooled(node: _Node) -> tuple[Value, tuple[int, int]]:
    x, kernel = node.codes(0), node.integers("kernel_shape")
    if len(x.shape) != 3 or len(kernel) != 2 or min(kernel) < 1:
        raise UnsupportedError(f"a window of {kernel} on {list(x.shape)}: images are supported")
    return x, (kernel[0], kernel[1])


def _average_pool(node: _Node) -> _Known:
    x, kernel = _pooled(node)
    strides, padding, dilation = _window(node, x.shape[:2], kernel)
    if dilation != (1, 1) or any(map(any, padding)):
        raise UnsupportedError("dilated and padded averages are not supported")
    return _Pending(
        lambda output, limits: _limited(
            node,
            node.builder.average_pool(x, kernel, layer=node.layer, strides=strides, output=output),
            limits,
        )
    )


def _limited(node: _Node, value: Value, limits: tuple[int, int] | None) -> Value:
    return node.builder.clamp(value, limits, layer=node.layer) if limits else value


def _global_average_pool(node: _Node) -> _Known:
    x = node.codes(0)
    if len(x.shape) != 3:
        raise UnsupportedError(f"averages {list(x.shape)}: images are supported")

    def build(output: Quantization, limits: tuple[int, int] | None) -> Value:
        mean = node.builder.mean(
            x, (0, 1), output, layer=node.layer, keep_dimensions=True, rounding="even"
        )
        return _limited(node, mean, limits)

    return _Pending(build)


def _concat(node: _Node) -> _Known:
    values = [node.codes(index) for index in range(len(node.inputs))]
    rank = len(values[0].shape) + 1
    axis = node.integer("axis", 1) % rank
    if axis == 0 or any(len(value.shape) + 1 != rank for value in values):
        raise UnsupportedError("joins the batch, or tensors of several ranks")
    inside = {1: 2, 2: 0, 3: 1}[axis] if rank == 4 else axis - 1
    output = values[0].codes
    if not all(value.codes.same(output) for value in values):
        raise UnsupportedError("joins codes of several scales")
    return node.like_input(node.builder.concatenate(values, inside, output, layer=node.layer))


def _reshaped(node: _Node, shape: Sequence[int] | None) -> _Known:
    found = node.input(0)
    if isinstance(found, _Constant):
        raise UnsupportedError("reshapes a constant")
    value = node.codes(0)
    if len(value.shape) == 3:  # in ONNX's order
        value = node.builder.transpose(value, (2, 0, 1), layer=node.layer)
    count = int(np.prod(value.shape))
    shape = [count] if shape is None else list(shape)
    if -1 in shape:
        shape[shape.index(-1)] = count // -int(np.prod(shape))
    value = node.builder.reshape(value, shape, layer=node.layer)
    if len(shape) == 3:
        value = node.builder.transpose(value, (1, 2, 0), layer=node.layer)
    return node.like_input(value)


def _flatten(node: _Node) -> _Known:
    if node.integer("axis", 1) != 1:
        raise UnsupportedError("flattens the batch")
    return _reshaped(node, None)


def _reshape(node: _Node) -> _Known:
    shape = node.array(1).reshape(-1).tolist()
    if node.integer("allowzero") or len(shape) < 2 or 0 in shape[1:]:
        raise UnsupportedError(f"reshapes to {shape}")
    return _reshaped(node, shape[1:])


#: What is read, and what makes layers of it.
SUPPORTED_ONNX_OPS: Mapping[str, Callable[[_Node], _Known]] = MappingProxyType(
    {
        "Add": lambda node: _elementwise(node, "add"),
        "AveragePool": _average_pool,
        "Clip": _clip,
        "Concat": _concat,
        "Constant": _constant,
        "Conv": _conv,
        "DequantizeLinear": _dequantize_linear,
        "Flatten": _flatten,
        "Gemm": _gemm,
        "GlobalAveragePool": _global_average_pool,
        "Identity": lambda node: node.input(0),
        "MatMul": _matmul,
        "MaxPool": _max_pool,
        "Mul": lambda node: _elementwise(node, "multiply"),
        "QLinearConv": lambda node: _qlinear(node, True),
        "QLinearMatMul": lambda node: _qlinear(node, False),
        "QuantizeLinear": _quantize_linear,
        "Relu": _relu,
        "Reshape": _reshape,
        "Sigmoid": lambda node: _function(node, "logistic"),
        "Softmax": _softmax,
        "Sub": lambda node: _elementwise(node, "subtract"),
        "Tanh": lambda node: _function(node, "tanh"),
    }
)
