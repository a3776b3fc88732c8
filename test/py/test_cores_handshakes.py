# SPDX-License-Identifier: Apache-2.0
"""Handshakes as units have them: strobes that wait for an acknowledgement, busy without done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asnet_mlir.cores import Core, core_from_verilog
from asnet_mlir.cores.checks.check import check
from asnet_mlir.cores.simulation.simulation import simulate_pairs
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.hardware.bundle.core_files import unit_files

# Takes a, then b, each when it has said so; shows the result until somebody takes it.
STROBES = """module strobes(input_a, input_b, input_a_stb, input_b_stb, output_z_ack, clk, rst,
  output_z, output_z_stb, input_a_ack, input_b_ack);
  input clk, rst, input_a_stb, input_b_stb, output_z_ack; input [{top}:0] input_a, input_b;
  output reg [{top}:0] output_z; output reg output_z_stb, input_a_ack, input_b_ack;
  reg [1:0] state; reg [{top}:0] a, b; reg [3:0] left;
  wire [{top}:0] z;
  {inner}
  always @(posedge clk) begin
    case (state)
      0: begin
        input_a_ack <= 1;
        if (input_a_ack && input_a_stb) begin a <= input_a; input_a_ack <= 0; state <= 1; end
      end
      1: begin
        input_b_ack <= 1;
        if (input_b_ack && input_b_stb) begin
          b <= input_b; input_b_ack <= 0; state <= 2; left <= a[3:0];
        end
      end
      2: begin left <= left - 1; if (left == 0) state <= 3; end
      3: begin
        output_z_stb <= 1; output_z <= z;
        if (output_z_stb && output_z_ack) begin output_z_stb <= 0; state <= 0; end
      end
    endcase
    if (rst) begin state <= 0; input_a_ack <= 0; input_b_ack <= 0; output_z_stb <= 0; end
  end
endmodule
"""

# Says that it is busy, and shows what is not finished meanwhile; busy rises a cycle late.
BUSY = """module busy_unit(input clk, rst_n, start, input [{top}:0] a, b,
  output [{top}:0] y, output reg busy);
  reg [3:0] left; reg [{top}:0] x, w; reg late;
  wire [{top}:0] z;
  {inner}
  assign y = busy || late || left != 0 ? ~z : z;
  always @(posedge clk)
    if (!rst_n) begin left <= 0; busy <= 0; late <= 0; end
    else begin
      late <= start;
      busy <= late || left > 1;
      if (start) begin x <= a; w <= b; end
      if (late) left <= 3 + x[1:0];
      else if (left != 0) left <= left - 1;
    end
endmodule
"""

# Valid and ready on both sides; rests for some cycles before it takes operands again, no reset.
READY = """module ready_unit(input clk, in_valid, out_ready, input [{top}:0] a, b,
  output in_ready, out_valid, output [{top}:0] y);
  reg [2:0] left = 0; reg full = 0; reg [{top}:0] x, w;
  wire [{top}:0] z;
  {inner}
  assign in_ready = !full && left == 0;
  assign out_valid = full && left == 0;
  assign y = out_valid ? z : ~z;
  always @(posedge clk)
    if (in_valid && in_ready) begin x <= a; w <= b; full <= 1; left <= 2 + a[0]; end
    else if (left != 0) left <= left - 1;
    else if (out_valid && out_ready) begin full <= 0; left <= 3; end
endmodule
"""


def unit(folder: Path, text: str, operands: str, **options: Any) -> Core:
    path = folder / "unit.v"
    inner = f"assign z = {operands.replace('+', ' - ')};"
    path.write_text(text.format(top=7, inner=inner))
    return core_from_verilog([path], op="subi", **options)


ROLES = {
    "strobes": (
        STROBES,
        "a+b",
        {
            "a": "input_a",
            "b": "input_b",
            "result": "output_z",
            "clock": "clk",
            "reset": "rst",
            "start": "input_a_stb",
            "done": "output_z_stb",
            "ready": "input_a_ack",
            "start_b": "input_b_stb",
            "ready_b": "input_b_ack",
            "ack": "output_z_ack",
        },
    ),
    "busy": (
        BUSY,
        "x+w",
        {
            "a": "a",
            "b": "b",
            "result": "y",
            "clock": "clk",
            "reset": "rst_n",
            "start": "start",
            "busy": "busy",
            "reset_active": "low",
        },
    ),
    "ready": (
        READY,
        "x+w",
        {
            "a": "a",
            "b": "b",
            "result": "y",
            "clock": "clk",
            "start": "in_valid",
            "done": "out_valid",
            "ready": "in_ready",
            "ack": "out_ready",
        },
    ),
}


@pytest.mark.parametrize("name", ROLES)
def test_units_complete(tmp_path: Path, name: str) -> None:
    text, operands, roles = ROLES[name]
    core = unit(tmp_path, text, operands)
    assert core.ports.to_json() == roles
    a, b = np.random.default_rng(1).integers(0, 256, (2, 300), dtype=np.uint8)
    got = simulate_pairs(core.instance(), a, b)
    assert (got == (a - b).astype(np.uint8)).all()


def test_a_unit_with_strobes_passes_its_check(tmp_path: Path) -> None:
    """By both simulators, with pauses and in another order."""
    text, operands, _ = ROLES["strobes"]
    (report,) = check([unit(tmp_path, text, operands).instance()], random_vectors=1000)
    assert report.passed and report.vectors == 65536, report.failures
    assert report.latency_cycles == 21


@pytest.mark.parametrize(
    ("change", "message"),
    [
        # It never takes b; it never shows a result.
        (("input_b_ack <= 1;", "input_b_ack <= 0;"), "never takes its operands"),
        (("output_z_stb <= 1;", "output_z_stb <= 0;"), "never raises done"),
    ],
)
def test_units_that_do_not_complete(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    text, operands, _ = ROLES["strobes"]
    with pytest.raises(InputError, match=message):
        unit(tmp_path, text.replace(*change), operands)


def test_valid_and_ready_along_a_pipeline(tmp_path: Path) -> None:
    """Back-pressure held off, it is an ordinary pipeline."""
    path = tmp_path / "m.v"
    path.write_text(
        "module m(input clk, valid_i, ready_i, input [7:0] a, b, output ready_o,\n"
        "output reg valid_o, output reg [7:0] y);\n"
        "assign ready_o = ready_i || !valid_o;\n"
        "always @(posedge clk) if (ready_o) begin valid_o <= valid_i; y <= a + b; end endmodule"
    )
    core = core_from_verilog([path])
    assert not core.is_stateful and core.latency_cycles == 1
    assert core.ports.tied == {"ready_i": 1, "valid_i": 1}


@pytest.mark.parametrize(
    ("ports", "message"),
    [
        ({"start": "go"}, "needs the port done too, or the port busy.*--port done=NAME --port bus"),
        ({"ready": "x"}, "needs the port start too.*--port start=NAME"),
        ({"start": "go", "done": "x", "busy": "z"}, "two ways to tell the same"),
        ({"start": "go", "done": "x", "ready_b": "z"}, "needs the port start_b too"),
        ({"start": "x", "done": "z"}, "port x is an output, not an input"),
    ],
)
def test_handshakes_that_lack_something(tmp_path: Path, ports: dict, message: str) -> None:
    path = tmp_path / "m.v"
    path.write_text(
        "module m(input clk, go, input [7:0] a, b, output x, z, output [7:0] y);\n"
        "assign y = a + b; assign x = 0; assign z = 0; endmodule"
    )
    with pytest.raises((InputError, UnsupportedError), match=message):
        core_from_verilog([path], ports=ports)


# A schedule: operands for an interval and four cycles, `start` in the fifth: an adapter keeps its
# unit in reset for a cycle longer than it is itself.
SCHEDULE = """module schedule(input clk, rst, input [31:0] a, b, output [31:0] y, output late);
  logic [9:0] phase;
  always_ff @(posedge clk) phase <= rst || phase == {last} ? 0 : phase + 1;
  {module} u (.clk_i(clk), .rst_i(rst), .start_i(phase == 4), .a_i(a), .b_i(b),
    .result_o(y){settled}, .late_o(late));
endmodule
"""


@pytest.mark.parametrize("name", ROLES)
def test_the_adapter_of_hardware_drives_a_unit_as_the_simulation_does(
    tmp_path: Path, name: str
) -> None:
    text, operands, _ = ROLES[name]
    path = tmp_path / "unit.v"
    inner = f"assign z = {operands.replace('+', ' - 5 * ')};"
    path.write_text(text.format(top=31, inner=inner))
    instance = core_from_verilog([path], op="subf").instance()
    files = unit_files(instance)
    paths = []
    for file, source in files.sources:
        paths.append(tmp_path / "hardware" / file)
        paths[-1].parent.mkdir(exist_ok=True)
        paths[-1].write_text(source)
    paths.append(tmp_path / "hardware" / "schedule.sv")
    settled = ", .settled_o()" if files.settled else ""
    paths[-1].write_text(
        SCHEDULE.format(last=files.interval + 3, module=files.module, settled=settled)
    )
    schedule = core_from_verilog(
        paths,
        top="schedule",
        ports={"result": "y"},
        interval=files.interval + 4,
        latency=files.latency + 4,
    )
    a, b = np.random.default_rng(1).integers(0, 1 << 32, (2, 300), dtype=np.uint32)
    want = simulate_pairs(instance, a, b)
    assert (want == a - np.uint32(5) * b).all()
    assert (simulate_pairs(schedule.instance(), a, b) == want).all()
    # It tells where a unit takes longer than it may.
    late = replace(schedule, ports=replace(schedule.ports, result="late"))
    assert not simulate_pairs(late.instance(), a, b).any()
