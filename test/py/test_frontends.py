# SPDX-License-Identifier: Apache-2.0
"""Front ends: what a framework computes is what the lowered network computes."""

import numpy as np
import pytest

from asnet_mlir.emit import compile as compile_model
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.evaluation import Evaluator, evaluate
from asnet_mlir.frontends import load_model
from asnet_mlir.frontends.jax import from_jax_function


def test_builtin_network():
    network = load_model("classification_mnist")
    assert network.input_shape == (784,) and network.output_shape == (10,)
    assert [w.name for w in network.weights] == ["dense/kernel", "dense/bias"]


def test_keras_model_keeps_layer_names_and_values():
    from asnet_mlir.frontends.keras import import_keras

    keras = import_keras()
    keras.utils.set_random_seed(1)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((9, 8, 2)),
            layers.Conv2D(4, 3, activation="relu", padding="same", name="first"),
            layers.MaxPooling2D(2, name="pool"),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(6, activation="sigmoid", name="hidden"),
            layers.Dense(3, activation="softmax", name="last"),
        ]
    )
    text = compile_model(model, "approx")
    for layer in ("first", "pool", "hidden", "last"):
        assert f'approx.layer = "{layer}"' in text
    x = np.random.default_rng(0).standard_normal((5, 9, 8, 2)).astype(np.float32)
    got = Evaluator(model).outputs(x)
    np.testing.assert_allclose(got, model.predict(x, verbose=0), rtol=0, atol=1e-6)


def test_layers_can_be_named_in_bindings_and_padding_is_a_constant():
    from asnet_mlir.binding import Binding
    from asnet_mlir.frontends.keras import import_keras

    keras = import_keras()
    keras.utils.set_random_seed(2)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((4, 5, 1)),
            layers.ZeroPadding2D(((1, 0), (2, 1))),
            layers.ReLU(max_value=6.0, negative_slope=0.1),
            layers.Conv2D(2, 2, name="my first, conv"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax", name="last"),
        ]
    )
    x = np.random.default_rng(0).standard_normal((6, 4, 5, 1)).astype(np.float32)
    got = Evaluator(model, Binding.parse(["mulf@my first, conv=fmul_trunc:P=0"])).outputs(x)
    np.testing.assert_allclose(got, model.predict(x, verbose=0), rtol=0, atol=1e-6)


def test_keras_file_is_read_without_running_its_code(tmp_path):
    from asnet_mlir.frontends.keras import import_keras

    keras = import_keras()
    model = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: x * 2)])
    path = tmp_path / "lambda.keras"
    model.save(path)
    with pytest.raises(InputError, match=r"'lambda' \(Lambda\) is Python code"):
        load_model(str(path))


@pytest.mark.parametrize("content", [b"", b"not a zip file at all"])
def test_broken_keras_file(tmp_path, content):
    path = tmp_path / "broken.keras"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.keras: not a \.keras file"):
        load_model(str(path))


def test_unused_weights_keep_their_places():
    import jax.numpy as jnp

    def function(x, unused, used):
        return jnp.maximum(x, 0) * used

    network = from_jax_function(
        function, (np.zeros((1, 2), np.float32), np.ones(3, np.float32), np.full(2, 5, np.float32))
    )
    x = np.array([[1, -1], [2, 3]], np.float32)
    assert Evaluator(network).outputs(x).tolist() == [[5, 0], [10, 15]]


def test_stablehlo_file(tmp_path):
    import jax

    weights = np.arange(6, dtype=np.float32).reshape(3, 2)
    text = jax.jit(lambda x: x @ weights).lower(np.zeros((4, 3), np.float32)).as_text()
    path = tmp_path / "net.mlir"
    path.write_text(text)
    network = load_model(str(path))
    assert network.fixed_batch == 4
    x = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32)
    np.testing.assert_allclose(Evaluator(network).outputs(x), x @ weights, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "not a StableHLO module"),
        ("module {}", "lacks the function @main"),
        (
            "func.func @main(%a: tensor<2x3xf64>) -> tensor<2x3xf64> "
            "{ return %a : tensor<2x3xf64> }",
            "must be numbers .* of a fixed shape",
        ),
    ],
)
def test_bad_stablehlo_file(tmp_path, text, message):
    path = tmp_path / "net.mlir"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_model(str(path))


def test_unsupported_op_is_named_with_its_layer():
    import jax
    import jax.numpy as jnp

    def function(x):
        with jax.named_scope("strange"):
            return jax.lax.population_count(x.astype(jnp.int32))

    network = from_jax_function(function, (np.zeros((1, 2), np.float32),))
    with pytest.raises(UnsupportedError, match=r"(?s)math\.ctpop.*strange"):
        compile_model(network, "approx")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("classification_mnst", "did you mean 'classification_mnist'"),
        ("none.keras", "no such file"),
        ("none.mlir", "no such file"),
        ("no_such_module:f", "can't import 'no_such_module'"),
        ("json:nothing", "'json' has no function 'nothing'"),
    ],
)
def test_unknown_models(name, message):
    with pytest.raises(InputError, match=message):
        load_model(name)


def test_module_function(tmp_path, monkeypatch):
    (tmp_path / "my_network.py").write_text(
        "import numpy as np\n"
        "def net():\n"
        "    return (lambda x, w: x * w), (np.zeros((1, 2), np.float32), np.ones(2, np.float32))\n"
        "def wrong():\n"
        "    return 3\n"
        "def mixes():\n"
        "    return (lambda x: x - x.mean(0)), (np.zeros((1, 2), np.float32),)\n"
        "def fails():\n"
        "    return (lambda x: {}[x.ndim]), (np.zeros((1, 2), np.float32),)\n"
        "def broken():\n"
        "    raise RuntimeError('this\\nand that')\n"
        "def wrapped():\n"
        "    raise ValueError('Exception encountered when calling A.call().'\n"
        "                     '\\n\\n\\x1b[1mtoo few axes\\x1b[0m\\n\\nArguments received:')\n"
    )
    (tmp_path / "broken_network.py").write_text("no_such_name\n")
    monkeypatch.chdir(tmp_path)
    assert load_model("my_network:net").input_shape == (2,)
    # Each is said once, whoever raised it.
    for reference, message in {
        "my_network:wrong": r"my_network:wrong: must return \(fn, example_args\)",
        "my_network:mixes": "mixes: 'stablehlo.reduce' at",
        "my_network:fails": "fails: JAX can't trace it: KeyError: 2$",
        "my_network:broken": "my_network:broken: can't be called: RuntimeError: this$",
        "my_network:wrapped": "my_network:wrapped: can't be called: ValueError: Exception "
        r"encountered when calling A.call\(\).: too few axes$",
        "broken_network:net": "broken_network:net: can't import 'broken_network': NameError: name ",
    }.items():
        with pytest.raises(InputError, match=f"^{message}"):
            load_model(reference)


def test_input_of_no_format_is_refused():
    with pytest.raises(UnsupportedError, match="input 'input' is bool; float32, bfloat16, "):
        from_jax_function(lambda x: x, (np.zeros((1, 2), bool),))


def test_layers_of_nested_and_subclassed_keras_models_have_paths():
    import re

    from asnet_mlir.frontends.keras import import_keras

    keras = import_keras()
    keras.utils.set_random_seed(4)
    layers = keras.layers

    def block(name):
        return keras.Sequential(
            [keras.Input((6,)), layers.Dense(6, activation="relu", name="dense")], name=name
        )

    class Own(keras.Model):
        def __init__(self):
            super().__init__(name="own")
            self.one, self.two = block("one"), block("two")
            self.last = layers.Dense(3, name="last")

        def call(self, x):
            return self.last(self.two(self.one(x)) + self.one(x))

    x = np.random.default_rng(0).standard_normal((20, 6)).astype(np.float32)
    model = Own()
    with pytest.raises(InputError, match=r"own: is not built.*model\.build\(\(None, \.\.\.\)\)"):
        load_model(model)
    expected = np.asarray(model(x))
    network = load_model(model)
    assert {w.name for w in network.weights} == {
        f"{layer}/{kind}"
        for layer in ("one/dense", "two/dense", "last")
        for kind in ("kernel", "bias")
    }
    found = set(re.findall(r'approx\.layer = "([^"]*)"', compile_model(model, "approx")))
    assert {"one/dense", "two/dense", "last"} <= found
    got = Evaluator(network).outputs(x)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)
    assert (got.argmax(1) == expected.argmax(1)).all()

    from asnet_mlir.binding import Binding

    # A path's end is not its name, but says what was meant.
    with pytest.raises(InputError, match="did you mean 'two'|did you mean 'one/dense'"):
        Evaluator(network, Binding.parse(["mulf@dense=fmul_trunc:P=3"]))
    changed = [
        Evaluator(network, Binding.parse([f"mulf@{layer}=fmul_trunc:P=22"])).outputs(x)
        for layer in ("one", "two", "two/dense")
    ]
    assert not np.array_equal(changed[0], changed[1])
    np.testing.assert_array_equal(changed[1], changed[2])


def test_models_that_keras_can_not_say_the_shape_of():
    from asnet_mlir.frontends.keras import import_keras

    keras = import_keras()
    layers = keras.layers
    c = keras.Input((None, 3))
    with pytest.raises(InputError, match=r"input shape \(None, 3\) is open"):
        load_model(keras.Model(c, layers.Dense(2)(c)))
    with pytest.raises(InputError, match=r"no keras\.Model; wrap it"):
        load_model(layers.Dense(2))


@pytest.mark.parametrize("model", [3, None, [1, 2], object(), (1, 2), (lambda x: x, None)])
def test_what_is_no_model(model):
    with pytest.raises(InputError, match=r"unknown model of type|give \(fn, example_args\)"):
        load_model(model)


@pytest.mark.parametrize(
    ("model", "data", "right"),
    [
        ("classification_mnist", "mnist:test", 9274),
        ("convolutional_mnist", "mnist:test:3000", 2932),
        ("convolutional_svhn", "svhn_synthetic:test:3000", 2597),
        ("resnet8_svhn", "svhn_synthetic:test:1000", 944),
    ],
)
def test_shipped_networks_reach_their_accuracy(model, data, right):
    result = evaluate(model, data)
    assert round(result.accuracy * result.samples) == right
