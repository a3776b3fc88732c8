# SPDX-License-Identifier: Apache-2.0
"""Import of Verilog as people have it: languages, files, ports, pipelines, units, and bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asnet_mlir.cores import Core, core_from_verilog, load_core, parse_instance
from asnet_mlir.cores.models.derive import derive_models
from asnet_mlir.cores.reading.description import describe, instance_from_description
from asnet_mlir.cores.simulation.latency import with_latency
from asnet_mlir.cores.verilog import yosys
from asnet_mlir.cores.verilog.elaborate import elaborate
from asnet_mlir.cores.verilog.netlist import Netlist
from asnet_mlir.cores.verilog.structural_latency import check_systemverilog, measure_latency
from asnet_mlir.cores.verilog.yosys import Job, run_jobs
from asnet_mlir.errors import AsnetError, InputError, ToolError, UnsupportedError

EXAMPLES = Path(__file__).parents[2] / "examples" / "cores"


def write(folder: Path, text: str, name: str = "m.v") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def read(folder: Path, text: str, name: str = "m.v", **options: Any) -> Core:
    return core_from_verilog([write(folder, text, name)], **options)


# --- languages and files ---------------------------------------------------------------------

PACKAGE = """package formats;
  typedef struct packed { logic sign; logic [2:0] exponent; logic [3:0] fraction; } small_t;
  localparam int Width = 8;
endpackage
"""
USER = """module user
  import formats::*;
#(parameter int unsigned N = formats::Width, parameter logic signed [3:0] S = -3,
  parameter string Name = "abc", parameter real R = 1.5, localparam int L = N + 1,
  parameter type T = logic [7:0], parameter Q = 5)
 (input logic clk_i, input logic rst_ni, input small_t z_i, input logic signed [N-1:0] b_i,
  output logic [N-1:0] y_o);
  small_t seen;
  always_comb begin seen = z_i; seen.fraction = z_i.fraction ^ b_i[3:0]; end
  always_ff @(posedge clk_i or negedge rst_ni) if (!rst_ni) y_o <= '0; else y_o <= N'(seen);
endmodule
"""


def test_packages_and_structs_are_read_by_slang(tmp_path: Path) -> None:
    files = [write(tmp_path, USER, "user.sv"), write(tmp_path, PACKAGE, "package.sv")]
    core = core_from_verilog(files)
    assert [source.path.name for source in core.sources] == ["package.sv", "user.sv"]
    assert core.path == files[0].resolve()
    ports = core.ports
    assert (ports.clock, ports.reset, ports.reset_active_low) == ("clk_i", "rst_ni", True)
    # Slang sorts ports by name; what counts is where they are declared.
    assert (ports.a, ports.b, ports.result) == ("z_i", "b_i", "y_o")
    found = elaborate([core.instance()])[0]
    assert isinstance(found, Netlist) and found.reader == "slang"
    assert core.instance().latency == 1
    assert not core.signed  # b is, a is not
    # Integer parameters are offered, with their defaults; texts, reals, types and constants not.
    defaults = {parameter.name: parameter.default for parameter in core.parameters}
    assert defaults == {"N": 8, "S": -3, "Q": 5}
    assert "func.func" in derive_models({"f": core.instance()})["f"].text


def test_yosys_reads_what_it_can(tmp_path: Path) -> None:
    core = read(
        tmp_path,
        'module m #(parameter N = 4, parameter T = "x", parameter real R = 2.5,\n'
        "parameter signed [7:0] S = -2, parameter integer unsigned U = 32'hFFFF_FFFE)\n"
        "(input signed [N-1:0] p, q, output [2*N:0] r);\n"
        "localparam L = 3; assign r = p * q + L; endmodule\n",
    )
    assert {p.name: p.default for p in core.parameters} == {"N": 4, "S": 254, "U": -2} or {
        p.name: p.default for p in core.parameters
    } == {"N": 4, "S": -2, "U": -2}
    assert core.signed and core.level == "integer" and core.op is None
    found = elaborate([core.instance({"N": 6})])[0]
    assert isinstance(found, Netlist) and found.reader == "yosys"
    assert len(found.module["ports"]["r"]["bits"]) == 13


@pytest.mark.parametrize(
    ("name", "text"),
    [
        # Names that are keywords of SystemVerilog, in Verilog-2005.
        ("m.v", "module m(input [7:0] logic, bit, output [7:0] do_); wire int = logic[0];\n"
                "assign do_ = logic & bit; endmodule"),
        # SystemVerilog in a file that is not called so.
        ("m.v", "module m(input logic [7:0] a, b, output logic [7:0] y);\n"
                "always_comb y = a & b; endmodule"),
        ("m.sv", "module m(input logic [7:0] a, A, output logic [7:0] y);\n"
                 "always_comb y = a & A; endmodule"),
    ],
)  # fmt: skip
def test_names_that_are_keywords_or_differ_in_case(tmp_path: Path, name: str, text: str) -> None:
    core = read(tmp_path, text, name)
    assert core.instance().latency == 0
    assert core.ports.a != core.ports.b


def test_keywords_as_names_are_refused_where_systemverilog_is_written(tmp_path: Path) -> None:
    core = read(tmp_path, "module m(input a, bit, output y); assign y = a & bit; endmodule")
    with pytest.raises(UnsupportedError, match=r"Verilog-2005 but no SystemVerilog.*rename"):
        check_systemverilog(core.instance())
    check_systemverilog(load_core("fmul").instance())


def test_include_folders_spaces_and_byte_order_marks(tmp_path: Path) -> None:
    write(tmp_path, "`define OP &\n", "head ers/op.vh")
    text = '// naïve – «and»\n`include "op.vh"\nmodule m(input [3:0] a, b, output [3:0] y);\n'
    text += "assign y = a `OP b;\nendmodule\n"
    path = tmp_path / "a folder" / "the core.v"
    path.parent.mkdir()
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    with pytest.raises(InputError, match=r"the core\.v:2: 'op\.vh': No such file"):
        core_from_verilog([path])
    core = core_from_verilog([path], includes=[tmp_path / "head ers"])
    before = core.instance().content_hash
    write(tmp_path, "`define OP |\n", "head ers/op.vh")
    again = core_from_verilog([path], includes=[tmp_path / "head ers"])
    assert again.instance().content_hash != before
    path.write_bytes(text.encode("latin-1", errors="replace"))
    assert core_from_verilog([path], includes=[tmp_path / "head ers"]).module == "m"


# --- ports -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("input [7:0] q, p, output [3:0] r", {"a": "q", "b": "p", "result": "r"}),
        ("output r, input q, input [9:0] p", {"a": "q", "b": "p", "result": "r"}),
        ("input clk, input [7:0] x, y, output [7:0] z", {"clock": "clk", "a": "x", "b": "y"}),
        ("input CLK_I, EN_I, RST_N, input [7:0] x, y, output [7:0] z",
         {"clock": "CLK_I", "enable": "EN_I", "reset": "RST_N", "reset_active": "low"}),
        ("input i_clock, i_ce, i_arst, input [7:0] x, y, output [7:0] z",
         {"clock": "i_clock", "enable": "i_ce", "reset": "i_arst"}),
        ("input clk, nrst, clk_en, input [7:0] x, y, output [7:0] z",
         {"clock": "clk", "enable": "clk_en", "reset": "nrst", "reset_active": "low"}),
        ("input clk, aresetn, input [7:0] x, y, output [7:0] z",
         {"reset": "aresetn", "reset_active": "low"}),
    ],
)  # fmt: skip
def test_ports_by_order_and_usual_names(
    tmp_path: Path, header: str, expected: dict[str, str]
) -> None:
    names = [part.split()[-1].strip() for part in header.replace("]", "] ").split(",")]
    operands = [n for n in names if n in ("q", "p", "x", "y")]
    result = "r" if "r" in names else "z"
    body = f"assign {result} = {operands[0]} ^ {operands[1]};"
    found = read(tmp_path, f"module m({header}); {body} endmodule").ports.to_json()
    assert expected.items() <= found.items()


@pytest.mark.parametrize(
    ("header", "ports", "message"),
    [
        ("input clk, en, ce, input a, b, output y", {}, "en, ce could each be the enable"),
        ("input clk, rst, rst_n, input a, b, output y", {}, "could each be the reset"),
        ("input mode, input a, b, output y", {}, "3 inputs could be a and b: mode, a, b"),
        ("input mode, input a, b, output y", {"a": "a", "b": "b"}, "input mode has no role"),
        ("input [1:0] mode, input a, b, output y", {"constant.mode": 4},
         "4 does not fit into the 2 bits of mode"),
        ("input a, b, output y", {"a": "b", "b": "b"}, "one port is named for two roles"),
        ("input a, b, c, output y", {"clok": "c"}, "unknown port role 'clok'; one of a, b, result"),
        ("input a, b, c, output y", {"start": "c"}, "a handshake needs the port done too"),
        ("input a, b, c, output y", {"reset": "c", "reset_active": "no"}, "low or high"),
        ("input a, b, output y", {"reset_active": "low"}, "but no port for the reset"),
        ("input a, b, input [1:0] c, output y", {"enable": "c"}, "has 2 bits, a enable has 1"),
        ("input a, b, output y, z", {}, "2 outputs could be the result"),
    ],
)  # fmt: skip
def test_ports_that_are_in_doubt(
    tmp_path: Path, header: str, ports: dict[str, Any], message: str
) -> None:
    text = f"module m({header}); assign y = a ^ b; endmodule"
    with pytest.raises(InputError) as caught:
        read(tmp_path, text, ports=ports)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_names_win_over_usual_names(tmp_path: Path) -> None:
    """One-bit operands that are called like an enable and a reset."""
    text = (
        "module m(input clk, en, rst, output reg q, output spare);\n"
        "assign spare = 0; always @(posedge clk) q <= en & rst; endmodule"
    )
    core = read(tmp_path, text, ports={"a": "rst", "b": "en", "result": "q"})
    assert (core.ports.a, core.ports.b, core.ports.enable, core.ports.reset) == (
        "rst",
        "en",
        None,
        None,
    )
    assert core.instance().latency == 1


# --- pipelines -------------------------------------------------------------------------------


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_depth_of_any_pipeline(tmp_path: Path, data: st.DataObject) -> None:
    """Stages each with its own kind of reset and enable, in a module around another."""
    stages = data.draw(
        st.lists(
            st.tuples(st.sampled_from(["none", "sync", "async"]), st.booleans(), st.booleans()),
            min_size=1,
            max_size=4,
        )
    )
    low = data.draw(st.booleans())
    reset, active = ("rst_n", "!rst_n") if low else ("rst", "rst")
    lines = ["wire [7:0] s0 = a + b;"]
    for index, (kind, enabled, initial) in enumerate(stages):
        edge = f" or {'negedge' if low else 'posedge'} {reset}" if kind == "async" else ""
        load = f"{'if (en) ' if enabled else ''}s{index + 1} <= s{index} ^ 8'd{index * 7};"
        guard = "" if kind == "none" else f"if ({active}) s{index + 1} <= 8'd{index}; else "
        start = " = 8'd9" if initial else ""
        lines.append(f"reg [7:0] s{index + 1}{start};")
        lines.append(f"always @(posedge clk{edge}) {guard}{load}")
    text = (
        f"module inner(input clk, {reset}, en, input [7:0] a, b, output [7:0] y);\n"
        + "\n".join(lines)
        + f"\nassign y = s{len(stages)};\nendmodule\n"
        + f"module outer(input clk, {reset}, en, input [7:0] a, b, output [7:0] y);\n"
        + f"inner u(.clk(clk), .{reset}({reset}), .en(en), .a(a), .b(b), .y(y)); endmodule\n"
    )
    path = write(tmp_path, text)
    core = core_from_verilog([path])
    assert core.latency_cycles == len(stages)
    assert core.latency_is_measured and core.ports.tied == {"en": 1, reset: int(low)}
    with pytest.raises(InputError, match=f"its structure has {len(stages)}"):
        core_from_verilog([path], latency=len(stages) + 1)


def test_a_depth_that_follows_a_parameter_is_measured_for_each(tmp_path: Path) -> None:
    core = read(
        tmp_path,
        "module m #(parameter D = 1)(input clk, input [7:0] a, b, output [7:0] y);\n"
        "reg [7:0] r[0:D]; integer i; always @* r[0] = a & b;\n"
        "generate genvar g; for (g = 0; g < D; g = g + 1) begin: s\n"
        "always @(posedge clk) r[g+1] <= r[g]; end endgenerate\nassign y = r[D]; endmodule",
        name="m.sv",
    )
    instances = [core.instance({"D": depth}) for depth in (0, 1, 3)]
    assert [instance.known_latency for instance in instances] == [None, 1, None]
    with pytest.raises(AsnetError, match="D=0: its latency has not been measured"):
        _ = instances[0].latency
    assert [with_latency(instance).latency for instance in instances] == [0, 1, 3]
    declared = core_from_verilog([tmp_path / "m.sv"], latency="D")
    assert declared.instance({"D": 2}).latency == 2
    with pytest.raises(InputError, match=r"declares a latency of 0 cycles.*structure has 1"):
        core_from_verilog([tmp_path / "m.sv"], latency=0)


def test_what_is_called_valid_runs_along_a_pipeline(tmp_path: Path) -> None:
    core = read(
        tmp_path,
        "module m(input clk, rst, valid_i, input [7:0] a, b, output reg valid_o,\n"
        "output reg [7:0] y); always @(posedge clk) if (rst) valid_o <= 0; else begin\n"
        "valid_o <= valid_i; if (valid_i) y <= a * b; end endmodule",
    )
    assert core.ports.tied == {"rst": 0, "valid_i": 1} and not core.is_stateful
    assert core.instance().latency == 1


def test_a_reset_of_the_other_polarity_is_noticed(tmp_path: Path) -> None:
    text = (
        "module m(input clk, reset, input [7:0] a, b, output reg [7:0] y);\n"
        "always @(posedge clk or negedge reset) if (!reset) y <= 0; else y <= a * b; endmodule"
    )
    with pytest.raises(InputError, match="no operand reaches y with reset at 0; is a port active"):
        read(tmp_path, text)
    assert read(tmp_path, text, ports={"reset_active": "low", "reset": "reset"}).latency_cycles == 1


DIVIDER = """module m(input clk, rst, input {start}, input [7:0] a, b, output reg {done},
  output reg [7:0] y);
  reg [7:0] rest; reg busy;
  always @(posedge clk) if (rst) begin busy <= 0; {done} <= 0; end else begin
    {done} <= 0;
    if ({start}) begin busy <= 1; rest <= a; y <= 0; end
    else if (busy) begin
      if (rest < b || b == 0) begin busy <= 0; {done} <= 1; end
      else begin rest <= rest - b; y <= y + 1; end
    end
  end
endmodule
"""


@pytest.mark.parametrize(("start", "done"), [("start_i", "done_o"), ("in_valid", "out_valid")])
def test_handshakes_by_name(tmp_path: Path, start: str, done: str) -> None:
    path = write(tmp_path, DIVIDER.format(start=start, done=done))
    core = core_from_verilog([path], latency=257)
    assert (core.ports.start, core.ports.done, core.ports.reset) == (start, done, "rst")
    assert core.is_stateful and core.has_handshake and core.instance().latency == 257


def test_iterative_cores_are_measured_by_simulation() -> None:
    """Through both kinds; the simulation itself has tests of its own."""
    divider = core_from_verilog([EXAMPLES / "div16_restoring.v"])
    assert divider.has_handshake and divider.latency_is_measured
    assert divider.instance().latency == 17
    serial = core_from_verilog([EXAMPLES / "mul16_serial.v"], interval=4)
    assert serial.is_stateful and not serial.has_handshake
    assert (serial.instance().latency, serial.instance().interval) == (4, 4)


def test_feedback_needs_to_be_explained(tmp_path: Path) -> None:
    text = "module m(input clk, input [7:0] a, b, output reg [7:0] y);\n"
    text += "always @(posedge clk) y <= y + a + b; endmodule"
    with pytest.raises(UnsupportedError) as caught:
        read(tmp_path, text)
    assert "m.v:2: m is not a feed-forward pipeline: a register feeds itself" in str(caught.value)
    assert "start and done ports, or give its initiation interval" in str(caught.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("reg s; always @* if (a[0]) s = b[0]; assign y = {8{s}}; assign done = start;",
         "a latch is inferred"),
        ("wire w; assign w = ~w | a[0]; assign y = {8{w}}; assign done = start;",
         "a combinational loop passes here"),
        ("wire w; reg r; always @(posedge clk) r <= w; assign y = {8{r}}; assign done = start;",
         "net w is used but never driven"),
        ("assign y = a; assign done = 1'bx;", "bit 0 of done is undefined (x)"),
        ("reg r; always @(negedge clk) r <= r ^ a[0]; assign y = {8{r}}; assign done = start;",
         "falling edge"),
    ],
)  # fmt: skip
def test_iterative_cores_are_checked_too(tmp_path: Path, body: str, message: str) -> None:
    text = "module m(input clk, start, input [7:0] a, b, output [7:0] y, output done);\n"
    with pytest.raises(InputError) as caught:
        read(tmp_path, f"{text}{body}\nendmodule", ports={"clock": "clk"}, latency=3)
    assert message in str(caught.value)


# --- significand cores -----------------------------------------------------------------------

UNIT = "module m #(parameter N = {n})(input [N-1:0] a, b, output [{w}-1:0] y); assign y = {e}; "


@pytest.mark.parametrize(
    ("n", "width", "op", "options", "level"),
    [
        (16, "2*N", "mulf", {}, "significand"),
        (32, "2*N", "mulf", {"align": "left"}, "significand"),
        (32, "N", "mulf", {}, "float"),
        (16, "N", "mulf", {"format": "bf16"}, "float"),
        (8, "2*N", "mulf", {"format": "bf16"}, "significand"),
        (27, "N+1", "addf", {}, "significand"),
        (27, "N", "subf", {}, "significand"),
        (32, "N+1", "addf", {}, "significand"),
        (16, "2*N", "muli", {}, "integer"),
        (16, "2*N", None, {}, "integer"),
    ],
)
def test_levels_follow_the_widths(
    tmp_path: Path, n: int, width: str, op: str | None, options: dict, level: str
) -> None:
    text = UNIT.format(n=n, w=width, e="a * b" if op != "addf" else "a + b") + "endmodule"
    core = read(tmp_path, text, op=op, **options)
    assert (core.level, core.op) == (level, op)
    assert core.is_float == (op in ("mulf", "addf", "subf"))
    if core.unit:
        assert core.unit.align == options.get("align", "right")
        assert core.unit.core.sources[0].path == (tmp_path / "m.v").resolve()


@pytest.mark.parametrize(
    ("n", "width", "op", "options", "message"),
    [
        (
            16,
            "2*N",
            "divf",
            {},
            "no significand unit computes divf; an integer circuit alone is described by --op divi",
        ),
        (16, "N", "mulf", {}, "port a has 16 bits, f32 needs 32"),
        (
            16,
            "N",
            "mulf",
            {},
            "these are the widths of --format bf16 or f16; a significand unit "
            "for mulf is unsigned and has N x N -> 2N bits, not a[16], b[16], y[16]; an integer "
            "circuit alone is described by --op muli",
        ),
        (24, "2*N", "mulf", {"signed": True}, "declared signed (--no-signed if they are not)"),
        (16, "2*N", "mulf", {"level": "float"}, "port a has 16 bits, f32 needs 32"),
        (32, "N", "mulf", {"level": "integer"}, "an integer core can't compute 'mulf'"),
        (32, "N", "muli", {"level": "float"}, "a float core needs a floating-point operation"),
        (32, "N", "mulf", {"align": "up"}, "align is 'up'; one of right, left"),
        (32, "N", "mulf", {"format": "f64"}, "format is 'f64'; one of f32, bf16, f16"),
        (32, "N", "mulf", {"interval": 0}, "the initiation interval is 0"),
        (32, "N", "mulf", {"latency": -1}, "the latency is -1"),
        (32, "N", "mulf", {"latency": "D"}, "latency is given by 'D', which is no parameter"),
        (32, "N", "mulf", {"latency": 2}, "declares a latency of 2 cycles"),
        (65, "N", None, {}, "port a has 65 bits; at most 64 are supported"),
        (32, "N", None, {"parameters": {"N": "٣"}}, "N = '٣' is not an integer"),
        (32, "N", None, {"includes": ["nowhere"]}, "nowhere: the include folder is not there"),
    ],
)
def test_levels_that_do_not_fit(
    tmp_path: Path, n: int, width: str, op: str | None, options: dict, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, UNIT.format(n=n, w=width, e="a * b") + "endmodule", op=op, **options)
    assert message in str(caught.value)


def test_parameters_decide_the_width_of_a_unit(tmp_path: Path) -> None:
    path = write(tmp_path, UNIT.format(n=8, w="2*N", e="a * b") + "endmodule")
    instance = parse_instance(f"{path}:N=12,LATENCY=2", op="mulf")
    assert instance.label.endswith(":N=12,LATENCY=2")
    assert instance.latency == 2 and instance.all_parameters == {"N": 12, "LATENCY": 2}
    other = parse_instance(f"{path}:N=13,LATENCY=2", op="mulf")
    assert other.content_hash != instance.content_hash
    with pytest.raises(InputError, match="unknown parameter 'M'; it has LATENCY"):
        parse_instance(f"{path}:M=1", op="mulf")


# --- bad input -------------------------------------------------------------------------------

HEAD = "module m(input clk, input [7:0] a, b, output [7:0] y);\n"


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", InputError, "there is no module in it"),
        (HEAD + "assign y = a +;\nendmodule", InputError, "m.v:2: expected expression"),
        (HEAD + "other u(a, b, y);\nendmodule", InputError, "m.v:2: unknown module 'other'"),
        ('`include "no.vh"\n' + HEAD + "assign y = a & b; endmodule", InputError,
         "m.v:1: 'no.vh': No such file"),
        ("module m(input a, b, output y); assign y = a & b; endmodule\n"
         "module n(input a, b, output y); assign y = a | b; endmodule", InputError,
         "several modules could be the top: m, n; name one (--top)"),
        (HEAD + "wire [7:0] w; assign w = w ^ a; assign y = w | b; endmodule", InputError,
         "m.v:2: m: a combinational loop passes here"),
        (HEAD + "reg [7:0] w; always @* if (a[0]) w = b; assign y = w; endmodule", InputError,
         "m.v:2: m: a latch is inferred"),
        (HEAD + "wire [7:0] w; assign y = w & a & b; endmodule", InputError,
         "m.v:2: m: net w is used but never driven"),
        (HEAD + "assign y[6:0] = a[6:0] & b[6:0]; endmodule", InputError,
         "m.v:1: m: net y is used but never driven"),
        (HEAD + "assign y = {1'bx, a[6:0] & b[6:0]}; endmodule", InputError,
         "bit 7 of y is undefined (x)"),
        (HEAD + "assign y = a; assign y = b; endmodule", InputError, "several drivers"),
        (HEAD + "integer i; reg [7:0] t; always @* for (i = 0; i < 8; i = i + 1) t[i] = a[i];\n"
         "reg [7:0] u; always @* for (i = 7; i >= 0; i = i - 1) u[i] = b[i] ^ i[0];\n"
         "assign y = t ^ u ^ i; endmodule", InputError, "net i has several drivers"),
        (HEAD + "logic [7:0] t; always_comb if (a[0]) t = b; assign y = t; endmodule", InputError,
         "always_comb assigns on some paths only"),
        ("module m(input [7:0] a, b, inout [7:0] y); endmodule", UnsupportedError,
         "inout port y is not supported"),
        (HEAD + "reg [7:0] r[0:255]; always @(posedge clk) r[a] <= b; assign y = r[a]; endmodule",
         UnsupportedError, "m.v:2: m: memory r is written"),
        (HEAD + 'reg [7:0] r[0:255]; initial $readmemh("t.hex", r); assign y = r[a] ^ b; endmodule',
         InputError, "m.v:2: the file 't.hex' is not beside the sources"),
        (HEAD + "wire [9999:0] w = {1250{a}} * {1250{b}}; assign y = w[9999:9992]; endmodule",
         UnsupportedError, "m.v:2: m: 'mul' on 10000 bits; at most 512 are supported"),
        (HEAD + "assign y = a & b;", InputError, "m.v:"),
        ("\0\1\2", InputError, "is not text in UTF-8"),
    ],
)  # fmt: skip
def test_bad_verilog(tmp_path: Path, text: str, error: type, message: str) -> None:
    with pytest.raises(error) as caught:
        read(tmp_path, text)
    told = str(caught.value)
    assert message in told and "\n" not in told and "asnet-yosys" not in told


def test_files_that_are_not_there_or_twice(tmp_path: Path) -> None:
    path = write(tmp_path, "module m(input a, b, output y); assign y = a & b; endmodule")
    with pytest.raises(InputError, match="a file is given twice"):
        core_from_verilog([path, path])
    with pytest.raises(InputError, match="no Verilog files given"):
        core_from_verilog([])
    with pytest.raises(InputError, match=r"no\.v: cannot be read: No such file"):
        core_from_verilog([path, tmp_path / "no.v"])
    with pytest.raises(InputError, match="a file is given twice|no module 'n'; it has m"):
        core_from_verilog([path], top="n")


def test_blow_ups_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop of 10^9 rounds: slang says what is wrong with it; alone, the limits hold."""
    loop = (
        "genvar i; generate for (i = 0; i < 1000000000; i = i + 1) begin: g wire w; end "
        "endgenerate\nassign y = a & b; endmodule"
    )
    monkeypatch.setattr(yosys, "_CPU_SECONDS", 1.0)
    with pytest.raises(InputError, match=r"m\.v:2: generate loop hit maximum step limit"):
        read(tmp_path, HEAD + loop)
    source = load_core("fmul").sources[0].__class__(tmp_path / "m.v", HEAD + loop)
    job = Job((source,), (), ("proc",))
    slow = run_jobs([job], readers=("verilog",))[0]
    assert isinstance(slow, ToolError) and "took longer than 1 s" in str(slow)
    monkeypatch.setattr(yosys, "_CPU_SECONDS", 20.0)
    monkeypatch.setattr(yosys, "_MEMORY_BYTES", 400 << 20)
    large = run_jobs([job], readers=("verilog",))[0]
    assert isinstance(large, ToolError) and "of memory" in str(large)


def test_one_bad_job_does_not_spoil_the_others(tmp_path: Path) -> None:
    """Two groups, each with a job that ends its reader; results keep their places."""
    text = (
        "module m #(parameter P = 0)(input a, b, output y);\n"
        "generate if (P == 1) missing u(a, b, y); else assign y = a & b; endgenerate\nendmodule\n"
    )
    one = read(tmp_path, text, "one.v")
    two = read(tmp_path, text.replace("&", "|"), "two.sv")
    results = elaborate([core.instance({"P": p}) for core in (one, two) for p in (0, 1, 0, 1)])
    assert [isinstance(result, AsnetError) for result in results] == [False, True] * 4
    assert all(":2: unknown module 'missing'" in str(results[i]) for i in (1, 3, 5, 7))


# --- manifests and descriptions --------------------------------------------------------------

MANIFEST = """
name = "mine"
module = "m"
op = "muli"
sources = ["m.v"]
includes = ["inc"]
latency_cycles = 1
signed = true
[ports]
a = "a"
b = "b"
result = "y"
clock = "clk"
reset = "clear"
reset_active = "low"
[ports.constant]
mode = 2
[parameters.K]
values = [1, 2, 4]
default = 2
[parameters.S]
low = 0
high = 6
step = 3
default = 3
"""


def test_manifests_have_all_the_roles(tmp_path: Path) -> None:
    (tmp_path / "inc").mkdir()
    write(
        tmp_path,
        "module m #(parameter K = 1, parameter S = 0)(input clk, clear, input [1:0] mode,\n"
        "input signed [7:0] a, b, output reg signed [15:0] y);\n"
        "always @(posedge clk) if (!clear) y <= 0; else y <= mode == 2 ? a * b : K + S;\n"
        "endmodule\n",
    )
    path = write(tmp_path, MANIFEST, "core.toml")
    core = load_core(path)
    assert core.ports.tied == {"clear": 1, "mode": 2} and core.signed and core.level == "integer"
    assert measure_latency(core.instance()) == 1
    assert core.instance({"K": 4, "S": 6}).label == "mine:K=4,S=6"
    for values, message in (
        ({"K": 3}, "mine: K = 3 is not in 1, 2 or 4"),
        ({"S": 4}, "mine: S = 4 is not in 0..6 in steps of 3"),
    ):
        with pytest.raises(InputError, match=message):
            core.instance(values)
    for old, new, message in (
        ('reset = "clear"\n', "", "'ports.reset_active' must be low or high, beside ports.reset"),
        (
            'reset_active = "low"',
            'start = "go"',
            "handshake needs the port done too",
        ),
        ("mode = 2", "mode = -2", "'ports.constant' must hold integers >= 0"),
        ("mode = 2", "clk = 2", "gives port 'clk' two roles"),
        ('includes = ["inc"]', 'includes = ["no"]', "'includes' names 'no'"),
        ("signed = true", 'level = "float"', "'level' is 'float'"),
        ("signed = true", 'format = "f32"', "'format' is for the operations addf"),
        ("step = 3", "step = 0", "'parameters.S.step' must be at least 1"),
        ("step = 3", "step = 4", "'parameters.S.default' = 3 is not in 0..6 in steps of 4"),
        ("values = [1, 2, 4]", 'values = ["1"]', "'parameters.K.values' must be integers"),
        ("values = [1, 2, 4]", "values = [1, 2]\nlow = 1", "values or low and high, not both"),
        ("latency_cycles = 1", "latency_cycles = 1\ninitiation_interval = 0", "must be at least 1"),
    ):
        assert old in MANIFEST
        write(tmp_path, MANIFEST.replace(old, new), "core.toml")
        with pytest.raises(InputError) as caught:
            load_core(path)
        assert message in str(caught.value), str(caught.value)


def test_a_manifest_of_a_unit(tmp_path: Path) -> None:
    write(tmp_path, UNIT.format(n=12, w="2*N", e="a * b") + "endmodule")
    manifest = (
        'name = "mine"\nmodule = "m"\nop = "mulf"\nlevel = "significand"\nalign = "left"\n'
        'sources = ["m.v"]\nlatency_cycles = 0\n[ports]\na = "a"\nb = "b"\nresult = "y"\n'
    )
    core = load_core(write(tmp_path, manifest, "core.toml"))
    assert (core.name, core.level, core.op, core.format) == ("mine", "significand", "mulf", "f32")
    assert core.unit is not None and core.unit.align == "left"
    assert measure_latency(core.instance({"LATENCY": 1})) == 1


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (UNIT.format(n=8, w="2*N", e="a * b") + "endmodule",
         {"op": "mulf", "align": "left", "parameters": {"N": 11, "LATENCY": 1}}),
        (DIVIDER.format(start="go", done="rdy"),
         {"latency": 260, "ports": {"start": "go", "done": "rdy", "reset": "rst"}}),
        ("module m(input c, e, r, input [1:0] k, input [31:0] p, q, output reg [31:0] y, z);\n"
         "always @(posedge c or negedge r) if (!r) y <= 1; else if (e) y <= p ^ q ^ k;\n"
         "always @* z = p; endmodule",
         {"op": "addf", "ports": {"a": "q", "b": "p", "result": "y", "clock": "c", "enable": "e",
                                  "reset": "r", "reset_active": "low", "constant.k": 3}}),
        ("module m(input signed [7:0] a, b, output signed [8:0] y); assign y = a + b; endmodule",
         {"op": "addi"}),
    ],
)  # fmt: skip
def test_descriptions_make_the_same_instance(tmp_path: Path, text: str, options: dict) -> None:
    instance = read(tmp_path, text, **options).instance()
    described = describe(instance)
    parameters = described.pop("parameters")
    again = instance_from_description(described, options.get("op"), parameters)
    assert again.content_hash == instance.content_hash
    assert (again.label, again.latency) == (instance.label, instance.latency)
    assert again.core.ports == instance.core.ports
