# SPDX-License-Identifier: Apache-2.0
"""Sources of several cores beside each other."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from asnet_mlir.binding import Binding
from asnet_mlir.cores import Instance, core_from_verilog, library_cores, load_core
from asnet_mlir.cores.sources.source import Source
from asnet_mlir.errors import UnsupportedError
from asnet_mlir.frontends import load_model
from asnet_mlir.hardware import generate, simulate
from asnet_mlir.hardware.bundle.core_files import core_files
from asnet_mlir.hardware.bundle.systemverilog import KEYWORDS, directives, identifier, merge_sources


def top(name: str, helper: str = "helper") -> str:
    return f"""// {name} uses {helper}
module {name}(input logic [31:0] a_i, output logic [31:0] result_o);
  {helper} u_{helper} (.{helper}(a_i), .result_o(result_o)); /* {helper} */
endmodule
"""


def helper(value: int) -> str:
    return (
        "module helper(input logic [31:0] helper, output logic [31:0] result_o);\n"
        f'  initial $display("helper {value}");\n  assign result_o = {value};\nendmodule\n'
    )


def modules(text: str) -> list[str]:
    return re.findall(r"^module (\w+)", text, re.MULTILINE)


def test_equal_sources_are_kept_once() -> None:
    merged = merge_sources(
        {
            1: ("one", [("one.sv", top("one")), ("helper.sv", helper(1))]),
            2: ("two", [("two.sv", top("two")), ("helper_copy.sv", helper(1))]),
            3: ("one", [("one.sv", top("one")), ("helper.sv", helper(1))]),
        }
    )
    assert merged.modules == {1: "one", 2: "two", 3: "one"}
    defined = [name for _, text in merged.files for name in modules(text)]
    assert sorted(defined) == ["helper", "one", "two"]


def test_helpers_of_one_name_and_two_contents_are_told_apart() -> None:
    cores = {
        1: ("core", [("core.sv", top("core")), ("helper.sv", helper(1))]),
        2: ("core", [("core.sv", top("core")), ("helper.sv", helper(2))]),
    }
    merged = merge_sources(cores)
    defined = [name for _, text in merged.files for name in modules(text)]
    assert len(defined) == len(set(defined)) == 4
    assert len({name for name, _ in merged.files}) == 4
    # The core that uses a renamed helper differs as well, though its text was the same.
    assert merged.modules[1] != merged.modules[2]
    for key, value in ((1, 1), (2, 2)):
        text = next(text for _, text in merged.files if f"module {merged.modules[key]}(" in text)
        # A port of the module's name is renamed with it, at both ends.
        used = re.search(r"^  (helper_\w+) u_helper \(\.(\w+)\(", text, re.MULTILINE)
        assert used, text
        body = next(text for _, text in merged.files if f"module {used[1]}(" in text)
        assert used[2] == used[1]
        assert f"[31:0] {used[1]}," in body
        assert f"assign result_o = {value};" in body
        assert f'"helper {value}"' in body  # strings and comments are not renamed
        assert "/* helper */" in text
    assert merge_sources(cores) == merged


def test_names_of_the_machine_are_reserved() -> None:
    merged = merge_sources(
        {1: ("asnet_ram", [("ram.sv", top("asnet_ram", "other"))])}, ["asnet_ram"]
    )
    assert merged.modules[1].startswith("asnet_ram_")
    assert modules(merged.files[0][1]) == [merged.modules[1]]


def test_a_prefix_is_on_everything_that_others_could_have() -> None:
    """Modules, packages, what is declared outside of them; ports of these names are said."""
    text = (
        "typedef enum logic [1:0] {IDLE, BUSY = 2'd2} state_t; localparam int A = 1, B = A;\n"
        "function automatic [3:0] twice(input [3:0] a); return 4'(a * 2); endfunction : twice\n"
        "typedef struct packed {logic [1:0] f; state_t s;} pair_t;\n"
        "package p; localparam int C = 1; endpackage\n"
        "module m (input state_t h, output logic [3:0] o);\n"
        "  pair_t r; h u_h (.o(o)); assign o = twice(p::C + A + B) + BUSY; // m of p\nendmodule\n"
        "module h (output logic [3:0] o); assign o = 0; endmodule\n"
    )
    merged = merge_sources({3: ("m", [("m.sv", text)])}, ["x_h"], "x_")
    ((name, found),) = merged.files
    # The machine has an x_h; who uses this one changes too.
    assert name == f"{merged.modules[3]}.sv" and name.startswith("x_m_")
    assert merged.renamed[3].keys() == {
        "m", "h", "p", "state_t", "IDLE", "BUSY", "A", "B", "twice", "pair_t",
    }  # fmt: skip
    assert merged.renamed[3]["h"].startswith("x_h_")
    for piece in ("enum logic [1:0] {x_IDLE, x_BUSY = 2'd2} x_state_t;", "int x_A = 1, x_B = x_A;"):
        assert piece in found
    assert re.search(r"assign o = x_twice\(x_p\w*::C \+ x_A \+ x_B\) \+ x_BUSY; // m of p", found)
    assert "endfunction : x_twice" in found and "logic [1:0] f; x_state_t s;} x_pair_t;" in found


def core_of(tmp_path: Path, name: str, *texts: str, **others: str) -> Instance:
    """Return a core made of Verilog files in a folder of its own."""
    folder = tmp_path / name
    folder.mkdir()
    for file_name, text in others.items():
        (folder / file_name.replace("_dot_", ".")).write_text(text)
    files = []
    for number, text in enumerate(texts):
        files.append(folder / f"{name}{number or ''}.v")
        files[-1].write_text(text)
    return core_from_verilog(files, top=name, op="addf").instance()


def user_core(name: str, value: str, before: str = "") -> str:
    return (
        f"{before}module {name}(input [31:0] x, input [31:0] y, output [31:0] z);\n"
        f"  assign z = {value}; // not expanded: `KK\nendmodule\n"
    )


def test_macros_end_with_their_core(tmp_path: Path, mlp: object) -> None:
    guard = "`ifndef KK\n`define KK {}\n`endif\n"
    (tmp_path / "g1.v").write_text(user_core("g1", "x ^ `KK", guard.format("32'h1")))
    (tmp_path / "g2.v").write_text(user_core("g2", "y ^ `KK", guard.format("32'h7000000")))
    binding = Binding.parse([f"mulf={tmp_path / 'g1.v'}", f"addf={tmp_path / 'g2.v'}"])
    network = load_model(mlp)
    generate(network, binding, output=tmp_path / "b")
    for path in (tmp_path / "b" / "cores").iterdir():
        assert not directives(path.read_text()), path
    x = np.random.default_rng(1).standard_normal((2, *network.input_shape), np.float32)
    np.savez(tmp_path / "d.npz", x=x, y=np.zeros(2, int))
    assert simulate(tmp_path / "b", str(tmp_path / "d.npz")).mismatches == 0


def test_a_core_with_directives_becomes_one_file(tmp_path: Path) -> None:
    instance = core_of(
        tmp_path,
        "c",
        '`timescale 1ns/1ps\n`include "k.vh"\n`include "k.vh"\n`define fadd(x) (x + 1)\n',
        user_core("`NAME", "`fadd(x) ^ `KK"),
        user_core("fadd", "x"),
        k_dot_vh="`ifndef K\n`define K\n`define NAME c\n`define KK 32'h1\n`endif\n",
    )
    ((name, text),) = core_files(instance).sources
    assert name == "c.v"
    assert text.count("module c(") == 1
    assert "(x + 1) ^ 32'h1; // not expanded: `KK" in text
    # A module of the macro's name is renamed, and nothing else is.
    merged = merge_sources({1: ("c", [(name, text)])}, ["fadd"])
    ((_, renamed),) = merged.files
    assert len(modules(renamed)) == 2 and "(x + 1) ^ 32'h1;" in renamed
    assert modules(renamed)[1] == merged.renamed[1]["fadd"]


def test_sources_without_directives_are_verbatim(tmp_path: Path) -> None:
    text = user_core("v", "x", "`timescale 1ns/1ps\n`default_nettype none\n")
    text = text.replace("input", "input wire").replace("output", "output wire")
    assert core_files(core_of(tmp_path, "v", text)).sources == (("v.v", text),)
    # Its default net type does not reach the next file.
    ((_, kept),) = merge_sources({1: ("v", [("v.v", text)])}).files
    assert kept == text + "`default_nettype wire\n"
    for name in library_cores():
        instance = library_cores()[name].instance()
        assert [text for _, text in core_files(instance).sources] == [
            source.text for source in instance.core.sources
        ]


def test_data_files_that_are_not_there_are_refused(tmp_path: Path) -> None:
    table = '  reg [31:0] t [0:1];\n  initial `READ("m.hex", t);\n  assign z = t[x[0]];\n'
    text = user_core("m", "0", "`define READ $readmemh\n").replace("  assign z = 0;", table)
    path = tmp_path / "m.v"
    path.write_text(text)
    core = dataclasses.replace(
        load_core("fadd"), name="m", sources=(Source(path, text),), in_library=False
    )
    with pytest.raises(UnsupportedError, match=r'm\.v: m reads a memory from "m\.hex", which'):
        core_files(core.instance())


def test_names_that_are_keywords() -> None:
    assert len(KEYWORDS) == 248
    for name in ("real", "table", "nettype"):
        assert identifier(name) == f"{name}_network"
    names = ["my-net", "3d", "Module", "_x", "", "größe", "grüße", "层", "n" * 61, "n" * 62]
    made = [identifier(name) for name in names]
    assert made[:5] == ["my_net", "network_3d", "Module_network", "network__x", "network_"]
    assert all(re.fullmatch(r"[A-Za-z]\w{,59}", text, re.ASCII) for text in made)
    assert len(set(made)) == len(names) and made[5].startswith("gr__e_")


def test_names_that_differ_by_case_only() -> None:
    """Modules of cores, files, and what the machine takes for itself."""
    merged = merge_sources(
        {
            1: ("Mul", [("Mul.v", "module Mul(input a); endmodule\n")]),
            2: ("mul", [("mul.v", "module mul(input b); endmodule\n")]),
            3: ("Asnet_Rom", [("r" * 200 + ".v", "module Asnet_Rom(input c); endmodule\n")]),
        },
        reserved=("asnet_rom",),
    )
    for names in (merged.modules.values(), [name for name, _ in merged.files]):
        assert len({name.lower() for name in [*names, "asnet_rom"]}) == 4
    assert all(len(name) < 150 for name, _ in merged.files)
    for module, (_, text) in zip(merged.modules.values(), merged.files, strict=True):
        assert f"module {module}(" in text
    with pytest.raises(UnsupportedError, match=r"c\.v: the module 'iff' is named like a keyword"):
        merge_sources({1: ("c", [("c.v", top("c", "x") + user_core("iff", "x"))])})


def test_escaped_module_names_are_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"e\.v: the module '\\e1' has an escaped name"):
        merge_sources({1: ("e1", [("e.v", user_core("\\e1 ", "x"))])})


def test_only_whole_identifiers_are_renamed() -> None:
    text = user_core("h1", "32'h1 ^ $h1(x) ^ 4 'h 1") + user_core("u", "z0").replace(
        "assign z = z0;", "\\h1 inner(x, y, z);"
    )
    merged = merge_sources({1: ("u", [("u.v", text)])}, ["h1"])
    ((_, renamed),) = merged.files
    assert "z = 32'h1 ^ $h1(x) ^ 4 'h 1;" in renamed
    assert f"  {merged.renamed[1]['h1']} inner(x, y, z);" in renamed


@pytest.mark.parametrize(
    ("declaration", "name"),
    [
        ("function automatic [31:0] f(input [31:0] x); f = x; endfunction", "f"),
        ("typedef struct packed {logic [3:0] g; logic h;} pair_t;", "pair_t"),
        ("localparam int W = 8;", "W"),
        ("(* keep *) parameter [3:0] W = 8, V = 9;", "W"),
    ],
)
def test_declarations_outside_of_modules(declaration: str, name: str) -> None:
    fine = "`timescale 1 ns/1ps package p; localparam W = 1; endpackage : p\nimport p::*; // f\n"
    one = ("one", [("one.sv", fine + user_core("one", "x", declaration + "\n"))])
    two = ("two", [("two.sv", user_core("two", "x", declaration + "\n"))])
    assert len(merge_sources({1: one, 2: one}).files) == 1
    match = f"two.sv: declares '{name}' outside of modules and packages"
    with pytest.raises(UnsupportedError, match=match):
        merge_sources({1: one, 2: two})


def test_imports_outside_of_modules() -> None:
    def core(name: str, package: str, value: int) -> tuple[str, list[tuple[str, str]]]:
        text = f"package {package}; localparam W = {value}; endpackage\n"
        use = user_core(name, "x ^ W", f"import {package}::*;\n")
        return name, [(f"{package}.sv", text), (f"{name}.sv", use)]

    # One package in two cores is one file.
    assert len(merge_sources({1: core("one", "p", 1), 2: core("two", "p", 1)}).files) == 3
    for package in ("p", "q"):
        with pytest.raises(
            UnsupportedError, match=r"two\.sv: imports '\w+::\*' outside of modules"
        ):
            merge_sources({1: core("one", "p", 1), 2: core("two", package, 2)})


def test_files_stay_in_the_order_of_their_core() -> None:
    files = [
        ("z.sv", "package z; localparam int A = 1; endpackage\n"),
        ("b.sv", "package b; localparam int B = z::A; endpackage\n"),
        ("a.sv", user_core("a", "b::B")),
    ]
    merged = merge_sources({1: ("a", files)})
    assert merged.files == tuple(files)
