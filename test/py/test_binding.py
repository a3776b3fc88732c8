# SPDX-License-Identifier: Apache-2.0
"""Bindings: text, JSON and back; what can't be meant is refused."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import asnet_mlir
from asnet_mlir.binding import Binding, Rule
from asnet_mlir.compiler import bind, bind_for_hardware, to_approx
from asnet_mlir.cores import library_cores, load_core, parse_instance
from asnet_mlir.errors import InputError
from asnet_mlir.ir import module_from_text, walk


def test_text_and_json_round_trip(tmp_path):
    binding = Binding.parse(["mulf=fmul_trunc:P=20", "divf@last=fdiv_trunc:P=22,LATENCY=3"])
    path = tmp_path / "binding.json"
    binding.save(path)
    assert Binding.load(path) == binding
    assert Binding.load(path).label == binding.label
    assert Binding().label == "exact"


def test_equal_instances_share_an_id():
    binding = Binding.parse(
        ["mulf=fmul_trunc:P=20", "mulf@a=fmul_trunc:P=7", "mulf@b=fmul_trunc:P=20"]
    )
    assert list(binding.instances) == [1, 2]
    assert binding.pass_option == "mulf=1,mulf@a=2,mulf@b=1"


def test_the_roles_of_ports_survive_saving(tmp_path):
    """Operands the other way round, in a file with two modules: the file alone does not say so."""
    from asnet_mlir.cores import core_from_verilog

    source = tmp_path / "own.v"
    source.write_text(
        "module first(input [31:0] p, input [31:0] q, output [31:0] r); assign r = p; endmodule\n"
        "module other(input [31:0] p, input [31:0] q, output [31:0] r); assign r = q; endmodule\n"
    )
    core = core_from_verilog([source], top="first", op="mulf", ports={"a": "q", "b": "p"})
    binding = Binding((Rule("mulf", core.instance()),))
    binding.save(tmp_path / "binding.json")
    loaded = Binding.load(tmp_path / "binding.json")
    assert loaded.rules[0].instance.content_hash == binding.rules[0].instance.content_hash
    assert loaded.rules[0].instance.core.ports.a == "q"


def test_every_key_of_a_core_survives_saving(tmp_path):
    """A unit of two files with an include folder, and a pipeline with everything tied."""
    from asnet_mlir.cores import core_from_verilog

    (tmp_path / "inc").mkdir()
    (tmp_path / "inc" / "w.vh").write_text("`define W 12\n")
    (tmp_path / "top.v").write_text(
        '`include "w.vh"\nmodule top #(parameter N = 8, parameter K = 0)(input [N-1:0] x, y,\n'
        "output [2*N-1:0] z); low #(N, K) u(x, y, z); endmodule\n"
    )
    (tmp_path / "low.v").write_text(
        "module low #(parameter N = 8, parameter K = 0)(input [N-1:0] x, y, output [2*N-1:0] z);\n"
        "assign z = (x * y) >> K << K; endmodule\n"
    )
    (tmp_path / "pipe.v").write_text(
        "module pipe(input c, e, r, input [1:0] mode, input [31:0] x, y, output reg [31:0] z, s);\n"
        "always @(posedge c) if (r) z <= 0; else if (e) z <= x + y + mode;\n"
        "always @* s = x; endmodule\n"
    )
    unit = core_from_verilog(
        [tmp_path / "top.v", tmp_path / "low.v"],
        op="mulf",
        ports={"a": "y", "b": "x"},
        includes=[tmp_path / "inc"],
        align="left",
        parameters={"N": 12, "K": 3, "LATENCY": 1},
    )
    pipe = core_from_verilog(
        [tmp_path / "pipe.v"],
        op="addf",
        ports={"clock": "c", "enable": "e", "reset": "r", "result": "z", "constant": {"mode": 2}},
        latency=1,
    )
    binding = Binding((Rule("mulf", unit.instance()), Rule("addf", pipe.instance(), "last")))
    binding.save(tmp_path / "binding.json")
    loaded = Binding.load(tmp_path / "binding.json")
    for before, after in zip(binding.rules, loaded.rules, strict=True):
        assert after.instance.content_hash == before.instance.content_hash
        assert after.instance.core.ports == before.instance.core.ports
    assert loaded.label == binding.label
    assert all(value in loaded.label for value in ("N=12", "K=3", "LATENCY=1"))
    # A damaged file names the line of the key.
    text = (tmp_path / "binding.json").read_text().replace('"left"', '"up"')
    (tmp_path / "binding.json").write_text(text)
    line = text[: text.index('"up"')].count("\n") + 1
    with pytest.raises(InputError, match=rf":{line}: bindings\[0\]\.align: must be 'right' or"):
        Binding.load(tmp_path / "binding.json")


def test_rules_are_about_a_format(tmp_path):
    from asnet_mlir.cores import core_from_verilog

    (tmp_path / "m.v").write_text(
        "module m(input [15:0] a, b, output [15:0] y); assign y = a; endmodule"
    )
    core = core_from_verilog([tmp_path / "m.v"], op="mulf", format="bf16")
    narrow, wide = Rule("mulf", core.instance()), Rule("mulf", load_core("fmul").instance())
    assert narrow.fits("mulf", "dense", "bf16") and not narrow.fits("mulf", "dense", "f32")
    both = Binding((narrow, wide))
    assert both.over(Binding((narrow,))) == both == Binding((narrow,)).over(Binding((wide,)))
    with pytest.raises(InputError, match="two rules for mulf"):
        Binding((narrow, Rule("mulf", core.instance())))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mulf", "write a binding as"),
        ("mulf=", "write a binding as"),
        ("mulf@=fmul", "write a binding as"),
        ("mulf=fmul_trunk", "did you mean 'fmul_trunc'"),
        ("mulf=fmul_trunc:P=23", "P = 23 is not in 0..22"),
        ("mulf=fmul_trunc:P=x", "not an integer"),
        ("mulf=fmul_trunc:Q=1", "unknown parameter 'Q'"),
        ("divf=fmul_trunc:P=1", "computes mulf"),
    ],
)
def test_bad_texts(text, message):
    with pytest.raises(InputError, match=message):
        Binding.parse([text])


def test_two_rules_for_one_place():
    with pytest.raises(InputError, match="two rules for mulf"):
        Binding.parse(["mulf=fmul", "mulf=fmul_trunc:P=3"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "object with the list 'bindings'"),
        ("{", "not JSON"),
        ('{"bindings": [{"op": "mulf"}]}', r"bindings\[0\]: lacks the key 'core'"),
        ('{"bindings": [], "version": 9}', "version 9"),
        ('{"bindings": [], "version": true}', "version True"),
        ('{"bindings": [], "extra": 1}', "unknown key 'extra'"),
        ('{"bindings": [{"op": "mulf", "core": "fmul", "Layer": "d"}]}', "did you mean 'layer'"),
        (
            '{"bindings": [{"op": "mulf", "core": 1}]}',
            r":1: bindings\[0\].core: must be a name, a path or a list",
        ),
        ('{"bindings": [{"op": "mulf", "core": "fmul", "layer": ""}]}', "layer: must be a text"),
        ('{"bindings": [{"op": "mulf", "core": "fmul", "parameters": 1}]}', "must be an object"),
        (
            '{"bindings": [{"op": "mulf", "core": "fmul_trunc:P=3", "parameters": {"P": 9}}]}',
            "belong into 'parameters'",
        ),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_bad_files(tmp_path, text, message):
    path = tmp_path / "binding.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        Binding.load(path)


def test_layers_win_and_the_rest_stays_exact(mlp):
    binding = Binding.parse(["mulf=fmul_trunc:P=1", "mulf@layer1=fmul_trunc:P=2"])
    text = bind(to_approx(mlp, 1), binding)
    lines = [line for line in text.splitlines() if "approx.mulf" in line]
    assert any("instance = 1" in line for line in lines)
    assert any("instance = 2" in line for line in lines)
    assert "approx.addf" in text and "approx.addf %" in text
    assert not any("instance" in line for line in text.splitlines() if "approx.addf" in line)


def test_hardware_binds_everything_and_shares_the_adder(mlp):
    binding = Binding.parse(["mulf=fmul_trunc:P=1"])
    text, instances = bind_for_hardware(to_approx(mlp, 1), binding)
    arithmetic = [
        line
        for line in text.splitlines()
        if any(f"approx.{op} " in line for op in ("addf", "subf", "mulf", "divf", "maxf", "minf"))
    ]
    assert arithmetic and all("instance" in line for line in arithmetic)
    assert sorted(i.core.name for i in instances.values()) == ["fadd", "fdiv", "fmax", "fmul_trunc"]
    assert "approx.subf" not in text


def test_a_bound_subtraction_keeps_its_core(mlp):
    text, instances = bind_for_hardware(to_approx(mlp, 1), Binding.parse(["subf=fsub"]))
    assert "approx.subf" in text
    names = sorted(i.core.name for i in instances.values())
    assert names == ["fadd", "fdiv", "fmax", "fmul", "fsub"]


def test_an_integer_core_of_the_library_is_a_unit_by_its_name() -> None:
    binding = Binding.parse(["addf=loa:N=28,K=10,LATENCY=2", "mulf=drum:N=8,K=4"])
    adder, multiplier = (rule.instance for rule in binding.rules)
    assert (adder.latency, adder.core.level, multiplier.core.level) == (2, *["significand"] * 2)
    assert binding.label == "addf=loa:N=28,K=10,LATENCY=2 mulf=drum:N=8,K=4"
    assert [rule.typed for rule in binding.rules] == binding.label.split()
    path = library_cores()["loa"].path
    for again in (
        Binding.from_json(json.loads(json.dumps(binding.to_json()))),
        Binding.parse(binding.label.split()),
        Binding.parse([f"addf={path}:N=28,K=10,LATENCY=2", "mulf=drum:N=8,K=4"]),
    ):
        assert [r.instance.content_hash for r in again.rules] == [
            r.instance.content_hash for r in binding.rules
        ]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("mulf=loa", "computes addi, not mulf; it is a significand unit for addf and subf"),
        ("divf=drum", "computes muli, not divf; it is a significand unit for mulf"),
        ("addf=fmul", "fmul: computes mulf, not addf$"),
        ("addf=loa:N=40", r"N in 2..32 \(loa has N=40\)"),
        ("addf=loa:M=3", "loa: unknown parameter 'M'; it has K, LATENCY"),
    ],
)
def test_what_is_no_unit_says_for_what_it_is_one(rule: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Binding.parse([rule])


def test_errors_of_a_binding_show_what_was_typed() -> None:
    path = library_cores()["fmul_trunc"].path
    for core in ("fmul_trunc:P=3", f"{path}:P=3"):
        with pytest.raises(InputError, match=re.escape(f"'mulf@conv1={core}': layer 'conv1' has")):
            asnet_mlir.compile(
                "classification_mnist", "bound", Binding.parse([f"mulf@conv1={core}"])
            )


def test_a_parameter_that_leaves_a_constant_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.v").write_text(
        "module m #(parameter K = 8) (input [23:0] a, b, output [47:0] p);\n"
        "wire [47:0] whole = a * b;\n"
        "assign p = whole >> K << K;\nendmodule\n"
    )
    assert parse_instance(f"{tmp_path}/m.v:K=40", op="mulf").core.level == "significand"
    with pytest.raises(InputError, match="no operand reaches p, which is constant, with K=60"):
        parse_instance(f"{tmp_path}/m.v:K=60", op="mulf")


_PLACES = st.lists(st.sampled_from(["a", "aa", "b 1", "é", "%41"]), max_size=3).map("/".join)


@settings(max_examples=50, deadline=None)
@given(st.lists(_PLACES, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_the_pass_decides_as_the_binding_does(layers: list[str], random) -> None:
    """Which rule wins is stated twice, in Python and in C++, and is the same."""
    kinds = {"mulf": "fmul_trunc", "divf": "fdiv_trunc"}
    sites = [(random.choice(list(kinds)), layer) for layer in layers]
    scopes = [layer[: random.randint(1, len(layer))] for layer in layers if layer]
    places = {(kind, layer or None) for kind, layer in sites}
    places |= {(kind, scope) for kind in kinds for scope in [None, *scopes]}
    places = sorted((p for p in places if random.random() < 0.6), key=str)
    rules = [
        Rule(kind, parse_instance(f"{kinds[kind]}:P={number}"), layer)
        for number, (kind, layer) in enumerate(places)
    ]
    # The pass refuses layers that do not occur.
    binding = Binding(tuple(r for r in rules if r.layer is None or any(r.fits(*s) for s in sites)))
    ops = "".join(
        f"  %{n} = approx.{kind} %a, %a "
        + (f'{{approx.layer = "{layer}"}} : f32\n' if layer else ": f32\n")
        for n, (kind, layer) in enumerate(sites)
    )
    text = bind(f"func.func @main(%a: f32) {{\n{ops}  return\n}}\n", binding)
    with module_from_text(text) as module:
        found = [op for op in walk(module.operation) if op.name in ("approx.mulf", "approx.divf")]
        for op, site in zip(found, sites, strict=True):
            rule, attributes = binding.rule_for(*site), op.attributes
            number = attributes["instance"].value if "instance" in attributes else None
            assert (number and binding.instances[number]) == (rule and rule.instance), site
