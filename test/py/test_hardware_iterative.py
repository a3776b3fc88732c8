"""Iterative cores in both styles of hardware, beside pipelines and combinational cores."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stream_networks

from asnet_mlir import cli
from asnet_mlir.binding import Binding, Rule
from asnet_mlir.cores import Core, core_from_verilog, load_core
from asnet_mlir.errors import AsnetError, ToolError
from asnet_mlir.hardware import bundle as bundles
from asnet_mlir.hardware import compare_words, generate
from asnet_mlir.hardware.verbs import software_outputs

hardware = importlib.import_module("asnet_mlir.hardware.simulate")

# Significands bit by bit, as long as the multiplier has bits left; rounds towards zero, no
# subnormals, and NaNs that are not canonical.
SERIAL = """module mul_serial(input clk, rst, start, input [31:0] a, b,
  output reg [31:0] p, output reg done);
  reg [47:0] sum, add; reg [23:0] left; reg busy;
  wire zero = a[30:23] == 0 || b[30:23] == 0;
  wire special = &a[30:23] || &b[30:23];
  wire signed [10:0] exponent = $signed({3'd0, a[30:23]}) + $signed({3'd0, b[30:23]}) - 127
    + $signed({10'd0, sum[47]});
  always @(posedge clk) if (rst) begin busy <= 0; done <= 0; end
    else if (start) begin
      busy <= 1; done <= 0; sum <= 0; add <= {24'd0, 1'b1, a[22:0]}; left <= {1'b1, b[22:0]};
    end else if (busy && left != 0) begin
      if (left[0]) sum <= sum + add;
      add <= add << 1; left <= left >> 1;
    end else if (busy) begin
      busy <= 0; done <= 1;
      p[31] <= a[31] ^ b[31];
      p[30:0] <= special ? 31'h7F800001 : zero || exponent <= 0 ? 31'd0
        : exponent >= 255 ? 31'h7F800000
        : {exponent[7:0], sum[47] ? sum[46:24] : sum[45:23]};
    end
endmodule
"""

# Ends as early as the operands let it, without any reset; `done` stays.
EARLY = """module mul_early(input clk, start, input [31:0] a, b, output reg [31:0] p,
  output reg done);
  reg [4:0] left = 0;
  wire [31:0] product;
  fmul #(.LATENCY(0)) f (.clk_i(clk), .a_i(a), .b_i(b), .result_o(product));
  always @(posedge clk)
    if (start) begin left <= {1'b1, b[26:23]}; done <= 0; p <= 32'h12345678; end
    else if (left != 0) begin
      left <= left - 1; done <= left == 1; if (left == 1) p <= product;
    end
endmodule
"""

# Takes operands in every fourth cycle only, and shows the sum in one cycle of four.
EVERY4 = """module add_every4(input clk, {reset} input [31:0] a, b, output [31:0] s);
  reg [1:0] phase{initial}; reg [31:0] x, y, r; wire [31:0] sum;
  fadd #(.LATENCY(3)) f (.clk_i(clk), .a_i(x), .b_i(y), .result_o(sum));
  always @(posedge clk) begin
    {clear} phase <= phase + 1;
    if (phase == 0) begin x <= a; y <= b; end
    if (phase == 2'd1) r <= sum;
  end
  assign s = phase == 2'd2 ? r : a ^ {{30'd0, phase}};
endmodule
"""


def files(folder: Path, name: str, text: str, inside: str | None = None) -> list[Path]:
    path = folder / f"{name}.v"
    path.write_text(text)
    return [path, *(source.path for source in load_core(inside).sources)] if inside else [path]


def serial(folder: Path) -> Core:
    return core_from_verilog(files(folder, "mul_serial", SERIAL), op="mulf")


def early(folder: Path, latency: int | None = None) -> Core:
    sources = files(folder, "mul_early", EARLY, "fmul")
    return core_from_verilog(sources, top="mul_early", op="mulf", latency=latency)


def every4(folder: Path, has_reset: bool, latency: int | None = 6) -> Core:
    text = EVERY4.format(
        reset="rst_n," if has_reset else "",
        initial="" if has_reset else " = 0",
        clear="if (!rst_n) phase <= 0; else" if has_reset else "",
    )
    name = f"add_every4{'_reset' * has_reset}"
    text = text.replace("module add_every4", f"module {name}")
    sources = files(folder, name, text, "fadd")
    return core_from_verilog(sources, top=name, op="addf", latency=latency, interval=4)


@pytest.fixture(scope="module")
def cores(tmp_path_factory: Any) -> dict[str, Core]:
    folder = tmp_path_factory.mktemp("cores")
    return {
        "serial": serial(folder),
        "early": early(folder),
        "every4": every4(folder, False),
        "every4_reset": every4(folder, True),
    }


def mixed(cores: dict[str, Core]) -> Binding:
    """Iterative cores, pipelines and combinational cores in one network and in one layer."""
    own = (
        ("mulf", "conv", "serial"),
        ("addf", "conv", "every4_reset"),
        ("mulf", "depthwise", "early"),
        ("addf", "average", "every4"),
        ("addf", "grouped", "every4"),
        ("mulf", "dense", "early"),
    )
    rules = [Rule(op, cores[name].instance(), layer) for op, layer, name in own]
    rest = Binding.parse(
        [
            "addf@depthwise=fadd:LATENCY=5",
            "mulf@grouped=fmul:LATENCY=0",
            "addf@dense=fadd:LATENCY=0",
            "maxf=fmax:LATENCY=1",
            "mulf=fmul_trunc:P=9,LATENCY=2",
        ]
    )
    return Binding((*rules, *rest.rules))


def samples(bundle: Path, count: int) -> np.ndarray:
    shape = bundles.read_manifest(bundle)["info"]["input_shape"]
    x = np.random.default_rng(3).standard_normal((count, *shape)).astype(np.float32)
    x.reshape(count, -1)[0, :4] = [np.nan, np.inf, -0.0, 1e-42]
    return x


def check(bundle: Path, count: int = 6, **options: int) -> Any:
    x = samples(bundle, count)
    result = hardware.simulate(bundle, x, **options)
    different = compare_words(result.outputs, software_outputs(bundle, x))
    assert not different, different[:5]
    return result


@pytest.fixture(scope="module", params=["shared", "stream", "lanes"])
def bundle(request: Any, tmp_path_factory: Any, cores: dict[str, Core]) -> Path:
    folder = tmp_path_factory.mktemp("iterative") / "bundle"
    style = "shared" if request.param == "shared" else "stream"
    lanes = ["3"] if request.param == "lanes" else []
    network = stream_networks.residual()
    generate(network, mixed(cores), output=folder, style=style, lanes=lanes)
    return folder


def test_contract_of_the_units(cores: dict[str, Core]) -> None:
    """A handshake may take the slowest operands; who has none waits for its cycle of four."""
    instances = {name: core.instance() for name, core in cores.items()}
    assert instances["serial"].latency == 26 and instances["serial"].unit_latency == 27
    assert instances["serial"].unit_interval == 27
    assert instances["early"].latency == 32
    assert (instances["every4"].unit_latency, instances["every4"].unit_interval) == (11, 4)


def test_bits_and_cycles(bundle: Path) -> None:
    manifest = bundles.read_manifest(bundle)
    result = check(bundle)
    assert result.cycles_per_sample == manifest["predicted_cycles_per_sample"]
    engines = hardware.engines(manifest)
    for entry, cycles in zip(engines, result.busy_cycles, strict=bool(engines)):
        assert cycles <= entry["issue_cycles"] + 1 - entry["interval"]
        if entry["layer"] in ("conv", "depthwise"):
            assert entry["interval"] > 1
            utilisation = entry["work"] / (cycles * entry["lanes"])
            assert utilisation == pytest.approx(entry["utilisation_bound"], rel=0.02)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_streams_that_pause(bundle: Path, seed: int) -> None:
    check(bundle, 6, stall_seed=seed)


@pytest.mark.parametrize("cycle", [1, 41, 702, 2003, 5556, 20001])
def test_a_reset_in_the_middle(bundle: Path, cycle: int) -> None:
    check(bundle, 4, reset_cycle=cycle)
    check(bundle, 4, reset_cycle=cycle, stall_seed=9)
