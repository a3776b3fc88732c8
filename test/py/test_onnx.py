# SPDX-License-Identifier: Apache-2.0
"""Quantised ONNX files against ONNX's reference evaluator."""

import importlib

import numpy as np
import pytest

pytest.importorskip("onnx", reason="onnx (an extra) is not installed")

from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from quantized_programs import by_xla

from asnet_mlir.errors import InputError
from asnet_mlir.frontends import load_model
from asnet_mlir.frontends.onnx_file import parse_onnx
from asnet_mlir.frontends.onnx_layers import onnx_program


class Graph:
    """An ONNX graph that is being written."""

    def __init__(self, shape, dtype=np.float32):
        self.nodes, self.constants = [], []
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self.input = helper.make_tensor_value_info("x", kind, ["N", *shape])

    def constant(self, value):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, op, *inputs, **attributes):
        name = f"{op.lower()}_{len(self.nodes)}"
        given = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        self.nodes.append(helper.make_node(op, given, [name], name=name, **attributes))
        return name

    def quantized(self, x, scale, zero):
        """Return x between a quantisation and a dequantisation."""
        q = self.node("QuantizeLinear", x, np.float32(scale), np.int8(zero))
        return self.node("DequantizeLinear", q, np.float32(scale), np.int8(zero))

    def weights(self, codes, scale, axis=0):
        zero = np.zeros(np.shape(scale), np.int8)
        scale = np.asarray(scale, np.float32)
        return self.node("DequantizeLinear", codes, scale, zero, axis=axis)

    def model(self, output, dtype=np.float32, opset=19):
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        result = helper.make_tensor_value_info(output, kind, None)
        graph = helper.make_graph(self.nodes, "net", [self.input], [result], self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def outputs(model, x):
    """Return what the reference evaluator and what we make of samples."""
    expected = ReferenceEvaluator(model).run(None, {"x": x})[0]
    return expected, by_xla(onnx_program("net", parse_onnx(model.SerializeToString())), x)


def codes(rng, shape, dtype=np.int8):
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max + 1, shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("per_channel", [False, True])
def test_qlinear_conv(dtype, per_channel):
    rng = np.random.default_rng(per_channel)
    graph = Graph((4, 6, 5), dtype)
    zero = dtype(120 if dtype == np.uint8 else -3)
    zeros = np.full(6 if per_channel else (), zero if dtype == np.uint8 else 0, dtype)
    scale = rng.uniform(0.01, 0.02, zeros.shape).astype(np.float32)
    y = graph.node(
        "QLinearConv", "x", np.float32(0.05), zero, codes(rng, (6, 2, 3, 3), dtype), scale, zeros,
        np.float32(0.4), zero, rng.integers(-900, 900, 6).astype(np.int32), group=2,
        pads=[1, 0, 0, 1], strides=[2, 1],
    )  # fmt: skip
    expected, got = outputs(graph.model(y, dtype), codes(rng, (5, 4, 6, 5), dtype))
    np.testing.assert_array_equal(got, expected)


def test_qlinear_matmul():
    rng = np.random.default_rng(0)
    graph = Graph((30,), np.uint8)
    y = graph.node(
        "QLinearMatMul", "x", np.float32(0.05), np.uint8(100), codes(rng, (30, 8), np.uint8),
        np.float32(0.01), np.uint8(130), np.float32(0.3), np.uint8(127),
    )  # fmt: skip
    expected, got = outputs(graph.model(y, np.uint8), codes(rng, (40, 30), np.uint8))
    np.testing.assert_array_equal(got, expected)


def test_elementwise():
    """Each operation in f32, as the file says it: equal bits."""
    rng = np.random.default_rng(0)
    graph = Graph((3, 8))
    x = graph.quantized("x", 0.1, 3)
    y = graph.node("Relu", graph.quantized(graph.node("Add", x, x), 0.15, -2))
    y = graph.quantized(graph.node("Mul", y, x), 0.3, 1)
    y = graph.quantized(graph.node("Sub", y, x), 0.2, 0)
    y = graph.quantized(graph.node("Clip", y, np.float32(-3), np.float32(6)), 0.2, 0)
    x = (rng.standard_normal((50, 3, 8)) * 6).astype(np.float32)
    x[0, 0] = (np.arange(8) - 4 + 0.5) * np.float32(0.1)  # ties
    expected, got = outputs(graph.model(y), x)
    np.testing.assert_array_equal(got, expected)


def test_constants():
    """Weights that the file quantises itself, `Constant` nodes, operands of several numbers."""
    rng = np.random.default_rng(0)
    graph = Graph((4, 5, 3))
    x = graph.quantized("x", 0.1, 3)
    value = numpy_helper.from_array(rng.normal(0, 1, (6, 4, 1, 1)).astype(np.float32))
    scale, zero = np.full(6, 0.013, np.float32), np.zeros(6, np.int8)
    w = graph.node("QuantizeLinear", graph.node("Constant", value=value), scale, zero, axis=0)
    w = graph.node("Identity", graph.node("DequantizeLinear", w, scale, zero, axis=0))
    y = graph.quantized(graph.node("Conv", x, w), 0.1, 0)
    y = graph.node("Mul", y, rng.normal(0, 1, (1, 6, 1, 1)).astype(np.float32))
    y = graph.node("Add", rng.normal(0, 1, (5, 3)).astype(np.float32), graph.quantized(y, 0.1, 2))
    y = graph.node("Flatten", graph.quantized(y, 0.1, 0))
    x = rng.normal(0, 3, (20, 4, 5, 3)).astype(np.float32)
    expected, got = outputs(graph.model(y), x)
    steps = np.abs(np.rint((got - expected) / 0.1))
    assert steps.max() <= 1 and steps.mean() < 0.01


@pytest.mark.parametrize("op", ["Softmax", "Sigmoid", "Tanh"])
def test_functions(op):
    """In f32; codes of them differ by one at most, f32 by rounding."""
    graph = Graph((3, 8))
    y = graph.node(op, graph.quantized("x", 0.1, 3))
    x = (np.random.default_rng(0).standard_normal((50, 3, 8)) * 3).astype(np.float32)
    expected, got = outputs(graph.model(y), x)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-7)
    expected, got = outputs(graph.model(graph.quantized(y, 1 / 128, -5)), x)
    assert np.abs(np.rint((got - expected) * 128)).max() <= 1


@pytest.mark.parametrize(
    ("op", "names"),
    [
        ("QLinearConv", {"qlinearconv"}),
        ("QLinearMatMul", {"qlinearmatmul_2D_uint8_float32", "qlinearmatmul_2D_int8_float32"}),
        ("QuantizeLinear", {"quantizelinear", "quantizelinear_uint16", "quantizelinear_int16"}),
        (
            "DequantizeLinear",
            {"dequantizelinear", "dequantizelinear_uint16", "dequantizelinear_int16"},
        ),
    ],
)
def test_node_tests(op, names, monkeypatch):
    """ONNX's own tests of single nodes."""
    module = importlib.import_module(f"onnx.backend.test.case.node.{op.lower()}")
    cases = {}
    take = lambda node, inputs, outputs, name, **_: cases.update({name: (node, inputs, outputs)})  # noqa: E731
    monkeypatch.setattr(module, "expect", take)
    kind = getattr(module, op)
    for name in dir(kind):
        if name.startswith("export"):
            getattr(kind, name)()
    for name in names:
        node, (x, *rest), (expected,) = cases[f"test_{name}"]
        graph = Graph(x.shape[1:], x.dtype)
        graph.nodes.append(node)
        graph.input.name = node.input[0]
        values = zip(node.input[1:], rest, strict=True)
        graph.constants = [numpy_helper.from_array(np.asarray(v), n) for n, v in values]
        model = graph.model(node.output[0], expected.dtype, opset=21)
        got = by_xla(onnx_program("net", parse_onnx(model.SerializeToString())), x)
        np.testing.assert_array_equal(got, expected, err_msg=name)


def network(rng):
    graph = Graph((3, 8, 8))
    x = graph.quantized("x", 0.05, 2)
    w = graph.weights(codes(rng, (8, 3, 3, 3)), rng.uniform(0.002, 0.004, 8))
    bias = rng.normal(0, 0.3, 8).astype(np.float32)
    y = graph.node("Relu", graph.node("Conv", x, w, bias, pads=[1, 1, 1, 1]))
    y = graph.quantized(y, 0.04, -128)
    y = graph.node("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2])
    w = graph.weights(codes(rng, (8, 1, 3, 3)), 0.004)
    z = graph.quantized(graph.node("Conv", y, w, group=8, auto_pad="SAME_UPPER"), 0.03, 1)
    z = graph.quantized(graph.node("Add", z, y), 0.05, -60)
    z = graph.node("Concat", z, z, axis=1)
    z = graph.quantized(graph.node("AveragePool", z, kernel_shape=[2, 2], strides=[2, 2]), 0.04, 0)
    flat = graph.node("Flatten", z)
    w = graph.weights(codes(rng, (10, 64)), 0.002)
    logits = graph.node("Gemm", flat, w, rng.normal(0, 1, 10).astype(np.float32), transB=1)
    return graph.model(graph.quantized(logits, 0.1, 0)), 0.1


def test_a_network():
    """Products are of integers here and of f32 there: codes differ by one, and seldom."""
    rng = np.random.default_rng(1)
    model, scale = network(rng)
    x = rng.standard_normal((40, 3, 8, 8)).astype(np.float32) * 3
    expected, got = outputs(model, x)
    steps = np.abs(np.rint((got - expected) / scale))
    assert len(np.unique(expected)) > 50
    assert steps.max() <= 1 and steps.mean() < 0.05


def test_global_average():
    graph = Graph((4, 5, 3))
    y = graph.quantized(graph.node("GlobalAveragePool", graph.quantized("x", 0.1, 7)), 0.03, -4)
    x = np.random.default_rng(0).normal(1, 3, (30, 4, 5, 3)).astype(np.float32)
    expected, got = outputs(graph.model(graph.node("Flatten", y)), x)
    assert np.abs(np.rint((got - expected) / 0.03)).max() <= 1
    assert (got == expected).mean() > 0.98


def test_a_file(tmp_path):
    model, _ = network(np.random.default_rng(1))
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    loaded = load_model(path)
    assert loaded.input_shape == (3, 8, 8) and loaded.output_shape == (10,)


def refused(tmp_path, content, says):
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        load_model(path)
    assert "\n" not in str(caught.value)


def test_refused(tmp_path):
    graph = Graph((3, 4))
    y = graph.quantized("x", 0.1, 0)
    refused(tmp_path, graph.model(y, opset=9).SerializeToString(), r"opset \[9\]")
    refused(tmp_path, b"\xff\xff\xff\xff not one", "not an ONNX file")
    graph = Graph((3, 4))
    y = graph.node("Unique", graph.quantized("x", 0.1, 0))
    refused(tmp_path, graph.model(y).SerializeToString(), "op Unique, which .*is not supported")
    graph = Graph((3, 4))
    y = graph.quantized("x", -0.1, 0)
    refused(tmp_path, graph.model(y).SerializeToString(), "scale -0.1: scales must be positive")
    graph = Graph((3, 4))
    y = graph.quantized("x", 0.1, 0)
    model = graph.model(y)
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    refused(tmp_path, model.SerializeToString(), "lies in another file, which it does not name")
    graph = Graph((3, "height"))
    y = graph.quantized("x", 0.1, 0)
    refused(tmp_path, graph.model(y).SerializeToString(), "input 'x' has no fixed shape")


def fuzz(seed, count):
    """Return how many of `count` damaged files were read all the same."""
    rng = np.random.default_rng(seed)
    content = network(np.random.default_rng(1))[0].SerializeToString()
    read = 0
    for _ in range(count):
        data = bytearray(content)
        for place in rng.integers(0, len(data), int(rng.integers(1, 6))):
            data[place] = rng.integers(256)
        try:
            onnx_program("net", parse_onnx(bytes(data)))
            read += 1
        except InputError:
            pass
    return read


def test_damaged_files():
    assert 0 < fuzz(0, 300) < 300
