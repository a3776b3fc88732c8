# SPDX-License-Identifier: Apache-2.0
"""Networks under bindings in JAX."""

import functools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_training_options import labelled
from test_training_options import network as dense

import asnet_mlir
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.frontends.program import from_program
from asnet_mlir.quantized import Builder, Quantization
from asnet_mlir.training import (
    approximate,
    compare_artifact,
    export_artifact,
    finetune,
    run_artifact,
    slopes,
)
from asnet_mlir.training.jax_products import Matrix, _merged

SIGNED = Quantization(np.array([0.05]), np.array([-3]), 8)
WEIGHTS = Quantization(np.array([0.02]), np.array([0]), 8)
RANK_5, LOOKED_UP = "muli=mul8s_evolved:M=15", "muli=mul8s_evolved:M=21"


@functools.cache
def network():
    """A convolution, a depthwise one, a sum, a pool and a dense layer, of codes."""
    rng = np.random.default_rng(1)
    codes = lambda *shape: rng.integers(-127, 128, shape, np.int8)  # noqa: E731
    bias = rng.integers(-3000, 3000, 4, np.int32)
    build = Builder("small", (6, 5, 3), SIGNED)
    one = build.conv2d(
        build.input, codes(3, 3, 3, 4), WEIGHTS, bias, SIGNED, layer="one",
        padding=((1, 1), (1, 1)), activation=(-3, 127), rounding="double",
    )  # fmt: skip
    two = build.conv2d(
        one, codes(3, 3, 1, 4), WEIGHTS, bias, SIGNED, layer="two", groups=4,
        padding=((1, 1), (1, 1)),
    )  # fmt: skip
    total = build.add(one, two, SIGNED, layer="total")
    pooled = build.mean(total, (0, 1), SIGNED, layer="pooled")
    ends = build.dense(pooled, codes(4, 3), WEIGHTS, None, SIGNED, layer="ends")
    return from_program(build.program(ends))


@functools.cache
def samples(count=7):
    return np.random.default_rng(2).integers(-128, 128, (count, 6, 5, 3), np.int8)


@pytest.mark.parametrize(
    "binding", [None, RANK_5, LOOKED_UP, ["muli@one[1:3]=mul8s_evolved:M=15"]], ids=str
)
def test_words_are_those_of_the_evaluator(binding):
    wanted = asnet_mlir.run(network(), samples(), binding).outputs
    function = jax.jit(approximate(network(), binding))
    assert np.array_equal(np.asarray(function(samples())), wanted)
    alone = jax.vmap(lambda x: function(x[None])[0])(samples())
    assert np.array_equal(np.asarray(alone), wanted)


def test_gradients_of_the_exact_network_are_those_of_differences():
    function = approximate(network())
    parameters = function.parameters
    loss = jax.jit(lambda own: function.logits(samples(), own).sum())
    slope = jax.jit(jax.grad(loss))(parameters)["ends/kernel"]["kernel"]
    # A code of the last layer is 1/greatest; the loss is rounded, so that many codes are stepped.
    step = np.zeros_like(parameters["ends/kernel"]["kernel"])
    step[0] = 20 / 127
    moved = [
        {**parameters, "ends/kernel": {**parameters["ends/kernel"],
         "kernel": parameters["ends/kernel"]["kernel"] + sign * step}} for sign in (1, -1)
    ]  # fmt: skip
    difference = float(loss(moved[0]) - loss(moved[1])) / 2
    assert np.abs((slope * step).sum()) > 1
    assert difference == pytest.approx(float((slope * step).sum()), rel=0.35)


@pytest.mark.parametrize("estimator", ["ste", "lre", "difference", "difference2d"])
def test_estimators_of_the_exact_product_are_its_derivatives(estimator):
    codes = np.arange(-128, 128)
    found = slopes(np.outer(codes, codes), codes, codes, estimator)
    by_x, by_w = (left.T @ right for left, right in (found.by_x, found.by_w))
    assert np.allclose(by_x, codes[None, :] + 0 * by_x, atol=0.02)
    assert np.allclose(by_w, codes[:, None] + 0 * by_w, atol=0.02)


def test_gradients_take_the_slopes_of_the_core():
    def zero(table, x, w):
        return np.zeros_like(table), np.zeros_like(table)

    def slope_of(estimator):
        function = approximate(network(), RANK_5, estimator=estimator)
        loss = lambda own: function.logits(samples(), own).sum()  # noqa: E731
        return jax.jit(jax.grad(loss))(function.parameters)["one/kernel"]["kernel"]

    assert not np.asarray(slope_of(zero)).any()
    assert np.asarray(slope_of("lre")).any()


def test_trained_weights_are_a_network_of_the_same_words():
    function = approximate(network(), RANK_5)
    rng = np.random.default_rng(3)
    moved = jax.tree.map(
        lambda a: a + rng.normal(0, 0.05, np.shape(a)).astype(np.float32), function.parameters
    )
    words = jax.jit(function)
    wanted = np.asarray(words(samples(), moved))
    assert not np.array_equal(wanted, np.asarray(words(samples(), function.parameters)))
    tuned = function.tuned(moved)
    rows = [asnet_mlir.run(tuned, samples()[i : i + 1], RANK_5).outputs for i in range(3)]
    assert np.array_equal(np.concatenate(rows), wanted[:3])


def test_an_artifact_has_the_words(tmp_path):
    path = tmp_path / "net.stablehlo"
    export_artifact(network(), RANK_5, path, platforms=["cpu", "cuda"])
    assert compare_artifact(path, network(), RANK_5, samples()).differ == 0
    assert compare_artifact(path, network(), LOOKED_UP, samples()).differ > 0
    np.savez(tmp_path / "out.npz", outputs=run_artifact(path, samples()))
    assert compare_artifact(tmp_path / "out.npz", network(), RANK_5, samples()).differ == 0
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match="no artifact that JAX"):
        run_artifact(path, samples())


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        ("addi=loa:N=32,K=6", "products of codes"),
        ("muli@three=mul8s_evolved:M=15", "no products of codes in that layer"),
        ("muli=imul:N=12,SIGNED=1,CODE_BITS=8", None),
    ],
)
def test_bindings_that_have_no_form(binding, message):
    if message is None:
        approximate(network(), binding)
        return
    with pytest.raises((InputError, UnsupportedError), match=message):
        approximate(network(), binding)


def test_samples_of_another_shape():
    with pytest.raises(InputError, match="takes"):
        approximate(network())(jnp.zeros((2, 6, 5, 4), jnp.int8))


@pytest.mark.parametrize(
    ("core", "passes"),
    [
        ("kulkarni:N=8,SIGN_MAGNITUDE=8", [2, 1]),
        ("mul8s_evolved:M=15", [4]),
        ("perforated:N=8,SIGN_MAGNITUDE=8", [1]),
    ],
)
def test_passes_of_several_shifts_are_one_product(core, passes):
    """All pairs of codes, whose sums of one term are the table."""
    function = approximate(dense(), f"muli={core}")
    (_, _, product), *_ = next(iter(function._products.values()))
    assert [left.shape[1] for _, left, _ in product._groups] == passes
    codes = jnp.arange(-128, 128, dtype=jnp.int8)
    found = jax.jit(lambda x, w: product.sums(Matrix(), x, w))(
        codes[None, :, None], codes[None, None]
    )
    assert np.array_equal(found[0], product.table)


def test_merged_passes_are_the_same_products():
    """Factors of every size, whose room for shifts differs, zeros as well."""
    rng, joined = np.random.default_rng(6), 0
    for _ in range(60):
        tops = 2 ** rng.integers(0, 9, 4), 2 ** rng.integers(0, 8, 4)
        left = np.stack([rng.integers(0, top, 256) for top in tops[0]]).astype(np.uint8)
        right = np.stack([rng.integers(-top, top, 256) for top in tops[1]]).astype(np.int8)
        shifts = tuple(int(shift) for shift in rng.integers(0, 10, 4))
        groups = _merged(SimpleNamespace(left=left, right=right, shifts=shifts))
        joined += 4 - len(groups)
        wide = left.astype(np.int64), right.astype(np.int64)
        wanted = sum((wide[0][p] * wide[1][p]) << shift for p, shift in enumerate(shifts))
        found = sum(
            (x.astype(np.int64) * w.astype(np.int64)).sum(0) << shift for shift, x, w in groups
        )
        assert np.array_equal(found, wanted)
        assert sum(len(x) for _, x, _ in groups) == 4
    assert joined > 60


def test_an_unknown_estimator():
    with pytest.raises(InputError, match="estimator 'x': one of ste"):
        approximate(network(), RANK_5, estimator="x")


def test_training_goes_on_with_the_same_bits(tmp_path):
    options = {"batch": 16, "seed": 5, "rate": 0.05, "validation": labelled()}
    whole = finetune(dense(), labelled(), RANK_5, epochs=2, **options)
    path = tmp_path / "training.npz"
    finetune(dense(), labelled(), RANK_5, epochs=1, checkpoint=path, **options)
    rest = finetune(dense(), labelled(), RANK_5, epochs=2, checkpoint=path, **options)
    assert repr(rest.epochs) == repr(whole.epochs)
    own = [[weight.value.tobytes() for weight in one.network.weights] for one in (whole, rest)]
    assert own[0] == own[1]
    assert whole.epochs[2].loss < whole.epochs[1].loss
    with pytest.raises(InputError, match="of another training"):
        finetune(dense(), labelled(), RANK_5, checkpoint=path, **{**options, "seed": 6})


def test_training_stops_where_the_loss_is_no_number():
    def wrong(table, x, w):
        return np.full(table.shape, 1e38), np.full(table.shape, 1e38)

    found = finetune(
        dense(), labelled(), RANK_5, estimator=wrong, optimizer="sgd", rate=1e30, epochs=2
    )
    assert found.best.epoch == 0 and "the loss of epoch" in found.stopped
    kept, own = (asnet_mlir.run(one, labelled()[0]).outputs for one in (found.network, dense()))
    assert np.array_equal(kept, own)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "x"}, "one of adam, sgd"),
        ({"epochs": 0}, "at least 1"),
        ({"rate": -1.0}, "positive and finite"),
    ],
)
def test_options_of_training_that_cannot_be(options, message):
    with pytest.raises(InputError, match=message):
        finetune(dense(), labelled(), RANK_5, **options)
