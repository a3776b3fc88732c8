# SPDX-License-Identifier: Apache-2.0
"""`asnet explore`: sweeps that are interrupted or killed go on; progress; bad input in one line."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from asnet_mlir.binding import Binding
from asnet_mlir.cli import main as cli
from asnet_mlir.errors import InputError
from asnet_mlir.exploration import explore
from asnet_mlir.exploration.criterion import Criterion
from asnet_mlir.exploration.results import Result
from asnet_mlir.exploration.runs import is_alive, this_run
from asnet_mlir.exploration.store import Store
from asnet_mlir.exploration.sweep_progress import ProgressDisplay
from asnet_mlir.reports.report import watch
from asnet_mlir.support.progress import duration

MODEL, DATA = "classification_mnist", "mnist:test:300"
SPACE = {
    "cores": [
        {"op": "mulf", "core": "fmul_trunc", "parameters": {"P": [10, 16, 22]}},
        {"op": "divf", "core": "fdiv_trunc", "parameters": {"P": [10, 16, 22]}},
    ]
}


@pytest.fixture
def arguments(tmp_path):
    """`explore` on a space of 16 configurations, with a store."""
    constraints = tmp_path / "c.json"
    constraints.write_text(json.dumps(SPACE))
    return [
        *("explore", MODEL, "--data", DATA, "--constraints", str(constraints)),
        *("--store", str(tmp_path / "s.sqlite")),
    ]


def run(capfd, arguments):
    status = cli.main(arguments)
    captured = capfd.readouterr()
    return status, captured.out, captured.err


def test_ctrl_c_leaves_a_usable_store(capfd, arguments, monkeypatch):
    call = ProgressDisplay.__call__

    def interrupt(self, done, total, result, seconds):
        call(self, done, total, result, seconds)
        if done == 5:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(ProgressDisplay, "__call__", interrupt)
    status, out, err = run(capfd, arguments)
    assert status == 130 and not out
    assert re.search(
        r"asnet: interrupted: 5 evaluations of this study are stored in \S+/s\.sqlite; the same "
        r"command goes on from there\n$",
        err,
    )
    with Store(arguments[-1], read_only=True) as store:
        assert store.count() == 5 and store.studies()[0].state == "interrupted"
    monkeypatch.setattr(ProgressDisplay, "__call__", call)
    status, out, err = run(capfd, [*arguments, "--json"])
    value = json.loads(out)
    assert status == 0 and err == ""
    assert (value["evaluated"], len(value["results"])) == (11, 16)
    with Store(arguments[-1], read_only=True) as store:
        (study,) = store.studies()
        assert study.state == "done" and len(store.study_results(study.key)) == 16


def test_ctrl_c_without_a_store_says_so(capfd, arguments, monkeypatch):
    def interrupt(self, done, total, result, seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(ProgressDisplay, "__call__", interrupt)
    status, _, err = run(capfd, arguments[:-2])
    assert status == 130
    assert "interrupted after 1 evaluations; without --store none is kept" in err


KILLED = """
import os, signal, sys
from asnet_mlir.exploration import explore
def report(done, total, result, seconds):
    print(result.binding.label, result.accuracy, result.stored, flush=True)
    if not result.stored and done == {last}:
        os.kill(os.getpid(), signal.SIGKILL)
explore({model!r}, {data!r}, {space!r}, store={store!r}, progress=report)
"""


def test_a_killed_sweep_goes_on_and_loses_nothing_that_it_reported(arguments):
    reported = {}
    for last in (1, 7):
        code = KILLED.format(model=MODEL, data=DATA, space=SPACE, store=arguments[-1], last=last)
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
        lines = [line.rsplit(" ", 2) for line in done.stdout.splitlines()]
        assert {label for label, _, stored in lines if stored == "True"} == set(reported)
        reported |= {label: float(accuracy) for label, accuracy, _ in lines}
        assert len(reported) == last
        with Store(arguments[-1], read_only=True) as store:
            (study,) = store.studies()
            assert (study.state, store.state(study.key)) == ("running", "killed")
    page = Path(arguments[-1]).with_name("r.html")
    assert cli.main(["report", arguments[-1], "-o", str(page), "--watch"]) == 0  # ends at once
    text = page.read_text()
    assert "<td>killed, begun or ended last at 20" in text and "refresh" not in text
    swept = explore(MODEL, DATA, SPACE, store=arguments[-1])
    assert swept.evaluated == 16 - len(reported) and swept.killed == 1
    accuracies = {r.binding.label: r.accuracy for r in swept.results}
    assert reported.items() <= accuracies.items()
    fresh = explore(MODEL, DATA, SPACE)
    assert accuracies == {r.binding.label: r.accuracy for r in fresh.results}


def test_a_page_is_written_again_while_a_study_runs(arguments):
    """Until the study has ended: then it is one that stays."""
    store, page = arguments[-1], Path(arguments[-1]).with_name("r.html")
    pages = []

    def look(done, total, result, seconds):
        if done == 2:
            watch(store, page, seconds=7, sleep=interrupt)

    def interrupt(seconds):
        pages.append((seconds, page.read_text()))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        explore(MODEL, DATA, SPACE, store=store, progress=look)
    ((seconds, text),) = pages
    assert seconds == 7 and '<meta http-equiv="refresh" content="7">' in text
    assert "1 search running; the page is read again every 7 s." in text
    assert 'http-equiv="refresh"' not in page.read_text()
    with pytest.raises(InputError, match="every second or later, not 0"):
        watch(store, page, seconds=0)


def test_whether_a_process_still_runs():
    run = this_run()
    assert is_alive(run) is True and is_alive({**run, "started": "before"}) is False
    assert is_alive({**run, "machine": "another"}) is None
    code = "from asnet_mlir.exploration.runs import this_run; print(this_run()); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], text=True, **pipes) as other:
        theirs = ast.literal_eval(other.stdout.readline())
        assert theirs["started"] != run["started"] and is_alive(theirs) is True
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # ended, but still in the table
        assert is_alive(theirs) is False
    assert is_alive(theirs) is False


def test_two_sweeps_at_once_share_a_store(arguments):
    code = "import sys; from asnet_mlir.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, *arguments, "--json"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    values = [json.loads(process.communicate(timeout=120)[0]) for process in running]
    assert all(process.returncode == 0 for process in running)
    first, second = ([r["accuracy"] for r in value["results"]] for value in values)
    assert first == second and len(first) == 16
    with Store(arguments[-1], read_only=True) as store:
        assert store.count() == 16


def test_the_store_says_how_to_repeat_everything(capfd, arguments, tmp_path):
    saved = tmp_path / "chosen.json"
    options = [*arguments, "--choose", "accuracy>=0.5", "--save", str(saved), "--seed", "4"]
    status, out, _ = run(capfd, options)
    assert status == 0
    assert "chosen for accuracy>=0.5: mulf=fmul_trunc:P=22 divf=fdiv_trunc:P=22, accuracy 0." in out
    with Store(arguments[-1], read_only=True) as store:
        (study,) = store.studies()
        chosen = store.get(study.chosen)
        assert Binding.from_json(chosen.binding) == Binding.load(saved)
        assert [layer.name for layer in store.networks()[0].layers] == ["dense"]
    assert study.command.startswith("asnet explore classification_mnist --data mnist:test:300 ")
    assert "--choose 'accuracy>=0.5'" in study.command and "--seed 4" in study.command
    assert chosen.command == (
        "asnet evaluate classification_mnist --data mnist:test:300 "
        "--bind mulf=fmul_trunc:P=22 --bind divf=fdiv_trunc:P=22"
    )
    status, out, _ = run(capfd, [*chosen.command.split()[1:], "--json"])
    assert json.loads(out)["accuracy"] == chosen.value


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--budget", "0"], "the budget must be at least 1 configuration, not 0"),
        (["--budget", "many"], "argument --budget: 'many' is not an integer"),
        (["--strategy", "anneal"], "unknown strategy 'anneal'"),
        (["--cost", "money"], "unknown cost 'money'"),
        (["--choose", "acc>=1"], "unknown figure 'acc'; did you mean 'accuracy'?"),
        (["--choose", "accuracy>=0.9 and area<=9"], "the area is not known with --cost none"),
        (["--early-stop", "0.99"], "--early-stop needs a bound to stop at"),
        (["--early-stop", "99", "--choose", "accuracy>=0.9"], "must be a confidence of at least"),
        (["--early-stop", "x"], "argument --early-stop: 'x' is not a number"),
        (["--scheduler", "nonsense"], "--scheduler nonsense: no Dask scheduler answers there"),
        (["--save", "x.json"], "--save needs --choose"),
        (["--store", ""], "--store needs a file name"),
    ],
)
def test_bad_options_are_one_line(capfd, arguments, options, message):
    status, out, err = run(capfd, [*arguments, *options])
    assert status == 2 and not out
    assert err.startswith("asnet: error: ") and err.count("\n") == 1 and message in err


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("mulf@dens=fmul", "layer 'dens' has no mulf; did you mean 'dense'? layers with mulf: den"),
        ("mulf@moon=fmul", "layer 'moon' has no mulf; layers with mulf: dense"),
        ("mulf=fdiv", "fdiv: computes divf, not mulf"),
        ("mulf@dense=fdiv_trunc:P=3", "fdiv_trunc: computes divf, not mulf"),
    ],
)
def test_bindings_of_unknown_layers_and_cores_of_the_wrong_kind(capfd, rule, message):
    status, out, err = run(capfd, ["evaluate", MODEL, "--data", DATA, "--bind", rule])
    assert status == 2 and not out
    assert err.count("\n") == 1 and message in err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"core": "fdiv_trunc"}, "cores[0]: fdiv_trunc: computes divf, not mulf"),
        ({"layers": ["dense"]}, "cores[0].layers: needs the scope 'layer'"),
    ],
)
def test_constraints_that_do_not_fit(capfd, arguments, tmp_path, change, message):
    (tmp_path / "c.json").write_text(json.dumps({"cores": [{**SPACE["cores"][0], **change}]}))
    status, _, err = run(capfd, arguments)
    assert status == 2 and err.count("\n") == 1 and message in err


def test_constraints_on_a_layer_that_is_not_there(capfd, arguments, tmp_path):
    core = {**SPACE["cores"][0], "layers": ["dence"]}
    (tmp_path / "c.json").write_text(json.dumps({"scope": "layer", "cores": [core]}))
    status, _, err = run(capfd, arguments)
    assert status == 2 and err.count("\n") == 1
    assert "no layer 'dence' with mulf in the network; did you mean 'dense'?" in err


class Terminal(io.StringIO):
    def isatty(self):
        return True


def result(accuracy, cost=None, label="mulf=fmul_trunc:P=20", stored=False, confidence=None):
    costs = {} if cost is None else {"area": cost}
    binding = Binding.parse([label]) if label else Binding()
    return Result(binding, accuracy, 100, costs, (1,), confidence, "", stored)


def test_progress_on_a_terminal_is_one_line_with_rate_best_and_time_left():
    stream, now = Terminal(), [0.0]
    display = ProgressDisplay(Criterion.parse("accuracy>=0.9"), "area", stream, lambda: now[0])
    steps = [
        result(0.95, 500.0, label=""),  # the exact configuration is no find
        result(0.93, 400.0),
        result(0.85, 100.0, "mulf=fmul_trunc:P=22"),  # below the bound
        result(0.92, 450.0, "mulf=fmul_trunc:P=19"),  # dearer
        result(0.99, 10.0, "mulf=fmul_trunc:P=18", confidence=0.99),  # stopped early
    ]
    for done, step in enumerate(steps, start=1):
        now[0] += 1
        display(done, 10, step, now[0])
    display.close()
    text = stream.getvalue()
    assert text.count("\n") == 1 and text.endswith("\n") and text.count("\r") == 5
    last = text.split("\r")[-1].strip()
    assert last.startswith("5/10 configurations, 1.0/s, 5 s left, best 0.9300, area 400: mulf=fm")


def test_a_long_sweep_is_said_at_once_and_its_rate_is_that_of_late():
    stream, now = Terminal(), [0.0]
    display = ProgressDisplay(None, "none", stream, lambda: now[0])
    now[0] = 60.0  # the first one compiles
    for done in range(1, 60):
        now[0] += 0.5
        display(done, 59049, result(0.9), now[0])
    display.close()
    text = stream.getvalue()
    assert text.count("59,049 configurations take about 8 h 12 min here; --budget N") == 1
    assert text.index("take about") < text.index("\r4/59049")  # as soon as three have been run
    assert "2.0/s, 8 h 12 min left" in text.split("\r")[-1]


def test_progress_elsewhere_is_a_line_every_ten_seconds():
    stream, now = io.StringIO(), [0.0]
    display = ProgressDisplay(None, "none", stream, lambda: now[0])
    for done in range(1, 36):
        now[0] += 1
        display(done, None, result(0.9), now[0])
    display.close()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3 and all("\r" not in line for line in lines)
    assert lines[0].startswith("10 configurations, 1.0/s, best 0.9000: mulf")


def test_results_from_the_store_are_no_speed():
    stream, now = Terminal(), [1.0]
    display = ProgressDisplay(None, "none", stream, lambda: now[0])
    display(1, 2, result(0.9, stored=True), 1.0)
    assert "/s" not in stream.getvalue()


def test_results_of_another_model_are_measured_again(capfd, arguments):
    """A damaged model once gave 9.74 %, which the store kept after the cache was whole again."""
    path = arguments[-1]
    before = json.loads(run(capfd, [*arguments, "--json"])[1])
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        (key, text) = connection.execute(
            "SELECT key, origin FROM evaluation WHERE origin LIKE '%native%' LIMIT 1"
        ).fetchone()
        changed = re.sub(r"(native) [0-9a-f]{16}", r"\1 0123456789abcdef", text, count=1)
        connection.execute(
            "UPDATE evaluation SET correct = 1, origin = ? WHERE key = ?", (changed, key)
        )
    status, out, _ = run(capfd, arguments)
    assert status == 0 and "1 results in the store came from other models" in out
    again = json.loads(run(capfd, [*arguments, "--json"])[1])
    assert again["evaluated"] == 0 and again["results"] == before["results"]


def test_durations():
    assert [duration(s) for s in (5.4, 99, 150, 7200)] == ["5 s", "99 s", "2 min", "2 h 00 min"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_a_callback_swallows_is_not_lost(conv, conv_data, tmp_path):
    class Swallowing:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)  # Python prints what is raised here, and goes on

    def report(done, total, result, seconds):
        if done == 3:
            Swallowing()

    space = {"cores": SPACE["cores"][:1]}
    store = tmp_path / "s.sqlite"
    with pytest.raises(KeyboardInterrupt, match="interrupted: 3 evaluations of this study"):
        explore(conv, conv_data, space, store=store, progress=report)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert explore(conv, conv_data, space, store=store).evaluated == 1


def test_the_plot_of_a_search_is_its_front(capfd, tmp_path):
    constraints, plot = tmp_path / "c.json", tmp_path / "front.svg"
    constraints.write_text(json.dumps({**SPACE, "scope": "layer"}))
    status, out, _ = run(
        capfd,
        [
            *("explore", MODEL, "--data", DATA, "--constraints", str(constraints)),
            *("--strategy", "greedy", "--choose", "accuracy>=0.5", "--plot", str(plot)),
        ],
    )
    assert status == 0 and "front of accuracy and steps to go" in out
    assert "<svg" in plot.read_text()
    status, _, err = run(
        capfd,
        [
            *("explore", MODEL, "--data", DATA, "--constraints", str(constraints)),
            *("--plot", str(tmp_path / "no" / "front.png")),
        ],
    )
    assert status == 2 and err.count("\n") == 1 and "can't be" in err
