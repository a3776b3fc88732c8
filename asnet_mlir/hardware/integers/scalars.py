# SPDX-License-Identifier: Apache-2.0
"""Functions of integers, as `linalg` has them in its bodies: evaluated, and bounded.

A value of n bits is the integer that its two's complement means, whatever an op makes of it. Bounds
are what hardware derives its widths from, so they must hold for every input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Body", "Interval", "Scalar", "bounds", "evaluate", "full_range"]


@dataclass(frozen=True)
class Scalar:
    """One operation.

    Attributes:
      name: `arg`, `const`, `lookup`, or that of an op of `arith`, `approx` or `math`.
      operands: places of its operands in the body.
      bits: of its result.
      predicate: of a comparison.
      number: of a constant its value; of an argument which one.
      table: of a lookup, int64.
      instance: of an op of `approx` that is bound.
      unsigned: whether an op of `approx` takes its operands without a sign.
    """

    name: str
    operands: tuple[int, ...]
    bits: int
    predicate: str = ""
    number: int = 0
    table: np.ndarray | None = None
    instance: int | None = None
    unsigned: bool = False


@dataclass(frozen=True)
class Body:
    """A function: `ops` in order, of which `result` is returned."""

    ops: tuple[Scalar, ...]
    result: int

    def arguments(self) -> list[int]:
        """Return the numbers of the arguments that it reads."""
        return sorted({op.number for op in self.ops if op.name == "arg"})


@dataclass(frozen=True)
class Interval:
    """All integers from `low` to `high`."""

    low: int
    high: int

    @property
    def width(self) -> int:
        """The fewest bits of two's complement that hold them."""
        return max(self.high, -self.low - 1, 0).bit_length() + 1

    @property
    def single(self) -> int | None:
        """The only integer, if there is one."""
        return self.low if self.low == self.high else None


def full_range(bits: int) -> Interval:
    """Return what `bits` in two's complement hold; one bit is 0 or 1."""
    if bits == 1:
        return Interval(0, 1)
    return Interval(-(1 << bits - 1), (1 << bits - 1) - 1)


def wrapped(value: np.ndarray, bits: int) -> np.ndarray:
    """Return integers modulo 2^bits, as `bits` in two's complement mean them."""
    if bits >= 64:
        return value
    if bits == 1:
        return value & 1
    half = np.int64(1 << bits - 1)
    return ((value + half) & np.int64((1 << bits) - 1)) - half


def _unsigned(value: np.ndarray, bits: int) -> np.ndarray:
    return value & np.int64((1 << bits) - 1) if bits < 64 else value


_PREDICATES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}


def _compare(op: Scalar, a: np.ndarray, b: np.ndarray, bits: int) -> np.ndarray:
    predicate = op.predicate
    if predicate[0] == "u":
        if bits >= 64:
            a, b = a.astype(np.uint64), b.astype(np.uint64)
        else:
            a, b = _unsigned(a, bits), _unsigned(b, bits)
    return _PREDICATES[predicate[-2:]](a, b).astype(np.int64)


def _quotient(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a / b, cut towards 0."""
    quotient = np.abs(a) // np.maximum(np.abs(b), 1)
    return np.where((a < 0) ^ (b < 0), -quotient, quotient)


def evaluate(body: Body, arguments: Sequence[np.ndarray]) -> np.ndarray:
    """Return a body's results, int64, for arrays of arguments (int64), broadcast."""
    values: list[np.ndarray] = []
    with np.errstate(over="ignore"):
        for op in body.ops:
            given = [values[place] for place in op.operands]
            bits = body.ops[op.operands[0]].bits if op.operands else op.bits
            values.append(wrapped(_value(op, given, bits, arguments), op.bits))
    return values[body.result]


def _value(
    op: Scalar, given: list[np.ndarray], bits: int, arguments: Sequence[np.ndarray]
) -> np.ndarray:
    """Return an op's result before it is wrapped; `bits` are those of its first operand."""
    name = op.name
    if name == "arg":
        return np.asarray(arguments[op.number], np.int64)
    if name == "const":
        return np.asarray(op.number, np.int64)
    if name == "lookup":
        assert op.table is not None
        return op.table[np.clip(given[0], 0, len(op.table) - 1)]
    if op.unsigned:
        given = [_unsigned(value, bits) for value in given]
    if name == "cmpi":
        return _compare(op, given[0], given[1], bits)
    if name == "select":
        return np.where(given[0] != 0, given[1], given[2])
    if name in ("shli", "shrsi", "shrui"):
        amount = np.clip(given[1], 0, 63)
        if name == "shli":
            return given[0] << amount
        if name == "shrsi":
            return given[0] >> amount
        return (_unsigned(given[0], bits).astype(np.uint64) >> amount.astype(np.uint64)).astype(
            np.int64
        )
    simple: dict[str, Callable[[], np.ndarray]] = {
        "addi": lambda: given[0] + given[1],
        "subi": lambda: given[0] - given[1],
        "muli": lambda: given[0] * given[1],
        "maxi": lambda: np.maximum(given[0], given[1]),
        "mini": lambda: np.minimum(given[0], given[1]),
        "maxsi": lambda: np.maximum(given[0], given[1]),
        "minsi": lambda: np.minimum(given[0], given[1]),
        "maxui": lambda: np.maximum(_unsigned(given[0], bits), _unsigned(given[1], bits)),
        "minui": lambda: np.minimum(_unsigned(given[0], bits), _unsigned(given[1], bits)),
        "andi": lambda: given[0] & given[1],
        "ori": lambda: given[0] | given[1],
        "xori": lambda: given[0] ^ given[1],
        "divsi": lambda: _quotient(given[0], given[1]),
        "extsi": lambda: given[0],
        "trunci": lambda: given[0],
        "index_cast": lambda: given[0],
        "extui": lambda: _unsigned(given[0], bits),
        "index_castui": lambda: _unsigned(given[0], bits),
    }
    return simple[name]()


#: Ops that hardware computes; others are refused by name.
OPS = frozenset(
    ["cmpi", "select", "shli", "shrsi", "shrui", "addi", "subi", "muli", "maxi", "mini", "maxsi"]
    + ["minsi", "maxui", "minui", "andi", "ori", "xori", "divsi", "extsi", "trunci", "extui"]
    + ["index_cast", "index_castui"]
)


def bounds(body: Body, arguments: Sequence[Interval]) -> list[Interval]:
    """Return what each op of a body gives, for arguments within intervals."""
    found: list[Interval] = []
    for op in body.ops:
        given = [found[place] for place in op.operands]
        bits = body.ops[op.operands[0]].bits if op.operands else op.bits
        exact = _bound(op, given, bits, arguments)
        whole = full_range(op.bits)
        inside = exact is not None and whole.low <= exact.low and exact.high <= whole.high
        found.append(exact if inside and exact is not None else whole)
    return found


def _corners(function: Callable[[int, int], int], a: Interval, b: Interval) -> Interval:
    values = [function(x, y) for x in (a.low, a.high) for y in (b.low, b.high)]
    return Interval(min(values), max(values))


def as_unsigned(a: Interval, bits: int) -> Interval:
    """Return an interval read without a sign."""
    if a.low >= 0:
        return a
    if a.high < 0:
        return Interval(a.low + (1 << bits), a.high + (1 << bits))
    return Interval(0, (1 << bits) - 1)


def _compared(op: Scalar, a: Interval, b: Interval) -> Interval:
    kind = op.predicate[-2:]
    if kind in ("gt", "ge"):
        a, b, kind = b, a, {"gt": "lt", "ge": "le"}[kind]
    if kind == "lt":
        return Interval(int(a.high < b.low), int(a.low < b.high))
    if kind == "le":
        return Interval(int(a.high <= b.low), int(a.low <= b.high))
    apart = a.high < b.low or b.high < a.low
    same = a.single is not None and a == b
    equal = Interval(int(same), int(not apart))
    return equal if kind == "eq" else Interval(1 - equal.high, 1 - equal.low)


def _bound(
    op: Scalar, given: list[Interval], bits: int, arguments: Sequence[Interval]
) -> Interval | None:
    """Return the interval of an op's result before it is wrapped; None: nothing is known."""
    name = op.name
    if name == "arg":
        return arguments[op.number]
    if name == "const":
        return Interval(op.number, op.number)
    if name == "lookup":
        assert op.table is not None
        return Interval(int(op.table.min()), int(op.table.max()))
    if op.instance is not None:
        return None
    if op.unsigned or (name == "cmpi" and op.predicate[0] == "u") or name in ("maxui", "minui"):
        given = [as_unsigned(one, bits) for one in given]
    if name in ("extui", "index_castui"):
        return as_unsigned(given[0], bits)
    if name in ("extsi", "trunci", "index_cast"):
        return given[0]
    if name == "cmpi":
        return _compared(op, given[0], given[1])
    if name == "select":
        if given[0].single is not None:
            return given[1] if given[0].single else given[2]
        return Interval(min(given[1].low, given[2].low), max(given[1].high, given[2].high))
    return _arithmetic(name, given, bits)


def _arithmetic(name: str, given: list[Interval], bits: int) -> Interval | None:
    a, b = given
    if name in ("addi", "subi", "muli"):
        function = {
            "addi": lambda x, y: x + y,
            "subi": lambda x, y: x - y,
            "muli": lambda x, y: x * y,
        }[name]
        return _corners(function, a, b)
    if name in ("maxi", "maxsi", "maxui"):
        return Interval(max(a.low, b.low), max(a.high, b.high))
    if name in ("mini", "minsi", "minui"):
        return Interval(min(a.low, b.low), min(a.high, b.high))
    if name in ("shli", "shrsi", "shrui"):
        if b.low < 0 or b.high >= bits:
            return None
        if name == "shrui":
            a = as_unsigned(a, bits)
        if name == "shli":
            return _corners(lambda x, y: x << y, a, b)
        return _corners(lambda x, y: x >> y, a, b)
    if name == "divsi":
        if b.low <= 0:
            return None
        return _corners(lambda x, y: abs(x) // y * (1 if x >= 0 else -1), a, b)
    if name == "andi" and min(a.low, b.low) < 0 <= max(a.low, b.low):
        return Interval(0, a.high if a.low >= 0 else b.high)
    # Bitwise ops stay within the bits of the wider operand.
    whole = full_range(max(a.width, b.width, 2))
    return Interval(0, whole.high) if min(a.low, b.low) >= 0 else whole
