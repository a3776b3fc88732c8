# SPDX-License-Identifier: Apache-2.0
"""Constraints, sweeps, the store and the choice."""

import importlib
import json
import sqlite3

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asnet_mlir.errors import AsnetError, InputError
from asnet_mlir.exploration import choose, explore, load_constraints
from asnet_mlir.exploration.layers import Layer
from asnet_mlir.exploration.space import DesignSpace
from asnet_mlir.support.json_input import read_json

MUL = {"op": "mulf", "core": "fmul_trunc", "parameters": {"P": {"ParamLow": 0, "ParamHigh": 22}}}
DIV = {
    "op": "divf",
    "core": "fdiv_trunc",
    "parameters": {"P": {"ParamLow": 2, "ParamHigh": 22, "ParamStep": 10}},
}


def test_product_and_axes():
    layers = [Layer("a", {"mulf": 6, "addf": 6}), Layer("b", {"divf": 2, "mulf": 1})]
    space = DesignSpace.of(load_constraints({"cores": [MUL, DIV]}), layers)
    assert space.size == 24 * 4
    bindings = [space.binding(c) for c in space.configurations()]
    assert len(bindings) == space.size and bindings[0].label == "exact"
    assert len({b.label for b in bindings}) == space.size
    axes = [space.binding(c).label for c in space.axes()]
    assert len(axes) == 1 + 23 + 3
    assert axes[-3:] == [f"divf=fdiv_trunc:P={p}" for p in (2, 12, 22)]


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
        (
            {"cores": [{**MUL, "op": "powf"}]},
            r"cores\[0\].op: must be 'addf', 'subf', .* not 'powf'",
        ),
        ({"cores": [{**MUL, "op": "divf"}]}, r"cores\[0\]: fmul_trunc: computes mulf, not divf"),
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
        (
            {"cores": [{**MUL, "parameters": {"P": "7"}}]},
            "must be an integer, a list of integers or an object",
        ),
    ],
)
def test_bad_constraints(tmp_path, content, message):
    path = tmp_path / "constraints.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message) as error:
        load_constraints(path)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ('"ParamHigh": 22', '"ParamHigh": "22"', 7,
         r"cores\[0\]\.parameters\.P\.ParamHigh: must be an integer, not '22'"),
        ('"ParamHigh": 22', '"ParamHigh": 23', 5, r"cores\[0\]\.parameters\.P: .*P = 23 is not in"),
        ('"ParamHigh": 22', '"ParamHigh": 22, "ParamHigh": 3', 7, "the key is there twice"),
        ('"ParamHigh": 22', '"ParamHigh": 22.5', 7, "must be an integer, not 22.5"),
        ('"ParamHigh": 22', '"ParamHigh": NaN', 7, "not JSON: a value is expected, not 'NaN'"),
        ('"ParamHigh": 22', '"ParamHigh": 1e999', 7, "not JSON: a number out of range"),
        ('"ParamHigh": 22', '"ParamHigh": -Infinity', 7, "not JSON: a value is expected"),
        ('"ParamHigh": 22', '"ParamHigh": \u0662\u0662', 7, "not JSON: a value is expected"),
        ('"ParamHigh": 22', '"ParamHigh": 22, "ParamStep": -1', 7,
         r"P\.ParamStep: must be at least 1"),
        ('"ParamHigh": 22', '"ParamHigh": 2000000000', 4, "more than 10000 instances"),
        ('"P": {', '"Q": {', 5, r"cores\[0\]\.parameters\.Q: .*unknown parameter 'Q'"),
        ('"scope"', '"score"', 17, "unknown key 'score'; did you mean 'scope'"),
        ('"fdiv_trunc"', '["fdiv_trunc.v", 3]', 13, r"core\[1\]: must be a text"),
        ('"fdiv_trunc"', '["fdiv_trunc"]', 13, r"core\[0\]: 'fdiv_trunc' is no .v or .sv file"),
        ('"fdiv_trunc"', '"none/core.toml"', 12, r"cores\[1\]: .*cannot be read"),
        ('[2, 4]', '[2, 4, 2]', 14, r"parameters\.P\[2\]: 2 is there twice"),
        ('[2, 4]', '[]', 14, "must be a list of at least 1 element"),
        ('"op": "divf", "core": "fdiv_trunc",', '"op": "mulf", "core": "fmul_trunc",', 12,
         r"cores\[1\]: fmul_trunc:P=2 is there already, from cores\[0\]"),
        ('"fdiv_trunc"', '"fdiv_trunc", "align": "left"', 13,
         r"cores\[1\]\.align: is for cores that are Verilog files"),
        ('"fdiv_trunc"', '"fdiv_trunc", "latency": true', 13, "must be clock cycles or a param"),
        ('"fdiv_trunc"', '"fdiv_trunc", "ports": {"c": "x"}', 13, r"ports: unknown key 'c'"),
    ],
)  # fmt: skip
def test_errors_name_line_and_key(tmp_path, old, new, line, message):
    text = """{
  "cores": [
    {
      "op": "mulf", "core": "fmul_trunc", "parameters":
      {"P": {
        "ParamLow": 0,
        "ParamHigh": 22
      }
      }
    }
    ,
    {
      "op": "divf", "core": "fdiv_trunc",
      "parameters": {"P": [2, 4]}
    }
  ],
  "scope": "network"
}
"""
    path = tmp_path / "constraints.json"
    path.write_text(text)
    choices = load_constraints(path).choices
    assert [len(instances) for instances in choices.values()] == [24, 3]
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=message) as error:
        load_constraints(path)
    assert str(error.value).startswith(f"{path}:"), error.value
    found = int(str(error.value).removeprefix(f"{path}:").split(":")[0])
    assert (found, str(error.value).count("\n")) == (line, 0), error.value


def test_verilog_cores_with_their_contract(tmp_path):
    """Paths are relative to the file; the width of a unit follows a parameter."""
    folder = tmp_path / "cores"
    (folder / "inc").mkdir(parents=True)
    (folder / "inc" / "op.vh").write_text("`define PRODUCT a * b\n")
    (folder / "mul.v").write_text(
        '`include "op.vh"\nmodule mul #(parameter N = 8)(input [N-1:0] b, a,\n'
        "output [2*N-1:0] y); assign y = `PRODUCT; endmodule\n"
    )
    entry = {
        "op": "mulf",
        "core": ["mul.v"],
        "top": "mul",
        "ports": {"a": "a", "b": "b"},
        "includes": ["inc"],
        "align": "left",
        "latency": 0,
        "parameters": {"N": [8, 16]},
    }
    (folder / "c.json").write_text(json.dumps({"cores": [entry]}))
    instances = load_constraints(folder / "c.json").choices["mulf"][1:]
    assert [instance.core.unit.core.instance().parameters for instance in instances] == [
        (("N", 8),),
        (("N", 16),),
    ]
    assert len({instance.label for instance in instances}) == 2
    for wrong, message in (
        ({"latency": 2}, r":1: cores\[0\]: mul: declares a latency of 2 cycles"),
        ({"includes": ["no"]}, r":1: cores\[0\]: .*no: the include folder is not there"),
        ({"op": "divf"}, r":1: cores\[0\]: mul: port a has 8 bits, f32 needs 32"),
    ):
        (folder / "c.json").write_text(json.dumps({"cores": [{**entry, **wrong}]}))
        with pytest.raises(InputError, match=message):
            load_constraints(folder / "c.json")


def test_the_schema_says_what_the_documentation_and_the_examples_say():
    from pathlib import Path

    from asnet_mlir.cores.reading.schema import constraints_schema
    from asnet_mlir.support.json_input import _KEYWORDS, check_schema, read_json

    schema = constraints_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"

    def subschemas(value):
        yield value
        for key in ("items", "additionalProperties"):
            if isinstance(value.get(key), dict):
                yield from subschemas(value[key])
        for key in ("properties", "$defs"):
            for inner in value.get(key, {}).values():
                yield from subschemas(inner)
        for inner in value.get("anyOf", ()):
            yield from subschemas(inner)

    keys = set()
    for part in subschemas(schema):
        assert part.keys() <= _KEYWORDS
        keys |= part.get("properties", {}).keys()
        if "$ref" in part:
            assert part["$ref"].removeprefix("#/$defs/") in schema["$defs"]
    root = Path(__file__).parents[2]
    page = (root / "docs" / "constraints.md").read_text()
    assert all(f"`{key}`" in page for key in keys), [k for k in keys if f"`{k}`" not in page]
    for path in root.glob("examples/**/constraints*.json"):
        check_schema(read_json(path).value, schema, schema)
    with pytest.raises(ValueError, match="schema keyword maximum"):
        check_schema(1, {"maximum": 0}, {})


def test_not_json(tmp_path):
    path = tmp_path / "constraints.json"
    path.write_text('{"cores": [\n  oops]}')
    with pytest.raises(InputError, match=r"constraints\.json:2:3: not JSON"):
        load_constraints(path)
    with pytest.raises(InputError, match="No such file"):
        load_constraints(tmp_path / "none.json")


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
    for wrong in ("accuracy=0.9", "accuracy>=", "accuracy>=1e", "0.9"):
        with pytest.raises(InputError, match="write a bound as"):
            choose(exploration, wrong)


def test_foreign_files_are_not_touched(tmp_path, monkeypatch):
    """They are refused before a network is loaded or a core is checked."""
    module = importlib.import_module("asnet_mlir.exploration.explore")  # not the verb of its name
    monkeypatch.setattr(module, "load_model", None)
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


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(value=JSON, indent=st.sampled_from([None, 0, 3]), ascii_only=st.booleans())
def test_the_reader_of_json_reads_json(tmp_path, value, indent, ascii_only):
    path = tmp_path / "any.json"
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    if "\\ud" in text or any(0xD800 <= ord(letter) < 0xE000 for letter in text):
        return  # half of a pair of surrogates is no UTF-8
    if len(max(text.replace(",", " ").split(), key=len, default="")) > 90:
        return  # long numbers are refused
    path.write_text(text, encoding="utf-8")
    assert read_json(path).value == json.loads(text)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet='{}[]",:0123456789.eE+-truefalsn \n\\', max_size=30))
def test_the_reader_refuses_what_is_no_json(tmp_path, text):
    path = tmp_path / "any.json"
    path.write_text(text)
    try:
        expected = json.loads(text, parse_constant=lambda name: 1 / 0)
    except (ValueError, ZeroDivisionError):
        with pytest.raises(InputError):
            read_json(path)
        return
    try:
        assert read_json(path).value == expected
    except InputError as error:
        assert "twice" in str(error) or "range" in str(error)
