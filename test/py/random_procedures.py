# SPDX-License-Identifier: Apache-2.0
"""Small random Verilog of always blocks: loops, cases on what they find, arrays, latches.

One module whose parameter K selects one of many functions of a and b, as in `random_verilog.py`.
"""

from __future__ import annotations

import random

__all__ = ["random_latches", "random_procedures"]


class _Writer:
    """Expressions of a few operands; every divisor is odd and every index in range."""

    def __init__(self, rng: random.Random, leaves: list[str]) -> None:
        self.random = rng
        self.leaves = leaves

    def expression(self, depth: int = 2) -> str:
        pick = self.random.random()
        if depth == 0 or pick < 0.2:
            if self.random.random() < 0.2:
                return f"{self.random.randrange(1, 9)}'d{self.random.randrange(2)}"
            return self.random.choice(self.leaves)
        x, y = self.expression(depth - 1), self.expression(depth - 1)
        if pick < 0.7:
            return (
                f"({x} {self.random.choice(['+', '-', '^', '&', '|', '*', '<', '==', '>>'])} {y})"
            )
        if pick < 0.8:
            return f"({x} ? {y} : {self.expression(depth - 1)})"
        if pick < 0.9:
            return f"({self.random.choice(['~', '-', '!', '^', '|', '&'])}{x})"
        return f"{{{x}, {y}}}"


_HEAD = """\
module random_{name} #(parameter K = 0) (input [{a}:0] a, input [{b}:0] b, output [{r}:0] result);
generate
"""


def _module(name: str, widths: tuple[int, int, int], bodies: list[str]) -> str:
    a, b, r = (width - 1 for width in widths)
    text = _HEAD.format(name=name, a=a, b=b, r=r)
    for number, body in enumerate(bodies):
        text += f"if (K == {number}) begin : g{number}\n{body}end\n"
    return text + "endgenerate\nendmodule\n"


def random_procedures(count: int, seed: int) -> str:
    """Return module `random_procedures`: a[12], b[12], result[24]."""
    rng = random.Random(seed)
    flavours = [_finder, _computed_case, _array, _function, _casez, _wide_loop]
    bodies = [
        rng.choice(flavours)(rng, number)
        if number >= len(flavours)
        else flavours[number](rng, number)
        for number in range(count)
    ]
    return _module("procedures", (12, 12, 24), bodies)


def _finder(rng: random.Random, number: int) -> str:
    """A leading or trailing one by a loop, then a case on its place: DRUM and its like."""
    operand = rng.choice(["a", "b", "(a ^ b)", "(a | 12'd1)"])
    up = rng.random() < 0.5
    loop = "for (i = 0; i < 12; i = i + 1)" if up else "for (i = 11; i >= 0; i = i - 1)"
    write = _Writer(rng, ["a", "b", "k", "a[7:2]", "b[3]", "found"])
    arms = rng.sample(range(16), rng.randrange(3, 13))
    items = "\n".join(f"  4'd{arm}: r = {write.expression()};" for arm in arms)
    stop = "if (!found) begin k = i; found = 1; end" if rng.random() < 0.5 else "k = i[3:0]"
    return (
        "reg [3:0] k; reg found; reg [23:0] r; integer i; wire [11:0] w;\n"
        f"assign w = {operand};\n"
        f"always @* begin\n  k = 0; found = 0;\n  {loop} if (w[i]) {stop};\n".replace("end;", "end")
        + f"  case (k)\n{items}\n  default: r = {write.expression()};\n  endcase\nend\n"
        "assign result = r;\n"
    )


def _computed_case(rng: random.Random, number: int) -> str:
    width = rng.randrange(2, 6)
    write = _Writer(rng, ["a", "b", "a[11:6]", "b[5:0]", "s"])
    arms = rng.sample(range(1 << width), min(1 << width, rng.randrange(2, 20)))
    items = "\n".join(f"  {width}'d{arm}: r = {write.expression(1)};" for arm in arms)
    default = f"  default: r = {write.expression(1)};\n" if len(arms) < 1 << width else ""
    index = _Writer(rng, ["a", "b", "a[3:0]"]).expression()
    return (
        f"reg [23:0] r; wire [{width - 1}:0] s = {index};\n"
        f"always @* case (s)\n{items}\n{default}endcase\n"
        f"assign result = r ^ {write.expression()};\n"
    )


def _array(rng: random.Random, number: int) -> str:
    """An array that is filled, changed at computed places, and read at one."""
    write = _Writer(rng, ["a", "b", "t[i & 7]", "i[3:0]", "a[6:3]"])
    changes = "".join(
        f"  t[{index}] = {_Writer(rng, ['a', 'b', 't[a[2:0]]']).expression(1)};\n"
        for index in rng.sample(["a[2:0]", "b[4:2]", "a[5:3] ^ b[2:0]", "3'd5"], 2)
    )
    return (
        "reg [11:0] t [0:7]; reg [23:0] r; integer i;\n"
        "always @* begin\n  for (i = 0; i < 8; i = i + 1) t[i] = 0;\n"
        f"  for (i = 0; i < 8; i = i + 1) t[i] = {write.expression()};\n{changes}"
        f"  r = {{t[b[2:0]], t[a[11:9]]}} ^ {_Writer(rng, ['a', 'b', 't[1]']).expression()};\nend\n"
        "assign result = r;\n"
    )


def _function(rng: random.Random, number: int) -> str:
    write = _Writer(rng, ["x", "y", "n", "x[4:1]"])
    found = rng.choice(["x[j]", "x[j] & ~y[j]", "x[j] == y[j]"])
    return (
        f"function [11:0] f{number}(input [11:0] x, input [11:0] y);\n"
        "  reg [3:0] n; integer j;\n  begin\n    n = 0;\n"
        f"    for (j = 0; j < 12; j = j + 1) if ({found})"
        f" n = n + {rng.choice(['1', 'x[3:0]', 'j[3:0]'])};\n"
        f"    if ({write.expression(1)}) f{number} = {write.expression()};\n"
        f"    else f{number} = {write.expression()};\n  end\nendfunction\n"
        f"assign result = {{f{number}(a, b), f{number}(b ^ 12'd{rng.randrange(4096)}, a)}};\n"
    )


def _casez(rng: random.Random, number: int) -> str:
    write = _Writer(rng, ["a", "b", "a[5:0]"])
    items = ""
    for place in rng.sample(range(6), 5):
        pattern = "".join("1" if k == place else rng.choice("?0?") for k in range(6))
        items += f"  6'b{pattern}: r = {write.expression()};\n"
    return (
        f"reg [23:0] r;\nalways @* casez ({rng.choice(['a[5:0]', 'a[11:6] ^ b[5:0]', 'b[7:2]'])})\n"
        f"{items}  default: r = {write.expression()};\nendcase\nassign result = r;\n"
    )


def _wide_loop(rng: random.Random, number: int) -> str:
    """A value that is carried through a loop: a ripple of bits, a shift and add."""
    write = _Writer(rng, ["a", "b", "s[11:0]", "c"])
    step = rng.choice(
        [
            "c = (a[i] & b[i]) | (c & (a[i] ^ b[i])); s[i] = a[i] ^ b[i] ^ c;",
            "if (b[i]) s = s + (a << i); c = c ^ s[i];",
            "s = {s[22:0], a[i]} ^ (c ? {12'd0, b} : 24'd0); c = s[5] & ~b[i];",
            "c = c | a[11 - i]; s[2*i +: 2] = {c, a[i]};",
        ]
    )
    return (
        "reg [23:0] s; reg c; integer i;\nalways @* begin\n  s = 0; c = 0;\n"
        f"  for (i = 0; i < 12; i = i + 1) begin {step} end\nend\n"
        f"assign result = s + {write.expression()};\n"
    )


def random_latches(count: int, seed: int) -> str:
    """Return module `random_latches`: a[4], b[4], result[8]; K = 0 has no latch.

    Signals are assigned under conditions, and read under the same, under weaker or stronger ones.
    """
    rng = random.Random(seed)
    bodies = ["assign result = {a, b};\n"]
    while len(bodies) < count:
        conditions = [
            rng.choice(["a[0]", "b[1]", "a[1] ^ b[0]", "a < b", "a == 4'd3", "a[2] & b[2]", "|b"])
            for _ in range(2)
        ]
        lines = ["reg [3:0] t, u; reg [7:0] r;"]
        lines += [f"wire c{k} = {text};" for k, text in enumerate(conditions)]
        lines.append(f"wire c2 = {rng.choice(['c0 & c1', 'c0 | c1', 'c0', 'c1 & a[3]', '!c0'])};")
        first = _Writer(rng, ["a", "b"]).expression(1)
        lines.append(f"always @* if ({rng.choice(['c0', 'c2', 'c1'])}) t = {first};")
        second = _Writer(rng, ["a", "b", "t"]).expression(1)
        lines.append(
            rng.choice(
                [
                    f"always @* if ({rng.choice(['c0', 'c2'])}) u = {second}; else u = a;",
                    f"always @* if ({rng.choice(['c0', 'c1', 'c2'])}) u = {second};",
                    f"always @* begin u[1:0] = b[1:0]; if (c1) u[3:2] = {second}; end",
                    f"always @* case ({{c1, c0}}) 2'd0: u = {second}; 2'd1: u = b;"
                    f" {rng.choice(['2', '3'])}: u = t; endcase",
                ]
            )
        )
        reads = [rng.choice(["c0", "c1", "c2", "c0 & c1", "c1 & c2"]) for _ in range(2)]
        third = _Writer(rng, ["t", "t", "a"]).expression(1)
        fourth = _Writer(rng, ["u", "u", "b", "u[1:0]"]).expression(1)
        lines.append(
            f"always @* begin r = a; if ({reads[0]}) r = {third};"
            f" if ({reads[1]}) r = r ^ {{{fourth}, 2'd1}}; end"
        )
        bodies.append("\n".join([*lines, "assign result = r;", ""]))
    return _module("latches", (4, 4, 8), bodies)
