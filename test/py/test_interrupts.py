# SPDX-License-Identifier: Apache-2.0
"""SIGINT and SIGTERM: held while something is loaded, answered in one line, nothing lost."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from asnet_mlir.support import interrupts
from asnet_mlir.support.interrupts import Interrupts

ASNET = [sys.executable, "-c", "from asnet_mlir.cli.program import asnet; asnet()"]


def test_an_interrupt_waits_until_a_module_is_loaded(tmp_path, monkeypatch):
    """One that is raised inside of a native extension's start ends the process by a signal."""
    (tmp_path / "loads_slowly.py").write_text(
        "import signal\nsignal.raise_signal(signal.SIGINT)\nloaded = True\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(KeyboardInterrupt), Interrupts():
        import loads_slowly  # type: ignore[import-not-found]

        assert loads_slowly.loaded
        time.sleep(20)
    assert sys.modules.pop("loads_slowly").loaded
    assert signal.getsignal(signal.SIGALRM) == before
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_outside_of_imports_it_comes_at_once():
    with pytest.raises(KeyboardInterrupt), Interrupts():
        signal.raise_signal(signal.SIGINT)
        pytest.fail("not interrupted")


def test_one_that_hits_a_callback_of_the_garbage_collector_comes_again():
    """Errors of such a callback are printed and forgotten; JAX has one."""
    code = """
import gc, signal, time
from asnet_mlir.support import interrupts
def callback(*_):
    gc.callbacks.clear()
    signal.raise_signal(signal.SIGINT)
interrupts.take_over()
gc.callbacks.append(callback)
try:
    gc.collect()
    time.sleep(20)
except KeyboardInterrupt as error:
    raise SystemExit(interrupts.answer(error))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "asnet: interrupted\n")


def test_an_ignored_signal_stays_ignored(monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    other = signal.getsignal(signal.SIGINT)
    try:
        interrupts.take_over()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGINT) is interrupts._handle
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, other)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_sweep_that_is_ended_keeps_what_it_reported(tmp_path, number, status):
    store, constraints = tmp_path / "s.sqlite", tmp_path / "c.json"
    space = [
        {"op": op, "core": core, "parameters": {"P": [0, 8, 12, 16, 20, 22]}}
        for op, core in (("mulf", "fmul_trunc"), ("divf", "fdiv_trunc"))
    ]
    constraints.write_text(json.dumps({"cores": space}))
    command = [*ASNET, "explore", "classification_mnist", "--data", "mnist:test"]
    command += ["--constraints", str(constraints), "--store", str(store), "--threads", "1"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 500
        while _rows(store) < 3 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        seen = _rows(store)
        process.send_signal(number)
        out, err = process.communicate()
    lines = [line for line in err.splitlines() if line.startswith("asnet")]
    assert process.returncode == status and out == "" and len(lines) == 1, err
    assert f"{store}; the same command goes on from there" in lines[0]
    kept = _rows(store)
    assert f"interrupted: {kept} evaluations" in lines[0] and kept >= seen >= 3
    assert "Traceback" not in err


def _rows(store: Path) -> int:
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as kept,
    ):
        return int(kept.execute("SELECT count(*) FROM evaluation").fetchone()[0])
    return 0


def test_names_outside_of_ascii_under_an_ascii_encoding(tmp_path):
    """Python takes names of files for ASCII there; the command starts again in UTF-8."""
    path = tmp_path / "größe.json"
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "PYTHON"))
    }
    environment |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [*ASNET, "evaluate", "classification_mnist", "--data", "mnist:test:9", "--binding"]
    done = subprocess.run([*command, str(path)], env=environment, capture_output=True)
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1
    assert "größe.json".encode() in done.stderr and b"internal" not in done.stderr
