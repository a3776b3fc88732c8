# SPDX-License-Identifier: Apache-2.0
"""TensorFlow Lite files: every op and option gives the bits of LiteRT's reference kernels."""

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="LiteRT (extra 'test') is not installed")

import tflite_networks
from ai_edge_litert import schema_py_generated as schema
from quantized_programs import by_xla
from tflite_files import File, by_litert

from asnet_mlir.binding import Binding
from asnet_mlir.evaluation import CompiledNetwork, Evaluator
from asnet_mlir.frontends import load_model
from asnet_mlir.frontends.tflite_layers import program_of
from asnet_mlir.frontends.tflite_model import read_tflite

SAMPLES = 6


def by_us(content, x):
    """Return what XLA makes of the StableHLO that a file becomes."""
    return by_xla(program_of("net", read_tflite(content)), x)


def codes(rng, shape, dtype="int8", low=None):
    info = np.iinfo(dtype)
    return rng.integers(info.min if low is None else low, info.max + 1, shape).astype(dtype)


def scale(rng, low=0.005, high=0.1, size=None):
    return np.exp(rng.uniform(np.log(low), np.log(high), size)).astype(np.float32)


def zero(rng, dtype="int8"):
    info = np.iinfo(dtype)
    return int(rng.integers(info.min // 2, info.max // 2))


class Case:
    """One op between an input and an output, on random codes."""

    def __init__(self, seed, shape, dtype="int8"):
        self.rng, self.file, self.dtype, self.shape = (
            np.random.default_rng(seed),
            File(),
            dtype,
            shape,
        )
        self.sx, self.zx = scale(self.rng), zero(self.rng, dtype)
        self.x = self.file.tensor("x", [1, *shape], dtype, self.sx, self.zx)

    def output(self, shape, s=None, z=None, dtype=None):
        dtype = dtype or self.dtype
        s = scale(self.rng) if s is None else s
        z = zero(self.rng, dtype) if z is None else z
        return self.file.tensor("y", [1, *shape], dtype, s, z)

    def check(self, y, x=None):
        content = self.file.content([self.x], [y])
        if x is None:
            x = codes(self.rng, (SAMPLES, *self.shape), self.dtype)
        expected, got = by_litert(content, x), by_us(content, x)
        assert got.dtype == expected.dtype
        assert len(np.unique(expected)) > 1, "says nothing"
        np.testing.assert_array_equal(got, expected)


def sizes(size, kernel, strides, same, dilation=(1, 1)):
    if same:
        return [-(-n // s) for n, s in zip(size, strides, strict=True)]
    return [
        (n - (k - 1) * d - 1) // s + 1
        for n, k, s, d in zip(size, kernel, strides, dilation, strict=True)
    ]


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize(
    ("kernel", "strides", "same", "dilation", "activation", "groups"),
    [
        ((3, 3), (1, 1), True, (1, 1), 0, 1),
        ((3, 2), (2, 1), True, (1, 1), 1, 1),
        ((1, 1), (1, 1), False, (1, 1), 3, 1),
        ((2, 3), (1, 3), False, (1, 1), 2, 1),
        ((3, 3), (1, 1), True, (2, 3), 1, 1),
        ((4, 3), (3, 2), True, (1, 1), 0, 2),
    ],
)
def test_conv_2d(kernel, strides, same, dilation, activation, groups, per_channel):
    case = Case(hash((kernel, strides, dilation, per_channel)) % 1000, (9, 8, 4))
    rng, channels = case.rng, 6
    w = codes(rng, (channels, *kernel, 4 // groups), low=-127)
    sw = scale(rng, 1e-3, 1e-2, channels if per_channel else None)
    weights = case.file.constant("w", w, sw)
    bias = case.file.constant(
        "b", rng.integers(-3000, 3000, channels).astype(np.int32), case.sx * sw
    )
    out = sizes((9, 8), kernel, strides, same, dilation)
    y = case.output((*out, channels))
    case.file.op(
        "CONV_2D", [case.x, weights, bias], [y], 3, kind="Conv2DOptions", padding=int(not same),
        strideH=strides[0], strideW=strides[1], dilationHFactor=dilation[0],
        dilationWFactor=dilation[1], fusedActivationFunction=activation,
    )  # fmt: skip
    case.check(y)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize(
    ("multiplier", "strides", "same", "dilation", "activation"),
    [
        (1, (1, 1), True, (1, 1), 0),
        (2, (2, 2), True, (1, 1), 1),
        (3, (1, 1), False, (2, 2), 3),
        (1, (2, 2), False, (1, 1), 2),
    ],
)
def test_depthwise_conv_2d(multiplier, strides, same, dilation, activation, per_channel):
    case = Case(multiplier * 10 + per_channel, (7, 10, 3))
    rng, channels = case.rng, 3 * multiplier
    w = codes(rng, (1, 3, 3, channels), low=-127)
    sw = scale(rng, 1e-3, 1e-2, channels if per_channel else None)
    weights = case.file.constant("w", w, sw, axis=3)
    bias = case.file.constant("b", rng.integers(-900, 900, channels).astype(np.int32), case.sx * sw)
    y = case.output((*sizes((7, 10), (3, 3), strides, same, dilation), channels))
    case.file.op(
        "DEPTHWISE_CONV_2D", [case.x, weights, bias], [y], 3, kind="DepthwiseConv2DOptions",
        padding=int(not same), strideH=strides[0], strideW=strides[1], depthMultiplier=multiplier,
        dilationHFactor=dilation[0], dilationWFactor=dilation[1],
        fusedActivationFunction=activation,
    )  # fmt: skip
    case.check(y)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("per_channel", "zero_point", "activation", "has_bias"),
    [(False, 0, 0, True), (True, 0, 1, True), (False, 7, 0, False), (False, -3, 3, True)],
)
def test_fully_connected(per_channel, zero_point, activation, has_bias, seed):
    case = Case(seed, (5, 4, 3))
    rng, channels = case.rng, 40
    sw = scale(rng, 1e-3, 1e-2, channels if per_channel else None)
    weights = case.file.constant("w", codes(rng, (channels, 60), low=-127), sw, zero_point)
    bias = -1
    if has_bias:
        b = rng.integers(-9000, 9000, channels).astype(np.int32)
        bias = case.file.constant("b", b, case.sx * sw)
    y = case.output((channels,))
    case.file.op(
        "FULLY_CONNECTED", [case.x, weights, bias], [y], 4, kind="FullyConnectedOptions",
        fusedActivationFunction=activation,
    )  # fmt: skip
    case.check(y)


def test_fully_connected_keeps_dimensions():
    case = Case(5, (5, 12))
    sw = scale(case.rng, 1e-3, 1e-2)
    weights = case.file.constant("w", codes(case.rng, (6, 12), low=-127), sw)
    y = case.output((5, 6))
    case.file.op(
        "FULLY_CONNECTED", [case.x, weights], [y], 5, kind="FullyConnectedOptions", keepNumDims=True
    )
    case.check(y)


@pytest.mark.parametrize("layer", ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"])
def test_uint8(layer):
    case = Case(8, (6, 6, 4) if layer != "FULLY_CONNECTED" else (64,), "uint8")
    rng, channels = case.rng, 8
    shape = {"CONV_2D": (8, 3, 3, 4), "DEPTHWISE_CONV_2D": (1, 3, 3, 8), "FULLY_CONNECTED": (8, 64)}
    sw = scale(rng, 1e-3, 1e-2)
    weights = case.file.constant("w", codes(rng, shape[layer], "uint8"), sw, 121)
    b = rng.integers(-900, 900, channels).astype(np.int32)
    bias = case.file.constant("b", b, case.sx * sw)
    y = case.output((6, 6, 8) if layer != "FULLY_CONNECTED" else (8,))
    options = {
        "CONV_2D": {"kind": "Conv2DOptions"},
        "DEPTHWISE_CONV_2D": {"kind": "DepthwiseConv2DOptions", "depthMultiplier": 2},
        "FULLY_CONNECTED": {"kind": "FullyConnectedOptions"},
    }[layer]
    if layer != "FULLY_CONNECTED":
        options |= {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    case.file.op(layer, [case.x, weights, bias], [y], **options)
    case.check(y)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("op", ["ADD", "SUB", "MUL"])
@pytest.mark.parametrize("other", [(3, 4, 5), (5,), (1, 4, 1), ()])
def test_elementwise(op, other, dtype):
    case = Case(len(other) + len(op), (3, 4, 5), dtype)
    c = codes(case.rng, (1, *other) if len(other) == 3 else other, dtype)
    constant = case.file.constant("c", c, scale(case.rng), zero(case.rng, dtype))
    y = case.output((3, 4, 5), scale(case.rng, 0.05, 0.2))
    kind = f"{op.capitalize()}Options"
    inputs = [case.x, constant] if dtype == "int8" else [constant, case.x]
    case.file.op(op, inputs, [y], 2, kind=kind, fusedActivationFunction=len(other))
    case.check(y)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("op", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
@pytest.mark.parametrize(
    ("kernel", "strides", "same", "activation"),
    [((2, 2), (2, 2), False, 0), ((3, 2), (2, 1), True, 1), ((7, 7), (7, 7), True, 3)],
)
def test_pools(op, kernel, strides, same, activation, dtype):
    case = Case(kernel[0], (7, 9, 3), dtype)
    y = case.output((*sizes((7, 9), kernel, strides, same), 3), case.sx, case.zx)
    case.file.op(
        op, [case.x], [y], 2, kind="Pool2DOptions", padding=int(not same), strideH=strides[0],
        strideW=strides[1], filterHeight=kernel[0], filterWidth=kernel[1],
        fusedActivationFunction=activation,
    )  # fmt: skip
    case.check(y)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize(
    ("axes", "keep"), [((1, 2), False), ((2, 1), True), ((-1,), False), ((1, 2, 3), True)]
)
@pytest.mark.parametrize("seed", range(3))
def test_mean(axes, keep, dtype, seed):
    case = Case(seed, (5, 7, 8), dtype)
    reduced = {axis % 4 for axis in axes}
    shape = [
        1 if i in reduced else n for i, n in enumerate((1, 5, 7, 8)) if keep or i not in reduced
    ]
    sy = case.sx * np.float32([1, 0.7, 2.3][seed])
    middle = 0 if dtype == "int8" else 128
    zy = case.zx if seed == 0 else round(middle - (middle - case.zx) * float(case.sx / sy))
    y = case.output(shape[1:], sy, int(np.clip(zy, middle - 128, middle + 127)))
    numbers = case.file.constant("axes", np.array(axes, np.int32))
    case.file.op("MEAN", [case.x, numbers], [y], 2, kind="ReducerOptions", keepDims=keep)
    case.check(y)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize(("axes", "shape"), [((1, 2), (4,)), ((-1,), (3, 5))])
def test_reduce_max(axes, shape, dtype):
    case = Case(2, (3, 5, 4), dtype)
    y = case.output(shape, case.sx, case.zx)
    numbers = case.file.constant("axes", np.array(axes, np.int32))
    case.file.op("REDUCE_MAX", [case.x, numbers], [y], 2, kind="ReducerOptions")
    case.check(y)


def test_movement():
    case = Case(4, (4, 6, 3))
    file, like = case.file, (case.sx, case.zx)
    same = lambda name, shape: file.tensor(name, [1, *shape], "int8", *like)  # noqa: E731
    padded = same("padded", (7, 7, 4))
    pads = file.constant("pads", np.array([[0, 0], [1, 2], [0, 1], [1, 0]], np.int32))
    file.op("PAD", [case.x, pads], [padded], 2, kind="PadOptions")
    part = same("part", (3, 4, 4))
    begin, end, step = (
        file.constant(n, np.array(v, np.int32))
        for n, v in (("begin", [0, 0, 1, 0]), ("end", [0, -1, 5, 99]), ("step", [1, 2, 1, 1]))
    )
    file.op(
        "STRIDED_SLICE", [padded, begin, end, step], [part], 2, kind="StridedSliceOptions",
        beginMask=3, endMask=1,
    )  # fmt: skip
    halves = [same("left", (3, 2, 4)), same("right", (3, 2, 4))]
    axis = file.constant("axis", np.array(2, np.int32))
    file.op("SPLIT", [axis, part], halves, 2, kind="SplitOptions", numSplits=2)
    joined = same("joined", (3, 2, 8))
    file.op("CONCATENATION", halves, [joined], 2, kind="ConcatenationOptions", axis=-1)
    turned = same("turned", (8, 3, 2))
    order = file.constant("order", np.array([0, 3, 1, 2], np.int32))
    file.op("TRANSPOSE", [joined, order], [turned], 2, kind="TransposeOptions")
    flat = same("flat", (48,))
    shape = file.constant("shape", np.array([1, -1], np.int32))
    file.op("RESHAPE", [turned, shape], [flat], kind="ReshapeOptions")
    case.check(flat)


def test_a_shape_that_the_file_computes():
    """As converters flatten: the batch of SHAPE, packed with a constant, is RESHAPE's shape."""
    case = Case(5, (3, 4, 2))
    file = case.file
    shape, batch, sizes_of = (
        file.tensor(name, of, "int32") for name, of in (("s", [4]), ("b", []), ("p", [2]))
    )
    file.op("SHAPE", [case.x], [shape], kind="ShapeOptions", outType=2)
    ends = [file.constant(n, np.array([v], np.int32)) for n, v in (("i", 0), ("j", 1), ("k", 1))]
    file.op("STRIDED_SLICE", [shape, *ends], [batch], kind="StridedSliceOptions", shrinkAxisMask=1)
    all_of_one = file.constant("all", np.array(24, np.int32))
    file.op("PACK", [batch, all_of_one], [sizes_of], kind="PackOptions", valuesCount=2)
    flat = file.tensor("y", [1, 24], "int8", case.sx, case.zx)
    file.op("RESHAPE", [case.x, sizes_of], [flat], kind="ReshapeOptions")
    case.check(flat)


def test_a_reshape_whose_shape_is_computed():
    """As converters write it where the batch is open: SHAPE, STRIDED_SLICE, PACK, RESHAPE."""
    case = Case(9, (3, 4))
    file = case.file
    shape, one, packed = (
        file.tensor(name, size, "int32") for name, size in (("s", [3]), ("n", []), ("p", [2]))
    )
    zero, end = (file.constant(f"c{v}", np.array([v], np.int32)) for v in (0, 1))
    twelve = file.constant("twelve", np.array(12, np.int32))
    y = case.output((12,), case.sx, case.zx)
    file.op("SHAPE", [case.x], [shape], kind="ShapeOptions", outType=schema.TensorType.INT32)
    slice_kind = {"kind": "StridedSliceOptions", "shrinkAxisMask": 1}
    file.op("STRIDED_SLICE", [shape, zero, end, end], [one], **slice_kind)
    file.op("PACK", [one, twelve], [packed], kind="PackOptions", valuesCount=2)
    file.op("RESHAPE", [case.x, packed], [y], kind="ReshapeOptions")
    case.check(y)


def test_concatenation_of_other_scales():
    case = Case(6, (3, 5), "uint8")
    y = case.output((3, 5), scale(case.rng), 100)
    case.file.op("CONCATENATION", [case.x], [y], 1, kind="ConcatenationOptions", axis=2)
    case.check(y)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("op", ["LOGISTIC", "TANH", "RELU", "RELU6", "RELU_N1_TO_1", "LEAKY_RELU"])
def test_functions(op, dtype):
    case = Case(len(op), (256,), dtype)
    low = np.iinfo(dtype).min
    fixed = {"LOGISTIC": (1 / 256, low), "TANH": (1 / 128, low + 128)}
    options = {"kind": "LeakyReluOptions", "alpha": 0.3} if op == "LEAKY_RELU" else {}
    y = case.output((256,), *fixed.get(op, (scale(case.rng), low + 50)))
    version = 1 if op in ("RELU_N1_TO_1",) else 2
    case.file.op(op, [case.x], [y], version, **options)
    case.check(y, np.arange(low, low + 256).astype(dtype)[None])


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("count", [2, 10, 33])
def test_softmax(count, dtype):
    case = Case(count, (count,), dtype)
    y = case.output((count,), 1 / 256, np.iinfo(dtype).min)
    case.file.op("SOFTMAX", [case.x], [y], 2, kind="SoftmaxOptions", beta=1.0)
    x = codes(case.rng, (200, count), dtype)
    x[::2] = x[::2] // 8 + 50
    case.check(y, x)


def test_softmax_where_floats_round_otherwise():
    """Codes that a softmax of f32 gives another code for: 1 / (1 + exp(-d s)) next to a tie."""
    rng = np.random.default_rng(1)
    found = 0
    while found < 4:
        s = np.float32(rng.uniform(0.005, 0.05))
        d = np.arange(1, 200)
        p = 256 / (1 + np.exp(-float(s) * d))
        near = d[np.abs(p - np.floor(p) - 0.5) < 1e-5]
        if not len(near):
            continue
        found += 1
        file = File()
        x = file.tensor("x", [1, 2], "int8", s, 0)
        y = file.tensor("y", [1, 2], "int8", 1 / 256, -128)
        file.op("SOFTMAX", [x], [y], 2, kind="SoftmaxOptions", beta=1.0)
        content = file.content([x], [y])
        given = np.array([[100, 100 - k] for k in near], np.int8)
        np.testing.assert_array_equal(by_us(content, given), by_litert(content, given))


def test_float_edges():
    file = File()
    x = file.tensor("x", [1, 50], "float32")
    codes_x = file.tensor("q", [1, 50], "int8", 0.05, 3)
    other = file.tensor("r", [1, 50], "uint8", 0.03, 100)
    y = file.tensor("y", [1, 50], "float32")
    file.op("QUANTIZE", [x], [codes_x], 1)
    file.op("QUANTIZE", [codes_x], [other], 2)
    file.op("DEQUANTIZE", [other], [y], 2)
    content = file.content([x], [y])
    rng = np.random.default_rng(0)
    given = (rng.standard_normal((40, 50)) * 3).astype(np.float32)
    given[0] = (np.arange(50) - 25 + 0.5) * np.float32(0.05)  # ties
    given[1] = np.linspace(-1e6, 1e6, 50)
    np.testing.assert_array_equal(by_us(content, given), by_litert(content, given))


def test_factors_of_one_scale_are_products_of_f32():
    """A large sum shows the last bits of a dense layer's factor."""
    for seed in range(8):
        case = Case(seed, (1,))
        sw = scale(case.rng, 1e-3, 1e-2)
        n = 200
        w = case.file.constant("w", np.ones((n, 1), np.int8), sw)
        b = case.rng.integers(-(2**31) + 99999, 2**31 - 99999, n).astype(np.int32)
        bias = case.file.constant("b", b, case.sx * sw)
        y = case.output((n,), float(case.sx * sw) * 2**31 / 128)
        case.file.op("FULLY_CONNECTED", [case.x, w, bias], [y], 4, kind="FullyConnectedOptions")
        case.check(y)


@pytest.mark.parametrize(
    "make",
    [
        tflite_networks.resnet8,
        tflite_networks.ds_cnn,
        tflite_networks.mobilenet,
        tflite_networks.autoencoder,
    ],
)
def test_networks(make, tmp_path):
    """Whole networks, read as a user's file and computed by the evaluator."""
    content = make()
    path = tmp_path / "net.tflite"
    path.write_bytes(content)
    network = load_model(path)
    x = codes(np.random.default_rng(0), (4, *network.input_shape))
    expected = by_litert(content, x)
    got = Evaluator(CompiledNetwork(network), Binding()).outputs(x)
    assert len(np.unique(expected, axis=0)) == len(x), "says nothing"
    np.testing.assert_array_equal(got, expected)
