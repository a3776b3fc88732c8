# SPDX-License-Identifier: Apache-2.0
"""The cores as a library of their own: its lists are complete, and Verilator has no warning."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml

from asnet_mlir.cores import library_cores
from asnet_mlir.support import verilator

LIBRARY = Path(__file__).resolve().parents[2] / "hdl_lib"
FILES = {path.relative_to(LIBRARY).as_posix() for path in LIBRARY.glob("*/*.sv")}


def test_the_file_list_has_every_file() -> None:
    listed = (LIBRARY / "asnet_hdl.f").read_text().split()
    assert len(listed) == len(set(listed))
    assert set(listed) == FILES


def test_the_fusesoc_core_has_every_file() -> None:
    core = yaml.safe_load((LIBRARY / "asnet_hdl.core").read_text())
    assert set(core["filesets"]["rtl"]["files"]) == FILES


def test_its_page_names_every_core() -> None:
    page = (LIBRARY / "README.md").read_text()
    assert [name for name in library_cores() if f"`{name}`" not in page] == []


def test_verilator_has_no_warning_of_any_core() -> None:
    warned = {}
    for core in library_cores().values():
        options = ["--lint-only", "-Wall", "--no-timing", "-f", "asnet_hdl.f"]
        done = subprocess.run(
            [verilator._binary(), *options, "--top", core.module],
            cwd=LIBRARY,
            env={**os.environ, "VERILATOR_ROOT": str(verilator._root())},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            warned[core.name] = done.stderr
    assert warned == {}


def test_yosys_reads_every_core_itself() -> None:
    files = " ".join(sorted(FILES))
    commands = [f"read_verilog -sv -defer {files}", "design -save library"]
    for core in library_cores().values():
        commands += ["design -load library", f"hierarchy -check -top {core.module}"]
    script = "from pyosys import libyosys\ndesign = libyosys.Design()\n" + "\n".join(
        f"libyosys.run_pass({command!r}, design)" for command in commands
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=LIBRARY, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-500:]
