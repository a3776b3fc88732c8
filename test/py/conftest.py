"""Shared by all tests: JAX on the CPU, and small networks."""

from __future__ import annotations

import itertools
import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import numpy as np
import pytest


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
