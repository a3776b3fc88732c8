"""Constraints, sweeps, the store and the choice."""

import json
import sqlite3

import pytest

from asnet_mlir.errors import AsnetError, InputError, UnsupportedError
from asnet_mlir.exploration import choose, explore, load_constraints

MUL = {"op": "mulf", "core": "fmul_trunc", "parameters": {"P": {"ParamLow": 0, "ParamHigh": 22}}}
DIV = {
    "op": "divf",
    "core": "fdiv_trunc",
    "parameters": {"P": {"ParamLow": 2, "ParamHigh": 22, "ParamStep": 10}},
}


def test_product_and_axes():
    space = load_constraints({"cores": [MUL, DIV]})
    assert space.size == 24 * 4
    bindings = list(space.bindings())
    assert len(bindings) == space.size and bindings[0].label == "exact"
    assert len({b.label for b in bindings}) == space.size
    assert len(list(space.axes())) == 1 + 23 + 3
    labels = [b.label for b in space.axes()]
    assert labels[-3:] == [f"divf=fdiv_trunc:P={p}" for p in (2, 12, 22)]


def without(entry, key):
    return {k: v for k, v in entry.items() if k != key}


def with_range(**values):
    return {"cores": [{**MUL, "parameters": {"P": values}}]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "must be an object with the key 'cores'"),
        ({}, "lacks the key 'cores'"),
        ({"cores": []}, "cores: must be a list of at least 1 element"),
        ({"cores": [MUL], "scop": "network"}, "unknown key 'scop'; did you mean 'scope'"),
        ({"cores": [MUL], "scope": "moon"}, "must be 'network' or 'layer'"),
        ({"cores": [3]}, r"cores\[0\]: must be an object"),
        ({"cores": [MUL, without(MUL, "core")]}, r"cores\[1\]: lacks the key 'core'"),
        ({"cores": [without(MUL, "op")]}, r"cores\[0\]: lacks the key 'op'"),
        ({"cores": [{**MUL, "op": "powf"}]}, r"cores\[0\].op: must be 'addf', 'subf', .* not 'powf'"),
        ({"cores": [{**MUL, "op": "divf"}]}, "fmul_trunc computes mulf, not divf"),
        ({"cores": [{**MUL, "core": "fmull"}]}, r"cores\[0\]: unknown core 'fmull'"),
        (with_range(ParamLow=0), r"parameters.P: lacks the key 'ParamHigh'"),
        (with_range(ParamHigh=0), r"parameters.P: lacks the key 'ParamLow'"),
        (with_range(ParamLow=5, ParamHigh=4), "ParamLow = 5 is above ParamHigh = 4"),
        (with_range(ParamLow=0, ParamHigh=23), "P = 23 is not in 0..22"),
        (with_range(ParamLow=-1, ParamHigh=2), "P = -1 is not in 0..22"),
        (with_range(ParamLow=0.5, ParamHigh=2), "ParamLow: must be an integer"),
        (with_range(ParamLow=0, ParamHigh=2, ParamStep=0), "ParamStep: must be at least 1"),
        (with_range(Low=0, ParamHigh=2), "unknown key 'Low'"),
        ({"cores": [{**MUL, "parameters": {"Q": 1}}]}, "unknown parameter 'Q'"),
        ({"cores": [{**MUL, "parameters": {"P": "7"}}]}, "must be an integer, a list of integers or an object"),
    ],
)
def test_bad_constraints(tmp_path, content, message):
    path = tmp_path / "constraints.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message) as error:
        load_constraints(path)
    assert str(error.value).startswith(str(path))


def test_not_json(tmp_path):
    path = tmp_path / "constraints.json"
    path.write_text('{"cores": [\n  oops]}')
    with pytest.raises(InputError, match=r"constraints\.json:2:3: not JSON"):
        load_constraints(path)
    with pytest.raises(InputError, match="No such file"):
        load_constraints(tmp_path / "none.json")


def test_layer_scope_is_not_there_yet():
    with pytest.raises(UnsupportedError, match="scope: 'layer' is not supported yet"):
        load_constraints({"cores": [MUL], "scope": "layer"})


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    store = tmp_path_factory.mktemp("store") / "results.sqlite"
    coarse = {"ParamLow": 10, "ParamHigh": 22, "ParamStep": 6}
    cores = [{**MUL, "parameters": {"P": coarse}}, {**DIV, "parameters": {"P": coarse}}]
    return explore("classification_mnist", "mnist:test:1000", {"cores": cores}, store=store), store


def test_sweep(sweep):
    exploration, _ = sweep
    assert len(exploration.results) == 16 and exploration.evaluated == 16
    assert exploration.exact.accuracy > 0.9
    assert [r.binding.label for r in exploration.axis("mulf")] == [
        f"mulf=fmul_trunc:P={p}" for p in (10, 16, 22)
    ]


def test_a_second_run_finds_everything_in_the_store(sweep):
    first, store = sweep
    again = explore("classification_mnist", "mnist:test:1000", first.constraints, store=store)
    assert again.evaluated == 0
    assert [r.accuracy for r in again.results] == [r.accuracy for r in first.results]
    other_data = explore(
        "classification_mnist", "mnist:test:999", first.constraints, store=store, only_axes=True
    )
    assert other_data.evaluated == len(other_data.results)


def test_choice(sweep):
    exploration, _ = sweep
    chosen = choose(exploration, "accuracy>=0")
    assert chosen.binding.label == "mulf=fmul_trunc:P=22 divf=fdiv_trunc:P=22"
    best = max(r.accuracy for r in exploration.results)
    assert choose(exploration, f"accuracy>={best}").accuracy == best
    assert choose(exploration, "accuracy >= 50 %").accuracy >= 0.5
    with pytest.raises(AsnetError, match="no configuration satisfies accuracy>1"):
        choose(exploration, "accuracy>1")
    for wrong in ("acc>=1", "accuracy=0.9", "accuracy>=", "accuracy>=1e", "0.9"):
        with pytest.raises(InputError, match="write a bound as"):
            choose(exploration, wrong)


def test_foreign_files_are_not_touched(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("x" * 5000)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE t (a)")
    for path, message in ((text, "not a result store"), (other, "not a result store")):
        before = path.read_bytes()
        with pytest.raises(InputError, match=message):
            explore("classification_mnist", "mnist:test:5", {"cores": [MUL]}, store=path)
        assert path.read_bytes() == before
    with pytest.raises(InputError, match="folder does not exist"):
        explore("classification_mnist", "mnist:test:5", {"cores": [MUL]}, store=tmp_path / "a/b")
