# SPDX-License-Identifier: Apache-2.0
"""The table of a paper: its figures, its forms, and what can't stand in one table."""

from __future__ import annotations

import csv
import io
import json
import math

import numpy as np
import pytest

from asnet_mlir.cli.main import main
from asnet_mlir.errors import InputError
from asnet_mlir.exploration import Store, explore
from asnet_mlir.hardware import generate
from asnet_mlir.reports import compare as comparing
from asnet_mlir.reports.table_formats import formatted

NET, DATA, TEST = "classification_mnist", "mnist:test[0:150]", "mnist:test[200:300]"
SPACE = {"cores": [{"op": "mulf", "core": "fmul_trunc", "parameters": {"P": [20, 22]}}]}
LUTS = {"exact": 5000, "chosen": 4000}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A store with validation and test, and the bundles of the exact network and of the choice."""
    folder = tmp_path_factory.mktemp("study")
    found = explore(NET, DATA, SPACE, store=folder / "s.sqlite", choose="accuracy>=0.5", test=TEST)
    for name, result in (("exact", found.exact), ("chosen", found.chosen)):
        generate(NET, result.binding, output=folder / name)
    return folder, found


@pytest.fixture
def figures(monkeypatch):
    def synthesize(folder, *, seeds, route, progress):
        clocks = {str(seed): 80.0 + seed for seed in range(seeds)} if route else {}
        return {"luts": LUTS[folder.name], "ffs": 900, "dsps": 0, "brams": 24,
                "fmax_mhz": 80.0 if route else None, "fmax_mhz_by_seed": clocks}  # fmt: skip

    monkeypatch.setattr(comparing, "synthesize", synthesize)


def test_a_bundle_has_its_hardware_and_the_accuracy_of_its_binding(study, figures):
    folder, found = study
    exact, chosen = comparing.compare([folder / "chosen", folder / "exact", folder / "s.sqlite"])[
        :2
    ]
    assert (exact.name, exact.is_exact) == ("exact", True)  # though given second
    assert exact.value == found.test.of(found.exact).value
    row = next(r for r in comparing.compare([folder / "chosen", folder / "s.sqlite"])
               if r.name == "chosen")  # fmt: skip
    judged = found.test.of(found.chosen)
    assert (row.value, row.interval) == (judged.value, judged.interval)
    assert row.figures["luts"] == 4000 and row.figures["cycles"] == 20167
    assert row.figures["images_per_s"] == pytest.approx(80e6 / 20167)
    assert row.figures["latency_us"] == pytest.approx(20167 / 80)
    assert 0 < row.p <= 1 and chosen is not None


def test_the_forms_say_the_same(study, figures, capsys, tmp_path):
    folder, _ = study
    places = [str(folder / name) for name in ("exact", "chosen", "s.sqlite")]
    assert main(["compare", *places, "--format", "csv", "--seeds", "3"]) == 0
    head, *lines = csv.reader(io.StringIO(capsys.readouterr().out))
    cell = lines[1 if lines[1][0] == "chosen" else 2]
    luts = next(line for line in lines if line[0] == "chosen")[head.index("LUT4")]
    assert luts == "4,000 (80.0 %)" and "LUT4" in head and len(cell) == len(head)
    assert any("80..82" in one for line in lines for one in line)  # the clocks of three seeds
    for suffix, mark in ((".md", "| --- |"), (".tex", r"\toprule"), (".txt", "configuration")):
        assert main(["compare", *places, "-o", str(tmp_path / f"t{suffix}")]) == 0
        assert mark in (tmp_path / f"t{suffix}").read_text()
    assert main(["compare", *places, "--json", "--no-route"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {row["name"] for row in rows} >= {"exact", "chosen"}
    assert all(row.get("fmax_mhz") is None for row in rows)


def test_latex_and_markdown_escape():
    assert r"50 \% \& a\_b" in formatted(["x"], [["50 % & a_b"]], "latex")
    assert r"a\|b" in formatted(["x"], [["a|b"]], "markdown")
    with pytest.raises(InputError, match="unknown format 'word'; formats are text, csv"):
        formatted(["x"], [], "word")


def test_what_differs_between_stores_is_said(study, tmp_path, capsys):
    folder, _ = study
    other = tmp_path / "o.sqlite"
    explore(NET, "mnist:test[0:40]", SPACE, store=other)
    with pytest.raises(InputError, match=r"s\.sqlite is of .*200:300\], .*o\.sqlite of .*0:40\]"):
        comparing.compare([folder / "s.sqlite", other])
    against = tmp_path / "a.sqlite"
    explore(NET, TEST, SPACE, store=against, metric="snr:exact")
    with pytest.raises(InputError, match="judged by accuracy, .*a.sqlite by snr against the exact"):
        comparing.compare([folder / "s.sqlite", against])
    with Store(other) as store:
        store.execute("UPDATE network SET name = 'another'")
    with pytest.raises(InputError, match="of another on"):
        comparing.compare([folder / "s.sqlite", other])
    assert main(["compare", str(tmp_path / "none.sqlite")]) == 2
    assert main(["compare", str(tmp_path)]) == 2
    assert "no manifest.json" in capsys.readouterr().err
    with pytest.raises(InputError, match="--simulate needs --data"):
        comparing.compare([folder / "exact"], samples=3)


def test_rows_of_a_store_for_pandas(study):
    folder, found = study
    with Store(folder / "s.sqlite", read_only=True) as store:
        rows = store.rows()
        try:
            import pandas  # noqa: F401
        except ImportError:
            with pytest.raises(InputError, match="pip install pandas"):
                store.to_pandas()
        else:
            assert len(store.to_pandas()) == len(rows)
    assert len(rows) == len(found.results) + len(found.test.results)
    assert all(row["low"] < row["value"] < row["high"] for row in rows)
    assert sum(row["chosen"] for row in rows) == 2
    assert math.isclose(np.mean([r["value"] for r in rows[:3]]),
                        np.mean([r.value for r in found.results]))  # fmt: skip
