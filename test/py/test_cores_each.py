# SPDX-License-Identifier: Apache-2.0
"""A folder of circuits at once: a table, one bad file not stopping the others, resumable."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from asnet_mlir.cores import each, parse_instance
from asnet_mlir.cores.each import Request, Row
from asnet_mlir.errors import InputError

MULTIPLIER = "module {}(input [3:0] a, input [3:0] b, output [7:0] r); assign r = {}; endmodule\n"

# Stands in for the worker: answers by what a file's name says.
STAND_IN = """
import json, os, sys, time
for line in sys.stdin:
    file, request = json.loads(line)
    name = os.path.basename(file)
    with open(os.path.join(os.path.dirname(file), "log"), "a") as log:
        log.write(name + "\\n")
    if name.startswith("dies"):
        print("of something", file=sys.stderr, flush=True)
        os.kill(os.getpid(), 11)
    if name.startswith("hangs"):
        time.sleep(1000)
    status = name.split("_")[0]
    row = dict(file=file, status=status, core=name, message="" if status == "pass" else "why")
    print(json.dumps(row), flush=True)
"""


@pytest.fixture
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASNET_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def stand_in(own_cache: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(each, "_COMMAND", (sys.executable, "-c", STAND_IN))


def files(folder: Path, *names: str) -> list[str]:
    for name in names:
        (folder / name).write_text(f"// {name}\n")
    return [str(folder / name) for name in names]


def test_files_of_folders(tmp_path: Path) -> None:
    for name in ("b.v", "a.sv", "notes.txt", "deep/c.v", "core/core.toml", "core/part.v"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [os.path.relpath(name, tmp_path) for name in each.find([str(tmp_path)])]
    assert names == ["a.sv", "b.v", "core/core.toml", "deep/c.v"]
    assert each.find(["fmul", str(tmp_path / "deep")]) == ["fmul", str(tmp_path / "deep" / "c.v")]
    with pytest.raises(InputError, match="is named twice"):
        each.find([str(tmp_path), str(tmp_path / "b.v")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no Verilog file"):
        each.find([str(tmp_path / "empty")])


def test_a_process_that_dies_is_the_error_of_its_file(tmp_path: Path, stand_in: None) -> None:
    names = files(tmp_path, "pass_0.v", "dies_1.v", "pass_2.v", "fail_3.v", "pass_4.v")
    seen: list[Row] = []
    rows = each.run(names, Request("check"), jobs=2, progress=seen.append)
    assert [row.file for row in rows] == names and len(seen) == 5
    assert [row.status for row in rows] == ["pass", "error", "pass", "fail", "pass"]
    assert rows[1].message == "the process that looked at it ended (signal 11): of something"


def test_what_hangs_is_ended(
    tmp_path: Path, stand_in: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(each, "_SECONDS", 1.0)
    rows = each.run(files(tmp_path, "hangs_0.v", "pass_1.v"), Request("check"), jobs=1)
    assert [row.status for row in rows] == ["error", "pass"]
    assert rows[0].message == "took longer than 1 s"


def test_rows_are_kept_but_errors_tried_again(tmp_path: Path, stand_in: None) -> None:
    names = files(tmp_path, "pass_0.v", "error_1.v", "fail_2.v")

    def tried(**changes: Any) -> list[str]:
        (tmp_path / "log").write_text("")
        rows = each.run(names, Request("check", **changes), jobs=1)
        assert [row.status for row in rows] == ["pass", "error", "fail"]
        return (tmp_path / "log").read_text().split()

    assert tried() == ["pass_0.v", "error_1.v", "fail_2.v"]
    assert tried() == ["error_1.v"]
    (tmp_path / "fail_2.v").write_text("// changed\n")
    assert tried() == ["error_1.v", "fail_2.v"]
    # What is included belongs to it, and so does what is asked for.
    (tmp_path / "more.vh").write_text("// first\n")
    (tmp_path / "pass_0.v").write_text('`include "more.vh"\n')
    assert tried() == ["pass_0.v", "error_1.v"]
    (tmp_path / "more.vh").write_text("// second\n")
    assert tried() == ["pass_0.v", "error_1.v"]
    assert tried() == ["error_1.v"]
    assert len(tried(seed=1)) == 3
    assert tried(threads=7) == ["error_1.v"]


def test_an_interrupted_run_keeps_what_is_done(tmp_path: Path, own_cache: None) -> None:
    names = files(tmp_path, "pass_0.v", "hangs_1.v")
    program = (
        "import sys\nfrom asnet_mlir.cores import each\n"
        f"each._COMMAND = (sys.executable, '-c', {STAND_IN!r})\n"
        f"each.run({names}, each.Request('check'), jobs=1)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    log = tmp_path / "log"
    while not log.exists() or "hangs_1.v" not in log.read_text():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode != 0 and "KeyboardInterrupt" in said
    log.unlink()
    (tmp_path / "hangs_1.v").rename(tmp_path / "pass_1.v")
    again = program.replace("hangs_1", "pass_1")
    assert subprocess.run([sys.executable, "-c", again], check=False, timeout=60).returncode == 0
    assert log.read_text().split() == ["pass_1.v"]


def test_the_table() -> None:
    check = {"strategy": "word", "vectors": 256, "latency_cycles": 0}
    figures = {
        "strategy": "bitslice",
        "vectors": 256,
        "exhaustive": True,
        "metrics": {"EP": 0.5, "MAE": 1.25, "WCE": 9, "MRE": None},
        "percent": {"EP": 50.0, "MAE": 0.5, "MRE": None},
    }
    rows = [
        Row("a.v", "pass", "a", "muli", "", check, figures),
        Row("b.v", "error", message="b.v:1: " + "x" * 200),
    ]
    header, first, second, last = each.table(rows).splitlines()
    columns = "file op status strategy vectors latency pairs EP % MAE MAE % WCE message"
    assert header.split() == columns.split()
    assert first.split() == [
        "a.v",
        "muli",
        "pass",
        "bitslice",
        "256",
        "0",
        "all",
        "50",
        "1.25",
        "0.5",
        "9",
    ]
    assert second.startswith("b.v") and second.endswith("xx..") and len(second) < 250
    assert last == "2 cores: 1 pass, 0 fail, 1 errors"
    read = list(csv.DictReader(io.StringIO(each.to_csv(rows))))
    assert read[0]["EP %"] == "50.0" and read[0]["exhaustive"] == "True" and read[0]["MRE"] == ""
    assert read[1]["message"] == rows[1].message and read[1]["WCE"] == ""
    assert json.loads(json.dumps(rows[0].to_json()))["characterization"]["metrics"]["WCE"] == 9


def test_a_core_of_many_bits_gets_a_sample() -> None:
    names = ("drum:N=8,K=4", "mitchell:N=12", "mitchell:N=16", "fmul")
    assert [each._sample(parse_instance(name)) for name in names] == [None, None, 1 << 24, None]


def test_circuits_by_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from asnet_mlir.cli.main import main

    (tmp_path / "exact.v").write_text(MULTIPLIER.format("exact", "a * b"))
    (tmp_path / "close.v").write_text(MULTIPLIER.format("close", "(a * b) & 8'hFE"))
    (tmp_path / "broken.v").write_text("module broken(input a\n")
    # What they compute is inferred.
    command = ["cores", "characterize", str(tmp_path), "--each", "--jobs", "1"]
    assert main([*command, "--json", "--csv", str(tmp_path / "table.csv")]) == 1
    broken, close, exact = json.loads(capsys.readouterr().out)["cores"]
    assert [row["status"] for row in (broken, close, exact)] == ["error", "pass", "pass"]
    assert (close["op"], exact["op"], broken["op"]) == ("muli", "muli", None)
    assert broken["message"].startswith(str(tmp_path / "broken.v"))
    # Of 256 products 64 are odd (both operands odd), and each of these is one too small.
    assert close["characterization"]["metrics"]["MAE"] == 64 / 256
    assert exact["characterization"]["metrics"]["WCE"] == 0
    read = {row["core"]: row for row in csv.DictReader((tmp_path / "table.csv").open())}
    assert read["close"]["WCE"] == "1" and read["close"]["EP %"] == "25.0"
    # Again, as text: both circuits' rows are there, so that no worker sees them.
    monkeypatch.setattr(each, "_COMMAND", (sys.executable, "-c", STAND_IN))
    (tmp_path / "broken.v").unlink()
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2 cores: 2 pass, 0 fail, 0 errors"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "{}"], "is a folder; --each takes every file in it as a core"),
        (["check", "{}", "--each", "--jobs", "0"], "number of jobs must be at least 1"),
        (["check", "fmul", "--jobs", "2"], "--jobs is for --each"),
        (["check", "{}", "--each", "--model", "m.c"], "--model is for one core at a time"),
        (["characterize", "{}", "--each", "-o", "x"], "--output is for one core at a time"),
    ],
)
def test_bad_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    from asnet_mlir.cli.main import main

    files(tmp_path, "some.v")
    assert main(["cores", *(word.format(tmp_path) for word in arguments)]) == 2
    assert message in capsys.readouterr().err
