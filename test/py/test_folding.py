# SPDX-License-Identifier: Apache-2.0
"""Arithmetic on weights only is done once, exactly, and nobody sees it again."""

from __future__ import annotations

import numpy as np
import pytest
from test_evaluation import same_bits

from asnet_mlir.binding import Binding
from asnet_mlir.emit import compile as compile_model
from asnet_mlir.errors import UnsupportedError
from asnet_mlir.evaluation import Evaluator
from asnet_mlir.frontends import load_model
from asnet_mlir.frontends.jax import from_jax_function


@pytest.fixture(scope="module")
def normalized():
    """A convolution, a batch normalization, a dense layer; and the Keras model."""
    from asnet_mlir.frontends.keras import import_keras

    keras = import_keras()
    keras.utils.set_random_seed(3)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((5, 4, 2)),
            layers.Conv2D(3, 2, use_bias=False, name="conv"),
            layers.BatchNormalization(name="bn"),
            layers.Flatten(),
            layers.Dense(4, activation="tanh", name="last"),
        ]
    )
    rng = np.random.default_rng(0)
    for variable in model.get_layer("bn").weights:
        variable.assign(rng.uniform(0.5, 2, variable.shape))
    return load_model(model), model


def test_a_batch_normalization_is_two_weights(normalized):
    network, model = normalized
    weights = {weight.name: weight.value for weight in network.weights}
    assert list(weights) == ["conv/kernel", "last/kernel", "last/bias", "bn/folded", "bn/folded_1"]
    gamma, beta, mean, variance = (
        np.asarray(v, np.float64) for v in model.get_layer("bn").get_weights()
    )
    factor = gamma / np.sqrt(variance + np.float32(0.001))
    np.testing.assert_allclose(weights["bn/folded"].ravel(), factor, rtol=3e-7)
    np.testing.assert_allclose(weights["bn/folded_1"].ravel(), beta - mean * factor, rtol=2e-6)
    original = [weight.name for weight in network.unfolded.weights]
    assert "bn/moving_variance" in original and "bn/folded" not in original


def test_the_network_is_the_frameworks(normalized):
    network, model = normalized
    x = np.random.default_rng(1).standard_normal((7, 5, 4, 2)).astype(np.float32)
    got = Evaluator(network).outputs(x)
    np.testing.assert_allclose(got, model.predict(x, verbose=0), rtol=0, atol=1e-6)


def test_a_binding_reaches_only_what_is_left(normalized):
    """One product a value: that of the folded factor, truncated by hand."""
    network, _ = normalized
    text = compile_model(network, "approx")
    assert text.count('approx.layer = "bn"') == 1
    stage = text[text.index('approx.layer = "bn"') :].split("linalg.yield")[0]
    assert stage.count("approx.mulf") == 1 and stage.count("approx.addf") == 1

    factor = {w.name: w.value for w in network.weights}["bn/folded"].ravel()
    scale = from_jax_function(
        lambda x, gamma, variance: x * (gamma / np.sqrt(2.0).astype(np.float32) * variance),
        (np.zeros((1, 3), np.float32), factor, np.ones(3, np.float32)),
    )
    (weight,) = scale.weights
    x = np.random.default_rng(2).standard_normal((4, 3)).astype(np.float32)
    mask = np.uint32(0xFFFFFFFF << 15 & 0xFFFFFFFF)

    def cut(values: np.ndarray) -> np.ndarray:
        return (values.view(np.uint32) & mask).view(np.float32)

    got = Evaluator(scale, Binding.parse(["mulf=fmul_trunc:P=15"])).outputs(x)
    assert same_bits(got, cut(x) * cut(weight.value))


def test_equal_bits_each_time_and_at_every_batch_size(normalized):
    network, model = normalized
    again = load_model(model)
    for one, other in zip(network.weights, again.weights, strict=True):
        assert one.name == other.name and same_bits(one.value, other.value)
    for batch in (1, 3, 64):
        assert compile_model(network, "approx", batch=batch).count("math.rsqrt") == 0


def test_the_bits_are_those_of_the_defined_order():
    """A sum over weights, term by term from zero."""
    kernel = np.random.default_rng(4).standard_normal((40, 3)).astype(np.float32)
    network = from_jax_function(lambda x, w: x + w.sum(0), (np.zeros((1, 3), np.float32), kernel))
    total = np.zeros(3, np.float32)
    for row in kernel:
        total = total + row
    (weight,) = network.weights
    assert weight.name == "folded" and same_bits(weight.value, total)
    reverse = np.zeros(3, np.float32)
    for row in kernel[::-1]:
        reverse = reverse + row
    assert not same_bits(total, reverse)  # so that this test can fail


def test_broadcasts_are_not_stored():
    import jax.numpy as jnp

    def function(x, w):
        return x * (jnp.broadcast_to(w, x.shape) * 2 + 1)

    network = from_jax_function(
        function, (np.zeros((1, 50, 3), np.float32), np.ones(3, np.float32))
    )
    assert [weight.value.shape for weight in network.weights] == [(3,)]
    x = np.ones((4, 50, 3), np.float32)
    assert (Evaluator(network).outputs(x) == 3).all()


def test_movements_of_weights_stay():
    kernel = np.arange(6, dtype=np.float32).reshape(2, 3)
    network = from_jax_function(lambda x, w: x @ w.T[::-1], (np.zeros((1, 3), np.float32), kernel))
    assert [weight.value.shape for weight in network.weights] == [(2, 3)]


def test_one_value_twice_is_one_weight():
    import jax.numpy as jnp

    network = from_jax_function(
        lambda x, w: x * jnp.exp(w) + jnp.exp(w),
        (np.zeros((1, 3), np.float32), np.ones(3, np.float32)),
    )
    assert len(network.weights) == 1


def test_constants_of_a_file_fold(tmp_path):
    path = tmp_path / "net.mlir"
    path.write_text(
        """func.func @main(%x: tensor<1x2xf32>) -> tensor<1x2xf32> {
  %v = stablehlo.constant dense<[[4.0, 0.25]]> : tensor<1x2xf32>
  %r = stablehlo.rsqrt %v : tensor<1x2xf32>
  %y = stablehlo.multiply %x, %r : tensor<1x2xf32>
  return %y : tensor<1x2xf32>
}"""
    )
    network = load_model(path)
    assert [w.value.ravel().tolist() for w in network.weights] == [[0.5, 2.0]]
    assert Evaluator(network).outputs(np.ones((1, 2), np.float32)).tolist() == [[0.5, 2.0]]


def test_weights_that_depend_on_the_batch_are_refused():
    import jax.numpy as jnp

    def function(x, w):
        rows = jnp.arange(x.shape[0], dtype=np.float32)
        return x + (w * rows[:, None])

    with pytest.raises(UnsupportedError, match="by their position"):
        from_jax_function(function, (np.zeros((1, 3), np.float32), np.ones(3, np.float32)))


def test_what_cannot_be_lowered_is_reported_when_it_is_lowered():
    import jax.numpy as jnp

    network = from_jax_function(lambda x: jnp.fft.fft(x).real, (np.zeros((1, 3), np.float32),))
    assert "stablehlo.fft" in compile_model(network, "stablehlo")
    with pytest.raises(UnsupportedError, match=r"stablehlo\.fft"):
        compile_model(network, "linalg")
