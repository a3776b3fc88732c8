# SPDX-License-Identifier: Apache-2.0
"""Gates of netlists, what nobody can see in them, and models that need no words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from random_verilog import random_module

from asnet_mlir.cores import core_from_verilog
from asnet_mlir.cores.circuits.aig import Graph
from asnet_mlir.cores.circuits.gates import Gates
from asnet_mlir.cores.models import derive
from asnet_mlir.cores.models.derive import derive_models
from asnet_mlir.cores.models.kernel import compile_elementwise
from asnet_mlir.cores.models.netlist_models import graph_of
from asnet_mlir.cores.verilog.elaborate import elaborate
from asnet_mlir.cores.verilog.netlist import Netlist
from asnet_mlir.cores.verilog.structural_latency import measure_latency
from asnet_mlir.cores.verilog.structure import remove_registers
from asnet_mlir.errors import InputError, UnsupportedError

FUNCTIONS = 12

LEADING_ONE = """\
module lead(input [7:0] a, input [7:0] b, output reg [15:0] y);
  reg [2:0] k; integer i;
  always @* begin
    k = 0;
    for (i = 0; i < 8; i = i + 1) if (a[i]) k = i[2:0];
    case (k)
      3'd0: y = b;
      3'd1: y = {b, 1'b0};
      3'd2: y = {b, 2'b0} + 16'd1;
      3'd3: y = {b, 3'b0} ^ 16'h5;
      default: y = {8'd0, b} * 16'd37;
    endcase
  end
endmodule
"""


def leading_one(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a.astype(np.int64), b.astype(np.int64)
    k = np.floor(np.log2(np.maximum(a, 1)))
    return np.select([k == 0, k == 1, k == 2, k == 3], [b, b * 2, b * 4 + 1, b * 8 ^ 5], b * 37)


def every_pair() -> tuple[np.ndarray, np.ndarray]:
    pairs = np.arange(1 << 16)
    return (pairs >> 8).astype(np.uint8), (pairs & 255).astype(np.uint8)


def results(tmp_path: Path, text: str, name: str, ports: dict | None = None, **options: object):
    path = tmp_path / f"{name}.v"
    path.write_text(text)
    core = core_from_verilog([path], ports=ports)
    found = derive_models({"f": core.instance()}, **options)  # type: ignore[arg-type]
    return compile_elementwise(found)("f", *every_pair()), found["f"]


@pytest.mark.parametrize("strategy", ["word", "bitslice", "table"])
def test_a_case_on_the_place_of_the_leading_one(tmp_path: Path, strategy: str) -> None:
    got, found = results(tmp_path, LEADING_ONE, "lead", strategy=strategy)
    assert found.strategy == strategy
    np.testing.assert_array_equal(got, leading_one(*every_pair()))


def test_what_words_cannot_do_gates_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASNET_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(derive, "convert", lambda jobs: [{"error": "no", "cell": ""} for _ in jobs])
    for strategy in ("bitslice", "table"):
        got, found = results(tmp_path, LEADING_ONE, "lead", strategy=strategy)
        np.testing.assert_array_equal(got, leading_one(*every_pair()))
    _, found = results(tmp_path, LEADING_ONE, "lead")
    assert found.strategy in ("bitslice", "table")
    with pytest.raises(UnsupportedError, match=r"lead\.v:1: lead: no$"):
        results(tmp_path, LEADING_ONE, "lead", strategy="word")


def test_gates_of_an_f32_core_see_the_canonical_nan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASNET_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(derive, "convert", lambda jobs: [{"error": "no", "cell": ""} for _ in jobs])
    path = tmp_path / "x.v"
    path.write_text("module x(input [31:0] a, b, output [31:0] y); assign y = a ^ b; endmodule")
    core = core_from_verilog([path], op="mulf")
    found = derive_models({"f": core.instance()})
    a = np.array([0xFFC00001, 0x7F800001, 0x3F800000], np.uint32)
    got = compile_elementwise(found)("f", a.view(np.float32), np.zeros(3, np.float32))
    assert got.view(np.uint32).tolist() == [0x7FC00000, 0x7FC00000, 0x3F800000]


def test_gates_and_words_of_random_functions_agree(tmp_path: Path) -> None:
    path = tmp_path / "random.v"
    path.write_text(random_module(FUNCTIONS, 5))
    core = core_from_verilog([path], ports={"a": "a", "b": "b", "result": "result"})
    instances = {f"k{n}": core.instance({"K": n}) for n in range(FUNCTIONS)}
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 1 << width, 512, np.uint32) for width in (24, 20))
    models = derive_models(instances, "word")
    kernel = compile_elementwise(models)
    for (symbol, instance), read in zip(
        instances.items(), elaborate(list(instances.values())), strict=True
    ):
        assert isinstance(read, Netlist)
        flat, _ = remove_registers(read, instance)
        graph, inputs, outputs = graph_of(instance, flat)
        bits = [(v >> k & 1).astype(bool) for v, w in ((a, 24), (b, 20)) for k in range(w)]
        planes = graph.evaluate(outputs, dict(zip(inputs, bits, strict=True)))
        got = sum(plane.astype(np.uint64) << np.uint64(k) for k, plane in enumerate(planes))
        np.testing.assert_array_equal(got, kernel(symbol, a, b), symbol)


def test_gates_of_every_cell() -> None:
    # What the functions above do not have: cells of other tools' netlists.
    def cell(kind: str, width: int, pins: dict, **parameters: str) -> dict:
        return {
            "type": kind,
            "parameters": parameters,
            "port_directions": {**dict.fromkeys(pins, "input"), "Y": "output"},
            "connections": {**pins, "Y": list(range(100, 100 + width))},
        }

    def value(entry: dict, a: int, b: int, s: int) -> int:
        graph = Graph()
        bits = {2 + k: a >> k & 1 for k in range(4)} | {6 + k: b >> k & 1 for k in range(4)}
        bits |= {10 + k: s >> k & 1 for k in range(4)}
        word = Gates(graph, {"c": entry}, bits).word(entry["connections"]["Y"])
        return sum(literal << k for k, literal in enumerate(word))

    a_bits, b_bits, s_bits = [2, 3, 4, 5], [6, 7, 8, 9], [10, 11, 12, 13]
    for a, b, s in [(0b1100, 0b1010, 0b0110), (0b0111, 0b0001, 0b1011), (0, 15, 15)]:
        pins = {"A": a_bits, "B": b_bits}
        assert value(cell("$bwmux", 4, {**pins, "S": s_bits}), a, b, s) == a & ~s | b & s
        choice = (b << 4 | a) >> 2 * (s & 3) & 3
        assert value(cell("$bmux", 2, {"A": a_bits + b_bits, "S": s_bits[:2]}), a, b, s) == choice
        gate = {pin: [bits[0]] for pin, bits in zip("ABC", (a_bits, b_bits, s_bits), strict=True)}
        a0, b0, s0 = a & 1, b & 1, s & 1
        assert value(cell("$_AOI3_", 1, gate), a, b, s) == 1 - (a0 & b0 | s0)
        mux = {"A": gate["A"], "B": gate["B"], "S": gate["C"]}
        assert value(cell("$_NMUX_", 1, mux), a, b, s) == 1 - (b0 if s0 else a0)
        amount = s - 16 * (s >> 3)
        moved = a >> amount if amount >= 0 else a << -amount
        shift = cell("$shift", 4, {"A": a_bits, "B": s_bits}, B_SIGNED="1")
        assert value(shift, a, b, s) == moved & 15


HIDDEN = """\
module hidden(input [7:0] a, input [7:0] b, output reg [7:0] y);
  reg [7:0] t; wire s = a[0] ^ b[0];
  always @* if (s) t = a + b;
  always @* if ({READ}) y = t ^ 8'h5a; else y = a & b;
endmodule
"""


def test_blocks_share_the_variable_of_their_loops(tmp_path: Path) -> None:
    text = "module m(input [7:0] a, b, output [7:0] y);\ninteger i; reg [7:0] t, u;\n"
    text += "always @* for (i = 0; i < 8; i = i + 1) t[i] = a[i];\n"
    text += "always @* for (i = 7; i >= 0; i = i - 1) u[i] = b[i] & i < 6;\n"
    got, _ = results(tmp_path, f"{text}assign y = t & u;\nendmodule", "m")
    a, b = every_pair()
    np.testing.assert_array_equal(got, a & b & 63)


def test_a_latch_that_nobody_sees(tmp_path: Path) -> None:
    got, _ = results(tmp_path, HIDDEN.replace("{READ}", "a[0] != b[0]"), "hidden")
    a, b = every_pair()
    np.testing.assert_array_equal(got, np.where((a ^ b) & 1, a + b ^ 0x5A, a & b))


def test_a_latch_that_takes_a_constant(tmp_path: Path) -> None:
    text = HIDDEN.replace("a + b", "8'h21").replace("{READ}", "s")
    got, _ = results(tmp_path, text, "hidden")
    a, b = every_pair()
    np.testing.assert_array_equal(got, np.where((a ^ b) & 1, 0x21 ^ 0x5A, a & b))


@pytest.mark.parametrize("read", ["a[0]", "s | a[1]", "1'b1"])
def test_a_latch_that_can_be_seen(tmp_path: Path, read: str) -> None:
    with pytest.raises(InputError, match=r"hidden\.v:3: hidden: a latch is inferred, and what it"):
        results(tmp_path, HIDDEN.replace("{READ}", read), "hidden")


def test_a_latch_between_registers(tmp_path: Path) -> None:
    # What a stage holds is chosen by another register, a stage later.
    text = (
        "module staged(input clk, input [7:0] a, b, output reg [7:0] y);\n"
        "  reg [7:0] t, u, v; reg s;\n"
        "  always @* if (a[0]) t = a + b;\n"
        "  always @(posedge clk) begin u <= t; v <= b; s <= a[0]; y <= s ? u : v; end\nendmodule\n"
    )
    path = tmp_path / "staged.v"
    path.write_text(text)
    assert measure_latency(core_from_verilog([path]).instance()) == 2
    path.write_text(text.replace("s <= a[0]", "s <= a[1]"))
    with pytest.raises(InputError, match="a latch is inferred"):
        core_from_verilog([path])


def test_latches_in_a_core_with_a_state(tmp_path: Path) -> None:
    text = (
        "module acc(input clk, start, input [7:0] a, b, output reg done, output reg [7:0] y);\n"
        "  reg [7:0] t;\n  always @* if (start) t = a + b;\n"
        "  always @(posedge clk) begin done <= start; if (start) y <= t; end\nendmodule\n"
    )
    path = tmp_path / "acc.v"
    path.write_text(text)
    assert core_from_verilog([path], latency=1).is_stateful
    path.write_text(text.replace("if (start) y", "y"))
    with pytest.raises(InputError, match=r"acc\.v:3: acc: a latch is inferred"):
        core_from_verilog([path], latency=1)


def test_a_vector_that_feeds_its_own_lower_bits_is_no_loop(tmp_path: Path) -> None:
    got, _ = results(
        tmp_path,
        "module ripple(input [7:0] a, b, output [7:0] y);\n"
        "  wire [7:0] w; assign w = {1'b1, w[7:1] & ~a[7:1]}; assign y = w ^ b;\nendmodule\n",
        "ripple",
    )
    a, b = every_pair()
    lead = np.where(a >> 1, np.floor(np.log2(np.maximum(a, 1))), 0).astype(int)
    np.testing.assert_array_equal(got, (0xFF << lead & 0xFF) ^ b)


def test_a_quotient_that_nobody_sees_where_its_divisor_is_0(tmp_path: Path) -> None:
    text = (
        "module quot(input signed [7:0] a, b, output signed [7:0] y);\n"
        "  assign y = b == 0 ? 8'sd77 : a / b + a % b;\nendmodule\n"
    )
    got, _ = results(tmp_path, text, "quot")
    a, b = (v.view(np.int8).astype(np.int64) for v in every_pair())
    safe = np.where(b == 0, 1, b)
    quotient = np.trunc(a / safe).astype(np.int64)
    want = np.where(b == 0, 77, quotient + a - quotient * safe)
    np.testing.assert_array_equal(got, want.astype(np.uint8))


def test_operands_for_which_nothing_is_specified(tmp_path: Path) -> None:
    text = "module open(input [7:0] a, b, output [7:0] y); assign y = a / b; endmodule\n"
    with pytest.raises(UnsupportedError, match=r"open\.v:1: open: division .* unspecified\.b=0"):
        results(tmp_path, text, "open")
    got, _ = results(tmp_path, text, "open", {"unspecified.b": 0})
    a, b = every_pair()
    np.testing.assert_array_equal(got, np.where(b, a // np.maximum(b, 1), 0))
    with pytest.raises(UnsupportedError, match="division by what may be zero"):
        results(tmp_path, text, "open", {"unspecified.b": 1})
    for ports in ({"unspecified.c": 0}, {"unspecified.b": 256}, {"unspecified.b": -1}):
        with pytest.raises(InputError, match="unspecified"):
            results(tmp_path, text, "open", ports)
