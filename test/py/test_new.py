# SPDX-License-Identifier: Apache-2.0
"""What `make new-pass` and `make new-core` write is accepted by what reads it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import new
import pytest
import yaml

from asnet_mlir.cores.reading.core_toml import read_manifest
from asnet_mlir.plugin import mlir_opt_path
from asnet_mlir.support import verilator

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a folder with what a generator changes."""
    shutil.copytree(ROOT / "hdl_lib", tmp_path / "hdl_lib")
    (tmp_path / "passes").mkdir()
    shutil.copy(ROOT / "passes" / "Passes.td", tmp_path / "passes")
    return tmp_path


def test_a_new_pass(copy: Path) -> None:
    files = new.new_pass(copy, "count-things")
    assert [path.relative_to(copy).as_posix() for path in files] == [
        "passes/CountThings.cpp",
        "test/lit/passes/count-things.mlir",
        "passes/Passes.td",
    ]
    tblgen = mlir_opt_path().with_name("mlir-tblgen")
    include = f"-I{tblgen.parents[1] / 'include'}"
    declared = subprocess.run(
        [tblgen, include, "--gen-pass-decls", copy / "passes" / "Passes.td"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    source = files[0].read_text()
    assert "#define GEN_PASS_DEF_COUNTTHINGS" in source
    assert "#ifdef GEN_PASS_DEF_COUNTTHINGS" in declared
    assert "impl::CountThingsBase<CountThings>" in source
    assert "class CountThingsBase" in declared
    assert "--approx-count-things" in files[1].read_text()
    with pytest.raises(SystemExit, match="has the pass already"):
        new.new_pass(copy, "count-things")


@pytest.mark.parametrize("op", ["mulf", "addf", "divf"])
def test_a_new_core(copy: Path, op: str) -> None:
    files = new.new_core(copy, "fop_of_mine", op)
    core = read_manifest(files[1], in_library=True)
    assert (core.name, core.op, core.sources[0].path) == ("fop_of_mine", op, files[0])
    listed = (copy / "hdl_lib" / "asnet_hdl.f").read_text().split()
    fusesoc = yaml.safe_load((copy / "hdl_lib" / "asnet_hdl.core").read_text())
    assert listed[-1] == fusesoc["filesets"]["rtl"]["files"][-1] == "fop_of_mine/fop_of_mine.sv"
    assert "`fop_of_mine`" in (copy / "hdl_lib" / "README.md").read_text()
    ruff = [sys.executable, "-m", "ruff", "check", "--config", ROOT / "pyproject.toml"]
    subprocess.run([*ruff, files[2]], check=True)
    subprocess.run(
        [verilator._binary(), "--lint-only", "-Wall", "-f", "asnet_hdl.f", "--top", "fop_of_mine"],
        cwd=copy / "hdl_lib",
        env={**os.environ, "VERILATOR_ROOT": str(verilator._root())},
        check=True,
    )


@pytest.mark.parametrize("name", ["FoldWeights", "fold_weights", "", "a--b"])
def test_a_pass_of_a_bad_name(copy: Path, name: str) -> None:
    with pytest.raises(SystemExit, match="a pass is named like fold-weights"):
        new.new_pass(copy, name)


def test_nothing_is_overwritten(copy: Path) -> None:
    with pytest.raises(SystemExit, match="is there already"):
        new.new_core(copy, "fmul")
    with pytest.raises(SystemExit, match="OP=maxi: a skeleton is of addf, mulf, divf"):
        new.new_core(copy, "other", "maxi")
