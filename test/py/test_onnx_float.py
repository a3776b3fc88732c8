# SPDX-License-Identifier: Apache-2.0
"""ONNX files of floats against ONNX's own tests of nodes and its reference evaluator."""

import importlib
import os
import warnings

import numpy as np
import pytest

pytest.importorskip("onnx", reason="onnx (an extra) is not installed")

import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import asnet_mlir
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.frontends import load_model
from asnet_mlir.frontends.onnx_float import TRANSLATIONS
from asnet_mlir.frontends.onnx_graph import OnnxFunction

#: Modules of ONNX's node tests of ops with many ways, all of which are run.
_MODULES = (
    "averagepool", "convtranspose", "gru", "layernormalization", "pad", "reducel2", "resize",
    "slice", "split", "squeeze", "topk", "unsqueeze",
)  # fmt: skip
#: What is refused, with its reason, as files of networks do not have it.
_REFUSED = ("codes of", "blocks", "training_mode", "tf_crop", "antialias", "must be a constant",
            "depends on the data", "is no tensor", "not supported", "random numbers", "opset",
            "no identity", "holds object", "custom op")  # fmt: skip


def node_tests():
    """Return ONNX's tests of nodes of one op each: of some modules, or all."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        if os.environ.get("ASNET_DEEP"):
            loader = importlib.import_module("onnx.backend.test.loader")
            found = loader.load_model_tests(kind="node")
        else:  # the package collects tests as its modules are imported, which takes seconds for all
            cases = importlib.import_module("onnx.backend.test.case.node")
            for name in _MODULES:
                importlib.import_module(f"{cases.__name__}.{name}")
            found = list(cases._NodeTestCases)
    for test in found:
        ops = {node.op_type for node in test.model.graph.node}
        if len(ops) == 1 and ops <= set(TRANSLATIONS) and "_cast_" not in test.name:
            yield test


def array(value):
    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)


def check(test):
    """Compare a node test; return whether it was refused."""
    names = [value.name for value in test.model.graph.input]
    given, expected = ([array(value) for value in part] for part in test.data_sets[0])
    model = onnx.ModelProto()
    model.CopyFrom(test.model)
    for name, value in list(zip(names, given, strict=False))[1:]:
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    try:
        function = OnnxFunction(test.name, model, TRANSLATIONS)
        inputs = {name: given[names.index(name)] for name in function.inputs}
        function.find_weights({name: value.shape for name, value in inputs.items()})
        results = function(inputs, list(function.weights.values()))
    except InputError as error:
        assert any(reason in str(error) for reason in _REFUSED), error
        return True
    for result, right in zip(results, expected, strict=True):
        near = 1e-2 if right.dtype == np.float16 else 1e-3
        assert result.shape == right.shape, test.name
        np.testing.assert_allclose(
            np.asarray(result).astype(np.float64), right.astype(np.float64), near, 1e-5,
            err_msg=test.name,
        )  # fmt: skip
    return False


def test_node_tests_of_onnx():
    refused = [check(test) for test in node_tests()]
    assert refused.count(False) > (600 if os.environ.get("ASNET_DEEP") else 90)


class Graph:
    """An ONNX graph that is being written."""

    def __init__(self, shape, batch="N"):
        self.rng = np.random.default_rng(0)
        self.nodes, self.constants = [], []
        self.input = helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *shape])

    def weight(self, *shape, scale=0.2, name=None):
        value = (self.rng.standard_normal(shape) * scale).astype(np.float32)
        return self.constant(value, name)

    def constant(self, value, name=None):
        name = name or f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, op, *inputs, name=None, outputs=1, **attributes):
        name = name or f"{op.lower()}_{len(self.nodes)}"
        results = [name] if outputs == 1 else [f"{name}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), results, name=name, **attributes))
        return name if outputs == 1 else results

    def model(self, output, opset=19):
        result = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "net", [self.input], [result], self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def save(path, model):
    path.write_bytes(model.SerializeToString())
    return path


def compare(path, model, x, near=2e-5):
    expected = ReferenceEvaluator(model).run(None, {"x": x})[0]
    network = load_model(save(path, model))
    got = asnet_mlir.run(network, x).outputs
    scale = np.abs(expected).max()
    assert np.abs(got - expected).max() <= near * scale
    return network


def images(graph):
    """A residual network with what classifiers and segmenters have."""
    x = graph.node("Conv", "x", graph.weight(8, 3, 3, 3, name="stem.weight"), graph.weight(8),
                   name="/stem/Conv", pads=[1, 1, 1, 1], strides=[2, 2])  # fmt: skip
    x = graph.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    skip = x
    statistics = [graph.weight(8), graph.weight(8), graph.weight(8),
                  graph.constant(np.full(8, 0.7, np.float32))]  # fmt: skip
    x = graph.node("BatchNormalization", x, *statistics, name="norm")
    x = graph.node("Conv", graph.node("Relu", x), graph.weight(8, 1, 3, 3), group=8,
                   auto_pad="SAME_UPPER", name="depthwise")  # fmt: skip
    x = graph.node("Add", graph.node("HardSwish", x), skip)
    x = graph.node("ConvTranspose", x, graph.weight(8, 6, 2, 2), strides=[2, 2])
    up = graph.node("Resize", x, "", graph.constant(np.array([1, 1, 2, 2], np.float32)),
                    mode="linear")  # fmt: skip
    x = graph.node("AveragePool", up, kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 1, 1])
    x = graph.node("Concat", x, graph.node("Neg", x), axis=1)
    squeezed = graph.node("GlobalAveragePool", x)
    x = graph.node("Mul", x, graph.node("Sigmoid", squeezed))
    x = graph.node("Flatten", graph.node("ReduceMean", x, axes=[3], keepdims=0))
    return graph.node("Softmax", graph.node("MatMul", x, graph.weight(48, 4), name="head"))


@pytest.mark.parametrize("batch", ["N", 1, 2])
def test_network_on_images(tmp_path, batch):
    graph = Graph((3, 10, 12), batch)
    output = images(graph)
    x = np.random.default_rng(1).standard_normal((2, 3, 10, 12)).astype(np.float32)
    network = compare(tmp_path / "net.onnx", graph.model(output), x)
    text = network.lower(network.fixed_batch or 1)
    assert '"jit(flat)/stem/' in text and '"jit(flat)/depthwise/' in text
    assert "stem.weight" in [weight.name for weight in network.weights]
    # Of the input, of each dimension that is resized, and where channels become a vector.
    assert network.stablehlo(network.fixed_batch or 1).count("stablehlo.transpose") <= 4


def test_transformer(tmp_path):
    graph = Graph((6, 8))
    shape = graph.node("Shape", "x")
    batch = graph.node("Gather", shape, graph.constant(np.int64(0)))
    heads = graph.node(
        "Concat", graph.node("Unsqueeze", batch, graph.constant(np.array([0]))),
        graph.constant(np.array([-1, 2, 4])), axis=0,
    )  # fmt: skip
    normed = graph.node("LayerNormalization", "x", graph.weight(8), graph.weight(8))
    q, k, v = (
        graph.node("Reshape", graph.node("MatMul", normed, graph.weight(8, 8)), heads)
        for _ in range(3)
    )
    q, v = (graph.node("Transpose", part, perm=[0, 2, 1, 3]) for part in (q, v))
    scores = graph.node("MatMul", q, graph.node("Transpose", k, perm=[0, 2, 3, 1]))
    mask = graph.constant(np.where(np.tri(6, dtype=bool), 0, -1e4).astype(np.float32))
    shares = graph.node("Softmax", graph.node("Add", scores, mask), axis=-1)
    mixed = graph.node("Transpose", graph.node("MatMul", shares, v), perm=[0, 2, 1, 3])
    flat = graph.node("Reshape", mixed, graph.constant(np.array([0, 0, 8])))
    x = graph.node("Add", "x", flat)
    erf = graph.node("Erf", graph.node("Div", x, graph.constant(np.float32(2**0.5))))
    x = graph.node("Mul", x, graph.node("Add", erf, graph.constant(np.float32(1))))
    first = graph.node("Slice", x, *(graph.constant(np.array([n])) for n in (0, 1, 1)))
    y = graph.node("Gemm", graph.node("Squeeze", first, graph.constant(np.array([1]))),
                   graph.weight(3, 8), graph.weight(3), transB=1)  # fmt: skip
    x = np.random.default_rng(1).standard_normal((3, 6, 8)).astype(np.float32)
    compare(tmp_path / "net.onnx", graph.model(y), x)


def test_recurrent_network(tmp_path):
    graph = Graph((4, 3))
    x = graph.node("Transpose", "x", perm=[1, 0, 2])
    h = graph.node("LSTM", x, graph.weight(2, 20, 3), graph.weight(2, 20, 5), graph.weight(2, 40),
                   hidden_size=5, direction="bidirectional", outputs=3)  # fmt: skip
    x = graph.node("Transpose", h[0], perm=[0, 2, 1, 3])
    x = graph.node("Reshape", x, graph.constant(np.array([0, 0, -1])))
    h = graph.node("GRU", x, graph.weight(1, 12, 10), graph.weight(1, 12, 4), graph.weight(1, 24),
                   hidden_size=4, linear_before_reset=1, outputs=2)  # fmt: skip
    y = graph.node("Squeeze", h[1], graph.constant(np.array([0])))
    x = np.random.default_rng(1).standard_normal((3, 4, 3)).astype(np.float32)
    compare(tmp_path / "net.onnx", graph.model(y), x)


def test_a_batch_that_the_file_fixes(tmp_path):
    """A reshape that says the batch works for no other."""
    graph = Graph((2, 3), batch=2)
    y = graph.node("Tanh", graph.node("Reshape", "x", graph.constant(np.array([2, 6]))))
    network = load_model(save(tmp_path / "net.onnx", graph.model(y)))
    assert network.fixed_batch == 2
    x = np.linspace(-1, 1, 24, dtype=np.float32).reshape(4, 2, 3)
    np.testing.assert_allclose(asnet_mlir.run(network, x).outputs, np.tanh(x.reshape(4, 6)), 1e-6)


def test_some_layers_quantised(tmp_path):
    graph = Graph((4,))
    scale, zero = graph.constant(np.float32(0.05)), graph.constant(np.int8(3))
    q = graph.node("QuantizeLinear", "x", scale, zero)
    x = graph.node("DequantizeLinear", q, scale, zero)
    y = graph.node("Elu", graph.node("MatMul", x, graph.weight(4, 3)))
    x = np.random.default_rng(1).standard_normal((5, 4)).astype(np.float32)
    compare(tmp_path / "net.onnx", graph.model(y), x)


def dense(name="weights"):
    graph = Graph((4,))
    return graph, graph.node("MatMul", "x", graph.weight(4, 3, name=name), name="dense")


def external(model, location, **more):
    tensor = model.graph.initializer[0]
    data = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=str(value))
    return data


def test_external_data(tmp_path):
    graph, y = dense()
    model = graph.model(y)
    x = np.eye(4, dtype=np.float32)
    expected = ReferenceEvaluator(model).run(None, {"x": x})[0]
    data = external(model, "net.bin", offset=64, length=48)
    path = save(tmp_path / "net.onnx", model)
    with pytest.raises(
        InputError, match=r"net.onnx: 'weights' lies in 'net.bin', which is missing"
    ):
        load_model(path)
    (tmp_path / "net.bin").write_bytes(bytes(64) + data)
    assert (asnet_mlir.run(load_model(path), x).outputs == expected).all()
    (tmp_path / "net.bin").write_bytes(bytes(64) + (2 * np.frombuffer(data, "<f4")).tobytes())
    assert (asnet_mlir.run(load_model(path), x).outputs == 2 * expected).all()
    (tmp_path / "net.bin").write_bytes(data)
    with pytest.raises(InputError, match="at 64, 48 bytes long, in net.bin, which has 48"):
        load_model(path)


@pytest.mark.parametrize("location", ["../net.bin", "/etc/passwd", "sub/../../net.bin", "link"])
def test_external_data_outside_of_the_folder(tmp_path, location):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "net.bin").write_bytes(bytes(48))
    (folder / "link").symlink_to(tmp_path / "net.bin")
    graph, y = dense()
    model = graph.model(y)
    external(model, location)
    with pytest.raises(InputError, match="outside of the file's folder, which is not read"):
        load_model(save(folder / "net.onnx", model))


def broken(change):
    graph, y = dense()
    model = graph.model(y)
    change(model)
    return model


def cycle(model):
    model.graph.node[0].input[0] = "again"
    model.graph.node.append(helper.make_node("Relu", ["dense"], ["again"], name="relu"))


def custom(model):
    model.graph.node[0].op_type, model.graph.node[0].domain = "Fused", "com.acme"
    model.opset_import.add(domain="com.acme", version=1)


def unknown(model):
    model.graph.node[0].op_type = "NonMaxSuppression"


def lost(model):
    del model.graph.initializer[:]


def old(model):
    model.opset_import[0].version = 9


def open_size(model):
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "features"


def wrong_size(model):
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 5


def mixed(model):
    model.graph.node[0].op_type = "Softmax"
    del model.graph.node[0].input[1]
    model.graph.node[0].attribute.append(helper.make_attribute("axis", 0))


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (cycle, InputError, "nodes that wait for each other, a cycle, among 'dense', 'relu'"),
        (custom, UnsupportedError,
         "op Fused of layer 'dense', which .*: is a custom op, of the domain 'com.acme'"),
        (unknown, UnsupportedError, "op NonMaxSuppression of layer 'dense'.* is not supported"),
        (lost, InputError, "no node gives its input 'weights'"),
        (old, UnsupportedError, "opset 9; 11 and later are supported"),
        (open_size, InputError, r"input 'x' is of the open shape \[\?, \?\]"),
        (wrong_size, InputError, "op MatMul of layer 'dense'"),
        (mixed, UnsupportedError, "mixes the samples of a batch"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file(tmp_path, change, kind, message):
    path = save(tmp_path / "net.onnx", broken(change))
    with pytest.raises(InputError, match=message) as error:
        load_model(path)
    assert type(error.value) is kind
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


def test_layers_are_named_by_modules_of_pytorch(tmp_path):
    graph, y = dense()
    graph.nodes[0].name = "/layer1/layer1.0/conv1/MatMul"
    y = graph.node("Relu", y, name="node_relu")
    graph.nodes[1].metadata_props.add(
        key="pkg.torch.onnx.name_scopes", value="['', 'head', 'head.1', 'relu']"
    )
    text = load_model(save(tmp_path / "net.onnx", graph.model(y))).lower(1)
    assert '"jit(flat)/layer1.0.conv1/' in text and "/head.1/" in text


def test_several_inputs_and_outputs(tmp_path):
    graph = Graph((4,))
    y = graph.node("MatMul", "x", graph.weight(4, 3))
    total = graph.node("Add", y, "bias_in", name="total")
    model = graph.model(graph.node("Tanh", total, name="squashed"))
    model.graph.input.append(helper.make_tensor_value_info("bias_in", TensorProto.FLOAT, ["N", 3]))
    model.graph.output.append(helper.make_tensor_value_info("total", TensorProto.FLOAT, None))
    x = np.random.default_rng(1).standard_normal((5, 4)).astype(np.float32)
    b = np.random.default_rng(2).standard_normal((5, 3)).astype(np.float32)
    expected = ReferenceEvaluator(model).run(None, {"x": x, "bias_in": b})
    network = load_model(save(tmp_path / "net.onnx", model))
    assert network.inputs.names == ("x", "bias_in") and network.outputs.names == (
        "squashed",
        "total",
    )
    row = network.reference(network.inputs.pack({"x": x, "bias_in": b}))
    for name, right in zip(network.outputs.names, expected, strict=True):
        np.testing.assert_allclose(network.outputs.unpack(row)[name], right, 1e-5, 1e-6)


def test_one_initializer_of_several_ops(tmp_path):
    """Each op turns it in its own way: none takes what another one made of it."""
    graph = Graph((4, 5, 5))
    w = graph.weight(4, 2, 3, 3)
    x = graph.node("Conv", "x", w, group=2, pads=[1, 1, 1, 1])
    x = graph.node("ConvTranspose", x, w, pads=[1, 1, 1, 1])
    x = np.random.default_rng(1).standard_normal((3, 4, 5, 5)).astype(np.float32)
    expected = ReferenceEvaluator(graph.model(graph.nodes[-1].output[0])).run(None, {"x": x})[0]
    network = load_model(save(tmp_path / "net.onnx", graph.model(graph.nodes[-1].output[0])))
    np.testing.assert_allclose(network.reference(x), expected, 1e-4, 1e-5)
