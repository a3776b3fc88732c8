# SPDX-License-Identifier: Apache-2.0
"""What repeats a result repeats it: commands of a page as they stand, splits, intervals, tests."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import shlex
from fractions import Fraction
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

import asnet_mlir
from asnet_mlir.cli.main import main
from asnet_mlir.data import load_data
from asnet_mlir.data.splits import check_apart
from asnet_mlir.errors import InputError
from asnet_mlir.evaluation.outcomes import interval, outcome_of, p_value
from asnet_mlir.evaluation.statistics import bootstrap, mcnemar, share_interval, sign_flips
from asnet_mlir.exploration import Store
from asnet_mlir.exploration.stored_bindings import stored_binding
from asnet_mlir.metrics import METRICS, Output, make_judge
from asnet_mlir.support.formats import F32

# Latency 0; the low bits of both operands' significands are cut by a parameter.
OWN = """`include "cut.vh"
module own_mul #(parameter C = 4) (input [23:0] a, input [23:0] b, output [47:0] y);
  assign y = `CUT(a) * `CUT(b);
endmodule
"""
CUT = "`define CUT(x) (((x) >> C) << C)\n"
NET, VALIDATION = "classification_mnist", "mnist:test[9000:9200]"


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A store with results of cores of the library, of a file, and of one of two modules."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rtl" / "inc").mkdir(parents=True)
    (tmp_path / "rtl" / "own.v").write_text(OWN.replace("cut.vh", "inc/cut.vh"))
    (tmp_path / "rtl" / "inc" / "cut.vh").write_text(CUT)
    odd = OWN.replace("cut.vh", "inc/cut.vh").replace("own_mul", "odd_mul")
    (tmp_path / "rtl" / "odd.v").write_text(odd + odd.replace("odd_mul", "spare_mul"))
    own = {"op": "mulf", "core": "rtl/own.v", "parameters": {"C": [18, 20]}}
    choices = [
        {"op": "mulf", "core": "fmul_trunc", "parameters": {"P": 21}},
        own,
        {"op": "mulf", "core": "rtl/odd.v", "top": "odd_mul", "parameters": {"C": 19}},
    ]
    Path("space.json").write_text(json.dumps({"scope": "network", "cores": choices}))
    words = ["explore", NET, "--validate", VALIDATION, "--constraints", "space.json"]
    words += ["--test", "mnist:test[9200:9300]"]
    assert main([*words, "--store", "s.sqlite", "--choose", "accuracy>=0.5"]) == 0
    return tmp_path


def accuracies(points, capsys):
    """Run the command of each point, and return what it says beside what the point says."""
    capsys.readouterr()
    for point in points:
        program, *words = shlex.split(point["command"])
        assert program == "asnet" and main([*words, "--json"]) == 0
        yield json.loads(capsys.readouterr().out)["accuracy"], point["value"]


def test_every_command_of_a_page_runs_as_it_stands(study, capsys):
    assert main(["report", "s.sqlite", "-o", "r.html"]) == 0
    text = Path("r.html").read_text()
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1]
    group, judged = json.loads(data)
    commands = [point["command"] for point in group["points"]]
    assert len(set(commands)) == len(commands) == 5
    assert sum("rtl/own.v:C=18" in command for command in commands) == 1
    assert sum("--binding 's.sqlite#" in command for command in commands) == 1
    points = [*group["points"], *judged["points"]]
    assert all(found == meant for found, meant in accuracies(points, capsys))
    assert {point["samples"] for point in judged["points"]} == {100}
    links = re.findall(r'href="data:application/json,([^"]*)"', text)
    bindings = [json.loads(unquote(link)) for link in links]
    assert [asnet_mlir.Binding.from_json(b).label for b in bindings] == [
        point["label"] for point in points if point["chosen"]
    ]
    for point in group["points"]:  # labels are what --bind takes, but for the top
        if point["label"] != "exact" and "odd" not in point["label"]:
            assert asnet_mlir.Binding.parse(point["label"].split()).label == point["label"]


def test_a_binding_is_had_when_its_files_are_gone_or_changed(study, capsys):
    with Store("s.sqlite", read_only=True) as store:
        known = store.evaluations()
        records = {r.label: r for r in known if r.samples == 200 and "rtl" in r.label}
        assert {store.get(s.chosen).samples for s in store.studies()} == {200, 100}
        outcomes = [store.archive.outcome(r.key, r.samples) for r in known]
        assert [int(o.sum()) for o in outcomes] == [r.correct for r in known]
    (study / "rtl" / "inc" / "cut.vh").write_text(CUT.replace(">> C", ">> 7"))
    (study / "rtl" / "odd.v").unlink()
    for record in records.values():
        binding = stored_binding(f"s.sqlite#{record.key[:10]}")
        hashes = [rule.instance.content_hash for rule in binding.rules]
        assert hashes == [rule.content_hash for rule in record.rules]
    point = {"command": f"asnet evaluate {NET} --data '{VALIDATION}' --binding "
             f"s.sqlite#{record.key}", "value": record.value}  # fmt: skip
    assert all(found == meant for found, meant in accuracies([point], capsys))
    with Store("s.sqlite") as store:
        store.execute("DELETE FROM kept")
    with pytest.raises(InputError, match="the store does not keep it"):
        stored_binding(f"s.sqlite#{record.key}")
    with pytest.raises(InputError, match="no result begins with the key 'ffffffffff'"):
        stored_binding("s.sqlite#ffffffffff")


def test_parts_of_data():
    whole, part = load_data("mnist:test"), load_data("mnist:test[9000:9010]")
    assert np.array_equal(part.x, whole.x[9000:9010]) and np.array_equal(part.y, whole.y[9000:9010])
    assert (
        len(load_data("mnist:test[9990:]")) == 10 and len(load_data("mnist:test:50[10:20]")) == 10
    )
    for wrong in ("mnist:test[9000:10001]", "mnist:test[5:5]", "mnist:test:50[40:60]"):
        with pytest.raises(InputError, match="is no part of its"):
            load_data(wrong)
    check_apart("mnist:train[0:50000]", "mnist:train[50000:60000]")
    check_apart("mnist:train", "mnist:test")
    for one, other in [("a[0:6]", "a[5:9]"), ("a", "a[5:9]"), ("a:10", "a[9:20]"), ("a", "a")]:
        with pytest.raises(InputError, match="have samples in common"):
            check_apart(one, other)


@pytest.mark.parametrize("right, samples", [(0, 10), (7, 10), (10, 10), (9874, 10000)])
def test_an_interval_solves_wilsons_equation(right, samples):
    """Its ends are where |p - p0| is 1.96 standard deviations of p0."""
    share = right / samples
    for end in share_interval(right, samples):
        deviation = 1.959963984540054 * math.sqrt(end * (1 - end) / samples)
        assert abs(share - end) == pytest.approx(deviation, abs=1e-9)


def test_mcnemar_is_the_binomial_test():
    one = np.array([True] * 9 + [False] * 2 + [True] * 50)
    other = np.array([False] * 9 + [True] * 2 + [True] * 50)
    exact = 2 * Fraction(sum(math.comb(11, k) for k in range(3)), 2**11)
    assert mcnemar(one, other) == pytest.approx(float(exact), rel=1e-12)
    assert mcnemar(one, one) == 1.0 and mcnemar(other, one) == mcnemar(one, other)


def test_a_bootstrap_comes_to_the_normal_interval():
    values = np.random.default_rng(1).normal(3.0, 2.0, 400)
    low, high = bootstrap(values)
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.05)
    assert high == pytest.approx(values.mean() + half, abs=0.05)


def test_random_signs_are_exact_for_few_differences():
    """Of 2^3 ways to draw three signs, two give a sum as large as all alike."""
    assert sign_flips(np.array([1.0, 2.0, 3.0])) == pytest.approx(2 / 8, abs=0.03)
    assert sign_flips(np.zeros(9)) == 1.0 and sign_flips(np.ones(20)) < 0.001


def judged(metric, samples=400):
    """Return a judge and outputs of three classes, most of them right."""
    draw = np.random.default_rng(3)
    targets = draw.integers(0, 3, samples)
    outputs = draw.normal(0, 1, (samples, 3)).astype(np.float32) + 2 * np.eye(3)[targets]
    if metric in ("mse", "mae", "psnr", "snr"):
        data, outputs = draw.random((samples, 4)), draw.random((samples, 4))
        return make_judge(metric, data, Output((4,), F32), "x").resolved(outputs), outputs
    outputs = outputs.astype(np.float32)
    name = "top2" if metric.startswith("top") else metric
    return make_judge(name, targets, Output((3,), F32), "x").resolved(outputs), outputs


@pytest.mark.parametrize("metric", [name for name in METRICS if name != "iou"])  # as f1
def test_every_metric_has_an_interval_as_wide_as_its_figure_varies(metric):
    """The figure's standard deviation over fresh resamples is a quarter of the interval."""
    judge, outputs = judged(metric)
    low, high = interval(outcome_of(judge, outputs))
    assert low < judge.value(outputs) < high
    draw, figures = np.random.default_rng(9), []
    for _ in range(300):
        rows = draw.integers(0, len(outputs), len(outputs))
        again = dataclasses.replace(judge, targets=judge.targets[rows])
        figures.append(again.value(outputs[rows]))
    assert (high - low) / np.std(figures) == pytest.approx(2 * 1.96, rel=0.3)


def test_paired_tests_tell_apart_what_differs():
    judge, outputs = judged("f1")
    one = outcome_of(judge, outputs)
    worse = outputs.copy()
    worse[::3] = worse[::3, ::-1]
    assert p_value(one, outcome_of(judge, worse)) < 0.01
    assert p_value(one, one) == 1.0
    assert p_value(one, None) is None and p_value(one, one[:-1]) is None
    equal = make_judge("psnr", np.ones((9, 4)), Output((4,), F32), "x")
    assert outcome_of(equal, np.ones((9, 4), np.float32)) is None  # its figure is infinite
