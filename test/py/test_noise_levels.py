# SPDX-License-Identifier: Apache-2.0
"""Noise that layers stand, errors that cores add, and the strategy that brings them together."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import asnet_mlir
from asnet_mlir.binding import Binding
from asnet_mlir.cores import load_core
from asnet_mlir.evaluation.evaluate import prepare_data
from asnet_mlir.evaluation.weighted_sums import as_approx, find_sums, product_table
from asnet_mlir.exploration.noise_levels import error_of_sums
from asnet_mlir.frontends.program import from_program
from asnet_mlir.quantized import Builder, Quantization
from asnet_mlir.training import approximate
from asnet_mlir.training.approximation import Noise
from asnet_mlir.training.tolerance import tolerated_noise

CODES = Quantization(np.array([0.05]), np.array([0]), 8)
ENDS = Quantization(np.array([0.6]), np.array([0]), 8)
KERNEL = Quantization(np.array([0.02]), np.array([0]), 8)
MEMBERS = [15, 27, 35]


@functools.cache
def network():
    """Two dense layers of codes, whose labels are what they say."""
    rng = np.random.default_rng(1)
    build = Builder("dense", (12,), CODES)
    codes = [rng.integers(-127, 128, shape, np.int8) for shape in ((12, 8), (8, 3))]
    one = build.dense(build.input, codes[0], KERNEL, None, CODES, layer="one")
    return from_program(build.program(build.dense(one, codes[1], KERNEL, None, ENDS, layer="two")))


@functools.cache
def labelled(count=256):
    x = np.random.default_rng(2).integers(-60, 61, (count, 12), np.int8)
    return x, asnet_mlir.run(network(), x).outputs.argmax(axis=1)


def dataset():
    return prepare_data(labelled(), network())


def constraints(**more):
    entry = {"op": "muli", "core": "mul8s_evolved", "parameters": {"M": MEMBERS}}
    return {"cores": [entry], **more}


@pytest.fixture(scope="module")
def function():
    return approximate(network())


@pytest.mark.parametrize("least", [-60, 0])  # of codes that are not negative errors have a mean
@pytest.mark.parametrize("member", MEMBERS)
def test_errors_are_those_of_sums_on_independent_codes(member, least):
    one = find_sums(as_approx(network(), Binding()))[0]
    table = product_table(load_core("mul8s_evolved").instance({"M": member}), one)
    kernel = network().weights[0].value.astype(np.int64)
    x = np.random.default_rng(3).integers(least, 61, (4000, 12, 1))
    sums = (table[x + 128, kernel + 128] - x * kernel).sum(axis=1)
    found = error_of_sums(one, table, x[..., 0].astype(np.int8), kernel)
    assert found == pytest.approx(np.sqrt((sums**2.0).mean()), rel=0.05)


def test_noise_has_its_level_and_a_derivative(function):
    x = labelled()[0]

    def noisy(level):
        return function.logits(x, noise=Noise({"two": level}, jax.random.key(0)))

    run = jax.jit(noisy)
    exact, small, great = (np.asarray(run(jnp.float32(one))) for one in (0, 4000, 8000))
    assert np.array_equal(exact, np.asarray(jax.jit(function.logits)(x)))
    inside = (np.abs(great) < 15) & (np.abs(small) < 15)  # codes that saturate have no derivative
    added = np.where(inside, great - exact, 0)
    assert added.std() == pytest.approx(2 * np.where(inside, small - exact, 0).std(), rel=0.05)
    slope = jax.jit(jax.grad(lambda level: (noisy(level) * added).sum()))(jnp.float32(8000))
    assert 8000 * float(slope) == pytest.approx((added**2).sum(), rel=0.05)


def test_layers_of_a_greater_share_stand_more_noise(function):
    ranges = {"one": (10.0, 1e5), "two": (10.0, 1e5)}

    def levels(share):
        found = tolerated_noise(
            function, dataset(), ranges, {"one": share, "two": 1 - share}, weights=[0.02, 0.5]
        )
        return list(found)

    one, two = levels(0.9), levels(0.1)
    assert one == levels(0.9)
    assert one[1]["one"] > one[0]["one"] > 10  # the more weight it has, the more noise
    assert one[1]["one"] > two[1]["one"] and two[1]["two"] > one[1]["two"]


@pytest.mark.parametrize(
    "more", [{"scope": "layer"}, {}, {"scope": "layer", "channels": 3}], ids=str
)
def test_the_strategy_finds_configurations(more):
    found = asnet_mlir.explore(
        network(), labelled(), constraints(**more), strategy="agn", choose="accuracy>=0.9"
    )
    assert found.chosen is not None and found.chosen.configuration != found.space.exact
    assert len(found.results) < 30


def test_without_classes_outputs_are_compared():
    unlabelled = replace(dataset(), y=None)
    found = asnet_mlir.explore(network(), unlabelled, constraints(), strategy="agn")
    assert len(found.results) > 1
