# SPDX-License-Identifier: Apache-2.0
"""`asnet finetune`, `asnet export` and `asnet evaluate --device`: options, and what is refused."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from jax import export
from test_training_options import RANK_1, RANK_5, labelled, network

import asnet_mlir
from asnet_mlir.cli.main import main
from asnet_mlir.training import approximate
from asnet_mlir.training.rewriting import text_of


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with a network of two dense layers, and its labelled samples."""
    folder = tmp_path_factory.mktemp("training")
    (folder / "net.mlir").write_text(text_of(network()))
    x, y = labelled()
    np.savez(folder / "data.npz", x=x, y=y)
    np.savez(folder / "x.npz", x=x)
    np.savez(folder / "other.npz", x=x, y=y + 1)
    return folder


@pytest.fixture
def run(files, capsys, monkeypatch):
    """Return a function that carries a command out in the folder: (status, output, errors)."""
    monkeypatch.chdir(files)

    def call(command, *more):
        status = main([*command.split(), *more])
        found = capsys.readouterr()
        return status, found.out, found.err

    return call


FINETUNE = "finetune net.mlir --data data.npz -o tuned.mlir"


def test_finetune_goes_on_and_gives_a_network(run, files):
    command = (
        f"{FINETUNE} --test data.npz --bind {RANK_1} --also {RANK_5} --epochs 2 --batch 8 "
        "--seed 3 --estimator ste --scales --centre --optimizer sgd --rate 0.05 "
        "--schedule cosine --checkpoint c.npz"
    )
    status, out, err = run(command, "--json")
    found = json.loads(out)
    assert status == 0 and [one["epoch"] for one in found["epochs"]] == [0, 1, 2]
    assert found["epochs"][0]["loss"] is None and err.count("epoch ") == 3
    first = (files / "tuned.mlir").read_bytes()
    status, out, err = run(command, "--json")
    assert (status, json.loads(out), err) == (0, found, "")  # all of it is in the checkpoint
    assert (files / "tuned.mlir").read_bytes() == first
    accuracies = [
        json.loads(run(f"evaluate tuned.mlir --data data.npz --bind {rule} {device} --json")[1])
        for rule, device in ((RANK_1, "--device cpu-xla"), (RANK_5, ""))
    ]
    best = max(one["accuracy"] for one in found["epochs"])
    assert best == pytest.approx(np.mean([one["accuracy"] for one in accuracies]))


def test_layers_keep_their_names_in_training(run, files):
    """A binding by layers is one of the trained network, too: biases that were added or not."""
    rule = "muli@one=mul8s_evolved:M=15"
    status, out, _ = run(f"{FINETUNE} --bind {rule} --epochs 1 --batch 40 --rate 0.1")
    assert status == 0 and "best: epoch" in out
    function, x = approximate(files / "tuned.mlir", rule), labelled()[0]
    assert np.array_equal(
        jax.jit(function)(x), asnet_mlir.run(files / "tuned.mlir", x, rule).outputs
    )
    status, _, err = run("evaluate tuned.mlir --data data.npz --bind muli@three=drum:N=8,K=4")
    assert status == 2 and "'three'" in err and "one" in err


def test_patience_ends_training(run):
    status, out, _ = run(f"{FINETUNE} --epochs 5 --patience 1 --rate 1e-9")
    assert status == 0 and "stopped: nothing better in 1 epochs" in out and "epoch 0" in out


def test_artifacts_are_compared(run):
    assert run(f"export net.mlir --bind {RANK_5} --codes -o net.stablehlo")[0] == 0
    compare = "export net.mlir --compare net.stablehlo --data x.npz"
    status, out, _ = run(f"{compare} --bind {RANK_5}")
    assert status == 0 and out.startswith("0 of 144 words differ")
    status, out, _ = run(compare, "--json")
    assert status == 1 and json.loads(out)["differ"] > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"calling_convention_version": 99}, "its calling convention is 99, here are"),
        ({"mlir_module_serialized": b"StableHLO_v9.0.0"}, "no artifact that JAX"),
    ],
)
def test_artifacts_of_another_version(run, files, change, message):
    assert run("export net.mlir -o net.stablehlo")[0] == 0
    path = files / "net.stablehlo"
    other = dataclasses.replace(export.deserialize(bytearray(path.read_bytes())), **change)
    path.write_bytes(bytes(other.serialize()))
    status, _, err = run("export net.mlir --compare net.stablehlo --data x.npz")
    assert status == 2 and message in err and "write it again with `asnet export`" in err


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            "finetune net.mlir --data data.npz -o tuned.keras",
            "that of a .keras or .h5 file as FILE.keras",
        ),
        (f"{FINETUNE} --optimizer lion", "one of adam, sgd"),
        (f"{FINETUNE} --schedule linear", "one of constant, cosine"),
        (f"{FINETUNE} --estimator x", "one of ste, lre, difference, difference2d"),
        (f"{FINETUNE} --estimator numpy:nothing", "has no function 'nothing'"),
        (f"{FINETUNE} --epochs 0", "at least 1"),
        (f"{FINETUNE} --rate=-1", "positive and finite"),
        (f"{FINETUNE} --bind muli@three=drum:N=8,K=4", "in that layer; they are in one, two"),
        (f"{FINETUNE} --also muli@three={RANK_5.partition('=')[2]}", "in that layer"),
        (f"{FINETUNE} --bind addi=loa:N=32,K=6", "products of codes"),
        (f"{FINETUNE} --checkpoint data.npz", "no checkpoint"),
        ("finetune net.mlir --data x.npz -o tuned.mlir", "has no labels, and training takes"),
        ("finetune net.mlir --data other.npz -o tuned.mlir", "is 3, the network has"),
        ("evaluate net.mlir --data data.npz --device gpu", "finds none here, only cpu"),
        ("evaluate net.mlir --data data.npz --device npu", "one of cpu, cpu-xla, gpu, tpu"),
        ("export net.mlir", "either -o NET.stablehlo or --compare FILE"),
        ("export net.mlir --compare net.mlir", "--compare needs samples"),
        ("export net.mlir --compare none.stablehlo --data x.npz", "no such file"),
        ("export net.mlir --compare net.mlir --data x.npz", "no artifact that JAX"),
    ],
)
def test_what_cannot_be(run, command, message):
    status, _, err = run(command)
    assert status == 2 and message in err and err.count("\n") == 1
