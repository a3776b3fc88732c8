# SPDX-License-Identifier: Apache-2.0
"""Training of networks of codes: scales, several bindings, schedules; devices of JAX."""

import functools

import jax
import numpy as np
import pytest

import asnet_mlir
from asnet_mlir.cli.main import main
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.frontends.program import from_program
from asnet_mlir.quantized import Builder, Quantization
from asnet_mlir.training import approximate, finetune
from asnet_mlir.training.centring import centred
from asnet_mlir.training.devices import evaluate_on

CODES = Quantization(np.array([0.05]), np.array([-3]), 8)
ENDS = Quantization(np.array([0.6]), np.array([0]), 8)
RANK_1, RANK_5 = "muli=perforated:N=8,SIGN_MAGNITUDE=8", "muli=mul8s_evolved:M=15"


@functools.cache
def network():
    """Two dense layers of codes."""
    rng = np.random.default_rng(1)
    build = Builder("dense", (12,), CODES)
    codes = [rng.integers(-127, 128, shape, np.int8) for shape in ((12, 5), (5, 3))]
    bias = rng.integers(-300, 300, 5, np.int32)
    by_channel = [Quantization(np.linspace(0.015, 0.025, n), np.array([0]), 8) for n in (5, 3)]
    one = build.dense(build.input, codes[0], by_channel[0], bias, CODES, layer="one")
    two = build.dense(one, codes[1], by_channel[1], None, ENDS, layer="two")
    return from_program(build.program(two))


@functools.cache
def labelled(count=48):
    x = np.random.default_rng(2).integers(-128, 128, (count, 12), np.int8)
    return x, np.arange(count) % 3


def test_learnt_scales_are_a_network_of_the_same_words():
    function = approximate(network(), RANK_5, scales=True)
    scales = [name for name, own in function.parameters.items() if "scale" in own]
    assert len(scales) == 2
    moved = {**function.parameters}
    for name in scales:
        shape = np.shape(moved[name]["scale"])
        moved[name] = {"scale": np.full(shape, -0.4, np.float32)}
    x = labelled()[0]
    words = jax.jit(function)
    wanted = np.asarray(words(x, moved))
    assert not np.array_equal(wanted, np.asarray(words(x, function.parameters)))
    found = asnet_mlir.run(function.tuned(moved), x, RANK_5).outputs
    assert np.array_equal(found, wanted)


def test_gradients_of_scales_are_those_of_differences():
    function = approximate(network(), scales=True)
    parameters = function.parameters
    (name,) = [n for n, own in parameters.items() if "scale" in own and n.startswith("two")]
    x = labelled()[0]
    loss = jax.jit(lambda own: (function.logits(x, own) ** 2).sum())
    slope = float(np.sum(jax.jit(jax.grad(loss))(parameters)[name]["scale"]))
    moved = [
        {**parameters, name: {"scale": parameters[name]["scale"] + np.float32(by)}}
        for by in (0.1, -0.1)
    ]
    difference = float(loss(moved[0]) - loss(moved[1])) / 0.2
    assert slope == pytest.approx(difference, rel=0.1)


def test_biases_take_the_mean_errors_of_cores_away():
    function, x = approximate(network(), "muli=mul8s_evolved:M=61"), labelled()[0]
    logits, exact = jax.jit(function.logits), asnet_mlir.run(network(), x).outputs / 8
    before, after = (
        np.abs((np.asarray(logits(x, own)) - exact).mean(axis=0)).max()
        for own in (function.parameters, centred(function, x))
    )
    assert before > 0.2 and after < before / 3


def test_training_for_several_bindings_takes_each():
    seen = []
    found = finetune(
        network(), labelled(), RANK_1, also=[RANK_5, None], epochs=1, batch=4, scales=True,
        schedule="cosine", validation=labelled(), report=seen.append,
    )  # fmt: skip
    assert len(seen) == 2
    right = [
        (
            asnet_mlir.run(found.network, labelled()[0], one).outputs.argmax(1) == labelled()[1]
        ).mean()
        for one in (RANK_1, RANK_5, None)
    ]
    assert found.best.accuracy == pytest.approx(np.mean(right))
    alone = finetune(network(), labelled(), RANK_1, epochs=1, batch=4, validation=labelled())
    assert alone.epochs[1].loss != found.epochs[1].loss


def steep(table, x, w):
    """An estimator of a user's."""
    return np.full_like(table, 3.0), np.full_like(table, 5.0)


def test_an_estimator_by_name_is_the_function(monkeypatch):
    monkeypatch.syspath_prepend(__file__.rpartition("/")[0])

    def slope(estimator):
        function = approximate(network(), RANK_5, estimator=estimator)
        loss = lambda own: function.logits(labelled()[0], own).sum()  # noqa: E731
        return np.asarray(jax.jit(jax.grad(loss))(function.parameters)["two/kernel"]["kernel"])

    assert np.array_equal(slope("test_training_options:steep"), slope(steep))
    assert not np.array_equal(slope(steep), slope("ste"))
    with pytest.raises(InputError, match="has no function 'flat'"):
        approximate(network(), RANK_5, estimator="test_training_options:flat")


def test_xla_evaluates_to_the_same_figure():
    wanted = asnet_mlir.evaluate(network(), labelled(), RANK_5)
    found = evaluate_on("cpu-xla", network(), labelled(), RANK_5, batch=13)
    assert found.accuracy == wanted.accuracy and found.samples == 48
    assert found.difference == wanted.difference and found.interval == wanted.interval


def test_a_device_that_is_not_there(capsys):
    for name, message in (("gpu", "finds none here, only cpu"), ("npu", "one of cpu, cpu-xla")):
        with pytest.raises(InputError, match=message):
            evaluate_on(name, network(), labelled())
    options = ["--data", "mnist:test:9", "--device", "cpu-xla", "--threads", "1"]
    assert main(["evaluate", "convolutional_mnist", *options]) == 2
    assert "are of --device cpu" in capsys.readouterr().err


def test_a_core_without_a_table_has_no_estimator():
    wide = Quantization(np.array([0.05]), np.array([0]), 12)
    build = Builder("wide", (4,), wide)
    kernel = np.ones((4, 2), np.int16)
    one = from_program(build.program(build.dense(build.input, kernel, wide, None, wide, layer="a")))
    for estimator in ("lre", steep):
        with pytest.raises(UnsupportedError, match="operands of 16 bits; tables of products have"):
            approximate(one, "muli=imul:N=16,SIGNED=1", estimator=estimator)
    with pytest.raises(InputError, match="is of i12, the codes are i16; CODE_BITS"):
        approximate(one, "muli=truncated:N=12,CUT=4,SIGNED=1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schedule": "x"}, "one of constant, cosine"),
        ({"also": ["muli@three=mul8s_evolved:M=15"]}, "no products of codes in that layer"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(InputError, match=message):
        finetune(network(), labelled(), RANK_1, **options)
