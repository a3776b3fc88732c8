# SPDX-License-Identifier: Apache-2.0
"""Metrics of networks against arithmetic of their own, and what none of them judges."""

import json
import math
import sys

import numpy as np
import pytest

import asnet_mlir as asnet
from asnet_mlir.cli.main import main
from asnet_mlir.errors import InputError
from asnet_mlir.exploration.early_stop import ErrorStop
from asnet_mlir.exploration.store import Store
from asnet_mlir.metrics import Difference, Output, Reference, make_judge, metric_named
from asnet_mlir.support.formats import parse_format

NAN = float("nan")


def value(metric, outputs, targets, shape=None, exact=None):
    outputs = np.asarray(outputs, np.float32)
    shape = outputs.shape[1:] if shape is None else shape
    targets = None if targets is None else np.asarray(targets)
    judge = make_judge(metric, targets, Output(shape), "d")
    return judge.resolved(outputs if exact is None else np.asarray(exact)).value(outputs)


THREE = [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4], [0.6, 0.3, 0.1], [NAN, 0.5, 0.5]]


@pytest.mark.parametrize(
    ("metric", "outputs", "targets", "expected"),
    [
        ("accuracy", THREE, [0, 1, 1, 1, 2], 2 / 5),
        ("top2", THREE, [0, 1, 1, 1, 2], 3 / 5),  # 0.3 of class 0 comes before that of class 1
        # Answers 0 1 2 0 and none: class 0 has 2*1/(2+1), class 1 2*1/(1+3), class 2 0/(1+1).
        ("f1", THREE, [0, 1, 1, 1, 2], (2 / 3 + 2 / 4 + 0) / 3),
        ("iou", THREE, [0, 1, 1, 1, 2], (1 / 2 + 1 / 3 + 0) / 3),
        ("accuracy", [[0.9], [0.2], [0.6], [0.5]], [1, 0, 0, 0], 3 / 4),  # a sigmoid's: above 0.5
        ("accuracy", [[3.0], [-2.0], [0.4], [-0.1]], [1, 0, 1, 1], 3 / 4),  # logits: above 0
        ("accuracy:threshold=2", [[3.0], [-2.0], [0.4], [2.5]], [1, 0, 1, 1], 3 / 4),
        ("f1", [[0.9], [0.2], [0.6], [0.5]], [1, 0, 0, 1], 2 * 1 / (2 + 2)),
        ("iou", [[[0.9], [0.2]], [[0.6], [0.5]]], [[1, 0], [0, 1]], 1 / 3),
        # Pairs of a positive and a negative one: 0.8 and 0.4 against 0.3, 0.4 and 0.9.
        ("auc", [[0.3], [0.8], [0.4], [0.4], [0.9]], [0, 1, 1, 0, 0], (2 + 1.5) / 6),
        ("auc", [[0, 0.25], [0, 0.75], [1, 1.5], [0, 0.5]], [0, 1, 1, 0], (2 + 1.5) / 4),
        ("auc", [[NAN], [0.8], [0.4]], [1, 1, 0], 1 / 2),
        ("mse", [[1.0, 2.0], [3.0, 5.0]], [[1.0, 1.0], [1.0, 4.0]], (0 + 1 + 4 + 1) / 4),
        ("mae", [[1.0, 2.0], [3.0, 5.0]], [[1.0, 1.0], [1.0, 4.0]], (0 + 1 + 2 + 1) / 4),
        ("mse", [[1.0], [NAN]], [1.0, 2.0], math.inf),
        ("snr", [[1.0, 2.0], [3.0, 5.0]], [[1, 1], [1, 4]], 10 * math.log10(19 / 6)),
        ("snr", [[1.0]], [[1.0]], math.inf),
        ("psnr", [[0.5, 0.25]], [[1.0, 0.25]], 10 * math.log10(1 / 0.125)),
        ("psnr", [[5.0, 9.0]], [[10.0, 9.0]], 10 * math.log10(255**2 / 12.5)),
        ("psnr:peak=2", [[0.5, 0.25]], [[1.0, 0.25]], 10 * math.log10(4 / 0.125)),
        ("kl", [[0.5, 0.5], [0.25, 0.75]], [0, 1], (math.log(2) - math.log(0.75)) / 2),
        ("kl", [[0.5, 0.5]], [[0.25, 0.75]], 0.25 * math.log(0.5) + 0.75 * math.log(1.5)),
        ("kl", [[0.0, math.log(3)]], [1], -math.log(0.75)),  # logits
    ],
)
def test_figures(metric, outputs, targets, expected):
    assert value(metric, outputs, targets) == pytest.approx(expected, rel=1e-6)


def test_areas_are_shares_of_pairs():
    generator = np.random.default_rng(3)
    scores, labels = generator.integers(0, 9, 60) / 8, generator.integers(0, 2, 60)
    pairs = [(a > b) + (a == b) / 2 for a in scores[labels == 1] for b in scores[labels == 0]]
    assert value("auc", scores[:, np.newaxis], labels) == pytest.approx(np.mean(pairs), rel=1e-12)


@pytest.mark.parametrize("metric", ["accuracy", "top2", "f1", "iou", "auc", "kl", "mse", "snr"])
def test_counts_of_groups_are_merged(metric):
    """However samples are divided, the figure is the same, bit for bit."""
    generator = np.random.default_rng(1)
    outputs = generator.random((50, 4)).astype(np.float32)
    targets = generator.integers(0, 4, 50) if metric not in ("mse", "snr") else outputs**2
    judge = make_judge(metric, targets, Output((4,)), "d").resolved(outputs)
    parts = [judge.count(outputs[a:b], a) for a, b in ((0, 7), (7, 8), (8, 50))]
    assert judge.metric.value(judge.metric.merge(parts)) == judge.value(outputs)


@pytest.mark.parametrize(
    ("targets", "shape", "name"),
    [
        ([1, 2, 0], (3,), "accuracy"),
        ([1, 0, 1], (1,), "accuracy"),
        (np.eye(3), (3,), "accuracy"),
        ([0.5, 0.1, 2.0], (1,), "mse"),
        (np.full((3, 3), 0.5), (3,), "mse"),
        (np.zeros((3, 4, 4), int), (4, 4, 2), "iou"),
        (np.full((3, 4, 4, 2), 0.5), (4, 4, 2), "psnr"),
        (None, (3,), "snr"),
    ],
)
def test_what_data_and_output_ask_for(targets, shape, name):
    targets = None if targets is None else np.asarray(targets)
    assert make_judge(None, targets, Output(shape), "d").metric.name == name


@pytest.mark.parametrize(
    ("metric", "targets", "output", "message"),
    [
        (None, [1, 3], Output((3,)), "label of sample 1 is 3, the network has the classes 0..2"),
        (None, [1, -1], Output((3,)), "label of sample 1 is -1"),
        (None, [7, 3], Output((1,)), "one output and the targets are integers in 3..7"),
        (None, [1, 0], Output((1,), parse_format("u8")), "accuracy:threshold=CODE"),
        ("accuracy", [7, 3], Output((1,)), "label of sample 0 is 7"),
        ("accuracy", [[1, 0], [0, 1]], Output((3,)), "class indices for outputs of shape"),
        ("accuracy", [[0.5, 0.5], [0, 1]], Output((2,)), "must be one-hot rows"),
        ("mse", [1, 2], Output((3,)), "can't be compared with outputs of shape"),
        ("mse", [[0.5], [1.0]], Output((1,), parse_format("i8")), "integer codes"),
        ("top5", [1, 2], Output((3,)), "top5 is always 1"),
        ("auc", [1, 1], Output((2,)), "all targets are 1"),
        ("psnr", [[-3.0], [7.0]], Output((1,)), "psnr:peak=VALUE"),
        ("kl", [1.0, 2.0], Output((1,)), "at least two outputs"),
        ("acuracy", [1, 2], Output((3,)), "did you mean 'accuracy'"),
        ("mse:peak=3", [1, 2], Output((3,)), "unknown option 'peak=3'"),
        ("nowhere_at_all:f", [1, 2], Output((3,)), "can't import 'nowhere_at_all'"),
    ],
)
def test_what_can_not_be_judged(metric, targets, output, message):
    with pytest.raises(InputError, match=message) as error:
        make_judge(metric, np.asarray(targets), output, "d")
    assert "\n" not in str(error.value)


def test_differences():
    exact = np.array([[1.0, 2.0], [4.0, 3.0]], np.float32)
    found = Reference(exact).difference(exact + [[0, 0], [0, 2]])
    assert found == Difference(10 * math.log10(30 / 4), 0.5, 2.0)
    assert Reference(exact).difference(exact) == Difference(math.inf, 1.0, 0.0)
    assert Reference(exact).difference(exact).to_json()["snr"] is None
    assert Reference(exact).difference(exact * NAN).equal_answers == 0


def test_errors_stop_for_certain():
    rule = ErrorStop(128, 0.5, 0.999)
    assert rule.looks[0] == 32
    assert not rule.stops(0, np.full(32, 2.0))  # 64 of at most 64
    assert rule.stops(0, np.full(32, 2.001))
    assert ErrorStop(128, 0.5, 0.999, 0, True).stops(0, np.full(32, 2.0))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A few images without labels, and with numbers as targets."""
    folder = tmp_path_factory.mktemp("metrics")
    x = asnet.load_data("mnist:test:96").x
    np.savez(folder / "plain.npz", x=x)
    np.savez(folder / "numbers.npz", x=x, y=np.full((96, 10), 0.1, np.float32))
    (folder / "asnet_own_metric.py").write_text(
        "import numpy as np\ndef far(outputs, targets):\n"
        "    return np.abs(outputs - targets).max(axis=1)\nfar.larger_is_better = False\n"
    )
    return folder


def test_evaluate_without_labels(images, capsys):
    data = str(images / "plain.npz")
    command = ["evaluate", "classification_mnist", "--data", data, "--bind"]
    assert main([*command, "mulf=fmul_trunc:P=20", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["metric"] == "snr" and found["against"] == "exact"
    assert found["snr"] == found["difference"]["snr"]
    outputs, exact = (
        asnet.run("classification_mnist", data, rules).outputs.astype(np.float64)
        for rules in ("mulf=fmul_trunc:P=20", None)
    )
    noise = 10 * math.log10((exact**2).sum() / ((outputs - exact) ** 2).sum())
    assert found["snr"] == pytest.approx(noise, rel=1e-9)
    same = np.mean(outputs.argmax(axis=1) == exact.argmax(axis=1))
    assert found["difference"]["equal_answers"] == same
    assert main([*command, "mulf=fmul_trunc:P=20", "--metric", "accuracy", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == same


def test_a_sweep_without_labels_says_what_it_compares_with(images, capsys):
    data, constraints = str(images / "plain.npz"), images / "one.json"
    cores = [{"op": "mulf", "core": "fmul_trunc", "parameters": {"P": [20]}}]
    constraints.write_text(json.dumps({"cores": cores}))
    command = ["explore", "classification_mnist", "--data", data, "--metric", "accuracy"]
    assert main([*command, "--constraints", str(constraints)]) == 0
    told = capsys.readouterr().out
    assert "plain.npz, against the exact network's outputs: exact 100.00 %" in told


def test_a_metric_of_ones_own(images, monkeypatch):
    monkeypatch.syspath_prepend(str(images))
    sys.modules.pop("asnet_own_metric", None)
    metric = metric_named("asnet_own_metric:far")
    assert metric.name == "far" and not metric.larger_is_better
    data = str(images / "numbers.npz")
    found = asnet.evaluate("classification_mnist", data, metric="asnet_own_metric:far")
    outputs = asnet.run("classification_mnist", data).outputs.astype(np.float64)
    expected = np.abs(outputs - np.float32(0.1)).max(axis=1).mean()
    assert found.value == pytest.approx(expected, rel=1e-6)
    with pytest.raises(AttributeError, match="the metric is far"):
        _ = found.accuracy


@pytest.mark.parametrize(
    ("strategy", "bound", "stop"),
    [("exhaustive", "mse<=0.0801", 0.99), ("greedy", "mse<=0.0801", None), ("nsga2", None, None)],
)
def test_explore_with_a_smaller_better_metric(images, tmp_path, strategy, bound, stop):
    constraints = {
        "cores": [
            {
                "op": "mulf",
                "core": "fmul_trunc",
                "parameters": {"P": {"ParamLow": 15, "ParamHigh": 22}},
            }
        ]
    }
    path, data = tmp_path / "s.sqlite", str(images / "numbers.npz")
    arguments = ("classification_mnist", data, constraints)
    options = {"strategy": strategy, "choose": bound, "early_stop": stop, "store": path}
    found = asnet.explore(*arguments, metric="mse", budget=9, **options)
    assert found.metric.name == "mse" and found.to_json()["larger_is_better"] is False
    front = found.front()
    assert [r.value for r in front] == sorted((r.value for r in front), reverse=True)
    if bound:
        assert found.chosen is not None and found.chosen.value <= 0.0801
    with Store(path, read_only=True) as store:
        (record, *_) = store.evaluations()
        assert record.metric.name == "mse" and record.correct is None
        assert record.difference is not None
        assert store.studies()[0].metric.larger_is_better is False
    again = asnet.explore(*arguments, metric="mse", budget=9, **options)
    assert again.evaluated == 0
    assert [r.value for r in again.results] == [r.value for r in found.results]
    page = asnet.report(path, tmp_path / "r.html", png=tmp_path)[0].read_text()
    assert "mse" in page and '"larger": false' in page


def test_a_bound_on_another_metric(images):
    with pytest.raises(InputError, match="the metric is mse; give --metric psnr"):
        asnet.explore(
            "classification_mnist",
            str(images / "numbers.npz"),
            {"cores": [{"op": "mulf", "core": "fmul_trunc", "parameters": {"P": 20}}]},
            metric="mse",
            choose="psnr>=30",
        )
