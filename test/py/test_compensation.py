# SPDX-License-Identifier: Apache-2.0
"""Tuned weights and control variates: against numpy, and what they gain with real cores."""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import asnet_mlir
from asnet_mlir.binding import Binding
from asnet_mlir.cli.main import main
from asnet_mlir.compensation import add_control_variate, tune_weights
from asnet_mlir.compensation.tuning import nearest_codes
from asnet_mlir.cores import parse_instance
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.evaluation import Evaluator
from asnet_mlir.evaluation.operand_samples import operand_codes
from asnet_mlir.evaluation.weighted_sums import (
    activations,
    as_approx,
    find_sums,
    pairs,
    product_table,
)
from asnet_mlir.exploration.layers import network_layers
from asnet_mlir.frontends.jax import from_jax_function
from asnet_mlir.frontends.weights import weights_file_of, write_weights

RNG = np.random.default_rng(15)
KERNEL = RNG.integers(-60, 61, (3, 3, 2, 6)).astype(np.int8)
DEPTHWISE = RNG.integers(-60, 61, (3, 3, 1, 6)).astype(np.int8)
LAST = RNG.integers(-60, 61, (96, 5)).astype(np.int8)
X = np.minimum(RNG.geometric(0.03, (24, 6, 6, 2)) - 128, 127).astype(np.int8)
CORE = "muli=truncated:N=8,CUT=7,CORRECTION=0,SIGNED=1"


def convolve(x, w, groups=1):
    dimensions = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
        x,
        w,
        (1, 1),
        ((1, 1), (1, 1)) if groups == 1 else "VALID",
        dimension_numbers=dimensions,
        feature_group_count=groups,
        preferred_element_type=jnp.int32,
    )


def apply(x, kernel, depthwise, last):
    with jax.named_scope("conv"):
        y = convolve(x, kernel)
    y = jnp.clip(y >> 7, -128, 127).astype(jnp.int8)
    with jax.named_scope("depthwise"):
        y = convolve(y, depthwise, 6)
    y = jnp.clip(y >> 7, -128, 127).astype(jnp.int8)
    with jax.named_scope("dense"):
        return jnp.dot(y.reshape(len(x), -1), last, preferred_element_type=jnp.int32)


@pytest.fixture(scope="module")
def network():
    return from_jax_function(apply, (X[:1], KERNEL, DEPTHWISE, LAST), name="three")


def data():
    return X, np.zeros(len(X), np.int64)


def test_the_sums_of_a_network(network):
    found = find_sums(as_approx(network, Binding()))
    assert [one.layer for one in found] == ["conv", "depthwise", "dense"]
    shapes = [one.part(w.value).shape for one, w in zip(found, network.weights, strict=True)]
    assert [len(one.filter_axes) for one in found] == [1, 1, 1]
    assert [s[one.filter_axes[0]] for s, one in zip(shapes, found, strict=True)] == [6, 6, 5]


def test_activations_are_what_a_sum_reads(network):
    plain = as_approx(network, Binding())
    conv, depthwise, _ = find_sums(plain)
    assert (activations(plain, conv, X) == np.pad(X, ((0, 0), (1, 1), (1, 1), (0, 0)))).all()
    want = np.clip(np.asarray(convolve(X, KERNEL)) >> 7, -128, 127)
    assert (activations(plain, depthwise, X).ravel() == want.ravel()).all()


def test_tables_are_in_order(network):
    one = find_sums(as_approx(network, Binding()))[0]
    codes = np.arange(-128, 128)
    exact = product_table(parse_instance("imul:SIGNED=1"), one)
    assert (exact == codes[:, None] * codes).all()


def test_nearest_codes_by_trying_all():
    codes = np.arange(-8, 8)
    table = codes[:, None] * (codes | 1) & ~3
    shares = RNG.random(16)
    shares /= shares.sum()
    errors, chosen = nearest_codes(table, shares, -8, codes, (-8, 7))
    for number, w in enumerate(codes):
        tried = [float(shares @ (table[:, v] - codes * w) ** 2) for v in range(16)]
        assert errors[1][number] == pytest.approx(min(tried))
        assert tried[chosen[number] + 8] == pytest.approx(min(tried))
        assert errors[0][number] == pytest.approx(tried[number])


@pytest.mark.parametrize("known", [False, True])
def test_tuned_weights_are_nearer(network, known):
    binding = Binding.parse([CORE])
    tuning = tune_weights(network, binding, data() if known else None)
    assert [layer.layer for layer in tuning.layers] == ["conv", "depthwise", "dense"]
    assert all(layer.error_after < layer.error_before for layer in tuning.layers)
    assert all(layer.changed > 0 for layer in tuning.layers)
    for before, after in zip(network.weights, tuning.network.weights, strict=True):
        assert after.value.dtype == before.value.dtype and (after.value != before.value).any()
        assert abs(after.value.astype(int)).max() <= abs(before.value.astype(int)).max()
    exact = Evaluator(network).outputs(X).astype(np.int64)
    plain = Evaluator(network, binding).outputs(X) - exact
    tuned = Evaluator(tuning.network, binding).outputs(X) - exact
    assert np.mean(tuned**2) < 0.9 * np.mean(plain**2)


def test_an_exact_core_tunes_nothing(network):
    tuning = tune_weights(network, Binding.parse(["muli=imul:SIGNED=1"]))
    assert sum(layer.changed for layer in tuning.layers) == 0
    exact = Evaluator(network).outputs(X)
    assert (
        Evaluator(tuning.network, Binding.parse(["muli=imul:SIGNED=1"])).outputs(X) == exact
    ).all()


def test_a_control_variate_makes_up_for_most(network):
    binding = Binding.parse([CORE])
    found = add_control_variate(network, binding, data())
    assert all(layer.error_after < layer.error_before for layer in found.layers)
    exact = Evaluator(network).outputs(X).astype(np.int64)
    plain = Evaluator(network, binding).outputs(X) - exact
    less = Evaluator(found.network, binding).outputs(X) - exact
    assert np.mean(less**2) < 0.2 * np.mean(plain**2)
    tuned = tune_weights(network, binding, data()).network
    both = add_control_variate(tuned, binding, data(), meant=network).network
    assert np.mean((Evaluator(both, binding).outputs(X) - exact) ** 2) < 0.3 * np.mean(plain**2)


def test_a_control_variate_word_by_word():
    """One dense layer: its sums, V S and B by numpy."""

    def dense(x, w):
        with jax.named_scope("dense"):
            return jnp.dot(x, w, preferred_element_type=jnp.int32)

    x = X.reshape(24, 72)
    w = RNG.integers(-60, 61, (72, 5)).astype(np.int8)
    network = from_jax_function(dense, (x[:1], w), name="dense")
    binding = Binding.parse([CORE])
    found = add_control_variate(network, binding, (x, np.zeros(24, np.int64)))
    one = find_sums(as_approx(network, binding))[0]
    table = product_table(binding.rules[0].instance, one)
    a, b = x.astype(np.int64), w.astype(np.int64)
    codes = np.arange(-128, 128)
    shares = np.bincount(x.ravel().astype(int) + 128, minlength=256) / x.size
    mean = shares @ codes
    variance = shares @ codes**2 - mean**2
    want = np.empty((24, 5), np.int64)
    for f in range(5):
        errors = codes[:, None] * b[:, f] - table[:, b[:, f] + 128]
        scale = (shares @ ((codes - mean)[:, None] * errors)).mean() / variance
        offset = (shares @ errors).sum() - scale * mean * 72
        fixed = int(np.rint(scale * 65536))
        sums = table[a + 128, b[:, f] + 128].sum(axis=1)
        want[:, f] = sums + ((a.sum(axis=1) * fixed + 32768) >> 16) + int(np.rint(offset))
    assert (Evaluator(found.network, binding).outputs(x) == want).all()
    layers = network_layers(found.network.lowering.text("approx", 1))
    assert {layer.name: dict(layer.ops) for layer in layers} == {
        "dense": {"muli": 360, "addi": 360},
        "dense/variate": {"addi": 72},
    }


def test_the_pairs_that_a_sum_multiplies(network):
    """Of a dense layer each pair is counted; of a convolution each code of a channel alike."""
    plain = as_approx(network, Binding())
    conv, depthwise, dense = find_sums(plain)
    codes = activations(plain, dense, X)
    want = np.zeros((256, 256))
    for k in range(96):
        np.add.at(want, np.ix_(codes[:, k].astype(int) + 128, LAST[k].astype(int) + 128), 1)
    assert (pairs(dense, codes, LAST) == want).all()
    for one, weights, by in ((conv, KERNEL, 2), (depthwise, DEPTHWISE, 3)):
        codes = activations(plain, one, X)
        part = one.part(weights)
        channels = codes.reshape(-1, codes.shape[-1]) if codes.ndim == 4 else codes
        want = np.zeros((256, 256))
        for c in range(channels.shape[1]):
            a = np.bincount(channels[:, c].astype(int) + 128, minlength=256)
            b = np.bincount(weights.take(c, by).ravel().astype(int) + 128, minlength=256)
            want += np.outer(a, b)
        assert (pairs(one, codes, part) == want).all()


def test_codes_of_a_network_weight_circuits(network):
    found = operand_codes(network, data(), (8, 8), True, "dense")
    assert found.weight.sum() == 24 * 96 * 5
    magnitudes = operand_codes(network, data(), (8, 8), False, "dense")
    assert magnitudes.a.min() >= 0 and magnitudes.weight.sum() == found.weight.sum()
    with pytest.raises(InputError, match="layer 'last' has no muli; layers with muli: conv, dep"):
        operand_codes(network, data(), (8, 8), True, "last")
    with pytest.raises(InputError, match="three: a (code|weight) is -?[0-9]+, which 6 bits do not"):
        operand_codes(network, data(), (6, 6), True, "dense")


def test_nothing_to_make_up_for(network):
    for make in (tune_weights, add_control_variate):
        with pytest.raises(InputError, match="three: binds no core to products of codes"):
            make(network, Binding.parse(["addi=accumulator:N=20"]))


def test_weights_that_something_else_reads():
    def shared(x, w):
        with jax.named_scope("dense"):
            y = jnp.dot(x, w, preferred_element_type=jnp.int32)
        return y - 3 * x[:, :1].astype(jnp.int32) * w.astype(jnp.int32).sum(axis=0)

    network = from_jax_function(shared, (X.reshape(24, 72)[:1], LAST[:72]), name="shared")
    weights = {weight.name for weight in network.weights}
    if len(weights) == 1:
        with pytest.raises(
            UnsupportedError, match="is used by other ops than sums of its products"
        ):
            tune_weights(network, Binding.parse([CORE]))


def test_the_verbs_make_up_for_errors(network, tmp_path, capsys):
    """A tuned network is saved, read again, and evaluates as in Python."""
    plain = as_approx(network, Binding())
    path, tuned = tmp_path / "net.mlir", tmp_path / "tuned.mlir"
    path.write_text(plain.lowering.text("approx", 1))
    write_weights(weights_file_of(path), plain.weights)
    y = np.argmax(Evaluator(network).outputs(X), axis=1)
    np.savez(tmp_path / "data.npz", x=X, y=y)
    data_file = str(tmp_path / "data.npz")
    words = [str(path), "--bind", CORE, "--tune-weights", data_file]
    assert main(["compile", *words, "--emit", "approx", "-o", str(tuned)]) == 0
    binding = Binding.parse([CORE])
    want = Evaluator(tune_weights(network, binding, (X, y)).network, binding).outputs(X)
    assert (Evaluator(str(tuned), binding).outputs(X) == want).all()
    capsys.readouterr()
    words = [str(path), "--data", data_file, "--bind", CORE, "--control-variate"]
    assert main(["evaluate", *words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["accuracy"]
    variate = add_control_variate(network, binding).network
    assert found == np.mean(np.argmax(Evaluator(variate, binding).outputs(X), axis=1) == y)
    assert main(["evaluate", str(path), "--data", data_file, "--tune-weights"]) == 2
    assert "there is nothing to tune" in capsys.readouterr().err


def test_a_bound_file_has_its_wrapped_cores_and_channels(network, tmp_path):
    core = "mul8u_evolved:M=9,SIGN_MAGNITUDE=8"
    part, sums = "muli@conv[0:2]=truncated:N=9,SIGNED=1,CODE_BITS=8", "addi@dense=accumulator:N=20"
    binding = Binding.parse([f"muli={core}", part, sums])
    path = tmp_path / "bound.mlir"
    path.write_text(asnet_mlir.compile(network, "bound", binding))
    write_weights(weights_file_of(path), network.weights)
    again = asnet_mlir.load_model(path)
    assert not again.missing
    assert {rule.label for rule in again.binding.rules} == {
        part,
        sums,
        *(f"muli@{layer}={core}" for layer in ("conv[2:6]", "depthwise", "dense")),
    }
    assert (Evaluator(again).outputs(X) == Evaluator(network, binding).outputs(X)).all()


def test_an_exploration_with_an_accumulator(network, tmp_path, capsys):
    """Rules beside the constraints hold in every configuration, and make other results of it."""
    y = np.argmax(Evaluator(network).outputs(X), axis=1)
    space = {"cores": [{"op": "muli", "core": "truncated", "parameters": {"SIGNED": 1}}]}
    store = tmp_path / "s.sqlite"
    found = [
        asnet_mlir.explore(network, (X, y), space, binding=rules, store=store)
        for rules in (None, ["addi=accumulator:N=12"], None)
    ]
    assert [one.evaluated for one in found] == [2, 2, 0]
    for result in found[1].results:
        rules = [*(rule.label for rule in result.binding.rules), "addi=accumulator:N=12"]
        again = np.argmax(Evaluator(network, Binding.parse(rules)).outputs(X), axis=1)
        assert result.accuracy == np.mean(again == y)
    assert found[1].results[0].accuracy < found[0].results[0].accuracy


def test_a_search_with_tuned_weights(network, tmp_path):
    """Every configuration is that of a network tuned for it; the store tells them from others."""
    y = np.argmax(Evaluator(network).outputs(X), axis=1)
    core = {"op": "muli", "core": "truncated",
            "parameters": {"CUT": 7, "CORRECTION": 0, "SIGNED": 1},
            "layers": ["conv", "dense"]}  # fmt: skip
    space = {"scope": "layer", "cores": [core]}
    store = tmp_path / "s.sqlite"
    found = [
        asnet_mlir.explore(network, (X, y), space, store=store, tune_weights=tuned)
        for tuned in (None, data(), data(), True)
    ]
    assert [one.evaluated for one in found] == [4, 4, 0, 4]
    for result in found[1].results[1:]:
        tuned = tune_weights(network, result.binding, data()).network
        again = np.argmax(Evaluator(tuned, result.binding).outputs(X), axis=1)
        assert result.accuracy == np.mean(again == y)
    assert found[1].results[0].accuracy == 1
    assert [r.accuracy for r in found[1].results] != [r.accuracy for r in found[0].results]
    with pytest.raises(InputError, match="weights are tuned in this process; give no scheduler"):
        asnet_mlir.explore(network, (X, y), space, tune_weights=True, scheduler="a:1")
