# SPDX-License-Identifier: Apache-2.0
"""Loops: evaluated and made hardware as loops, equal bits with their iterations one by one."""

from dataclasses import replace

import numpy as np
import pytest
from test_evaluation import same_bits

from asnet_mlir.binding import Binding
from asnet_mlir.compiler import bind, model_texts, to_approx
from asnet_mlir.errors import UnsupportedError
from asnet_mlir.evaluation import CompiledNetwork, Evaluator
from asnet_mlir.frontends.jax import from_jax_function
from asnet_mlir.hardware import generate, simulate
from asnet_mlir.ir import module_from_text, run_passes
from asnet_mlir.network import ApproxTexts
from asnet_mlir.reference import to_native

SHAPE = (6, 3)
TRUNCATED = "mulf=fmul_trunc:P=15"


def network(function, *weights):
    return from_jax_function(function, (np.zeros((2, *SHAPE), np.float32), *weights))


def samples(count: int = 21) -> np.ndarray:
    return np.random.default_rng(5).standard_normal((count, *SHAPE)).astype(np.float32)


def lax():
    import jax

    return jax.lax


def scan(x):
    """Rows one after the other, from the last; what each gives is kept."""
    import jax.numpy as jnp

    def body(carry, row):
        carry = jnp.tanh(carry * 0.5 + row)
        return carry, carry * 2

    start = jnp.zeros((x.shape[0], SHAPE[1]), x.dtype)
    last, rows = lax().scan(body, start, jnp.moveaxis(x, 1, 0), reverse=True)
    return last + rows.sum(0) * rows[2]


def nested(x):
    def outer(i, a):
        return lax().fori_loop(0, 3, lambda j, b: b * 0.5 + x[:, j] * i, a)

    return lax().fori_loop(0, 4, outer, x[:, 0])


def exchanged(x):
    """Values that take each other's places, so that none may be overwritten too early."""

    def body(i, state):
        a, b, c = state
        return b, c, a + b * x[:, i]

    return sum(lax().fori_loop(0, 5, body, (x[:, 0], x[:, 1], x[:, 2])))


def counted(x):
    """Counters of several kinds: used as numbers, down, by steps, without a sign."""
    import jax.numpy as jnp

    def body(state):
        i, odd, a = state
        factor = odd.astype(jnp.float32) + jnp.where(i > 4, 2.0, 1.0)
        return i - 2, odd * jnp.uint8(7) + jnp.uint8(1), a * factor + x[:, i // 2]

    start = (jnp.int32(10), jnp.uint8(3), x[:, 0])
    i, odd, a = lax().while_loop(lambda state: state[0] > 0, body, start)
    return a + i * odd.astype(jnp.float32)


def flagged(x):
    """Booleans and bytes that are carried and depend on the sample."""
    import jax.numpy as jnp

    def body(i, state):
        seen, steps, a = state
        seen = seen | (x[:, i] > 0.5)
        return seen, steps + seen.astype(jnp.uint8) * jnp.uint8(90), jnp.where(seen, a, x[:, i])

    start = (jnp.zeros_like(x[:, 0], bool), jnp.zeros_like(x[:, 0], jnp.uint8), x[:, 1])
    seen, steps, a = lax().fori_loop(0, 6, body, start)
    return a + steps.astype(jnp.float32) * seen


def weighted(x, w):
    """A weight that is squared in each iteration, and written rows in places further apart."""
    import jax.numpy as jnp

    def body(i, rows):
        row = (x[:, i] @ (w * w).T + i).astype(jnp.float32)
        return lax().dynamic_update_slice(rows, row[:, None], (0, 2 * i + 1, 0))

    return lax().fori_loop(0, 3, body, jnp.ones((x.shape[0], 7, 3), x.dtype))


def once(x):
    return lax().fori_loop(0, 1, lambda i, a: a * x[:, 3], x[:, 1])


def never(x):
    return lax().fori_loop(4, 4, lambda i, a: a * x[:, 3], x[:, 1]) + x[:, 0]


WEIGHT = np.random.default_rng(1).standard_normal((3, 3)).astype(np.float32)
LOOPS = [
    (scan, ()),
    (nested, ()),
    (exchanged, ()),
    (counted, ()),
    (flagged, ()),
    (weighted, (WEIGHT,)),
    (once, ()),
    (never, ()),
]


def unrolled(model):
    """The network with all iterations one by one."""
    with module_from_text(to_approx(model, 1)) as module:
        run_passes(module, "builtin.module(approx-unroll-loops,canonicalize,cse)", None)
        text = str(module)
    assert "scf.for" not in text
    return replace(model, lowering=ApproxTexts("unrolled", {1: text}), unfolded=None)


@pytest.mark.parametrize(
    ("function", "weights"), LOOPS, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_loop_equals_its_iterations(function, weights):
    import jax

    model, x = network(function, *weights), samples()
    compiled = CompiledNetwork(model)
    if function not in (once, never):
        assert "scf.for" in compiled.lowered
    assert compiled.lanes > 1
    binding = Binding.parse([TRUNCATED] if "mulf" in compiled.lowered else [])
    exact, bound = Evaluator(compiled).outputs(x), Evaluator(compiled, binding).outputs(x)
    expected = np.asarray(jax.jit(function)(x, *weights))
    np.testing.assert_allclose(exact, expected, rtol=2e-5, atol=2e-5)
    flat = CompiledNetwork(unrolled(model))
    assert same_bits(exact, Evaluator(flat).outputs(x))
    assert same_bits(bound, Evaluator(flat, binding).outputs(x))


def test_scalar_code_of_a_loop_gives_equal_bits():
    model, x = network(weighted, WEIGHT), samples(3)
    binding = Binding.parse([TRUNCATED])
    native = to_native(bind(to_approx(model, 1), binding), model_texts(binding.instances))
    got = np.empty((len(x), *model.output_shape), np.float32)
    weights = [weight.value for weight in model.weights]
    for sample, row in zip(x, got, strict=True):
        native("main", sample[None], *weights, row[None])
    assert same_bits(got, Evaluator(model, binding).outputs(x))


def test_weights_are_folded_out_of_loops():
    model = network(weighted, WEIGHT)
    assert [weight.name for weight in model.weights] == ["folded"]
    np.testing.assert_array_equal(model.weights[0].value.ravel()[0], WEIGHT[0, 0] ** 2)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_recurrent_layers_of_keras(kind):
    from asnet_mlir.frontends.keras import import_keras

    keras = import_keras()

    def model(unroll):
        keras.utils.set_random_seed(2)
        layer = getattr(keras.layers, kind)(5, unroll=unroll, name="rnn")
        return keras.Sequential([keras.Input((3, 4)), layer, keras.layers.Dense(2, name="last")])

    loop, flat = (CompiledNetwork(model(unroll)) for unroll in (False, True))
    assert len(loop.lowered) < len(flat.lowered)
    layers = {layer for stage in loop.stages for _, layer, _ in stage.sites}
    assert all(layer.split("/")[0] in ("rnn", "last") and "while" not in layer for layer in layers)
    binding = Binding.parse(["mulf@rnn=fmul_trunc:P=14"])
    x = samples().reshape(-1, 3, 6)[:, :, :4].copy()
    assert same_bits(Evaluator(loop, binding).outputs(x), Evaluator(flat, binding).outputs(x))


def refused(function) -> str:
    with pytest.raises(UnsupportedError) as caught:
        to_approx(network(function), 1)
    message = str(caught.value)
    assert "\n" not in message and " at " in message
    return message


def test_loops_that_depend_on_data_are_refused():
    message = refused(lambda x: lax().while_loop(lambda y: y.sum() < 9, lambda y: y + 1, x))
    assert "'stablehlo.while'" in message and "how often it runs depends on data" in message
    message = refused(lambda x: lax().fori_loop(0, 1 << 20, lambda i, y: y + 1, x))
    assert "more than 16384 times" in message


def test_places_that_are_not_linear_are_refused():
    def at(x):
        import jax.numpy as jnp

        def body(i, rows):
            return lax().dynamic_update_slice(rows, x[:, :1], (0, i * i, 0))

        return lax().fori_loop(0, 3, body, jnp.zeros_like(x))

    assert "no linear function of the iteration" in refused(at)


def test_samples_that_meet_in_a_later_iteration_are_refused():
    def late(x):
        def body(i, state):
            a, b, c = state
            return b, c, a + c.mean(0)

        return lax().fori_loop(0, 9, body, (x[:, 0], x[:, 1], x[:, 2]))[0]

    def by_position(x):
        import jax.numpy as jnp

        places = jnp.arange(x.shape[0], dtype=jnp.float32)[:, None]
        return lax().fori_loop(0, 9, lambda i, a: a * places, x[:, 0])

    for function, what in ((late, "mixes the samples"), (by_position, "by their position")):
        with pytest.raises(UnsupportedError, match=what):
            network(function)


def test_hardware_has_the_loop(tmp_path):
    """A few rows of microcode more for any number of iterations, predicted to the cycle."""
    x = samples(4)
    x[1, 2] = [np.nan, np.inf, -0.0]
    np.savez(tmp_path / "x.npz", x=x)
    manifest = generate(network(scan), [TRUNCATED], output=tmp_path / "b")
    result = simulate(tmp_path / "b", str(tmp_path / "x.npz"), layers=True)
    assert (result.samples, result.mismatches) == (4, 0), result.differences
    assert result.cycles_per_sample == manifest["predicted_cycles_per_sample"]
    flat = generate(unrolled(network(scan)), [TRUNCATED], output=tmp_path / "f")
    assert manifest["schedule"]["rows"] * 2 < flat["schedule"]["rows"]


@pytest.mark.parametrize(
    "order",
    ["sort", "argsort", "top_k", "bytes"],
)
def test_sorting_is_exchanges_in_a_loop(order):
    """Equal keys keep their order, NaNs go last, and any number of arrays follows."""
    import jax.numpy as jnp

    def function(x):
        if order == "sort":
            return jnp.sort(x, 1)
        if order == "argsort":
            return jnp.argsort(x, 2).astype(x.dtype)
        if order == "top_k":
            return lax().top_k(x, 2)[1].astype(x.dtype)
        return jnp.sort((x * 20 + 128).astype(jnp.uint8), 1, descending=True).astype(x.dtype)

    x = np.round(samples())
    if order != "bytes":
        x[3, 2, 1], x[4, 1, 1] = np.nan, -0.0
    compiled = CompiledNetwork(network(function))
    assert compiled.lanes > 1
    assert same_bits(Evaluator(compiled).outputs(x), np.asarray(function(x)))


def test_sorting_the_batch_is_refused():
    import jax.numpy as jnp

    with pytest.raises(UnsupportedError, match="mixes the samples"):
        network(lambda x: jnp.sort(x, 0))


TABLE = np.random.default_rng(2).standard_normal((11, 4)).astype(np.float32)


def test_rows_of_small_tables_are_selected():
    """Indices out of range too; no address is data, so that lanes and hardware can do it."""
    import jax.numpy as jnp

    def embedded(x, table):
        index = (x[:, :, 0] * 3 + 5).astype(jnp.int32)
        return jnp.take(table, index, axis=0, mode="clip").sum(1) + x[
            :, np.array([3, 1, 5]), :1
        ].sum(1)

    compiled, x = CompiledNetwork(network(embedded, TABLE)), samples()
    assert compiled.lanes > 1 and "tensor.extract " not in compiled.lowered
    expected = np.asarray(embedded(x, TABLE))
    np.testing.assert_allclose(Evaluator(compiled).outputs(x), expected, rtol=1e-5, atol=1e-5)
