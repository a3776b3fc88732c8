# SPDX-License-Identifier: Apache-2.0
"""Modules in files as models: weights beside them, constants that become weights, round trips."""

from __future__ import annotations

import re

import numpy as np
import pytest

from asnet_mlir.binding import Binding
from asnet_mlir.cli.main import main
from asnet_mlir.emit import compile as compile_model
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.evaluation import CompiledNetwork, Evaluator, evaluate
from asnet_mlir.frontends import load_model
from asnet_mlir.frontends.jax import from_jax_function
from asnet_mlir.frontends.weights import TensorKind, assign_weights, read_weights
from asnet_mlir.support.formats import F32

RNG = np.random.default_rng(0)
KERNEL = RNG.standard_normal((3, 20)).astype(np.float32)
BIAS = RNG.standard_normal(20).astype(np.float32)
LAST = RNG.standard_normal((20, 2)).astype(np.float32)
X = RNG.standard_normal((9, 3)).astype(np.float32)


def layers_of(text: str) -> set[str]:
    return set(re.findall(r'approx\.layer = "([^"]*)"', text))


def forward(x, kernel=KERNEL, bias=BIAS):
    import jax

    with jax.named_scope("first"):
        x = jax.nn.relu(x @ kernel + bias)
    with jax.named_scope("second"):
        return x @ LAST


def lowered(function, *arguments):
    import jax

    return jax.jit(function).lower(np.zeros((4, 3), np.float32), *arguments)


@pytest.fixture
def with_arguments(tmp_path):
    """A StableHLO file that takes kernel and bias as arguments; LAST is a constant of it."""
    module = lowered(forward, KERNEL, BIAS).compiler_ir("stablehlo")
    path = tmp_path / "net.mlir"
    path.write_text(module.operation.get_asm(enable_debug_info=True))
    return path


def test_constants_become_weights_named_by_their_layer():
    network = from_jax_function(forward, (np.zeros((1, 3), np.float32),))
    # The scope is that of the op that uses them first.
    assert {w.name for w in network.weights} == {
        "first/constant",
        "first/constant_1",
        "second/constant",
    }
    for batch in (1, 5):
        text = compile_model(network, "approx", batch=batch)
        assert layers_of(text) == {"first", "second"}
        assert text.count("approx.weight") == 3 and "dense<" not in text.replace("dense<0.0", "")
    np.testing.assert_allclose(Evaluator(network).outputs(X), forward(X), rtol=0, atol=1e-5)


def test_constants_that_differ_by_batch_size_stay_constants():
    """Weights are the same for every batch size: what depends on it is none."""

    def function(x):
        import jax.numpy as jnp

        rows = np.tile(np.array([[5, 7, 8]], np.float32), (x.shape[0], 1))
        return x * KERNEL[0, :3] + jnp.asarray(rows)

    network = from_jax_function(function, (np.zeros((1, 3), np.float32),))
    # With one sample there are two constants, with three another one of nine numbers.
    assert len(network.weights) == 2
    text = compile_model(network, "approx", batch=3)
    assert text.count("approx.weight") == 2
    assert "8.0" in text


@pytest.mark.parametrize("by", ["name", "position"])
def test_stablehlo_arguments_get_their_weights(with_arguments, by):
    weights = with_arguments.with_name("own.npz")
    if by == "name":
        np.savez(weights, bias=BIAS, kernel=KERNEL)
    else:
        np.savez(weights, KERNEL, BIAS)
    network = load_model(with_arguments, weights)
    assert [w.name for w in network.weights] == ["kernel", "bias", "second/constant"]
    np.testing.assert_allclose(Evaluator(network).outputs(X), forward(X), rtol=0, atol=1e-5)
    weights.rename(with_arguments.with_name("net.weights.npz"))
    assert load_model(with_arguments).weights[0].name == "kernel"


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"kernel": KERNEL}, r"lacks 'bias'.* 2 weights, by their names or as arr_0\.\.arr_1"),
        ({"kernel": KERNEL, "bias": BIAS, "more": BIAS}, "has 'more' too many"),
        ({"kernel": KERNEL.T, "bias": BIAS}, r"'kernel' has the shape \[20, 3\].*takes \[3, 20\]"),
        ({"arr_0": KERNEL, "arr_1": BIAS, "arr_2": BIAS}, "lacks 'kernel', 'bias'"),
        ({"kernel": KERNEL.astype(np.float64), "bias": BIAS}, "'kernel' is float64"),
        ({"kernel": KERNEL * np.float32(np.nan), "bias": BIAS}, "'kernel' holds 60 NaNs of 60"),
        ({"kernel": np.array([None]), "bias": BIAS}, "not an .npz file of weights"),
    ],
)
def test_weights_that_do_not_fit(with_arguments, arrays, message):
    path = with_arguments.with_name("w.npz")
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=message) as caught:
        load_model(with_arguments, path)
    assert "w.npz" in str(caught.value) or "NaN" in message or "float64" in message
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04 and nothing more"])
def test_damaged_weights(tmp_path, content):
    path = tmp_path / "w.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"w\.npz: not an \.npz file of weights"):
        read_weights(path)
    np.save(tmp_path / "one.npy", BIAS)
    (tmp_path / "one.npy").rename(path)
    with pytest.raises(InputError, match="is one array"):
        read_weights(path)


def test_weights_are_given_to_what_takes_them(with_arguments, tmp_path):
    with pytest.raises(InputError, match=r"takes 2 weights; give them with --weights FILE\.npz"):
        load_model(with_arguments)
    with pytest.raises(InputError, match="none.npz: no such file"):
        load_model(with_arguments, tmp_path / "none.npz")
    with pytest.raises(InputError, match="has its own weights"):
        load_model("classification_mnist", tmp_path / "none.npz")
    path = tmp_path / "constants.mlir"
    path.write_text(lowered(forward).as_text())
    np.savez(tmp_path / "w.npz", KERNEL)
    with pytest.raises(InputError, match="@main takes no weights"):
        load_model(path, tmp_path / "w.npz")


def test_arguments_of_one_name_go_by_position():
    arguments = [("arg", TensorKind((2,), F32)), ("arg", TensorKind((3,), F32))]
    with pytest.raises(InputError, match="several arguments have one name|lacks"):
        assign_weights("f", {"arg": np.zeros(2, np.float32)}, arguments)
    weights = assign_weights(
        "f", {"arr_0": np.zeros(2, np.float32), "arr_1": np.ones(3, np.float32)}, arguments
    )
    assert [w.name for w in weights] == ["arg", "arg_1"]


def test_bytecode_and_portable_artifact(tmp_path):
    import io

    import jax

    exported = jax.export.export(jax.jit(forward))(np.zeros((4, 3), np.float32))
    bytecode = io.BytesIO()
    lowered(forward).compiler_ir("stablehlo").operation.write_bytecode(bytecode)
    for content in (exported.mlir_module_serialized, bytecode.getvalue()):
        path = tmp_path / "net.mlirbc"
        path.write_bytes(content)
        network = load_model(path)
        assert {w.name for w in network.weights} >= {"second/constant"}
        np.testing.assert_allclose(Evaluator(network).outputs(X), forward(X), rtol=0, atol=1e-5)
        for damaged in (content[:60], content[:-20], content[:200] + b"\xff" * 50 + content[250:]):
            path.write_bytes(damaged)
            with pytest.raises(InputError, match=r"net\.mlirbc: ") as caught:
                load_model(path)
            assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("emit", ["stablehlo", "approx", "bound"])
def test_what_compile_wrote_is_the_same_network(tmp_path, emit):
    """evaluate(built in) equals evaluate(file), bit for bit."""
    path = tmp_path / "net.mlir"
    rules = ["mulf=fmul_trunc:P=21", "divf=fdiv_trunc:P=20"]
    binds = [part for rule in rules for part in ("--bind", rule)]
    arguments = ["compile", "classification_mnist", "--emit", emit, *binds, "-o", str(path)]
    assert main(arguments) == 0
    assert (tmp_path / "net.weights.npz").is_file()
    network = load_model(path)
    assert [w.name for w in network.weights] == ["dense/kernel", "dense/bias"]
    binding = Binding.parse(rules)
    x = np.random.default_rng(0).random((300, 784)).astype(np.float32)
    expected = Evaluator("classification_mnist", binding).outputs(x)
    own = Binding() if emit == "bound" else binding
    got = Evaluator(path, own).outputs(x)
    np.testing.assert_array_equal(got.view(np.uint32), expected.view(np.uint32))
    exact = Evaluator("classification_mnist").outputs(x)
    assert not np.array_equal(exact, expected)
    result = evaluate(path, "mnist:test:200", own)
    assert result.accuracy == evaluate("classification_mnist", "mnist:test:200", binding).accuracy
    assert {rule.instance.label for rule in result.binding.rules} == {
        "fmul_trunc:P=21",
        "fdiv_trunc:P=20",
    }


@pytest.fixture
def bound_file(tmp_path):
    path = tmp_path / "bound.mlir"
    arguments = ["compile", "classification_mnist", "-o", str(path)]
    assert main([*arguments, "--bind", "mulf=fmul_trunc:P=21"]) == 0
    return path


def test_rules_come_on_top_of_a_bound_file(bound_file, tmp_path):
    x = np.random.default_rng(0).random((50, 784)).astype(np.float32)
    rules = ["mulf@dense=fmul_trunc:P=22", "divf=fdiv_trunc:P=20"]
    got = Evaluator(bound_file, Binding.parse(rules))
    expected = Evaluator("classification_mnist", Binding.parse(["mulf=fmul_trunc:P=21", *rules]))
    np.testing.assert_array_equal(got.outputs(x), expected.outputs(x))
    # The file's own rule is about the same ops as the first of these.
    assert got.binding.label == "mulf@dense=fmul_trunc:P=22 divf=fdiv_trunc:P=20"
    kept = Evaluator(bound_file, Binding.parse(["divf=fdiv_trunc:P=20"])).binding
    assert kept.label == "divf=fdiv_trunc:P=20 mulf@dense=fmul_trunc:P=21"
    # Bound once more, written and read again.
    again = tmp_path / "again.mlir"
    binds = [part for rule in rules for part in ("--bind", rule)]
    assert main(["compile", str(bound_file), *binds, "-o", str(again)]) == 0
    np.testing.assert_array_equal(Evaluator(again).outputs(x), expected.outputs(x))


def test_an_instance_edited_by_hand(bound_file):
    x = np.random.default_rng(0).random((50, 784)).astype(np.float32)
    text = bound_file.read_text()
    assert "P = 21" in text
    bound_file.write_text(text.replace("P = 21", "P = 22"))
    expected = Evaluator("classification_mnist", Binding.parse(["mulf=fmul_trunc:P=22"]))
    np.testing.assert_array_equal(Evaluator(bound_file).outputs(x), expected.outputs(x))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("P = 21", "P = 99", r"approx\.core 1 \(fmul_trunc\): .*P"),
        ("latency 3", "latency 7", "declares latency 7 and interval 1, the library's core has 3"),
        ('{approx.weight = "dense/bias"}', "", "argument 2 of @main lacks"),
        ('approx.weight = "dense/bias"', 'approx.wait = "dense/bias"', "has 'approx.wait', which"),
        ('approx.role = "input"', 'approx.role = "input", x.y', "bound.mlir: "),
        ("func.func", "func.fun", "not a module of MLIR"),
        ("@main", "@other", "lacks the function @main"),
    ],
)
def test_bound_files_with_mistakes(bound_file, old, new, message):
    text = bound_file.read_text()
    assert old in text
    bound_file.write_text(text.replace(old, new))
    if new.endswith("x.y"):
        load_model(bound_file)  # attributes of others do not matter
        return
    with pytest.raises(InputError, match=message) as caught:
        Evaluator(load_model(bound_file))
    assert len(str(caught.value).splitlines()) == 1 and str(bound_file) in str(caught.value)


def test_arith_in_an_edited_file_becomes_approx_or_is_refused(bound_file):
    text = bound_file.read_text()
    x = np.random.default_rng(0).random((5, 784)).astype(np.float32)
    expected = Evaluator(bound_file).outputs(x)
    assert "approx.divf" in text
    bound_file.write_text(text.replace("approx.divf", "arith.divf"))
    np.testing.assert_array_equal(Evaluator(bound_file).outputs(x), expected)
    bound_file.write_text(text.replace("approx.divf", "arith.remf"))
    with pytest.raises(UnsupportedError, match=r"bound\.mlir: .*arith\.remf"):
        load_model(bound_file)


def test_cores_that_are_not_in_the_library(tmp_path):
    """Their Verilog is not in the file: ops wait for a core, or the error names what is missing."""
    path = tmp_path / "own.mlir"
    core = "examples/user_core/fmul_log.v"
    arguments = ["compile", "classification_mnist", "--bind", f"mulf={core}", "-o", str(path)]
    assert main(arguments) == 0
    network = load_model(path)
    assert network.binding is None
    with pytest.raises(InputError, match=r"module 'fmul_log', no mulf.*: --bind mulf=FILE\.v"):
        Evaluator(network)
    with pytest.raises(InputError, match="fmul_log"):
        Evaluator(network, Binding.parse(["addf=fadd"]))
    x = np.random.default_rng(0).random((20, 784)).astype(np.float32)
    binding = Binding.parse([f"mulf={core}"])
    np.testing.assert_array_equal(
        Evaluator(network, binding).outputs(x),
        Evaluator("classification_mnist", binding).outputs(x),
    )
    assert "approx.unresolved" not in compile_model(network, "bound", binding)


def test_forms_of_files_and_batch_sizes(bound_file, tmp_path):
    with pytest.raises(InputError, match="is past the forms stablehlo and linalg"):
        compile_model(bound_file, "linalg")
    with pytest.raises(InputError, match="fixed at 1, 3 was asked for"):
        compile_model(bound_file, "approx", batch=3)
    linalg = tmp_path / "linalg.mlir"
    assert main(["compile", "classification_mnist", "--emit", "linalg", "-o", str(linalg)]) == 0
    with pytest.raises(InputError, match=r"linalg\.mlir: "):
        load_model(linalg)


def test_a_bound_file_becomes_hardware(bound_file, tmp_path):
    from asnet_mlir.hardware import generate
    from asnet_mlir.hardware.comparison import software_outputs

    generate(bound_file, output=tmp_path / "bundle")
    x = np.random.default_rng(0).random((3, 784)).astype(np.float32)
    words = software_outputs(tmp_path / "bundle", x)
    np.testing.assert_array_equal(words, Evaluator(bound_file).outputs(x).view(np.uint32))


def test_exploring_a_bound_file_starts_from_what_it_binds(bound_file, tmp_path):
    from asnet_mlir.exploration import explore

    space = {"cores": [{"op": "divf", "core": "fdiv_trunc", "parameters": {"P": 20}}]}
    store = tmp_path / "store.sqlite"
    # The exact network's results, under the same rules and in the same store, are others.
    explore("classification_mnist", "mnist:test:400", space, store=store)
    found = explore(bound_file, "mnist:test:400", space, store=store)
    expected = [
        evaluate("classification_mnist", "mnist:test:400", Binding.parse(rules)).accuracy
        for rules in (["mulf=fmul_trunc:P=21"], ["mulf=fmul_trunc:P=21", "divf=fdiv_trunc:P=20"])
    ]
    assert [result.accuracy for result in found.results] == expected
    assert found.evaluated == 2


def test_ops_of_one_layer_bound_apart_by_hand(tmp_path):
    """One of a layer's multiplications gets another instance: what a rule by layer can't say."""

    def function(x):
        import jax

        with jax.named_scope("layer"):
            return (x * KERNEL[0, :3]) * KERNEL[1, :3]

    network = from_jax_function(function, (np.zeros((1, 3), np.float32),), name="net")
    binding = Binding.parse(["mulf=fmul_trunc:P=10"])
    text = compile_model(network, "bound", binding)
    assert text.count("instance = 1 ") + text.count("instance = 1}") == 2
    other = 'approx.core 2 "mulf" @fmul_trunc {FLUSH = 0, LATENCY = 3, P = 22} latency 3 interval 1'
    core = next(line for line in text.splitlines() if "approx.core 1" in line)
    text = text.replace(core, f"{core}\n    {other}")
    before, _, after = text.rpartition("instance = 1")
    path = tmp_path / "net.mlir"
    from asnet_mlir.frontends.weights import weights_file_of, write_weights

    write_weights(weights_file_of(path), network.weights)

    def truncated(value, bits):
        masked = value.view(np.uint32) & np.uint32(0xFFFFFFFF << bits & 0xFFFFFFFF)
        return masked.view(np.float32)

    def expected(second):
        value = truncated(X, 10) * truncated(KERNEL[0, :3], 10)
        if second is None:
            return value * KERNEL[1, :3]
        return truncated(value, second) * truncated(KERNEL[1, :3], second)

    for edited, second in ((f"{before}instance = 2{after}", 22), (text, 10)):
        path.write_text(edited)
        np.testing.assert_array_equal(Evaluator(path).outputs(X), expected(second))
    exact = f"{before}{after}".replace(" {}", "")
    path.write_text(exact)
    np.testing.assert_array_equal(Evaluator(path).outputs(X), expected(None))
    # A rule by layer still means all of them.
    all_of_them = Binding.parse(["mulf@layer=fmul_trunc:P=10"])
    np.testing.assert_array_equal(Evaluator(path, all_of_them).outputs(X), expected(10))


def test_weights_of_a_folded_network_travel_with_each_form(tmp_path):
    """StableHLO takes the framework's weights; later forms take what was computed of them."""
    from asnet_mlir.frontends.keras import import_keras

    keras = import_keras()
    keras.utils.set_random_seed(5)
    rng = np.random.default_rng(5)
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((6, 6, 2)), layers.Conv2D(3, 3), layers.BatchNormalization(), layers.Flatten()]
    )
    for variable in model.layers[1].variables:
        variable.assign(rng.uniform(0.5, 2, variable.shape).astype(np.float32))
    source = tmp_path / "model.keras"
    model.save(source)
    x = rng.standard_normal((4, 6, 6, 2)).astype(np.float32)
    expected = Evaluator(source).outputs(x)
    np.testing.assert_allclose(expected, model.predict(x, verbose=0), rtol=0, atol=1e-5)
    for emit in ("stablehlo", "approx", "bound"):
        path = tmp_path / f"{emit}.mlir"
        assert main(["compile", str(source), "--emit", emit, "-o", str(path)]) == 0
        np.testing.assert_array_equal(Evaluator(path).outputs(x), expected)
    names = [w.name for w in load_model(source).weights]
    assert any(name.endswith("folded") for name in names), names


def test_networks_of_every_kind_travel_to_a_cluster(bound_file):
    """As values, without a process: a cached one, a bound one, one whose weights were folded."""
    from distributed.protocol.pickle import dumps, loads

    from asnet_mlir.exploration.cluster import _portable

    x = np.random.default_rng(0).random((20, 784)).astype(np.float32)
    for model in ("classification_mnist", bound_file):
        network = load_model(model)
        travelled = loads(dumps(_portable(CompiledNetwork(network))))
        np.testing.assert_array_equal(
            Evaluator(travelled).outputs(x), Evaluator(network).outputs(x)
        )
    network = from_jax_function(forward, (np.zeros((1, 3), np.float32),))
    travelled = loads(dumps(_portable(CompiledNetwork(network))))
    np.testing.assert_array_equal(Evaluator(travelled).outputs(X), Evaluator(network).outputs(X))
