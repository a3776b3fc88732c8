# SPDX-License-Identifier: Apache-2.0
"""Writes the gate-level multipliers of this folder: python generate_gates.py [--check].

Array multipliers of and, or, xor gates, made approximate the way evolved circuits look: in the
low columns gates are replaced by others or by one of their inputs, and what then reaches no output
goes.  The choices come from a small generator of random numbers with a fixed seed, so that the
files are the same wherever this runs; `--check` compares instead of writing.

Licence: Apache-2.0.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent


def choices(seed: int) -> Iterator[int]:
    """Give numbers in 0..255: the top bits of MMIX's linear congruential generator."""
    state = seed
    while True:
        state = (6364136223846793005 * state + 1442695040888963407) % (1 << 64)
        yield state >> 56


@dataclass
class Circuit:
    """Gates in topological order; a net is an input's name, a gate's number, or a constant 0."""

    width: int
    spoil: Iterator[int]
    spoiled_columns: int
    rate: int  # of 256 gates in those columns
    gates: list[tuple[str, object, object]] = field(default_factory=list)

    def gate(self, kind: str, a: object, b: object, column: int) -> object:
        """Add a gate, or what replaces it, and return its output."""
        if a == 0 or b == 0:
            return 0 if kind == "and" else (b if a == 0 else a)
        if column < self.spoiled_columns and next(self.spoil) < self.rate:
            what = next(self.spoil) % 4
            if what == 0:
                return a
            if what == 1:
                return b
            kind = {"and": "and", "xor": "or", "or": "or"}[kind]
        self.gates.append((kind, a, b))
        return len(self.gates) - 1

    def add(self, a: object, b: object, c: object, column: int) -> tuple[object, object]:
        """Return sum and carry of a full adder."""
        half = self.gate("xor", a, b, column)
        total = self.gate("xor", half, c, column)
        left = self.gate("and", a, b, column)
        right = self.gate("and", half, c, column)
        return total, self.gate("or", left, right, column)

    def multiply(self) -> list[object]:
        """Build the array row by row, and return the product's bits."""
        n = self.width
        cells = [[self.gate("and", f"a{i}", f"b{j}", i + j) for i in range(n)] for j in range(n)]
        product, upper = [cells[0][0]], [*cells[0][1:], 0]
        for j in range(1, n):
            carry: object = 0
            row = []
            for i in range(n):
                total, carry = self.add(cells[j][i], upper[i], carry, i + j)
                row.append(total)
            product.append(row[0])
            upper = [*row[1:], carry]
        return product + upper


def live(circuit: Circuit, outputs: list[object]) -> list[int]:
    """Return the gates that reach an output, in order."""
    seen: set[object] = set()
    pending = list(outputs)
    while pending:
        net = pending.pop()
        if isinstance(net, int) and net and net not in seen:
            seen.add(net)
            pending += circuit.gates[net][1:]
    return sorted(seen)  # type: ignore[type-var]


def verilog(name: str, width: int, columns: int, rate: int, seed: int, style: str) -> str:
    """Return the text of one multiplier; `style` is "assign" or "primitive"."""
    circuit = Circuit(width, choices(seed), columns, rate)
    circuit.gates.append(("zero", None, None))  # so that net 0 is the constant
    outputs = circuit.multiply()
    used = live(circuit, outputs)
    number = {net: index for index, net in enumerate(used)}

    def text(net: object) -> str:
        if isinstance(net, str):
            return f"{net[0].upper()}[{net[1:]}]"
        return f"n{number[net]}" if net else "1'b0"

    lines = [
        f"// Approximate unsigned {width} x {width} bit multiplier: {len(used)} gates.",
        "// Purpose: an example of a generated circuit; generate_gates.py beside it writes it.",
        "// Licence: Apache-2.0.",
        f"module {name}(A, B, O);",
        f"  input [{width - 1}:0] A, B;",
        f"  output [{2 * width - 1}:0] O;",
    ]
    wires = [f"n{index}" for index in range(len(used))]
    lines += [f"  wire {', '.join(wires[i : i + 16])};" for i in range(0, len(wires), 16)]
    operator = {"and": "&", "or": "|", "xor": "^"}
    for net in used:
        kind, a, b = circuit.gates[net]
        if style == "assign":
            lines.append(f"  assign {text(net)} = {text(a)} {operator[kind]} {text(b)};")
        else:
            lines.append(f"  {kind} g{number[net]}({text(net)}, {text(a)}, {text(b)});")
    lines += [f"  assign O[{index}] = {text(net)};" for index, net in enumerate(outputs)]
    return "\n".join([*lines, "endmodule", ""])


FILES = {
    "mul8_pruned.v": ("mul8_pruned", 8, 8, 90, 8, "assign"),
    "mul16_pruned.v": ("mul16_pruned", 16, 14, 110, 16, "assign"),
    "mul24_gates.v": ("mul24_gates", 24, 30, 40, 24, "primitive"),
}


def main() -> int:
    """Write the files, or compare them."""
    status = 0
    for file, arguments in FILES.items():
        text = verilog(*arguments)
        path = HERE / file
        if "--check" not in sys.argv[1:]:
            path.write_text(text)
        elif not path.is_file() or path.read_text() != text:
            print(f"{file} is not what generate_gates.py makes", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
