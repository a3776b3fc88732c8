# SPDX-License-Identifier: Apache-2.0
"""Circuits of two-input gates: what evolution changes, and how they are built and written."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asnet_mlir.cores.circuits.words import Gates, Word

__all__ = ["Builder", "Circuit"]

_TABLE_BITS = 20
_HASH_PAIRS, _HASH_SEED = 1 << 16, 20261126


@dataclass(frozen=True, eq=False)
class Circuit:
    """AND and XOR gates whose inputs may be inverted, in the order of their dependences.

    Attributes:
      widths: bits of each operand, that of `a` first.
      gates: int64 [gates, 3], of two literals and 0 (AND) or 1 (XOR).  Variable 0 is the constant
        false, then come the operands' bits, lowest first, then the gates.
      outputs: int64 [bits], literals, lowest bit first.
    """

    widths: tuple[int, ...]
    gates: np.ndarray
    outputs: np.ndarray

    @property
    def first_gate(self) -> int:
        """The variable of the first gate."""
        return 1 + sum(self.widths)

    def area(self, of_and: int = 1, of_xor: int = 2) -> int:
        """Return the gates' area, by default with an XOR as large as two ANDs."""
        xors = int(self.gates[:, 2].sum()) if len(self.gates) else 0
        return (len(self.gates) - xors) * of_and + xors * of_xor

    def depth(self) -> int:
        """Return the most gates on a way from an operand to an output."""
        levels = [0] * self.first_gate
        for a, b, _ in self.gates.tolist():
            levels.append(1 + max(levels[a >> 1], levels[b >> 1]))
        return max((levels[literal >> 1] for literal in self.outputs.tolist()), default=0)

    def evaluate(self, operands: Sequence[np.ndarray]) -> np.ndarray:
        """Return results as unsigned numbers (uint64), one for each element of the operands."""
        values: list[np.ndarray] = [np.zeros(np.shape(operands[0]), bool)]
        for operand, width in zip(operands, self.widths, strict=True):
            bits = np.asarray(operand).astype(np.uint64)
            values += [(bits >> np.uint64(k) & np.uint64(1)).astype(bool) for k in range(width)]
        for a, b, is_xor in self.gates.tolist():
            left, right = values[a >> 1] ^ bool(a & 1), values[b >> 1] ^ bool(b & 1)
            values.append(left ^ right if is_xor else left & right)
        total = np.zeros(np.shape(operands[0]), np.uint64)
        for k, literal in enumerate(self.outputs.tolist()):
            bit = values[literal >> 1] ^ bool(literal & 1)
            total |= bit.astype(np.uint64) << np.uint64(k)
        return total

    def table(self, signed: bool) -> np.ndarray:
        """Return the results, int64, for all operands' bits: [2^width of a, 2^width of b].

        Args:
          signed: results are two's complement.
        """
        a, b = np.indices(tuple(1 << width for width in self.widths))
        found = self.evaluate([a, b]).astype(np.int64)
        bits = len(self.outputs)
        return found - ((found >> bits - 1 & 1) << bits) if signed else found

    def hash(self) -> str:
        """Return a hash of the results for all operands, or of more than 20 bits for 65,536 pairs.

        Different ones are of different functions, equal ones of functions that agree there.
        """
        bits = sum(self.widths)
        if bits <= _TABLE_BITS:
            numbers = np.arange(1 << bits, dtype=np.uint64)
        else:
            random = np.random.default_rng(_HASH_SEED)
            numbers = random.integers(0, 1 << bits, _HASH_PAIRS, np.uint64)
        digest = hashlib.sha256()
        for start in range(0, numbers.size, _HASH_PAIRS):  # a net's values are kept for all of them
            left, operands = numbers[start : start + _HASH_PAIRS], []
            for width in self.widths:
                operands.append(left & np.uint64((1 << width) - 1))
                left = left >> np.uint64(width)
            digest.update(self.evaluate(operands).astype("<u8").tobytes())
        return digest.hexdigest()[:16]

    def verilog(
        self,
        module: str,
        *,
        signed: bool = False,
        ports: Sequence[str] = ("a", "b", "result"),
        comment: str = "",
    ) -> str:
        """Return structural Verilog: a net for each gate.

        Args:
          signed: ports are declared as signed.
          ports: names of the operands and of the result.
          comment: what stands above the module.
        """
        kind = "wire signed" if signed else "wire"
        names = ["1'b0"]
        for port, width in zip(ports, self.widths, strict=False):
            names += [port] if width == 1 else [f"{port}[{k}]" for k in range(width)]
        names += [f"n{k}" for k in range(len(self.gates))]

        def text(literal: int) -> str:
            if literal < 2:
                return f"1'b{literal}"
            return ("~" if literal & 1 else "") + names[literal >> 1]

        lines = [f"// {line}" if line else "//" for line in comment.splitlines()]
        lines.append(f"module {module} (")
        for port, width in zip(ports, self.widths, strict=False):
            lines.append(f"  input  {kind} {_range(width)}{port},")
        result = ports[len(self.widths)]
        lines.append(f"  output {kind} {_range(len(self.outputs))}{result}\n);")
        for k, (a, b, is_xor) in enumerate(self.gates.tolist()):
            lines.append(f"  wire n{k} = {text(a)} {'^' if is_xor else '&'} {text(b)};")
        for k, literal in enumerate(self.outputs.tolist()):
            bit = result if len(self.outputs) == 1 else f"{result}[{k}]"
            lines.append(f"  assign {bit} = {text(literal)};")
        return "\n".join([*lines, "endmodule", ""])


def _range(width: int) -> str:
    return "" if width == 1 else f"[{width - 1}:0] "


class Builder(Gates):
    """A growing circuit in which no two gates are the same."""

    def __init__(self, widths: Sequence[int]) -> None:
        """Begin with operands of these widths."""
        self._widths = tuple(widths)
        self._gates: list[tuple[int, int, int]] = []
        self._known: dict[tuple[int, int, int], int] = {}
        self.operands: list[Word] = []
        variable = 1
        for width in widths:
            self.operands.append([2 * (variable + k) for k in range(width)])
            variable += width
        self._first = variable

    def _conjoin(self, x: int, y: int) -> int:
        return self._gate((x, y, 0))

    def _differ(self, x: int, y: int) -> int:
        return self._gate((x, y, 1))

    def finish(self, outputs: Sequence[int]) -> Circuit:
        """Return the circuit of these outputs, without gates that none of them needs."""
        needed: set[int] = set()
        stack = [literal >> 1 for literal in outputs]
        while stack:
            variable = stack.pop()
            if variable >= self._first and variable not in needed:
                needed.add(variable)
                a, b, _ = self._gates[variable - self._first]
                stack += [a >> 1, b >> 1]
        number = {variable: variable for variable in range(self._first)}
        rows = []
        for variable in sorted(needed):
            a, b, is_xor = self._gates[variable - self._first]
            rows.append((2 * number[a >> 1] | a & 1, 2 * number[b >> 1] | b & 1, is_xor))
            number[variable] = self._first + len(rows) - 1
        found = [2 * number[literal >> 1] | literal & 1 for literal in outputs]
        gates = np.array(rows, np.int64).reshape(-1, 3)
        return Circuit(self._widths, gates, np.array(found, np.int64))

    def _gate(self, gate: tuple[int, int, int]) -> int:
        found = self._known.get(gate)
        if found is None:
            self._gates.append(gate)
            found = self._known[gate] = 2 * (self._first + len(self._gates) - 1)
        return found
