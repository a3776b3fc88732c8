"""Front ends: what a framework computes is what the lowered network computes."""

import numpy as np
import pytest

from asnet_mlir.compiler import compile as compile_model
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.evaluation import Evaluator
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
    got = Evaluator(model, Binding.parse(["mulf@my_first__conv=fmul_trunc:P=0"])).outputs(x)
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
            "must be static float32",
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
            return jnp.arctan2(x, x + 1)

    network = from_jax_function(function, (np.zeros((1, 2), np.float32),))
    with pytest.raises(UnsupportedError, match=r"(?s)math\.atan2.*strange"):
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
    )
    monkeypatch.chdir(tmp_path)
    assert load_model("my_network:net").input_shape == (2,)
    with pytest.raises(InputError, match=r"must return \(fn, example_args\)"):
        load_model("my_network:wrong")


def test_integer_input_is_refused():
    with pytest.raises(InputError, match="input must be float32"):
        from_jax_function(lambda x: x, (np.zeros((1, 2), np.int32),))
