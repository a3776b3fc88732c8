# SPDX-License-Identifier: Apache-2.0
"""What is decided on the text of Verilog: testbenches, macros, files of memories; and messages."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from asnet_mlir.cores import core_from_verilog
from asnet_mlir.cores.models.derive import derive_models
from asnet_mlir.cores.sources.source import Source
from asnet_mlir.cores.sources.text import check_macros, only_below, without_testbenches
from asnet_mlir.errors import InputError, UnsupportedError

CORE = "module add(input [7:0] a, b, output [8:0] y); assign y = `W'd0 + a + b; endmodule\n"
BENCH = (
    "`define W 9\nmodule tb; // endmodule\n  reg [7:0] a, b; wire [8:0] y; add dut(a, b, y);\n"
    '`define V 1\n  initial begin $shm_open("endmodule"); #10 $finish; end\nendmodule\n'
)
OTHER = "module other(input [7:0] a, b, output y); initial $unheard_of; endmodule\n"


def sources(*texts: str) -> tuple[Source, ...]:
    return tuple(Source(Path(f"/s{k}.v"), text) for k, text in enumerate(texts))


def test_a_testbench_in_the_file_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "add.v"
    path.write_text(BENCH + CORE)
    core = core_from_verilog([path])
    assert core.module == "add"
    derive_models({"f": core.instance()})
    assert core.sources[0].text.count("\n") == (BENCH + CORE).count("\n")
    assert "`define V 1" in core.sources[0].text and "tb" not in core.sources[0].text


def test_nor_is_what_does_not_lie_below_the_top(tmp_path: Path) -> None:
    path = tmp_path / "add.v"
    path.write_text("`define W 9\n" + OTHER + CORE)
    with pytest.raises(InputError, match="unheard_of|syntax|several modules"):
        core_from_verilog([path])
    assert core_from_verilog([path], top="add").module == "add"


def test_which_modules_go() -> None:
    below = "module low(input a, output y); assign y = a; endmodule\n"
    middle = "module mid(input a, output y); low u(a, y); endmodule\n"
    empty = "module bench(); mid u(1'b0, ); endmodule\n"
    given = sources(below + OTHER, middle, empty)
    kept = only_below(given, "mid")
    assert [source.text.split() for source in kept] == [below.split(), middle.split(), []]
    assert only_below(given[:2], None) == given[:2]  # other or mid?
    assert without_testbenches(given, None)[:2] == given[:2]
    assert without_testbenches(given, None)[2].text.strip() == ""
    assert without_testbenches(given, "bench") == given
    assert without_testbenches(given[2:], None) == given[2:]


@pytest.mark.parametrize(
    ("defines", "use", "message"),
    [
        ("`define A `B +\n`define B `A\n", "`A", r"s0\.v:1: macro A contains itself"),
        (
            "`define M0 x\n" + "".join(f"`define M{k} `M{k - 1} `M{k - 1}\n" for k in range(1, 40)),
            "`M39",
            r"s0\.v: its macros stand for more than 64 MiB of text",
        ),
        ("`define D(x) x x\n", "`D(" * 30 + "+ b" + ")" * 30, "more than 64 MiB"),
        ("`define D(x, y) y x x\n`define E(z) `D(z z, `D(z, ))\n", "`E(" * 12 + "(b)" + ")" * 12,
         "more than 64 MiB"),
    ],
)  # fmt: skip
def test_macros_without_end(defines: str, use: str, message: str) -> None:
    start = time.process_time()
    with pytest.raises(InputError, match=message):
        check_macros(sources(defines + f"module m; assign y = {use}; endmodule\n"))
    assert time.process_time() - start < 2


def test_macros_that_are_none() -> None:
    check_macros(
        sources(
            "`define A `B\n`ifdef X\n`define B `A\n`else\n`define B 1\n`endif\n"  # two texts for B
            "`define MAX(a, b) ((a) > (b) ? (a) : (b))\n`define ONE (1)\n"
            "// `define C `C\n"
            "module m; assign y = `MAX(`MAX(a, {b, c}), `ONE) + `UNKNOWN(a); endmodule\n"
        )
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "primitive p(o, a, b); output o; input a, b; table 0 ? : 0; 1 1 : 1; 1 0 : 0; endtable "
            "endprimitive\nmodule m(input a, b, output y); p u(y, a, b); endmodule\n",
            r"m\.v:2: user-defined primitives \(primitive .. endprimitive\) are not supported; wri",
        ),
        (
            "module m(input [7:0] \\1 , b, output [7:0] y); assign y = \\1 + b; endmodule\n",
            r"m\.v:1: the name \\1 begins with neither a letter nor",
        ),
        (
            "module m(input [7:0] a, b, output [7:0] y); bufif1 t[7:0](y, a, b); endmodule\n",
            r"m\.v:1: m: drives z",
        ),
        (
            "module m(input [7:0] a, b, output [7:0] y); reg [7:0] r[0:255];\n"
            'initial $readmemh("/etc/passwd", r); assign y = r[a] ^ b; endmodule\n',
            r"m\.v:2: /etc/passwd:1: '\S*' is no hexadecimal number",
        ),
    ],
)
def test_messages(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "m.v"
    path.write_text(text)
    with pytest.raises((InputError, UnsupportedError), match=message):
        core_from_verilog([path])


def test_interface_ports(tmp_path: Path) -> None:
    path = tmp_path / "m.sv"
    path.write_text(
        "interface bus; logic [7:0] x, y; logic [15:0] r; modport m(input x, y, output r);\n"
        "endinterface\nmodule m(bus.m p); assign p.r = p.x * p.y; endmodule\n"
    )
    with pytest.raises(UnsupportedError, match=r"m\.sv:3: port p of m is an interface; only plain"):
        core_from_verilog([path])


def test_arrays_of_gates_in_verilog_2005(tmp_path: Path) -> None:
    # Yosys' own reader has no arrays of gates, and to slang `bit` is a keyword but in the old one.
    path = tmp_path / "m.v"
    path.write_text(
        "module m #(parameter W = 8)(input [W-1:0] a, b, output [W-1:0] y);\n"
        "  wire [W-1:0] bit; and g[W-1:0](bit, a, b, a[0]); xor #1 x[0:W-1](y, a, bit);\n"
        "endmodule\n"
    )
    core = core_from_verilog([path])
    assert [p.name for p in core.parameters] == ["W"]
    derive_models({"f": core.instance({"W": 4})})
