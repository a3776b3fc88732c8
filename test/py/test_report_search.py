# SPDX-License-Identifier: Apache-2.0
"""How searches did, drawings for papers, reports of several stores."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

import asnet_mlir
from asnet_mlir.cli.main import main
from asnet_mlir.errors import InputError
from asnet_mlir.exploration import Store, explore
from asnet_mlir.exploration.search_quality import hypervolumes, importances
from asnet_mlir.reports.figures import Look
from asnet_mlir.reports.style import CHOSEN, COLOURS, core_name, far_limit

NET, DATA = "classification_mnist", "mnist:test[0:100]"
SPACE = {
    "cores": [
        {"op": "mulf", "core": "fmul_trunc", "parameters": {"P": [18, 20, 21, 22]}},
        {"op": "addf", "core": "fadd"},
    ]
}


def test_a_hypervolume_is_the_area_that_is_dominated():
    """Beside counting the cells of a grid."""
    draw = np.random.default_rng(4)
    points = [(float(c), float(s)) for c, s in draw.integers(0, 11, (30, 2))]
    found = hypervolumes(points, (0.0, 10.0), (10.0, 0.0))
    x, y = np.meshgrid(np.arange(10) + 0.5, np.arange(10) + 0.5)
    dominated = np.zeros_like(x, bool)
    for place, (c, s) in enumerate(points):
        dominated |= (x >= c) & (y <= s)
        assert found[place] == pytest.approx(dominated.mean())
    assert hypervolumes([(1.0, float("inf"))], (0, 1), (2, 0)) == (0.0,)


def test_the_choice_that_decides_is_the_important_one():
    configurations = [(a, b) for a in range(3) for b in range(4)]
    scores = [10.0 * a + 0.1 * b for a, b in configurations]
    first, second = importances(configurations, scores)
    assert first > 0.99 and second < 0.01 and first + second == pytest.approx(1)
    assert importances(configurations, [1.0] * 12) == (0.0, 0.0)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Two strategies in one store, and another store."""
    folder = tmp_path_factory.mktemp("search")
    for strategy in ("exhaustive", "nsga2"):
        explore(NET, DATA, SPACE, store=folder / "a.sqlite", strategy=strategy, seed=3, budget=8)
    explore(NET, DATA, SPACE, store=folder / "b.sqlite", budget=4)
    # Made-up areas and accuracies, for nothing is synthesized here.
    with Store(folder / "a.sqlite") as store:
        store.execute("UPDATE evaluation SET correct = 80 + rowid")
        store.execute("UPDATE study SET cost = 'area'")
        for study in store.studies():
            for result in store.study_results(study.key):
                area = {"area": 1000.0 - 10 * sum(result.configuration)}
                store.add_study_result(
                    study.key, result.evaluation.key, result.position, result.configuration, area
                )
    return folder


def test_searches_are_drawn_over_each_other(stores, tmp_path):
    page = tmp_path / "r.html"
    written = asnet_mlir.report(stores / "a.sqlite", page, figures=tmp_path / "f", look=Look("svg"))
    (drawing,) = [path for path in written if path.name.endswith("search-area.svg")]
    text = drawing.read_text()
    assert "exhaustive, seed 3" in text and "nsga2, seed 3" in text
    page_text = page.read_text()
    assert "Which choices matter" in page_text and "mulf" in page_text
    assert len(re.findall(r"<td>[01]\.\d{4}</td>", page_text)) == 2


def test_drawings_for_a_paper_have_its_width_and_font(stores, tmp_path):
    look = ["--figures", str(tmp_path / "f"), "--format", "svg", "--width", "3.5", "--font", "7"]
    assert main(["report", str(stores / "a.sqlite"), *look]) == 0
    front = next((tmp_path / "f").glob("*front-area.svg")).read_text()
    assert 'width="252pt"' in front and "7px" in front
    assert "samples" not in front and "accuracy" not in front.split("<g id")[0]
    assert main(["report", str(stores / "a.sqlite"), *look[:2], "--format", "pdf"]) == 0
    assert next((tmp_path / "f").glob("*front-area.pdf")).read_bytes().startswith(b"%PDF")


def test_pages_and_pictures_have_one_style(stores, tmp_path):
    """Colours, cores, what is exact and chosen, and where the axis of figures ends."""
    page = tmp_path / "r.html"
    asnet_mlir.report(stores / "a.sqlite", page, figures=tmp_path / "f", look=Look("svg"))
    text = page.read_text()
    front = next((tmp_path / "f").glob("*front-area.svg")).read_text()
    (group,) = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])
    assert (
        group["cores"]["area"] == ["fadd", "fmul_trunc"] and group["axes"]["area"] == "area [LUT4]"
    )
    assert ">fmul_trunc<" in front and ">area [LUT4]<" in front and ">exact<" in front
    assert COLOURS[0] in front and f"--series-0: {COLOURS[0]};" in text
    assert f"--mark: {CHOSEN};" in text
    searches = {one["label"]: one["volumes"]["area"] for one in group["searches"]}
    assert set(searches) == {"exhaustive, seed 3", "nsga2, seed 3"}
    assert all(steps[0][0] == 1 and steps == sorted(steps) for steps in searches.values())


def test_figures_far_from_the_front_do_not_compress_the_axis():
    values = [98.0, 97.0, 96.0, 95.5, 12.0, 9.8]
    assert far_limit([97.0, 98.0], values, True) == (95.0, 2)
    assert far_limit([97.0, 98.0], values[:4], True) is None
    assert far_limit([2.0, 1.0], [1.0, 3.9, 4.1, float("inf")], False) == (4.0, 1)
    assert far_limit([float("nan")], values, True) is None
    assert core_name("rtl/my/mul.v:C=2") == "mul.v" and core_name("fmul") == "fmul"


@pytest.mark.parametrize(
    ("look", "message"),
    [
        ({"format": "bmp"}, "unknown format 'bmp'; drawings are png, pdf or svg"),
        ({"width": 0.0}, "1 to 50 inches wide"),
        ({"font": float("nan")}, "font of 2 to 50 points"),
    ],
)
def test_looks_that_no_drawing_has(look, message):
    with pytest.raises(InputError, match=message):
        Look(**look)


def test_a_report_of_several_stores_names_them(stores, tmp_path):
    page = tmp_path / "r.html"
    assert main(["report", *(str(stores / f"{n}.sqlite") for n in "ab"), "-o", str(page)]) == 0
    headings = re.findall(r"<h2>(.*?)</h2>", page.read_text())
    assert [h.rsplit(" (", 1)[1] for h in headings] == ["a.sqlite)", "b.sqlite)"]


def test_a_choice_without_a_match_shows_the_sweep_before_it_fails(stores, tmp_path, capsys):
    (tmp_path / "s.json").write_text(json.dumps(SPACE))
    words = ["explore", NET, "--data", DATA, "--constraints", str(tmp_path / "s.json")]
    words += ["--store", str(stores / "b.sqlite"), "--choose", "accuracy>=0.999"]
    assert main([*words, "--plot", str(tmp_path / "p.png")]) == 1
    said = capsys.readouterr()
    assert "multiplier alone" in said.out and "no configuration satisfies" in said.err
    assert (tmp_path / "p.png").is_file()
    assert main([*words, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["version"] == asnet_mlir.__version__ and found["seed"] == 0
    assert found["command"].startswith("asnet explore") and found["front"]
    assert all(len(result["interval"]) == 2 for result in found["results"])
