# SPDX-License-Identifier: Apache-2.0
"""Iterative cores in both styles of hardware, beside pipelines and combinational cores."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stream_networks
from stream_networks import software_outputs

from asnet_mlir.binding import Binding, Rule
from asnet_mlir.cli import main as cli
from asnet_mlir.cores import Core, core_from_verilog, load_core
from asnet_mlir.errors import AsnetError, ToolError
from asnet_mlir.hardware import compare_words, generate
from asnet_mlir.hardware.bundle.manifest import read_manifest

hardware = importlib.import_module("asnet_mlir.hardware.simulation.simulate")

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

# Ends as early as the operands let it, without any reset; `done` stays. Deaf while it computes.
EARLY = """module mul_early(input clk, start, input [31:0] a, b, output reg [31:0] p,
  output reg done);
  reg [4:0] left = 0; reg [31:0] x, y;
  wire [31:0] product;
  fmul #(.LATENCY(0)) f (.clk_i(clk), .a_i(x), .b_i(y), .result_o(product));
  always @(posedge clk)
    if (start && left == 0) begin
      x <= a; y <= b; left <= {1'b1, b[26:23]}; done <= 0; p <= 32'h12345678;
    end
    else if (left != 0) begin
      left <= left - 1; done <= left == 1; if (left == 1) p <= product;
    end
endmodule
"""

# Ten cycles a division, of which the operands are needed in the last.
DIVIDE = """module div_ten(input clk, rst, valid_in, input [31:0] n, d, output reg [31:0] q,
  output reg valid_out);
  reg [3:0] left; wire [31:0] quotient;
  fdiv #(.LATENCY(0)) f (.clk_i(clk), .a_i(n), .b_i(d), .result_o(quotient));
  always @(posedge clk) begin
    valid_out <= 0;
    if (rst) left <= 0;
    else if (valid_in) left <= 9;
    else if (left != 0) begin
      left <= left - 1;
      if (left == 1) begin q <= quotient; valid_out <= 1; end
    end else q <= 32'hDEADBEEF;
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


# A function of what is taken in the first cycle of each interval, in one later cycle of it only: as
# little logic as one sees wrong operands and their order by.
EVERY = """module every #(parameter I = 4, parameter L = 6)(input clk, {reset}
  input [31:0] a, b, output [31:0] s);
  reg [3:0] phase{initial}; reg [31:0] x, y; reg [31:0] r [1:L]; integer i;
  wire [8:0] top = x[30:23] > y[30:23] ? x[31:23] : y[31:23];
  wire [31:0] sum = {{top, x[22:0] ^ {{y[21:0], y[22]}}}};
  always @(posedge clk) begin
    {clear} phase <= phase == I - 1 ? 0 : phase + 1;
    if (phase == 0) begin x <= a; y <= b; end
    for (i = 2; i <= L; i = i + 1) r[i] <= r[i - 1];
  end
  always @* r[1] = sum;
  assign s = phase == L % I ? r[L] : {{28'd0, phase}};
endmodule
"""


def every(folder: Path, interval: int, latency: int, has_reset: bool) -> Core:
    name = f"every_{interval}_{latency}"
    text = EVERY.format(
        reset="rst," if has_reset else "",
        initial="" if has_reset else " = 0",
        clear="if (rst) phase <= 0; else" if has_reset else "",
    )
    text = text.replace("module every ", f"module {name} ")
    text = text.replace("I = 4", f"I = {interval}").replace("L = 6", f"L = {latency}")
    path = folder / f"{name}.sv"
    path.write_text(text)
    return core_from_verilog([path], top=name, op="addf", latency=latency, interval=interval)


def divider(folder: Path) -> Core:
    sources = files(folder, "div_ten", DIVIDE, "fdiv")
    return core_from_verilog(sources, top="div_ten", op="divf")


@pytest.fixture(scope="module")
def cores(tmp_path_factory: Any) -> dict[str, Core]:
    folder = tmp_path_factory.mktemp("cores")
    return {
        "serial": serial(folder),
        "early": early(folder),
        "divider": divider(folder),
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
    shape = read_manifest(bundle)["info"]["input_shape"]
    x = np.random.default_rng(3).standard_normal((count, *shape)).astype(np.float32)
    words = x.reshape(count, -1)
    words[0, :4] = [np.nan, np.inf, -0.0, 1e-42][: words.shape[1]]
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
    manifest = read_manifest(bundle)
    result = check(bundle)
    assert result.cycles_per_sample == manifest["predicted_cycles_per_sample"]
    engines = hardware.engines(manifest)
    for entry, cycles in zip(engines, result.busy_cycles, strict=bool(engines)):
        assert cycles <= entry["issue_cycles"] + 1 - entry["interval"]
        if entry["layer"] in ("conv", "depthwise"):
            assert entry["interval"] > 1
            utilisation = entry["work"] / (cycles * entry["lanes"])
            assert utilisation == pytest.approx(entry["utilisation_bound"], rel=0.02)


@pytest.mark.parametrize("seed", [1, 2])
def test_streams_that_pause(bundle: Path, seed: int) -> None:
    check(bundle, 6, stall_seed=seed)


@pytest.mark.parametrize("cycle", [1, 702, 5556, 20001])
def test_a_reset_in_the_middle(bundle: Path, cycle: int) -> None:
    check(bundle, 4, reset_cycle=cycle)
    check(bundle, 4, reset_cycle=cycle + 17, stall_seed=9)


def elements(depth: int) -> Any:
    """A sum of a few products, divided by numbers; and a softmax."""
    import jax
    import jax.numpy as jnp

    p = stream_networks.weights(5, w=(depth, 30), d=(30,), e=(30, 4))
    p["d"] = np.abs(p["d"]) + np.float32(0.5)

    def f(x: Any, p: dict[str, Any]) -> Any:
        with jax.named_scope("sums"):
            y = (x @ p["w"]) / p["d"]
        with jax.named_scope("halves"):
            y = jnp.maximum(y * 0.75, -y) / 3.0
        with jax.named_scope("softmax"):
            return jax.nn.softmax(y @ p["e"])

    return stream_networks.network(f, (depth,), p, "elements")


@pytest.mark.parametrize(("depth", "lanes"), [(2, []), (40, []), (40, ["4"]), (2, ["4"])])
def test_an_epilogue_at_its_own_pace(
    tmp_path: Path, cores: dict[str, Core], depth: int, lanes: list[str]
) -> None:
    """A divider behind sums: it takes outputs every 11 cycles, whatever the sums' pace is."""
    binding = Binding((Rule("divf", cores["divider"].instance()),))
    folder = tmp_path / "b"
    manifest = generate(elements(depth), binding, output=folder, style="stream", lanes=lanes)
    kinds = [entry["kind"] for entry in manifest["layers"]]
    assert "machine" in kinds
    sums = manifest["layers"][0]
    assert sums["interval"] == 1 and sums["interleave"] > 1
    assert sums["cycles"] == max(30 * 11, sums["issue_cycles"])
    halves = next(entry for entry in manifest["layers"] if entry["layer"] == "halves")
    assert halves["cycles"] == 30 * 11
    result = check(folder, 8)
    assert result.cycles_per_sample == manifest["predicted_cycles_per_sample"]
    check(folder, 8, stall_seed=5)
    check(folder, 4, reset_cycle=1500, stall_seed=2)
    check(folder, 4, reset_cycle=777)


def test_iterative_units_of_the_machine(tmp_path: Path, cores: dict[str, Core]) -> None:
    """One multiplier, adder and divider, all of them iterative."""
    rules = [("mulf", "early"), ("addf", "every4"), ("divf", "divider")]
    binding = Binding(tuple(Rule(op, cores[name].instance()) for op, name in rules))
    manifest = generate(elements(3), binding, output=tmp_path / "b")
    result = check(tmp_path / "b", 3)
    assert result.cycles_per_sample == manifest["predicted_cycles_per_sample"]
    check(tmp_path / "b", 2, stall_seed=3)
    for cycle in (60, 1111, 12345):
        check(tmp_path / "b", 2, reset_cycle=cycle)


@pytest.mark.parametrize("style", ["shared", "stream"])
def test_intervals_and_latencies_of_any_size(tmp_path: Path, style: str) -> None:
    """Shorter and longer than each other, and multiples: always the one cycle with the result."""
    sizes = {
        "conv": (2, 1),
        "depthwise": (3, 7),
        "average": (5, 5),
        "grouped": (7, 2),
        "global": (4, 13),
        "dense": (6, 1),
    }
    rules = [
        Rule("addf", every(tmp_path, interval, latency, number % 2 == 0).instance(), layer)
        for number, (layer, (interval, latency)) in enumerate(sizes.items())
    ]
    manifest = generate(
        stream_networks.residual(), Binding(tuple(rules)), output=tmp_path / "b", style=style
    )
    result = check(tmp_path / "b", 4)
    assert result.cycles_per_sample == manifest["predicted_cycles_per_sample"]
    check(tmp_path / "b", 4, stall_seed=1)
    for cycle in (777, 1778):
        check(tmp_path / "b", 2, reset_cycle=cycle, stall_seed=cycle)


@pytest.mark.parametrize("style", ["shared", "stream"])
def test_a_core_that_no_reset_stops(tmp_path: Path, cores: dict[str, Core], style: str) -> None:
    """Two words of input are there long before it is done with what it was at."""
    binding = Binding((Rule("mulf", cores["early"].instance()),))
    factors = {"w": np.float32([1.5, -7e30])}
    network = stream_networks.network(lambda x, p: x * p["w"], (2,), factors, "products")
    generate(network, binding, output=tmp_path / "b", style=style)
    cycles = range(8, 90, 7)
    for cycle in cycles:
        check(tmp_path / "b", 2, reset_cycle=cycle)
    change(tmp_path / "b", "cores/*_mul_early_adapter.sv", "settled_o = .*;", "settled_o = 1'b1;")
    failed = 0
    for cycle in cycles:
        try:
            check(tmp_path / "b", 2, reset_cycle=cycle)
        except (AssertionError, ToolError):
            failed += 1
    assert failed


def change(bundle: Path, file: str, pattern: str, text: str) -> None:
    (path,) = bundle.glob(file)
    changed, count = re.subn(pattern, text, path.read_text())
    assert count, pattern
    path.write_text(changed)


@pytest.mark.parametrize("style", ["shared", "stream"])
def test_a_core_that_takes_too_long_is_told(
    tmp_path: Path, cores: dict[str, Core], style: str
) -> None:
    """As if its latency had been measured on operands that are all quick."""
    binding = Binding((Rule("mulf", cores["serial"].instance()),))
    generate(stream_networks.dense(), binding, output=tmp_path / "b", style=style)
    check(tmp_path / "b", 2)
    change(tmp_path / "b", "cores/*_mul_serial_adapter.sv", r"5'd26", "5'd20")
    with pytest.raises(ToolError, match="a core took longer than its latency"):
        hardware.simulate(tmp_path / "b", samples(tmp_path / "b", 2))


@pytest.mark.parametrize(
    ("name", "pattern", "text"),
    [
        # The result is taken a cycle too early; operands are given in another cycle of the four.
        ("every4", r"\(phase == 2'd2\)", "(phase == 2'd1)"),
        ("every4", r"\(phase == 2'd3\)", "(phase == 2'd0)"),
        ("every4_reset", r"\(phase == 2'd3\)", "(phase == 2'd2)"),
    ],
)
def test_a_wrong_cycle_is_seen(
    tmp_path: Path, cores: dict[str, Core], name: str, pattern: str, text: str
) -> None:
    core = cores[name]
    binding = Binding((Rule("addf", core.instance()),))
    generate(stream_networks.dense(), binding, output=tmp_path / "b", style="stream")
    check(tmp_path / "b", 3)
    change(tmp_path / "b", f"cores/*_{core.module}_adapter.sv", pattern, text)
    x = samples(tmp_path / "b", 3)
    got = hardware.simulate(tmp_path / "b", x).outputs
    assert compare_words(got, software_outputs(tmp_path / "b", x))


PIPE = """module pipe(input clk, input [31:0] a, b, output reg [31:0] y); reg [31:0] r;
always @(posedge clk) begin r <= a ^ b; y <= r; end endmodule
"""


@pytest.mark.parametrize(
    ("name", "text", "keys", "latency", "message"),
    [
        ("pipe", PIPE, {}, 1, "declares a latency of 1 cycles, its structure has 2"),
        ("pipe", PIPE, {}, 3, "declares a latency of 3 cycles, its structure has 2"),
        (
            "mul_serial",
            SERIAL,
            {"start": "start", "done": "done", "reset": "rst", "result": "p"},
            25,
            "declares a latency of at most 25 cycles, takes 26",
        ),
    ],
)
def test_a_wrong_latency_writes_nothing(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    name: str,
    text: str,
    keys: dict[str, str],
    latency: int,
    message: str,
) -> None:
    (tmp_path / "m.v").write_text(text)
    ports = {"a": "a", "b": "b", "result": "y", "clock": "clk", **keys}
    (tmp_path / "core.toml").write_text(
        f'name = "{name}"\nmodule = "{name}"\nop = "mulf"\nsources = ["m.v"]\n'
        f"latency_cycles = {latency}\n[ports]\n"
        + "".join(f'{role} = "{port}"\n' for role, port in ports.items())
    )
    for style in ("shared", "stream"):
        arguments = ["generate", "classification_mnist", "--style", style]
        arguments += ["--bind", f"mulf={tmp_path / 'core.toml'}", "-o", str(tmp_path / "b")]
        assert cli.main(arguments) == 1
        error = capfd.readouterr().err
        assert message in error and error.count("\n") == 1
        assert not (tmp_path / "b").exists()


def test_a_wrong_latency_of_a_core_without_handshake(tmp_path: Path) -> None:
    for latency in (5, 7):
        core = every4(tmp_path, True, latency)
        binding = Binding((Rule("addf", core.instance()),))
        with pytest.raises(AsnetError, match="fails its check"):
            generate(stream_networks.dense(), binding, output=tmp_path / "b")
        assert not (tmp_path / "b").exists()
