# SPDX-License-Identifier: Apache-2.0
"""A packed study is evaluated without its author's folders; what is wrong with one is named."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from asnet_mlir.cli.main import main
from asnet_mlir.errors import InputError
from asnet_mlir.exploration import Store, explore
from asnet_mlir.exploration.packing import STORE, pack, unpack
from asnet_mlir.exploration.repeat import repeat

# Latency 0; the low bits of both operands' significands are cut by a parameter.
OWN = """`include "inc/cut.vh"
module own_mul #(parameter C = 4) (input [23:0] a, input [23:0] b, output [47:0] y);
  assign y = `CUT(a) * `CUT(b);
endmodule
"""


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A packed study of a user's core and data beside a rule; the author's folder is gone."""
    folder = tmp_path_factory.mktemp("author")
    (folder / "rtl" / "inc").mkdir(parents=True)
    (folder / "rtl" / "own.v").write_text(OWN)
    (folder / "rtl" / "inc" / "cut.vh").write_text("`define CUT(x) (((x) >> C) << C)\n")
    draw = np.random.default_rng(0)
    x = draw.random((40, 28, 28), np.float32)
    np.savez(folder / "own.npz", x=x, y=draw.integers(0, 10, 40))
    space = {
        "scope": "network",
        "cores": [{"op": "mulf", "core": str(folder / "rtl/own.v"), "parameters": {"C": [16, 20]}}],
    }
    store = folder / "s.sqlite"
    data = f"{folder / 'own.npz'}[0:30]"
    words = ["asnet", "explore", "classification_mnist", "--data", data, "--constraints", "s.json"]
    words += ["--choose", "accuracy>=0", "--bind", "divf=fdiv_trunc:P=10", "--store", str(store)]
    explore(
        "classification_mnist",
        data,
        space,
        binding="divf=fdiv_trunc:P=10",
        store=store,
        test=f"{folder / 'own.npz'}[30:]",
        choose="accuracy>=0",
        command=shlex.join(words),
    )
    place = tmp_path_factory.mktemp("packed") / "study.zip"
    pack(store, place, with_data=True)
    shutil.rmtree(folder)
    return place, str(folder)


def test_a_packed_study_evaluates_without_its_authors_folders(packed, tmp_path, capsys):
    place, author = packed
    assert main(["unpack", str(place), "-o", str(tmp_path / "u"), "--evaluate", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["equal"] for one in found["evaluated"]] == [True] * 4
    assert found["provenance"]["tools"]["asnet-mlir"] == found["product"]
    for path in (tmp_path / "u").rglob("*"):
        assert not path.is_file() or author.encode() not in path.read_bytes(), path


def test_its_commands_run_in_its_folder(packed, tmp_path, monkeypatch, capsys):
    study = unpack(packed[0], tmp_path / "u")
    monkeypatch.chdir(study.folder)
    with Store(STORE, read_only=True) as store:
        records, (first, *_) = store.evaluations(), store.studies()
    for record in records[:2]:
        assert main([*shlex.split(record.command)[1:], "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["accuracy"] == record.value
    assert main(shlex.split(first.command)[1:]) == 0  # all are found in the store
    assert "3 configurations (0 run)" in capsys.readouterr().out


def test_another_result_is_told(packed, tmp_path):
    study = unpack(packed[0], tmp_path / "u")
    with Store(study.store) as store:
        store.execute("UPDATE evaluation SET correct = (correct + 1) % 2", [])
    assert not any(one.equal for one in repeat(study.folder, STORE))
    data = next((study.folder / "data").iterdir())
    np.savez(data, x=np.zeros((40, 28, 28), np.float32), y=np.zeros(40, int))
    with pytest.raises(InputError, match=r"own\.npz.*: other samples than those of the study"):
        list(repeat(study.folder, STORE))


def changed(place, tmp_path, change):
    """Return a copy of a packed study whose files, by name, `change` has changed."""
    with zipfile.ZipFile(place) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return tmp_path / "bad.zip"


def edit(**new):
    def change(files):
        files["study.json"] = json.dumps(json.loads(files["study.json"]) | new).encode()

    return change


def outside(files):
    files["../x"] = files[STORE]
    index = json.loads(files["study.json"])
    index["files"]["../x"] = index["files"][STORE]
    files["study.json"] = json.dumps(index).encode()


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda f: f.pop(STORE), f"the file {STORE} is missing"),
        (lambda f: f.update({STORE: b"x"}), f"the file {STORE} is not what was packed"),
        (lambda f: f.pop("study.json"), "is no packed study (it lacks study.json)"),
        (edit(version=2), "version 2, made by asnet-mlir 0.1.0; this program reads version 1"),
        (edit(format="x"), "says no 'asnet-study'"),
        (edit(files={}), f"study.json names no {STORE}"),
        (lambda f: f.update({"study.json": b"{"}), "study.json can't be read"),
        (outside, "the file '../x' would lie outside of the folder"),
    ],
)
def test_a_damaged_one_is_named_and_leaves_nothing(packed, tmp_path, change, message):
    place = changed(packed[0], tmp_path, change)
    with pytest.raises(InputError, match=re.escape(message)):
        unpack(place, tmp_path / "u")
    assert not (tmp_path / "u").exists() and not (tmp_path / "x").exists()


def test_places_that_are_wrong_are_said(packed, tmp_path, capsys):
    (tmp_path / "u").mkdir()
    (tmp_path / "u" / "mine").touch()
    assert main(["unpack", str(packed[0]), "-o", str(tmp_path / "u")]) == 2
    assert "exists already; name a new folder" in capsys.readouterr().err
    assert main(["unpack", str(tmp_path / "no.zip"), "-o", str(tmp_path / "v")]) == 2
    assert "no such file" in capsys.readouterr().err
    Path(tmp_path / "t.zip").write_text("text")
    assert main(["unpack", str(tmp_path / "t.zip"), "-o", str(tmp_path / "v")]) == 2
    assert "is no packed study" in capsys.readouterr().err
    assert main(["pack", str(tmp_path / "no.sqlite"), "-o", str(tmp_path / "x.zip")]) == 2


def test_a_store_that_lacks_the_network_says_what_to_do(packed, tmp_path):
    study = unpack(packed[0], tmp_path / "u")
    with Store(study.store) as store:
        store.execute("DELETE FROM kept WHERE kind = 'network'")
    with pytest.raises(InputError, match="lacks the network 'classification_mnist'"):
        pack(study.store, tmp_path / "again.zip")
