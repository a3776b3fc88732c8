# SPDX-License-Identifier: Apache-2.0
"""Networks of float32 in JAX, by cores: the evaluator's words, and training."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import asnet_mlir
from asnet_mlir.errors import UnsupportedError
from asnet_mlir.frontends.jax import from_jax_function
from asnet_mlir.training import approximate, finetune


@functools.cache
def network():
    """A convolution, an average pool, and a dense layer whose sums have blocks."""
    rng = np.random.default_rng(0)
    shapes = {"kernel": (3, 3, 2, 4), "bias": (4,), "dense": (256, 3), "offset": (3,)}
    weights = {name: rng.normal(0, 0.3, s).astype(np.float32) for name, s in shapes.items()}

    def function(x, kernel, bias, dense, offset):
        numbers = ("NHWC", "HWIO", "NHWC")
        y = lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=numbers)
        y = jnp.maximum(y + bias, 0)
        y = lax.reduce_window(y, 0.0, lax.add, (1, 2, 1, 1), (1, 2, 1, 1), "VALID") * 0.5
        return y.reshape(y.shape[0], -1) @ dense + offset

    example = jnp.zeros((1, 16, 8, 2))
    return from_jax_function(
        function, [example, *weights.values()], name="floats", weight_names=list(weights)
    )


@functools.cache
def labelled():
    x = np.random.default_rng(1).normal(size=(24, 16, 8, 2)).astype(np.float32)
    return x, np.arange(24) % 3


@pytest.mark.parametrize(
    "binding",
    ["mulf=fmul_trunc:P=4", "mulf=fmul_drum", ["mulf=fmul_trunc:P=20", "addf=fadd_trunc:P=8"]],
    ids=["cut", "called", "two cores"],
)
def test_words_are_those_of_the_evaluator(binding):
    x = labelled()[0][:4]
    wanted = asnet_mlir.run(network(), x, binding).outputs
    found = np.asarray(jax.jit(approximate(network(), binding))(x))
    assert np.array_equal(found.view(np.uint32), wanted.view(np.uint32))


def test_training_lowers_the_loss_and_gives_a_network():
    binding = "mulf=fmul_trunc:P=20"
    found = finetune(
        network(), labelled(), binding, epochs=3, batch=8, rate=0.01, validation=labelled()
    )
    assert found.epochs[3].loss < found.epochs[1].loss
    outputs = asnet_mlir.run(found.network, labelled()[0], binding).outputs
    right = (outputs.argmax(axis=1) == labelled()[1]).mean()
    assert right == pytest.approx(found.best.accuracy)


def test_sums_of_integers_have_no_form():
    with pytest.raises(UnsupportedError, match="of products of codes"):
        approximate(network(), "addi=loa:N=32,K=6")
