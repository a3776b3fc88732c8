# SPDX-License-Identifier: Apache-2.0
"""Small Verilog modules and seeded mutations of them; few are still what they were."""

from __future__ import annotations

import random
import re

__all__ = ["BASES", "mutant"]

#: Modules to start from, by the name of their top.
BASES = {
    "gates": """
module gates(input [2:0] a, input [2:0] b, output [5:0] y);
  wire p00, p01, p02, p10, p11, p12, p20, p21, p22;
  and g0(p00, a[0], b[0]); and g1(p01, a[0], b[1]); and g2(p02, a[0], b[2]);
  and g3(p10, a[1], b[0]); and g4(p11, a[1], b[1]); and g5(p12, a[1], b[2]);
  and g6(p20, a[2], b[0]); nand g7(n21, a[2], b[1]); not g8(p21, n21); and g9(p22, a[2], b[2]);
  wire n21, s1, c1, s2, c2, s3, c3, s4, c4, t2, u2, t3, u3;
  xor x1(s1, p01, p10); and c1g(c1, p01, p10);
  xor x2(t2, p02, p11, p20); xor x3(s2, t2, c1);
  assign u2 = p02 & p11 | p02 & p20 | p11 & p20;
  and c2g(c2, t2, c1);
  xor x4(t3, p12, p21, u2); xor x5(s3, t3, c2);
  assign u3 = p12 & p21 | p12 & u2 | p21 & u2;
  and c3g(c3, t3, c2);
  xor x6(s4, p22, u3, c3); assign c4 = p22 & u3 | p22 & c3 | u3 & c3;
  assign y = {c4, s4, s3, s2, s1, p00};
endmodule
""",
    "alu": """
module alu(input [7:0] a, input [7:0] b, output reg [11:0] y);
  localparam [1:0] ADD = 2'd0, SUB = 2'd1, SHIFT = 2'd2;
  wire signed [7:0] sa = a, sb = b;
  wire [3:0] amount = {1'b0, b[2:0]};
  always @* begin
    y = 12'd0;
    case (a[1:0])
      ADD: y = a + {4'b0, b};
      SUB: y = sa - sb;
      SHIFT: y = a << amount;
      default: if (sa < sb) y = {a[3:0], b}; else y = a ^ ~b;
    endcase
  end
endmodule
""",
    "pipe": """
module pipe(input clk, input [5:0] a, input [5:0] b, output reg [11:0] y);
  reg [5:0] x, w;
  reg [11:0] product;
  always @(posedge clk) begin
    x <= a;
    w <= b | 6'd1;
    product <= x * w;
    y <= product + 12'h021;
  end
endmodule
""",
    "hierarchy": """
module adder #(parameter N = 4) (input [N-1:0] p, input [N-1:0] q, input c, output [N:0] s);
  assign s = p + q + c;
endmodule
module hierarchy #(parameter CUT = 2) (input [7:0] a, input [7:0] b, output [8:0] y);
  wire [4:0] low, high;
  adder #(.N(4)) u_low(.p(a[3:0]), .q(b[3:0]), .c(1'b0), .s(low));
  adder #(.N(4)) u_high(.p(a[7:4]), .q(b[7:4]), .c(low[4]), .s(high));
  assign y = {high, low[3:0] >> CUT << CUT};
endmodule
""",
    "loops": """
module loops(input signed [6:0] a, input signed [6:0] b, output signed [13:0] y);
  function [3:0] ones; input [6:0] v; integer i; begin
    ones = 0; for (i = 0; i < 7; i = i + 1) ones = ones + v[i]; end endfunction
  wire [6:0] flipped; genvar g;
  generate for (g = 0; g < 7; g = g + 1) begin : bit_
    assign flipped[g] = a[6 - g] ^ b[g]; end endgenerate
  assign y = a * b + $signed({1'b0, ones(flipped)}) - (a >>> 2);
endmodule
""",
    "enabled": """
module enabled(input clk, input rst, input en, input [4:0] a, input [4:0] b, output [9:0] y);
  reg [9:0] r;
  always @(posedge clk) if (rst) r <= 0; else if (en) r <= {a & b, a | b};
  assign y = r;
endmodule
""",
}

_TOKEN = re.compile(r"\d*'s?[bdhoBDHO][0-9a-fA-FxXzZ_?]+|\$?\w+|<<<|>>>|<=|>=|==|<<|>>|\S")
_OPERATORS = ["+", "-", "*", "&", "|", "^", "<<", ">>", ">>>", "<", "<=", "==", "/", "%", "~^"]
_WORDS = {
    "posedge": ["negedge", ""],
    "input": ["output", "inout"],
    "output": ["input", "inout", "output reg"],
    "wire": ["reg", "wand", ""],
    "reg": ["wire", ""],
    "signed": [""],
    "assign": ["always @*", "initial", ""],
    "always": ["initial", "always_latch", "always_comb", "always_ff"],
    "and": ["or", "nor", "bufif1"],
    "xor": ["xnor", "nand"],
    "case": ["casez", "casex"],
    "default": ["2'd0"],
    "module": ["primitive", ""],
    "endmodule": [""],
}


def mutant(seed: int) -> tuple[str, str]:
    """Return the name of a base and its text, changed in one to three places."""
    rng = random.Random(seed)
    name = rng.choice(sorted(BASES))
    text = BASES[name]
    for _ in range(rng.choice([1, 1, 2, 3])):
        text = rng.choice(_MUTATIONS)(rng, text)
    return name, text


def _matches(pattern: str | re.Pattern[str], text: str) -> list[re.Match[str]]:
    return list(re.finditer(pattern, text))


def _replaced(text: str, match: re.Match[str], new: str) -> str:
    return text[: match.start()] + new + text[match.end() :]


def _delete(rng: random.Random, text: str) -> str:
    found = _matches(_TOKEN, text)
    return _replaced(text, rng.choice(found), " ") if found else text


def _duplicate(rng: random.Random, text: str) -> str:
    found = _matches(_TOKEN, text)
    match = rng.choice(found)
    return _replaced(text, match, f"{match[0]} {match[0]}")


def _swap(rng: random.Random, text: str) -> str:
    found = _matches(_TOKEN, text)
    one, two = sorted(rng.sample(found, 2), key=lambda match: match.start())
    return text[: one.start()] + two[0] + text[one.end() : two.start()] + one[0] + text[two.end() :]


def _identifier(rng: random.Random, text: str) -> str:
    """Connect something else: a loop, a net with two drivers, one with none."""
    names = [m for m in _matches(r"\b[a-z]\w*\b", text) if m[0] not in _WORDS]
    one, two = rng.sample(names, 2)
    return _replaced(text, one, two[0])


def _operator(rng: random.Random, text: str) -> str:
    found = _matches(r"(?<=\s)(\+|-|\*|&|\||\^|<<|>>>|>>|<|<=|==)(?=\s)", text)
    return _replaced(text, rng.choice(found), rng.choice(_OPERATORS)) if found else text


def _range(rng: random.Random, text: str) -> str:
    found = _matches(r"\[(\d+):(\d+)\]|\[(\d+)\]", text)
    if not found:
        return text
    high, low = rng.randrange(20), rng.randrange(4)
    return _replaced(text, rng.choice(found), rng.choice([f"[{high}:{low}]", f"[{high}]", ""]))


def _number(rng: random.Random, text: str) -> str:
    found = _matches(r"\b\d*'[bdh][0-9a-f]+\b|\b\d+\b", text)
    values = ["1'bx", "4'bz0x1", "'x", "8'hff", "0", "33", "-1", "64'd1", "1'bz", "2147483648"]
    return _replaced(text, rng.choice(found), rng.choice(values)) if found else text


def _word(rng: random.Random, text: str) -> str:
    found = [m for m in _matches(r"\b[a-z]+\b", text) if m[0] in _WORDS]
    if not found:
        return text
    match = rng.choice(found)
    return _replaced(text, match, rng.choice(_WORDS[match[0]]))


def _statement(rng: random.Random, text: str) -> str:
    """Delete or duplicate all up to the next semicolon, or make it conditional (a latch)."""
    found = _matches(r"[^;]+;", text)
    match = rng.choice(found)
    body = match[0]
    latch = re.sub(r"^(\s*)", r"\1 if (a[0]) ", body, count=1)
    return _replaced(text, match, rng.choice(["", body + body, latch]))


_MUTATIONS = [
    *(_delete, _duplicate, _swap, _identifier, _identifier, _operator, _operator),
    *(_range, _range, _number, _number, _word, _statement),
]
