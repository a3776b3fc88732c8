# SPDX-License-Identifier: Apache-2.0
"""Shared by all tests: JAX on the CPU, and small networks."""

from __future__ import annotations

import itertools
import os
import signal

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# XLA compiles hundreds of tiny references that run once, for half of the time to optimise them.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# What a core is tried on before it is used.  Checks of full length have their own tests, and
# `make deep`.
os.environ.setdefault("ASNET_CHECK_VECTORS", "20000")

import numpy as np
import pytest

# A job that a shell starts in the background ignores Ctrl-C, which some tests need answered.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def stays_in_its_folder():
    """A test that leaves the process elsewhere changes what relative paths are for the next."""
    before = os.getcwd()
    yield
    after = os.getcwd()
    if after != before:
        os.chdir(before)
        pytest.fail(f"the test has left the process in {after}")


def make_mlp(sizes: tuple[int, ...], seed: int = 0, softmax: bool = True):
    """Return (fn, example_args) of a multi-layer perceptron with random weights, for JAX."""
    import jax

    rng = np.random.default_rng(seed)
    weights = []
    for inputs, outputs in itertools.pairwise(sizes):
        kernel = rng.standard_normal((inputs, outputs)).astype(np.float32) / np.sqrt(
            np.float32(inputs)
        )
        weights.append((kernel, rng.standard_normal(outputs).astype(np.float32)))

    def forward(x, *layers):
        for index, (kernel, bias) in enumerate(layers):
            with jax.named_scope(f"layer{index}"):
                x = x @ kernel + bias
                if index < len(layers) - 1:
                    x = jax.nn.relu(x)
        return jax.nn.softmax(x) if softmax else x

    return forward, (np.zeros((1, sizes[0]), np.float32), *weights)


@pytest.fixture(scope="session")
def mlp():
    """A network 13 -> 7 -> 5 with softmax."""
    from asnet_mlir.frontends.jax import from_jax_function

    function, arguments = make_mlp((13, 7, 5))
    return from_jax_function(function, arguments, name="mlp")


def make_conv(seed: int = 3):
    """Return (fn, example_args) of conv 3x3 (4 filters), relu, max-pool, dense 5 on 8x8x1."""
    import jax

    rng = np.random.default_rng(seed)
    kernel = rng.standard_normal((3, 3, 1, 4)).astype(np.float32)
    dense = rng.standard_normal((36, 5)).astype(np.float32) / np.float32(6)

    def forward(x, kernel, dense):
        with jax.named_scope("conv"):
            dimensions = ("NHWC", "HWIO", "NHWC")
            x = jax.lax.conv_general_dilated(
                x, kernel, (1, 1), "VALID", dimension_numbers=dimensions
            )
            x = jax.nn.relu(x)
        with jax.named_scope("pool"):
            x = jax.lax.reduce_window(x, -np.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        with jax.named_scope("dense"):
            return x.reshape(x.shape[0], -1) @ dense

    return forward, (np.zeros((1, 8, 8, 1), np.float32), kernel, dense)


@pytest.fixture(scope="session")
def conv():
    """A small convolutional network: 8x8x1 -> conv -> pool -> dense 5."""
    from asnet_mlir.frontends.jax import from_jax_function

    return from_jax_function(*make_conv(), name="conv")


@pytest.fixture(scope="session")
def conv_data(conv):
    """200 samples, labelled by the exact network but for every tenth."""
    from asnet_mlir.data import Dataset
    from asnet_mlir.evaluation import Evaluator

    x = np.random.default_rng(5).standard_normal((200, 8, 8, 1)).astype(np.float32)
    y = np.argmax(Evaluator(conv).outputs(x), axis=1)
    y[::10] = (y[::10] + 1) % 5
    return Dataset("conv_data", x, y)
