# SPDX-License-Identifier: Apache-2.0
"""Networks of several inputs and outputs, through every verb."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import asnet_mlir
from asnet_mlir.cli.main import main
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.evaluation import Evaluator
from asnet_mlir.frontends.keras import import_keras
from asnet_mlir.metrics import metric_named
from asnet_mlir.support.formats import parse_format
from asnet_mlir.support.parts import Part, Parts

RNG = np.random.default_rng(0)
TRUNK = (0.3 * RNG.standard_normal((6, 5))).astype(np.float32)
HEAD = (0.3 * RNG.standard_normal((10, 3))).astype(np.float32)
TABLE = RNG.standard_normal((11, 5)).astype(np.float32)


def siamese(x: Any, trunk: Any, head: Any) -> Any:
    import jax
    import jax.numpy as jnp

    def shared(image: Any) -> Any:
        with jax.named_scope("trunk"):
            return jax.nn.relu(image.reshape(-1, 6) @ trunk)

    both = jnp.concatenate([shared(x["left"]), shared(x["right"])], 1)
    with jax.named_scope("head"):
        return both @ head


def stacked_siamese(x: Any, trunk: Any) -> Any:
    """Both inputs go through the trunk as one batch of twice the size."""
    import jax.numpy as jnp

    both = jnp.concatenate([x["left"].reshape(-1, 6), x["right"]], 0) @ trunk
    return jnp.abs(jnp.subtract(*jnp.split(both, 2)))


def heads(x: Any, trunk: Any) -> Any:
    import jax

    with jax.named_scope("trunk"):
        hidden = jax.nn.relu(x @ trunk)
    return {"class": jax.nn.softmax(hidden @ HEAD[:5]), "size": hidden.sum(-1), "own": (x, hidden)}


def tokens(x: Any, trunk: Any) -> Any:
    import jax.numpy as jnp

    rows = jnp.take(jnp.asarray(TABLE), jnp.clip(x["ids"], 0, 10), axis=0).sum(1)
    return rows + x["dense"] @ trunk, x["ids"] + 1


def narrow(x: Any) -> Any:
    import jax.numpy as jnp

    return x[0].astype(jnp.float32).sum(1, keepdims=True) + x[1].astype(jnp.float32) + x[2], x[0]


def residual(x: Any, trunk: Any) -> Any:
    """The second output is an intermediate of the first."""
    import jax

    with jax.named_scope("trunk"):
        hidden = jax.nn.relu(x["image"].reshape(-1, 6) @ trunk)
    with jax.named_scope("mix"):
        mixed = hidden + x["extra"] @ trunk[:5]
    with jax.named_scope("head"):
        return {"scores": mixed @ HEAD[:5], "hidden": hidden}


def zeros(shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
    return np.zeros((2, *shape), dtype)


PAIR = {"left": zeros((2, 3)), "right": zeros((6,))}
MODELS = {
    "siamese": (siamese, (PAIR, TRUNK, HEAD)),
    "stacked": (stacked_siamese, (PAIR, TRUNK)),
    "heads": (heads, (zeros((6,)), TRUNK)),
    "residual": (residual, ({"image": zeros((2, 3)), "extra": zeros((5,))}, TRUNK)),
    "tokens": (tokens, ({"ids": zeros((4,), np.int32), "dense": zeros((6,))}, TRUNK)),
    "narrow": (narrow, ((zeros((4,), np.uint8), zeros((3,), np.int8), zeros((1,))),)),
}


def samples(network: Any, count: int = 20, seed: int = 1) -> dict[str, np.ndarray]:
    """Return arrays for each input: numbers, or integers of a narrow format or near 0."""
    rng = np.random.default_rng(seed)
    parts = network.inputs or [Part("x", network.input_shape, network.input_format)]
    arrays = {}
    for part in parts:
        size = (count, *part.shape)
        if part.format.is_float:
            arrays[part.name] = rng.standard_normal(size).astype(part.format.dtype)
        else:
            low, high = part.format.range if part.format.width == 8 else (-3, 11)
            arrays[part.name] = rng.integers(low, high, size).astype(part.format.dtype)
    return arrays


@pytest.fixture(scope="module")
def keras_model() -> Any:
    keras = import_keras()
    keras.utils.set_random_seed(0)
    dense, ids = keras.Input((4,), name="dense"), keras.Input((3,), name="ids", dtype="int32")
    rows = keras.layers.Flatten()(keras.layers.Embedding(12, 4)(ids))
    hidden = keras.layers.Dense(6, activation="relu", name="trunk")(
        keras.layers.Concatenate()([dense, rows])
    )
    outputs = [
        keras.layers.Dense(3, activation="softmax", name="class")(hidden),
        keras.layers.Dense(1, name="size")(hidden),
    ]
    return keras.Model([dense, ids], outputs, name="twoheads")


@pytest.fixture(scope="module")
def keras_file(keras_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("several") / "twoheads.keras"
    keras_model.save(path)
    return path


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(3)
    path = tmp_path_factory.mktemp("several") / "data.npz"
    np.savez(
        path,
        dense=rng.standard_normal((40, 4)),
        ids=rng.integers(0, 12, (40, 3)),
        y_class=rng.integers(0, 3, 40),
        size=rng.standard_normal(40),
    )
    return path


def test_rows_hold_the_bits_of_every_part() -> None:
    kinds = [
        ("f32", (2,)),
        ("i8", ()),
        ("u8", (2, 2)),
        ("f16", (3,)),
        ("bf16", (1,)),
        ("u32", (2,)),
    ]
    groups = [kinds, [("i8", (3,)), ("u8", (2,))], [("f32", (1,)), ("f32", (2,))], kinds[3:5]]
    carriers = ["i32", "i8", "f32", "i16"]
    for group, carrier in zip(groups, carriers, strict=True):
        parts = Parts(
            tuple(Part(f"p{i}", shape, parse_format(f)) for i, (f, shape) in enumerate(group))
        )
        assert parts.format.name == carrier
        given = {
            part.name: np.frombuffer(
                RNG.bytes(5 * part.size * part.format.storage_bytes), part.format.bits_dtype
            )
            .view(part.format.dtype)
            .reshape(5, *part.shape)
            for part in parts
        }
        rows = parts.pack(given)
        assert rows.shape == (5, *parts.shape)
        for name, array in parts.unpack(rows).items():
            assert array.dtype == given[name].dtype
            assert array.tobytes() == given[name].tobytes()
        assert Parts.of_json(json.loads(json.dumps(parts.to_json()))) == parts


@pytest.mark.parametrize("name", MODELS)
def test_functions_of_pytrees(name: str) -> None:
    network = asnet_mlir.load_model(MODELS[name])
    arrays = samples(network)
    x = network.inputs.pack(arrays) if network.inputs else arrays["x"]
    got, wanted = Evaluator(network).outputs(x), network.reference(x)
    pairs = [(got, wanted)]
    if network.outputs is not None:
        split = network.outputs.unpack(got), network.outputs.unpack(wanted)
        pairs = list(zip(*(one.values() for one in split), strict=True))
    for one, other in pairs:
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    for size in (1, 3):  # whatever is computed beside them
        assert Evaluator(network).outputs(x[:size]).tobytes() == got[:size].tobytes()


def test_names_are_the_sources(keras_model: Any, keras_file: Path) -> None:
    assert asnet_mlir.load_model(MODELS["siamese"]).inputs.names == ("left", "right")
    names = asnet_mlir.load_model(MODELS["heads"]).outputs.names
    assert names == ("class", "own/0", "own/1", "size")
    assert asnet_mlir.load_model(MODELS["tokens"]).outputs.names == ("output0", "output1")
    for model in (keras_model, keras_file, keras_file):  # the last from the cache
        network = asnet_mlir.load_model(model)
        assert network.inputs.names == ("dense", "ids")
        assert network.outputs.names == ("class", "size")
        assert "class" in repr(network)


def test_keras_computes_the_same(keras_model: Any, keras_file: Path) -> None:
    network = asnet_mlir.load_model(keras_file)
    arrays = samples(network)
    arrays["ids"] = np.clip(arrays["ids"], 0, 11)
    got = asnet_mlir.run(keras_file, arrays).named
    wanted = keras_model.predict([arrays["dense"], arrays["ids"]], verbose=0)
    np.testing.assert_allclose(got["class"], wanted[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(got["size"], wanted[1], rtol=1e-4, atol=1e-6)


def test_a_subclassed_model_takes_a_dictionary() -> None:
    keras = import_keras()

    class Sum(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(3)

        def call(self, x: Any) -> Any:
            return self.dense(x["left"]) - self.dense(x["right"])

    model = Sum()
    arrays = {"left": RNG.standard_normal((9, 4)), "right": RNG.standard_normal((9, 4))}
    arrays = {name: value.astype(np.float32) for name, value in arrays.items()}
    wanted = np.asarray(model(arrays))
    np.testing.assert_allclose(asnet_mlir.run(model, arrays).outputs, wanted, rtol=1e-4, atol=1e-5)


def onnx_model() -> Any:
    from onnx import TensorProto, helper

    def value(name: str, shape: list[Any], kind: int = TensorProto.FLOAT) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"], axis=0),
        helper.make_node("ReduceSum", ["rows", "axes"], ["sum"], keepdims=0),
        helper.make_node("MatMul", ["dense", "trunk"], ["hidden"]),
        helper.make_node("Add", ["sum", "hidden"], ["scores"], name="head"),
    ]
    constants = {"table": TABLE, "trunk": TRUNK, "axes": np.array([1])}
    graph = helper.make_graph(
        nodes,
        "several",
        [value("ids", ["n", 4], TensorProto.INT64), value("dense", ["n", 6])],
        [value("scores", ["n", 5]), value("hidden", ["n", 5])],
        [
            helper.make_tensor(
                name,
                TensorProto.INT64 if array.dtype == np.int64 else TensorProto.FLOAT,
                array.shape,
                array.ravel(),
            )
            for name, array in constants.items()
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def test_onnx_keeps_the_graphs_names(tmp_path: Path) -> None:
    import onnx
    from onnx.reference import ReferenceEvaluator

    path = tmp_path / "several.onnx"
    onnx.save(onnx_model(), path)
    network = asnet_mlir.load_model(path)
    assert network.inputs.names == ("ids", "dense")
    arrays = samples(network)
    arrays["ids"] = np.clip(arrays["ids"], 0, 10)
    got = asnet_mlir.run(path, arrays).named
    wanted = ReferenceEvaluator(onnx_model()).run(
        ["scores", "hidden"], {**arrays, "ids": arrays["ids"].astype(np.int64)}
    )
    for name, array in zip(("scores", "hidden"), wanted, strict=True):
        np.testing.assert_allclose(got[name], array, rtol=1e-4, atol=1e-5)


def quantized_file(path: Path) -> bytes:
    """Write a network of codes with two inputs and two outputs, all of other scales."""
    from tflite_files import File

    file = File()
    a = file.tensor("serving_default_a:0", [1, 2, 6], "int8", 0.05, 3)
    b = file.tensor("serving_default_b:0", [1, 2, 6], "int8", 0.11, -7)
    total = file.tensor("total", [1, 2, 6], "int8", 0.15, 1)
    product = file.tensor("product", [1, 2, 6], "int8", 0.2, 0)
    file.op("ADD", [a, b], [total], kind="AddOptions")
    file.op("MUL", [total, b], [product], kind="MulOptions")
    content = file.content([a, b], [product, total])
    path.write_bytes(content)
    return content


def test_tflite_gives_the_reference_kernels_bits(tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    path = tmp_path / "several.tflite"
    content = quantized_file(path)
    network = asnet_mlir.load_model(path)
    assert network.inputs.names == ("a", "b")
    assert network.outputs.names == ("product", "total")
    arrays = samples(network)
    got = asnet_mlir.run(path, arrays).named
    interpreter = Interpreter(
        model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    interpreter.allocate_tensors()
    for index in range(len(arrays["a"])):
        for detail, name in zip(interpreter.get_input_details(), "ab", strict=True):
            interpreter.set_tensor(detail["index"], arrays[name][index : index + 1])
        interpreter.invoke()
        for detail in interpreter.get_output_details():
            wanted = interpreter.get_tensor(detail["index"])[0]
            assert (got[detail["name"]][index] == wanted).all()


EXPORTED = """
module {
  func.func public @main(%a: tensor<2x3xf32> loc("left"), %b: tensor<2xi32> loc("count")
                         WEIGHT)
      -> (tensor<2x3xf32> {jax.result_info = "result['sum']"},
          tensor<2xi32> {jax.result_info = "result['counts'][0]"}) {
    %c = stablehlo.convert %b : (tensor<2xi32>) -> tensor<2xf32>
    %d = stablehlo.broadcast_in_dim %c, dims = [0] : (tensor<2xf32>) -> tensor<2x3xf32>
    %e = stablehlo.add %a, %d : tensor<2x3xf32>
    %f = stablehlo.SCALED : tensor<2x3xf32>
    %g = stablehlo.add %b, %b : tensor<2xi32>
    return %f, %g : tensor<2x3xf32>, tensor<2xi32>
  }
}
"""


@pytest.mark.parametrize("stored", ["none", "named", "positions"])
def test_stablehlo_of_several_arguments_and_results(stored: str, tmp_path: Path) -> None:
    path = tmp_path / "net.mlir"
    weight = "" if stored == "none" else ', %w: tensor<2x3xf32> loc("scale")'
    scaled = "multiply %e, %e" if stored == "none" else "multiply %e, %w"
    path.write_text(EXPORTED.replace("WEIGHT", weight).replace("SCALED", scaled))
    scale = np.arange(6, dtype=np.float32).reshape(2, 3)
    scale[1] = scale[0]  # a sample's place in the batch must not count
    if stored != "none":
        name = "scale" if stored == "named" else "arr_0"
        np.savez(tmp_path / "net.weights.npz", **{name: scale})
    network = asnet_mlir.load_model(path)
    assert network.inputs.names == ("left", "count")
    assert network.outputs.names == ("sum", "counts/0")
    arrays = samples(network, 6)
    got = asnet_mlir.run(path, arrays).named
    total = arrays["left"] + arrays["count"][:, None].astype(np.float32)
    wanted = total * (total if stored == "none" else scale[:1])
    assert got["sum"].tobytes() == wanted.astype(np.float32).tobytes()
    assert (got["counts/0"] == 2 * arrays["count"]).all()


def test_stablehlo_says_what_lacks(tmp_path: Path) -> None:
    path = tmp_path / "net.mlir"
    weight = ', %w: tensor<3xf32> loc("scale")'
    text = EXPORTED.replace("WEIGHT", weight).replace("SCALED", "multiply %e, %e")
    path.write_text(text)
    with pytest.raises(InputError, match="'scale' does not begin with the batch of 2") as raised:
        asnet_mlir.load_model(path)
    assert "--weights" in str(raised.value)


def test_each_output_has_its_figure(keras_file: Path, labelled: Path) -> None:
    result = asnet_mlir.evaluate(keras_file, labelled, "mulf=fmul_trunc:P=16")
    assert [one.output for one in result.outputs] == ["class", "size"]
    assert [one.metric.name for one in result.outputs] == ["accuracy", "mse"]
    assert result.accuracy == result.outputs[0].value
    with np.load(labelled) as data:
        arrays = dict(data)
    named = asnet_mlir.run(keras_file, labelled, "mulf=fmul_trunc:P=16").named
    right = named["class"].argmax(1) == arrays["y_class"]
    assert result.value == right.mean()
    error = named["size"][:, 0].astype(np.float64) - arrays["size"]
    assert result.outputs[1].value == pytest.approx(np.square(error).mean(), rel=1e-6)
    # The one that is named comes first; others may be named, too.
    swapped = asnet_mlir.evaluate(keras_file, labelled, metric=["size=mae", "class=f1"])
    assert [one.metric.name for one in swapped.outputs] == ["mae", "f1"]
    assert swapped.value == swapped.outputs[0].value
    assert list(swapped.to_json()["outputs"]) == ["size", "class"]


def test_figures_without_labels(keras_file: Path, labelled: Path) -> None:
    with np.load(labelled) as data:
        arrays = {name: data[name] for name in ("dense", "ids")}
    result = asnet_mlir.evaluate(keras_file, arrays, "mulf=fmul_trunc:P=18")
    assert [one.metric.name for one in result.outputs] == ["snr", "snr"]
    assert all(one.metric.against_exact and one.value > 20 for one in result.outputs)


def test_pairs_and_ranges(keras_file: Path, labelled: Path) -> None:
    with np.load(labelled) as data:
        arrays = dict(data)
    inputs = {name: arrays[name] for name in ("dense", "ids")}
    whole = asnet_mlir.run(keras_file, (inputs, {"class": arrays["y_class"]}))
    assert whole.labels.dtype.names == ("class",)
    part = asnet_mlir.run(keras_file, f"{labelled}[3:7]")
    assert part.outputs.tobytes() == whole.outputs[3:7].tobytes()
    assert len(asnet_mlir.run(keras_file, f"{labelled}:5").outputs) == 5
    alone = {**inputs, "y": arrays["y_class"]}
    judged = asnet_mlir.evaluate(keras_file, alone, metric="class=accuracy")
    assert judged.outputs[0].output == "class"


def test_run_writes_an_array_for_each_output(
    keras_file: Path, labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.npz"
    assert (
        main(["run", str(keras_file), "--data", f"{labelled}:6", "--layers", "-o", str(output)])
        == 0
    )
    with np.load(output) as written:
        assert written["class"].shape == (6, 3)
        assert written["size"].shape == (6, 1)
        assert written["layer/class"].shape == (6, 3)
        assert written["labels/class"].dtype == np.int64
    capsys.readouterr()
    assert main(["evaluate", str(keras_file), "--data", str(labelled), "--metric", "size=mse"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("mse ")
    assert "class: accuracy" in text


@pytest.mark.parametrize("form", ["approx", "bound", "stablehlo"])
def test_forms_keep_the_names(form: str, tmp_path: Path) -> None:
    network = asnet_mlir.load_model(MODELS["residual"])
    path = tmp_path / "net.mlir"
    text = asnet_mlir.compile(network, form)
    path.write_text(text)
    weights = (network.unfolded or network).weights if form == "stablehlo" else network.weights
    np.savez(tmp_path / "net.weights.npz", **{weight.name: weight.value for weight in weights})
    again = asnet_mlir.load_model(path)
    assert (again.inputs, again.outputs) == (network.inputs, network.outputs)
    arrays = samples(network)
    wanted = asnet_mlir.run(network, arrays).named
    for name, array in asnet_mlir.run(path, arrays).named.items():
        assert array.tobytes() == wanted[name].tobytes()
    # An edit may not say something else than the row is.
    path.write_text(text.replace('name = "image"', 'name = "extra"'))
    with pytest.raises(InputError, match="of different names"):
        asnet_mlir.load_model(path)
    path.write_text(text.replace("shape = array<i64: 5>", "shape = array<i64: 4>"))
    with pytest.raises(InputError, match="are not those of"):
        asnet_mlir.load_model(path)


def test_explore_by_one_output(keras_file: Path, labelled: Path, tmp_path: Path) -> None:
    core = {
        "op": "mulf",
        "core": "fmul_trunc",
        "parameters": {"P": {"ParamLow": 19, "ParamHigh": 20}},
    }
    constraints = {"cores": [core], "scope": "network"}
    store = tmp_path / "store.sqlite"

    def explored(metric: str | None, choose: str | None = None) -> Any:
        return asnet_mlir.explore(
            keras_file,
            labelled,
            constraints,
            store=store,
            metric=metric,
            choose=choose,
            cost="none",
        )

    with pytest.raises(InputError, match="has targets of class, size, .* --metric class=METRIC"):
        explored(None)
    by_class = explored("class=accuracy", "accuracy>=0")
    by_size = explored("size=mse")
    assert by_class.evaluated == by_size.evaluated == 3
    assert explored("class=accuracy").evaluated == 0  # kept by the output's name
    for result in by_size.results:
        alone = asnet_mlir.evaluate(keras_file, labelled, result.binding, metric="size=mse")
        assert result.value == alone.value
        assert result.metric.title.startswith("size: ")


@pytest.mark.parametrize("name", ["siamese", "residual", "heads", "tokens"])
def test_each_input_and_output_has_codes_of_its_own(name: str, tmp_path: Path) -> None:
    from asnet_mlir.quantization import quantization_outcome

    network = asnet_mlir.load_model(MODELS[name])
    arrays = samples(network, 200)
    if network.inputs is not None:
        first = network.inputs.names[0]
        arrays[first] = arrays[first] / 100  # which one scale for the whole row would lose
    data = arrays if network.inputs is not None else arrays["x"]
    outcome = quantization_outcome(network, data, alone=False)
    outcome.save(tmp_path / "net.mlir")
    quantized = asnet_mlir.load_model(tmp_path / "net.mlir")
    assert quantized.inputs == network.inputs
    assert quantized.outputs == network.outputs
    exact, got = (asnet_mlir.run(own, data).named for own in (network, quantized))
    for output, numbers in exact.items():
        given = got[output].astype(np.float64).ravel()
        if quantized.outputs is None:  # codes
            given = np.polyval(np.polyfit(given, numbers.ravel(), 1), given)
        error = given - numbers.ravel()
        assert 0 <= (error**2).sum() < (numbers**2).sum() / 1000, output


BAD = {
    "ids as id": (
        lambda a: {"dense": a["dense"], "id": a["ids"]},
        "lacks 'ids'; expected are dense",
    ),
    "a misspelt output": (lambda a: {**a, "y_clas": a["y_class"]}, "has no use for 'y_clas'"),
    "fewer ids": (lambda a: {**a, "ids": a["ids"][:9]}, "'dense' has 40 samples, 'ids' has 9"),
    "another shape": (lambda a: {**a, "ids": a["ids"][:, :2]}, "the network takes 3"),
    "no integers": (lambda a: {**a, "ids": a["ids"] + 0.5}, "is no i32"),
    "a NaN": (lambda a: {**a, "dense": a["dense"] * np.nan}, "holds a NaN"),
    "fewer labels": (lambda a: {**a, "y_class": a["y_class"][:7]}, "'y_class' must be 40"),
    "no such class": (lambda a: {**a, "y_class": a["y_class"] + 5}, "output 'class'"),
    "targets of another shape": (lambda a: {**a, "size": np.zeros((40, 7))}, "output 'size'"),
    "y of any": (
        lambda a: {"dense": a["dense"], "ids": a["ids"], "y": a["y_class"]},
        "'y' does not say of which output",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_wrong_data(what: str, keras_file: Path, labelled: Path) -> None:
    change, message = BAD[what]
    with np.load(labelled) as data:
        arrays = dict(data)
    with pytest.raises(InputError, match=message) as raised:
        asnet_mlir.evaluate(keras_file, change(arrays))
    assert "\n" not in str(raised.value)


def test_wrong_metrics(keras_file: Path, labelled: Path) -> None:
    def refused(message: str, *metrics: str, model: Any = keras_file, data: Any = labelled) -> None:
        with pytest.raises(InputError, match=message):
            asnet_mlir.evaluate(model, data, metric=list(metrics))

    refused("there is no output 'box'; the outputs are class", "box=mse")
    refused("'class' has two metrics", "class=accuracy", "class=f1")
    refused("say which one is judged: --metric class=METRIC", "mse")
    refused("unknown metric 'acuracy'; did you mean 'accuracy'", "class=acuracy")
    refused("output 'size'", "size=top5")
    one = MODELS["siamese"]
    arrays = samples(asnet_mlir.load_model(one))
    refused("has one output; give --metric mse", "out=mse", model=one, data=arrays)
    with pytest.raises(InputError, match="has 2 inputs; give a FILE.npz"):
        asnet_mlir.evaluate(keras_file, "mnist:test:10")
    assert metric_named("psnr:peak=2").name == "psnr"
    assert metric_named("a:0=psnr:peak=2").name == "psnr"


def test_wrong_functions() -> None:
    x = {"a": zeros((3,)), "b": zeros((3,))[:1]}
    with pytest.raises(InputError, match="it is 2 in 'a' and 1 in 'b'"):
        asnet_mlir.load_model((lambda x: x["a"] + x["b"], (x,)))
    with pytest.raises(
        InputError, match="the first dimension of output 'output1' must be the batch"
    ):
        asnet_mlir.load_model((lambda x: (x, x.sum(0)), (zeros((3,)),)))

    def mixing(x: Any) -> Any:
        return x["a"] - x["b"].mean(0), x["a"]

    with pytest.raises(UnsupportedError, match="mixes the samples"):
        asnet_mlir.load_model((mixing, ({"a": zeros((3,)), "b": zeros((3,))},)))


@pytest.mark.parametrize("style", ["shared", "stream"])
@pytest.mark.parametrize("name", ["residual", "siamese", "tokens", "narrow"])
def test_hardware_has_all_parts_in_a_frame(name: str, style: str, tmp_path: Path) -> None:
    network = asnet_mlir.load_model(MODELS[name])
    bundle = tmp_path / name
    binding = "mulf=fmul_trunc:P=12"
    manifest = asnet_mlir.generate(network, binding, output=bundle, style=style)
    assert [part["name"] for part in manifest["info"]["inputs"]] == list(network.inputs.names)
    assert manifest["info"]["inputs"][1]["begin"] == network.inputs.parts[0].size
    assert ("outputs" in manifest["info"]) == (network.outputs is not None)
    readme = (bundle / "README.md").read_text()
    assert all(f"| `{name}` |" in readme for name in network.inputs.names)
    arrays = samples(network, 6)
    compared = asnet_mlir.simulate(bundle, arrays)
    assert compared.equal
    assert compared.samples == 6
    assert compared.vectors == 5
    # Another order of the inputs gives other words: the frame's order counts.
    with pytest.raises(InputError, match="lacks .*; expected are"):
        asnet_mlir.simulate(bundle, {"x": arrays[network.inputs.names[0]]})


def test_hardware_of_codes_has_all_parts_in_a_frame(tmp_path: Path) -> None:
    path, bundle = tmp_path / "several.tflite", tmp_path / "bundle"
    quantized_file(path)
    manifest = asnet_mlir.generate(path, output=bundle)
    assert [part["name"] for part in manifest["info"]["outputs"]] == ["product", "total"]
    compared = asnet_mlir.simulate(bundle, samples(asnet_mlir.load_model(path), 6))
    assert compared.equal
    assert compared.samples == 6


def test_what_hardware_refuses() -> None:
    with pytest.raises(InputError, match="argmax is of one output; the network has"):
        asnet_mlir.generate(MODELS["residual"], output="unused", argmax=True)


def test_evaluation_by_xla_has_the_same_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, data = tmp_path / "several.tflite", tmp_path / "data.npz"
    quantized_file(path)
    np.savez(data, **samples(asnet_mlir.load_model(path)))
    found = []
    for device in ("cpu", "cpu-xla"):
        asked = ["--metric", "total=snr", "--device", device, "--json"]
        assert main(["evaluate", str(path), "--data", str(data), *asked]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert found[0]["outputs"] == found[1]["outputs"]
    assert list(found[0]["outputs"]) == ["total", "product"]
