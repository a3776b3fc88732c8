# SPDX-License-Identifier: Apache-2.0
"""Reports: what is in the store is on the page, all of it and nothing else; and it stands alone."""

from __future__ import annotations

import errno
import json
import re
import shlex
import shutil
import sqlite3
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import asnet_mlir
from asnet_mlir.cli.main import main
from asnet_mlir.exploration.store import (
    ACCURACY,
    DatasetRecord,
    EvaluationRecord,
    LayerRecord,
    NetworkRecord,
    PartialRecord,
    RuleRecord,
    Store,
    StudyRecord,
    VariableRecord,
)
from asnet_mlir.reports.collect import Point, _front, collect
from asnet_mlir.reports.figure_texts import cost_text
from asnet_mlir.reports.paper import paper_points
from asnet_mlir.support import files

SPECIAL = "<script>alert('1')</script>\"&<!-- ]]> \u2028 $x_{1$ </style>"


def rule(op="mulf", layer=None, core="fmul_trunc", **parameters):
    text = ",".join(f"{name}={value}" for name, value in parameters.items())
    label = f"{core}:{text}" if text else core
    return RuleRecord(op, layer, label, core, parameters, f"hash {label}")


def evaluation(key, rules=(), correct=900, network="n", dataset="d", command="asnet evaluate"):
    label = " ".join(f"{r.op}{f'@{r.layer}' if r.layer else ''}={r.label}" for r in rules)
    return EvaluationRecord(
        key,
        network,
        dataset,
        label or "exact",
        {"version": 1, "bindings": [{"op": r.op, "core": r.core} for r in rules]},
        tuple(rules),
        correct,
        1000,
        0.25,
        "0.1.0",
        command,
    )


def instance(rule):
    """An entry of a constraints file as a study keeps it."""
    fields = ("label", "core", "parameters", "content_hash")
    return {name: getattr(rule, name) for name in fields}


def study(key="s", network="n", scope="network", choices=None, **fields):
    places = [None] if scope == "network" else ["conv", "dense"]
    values = {
        "constraints": {"scope": scope, "choices": choices or {}},
        "variables": tuple(
            VariableRecord(op, layer, ("exact", *(i["label"] for i in instances)))
            for layer in places
            for op, instances in (choices or {}).items()
        ),
        "strategy": "exhaustive",
        "seed": 0,
        "budget": None,
        "cost": "none",
        "bound": "accuracy>=0.8",
        "early_stop": None,
        "stopping_rule": "r",
        "command": "asnet explore",
        "size": 10,
    }
    return StudyRecord(key=key, network=network, dataset="d", scope=scope, **values | fields)


@pytest.fixture
def path(tmp_path):
    """A store of two networks: one swept along a parameter, one by layer and with costs."""
    path = tmp_path / "results.sqlite"
    with Store(path) as store:
        layers = (LayerRecord("conv", {"mulf": 100}), LayerRecord("dense", {"mulf": 20, "divf": 1}))
        store.add_network(
            NetworkRecord("n", "classification_mnist", "classification_mnist", layers)
        )
        store.add_network(NetworkRecord("m", SPECIAL, None, layers))
        store.add_dataset(DatasetRecord("d", "mnist:test", 1000))
        store.add(evaluation("exact"))
        for bits in range(23):
            store.add(evaluation(f"m{bits}", [rule(P=bits)], 900 - bits**2))
            store.add(evaluation(f"d{bits}", [rule("divf", core="fdiv_trunc", P=bits)], 900))
        pair = [rule(P=20), rule("divf", core="fdiv_trunc", P=22)]
        store.add(evaluation("pair", pair, 880))
        choices = {
            "mulf": [instance(rule(P=bits)) for bits in range(23)],
            "divf": [instance(rule("divf", core="fdiv_trunc", P=bits)) for bits in range(23)],
        }
        store.begin_study(study(choices=choices))
        found = [("exact", (0, 0)), ("m20", (21, 0)), ("d22", (0, 23)), ("pair", (21, 23))]
        for position, (key, place) in enumerate(found):
            store.add_study_result("s", key, position, place, {})
        store.end_study("s", "done", 3.5, "pair")
        choices = {"mulf": [instance(rule(P=18)), instance(rule(P=22))]}
        by_layer = study("t", "m", "layer", choices, cost="area", bound=None, command=None)
        store.begin_study(by_layer)
        for position, layer in enumerate(("dense", "conv")):
            for choice, bits in enumerate((18, 22), 1):
                key = f"{layer}{bits}"
                # The only layer's multiplier was first evaluated as that of the whole network.
                rules = [rule(layer=None if key == "conv18" else layer, P=bits)]
                store.add(evaluation(key, rules, 850 + bits, "m", command=None))
                place = (0, choice) if layer == "dense" else (choice, 0)
                cost = {"area": 3000.0 - bits, "delay_proxy": float("inf")}
                store.add_study_result("t", key, 2 * position + choice, place, cost)
        store.add_partial(PartialRecord("late", "r", 40, 64, 0.999, 0.9, 0.1, SPECIAL))
        store.add_study_result("t", "late", 99, (2, 2), {"area": 10.0})
    return path


VOID = {"meta", "input", "br", "link", "img", "hr"}  # elements that have no end


class Page(HTMLParser):
    """A page's elements; fails on one that is closed wrongly."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data):
        self.texts.setdefault(self.open[-1] if self.open else "", []).append(data)

    @property
    def data(self):
        return json.loads(self.texts["script"][0])


def page_of(path, tmp_path) -> tuple[str, Page]:
    output = tmp_path / "report.html"
    assert asnet_mlir.report(path, output) == [output]
    text = output.read_text(encoding="utf-8")
    return text, Page(text)


def test_the_page_holds_what_the_store_holds(path, tmp_path):
    _, page = page_of(path, tmp_path)
    with Store(path, read_only=True) as store:
        for group, network in zip(page.data, store.networks(), strict=True):
            assert group["title"] == f"{network.name} on mnist:test"
            stored = store.evaluations(network.key)
            shown = [point for point in group["points"] if "stopped" not in point]
            assert len(shown) == len(stored)
            for point, record in zip(shown, stored, strict=True):
                assert point["label"] == record.label and point["value"] == record.value
                assert (point["correct"], point["samples"]) == (record.correct, record.samples)
                assert point.get("command") == record.command
                assert point.get("binding") in (None, record.binding)
                assert record.command or "binding" in point
    first, second = page.data
    assert first["exact"] == 0 and [p["label"] for p in first["points"] if p["chosen"]] == [
        "mulf=fmul_trunc:P=20 divf=fdiv_trunc:P=22"
    ]
    assert second["exact"] is None
    assert [p["stopped"] for p in second["points"] if "stopped" in p] == [
        {"confidence": 0.999, "bound": 0.9}
    ]
    assert [point["costs"].get("area") for point in second["points"]] == [
        2982, 2978, 2982, 2978, 10
    ]  # fmt: skip
    assert all("delay_proxy" not in point["costs"] for point in second["points"])


def test_curves_and_front_and_paper(path):
    first, second = collect(path)
    assert [(c.op, c.parameter, c.title) for c in first.curves] == [
        ("mulf", "P", "multiplier"),
        ("divf", "P", "divider"),
    ]
    for curve in first.curves:
        assert [value for value, _ in curve.points] == list(range(23))
    values = [first.points[index].value for _, index in first.curves[0].points]
    assert values == [(900 - bits**2) / 1000 for bits in range(23)]
    # No cost was measured: 23 steps a list; the pair is 21/23 + 23/23 along.
    assert sum("steps" in p.costs for p in first.points) == 4
    front = [first.points[index] for index in first.fronts["steps"]]
    assert [p.label for p in front] == [
        "mulf=fmul_trunc:P=20 divf=fdiv_trunc:P=22",
        "divf=fdiv_trunc:P=22",
    ]
    assert front[0].costs["steps"] == pytest.approx(2 - 44 / 23)
    assert [row.point for row in first.paper] == paper_points("classification_mnist")
    assert [first.points[row.ours].label for row in first.paper if row.ours is not None] == [
        "mulf=fmul_trunc:P=21",
        "mulf=fmul_trunc:P=22",
        "mulf=fmul_trunc:P=20 divf=fdiv_trunc:P=22",
    ]
    assert second.paper == () and second.curves == () and set(second.fronts) == {"area"}
    # What was stopped early is never in the front, however cheap.
    assert [second.points[i].label for i in second.fronts["area"]] == ["mulf@dense=fmul_trunc:P=22"]


def test_a_cost_has_one_unit_everywhere(tmp_path):
    path = tmp_path / "r.sqlite"
    with Store(path) as store:
        store.add_network(NetworkRecord("n", "net", None, ()))
        store.add_dataset(DatasetRecord("d", "mine.npz", 1000))
        store.begin_study(study(cost="energy_proxy"))
        store.add(evaluation("exact"))
        costs = {"area": 5e6, "delay_proxy": 2.5e7, "energy_proxy": 9.5e9}
        store.add_study_result("s", "exact", 0, (), costs)
        store.end_study("s", "done", 1.0, "exact")
    (group,) = collect(path)
    axes = ["area [LUT4]", "delay_proxy [ns]", "energy_proxy [LUT4 ns]"]
    assert [group.axis_of(cost) for cost in costs] == axes
    text, page = page_of(path, tmp_path)
    shown = [cost_text(name, value) for name, value in costs.items()]
    assert shown[:2] == ["5,000,000 LUT4", "25,000,000 ns"]
    assert f"area {shown[0]}, delay_proxy {shown[1]}, energy_proxy {shown[2]}" in text
    assert [page.data[0]["axes"][cost] for cost in costs] == axes
    assert page.data[0]["points"][0]["costs"] == costs


def test_a_cost_of_the_users_own_is_drawn(tmp_path):
    path = tmp_path / "r.sqlite"
    with Store(path) as store:
        store.add_network(NetworkRecord("n", "net", None, ()))
        store.add_dataset(DatasetRecord("d", "mine.npz", 1000))
        store.begin_study(study(cost="machine_luts"))
        store.add(evaluation("exact", correct=990))
        store.add(evaluation("rough", [rule(P=20)], correct=900))
        for number, (key, luts) in enumerate((("exact", 5391.0), ("rough", 4124.0))):
            store.add_study_result("s", key, number, (), {"machine_luts": luts})
        store.end_study("s", "done", 1.0, "exact")
    (group,) = collect(path)
    assert [group.points[i].costs["machine_luts"] for i in group.fronts["machine_luts"]] == [
        4124.0,
        5391.0,
    ]
    _, page = page_of(path, tmp_path)
    assert page.data[0]["axes"]["machine_luts"] == "machine_luts"
    assert page.data[0]["units"]["machine_luts"] == ""
    pictures = [one.name for one in asnet_mlir.report(path, png=tmp_path / "pictures")]
    assert any(name.endswith("front-machine_luts.png") for name in pictures)


def test_sensitivity_by_layer(path, tmp_path):
    _, group = collect(path)
    (table,) = group.sensitivities
    assert table.layers == ("conv", "dense") and table.columns == ("P=18", "P=22")
    correct = {place: group.points[index].correct for place, index in table.cells.items()}
    assert correct == {
        (layer, f"fmul_trunc:P={bits}"): 850 + bits
        for layer in ("conv", "dense")
        for bits in (18, 22)
    }


def test_several_parameters_and_cores(tmp_path):
    path = tmp_path / "r.sqlite"
    with Store(path) as store:
        store.add_network(NetworkRecord("n", "net", None, ()))
        store.add_dataset(DatasetRecord("d", "mine.npz", 1000))
        for n in (8, 16):
            for k in (3, 4, 5):
                store.add(evaluation(f"{n} {k}", [rule(core="/my/drum.v", N=n, K=k)], 100 * k + n))
        store.add(evaluation("one", [rule(core="other")]))
    (group,) = collect(path)
    found = {(c.parameter, c.title): [value for value, _ in c.points] for c in group.curves}
    assert found == {
        ("N", "multiplier drum.v, K=3"): [8, 16],
        ("N", "multiplier drum.v, K=4"): [8, 16],
        ("N", "multiplier drum.v, K=5"): [8, 16],
        ("K", "multiplier drum.v, N=8"): [3, 4, 5],
        ("K", "multiplier drum.v, N=16"): [3, 4, 5],
    }
    assert group.exact is None and group.fronts == {}
    asnet_mlir.report(path, tmp_path / "r.html", png=tmp_path / "png")
    assert len(list((tmp_path / "png").iterdir())) == 2


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=30))
def test_the_front_is_what_nothing_dominates(pairs):
    points = [
        Point(str(i), "", a / 10, a, 10, 0.0, {"area": c}, None, {})
        for i, (c, a) in enumerate(pairs)
    ]
    front = {pairs[i] for i in _front(points, "area", ACCURACY)}
    assert front == {
        (c, a)
        for c, a in pairs
        if not any((x <= c and b >= a and (x, b) != (c, a)) for x, b in pairs)
    }


def test_nothing_is_loaded_and_nothing_escapes(path, tmp_path):
    text, page = page_of(path, tmp_path)
    for tag, attributes in page.elements:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base")
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            assert name not in ("src", "srcset", "action", "formaction", "data-src"), (tag, name)
            # A binding is offered as a file, which is in the page.
            starts = "data:application/json," if "download" in attributes else "#group-"
            assert name != "href" or (value or "").startswith(starts)
    # Names of namespaces apart, there is no address in the page.
    assert set(re.findall(r"[a-z]+://[^\s\"'`)]+", text)) == {"http://www.w3.org/2000/svg"}
    assert "url(" not in text and "@import" not in text and "innerHTML" not in text
    assert [tag for tag, _ in page.elements].count("script") == 2
    (policy,) = (a["content"] for t, a in page.elements if a.get("http-equiv"))
    assert policy and policy.startswith("default-src 'none'")
    assert f"{SPECIAL} on mnist:test" in page.texts["h2"]
    targets = {a["id"] for _, a in page.elements if a.get("id")}
    links = [a for t, a in page.elements if t == "a" and "download" not in a]
    assert {a["href"][1:] for a in links} <= targets


def test_the_same_store_gives_the_same_page(path, tmp_path):
    assert page_of(path, tmp_path)[0] == page_of(path, tmp_path)[0]


def test_the_chosen_configuration_and_the_paper_can_be_read_without_scripts(path, tmp_path):
    _, page = page_of(path, tmp_path)
    assert "mulf=fmul_trunc:P=20 divf=fdiv_trunc:P=22" in page.texts["strong"]
    assert "Chosen for accuracy>=0.8" in page.texts["h3"]
    assert {"90.69 %", "89.87 %", "88.72 %", "88.00 %"} <= set(page.texts["td"])


def test_an_empty_store(tmp_path):
    path = tmp_path / "empty.sqlite"
    Store(path).close()
    text, page = page_of(path, tmp_path)
    assert page.data == [] and "holds no results yet" in text
    assert asnet_mlir.report(path, png=tmp_path / "png") == []


def test_one_result(tmp_path):
    path = tmp_path / "one.sqlite"
    with Store(path) as store:
        store.add_network(NetworkRecord("n", "net", "net.keras", ()))
        store.add_dataset(DatasetRecord("d", "mine.npz", 1000))
        store.add(evaluation("exact", correct=0))
    _, page = page_of(path, tmp_path)
    assert [len(group["points"]) for group in page.data] == [1]


def test_ten_thousand_results(tmp_path):
    path = tmp_path / "many.sqlite"
    with Store(path) as store:
        store.add_network(NetworkRecord("n", "net", "net.keras", ()))
        store.add_dataset(DatasetRecord("d", "mine.npz", 1000))
        store.begin_study(study(size=10**30))
        store._connection.execute("BEGIN")
        for number in range(10_000):
            rules = [rule(layer=f"l{k}", P=number // 10**k % 10) for k in range(4)]
            store.add(evaluation(str(number), rules, number % 1000))
            store.add_study_result("s", str(number), number, (), {"area": float(number)})
        store._connection.execute("COMMIT")
    text, page = page_of(path, tmp_path)
    assert len(page.data[0]["points"]) == 10_000 and "10,000 of 1.0e+30" in text


def test_pictures(path, tmp_path):
    folder = tmp_path / "new" / "png"
    written = asnet_mlir.report(path, png=folder)
    assert written == sorted(written, key=written.index) and set(written) == set(folder.iterdir())
    assert {
        "classification_mnist-mnist-test-accuracy-P.png",
        "classification_mnist-mnist-test-front-steps.png",
    } < {p.name for p in written}
    assert len(written) == 5
    for picture in written:
        assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_networks_of_one_name_get_pictures_of_their_own(tmp_path):
    path = tmp_path / "r.sqlite"
    with Store(path) as store:
        store.add_dataset(DatasetRecord("d", "mine.npz", 1000))
        for key in "ab":
            store.add_network(NetworkRecord(key, "net", None, ()))
            for bits in range(3):
                store.add(evaluation(f"{key}{bits}", [rule(P=bits)], network=key))
    names = [p.name for p in asnet_mlir.report(path, png=tmp_path / "png")]
    assert names == ["net-mine-npz-accuracy-P.png", "net-mine-npz-accuracy-P-2.png"]


def damaged(path: Path, kind: str) -> None:
    if kind == "other version":
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA user_version = 99")
        connection.close()
    elif kind == "no store":
        path.unlink()
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE t (x)")
        connection.close()
    elif kind == "without networks":
        with sqlite3.connect(path) as connection:
            connection.execute("DELETE FROM network")
        connection.close()
    elif kind == "no database":
        path.write_bytes(b"something else entirely" * 100)
    elif kind == "truncated":
        path.write_bytes(path.read_bytes()[:6000])
    else:
        path.unlink()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("other version", "is a result store of version 99, this program reads version"),
        ("no store", "is an SQLite file, but not a result store"),
        ("no database", "not a result store"),
        ("without networks", "is damaged"),
        ("truncated", "damaged|not a result store"),
        ("missing", "no such file"),
    ],
)
def test_bad_stores(path, tmp_path, capsys, kind, message):
    damaged(path, kind)
    before = path.read_bytes() if path.exists() else None
    output = tmp_path / "report.html"
    assert main(["report", str(path), "-o", str(output)]) == 2
    error = capsys.readouterr().err
    assert re.search(message, error) and error.count("\n") == 1
    assert not output.exists() and (path.read_bytes() if path.exists() else None) == before


def test_bad_places(path, tmp_path, capsys):
    before = path.read_bytes()
    for arguments, message in (
        ([], "needs -o FILE.html, --png FOLDER or --figures"),
        (["-o", str(tmp_path)], "is a folder"),
        (["-o", str(tmp_path / "no" / "r.html")], "can't be written: No such file"),
        (["-o", str(path)], "is the store itself"),
        (["--png", str(path)], "can't be written: File exists"),
    ):
        assert main(["report", str(path), *arguments]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    assert path.read_bytes() == before
    assert not list(tmp_path.glob(".r*"))


def test_a_full_disk_leaves_nothing_behind(path, tmp_path, capsys, monkeypatch):
    page, pictures = tmp_path / "r.html", tmp_path / "pictures"
    page.write_text("before")

    def full(name):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "sync", full)
    before = sorted(tmp_path.iterdir())
    for arguments in (["-o", str(page)], ["--png", str(pictures)]):
        assert main(["report", str(path), *arguments]) == 1  # as `generate` says it
        error = capsys.readouterr().err
        assert "can't be written: No space left on device" in error and error.count("\n") == 1
    left = [p for p in sorted(tmp_path.iterdir()) if not p.name.endswith(("-shm", "-wal"))]
    assert left == before and page.read_text() == "before"


def test_json_names_the_files(path, tmp_path, capsys):
    output = tmp_path / "r.html"
    assert main(["report", str(path), "-o", str(output), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"files": [str(output)]}


def test_a_command_of_the_page_reproduces_its_point(tmp_path, capsys):
    path = tmp_path / "r.sqlite"
    constraints = {
        "scope": "network",
        "cores": [{"op": "mulf", "core": "fmul_trunc", "parameters": {"P": [20, 22]}}],
    }
    asnet_mlir.explore("classification_mnist", "mnist:test:200", constraints, store=path)
    _, page = page_of(path, tmp_path)
    (group,) = page.data
    assert len(group["points"]) == 3
    for point in group["points"]:
        program, *arguments = shlex.split(point["command"])
        assert program == "asnet" and main([*arguments, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["accuracy"] == point["value"]


PROBE = """
<script>
const found = {}, section = document.querySelector("[data-group]");
const rows = () => [...section.querySelectorAll("tr[data-row]")].map((row) => row.dataset.row);
const type = (text) => {
  section.querySelector("form").elements.text.value = text;
  section.querySelector("form").dispatchEvent(new Event("input", { bubbles: true }));
};
const press = (key) => section.querySelector(".plot").dispatchEvent(
  new KeyboardEvent("keydown", { key, bubbles: true }));
found.charts = document.querySelectorAll(".plot").length;
type("divf p=21");
found.filtered = rows();
type("");
const head = () => section.querySelectorAll("[data-results] thead button")[1];
head().click();
head().click();
found.least = rows()[0];
press("ArrowRight");
found.tooltip = document.getElementById("tooltip").textContent;
press("Enter");
found.command = section.querySelector(".detail pre").textContent;
found.wide = document.documentElement.scrollWidth > innerWidth;
document.body.append(Object.assign(document.createElement("pre"),
  { id: "found", textContent: JSON.stringify(found) }));
</script></body>
"""


def test_in_a_browser(path, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("Chromium is not installed (Debian: chromium)")
    text, _ = page_of(path, tmp_path)
    probed = tmp_path / "probed.html"
    probed.write_text(text.replace("</body>", PROBE), encoding="utf-8")
    run = subprocess.run(
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}", "--window-size=500,900",
            "--virtual-time-budget=2000", "--dump-dom", probed.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    found = json.loads(Page(run.stdout).texts["pre"][-1])
    assert found == {
        "charts": 4,
        "filtered": ["44"],
        "least": "45",
        "tooltip": "mulf=fmul_trunc:P=0\n90.00 % [87.98 % .. 91.71 %] (0.00 points against exact)",
        "command": "asnet evaluate",
        "wide": False,
    }


def test_the_page_shows_quantised_layers(path, tmp_path):
    layer = {"kind": "convolution", "low": -1.5, "high": 2.0, "scale": 0.0137, "zero_point": -19}
    layer |= {"saturated": 0.001, "snr": 38.84, "alone": None}
    quantization = {"file": "net.mlir", "bits": 8, "weights": 6, "accuracy": 0.9871}
    quantization |= {"accuracy_float": 0.987, "float": {"fc<1>": ["exponential"]}}
    file = tmp_path / "quantization.json"
    file.write_text(json.dumps({**quantization, "layers": [{"name": "conv & co", **layer}]}))
    output = tmp_path / "report.html"
    asnet_mlir.report(path, output, quantized=[file])
    texts = Page(output.read_text(encoding="utf-8")).texts
    assert "Layers in integer codes" in texts["h2"]
    assert any("weights of 6; accuracy 98.71%, in float 98.70%" in text for text in texts["p"])
    assert any("fc<1> (exponential)" in text for text in texts["p"])
    assert "conv & co" in texts["th"]
    assert {"-1.5..2", "0.10%", "38.8", "-19"} <= set(texts["td"])
    file.write_text("{}")
    with pytest.raises(
        asnet_mlir.errors.InputError, match="is not what 'asnet quantize --json' prints"
    ):
        asnet_mlir.report(path, output, quantized=[file])
