# SPDX-License-Identifier: Apache-2.0
"""Simulation: two simulators that agree, latencies as observed, nothing that hangs or crashes."""

from __future__ import annotations

import ctypes
import dataclasses
import importlib
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asnet_mlir.cores import Core, Instance, Parameter, Ports, parse_instance
from asnet_mlir.cores.checks.check import check
from asnet_mlir.cores.operands import (
    corner_pairs,
    corner_values,
    exact_float,
    exact_integer,
    random_pairs,
)
from asnet_mlir.cores.simulation.family import make_family
from asnet_mlir.cores.simulation.simulation import (
    SIMULATORS,
    Widths,
    block_library,
    build,
    measure_latency,
    port_widths,
    simulate_pairs,
)
from asnet_mlir.cores.sources.source import Source
from asnet_mlir.errors import AsnetError, InputError, UnsupportedError
from asnet_mlir.support import cpp
from asnet_mlir.support.formats import FLOAT_FORMATS

EIGHT = Widths(8, 8, 8)

DIVIDER = """
// Restoring division, one bit of the quotient a cycle; a / 0 gives ones.
module divider #(parameter W = 8, parameter EARLY = 0) (
  input clk, input rst_n, input start, input [W-1:0] a, input [W-1:0] b,
  output reg done, output [W-1:0] q);
  reg [W-1:0] quotient, divisor;
  reg [W:0] remainder;
  reg [7:0] left;
  wire [W:0] shifted = {remainder[W-1:0], quotient[W-1]};
  wire fits = shifted >= {1'b0, divisor};
  assign q = quotient;
  always @(posedge clk or negedge rst_n)
    if (!rst_n) begin done <= 0; left <= 0; end
    else if (start) begin
      done <= EARLY != 0 && a < b;
      quotient <= EARLY != 0 && a < b ? 0 : a;
      divisor <= b; remainder <= 0;
      left <= EARLY != 0 && a < b ? 0 : W;
    end else if (left != 0) begin
      remainder <= fits ? shifted - {1'b0, divisor} : shifted;
      quotient <= {quotient[W-2:0], fits};
      left <= left - 1;
      done <= left == 1;
    end
endmodule
"""

SERIAL = """
// Shift and add over eight cycles, free running from reset.
module serial(input clk, input rst, input [7:0] a, input [7:0] b, output reg [15:0] p);
  reg [2:0] phase;
  reg [15:0] sum;
  wire [15:0] next = (phase == 0 ? 16'd0 : sum) + (b[phase] ? {8'd0, a} << phase : 16'd0);
  always @(posedge clk)
    if (rst) begin phase <= 0; sum <= 0; p <= 0; end
    else begin
      phase <= phase + 1;
      sum <= next;
      if (phase == 7) p <= next;
    end
endmodule
"""


def core_of(text: str, module: str, ports: Ports, **rest) -> Core:
    """Return a core of Verilog text; nothing is read or measured."""
    return Core(
        name=module,
        module=module,
        op=rest.pop("op", None),
        format=rest.pop("format", None),
        sources=(Source(Path(f"/nowhere/{module}.v"), text),),
        ports=ports,
        **rest,
    )


def combinational(expression: str, width: int = 8, body: str = "", result: int | None = None):
    """Return an instance of `y = expression` of a and b."""
    wide = width if result is None else result
    text = (
        f"module m(input [{width - 1}:0] a, input [{width - 1}:0] b, output [{wide - 1}:0] y);\n"
        f"{body}\nassign y = {expression};\nendmodule\n"
    )
    return core_of(text, "m", Ports("a", "b", "y")).instance()


def divider(**parameters: int) -> Instance:
    ports = Ports("a", "b", "q", "clk", None, "rst_n", "start", "done", reset_active_low=True)
    core = core_of(
        DIVIDER,
        "divider",
        ports,
        op="divi",
        parameters=(Parameter("W", 8), Parameter("EARLY", 0)),
        latency_cycles=parameters.pop("latency", 9),
    )
    return core.instance(parameters)


def serial(latency: int = 8, text: str = SERIAL) -> Instance:
    return core_of(
        text,
        "serial",
        Ports("a", "b", "p", "clk", None, "rst"),
        op="muli",
        latency_cycles=latency,
        initiation_interval=8,
    ).instance()


def every_pair(bits: int = 8) -> tuple[np.ndarray, np.ndarray]:
    pairs = np.arange(1 << 2 * bits, dtype=np.uint64)
    return pairs >> np.uint64(bits), pairs & np.uint64((1 << bits) - 1)


def quotients(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.where(b == 0, 255, a // np.maximum(b, 1))


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_the_simulators_compute(simulator) -> None:
    a, b = every_pair()
    twice = combinational("a * b + 1", result=17)
    got = simulate_pairs(twice, a, b, simulator=simulator)
    assert got.dtype == np.uint32
    np.testing.assert_array_equal(got, a * b + 1)
    np.testing.assert_array_equal(
        simulate_pairs(divider(), a, b, simulator=simulator), quotients(a, b)
    )
    np.testing.assert_array_equal(simulate_pairs(serial(), a, b, simulator=simulator), a * b)
    a, b = random_pairs(3000, 1)
    family = [parse_instance(f"fmul_trunc:P={p},LATENCY={p // 5}") for p in (0, 10)]
    results = simulate_pairs(family, a, b, simulator=simulator)
    kind = FLOAT_FORMATS["f32"]
    for row, mask in zip(results, (0xFFFFFFFF, 0xFFFFFC00), strict=True):
        x, y = (kind.canonical(v) & np.uint32(mask) for v in (a, b))
        np.testing.assert_array_equal(row, exact_float(kind, "mulf", x, y))


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_their_headers_are_parsed_once(
    simulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dump is taken ('!' is how the compiler says it) with all flags of a compilation."""
    said = []

    def spy(arguments: Sequence[str | Path], *, cwd: Path, **_: object) -> None:
        command = [cpp.COMPILER, *arguments, "-H", "-fsyntax-only"]
        said.append(subprocess.run(command, cwd=cwd, capture_output=True, text=True).stderr)

    module = importlib.import_module(f"asnet_mlir.cores.simulation.by_{simulator}")
    family = make_family([combinational("a ^ b")], EIGHT)
    module.build(family)  # the dump is there
    monkeypatch.setattr(cpp, "compile", spy)
    module._build(tmp_path, family)
    assert len(said) == 1 and said[0].startswith("! "), said


def test_widths() -> None:
    first, second = port_widths([combinational("a", 5, result=40), combinational("a & b", 64)])
    assert (first.a, first.b, first.result) == (5, 5, 40)
    assert [dtype.itemsize for dtype in first.dtypes] == [1, 1, 8]
    a = np.array([0xFEDCBA9876543210], np.uint64)
    assert int(simulate_pairs(combinational("a + b", 64), a, a)[0]) == 0xFDB97530ECA86420
    assert second.result == 64
    with pytest.raises(UnsupportedError, match="a port has 65 bits; cores of more than 64"):
        simulate_pairs(combinational("a + b", 64, result=65), a, a)


def test_latencies_are_observed() -> None:
    assert measure_latency(combinational("a - b")) == (0, 0)
    assert measure_latency(parse_instance("fmul:LATENCY=5")) == (5, 5)
    assert measure_latency(divider()) == (9, 9)
    assert measure_latency(divider(EARLY=1)) == (1, 9)
    assert measure_latency(serial()) == (8, 8)
    unequal = (
        "module u(input clk, input [7:0] a, input [7:0] b, output [7:0] y);\n"
        "reg [7:0] c, d; always @(posedge clk) begin c <= a; d <= c; end\n"
        "assign y = d ^ c ^ b;\nendmodule\n"
    )
    core = core_of(unequal, "u", Ports("a", "b", "y", "clk"))
    with pytest.raises(UnsupportedError, match="a core is a pipeline of one depth"):
        measure_latency(core.instance())
    restless = SERIAL.replace("if (phase == 7) p <= next;", "p <= p + 1;")
    with pytest.raises(InputError, match="never comes to rest .* declare it"):
        measure_latency(serial(text=restless))


def test_a_core_that_is_never_done() -> None:
    core = divider().core
    stuck = dataclasses.replace(core.sources[0], text=DIVIDER.replace("left == 1", "a == 3"))
    with pytest.raises(InputError, match="never raises done: not within 4096 cycles of a start"):
        measure_latency(dataclasses.replace(core, sources=(stuck,)).instance())


def test_stateful_cores_are_checked() -> None:
    exact = dataclasses.replace(divider().core, exact=True)
    reports = check([exact.instance(), dataclasses.replace(serial().core, exact=True).instance()])
    for report in reports:
        assert report.passed, report.failures
        assert report.strategy == "simulated"
        assert report.vectors == 1 << 16
        assert report.simulator_vectors == dict.fromkeys(report.simulators, 1 << 16)
    assert [report.latency_cycles for report in reports] == [9, 8]


def test_stateful_cores_that_break_their_contract_fail() -> None:
    (slow,) = check([divider(latency=7)])
    assert any("at most 7 cycles, takes 9 for a = 0x" in line for line in slow.failures)
    (early,) = check([serial(latency=7)])
    assert "declares a latency of 7 cycles, simulation shows 8" in early.failures
    wrong = dataclasses.replace(serial().core, exact=True, op="addi")
    (report,) = check([wrong.instance()])
    assert any("simulation and exact addi differ" in line for line in report.failures)
    text = SERIAL.replace("(phase == 0 ? 16'd0 : sum)", "sum")  # never cleared
    (leaky,) = check([serial(text=text)])
    assert any("its result depends on earlier operands" in line for line in leaky.failures)


@pytest.mark.parametrize(
    "body",
    [
        "case (a[1:0]) 0: y = b; 1: y = a; 2: y = a ^ b; default: y = 8'bx; endcase",
        # A latch that only its own block reads.
        "begin if (a[0]) t = a + b; y = t ^ 1; end",
    ],
)
def test_undefined_values_are_found(body: str) -> None:
    text = "module m(input [7:0] a, input [7:0] b, output reg [7:0] y);\nreg [7:0] t;\n"
    text += f"always @* {body}\nendmodule\n"
    (report,) = check([core_of(text, "m", Ports("a", "b", "y")).instance()])
    assert not report.passed
    # First, as what else is seen comes from it.
    assert "the result depends on undefined (x) values: on a signal" in report.failures[0]


def run_alone(body: str, result: str = "a") -> None:
    """Simulate a clocked module by Verilator alone, whatever Yosys would say to it."""
    text = (
        "module m(input clk, input [7:0] a, input [7:0] b, output [7:0] y);\n"
        f"{body}\nassign y = {result};\nendmodule\n"
    )
    family = make_family([core_of(text, "m", Ports("a", "b", "y", "clk")).instance()], EIGHT)
    build(family, "verilator").run(*every_pair())


@pytest.mark.parametrize(
    "body, result, message",
    [
        ("always @(posedge clk) if (a == 7) $finish;", "a", "ends the simulation itself"),
        ("always @(posedge clk) if (a == 7) $fatal;", "a", "ends the simulation itself"),
        ("wire [7:0] c = ~c & a;", "c", "does not settle"),
        (
            "reg [7:0] i = 1; always @(posedge clk) while (i != 0) i = i + 2;",
            "i",
            "took longer than [12] s; the Verilog may hold an endless loop",
        ),
    ],
)
def test_verilog_that_ends_or_never_does(
    body: str, result: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asnet_mlir.cores.simulation.simulation._BASE_SECONDS", 0.5)
    with pytest.raises(InputError, match=message) as caught:
        run_alone(body, result)
    assert "\n" not in str(caught.value)


def test_a_simulation_writes_no_files(tmp_path: Path) -> None:
    body = f'integer f; initial begin f = $fopen("{tmp_path}/x", "w"); $fdisplay(f, "hello"); end'
    try:
        run_alone(body)
    except AsnetError as error:
        assert "\n" not in str(error)
    assert all(path.stat().st_size == 0 for path in tmp_path.iterdir())


def test_prints_are_dropped() -> None:
    a, b = every_pair()
    body = 'always @* $display("%0d %s", a, {400{"x"}});'
    np.testing.assert_array_equal(simulate_pairs(combinational("a", body=body), a, b), a)


def test_names_that_are_keywords_elsewhere() -> None:
    text = "module bit(input [7:0] logic, input [7:0] do, output [7:0] y);\nassign y = logic"
    text += " + do;\nendmodule\n"
    a, b = every_pair()
    for simulator in SIMULATORS:
        core = core_of(text, "bit", Ports("logic", "do", "y"))
        got = simulate_pairs(core.instance(), a, b, simulator=simulator)
        np.testing.assert_array_equal(got, (a + b) & np.uint64(255))


def test_blocks() -> None:
    a, b = (operand.astype(np.uint8) for operand in every_pair())
    library = ctypes.CDLL(str(block_library(divider())))
    library.asnet_block_failures.restype = ctypes.c_int64
    pointer = ctypes.c_void_p

    def call(x: np.ndarray, y: np.ndarray, into: np.ndarray) -> None:
        library.asnet_block(
            pointer(x.ctypes.data),
            pointer(y.ctypes.data),
            pointer(into.ctypes.data),
            ctypes.c_int64(x.size),
        )

    results = [np.zeros(a.size, np.uint8) for _ in range(3)]
    threads = [threading.Thread(target=call, args=(a, b, result)) for result in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    call(a[:0], b[:0], results[0])
    for result in results:
        np.testing.assert_array_equal(result, quotients(a, b))
    assert library.asnet_block_failures() == 0
    # Pipelines and iterative cores keep their phase from call to call.
    for instance, kind, op in (
        (serial(), np.uint16, np.multiply),
        (parse_instance("fadd:LATENCY=4"), np.float32, np.add),
    ):
        library = ctypes.CDLL(str(block_library(instance)))
        for size in (1, 7, 300):
            x, y = (np.arange(size).astype(kind) for _ in range(2))
            if kind == np.uint16:
                x, y = (v.astype(np.uint8) for v in (x, y))
            into = np.zeros(size, kind)
            call(x, y, into)
            np.testing.assert_array_equal(into, op(x.astype(kind), y.astype(kind)))


@pytest.mark.parametrize("name", ["bf16", "f16"])
def test_narrow_formats_are_rounded_once(name: str) -> None:
    kind = FLOAT_FORMATS[name]
    host = {"bf16": ml_dtypes.bfloat16, "f16": np.float16}[name]
    corners = corner_pairs(kind)
    drawn = random_pairs(100_000, 3, name)
    a, b = (np.concatenate(pair) for pair in zip(corners, drawn, strict=True))
    assert len(set(corner_values(name).tolist())) == corner_values(name).size > 64
    for op, operation in (("addf", np.add), ("subf", np.subtract), ("mulf", np.multiply)):
        with np.errstate(all="ignore"):
            want = operation(a.view(host), b.view(host)).view(np.uint16)
        np.testing.assert_array_equal(exact_float(kind, op, a, b), kind.canonical(want), op)


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.sampled_from(["bf16", "f16"]))
@settings(max_examples=300, deadline=None)
def test_narrow_quotients_are_the_nearest(a: int, b: int, name: str) -> None:
    from fractions import Fraction

    kind = FLOAT_FORMATS[name]
    x, y = (np.array([v], np.uint16) for v in (a, b))
    values = [float(kind.to_float64(v)[0]) for v in (x, y)]
    got = int(exact_float(kind, "divf", x, y)[0])
    if not all(np.isfinite(values)) or values[1] == 0.0:
        return
    exact = Fraction(values[0]) / Fraction(values[1])
    if got & (kind.sign - 1) == kind.infinity:
        greatest = Fraction(float(kind.to_float64(np.array([kind.infinity - 1], np.uint16))[0]))
        assert abs(exact) > greatest
        return
    magnitude = got & (kind.sign - 1)
    near = [magnitude + step for step in (-1, 0, 1) if 0 <= magnitude + step < kind.infinity]
    errors = {
        m: abs(abs(exact) - Fraction(float(kind.to_float64(np.array([m], np.uint16))[0])))
        for m in near
    }
    assert errors[magnitude] == min(errors.values())
    if list(errors.values()).count(errors[magnitude]) > 1:
        assert magnitude & 1 == 0


@given(
    st.sampled_from(["addi", "subi", "muli", "divi"]),
    st.integers(0, (1 << 64) - 1),
    st.integers(0, (1 << 64) - 1),
    st.tuples(st.integers(1, 64), st.integers(1, 64), st.integers(1, 64)),
    st.booleans(),
)
@settings(max_examples=500, deadline=None)
def test_exact_integers(op: str, a: int, b: int, widths: tuple[int, int, int], signed: bool):
    a, b = a & (1 << widths[0]) - 1, b & (1 << widths[1]) - 1

    def value(bits: int, width: int) -> int:
        return bits - (1 << width) if signed and bits >> width - 1 else bits

    x, y = value(a, widths[0]), value(b, widths[1])
    got, defined = exact_integer(
        op, np.array([a], np.uint64), np.array([b], np.uint64), widths, signed
    )
    assert bool(defined[0]) == (op != "divi" or y != 0)
    if defined[0]:
        magnitude = abs(x) // abs(y) if op == "divi" else 0
        want = {
            "addi": x + y,
            "subi": x - y,
            "muli": x * y,
            "divi": -magnitude if (x < 0) != (y < 0) else magnitude,
        }[op]
        assert int(got[0]) == want & (1 << widths[2]) - 1
