# SPDX-License-Identifier: Apache-2.0
"""Networks of several inputs and outputs trained through cores, and as artifacts of JAX."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

import asnet_mlir
from asnet_mlir.cli.main import main
from asnet_mlir.errors import InputError
from asnet_mlir.evaluation.evaluate import prepare_data
from asnet_mlir.frontends.keras import import_keras
from asnet_mlir.quantization import quantize
from asnet_mlir.training import (
    approximate,
    compare_artifact,
    export_artifact,
    finetune,
    run_artifact,
)
from asnet_mlir.training.keras_model import as_keras, from_keras
from asnet_mlir.training.losses import Loss, cross_entropy, total_loss
from asnet_mlir.training.rewriting import text_of
from asnet_mlir.training.rows import packed, unpacked
from asnet_mlir.training.tolerance import tolerated_noise

RNG = np.random.default_rng(0)
SHAPES = ((16, 6), (3, 6), (12, 5), (12, 1))
WEIGHTS = [(0.3 * RNG.standard_normal(shape)).astype(np.float32) for shape in SHAPES]
RULE = "muli=mul8s_evolved:M=30"
COUNT = 60


def two_heads(x, *weights):
    with jax.named_scope("eye"):
        eye = jax.nn.relu(x["image"].reshape(-1, 16) @ weights[0])
    with jax.named_scope("ear"):
        ear = jax.nn.relu(x["vector"] @ weights[1])
    both = jnp.concatenate([eye, ear], 1)
    with jax.named_scope("kind"):
        kind = both @ weights[2]
    with jax.named_scope("size"):
        return {"kind": kind, "size": (both @ weights[3]).reshape(-1)}


def shares(x, *weights):
    found = two_heads(x, *weights)
    return {"kind": jax.nn.softmax(found["kind"]), "size": jax.nn.sigmoid(found["size"])}


def embedded(x, *weights):
    """Integers beside numbers, which have a table; an output has an input's name."""
    table = jnp.asarray(WEIGHTS[0])
    rows = jnp.take(table, jnp.clip(x["ids"], 0, 15), axis=0).sum(1)
    return {"vector": x["vector"] @ weights[0] + rows, "next": x["ids"] + 1}


def made(function, weights=WEIGHTS, **shapes):
    """Return a network of inputs of these shapes; `ids` are integers."""
    x = {
        name: np.zeros((2, *shape), np.int32 if name == "ids" else np.float32)
        for name, shape in shapes.items()
    }
    return asnet_mlir.load_model((function, (x, *weights)))


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    x = {"image": rng.standard_normal((COUNT, 4, 4, 1)), "vector": rng.standard_normal((COUNT, 3))}
    x = {name: array.astype(np.float32) for name, array in x.items()}
    targets = jax.jit(two_heads)(x, *WEIGHTS)
    kinds = np.asarray(targets["kind"]).argmax(1)
    return {**x, "y_kind": kinds, "y_size": 1.5 * np.asarray(targets["size"])}


@pytest.fixture(scope="module")
def samples(data):
    return {name: data[name] for name in ("image", "vector")}


@pytest.fixture(scope="module")
def network(samples):
    """The two heads in codes."""
    return quantize(made(two_heads, image=(4, 4, 1), vector=(3,)), samples, symmetric=True)


@pytest.fixture(scope="module")
def tuned(network, data):
    return finetune(network, data, RULE, epochs=2, batch=16, rate=0.02, validation=data)


def words(array):
    return np.asarray(array).view(f"u{np.asarray(array).dtype.itemsize}")


def test_both_losses_are_made_small(tuned):
    assert tuned.decided_by == "validation_loss" and tuned.best.epoch > 0
    assert list(tuned.best.figures) == ["kind accuracy", "size mse"]
    first, best = tuned.epochs[0], tuned.best
    assert best.score == -best.validation_loss > first.score
    assert best.figures["size mse"] < first.figures["size mse"]
    assert best.figures["kind accuracy"] > first.figures["kind accuracy"]


def test_figures_are_those_of_evaluate(tuned, data):
    found = asnet_mlir.evaluate(tuned.network, data, RULE)
    named = {f"{one.output} {one.metric.name}": one.value for one in found.outputs}
    assert named == pytest.approx(dict(tuned.best.figures), rel=1e-6)


def same_words(own, rule, samples, path):
    """Compare JAX's forward pass and the artifact with the evaluator."""
    assert own.inputs.names == ("image", "vector") and own.outputs.names == ("kind", "size")
    found = jax.jit(approximate(own, rule).named)(samples)
    wanted = asnet_mlir.run(own, samples, rule).named
    export_artifact(own, rule, path)
    artifact = export.deserialize(bytearray(path.read_bytes())).call(samples)
    assert list(wanted) == ["kind", "size"] and set(artifact) == set(found) == set(wanted)
    for name, numbers in wanted.items():
        assert np.array_equal(words(found[name]), words(numbers)), name
        assert np.array_equal(words(artifact[name]), words(numbers)), name


def test_words_of_trained_codes_are_the_evaluators(tuned, samples, tmp_path):
    same_words(tuned.network, RULE, samples, tmp_path / "net.stablehlo")


def test_words_of_a_trained_network_are_equal_everywhere(data, samples, tmp_path):
    """JAX's forward pass, the artifact, the evaluator and the RTL."""
    rule = "mulf=fmul_trunc:P=14"
    own = made(two_heads, image=(4, 4, 1), vector=(3,))
    found = finetune(own, data, rule, epochs=1, batch=20, validation=data)
    assert found.best.epoch == 1
    same_words(found.network, rule, samples, tmp_path / "net.stablehlo")
    asnet_mlir.generate(found.network, rule, output=tmp_path / "bundle")
    few = {name: array[:3] for name, array in samples.items()}
    compared = asnet_mlir.simulate(tmp_path / "bundle", few)
    assert compared.equal and compared.samples == 3


def test_artifacts_are_compared_by_name(network, samples, tmp_path):
    path = tmp_path / "net.stablehlo"
    export_artifact(network, RULE, path, platforms=["cpu"])
    assert compare_artifact(path, network, RULE, samples).differ == 0
    other = compare_artifact(path, network, None, samples)
    assert other.words == 6 * COUNT and other.differ > 0 and other.output == "kind"
    outputs = run_artifact(path, samples, batch=13)
    np.savez(tmp_path / "out.npz", **outputs)
    assert compare_artifact(tmp_path / "out.npz", network, RULE, samples).differ == 0
    outputs["size"][7] += 1
    np.savez(tmp_path / "out.npz", **outputs)
    wrong = compare_artifact(tmp_path / "out.npz", network, RULE, samples)
    assert (wrong.differ, wrong.first, wrong.output) == (1, (7,), "size")
    np.savez(tmp_path / "out.npz", kind=outputs["kind"])
    with pytest.raises(InputError, match="has no array 'kind', 'size'"):
        compare_artifact(tmp_path / "out.npz", network, RULE, samples)
    with pytest.raises(InputError, match=r"takes image float32\[4, 4, 1\], vector"):
        run_artifact(path, {"image": samples["image"], "sound": samples["vector"]})
    with pytest.raises(InputError, match="takes image"):
        run_artifact(path, samples["image"])


def test_each_output_ends_in_its_codes(samples, tmp_path):
    """Floats of a softmax differ in JAX, the codes before it do not; a sigmoid is a table."""
    own = quantize(made(shares, image=(4, 4, 1), vector=(3,)), samples)
    path = tmp_path / "net.stablehlo"
    export_artifact(own, RULE, path, codes=True)
    assert {k: v.dtype for k, v in run_artifact(path, samples).items()} == {
        "kind": np.int32,
        "size": np.float32,
    }
    assert compare_artifact(path, own, RULE, samples).differ == 0
    assert compare_artifact(path, own, None, samples).differ > 0


def test_integers_as_an_input_and_a_name_that_is_twice():
    own = made(embedded, [WEIGHTS[1][:, :6]], ids=(4,), vector=(3,))
    rng = np.random.default_rng(4)
    x = {
        "ids": rng.integers(-1, 17, (9, 4), np.int32),
        "vector": rng.integers(-3, 4, (9, 3)).astype(np.float32),
    }
    binding = "mulf=fmul_trunc:P=12"
    found = jax.jit(approximate(own, binding).named)(x)
    wanted = asnet_mlir.run(own, x, binding).named
    assert list(wanted) == ["next", "vector"] and own.output_format.name == "i32"
    assert np.array_equal(found["next"], wanted["next"])
    assert np.array_equal(words(found["vector"]), words(wanted["vector"]))
    # Only one of the outputs, which has integers beside it, is trained for.
    given = {**x, "y_vector": wanted["vector"] + 1}
    tuned = finetune(own, given, binding, epochs=2, batch=3, rate=0.02, validation=given)
    assert tuned.decided_by == "vector mse" and tuned.best.epoch > 0
    assert tuned.best.figures == {"vector mse": pytest.approx(tuned.best.validation_loss)}


def test_rows_have_the_bits_of_parts():
    own = made(embedded, [WEIGHTS[1][:, :6]], ids=(4,), vector=(3,))
    x = {"ids": np.full((2, 4), -5, np.int32), "vector": np.full((2, 3), -0.0, np.float32)}
    rows = np.asarray(packed("net", own.inputs, x))
    assert np.array_equal(rows, own.inputs.pack(x))
    assert all(np.array_equal(words(a), words(x[k])) for k, a in unpacked(own.inputs, rows).items())
    for change in ({"ids": x["ids"][:1]}, {"ids": x["ids"].astype(np.uint8)}, {"id": x["ids"]}):
        wrong = {**x, **change}
        with pytest.raises(InputError, match="net: "):
            packed("net", own.inputs, wrong)


def test_losses_and_their_weights(data):
    network = made(two_heads, image=(4, 4, 1), vector=(3,))

    def trained(*loss, labels=("kind", "size"), **options):
        own = {k: v for k, v in data.items() if not k.startswith("y_") or k[2:] in labels}
        return finetune(network, own, epochs=1, batch=20, loss=loss, **options).epochs[1]

    both = trained()
    assert trained("kind=cross_entropy", "size=mse:1") == both
    parts = [trained("kind=cross_entropy:0"), trained("size=mse:0")]
    assert both.validation_loss != parts[0].validation_loss != parts[1].validation_loss
    assert trained("mse", labels=("size",)).loss == pytest.approx(parts[0].loss, rel=1e-5)
    assert trained("size=mae").loss != both.loss
    assert list(trained(metric="size=mae").figures) == ["size mae", "kind accuracy"]
    assert list(trained(labels=("size",), metric=["size=mse", "kind=snr"]).figures) == [
        "size mse",
        "kind snr",
    ]


def test_losses_are_the_fields():
    logits, classes = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]]), np.array([2, 1])
    exact = np.log(np.exp(logits).sum(1)) - logits[[0, 1], classes]
    assert float(cross_entropy(jnp.asarray(logits), classes)) == pytest.approx(exact.mean())
    one = np.array([[0.7], [-1.2]])
    chance = 1 / (1 + np.exp(-one[:, 0]))
    exact = -np.log(np.where(np.array([1, 0]), chance, 1 - chance)).mean()
    assert float(cross_entropy(jnp.asarray(one), np.array([1, 0]))) == pytest.approx(exact)
    places = cross_entropy(jnp.asarray(logits[None]), classes[None])
    assert float(places) == pytest.approx(float(cross_entropy(jnp.asarray(logits), classes)))
    losses = [Loss("a", "mse", 2.0, np.zeros(2)), Loss("b", "mae", 0.5, np.zeros(2))]
    given = {"a": jnp.array([1.0, 3.0]), "b": jnp.array([-2.0, 4.0])}
    assert float(total_loss(losses, given, [np.zeros(2)] * 2)) == 2 * 5.0 + 0.5 * 3.0


def test_a_regression_of_one_output(samples, data):
    """Numbers are labels of any network, not of several outputs only."""

    def size(x, *weights):
        return two_heads(x, *weights)["size"]

    own = made(size, image=(4, 4, 1), vector=(3,))
    given = {**samples, "y": data["y_size"]}
    found = finetune(own, given, epochs=2, batch=10, rate=0.01, validation=given)
    assert found.decided_by == "mse" and found.best.figures["mse"] < found.epochs[0].figures["mse"]
    assert asnet_mlir.evaluate(found.network, given).value == pytest.approx(
        found.best.figures["mse"], rel=1e-5
    )


def test_a_keras_model_takes_dictionaries(network, samples, data):
    keras = import_keras()
    function = approximate(network, RULE)
    model = as_keras(function)
    found, wanted = model(samples), jax.jit(function.logits)(samples)
    assert all(np.array_equal(words(found[name]), words(wanted[name])) for name in wanted)
    losses = {"kind": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "size": "mse"}
    model.compile(keras.optimizers.Adam(0.05), losses, jit_compile=False)
    model.train_on_batch(samples, {"kind": data["y_kind"], "size": data["y_size"]})
    trained = from_keras(model)
    assert trained.inputs == network.inputs
    assert not np.array_equal(trained.weights[0].value, network.weights[0].value)


def test_noise_that_two_outputs_stand(network, data):
    """A layer of an output that did not count would stand any noise."""
    function = approximate(network)
    ranges = dict.fromkeys(function.layers, (1.0, 1e4))
    shares = dict.fromkeys(ranges, 1 / len(ranges))
    samples, weights = prepare_data(data, network), [2.0**-6] * 4
    *_, levels = tolerated_noise(function, samples, ranges, shares, weights=weights)
    assert set(levels) == {"eye", "ear", "kind", "size"}
    assert all(1.0 < level < 5e3 for level in levels.values())


@pytest.fixture(scope="module")
def folder(network, data, tmp_path_factory):
    path = tmp_path_factory.mktemp("several")
    (path / "net.mlir").write_text(text_of(network))
    np.savez(path / "data.npz", **data)
    np.savez(path / "x.npz", image=data["image"], vector=data["vector"])
    np.savez(path / "kinds.npz", **{k: v for k, v in data.items() if k != "y_size"})
    return path


def test_the_verbs(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    command = ["finetune", "net.mlir", "--data", "data.npz", "--bind", RULE, "--epochs", "1"]
    loss = ["--loss", "kind=cross_entropy", "size=mse:0.1", "--metric", "size=mae"]
    assert main([*command, *loss, "-o", "tuned.mlir", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["decided_by"] == "size mae" and len(found["epochs"]) == 2
    assert set(found["epochs"][1]["outputs"]["size"]) == {"mae"}
    assert main([*command, "-o", "tuned.mlir"]) == 0
    seen = capsys.readouterr()
    assert "kind accuracy" in seen.err and "validation loss" in seen.err and "size mse" in seen.out
    assert main(["export", "tuned.mlir", "--bind", RULE, "-o", "net.stablehlo"]) == 0
    assert "inputs: image, vector\noutputs: kind, size\n" in capsys.readouterr().out
    compare = ["export", "tuned.mlir", "--compare", "net.stablehlo", "--data", "x.npz"]
    assert main([*compare, "--bind", RULE]) == 0
    assert capsys.readouterr().out.startswith("0 of 360 words differ")
    assert main(compare) == 1
    assert "of kind" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--data data.npz --loss kind=hinge", "'hinge' is none of cross_entropy, mse, mae"),
        ("--data data.npz --loss mse", "has labels of kind, size; say of which output"),
        ("--data data.npz --loss box=mse", "there is no output 'box'; the outputs are kind, size"),
        ("--data kinds.npz --loss size=mse", "has no labels 'y_size'"),
        ("--data data.npz --loss size=mse:-1", "a weight is a number of at least 0, not '-1'"),
        ("--data data.npz --loss size=mse:x", "a weight is a number of at least 0, not 'x'"),
        ("--data data.npz --loss size=mse size=mae", "output 'size' has two losses"),
        ("--data data.npz --loss size=mse:0 kind=mse:0", "targets of shape [] a sample"),
        ("--data data.npz --loss size=mse:0 kind=cross_entropy:0", "all losses have the weight 0"),
        ("--data data.npz --metric box=mse", "there is no output 'box'"),
        ("--data x.npz", "has no labels, and training takes those of an output or more"),
        ("--data data.npz --test kinds.npz", "have labels of kind, those to train on of kind, siz"),
    ],
)
def test_what_cannot_be(folder, capsys, monkeypatch, options, message):
    monkeypatch.chdir(folder)
    assert main(["finetune", "net.mlir", *options.split(), "-o", "tuned.mlir"]) == 2
    seen = capsys.readouterr().err
    assert message in seen and seen.count("\n") == 1
