# SPDX-License-Identifier: Apache-2.0
"""Circuits tried in a network by their tables: the bits of the network bound to them."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import asnet_mlir
from asnet_mlir.binding import Binding
from asnet_mlir.cli.main import main
from asnet_mlir.cores import parse_instance
from asnet_mlir.errors import InputError
from asnet_mlir.evaluation import Evaluator
from asnet_mlir.evaluation.circuit_trials import CircuitTrials
from asnet_mlir.evaluation.operand_samples import operand_codes
from asnet_mlir.evaluation.weighted_sums import as_approx, find_sums, product_table
from asnet_mlir.evolution import search, starts
from asnet_mlir.frontends.jax import from_jax_function
from asnet_mlir.frontends.weights import weights_file_of, write_weights

RNG = np.random.default_rng(13)
FIRST = RNG.integers(-60, 61, (9, 7)).astype(np.int8)
LAST = RNG.integers(-60, 61, (4, 7)).astype(np.int8)
X = RNG.integers(-128, 128, (40, 9)).astype(np.int8)
CORE = "muli=truncated:N=8,CUT=7,CORRECTION=0,SIGNED=1"
EXACT = starts.multiplier((8, 8), 16, True).table(True)


def hidden(x, first):
    with jax.named_scope("first"):
        y = jnp.dot(x, first, preferred_element_type=jnp.int32)
    return jnp.clip(y >> 7, -128, 127).astype(jnp.int8)


def apply(x, first, last):
    y = hidden(x, first)
    with jax.named_scope("last"):  # the weights are the left operand
        z = jnp.dot(last, y.T, preferred_element_type=jnp.int32)
    return z.T


def apply_plainly(x, first, last):
    y = hidden(x, first)
    with jax.named_scope("last"):
        return jnp.dot(y, last, preferred_element_type=jnp.int32)


@pytest.fixture(scope="module")
def network():
    return from_jax_function(apply, (X[:1], FIRST, LAST), name="two")


@pytest.fixture(scope="module")
def plain():
    return from_jax_function(apply_plainly, (X[:1], FIRST, LAST.T.copy()), name="two")


@pytest.fixture(scope="module")
def targets(network):
    return Evaluator(network).outputs(X).argmax(1)


def lopsided():
    """Return a circuit that tells its operands apart, and its table by bits: a's low bits count."""
    codes = np.arange(256)
    values = np.where(codes < 128, codes, codes - 256)
    return values[:, None] * (values[None, :] & ~7)


def test_circuits_are_tables_of_bits():
    codes = np.arange(256)
    values = np.where(codes < 128, codes, codes - 256)
    assert (values[:, None] * values == EXACT).all()
    unsigned = starts.multiplier((3, 2), 5, False).table(False)
    assert (unsigned == np.outer(range(8), range(4))).all()


@pytest.mark.parametrize("layer", [None, "first", "last"])
def test_a_table_gives_the_bits_of_its_core(network, targets, layer):
    trials = CircuitTrials(network, (X, targets), EXACT, layer=layer)
    assert trials.exact == 1.0
    assert trials.metric.name == "accuracy"
    one = find_sums(as_approx(network, Binding()))[0]
    ascending = product_table(parse_instance(CORE.removeprefix("muli=")), one)
    table = np.roll(ascending, (128, 128), (0, 1))  # by bits: 0 to 127, then -128 to -1
    core = CORE if layer is None else CORE.replace("muli", f"muli@{layer}")
    want = Evaluator(network, Binding.parse([core])).outputs(X)
    assert (trials.outputs(table) == want).all()
    assert trials.value(table) == (want.argmax(1) == targets).mean()
    assert (trials.outputs(EXACT) == Evaluator(network).outputs(X)).all()


def test_the_left_operand_is_a(network, targets):
    table = lopsided()
    found = CircuitTrials(network, (X, targets), EXACT).outputs(table)
    y = (table[X.view(np.uint8)[:, :, None], FIRST.view(np.uint8)[None]]).sum(1)
    y = np.clip(y >> 7, -128, 127).astype(np.int8).view(np.uint8)
    last = (table[LAST.view(np.uint8)[None], y[:, None, :]]).sum(2)
    assert (found == last).all()


def test_pairs_of_weights_that_are_the_left_operand(network, plain):
    # Rows of the second layer's weights meet its codes, whichever side they stand on.
    for layer in ("first", "last"):
        one, other = (operand_codes(n, X, (8, 8), True, layer) for n in (network, plain))
        counts = [
            dict(zip(zip(h.a, h.b, strict=True), h.weight, strict=True)) for h in (one, other)
        ]
        assert counts[0] == counts[1] and len(counts[0]) > 50
    y = np.clip(X.astype(int) @ FIRST >> 7, -128, 127)
    met: dict[tuple[int, int], int] = {}
    for row in y:
        for weights in LAST:
            for pair in zip(row.tolist(), weights.tolist(), strict=True):
                met[pair] = met.get(pair, 0) + 1
    assert {(int(a), int(b)): count for (a, b), count in counts[0].items()} == met


def test_what_cannot_be_tried(network, targets):
    unsigned = starts.multiplier((8, 8), 16, False).table(False)
    with pytest.raises(InputError, match="layer 'first': its products are not what the circuits"):
        CircuitTrials(network, (X, targets), unsigned)
    with pytest.raises(InputError, match="layer 'none': has no sums of products of integer codes"):
        CircuitTrials(network, (X, targets), EXACT, layer="none")


def test_the_data_and_the_layer_are_what_trials_are_about(network, targets):
    plain = CircuitTrials(network, (X, targets), EXACT)
    others = [
        CircuitTrials(network, (X[:20], targets[:20]), EXACT),
        CircuitTrials(network, (X, (targets + 1) % 4), EXACT),
        CircuitTrials(network, (X, targets), EXACT, layer="first"),
        CircuitTrials(network, (X, targets), EXACT, metric="top2"),
    ]
    assert CircuitTrials(network, (X, targets), EXACT).about == plain.about
    assert len({plain.about, *(one.about for one in others)}) == 5


@pytest.fixture
def command(plain, targets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(search, "_CANDIDATES_TO_TRY", 2000)
    lowered = as_approx(plain, Binding())
    (tmp_path / "two.mlir").write_text(lowered.lowering.text("approx", 1))
    write_weights(weights_file_of(tmp_path / "two.mlir"), lowered.weights)
    np.savez(tmp_path / "data.npz", x=X, y=targets)
    data = str(tmp_path / "data.npz")
    return [
        *["cores", "evolve", "--op", "muli", "--width", "8", "--signed", "--bound", "WMED<=200"],
        *["--least", "20", "--points", "4", "--minimize", "energy", "--threads", "1"],
        *["--weights", str(tmp_path / "two.mlir"), "--data", data, "--test", data],
        *["-o", str(tmp_path / "out")],
    ]


def test_a_search_keeps_what_a_network_keeps(command, plain, targets, tmp_path, capsys):
    command += ["--keep", "accuracy>=0.9", "--json"]
    assert main([*command, "--rounds", "2"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["counts"]["tried"] > found["counts"]["kept"] > 0
    assert len(found["circuits"]) > 1
    for entry in found["circuits"]:
        core = f"muli={tmp_path / 'out' / entry['file']}"
        assert asnet_mlir.evaluate(plain, (X, targets), core).accuracy >= 0.9
    # What was kept is not given up, and the same command goes on.
    assert main([*command, "--rounds", "3"]) == 0
    later = json.loads(capsys.readouterr().out)
    assert later["counts"]["rounds"] == 3
    assert min(e["cost"] for e in later["circuits"]) <= min(e["cost"] for e in found["circuits"])
    other = [*command, "--rounds", "3", "--keep", "accuracy>=0.8"]
    assert main(other) == 2
    assert "has a search with keep = accuracy>=0.9 on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--keep", "accuracy>=1.01"], "the exact network has 1 on"),
        (["--keep", "area<=3"], "one bound on how good the network is"),
        (["--keep", "accuracy>=0.9 and snr>=3"], "one bound on how good the network is"),
        (["--keep", "good"], "write a bound as accuracy>=0.9"),
        (["--keep", "accuracy>=0.9", "--width", "6"], "6 bits"),
        (["--keep", "accuracy>=0.9", "--no-signed"], "take --signed for signed codes"),
        ([], "--test is for --keep"),
    ],
)
def test_bad_input_is_one_line(command, more, says, tmp_path, capsys):
    assert main([*command, "--rounds", "1", *more]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_test_set_needs_a_network(tmp_path, capsys):
    command = ["cores", "evolve", "--op", "muli", "--width", "8", "--bound", "MAE<=9"]
    assert main([*command, "-o", str(tmp_path / "out"), "--keep", "accuracy>=0.9"]) == 2
    assert "--keep needs --weights NETWORK, --data and --test" in capsys.readouterr().err
