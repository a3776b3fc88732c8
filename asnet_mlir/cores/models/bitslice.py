# SPDX-License-Identifier: Apache-2.0
"""Bit-sliced models: a gate computed for 512 operand pairs by each vector instruction.

A netlist of single gates is slow as vector code over words: every gate would keep one bit of each
lane busy.  Bit-sliced code holds one net of 512 pairs in a vector, a *plane*, so that a gate is one
instruction (E. Biham, A fast new DES implementation in software, FSE 1997).  The whole model is
gates here, exponents, shifts and rounding too: a multiplexer of 48 bits is 48 instructions for 512
pairs, which vectors of words do not reach.  Gates are tables of three inputs (`luts.py`).

Operands become planes, and planes results, by transposing W x W bits within the lanes of W vectors,
W being the bits of an element.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from asnet_mlir.cores.circuits import aig
from asnet_mlir.cores.circuits.luts import Circuit, Lut, map_luts
from asnet_mlir.cores.circuits.terms import Function

__all__ = ["BLOCK", "compose", "logic", "slice_function"]

#: Operand pairs in a block: the bits of a plane.
BLOCK = 512

# Blocks that go through a phase (planes, gates, rows) together, so that the code of the gates,
# which about fills a first-level cache, is not evicted between two of them.
_GROUP = 4

Types = tuple[str, str, str]


def slice_function(function: Function) -> Circuit:
    """Return the circuit of a word-level model: inputs are the bits of a, then those of b.

    Raises:
      UnsupportedError: it has an operation without gates, or too many of them.
    """
    graph = aig.Graph()
    a, b = (graph.word(width) for width in function.widths[:2])
    words, _ = aig.blast(graph, function, a, b)
    return map_luts(graph, [*a, *b], words[function.result])


def compose(circuit: Circuit, widths: tuple[int, int, int], symbol: str, storage: Types) -> str:
    """Return the functions of a bit-sliced model, `@symbol_block(%a, %b, %r)` among them.

    Args:
      circuit: with the bits of a and b as inputs and those of the result as outputs.
      widths: bits of a, b and the result.
      symbol: prefix of all names.
      storage: element types of the arrays, f32 or integers at least as wide as `widths`: the upper
        bits of operands are ignored and those of results 0.
    """
    return _Writer(symbol, storage).write(circuit, widths)


class _Writer:
    """MLIR's text of a model over arrays."""

    def __init__(self, symbol: str, storage: Types) -> None:
        self._symbol = symbol
        self._storage = storage
        self._lines: list[str] = []
        self._count = 0
        self._tables: set[int] = set()
        # Lanes of one width for both operands and the result, so that pair i is bit i of a plane
        # in all of them; shifts of 8 and 16 bit lanes are those of 32, as what crosses is masked.
        self._element = max(_bits(kind) for kind in storage)
        lane = max(32, self._element)
        self._plane = f"vector<{BLOCK // lane}xi{lane}>"
        self._lane = lane

    def _emit(self, line: str) -> None:
        self._lines.append(f"  {line}")

    def _value(self, expression: str) -> str:
        self._count += 1
        name = f"%v{self._count}"
        self._emit(f"{name} = {expression}")
        return name

    def _constant(self, value: int) -> str:
        """Return the name of a plane with `value` in each lane; defined at the function's start."""
        return f"%k{value:x}"

    def _constants(self, body: str) -> list[str]:
        """Return the definitions of the constants that a text uses."""
        lines = []
        for name in sorted(set(re.findall(r"%k\w+", body))):
            value = int(name[2:], 16)
            value -= value >> (self._lane - 1) << self._lane
            lines.append(f"  {name} = arith.constant dense<{value}> : {self._plane}")
        return lines

    def write(self, circuit: Circuit, widths: tuple[int, int, int]) -> str:
        operands = list(dict.fromkeys(zip(self._storage[:2], widths[:2], strict=True)))
        parts = [self._planes_of(kind, width) for kind, width in operands]
        parts += [self._gates(circuit, widths), self._rows_of(widths[2]), self._block(widths)]
        parts += [self._table(table) for table in sorted(self._tables)]
        return "\n".join([*parts, ""])

    def _memory(self, width: int) -> str:
        """Return the type of a block's planes in memory."""
        return f"memref<{width}x{self._plane}, strided<[1], offset: ?>>"

    def _function(self, name: str, arguments: str, steps: Sequence[int]) -> str:
        """Return a function of what was emitted; `steps` are indices that it uses, as `%at<n>`."""
        body = "\n".join(self._lines)
        self._lines, self._count = [], 0
        return "\n".join(
            [
                f"func.func private @{self._symbol}_{name}({arguments}) "
                "attributes {no_inline} {",
                *self._constants(body),
                *(f"  %at{k} = arith.constant {k} : index" for k in steps),
                body,
                "  return",
                "}",
            ]
        )

    def _planes_of(self, kind: str, width: int) -> str:
        """Return the function that writes the planes of 512 elements of an array."""
        many = BLOCK // self._element
        rows: list[str | None] = []
        for k in range(self._element):
            at = self._value(f"arith.addi %base, %at{k * many} : index")
            row = self._value(f"vector.load %x[{at}] : memref<?x{kind}>, vector<{many}x{kind}>")
            have = f"vector<{many}x{kind}>"
            if _bits(kind) < self._element:
                wide = f"vector<{many}xi{self._element}>"
                row = self._value(f"arith.extui {row} : {have} to {wide}")
                have = wide
            rows.append(self._as(row, have, self._plane))
        planes = self._transposed_in(rows, _bits(kind))[:width]
        for k, plane in enumerate(planes):
            stored = plane or self._constant(0)
            self._emit(f"memref.store {stored}, %planes[%at{k}] : {self._memory(width)}")
        arguments = f"%x: memref<?x{kind}>, %base: index, %planes: {self._memory(width)}"
        steps = {*range(width), *range(0, BLOCK, many)}
        return self._function(f"planes_{kind}_{width}", arguments, sorted(steps))

    def _gates(self, circuit: Circuit, widths: tuple[int, int, int]) -> str:
        """Return the function from the operands' planes to those of the result."""
        nets = []
        for name, width in zip("ab", widths[:2], strict=True):
            memory = self._memory(width)
            nets += [self._value(f"memref.load %{name}[%at{k}] : {memory}") for k in range(width)]
        for lut in circuit.luts:
            nets.append(self._lut(lut, [nets[k] for k in lut.inputs]))
        for k, net in enumerate(circuit.outputs):
            self._emit(f"memref.store {nets[net]}, %r[%at{k}] : {self._memory(widths[2])}")
        arguments = ", ".join(
            f"%{name}: {self._memory(width)}" for name, width in zip("abr", widths, strict=True)
        )
        return self._function("gates", arguments, range(max(widths)))

    def _rows_of(self, width: int) -> str:
        """Return the function that writes 512 elements of the result of their planes."""
        kind = self._storage[2]
        many = BLOCK // self._element
        stored = f"vector<{many}x{kind}>"
        memory = self._memory(width)
        planes = [self._value(f"memref.load %planes[%at{k}] : {memory}") for k in range(width)]
        for k, row in enumerate(self._transposed_out(planes)):
            if _bits(kind) < self._element:
                wide = f"vector<{many}xi{self._element}>"
                row = self._as(row, self._plane, wide)
                row = self._value(f"arith.trunci {row} : {wide} to {stored}")
            else:
                row = self._as(row, self._plane, stored)
            at = self._value(f"arith.addi %base, %at{k * many} : index")
            self._emit(f"vector.store {row}, %x[{at}] : memref<?x{kind}>, {stored}")
        arguments = f"%planes: {memory}, %x: memref<?x{kind}>, %base: index"
        return self._function("rows", arguments, sorted({*range(width), *range(0, BLOCK, many)}))

    def _block(self, widths: tuple[int, int, int]) -> str:
        """Return the function over arrays of any length; what is left over is done in copies."""
        arrays = [f"memref<?x{kind}>" for kind in self._storage]
        memories = [self._memory(width) for width in widths]
        arguments = ", ".join(f"%{n}: {kind}" for n, kind in zip("abr", arrays, strict=True))

        room = [f"memref<{_GROUP * width}x{self._plane}>" for width in widths]
        operands = list(zip("abr", self._storage, widths, arrays, room, memories, strict=True))

        def compute(copy: str, base: str, blocks: str) -> list[str]:
            """Return the loops over phases for blocks that begin at an element of the arrays."""
            lines = []
            for phase in ("planes", "gates", "rows"):
                lines += [
                    f"scf.for %k = %c0 to {blocks} step %c1 {{",
                    "  %from = arith.muli %k, %block : index",
                    f"  %at = arith.addi {base}, %from : index",
                ]
                for name, _, width, _, whole, memory in operands:
                    lines += [
                        f"  %{name}_first = arith.muli %k, %{name}_width : index",
                        f"  %{name}_now = memref.subview %{name}_planes[%{name}_first] [{width}] "
                        f"[1] : {whole} to {memory}",
                    ]
                if phase == "planes":
                    lines += [
                        f"  func.call @{self._symbol}_planes_{kind}_{width}(%{name}{copy}, %at, "
                        f"%{name}_now) : ({array}, index, {memory}) -> ()"
                        for name, kind, width, array, _, memory in operands[:2]
                    ]
                elif phase == "gates":
                    lines.append(
                        f"  func.call @{self._symbol}_gates(%a_now, %b_now, %r_now) : "
                        f"({', '.join(memories)}) -> ()"
                    )
                else:
                    lines.append(
                        f"  func.call @{self._symbol}_rows(%r_now, %r{copy}, %at) : "
                        f"({memories[2]}, {arrays[2]}, index) -> ()"
                    )
                lines.append("}")
            return lines

        lines = [
            f"func.func private @{self._symbol}_block({arguments}) attributes {{no_inline}} {{",
            "  %c0 = arith.constant 0 : index",
            "  %c1 = arith.constant 1 : index",
            f"  %block = arith.constant {BLOCK} : index",
            f"  %group = arith.constant {_GROUP} : index",
        ]
        for name, _, width, _, whole, _ in operands:
            lines += [
                f"  %{name}_width = arith.constant {width} : index",
                f"  %{name}_planes = memref.alloca() {{alignment = 64}} : {whole}",
            ]
        lines += [
            f"  %n = memref.dim %a, %c0 : {arrays[0]}",
            "  %left = arith.remui %n, %block : index",
            "  %whole = arith.subi %n, %left : index",
            "  %blocks = arith.divui %n, %block : index",
            "  scf.for %first = %c0 to %blocks step %group {",
            "    %base = arith.muli %first, %block : index",
            "    %more = arith.subi %blocks, %first : index",
            "    %now = arith.minui %more, %group : index",
            *(f"    {line}" for line in compute("", "%base", "%now")),
            "  }",
            "  %rest = arith.cmpi ne, %left, %c0 : index",
            "  scf.if %rest {",
        ]
        for name, kind, array in zip("abr", self._storage, arrays, strict=True):
            lines += [
                f"    %{name}_part = memref.alloca() {{alignment = 64}} : memref<{BLOCK}x{kind}>",
                f"    %{name}_copy = memref.cast %{name}_part : memref<{BLOCK}x{kind}> to {array}",
            ]
        for name, kind, array in list(zip("abr", self._storage, arrays, strict=True))[:2]:
            zero = "0.0" if kind == "f32" else "0"
            lines += [
                f"    %{name}_zero = arith.constant {zero} : {kind}",
                "    scf.for %i = %c0 to %block step %c1 {",
                f"      memref.store %{name}_zero, %{name}_copy[%i] : {array}",
                "    }",
                "    scf.for %i = %c0 to %left step %c1 {",
                "      %at = arith.addi %whole, %i : index",
                f"      %x = memref.load %{name}[%at] : {array}",
                f"      memref.store %x, %{name}_copy[%i] : {array}",
                "    }",
            ]
        lines += [
            *(f"    {line}" for line in compute("_copy", "%c0", "%c1")),
            "    scf.for %i = %c0 to %left step %c1 {",
            "      %at = arith.addi %whole, %i : index",
            f"      %x = memref.load %r_copy[%i] : {arrays[2]}",
            f"      memref.store %x, %r[%at] : {arrays[2]}",
            "    }",
            "  }",
            "  return",
            "}",
        ]
        return "\n".join(lines)

    def _as(self, value: str, have: str, want: str) -> str:
        return value if have == want else self._value(f"vector.bitcast {value} : {have} to {want}")

    def _shift(self, operation: str, value: str, step: int) -> str:
        return self._binary(operation, value, self._constant(step))

    def _binary(self, operation: str, left: str, right: str) -> str:
        return self._value(f"arith.{operation}i {left}, {right} : {self._plane}")

    def _merge(self, low: str, high: str, step: int) -> str:
        """Return `low` where a bit's number lacks `step`, `high` where it has it."""
        mask = sum(1 << k for k in range(self._lane) if not k & step)
        rest = mask ^ ((1 << self._lane) - 1)
        kept = self._binary("and", low, self._constant(mask))
        return self._binary("or", kept, self._binary("and", high, self._constant(rest)))

    def _transposed_in(self, rows: list[str | None], width: int) -> list[str | None]:
        """Return the planes of rows of which the low `width` bits of each element are not 0.

        Bits are transposed by swapping halves of halves (H. S. Warren, Hacker's Delight, 7-3);
        while an element's upper half is zero, the rows' lower halves fill one row.
        """
        rows = list(rows)
        for step, k in self._swaps():
            low, high = rows[k], rows[k | step]
            if low is None or high is None:
                continue
            if step >= width:
                rows[k] = self._binary("or", low, self._shift("shl", high, step))
                rows[k | step] = None
            else:
                rows[k] = self._merge(low, self._shift("shl", high, step), step)
                rows[k | step] = self._merge(self._shift("shru", low, step), high, step)
        return rows

    def _transposed_out(self, planes: Sequence[str]) -> list[str]:
        """Return the rows of planes; bits beyond those that are stored may be anything."""
        width = _bits(self._storage[2])
        rows = [*planes, *[self._constant(0)] * (self._element - len(planes))]
        for step, k in reversed(self._swaps()):
            low, high = rows[k], rows[k | step]
            if step >= width:
                rows[k | step] = self._shift("shru", low, step)
            else:
                rows[k] = self._merge(low, self._shift("shl", high, step), step)
                rows[k | step] = self._merge(self._shift("shru", low, step), high, step)
        return rows

    def _swaps(self) -> list[tuple[int, int]]:
        """Return the swaps of a transposition, as distances and the lower rows.

        First those over half an element, a quarter, .. 8 rows, then those within 8 rows; in both
        parts a group of rows after the other, so that its rows are in registers meanwhile.
        """
        steps = [1 << k for k in reversed(range(self._element.bit_length() - 1))]
        far, near = [s for s in steps if s >= 8], [s for s in steps if s < 8]
        groups = [(far, range(first, self._element, 8)) for first in range(8)]
        groups += [(near, range(first, first + 8)) for first in range(0, self._element, 8)]
        return [(step, k) for steps, rows in groups for step in steps for k in rows if not k & step]

    def _lut(self, lut: Lut, operands: Sequence[str]) -> str:
        if len(lut.inputs) < 3:
            return self._expression(lut.table, operands)
        self._tables.add(lut.table)
        types = ", ".join([self._plane] * 3)
        return self._value(
            f"func.call @{self._symbol}_lut_{lut.table:02x}({', '.join(operands)}) "
            f": ({types}) -> {self._plane}"
        )

    def _expression(self, table: int, operands: Sequence[str]) -> str:
        ones = self._constant((1 << self._lane) - 1)

        def build(term: Term) -> str:
            if isinstance(term, bool):
                return ones if term else self._constant(0)
            if isinstance(term, int):
                return operands[term]
            operation, *rest = term
            if operation == "not":
                return self._binary("xor", build(rest[0]), ones)
            return self._binary(operation, build(rest[0]), build(rest[1]))

        return build(logic(table, len(operands)))

    def _table(self, table: int) -> str:
        """Return the function of a table of three inputs, which compilers may replace."""
        self._lines, self._count = [], 0
        result = self._expression(table, ["%x0", "%x1", "%x2"])
        body = "\n".join(self._lines)
        arguments = ", ".join(f"%x{k}: {self._plane}" for k in range(3))
        return "\n".join(
            [
                f"func.func private @{self._symbol}_lut_{table:02x}({arguments}) -> {self._plane} "
                f"attributes {{approx.lut = {table} : i32}} {{",
                *self._constants(f"{body}\n{result}"),
                body,
                f"  return {result} : {self._plane}",
                "}",
            ]
        )


#: A constant, an operand's number, or an operation (`and`, `or`, `xor`, `not`) on terms.
Term = bool | int | tuple[Any, ...]


def logic(table: int, count: int) -> Term:
    """Return a term of few operations that computes a table of `count` <= 3 inputs.

    Args:
      table: bit `x0 + 2 x1 + 4 x2` is the value for these operands.
    """
    if table in (0, (1 << (1 << count)) - 1):
        return bool(table)
    terms = [_expand(table, count, k) for k in range(count)]
    return min(terms, key=_operations)


def _operations(term: Term) -> int:
    return 1 + sum(map(_operations, term[1:])) if isinstance(term, tuple) else 0


def _expand(table: int, count: int, variable: int) -> Term:
    """Expand by one variable (Shannon), and look for what its cofactors have in common."""
    rows = range(1 << count)
    high, low = (
        sum(
            (table >> row & 1) << place
            for place, row in enumerate(row for row in rows if (row >> variable & 1) == value)
        )
        for value in (1, 0)
    )
    ones = (1 << (1 << (count - 1))) - 1
    others = [k for k in range(count) if k != variable]

    def term(cofactor: int) -> Term:
        return _renamed(logic(cofactor, count - 1), others)

    if high == low:
        return term(high)
    if (high, low) == (ones, 0):
        return variable
    if (high, low) == (0, ones):
        return ("not", variable)
    if high == low ^ ones:
        return ("xor", variable, term(low))
    if low == 0:
        return ("and", variable, term(high))
    if high == 0:
        return ("and", ("not", variable), term(low))
    if high == ones:
        return ("or", variable, term(low))
    if low == ones:
        return ("or", ("not", variable), term(high))
    return ("xor", term(low), ("and", variable, term(low ^ high)))


def _renamed(term: Term, names: Sequence[int]) -> Term:
    if isinstance(term, tuple):
        return (term[0], *(_renamed(part, names) for part in term[1:]))
    return term if isinstance(term, bool) else names[term]


def _bits(kind: str) -> int:
    """Return the bits of `f32`, `i8`, `i16`, .."""
    return int(kind[1:])
