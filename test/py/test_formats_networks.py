# SPDX-License-Identifier: Apache-2.0
"""Networks whose arithmetic is bf16 or f16, with and without cores of the format."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_evaluation import same_bits as same

import asnet_mlir
from asnet_mlir.binding import Binding, Rule
from asnet_mlir.cli.main import main
from asnet_mlir.compiler import bind, bind_for_hardware, model_texts, to_approx
from asnet_mlir.cores import core_from_verilog, derive_models
from asnet_mlir.cores.models.kernel import compile_elementwise
from asnet_mlir.cores.operands import exact_float
from asnet_mlir.errors import AsnetError, InputError, UnsupportedError
from asnet_mlir.evaluation import Evaluator
from asnet_mlir.frontends.jax import from_jax_function
from asnet_mlir.frontends.weights import write_weights
from asnet_mlir.frontends.widening import widened
from asnet_mlir.reference import to_native
from asnet_mlir.support.formats import BF16, F16, F32

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


@pytest.mark.parametrize("kind", DTYPES)
def test_narrow_networks_are_widened(kind, tmp_path):
    """Weights keep their numbers, layers compute in f32, and hardware has the network."""
    dtype = DTYPES[kind]
    weights = np.asarray(WEIGHTS, dtype)
    bias = np.array([0.5, -3.0, 1.25], np.float32).astype(dtype)

    def apply(x, weights, one=dtype):
        lowest = jnp.full((1, 1), -jnp.inf, one)
        return jnp.maximum(jnp.maximum(x @ weights, lowest) + bias.astype(one), one(0))

    x = X.astype(dtype)
    network = from_jax_function(apply, (x[:1], weights), name="net")
    assert (network.input_format, network.output_format) == (kind, kind)
    with pytest.raises(AsnetError, match=f"--widen makes f32 of {kind}"):
        asnet_mlir.compile(network, "scheduled")
    wide = asnet_mlir.load_model(widened(network))
    assert (wide.input_format, wide.output_format) == (F32, F32)
    assert {weight.value.dtype.name for weight in wide.weights} == {"float32"}
    exact = apply(x.astype(np.float32), weights.astype(np.float32), jnp.float32)
    found = asnet_mlir.run(wide, x.astype(np.float32)).outputs
    assert np.allclose(found, exact, rtol=1e-6, atol=1e-6)
    assert not np.allclose(asnet_mlir.run(network, x).outputs.astype(np.float32), exact, rtol=1e-6)
    assert "approx.units" in asnet_mlir.compile(wide, "scheduled")
    # The same as a file.
    (tmp_path / "narrow.mlir").write_text(asnet_mlir.compile(network, "stablehlo"))
    write_weights(tmp_path / "narrow.weights.npz", network.weights)
    out = tmp_path / "wide.mlir"
    arguments = ["compile", str(tmp_path / "narrow.mlir"), "--widen", "--emit", "stablehlo"]
    assert main([*arguments, "-o", str(out)]) == 0
    assert same(asnet_mlir.run(out, x.astype(np.float32)).outputs, found)


def test_what_is_not_widened():
    def bits(x):
        return jax.lax.bitcast_convert_type(x, jnp.int16).astype(jnp.float16)

    network = from_jax_function(bits, (np.zeros((1, 3), np.float16),), name="bits")
    with pytest.raises(UnsupportedError, match=r"bits: .*bitcast_convert.* takes bits, and can't"):
        asnet_mlir.load_model(widened(network))
    pair = {"a": np.zeros((1, 3), np.float16), "b": np.zeros((1, 3), np.float16)}
    several = from_jax_function(lambda x: x["a"] + x["b"], (pair,), name="pair")
    with pytest.raises(UnsupportedError, match="pair: input 'a' is f16, and only networks of one"):
        widened(several)
