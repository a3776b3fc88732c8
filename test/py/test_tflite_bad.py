# SPDX-License-Identifier: Apache-2.0
"""TensorFlow Lite files that can't be read: one clear line, whatever their bytes are."""

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="LiteRT (extra 'test') is not installed")

from ai_edge_litert import schema_py_generated as schema
from tflite_files import TYPES, File, packed
from tflite_networks import Stack

from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.frontends import load_model
from asnet_mlir.frontends.tflite_layers import layer_names, program_of
from asnet_mlir.frontends.tflite_model import read_tflite


def small():
    """A network of a convolution, a pool and a dense layer."""
    return Stack(0, (6, 6, 2)).conv(4, (3, 3)).pool().flat().dense(3).softmax()


def read(content):
    return program_of("net", read_tflite(content))


def model_of(change):
    net = small()
    model = net.file.model([net.input], [net.at])
    change(model, model.subgraphs[0])
    return packed(model)


def tensor(graph, name):
    return next(t for t in graph.tensors if t.name.startswith(name))


def set_scale(value):
    def change(model, graph):
        tensor(graph, "net/Conv2D").quantization.scale = [value]

    return change


def set_zero(value):
    def change(model, graph):
        tensor(graph, "net/Conv2D").quantization.zeroPoint = [value]

    return change


def set_code(name):
    def change(model, graph):
        code = getattr(schema.BuiltinOperator, name)
        model.operatorCodes[0].builtinCode = code
        model.operatorCodes[0].deprecatedBuiltinCode = min(code, 127)

    return change


def set_version(model, graph):
    model.operatorCodes[0].version = 99


def set_type(name, dtype):
    def change(model, graph):
        tensor(graph, name).type = TYPES[dtype]

    return change


def drop_quantization(model, graph):
    tensor(graph, "net/Conv2D").quantization = None


def set_dynamic(model, graph):
    graph.tensors[graph.inputs[0]].shapeSignature = [-1, -1, 6, 2]


def two_graphs(model, graph):
    model.subgraphs.append(graph)


def two_inputs(model, graph):
    graph.inputs = [graph.inputs[0], 2]


def no_output(model, graph):
    graph.outputs = []


def wrong_axis(model, graph):
    tensor(graph, "w0").quantization.quantizedDimension = 2


def few_scales(model, graph):
    tensor(graph, "w0").quantization.scale = [0.1, 0.1]
    tensor(graph, "w0").quantization.zeroPoint = [0, 0]


def short_data(model, graph):
    model.buffers[tensor(graph, "w0").buffer].data = np.zeros(5, np.uint8)


def custom(model, graph):
    model.operatorCodes[0].builtinCode = 32
    model.operatorCodes[0].deprecatedBuiltinCode = 32
    model.operatorCodes[0].customCode = "my.op"


def unknown_tensor(model, graph):
    graph.operators[0].inputs = [0, 1, 400]


def no_stride(model, graph):
    graph.operators[0].builtinOptions.strideH = 0


def sparse(model, graph):
    tensor(graph, "w0").sparsity = schema.SparsityParametersT()


def later(model, graph):
    graph.operators[0], graph.operators[1] = graph.operators[1], graph.operators[0]


def old_version(model, graph):
    model.version = 2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (set_scale(0.0), "'net/Conv2D_1': scale 0: scales must be positive"),
        (set_scale(-0.5), "scale -0.5"),
        (set_scale(np.inf), "scale inf"),
        (set_scale(np.nan), "scale nan"),
        (set_zero(128), "zero point 128: must be a code, an integer from -128 to 127"),
        (set_zero(-(2**40)), "zero point -1099511627776"),
        (set_code("VAR_HANDLE"), "op VAR_HANDLE: networks that keep state"),
        (set_code("LSTM"), "op LSTM, which gives 'net/Conv2D_1', is not supported"),
        (custom, "op 'my.op', which gives 'net/Conv2D_1', is not supported"),
        (set_version, "version 99 of op CONV_2D, which gives 'net/Conv2D_1'"),
        (set_type("w0", "int4"), "tensor 'w0' is INT4"),
        (set_type("net/Conv2D", "int16"), "tensor 'net/Conv2D_1' is INT16"),
        (set_type("net/Conv2D", "float32"), "tensor 'net/Conv2D_1' is FLOAT32"),
        (set_type("b0", "int8"), "tensor 'b0' is INT8, expected INT32"),
        (drop_quantization, "tensor 'net/Conv2D_1' is not quantised"),
        (set_dynamic, "tensor 'input' has no fixed shape"),
        (two_graphs, "2 subgraphs"),
        (two_inputs, "the input 'b0' is a constant"),
        (no_output, "has no output"),
        (wrong_axis, "scales of 'w0' are along axis 2, not 0"),
        (few_scales, "2 scales for 'w0'"),
        (short_data, "5 bytes don't hold"),
        (unknown_tensor, "names a tensor that is not there"),
        (no_stride, "must be positive"),
        (sparse, "'w0' is sparse"),
        (later, "'net/Conv2D_1' is used before an op gives it"),
        (old_version, "version 2 of the format"),
    ],
)
def test_refused(change, says):
    with pytest.raises(InputError) as caught:
        read(model_of(change))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_float_networks_are_refused():
    file = File()
    x, y = (file.tensor(name, [1, 4], "float32") for name in "xy")
    file.op("LOGISTIC", [x], [y])
    with pytest.raises(UnsupportedError, match="'x' is FLOAT32"):
        read(file.content([x], [y]))


def test_mixed_samples_are_refused():
    file = File()
    x = file.tensor("x", [1, 4, 3], "int8", 0.1)
    y = file.tensor("y", [4, 3], "int8", 0.1)
    file.op("RESHAPE", [x], [y])
    with pytest.raises(UnsupportedError, match="mixes samples"):
        read(file.content([x], [y]))


def test_a_file_is_named(tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(b"PK\x03\x04 something else")
    with pytest.raises(InputError, match=r"net\.tflite: not a TensorFlow Lite file"):
        load_model(path)
    with pytest.raises(InputError, match=r"missing\.tflite: no such file"):
        load_model(tmp_path / "missing.tflite")


def damaged(rng, content):
    """Return a file with some bytes changed, or cut, or both."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 8))):
        place = int(rng.integers(8, len(data)))
        data[place] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.integers(256)]))
    return bytes(data[: int(rng.integers(16, len(data)))] if rng.random() < 0.2 else data)


def fuzz(seed, count):
    """Return how many of `count` damaged files were read all the same."""
    rng, net = np.random.default_rng(seed), small()
    content = net.content()
    read_anyway = 0
    for _ in range(count):
        try:
            read(damaged(rng, content))
            read_anyway += 1
        except InputError:
            pass
    return read_anyway


def test_damaged_files():
    assert 0 < fuzz(0, 400) < 400


def test_names_of_layers():
    net = small()
    names = layer_names(read_tflite(net.content()))
    assert names == ["Conv2D_1", "AvgPool_2", "Reshape_3", "MatMul_4", "Softmax_5"]
    file = File()
    x = file.tensor("x", [1, 4], "int8", 0.1)
    at = x
    for name in (
        "m/a/Relu;m/a/BiasAdd",
        "m/a/add",
        "StatefulPartitionedCall:0",
        "m/b c[0]/Relu6;x",
        "m/d/MatMul2",
        "StatefulPartitionedCall_1:0",
    ):
        given, at = at, file.tensor(name, [1, 4], "int8", 0.1)
        file.op("RESHAPE", [given], [at])
    assert layer_names(read_tflite(file.content([x], [at]))) == [
        "a", "a_1", "reshape", "b_c_0_", "d", "reshape_1",
    ]  # fmt: skip
