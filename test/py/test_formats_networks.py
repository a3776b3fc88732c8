# SPDX-License-Identifier: Apache-2.0
"""Networks whose arithmetic is bf16 or f16, with and without cores of the format."""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from asnet_mlir.binding import Binding, Rule
from asnet_mlir.compiler import bind, bind_for_hardware, model_texts, to_approx
from asnet_mlir.cores import core_from_verilog, derive_models
from asnet_mlir.cores.models.kernel import compile_elementwise
from asnet_mlir.cores.operands import exact_float
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.evaluation import Evaluator
from asnet_mlir.frontends.jax import from_jax_function
from asnet_mlir.reference import to_native
from asnet_mlir.support.formats import BF16, F16

EXAMPLES = Path(__file__).parents[2] / "examples" / "cores"
DTYPES = {BF16: jnp.bfloat16, F16: jnp.float16}
RNG = np.random.default_rng(0)
WEIGHTS = RNG.normal(size=(6, 3)).astype(np.float32)
X = np.ldexp(RNG.normal(size=(40, 6)), RNG.integers(-9, 9, (40, 1))).astype(np.float32)


def dense(kind, activation=lambda y: y):
    dtype = DTYPES[kind]

    def apply(x, weights):
        y = jnp.maximum(jnp.dot(x.astype(dtype), weights.astype(dtype)), dtype(0))
        return activation(y).astype(jnp.float32)

    return from_jax_function(apply, (X[:1], WEIGHTS), name="net")


def by_hand(kind, multiply):
    """Sums in order from 0, each product and sum rounded to the format."""
    x, w = (kind.round(v.astype(np.float64)) for v in (X, WEIGHTS))
    sums = np.zeros((len(x), 3), kind.bits_dtype)
    for k in range(6):
        a, b = np.broadcast_arrays(x[:, k, None], w[k])
        products = multiply(np.ascontiguousarray(a), np.ascontiguousarray(b))
        sums = exact_float(kind, "addf", sums, products)
    zero = np.zeros_like(sums)
    return kind.to_float64(exact_float(kind, "maxf", sums, zero)).astype(np.float32)


def outputs(network, binding=None):
    return Evaluator(network, binding).outputs(X)


@pytest.mark.parametrize("kind", DTYPES, ids=str)
def test_exact(kind):
    network = dense(kind)
    want = by_hand(kind, lambda a, b: exact_float(kind, "mulf", a, b))
    assert (outputs(network).view(np.uint32) == want.view(np.uint32)).all()


@pytest.fixture(scope="module")
def core():
    return core_from_verilog([EXAMPLES / "mul8_pruned.v"], op="mulf", format="bf16").instance()


def test_a_core_of_the_format(core):
    """Its model takes bits; the evaluator's code and the reference call it alike."""
    network, binding = dense(BF16), Binding((Rule("mulf", core),))
    kernel = compile_elementwise(derive_models({"model": core}))

    def multiply(a, b):
        return kernel("model", a.ravel(), b.ravel()).reshape(a.shape)

    want = by_hand(BF16, multiply)
    assert (outputs(network, binding).view(np.uint32) == want.view(np.uint32)).all()
    assert (want != outputs(network)).any()
    compiled = to_native(bind(to_approx(network, 1), binding), model_texts(binding.instances))
    y = np.empty((1, 3), np.float32)
    for x, row in zip(X, want, strict=True):
        compiled("main", x[None], *(w.value for w in network.weights), y)
        assert (y.view(np.uint32) == row.view(np.uint32)).all()


def test_functions_stay_on_f32(core):
    """exp multiplies on f32, which a core on bf16 leaves exact."""
    network = dense(BF16, jnp.exp)
    text = bind(to_approx(network, 1), Binding((Rule("mulf", core),)))
    lines = [line for line in text.splitlines() if "approx.mulf" in line]
    assert {": bf16" in line for line in lines} == {True, False}
    assert all(("instance" in line) == (": bf16" in line) for line in lines)
    bound = outputs(network, Binding((Rule("mulf", core),)))
    sums = outputs(dense(BF16), Binding((Rule("mulf", core),)))
    with np.errstate(over="ignore"):
        want = np.exp(sums.astype(np.float64)).astype(np.float32)
    assert np.allclose(bound, want, rtol=2.0**-8)


def test_a_core_of_another_format(core):
    with pytest.raises(InputError, match="computes on bf16, but mulf is on f16 here"):
        bind(to_approx(dense(F16), 1), Binding((Rule("mulf", core),)))


def test_hardware_refuses(core):
    with pytest.raises(UnsupportedError, match="hardware computes on f32; the network has"):
        bind_for_hardware(to_approx(dense(BF16), 1), Binding())
