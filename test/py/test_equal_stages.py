# SPDX-License-Identifier: Apache-2.0
"""Layers that are equal but for their names and numbers have one native code."""

from __future__ import annotations

import numpy as np
import pytest
from test_evaluation import same_bits

from asnet_mlir.binding import Binding
from asnet_mlir.evaluation.cpu import _Names
from asnet_mlir.evaluation.evaluator import CompiledNetwork, Evaluator
from asnet_mlir.frontends.jax import from_jax_function
from asnet_mlir.frontends.load import load_model


@pytest.fixture(scope="module")
def chain():
    """Four dense layers, three of one shape, the last of which subtracts what the first gives."""
    import jax
    import jax.numpy as jnp

    rng = np.random.default_rng(0)
    kernels = [rng.standard_normal((6, n)).astype(np.float32) for n in (6, 6, 6, 5)]

    def function(x, a, b, c, d):
        first = x
        for number, kernel in enumerate((a, b, c)):
            with jax.named_scope(f"block_{number}"):
                x = jnp.maximum(x @ kernel, 0)
                first = x if number == 0 else first
        with jax.named_scope("last"):
            return (x - first) @ d

    return load_model(
        from_jax_function(function, (np.zeros((1, 6), np.float32), *kernels))
    ), kernels


def test_equal_layers_are_compiled_once(chain):
    network, kernels = chain
    compiled = CompiledNetwork(network)
    evaluator = Evaluator(compiled)
    assert len(compiled.stages) == 4
    assert compiled.native_stages == 2
    x = np.random.default_rng(1).standard_normal((35, 6)).astype(np.float32)
    a, b, c, d = kernels
    first = np.maximum(x @ a, 0)
    expected = (np.maximum(np.maximum(first @ b, 0) @ c, 0) - first) @ d
    np.testing.assert_allclose(evaluator.outputs(x), expected, rtol=1e-4, atol=1e-4)


def test_a_layer_that_is_bound_otherwise_has_code_of_its_own(chain):
    network, _ = chain
    compiled = CompiledNetwork(network)
    exact = Evaluator(compiled)
    binding = Binding.parse(["mulf@block_1=fmul_trunc:P=12"])
    bound = Evaluator(compiled, binding)
    assert compiled.native_stages == 3
    x = np.random.default_rng(2).standard_normal((16, 6)).astype(np.float32)
    assert not same_bits(bound.outputs(x), exact.outputs(x))
    assert same_bits(bound.outputs(x), Evaluator(network, binding).outputs(x))


def test_names_are_told_by_their_places():
    text = (
        "func.func @main(%a: f32 {approx.value = 7 : i64}, %b: f32 {approx.value = 3 : i64}, "
        '%w: f32 {approx.weight = "a\\\\b\\22 approx.value = 9 : i64"}) '
        '{approx.layer = "x", note = "approx.value = 5 : i64"} -> {approx.value = 7 : i64}'
    )
    names, placed = _Names.taken_from(text)
    assert names.values == (7, 3)
    assert names.weights == ('a\\b" approx.value = 9 : i64',)
    assert placed(text) == (
        "func.func @main(%a: f32 {approx.value = 0 : i64}, %b: f32 {approx.value = 1 : i64}, "
        '%w: f32 {approx.weight = "0"}) '
        '{approx.layer = "layer", note = "approx.value = 5 : i64"} -> {approx.value = 0 : i64}'
    )
