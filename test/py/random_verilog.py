# SPDX-License-Identifier: Apache-2.0
"""Small random Verilog: one module whose parameter K selects one of many functions of a and b."""

from __future__ import annotations

import random

A_WIDTH, B_WIDTH, RESULT_WIDTH = 24, 20, 48

_BINARY = ["+", "-", "*", "&", "|", "^", "~^", "&&", "||"]
_COMPARE = ["==", "!=", "<", "<=", ">", ">=", "===", "!=="]
_SHIFTS = ["<<", ">>", "<<<", ">>>"]
_UNARY = ["-", "~", "!", "&", "|", "^", "~&", "~|", "~^", "+"]


class _Generator:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.wires: list[str] = []

    def leaf(self) -> str:
        pick = self.random.random()
        if self.wires and pick < 0.35:
            return self.random.choice(self.wires)
        if pick < 0.8:
            return self.operand()
        width = self.random.randrange(1, 14)
        sign = self.random.choice(["s", ""])
        return f"{width}'{sign}d{self.random.randrange(1 << width)}"

    def operand(self) -> str:
        """Return a slice of a or b."""
        name, width = self.random.choice([("a", A_WIDTH), ("b", B_WIDTH)])
        low = self.random.randrange(width)
        high = min(width - 1, low + self.random.randrange(12))
        text = f"{name}[{high}:{low}]"
        return f"$signed({text})" if self.random.random() < 0.5 else text

    def expression(self, depth: int) -> str:
        if depth == 0:
            return self.leaf()
        deeper = [self.expression(depth - 1) for _ in range(3)]
        a, b, c = deeper
        kind = self.random.randrange(12)
        if kind < 3:
            return f"({a} {self.random.choice(_BINARY)} {b})"
        if kind == 3:
            return f"({a} {self.random.choice(_COMPARE)} {b})"
        if kind in (4, 5):
            # An amount of any width, so that it often exceeds the operand's.  Not a constant one
            # for >>>: Verilator 5.052 shifts in zeros where a constant amount exceeds the width.
            operator = self.random.choice(_SHIFTS)
            amount = self.operand() if operator == ">>>" else self.leaf()
            return f"({a} {operator} {amount})"
        if kind == 6:
            return f"({self.random.choice(_UNARY)} {a})"
        if kind == 7:
            return f"({a} ? {b} : {c})"
        if kind == 8:
            return f"{{{a}, {{2{{{b}}}}}}}"
        if kind == 9:
            # The divisor is odd: division by zero is undefined.
            divisor = f"{{{b}, 1'b1}}"
            if self.random.random() < 0.5:
                divisor = f"$signed({divisor})"
            return f"({a} {self.random.choice('/%')} {divisor})"
        if kind == 10:
            return f"$signed({a})"
        return f"$unsigned({a})"

    def function(self, number: int) -> list[str]:
        """Return the statements of one function: wires of odd widths, then the result."""
        lines = []
        self.wires = []
        for index in range(self.random.randrange(1, 4)):
            sign = self.random.choice(["signed ", ""])
            width = self.random.randrange(1, 40)
            name = f"t{number}_{index}"
            lines.append(f"wire {sign}[{width - 1}:0] {name} = {self.expression(2)};")
            self.wires.append(name)
        flavour = number % 6
        if flavour == 0:  # variable part-select: $shiftx
            lines.append(f"wire [63:0] big{number} = {{a, b, a[19:0]}};")
            lines.append(f"assign result = big{number}[b[4:0] +: 16] + {self.expression(1)};")
        elif flavour == 1:  # case: $pmux
            items = "\n".join(f"3'd{k}: r{number} = {self.expression(1)};" for k in range(7))
            lines.append(f"reg [{RESULT_WIDTH - 1}:0] r{number};")
            lines.append(
                f"always @* case (a[2:0])\n{items}\ndefault: r{number} = {self.expression(1)};"
                f"\nendcase\nassign result = r{number};"
            )
        elif flavour == 2:  # writing through a variable index: $shift and masks
            lines.append(f"reg [{RESULT_WIDTH - 1}:0] r{number};")
            lines.append(
                f"always @* begin r{number} = {self.expression(2)}; "
                f"r{number}[b[4:0] +: 7] = {self.expression(1)}; end assign result = r{number};"
            )
        else:
            lines.append(f"assign result = {self.expression(3)};")
        return lines


def random_module(count: int, seed: int) -> str:
    """Return the text of module `random_verilog`; K = 0..count-1 selects the function."""
    generator = _Generator(seed)
    lines = [
        "module random_verilog #(parameter K = 0) (",
        f"  input wire [{A_WIDTH - 1}:0] a, input wire [{B_WIDTH - 1}:0] b,",
        f"  output wire [{RESULT_WIDTH - 1}:0] result);",
        "generate",
    ]
    for number in range(count):
        lines.append(f"if (K == {number}) begin : g{number}")
        lines += generator.function(number)
        lines.append("end")
    return "\n".join([*lines, "endgenerate", "endmodule", ""])
