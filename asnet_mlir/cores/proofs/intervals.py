# SPDX-License-Identifier: Apache-2.0
"""The greatest error of a multiplier or adder by branch and bound over parts of its operands.

Where what a circuit computes is short in words but no polynomial of operand bits (logarithms, whose
carries decide; operands rounded by their leading ones), its words are bounded on boxes: operands
whose highest bits are given.  On a box a word has a range, and mostly it is linear in what the
operands exceed their least values by: then the difference to the exact product is small where the
box is, and boxes far from the greatest error are done with while they are large.

A box is cut in half along an operand, or, where it makes a difference on which side of a power of
two an inner word is (the carry of a sum of logarithms), into the operands of each side: that is a
linear constraint, and the bound on the error is that of a linear program of two variables.

Words are whole numbers of Python: nothing wraps unseen.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from asnet_mlir.cores.verilog.netlist import Netlist, ordered_cells

__all__ = ["Greatest", "greatest_error"]

_MOST_CELLS, _MOST_SHIFT_BITS = 1000, 8
#: Size of a box over its operands' greatest values from which on inner words are looked at.
_FINE = 16
#: Begins the names of the operands among those of cells.
_OPERAND = "operand "


@dataclass(frozen=True)
class Greatest:
    """No error is above `bound`; the greatest one that was found is at the operands `pair`."""

    bound: int
    pair: tuple[int, int]
    boxes: int


class _Value(NamedTuple):
    """A word on a box: in low..high, and `a * da + b * db` plus something in least..most."""

    low: int
    high: int
    a: int
    b: int
    least: int
    most: int


class _Side(NamedTuple):
    """The constraint that a cell's word is below a limit, or not."""

    cell: str
    limit: int
    below: bool


class _Box(NamedTuple):
    """Operands a..a+da, b..b+db with constraints."""

    a: int
    da: int
    b: int
    db: int
    sides: tuple[_Side, ...] = ()


def _range(low: int, high: int) -> _Value:
    return _Value(low, high, 0, 0, low, high)


@dataclass
class _Bounded:
    """What is known on a box: a bound on |error|, where to look for a large one, where to cut."""

    bound: int
    corner: tuple[int, int]
    cut: tuple[str, int] | None


class _Infeasible(Exception):
    """No operands of a box satisfy its constraints."""


@dataclass
class _Words:
    """The words of a netlist on one box."""

    circuit: _Circuit
    box: _Box
    values: dict[str, _Value] = field(default_factory=dict)
    cuts: list[tuple[str, int]] = field(default_factory=list)

    def linear(self, a: int, b: int, least: int, most: int) -> _Value:
        """Return `a * da + b * db + least..most` with its range."""
        x, y = a * self.box.da, b * self.box.db
        low, high = least + min(x, 0) + min(y, 0), most + max(x, 0) + max(y, 0)
        return _Value(low, high, a, b, least, most)

    def sum(self, x: _Value, y: _Value, factor: int = 1) -> _Value:
        """Return `x + factor * y`."""
        ends = sorted((factor * y.least, factor * y.most))
        found = self.linear(
            x.a + factor * y.a, x.b + factor * y.b, x.least + ends[0], x.most + ends[1]
        )
        ends = sorted((factor * y.low, factor * y.high))
        low, high = max(found.low, x.low + ends[0]), min(found.high, x.high + ends[1])
        return found._replace(low=low, high=high)

    def reduced(self, value: _Value, width: int, cell: str = "") -> _Value:
        """Return a value modulo 2^width; where it is in two periods, that is noted as a cut."""
        first, last = value.low >> width, value.high >> width
        if first == last:
            return self.sum(value, _range(first << width, first << width), -1) if first else value
        if last == first + 1:
            self._note(cell, last << width)
        return _range(0, (1 << width) - 1)

    def part(self, cell: str, first: int, last: int) -> _Value:
        """Return bits first..last-1 of a cell's word."""
        value = self.reduced(self.values[cell], last, cell)
        if not first:
            return value
        low, high = value.low >> first, value.high >> first
        if high == low + 1:
            self._note(cell, ((self.values[cell].low >> first) + 1) << first)
        if (value.a | value.b) % (1 << first):
            return _range(low, high)
        found = self.linear(
            value.a >> first, value.b >> first, value.least >> first, value.most >> first
        )
        return found._replace(low=max(found.low, low), high=min(found.high, high))

    def _note(self, cell: str, limit: int) -> None:
        if cell and not cell.startswith(_OPERAND):  # operands are cut in half anyway
            self.cuts.append((cell, limit))

    def read(self, bits: Sequence[Any], width: int = 0, modular: bool = False) -> _Value:
        """Return the value of a word of nets, extended by zeros.

        Args:
          modular: a value that is equal to it modulo 2^width will do.
        """
        runs = self.circuit.runs(bits)
        if modular and len(runs) == 1 and len(bits) >= width:
            cell, first, last = runs[0]
            if cell and not first and last == self.circuit.widths[cell]:
                return self.values[cell]
        total, position = _range(0, 0), 0
        for cell, first, last in runs:
            if cell:
                part = self.part(cell, first, last)
            else:  # constants; -1: nothing is known
                part = _range(*((0, (1 << last) - 1) if first < 0 else (first, first)))
            total = self.sum(total, part, 1 << position)
            position += last - first if cell else last
        return total

    def either(self, x: _Value, y: _Value) -> _Value:
        """Return what holds for both."""
        low, high = min(x.low, y.low), max(x.high, y.high)
        if (x.a, x.b) != (y.a, y.b):
            return _range(low, high)
        return _Value(low, high, x.a, x.b, min(x.least, y.least), max(x.most, y.most))


class _Circuit:
    """A flat netlist as words."""

    def __init__(self, netlist: Netlist, op: str) -> None:
        self.op = op
        ports = netlist.module["ports"]
        self.cells = netlist.module["cells"]
        self.order = ordered_cells(self.cells)
        self.widths: dict[str, int] = {}
        self._nets: dict[Any, tuple[str, int]] = {}
        self._runs: dict[tuple[Any, ...], list[tuple[str, int, int]]] = {}
        for name in "ab":
            self._add(_OPERAND + name, ports[name]["bits"])
        for name in self.order:
            self._add(name, self.cells[name]["connections"].get("Y", []))
        self.result = ports["result"]["bits"]

    def _add(self, name: str, bits: Sequence[Any]) -> None:
        self.widths[name] = len(bits)
        self._nets |= {bit: (name, k) for k, bit in enumerate(bits)}

    def runs(self, bits: Sequence[Any]) -> list[tuple[str, int, int]]:
        """Return a word of nets as parts of cells' words: (cell, first, last), or ("", n, width).

        n is a constant's value, -1 where nothing is known.
        """
        key = tuple(bits)
        found = self._runs.get(key)
        if found is None:
            found = self._runs[key] = []
            for bit in bits:
                place = self._nets.get(bit)
                last = found[-1] if found else ("", -1, 0)
                if place is None:
                    found.append(("", int(bit) if bit in ("0", "1") else -1, 1))
                elif last[0] == place[0] and last[2] == place[1]:
                    found[-1] = (last[0], last[1], last[2] + 1)
                else:
                    found.append((place[0], place[1], place[1] + 1))
        return found

    def words(self, box: _Box) -> _Words:
        """Return all words on a box.

        Raises:
          _Infeasible: its constraints contradict each other.
        """
        words = _Words(self, box)
        words.values[_OPERAND + "a"] = words.linear(1, 0, box.a, box.a)
        words.values[_OPERAND + "b"] = words.linear(0, 1, box.b, box.b)
        for name in self.order:
            cell = self.cells[name]
            rule = _RULES.get(cell["type"], _anything)
            if _is_signed(cell, self.widths[name]):
                rule = _anything
            value = rule(words, cell["connections"], self.widths[name])
            for side in box.sides:
                if side.cell == name:
                    value = (
                        value._replace(high=min(value.high, side.limit - 1))
                        if side.below
                        else value._replace(low=max(value.low, side.limit))
                    )
                    if value.low > value.high:
                        raise _Infeasible
            words.values[name] = value
        return words

    def bounded(self, box: _Box) -> _Bounded:
        """Return what is known of the errors on a box.

        Raises:
          _Infeasible: see `words`.
        """
        words = self.words(box)
        result = words.read(self.result)
        if self.op == "muli":
            exact = words.linear(box.b, box.a, box.a * box.b, box.a * box.b + box.da * box.db)
            low, high = box.a * box.b, (box.a + box.da) * (box.b + box.db)
        else:
            exact = words.linear(1, 1, box.a + box.b, box.a + box.b)
            low, high = exact.low, exact.high
        bounds = []
        for error, most in (
            (words.sum(exact, result, -1), high - result.low),
            (words.sum(result, exact, -1), result.high - low),
        ):
            corner = box.a + (box.da if error.a > 0 else 0), box.b + (box.db if error.b > 0 else 0)
            bounds.append((min(most, error.high, *self._constrained(words, error)), corner))
        bound, corner = max(bounds)
        return _Bounded(bound, corner, words.cuts[0] if words.cuts else None)

    def _constrained(self, words: _Words, error: _Value) -> list[int]:
        """Return upper bounds of an error by each constraint of the box: Lagrange's.

        A word is below its limit by `slack >= 0`, so that error + factor * slack is above the
        error for any factor >= 0; the best one makes the coefficient of an operand 0.
        """
        found = []
        for side in words.box.sides:
            value = words.values[side.cell]
            if side.below:
                slack = (-value.a, -value.b, side.limit - 1 - value.least)
            else:
                slack = (value.a, value.b, value.most - side.limit)
            for own, other in ((error.a, slack[0]), (error.b, slack[1])):
                if own * other < 0:
                    # In units of 1 / |other|.
                    unit, factor = abs(other), abs(own)
                    total = words.linear(
                        error.a * unit + factor * slack[0],
                        error.b * unit + factor * slack[1],
                        0,
                        error.most * unit + factor * slack[2],
                    )
                    found.append(total.high // unit)
        return found


# ---- Cells


def _is_signed(cell: Mapping[str, Any], width: int) -> bool:
    """Return whether it matters that an operand is declared as signed."""
    kind, parameters = cell["type"], cell["parameters"]
    for port in "AB":
        if int(str(parameters.get(f"{port}_SIGNED", "0")), 2):
            is_shift = kind in ("$shl", "$sshl")
            extends = kind in _MODULAR or (is_shift and port == "A")
            if not extends or len(cell["connections"][port]) < width:
                return True
    return False


type _Bits = Mapping[str, Sequence[Any]]


def _anything(words: _Words, bits: _Bits, width: int) -> _Value:
    return _range(0, (1 << width) - 1)


def _add(words: _Words, bits: _Bits, width: int) -> _Value:
    x, y = (words.read(bits[port], width, True) for port in "AB")
    return words.sum(x, y)


def _sub(words: _Words, bits: _Bits, width: int) -> _Value:
    x, y = (words.read(bits[port], width, True) for port in "AB")
    return words.sum(x, y, -1)


def _mul(words: _Words, bits: _Bits, width: int) -> _Value:
    x, y = (words.read(bits[port]) for port in "AB")
    for one, other in ((x, y), (y, x)):
        if one.low == one.high:
            return words.sum(_range(0, 0), other, one.low)
    return _range(x.low * y.low, x.high * y.high)


def _shl(words: _Words, bits: _Bits, width: int) -> _Value:
    if len(bits["B"]) > _MOST_SHIFT_BITS:
        return _anything(words, bits, width)
    x, amount = words.read(bits["A"]), words.read(bits["B"])
    if amount.low == amount.high:
        return words.sum(_range(0, 0), x, 1 << amount.low)
    return _range(x.low << amount.low, x.high << amount.high)


def _shr(words: _Words, bits: _Bits, width: int) -> _Value:
    if len(bits["B"]) > _MOST_SHIFT_BITS:
        return _anything(words, bits, width)
    x, amount = words.read(bits["A"]), words.read(bits["B"])
    return _range(x.low >> amount.high, x.high >> amount.low)


def _not(words: _Words, bits: _Bits, width: int) -> _Value:
    ones = (1 << width) - 1
    return words.sum(_range(ones, ones), words.read(bits["A"], width), -1)


def _and(words: _Words, bits: _Bits, width: int) -> _Value:
    x, y = (words.read(bits[port], width) for port in "AB")
    for one, mask in ((x, y.low), (y, x.low)):
        other = y if one is x else x
        # The bits that are not the same for all values of the word.
        open_bits = (1 << (one.low ^ one.high).bit_length()) - 1
        if other.low == other.high and mask & open_bits == open_bits:
            gone = one.low & ~open_bits & ~mask
            return words.sum(one, _range(gone, gone), -1)
    open_bits = (1 << ((x.low ^ x.high) | (y.low ^ y.high)).bit_length()) - 1
    low = x.low & y.low & ~open_bits
    return _range(low, min(low | open_bits, x.high, y.high))


def _or(words: _Words, bits: _Bits, width: int) -> _Value:
    x, y = (words.read(bits[port], width) for port in "AB")
    open_bits = (1 << ((x.low ^ x.high) | (y.low ^ y.high)).bit_length()) - 1
    high = x.low | y.low | open_bits
    return _range(max((x.low | y.low) & ~open_bits, x.low, y.low), high)


def _xor(words: _Words, bits: _Bits, width: int) -> _Value:
    x, y = (words.read(bits[port], width) for port in "AB")
    open_bits = (1 << ((x.low ^ x.high) | (y.low ^ y.high)).bit_length()) - 1
    low = (x.low ^ y.low) & ~open_bits
    return _range(low, low | open_bits)


def _mux(words: _Words, bits: _Bits, width: int) -> _Value:
    select = words.read(bits["S"])
    if select.low == select.high:
        return words.read(bits["B" if select.low else "A"])
    return words.either(words.read(bits["A"]), words.read(bits["B"]))


def _truth(yes: bool, no: bool) -> _Value:
    return _range(int(yes), int(not no))


def _is_zero(words: _Words, bits: _Bits, width: int) -> _Value:
    x = words.read(bits["A"])
    return _truth(x.high == 0, x.low > 0)


def _is_nonzero(words: _Words, bits: _Bits, width: int) -> _Value:
    x = words.read(bits["A"])
    return _truth(x.low > 0, x.high == 0)


def _equal(words: _Words, bits: _Bits, width: int) -> _Value:
    x, y = (words.read(bits[port]) for port in "AB")
    return _truth(x.low == x.high == y.low == y.high, x.high < y.low or y.high < x.low)


def _different(words: _Words, bits: _Bits, width: int) -> _Value:
    equal = _equal(words, bits, width)
    return _range(1 - equal.high, 1 - equal.low)


def _less(words: _Words, bits: _Bits, width: int) -> _Value:
    x, y = (words.read(bits[port]) for port in "AB")
    return _truth(x.high < y.low, x.low >= y.high)


def _at_least(words: _Words, bits: _Bits, width: int) -> _Value:
    less = _less(words, bits, width)
    return _range(1 - less.high, 1 - less.low)


def _greater(words: _Words, bits: _Bits, width: int) -> _Value:
    return _less(words, {"A": bits["B"], "B": bits["A"]}, width)


def _at_most(words: _Words, bits: _Bits, width: int) -> _Value:
    return _at_least(words, {"A": bits["B"], "B": bits["A"]}, width)


#: Of operands of the result's width, of which it does not matter whether they are signed.
_MODULAR = ("$add", "$sub", "$mul", "$pos", "$not", "$and", "$or", "$xor")

_GATES = ("$and", "$or", "$xor", "$xnor", "$not")

_RULES = {
    "$add": _add,
    "$sub": _sub,
    "$mul": _mul,
    "$shl": _shl,
    "$sshl": _shl,
    "$shr": _shr,
    "$sshr": _shr,
    "$pos": lambda words, bits, width: words.read(bits["A"], width),
    "$not": _not,
    "$and": _and,
    "$or": _or,
    "$xor": _xor,
    "$mux": _mux,
    "$logic_not": _is_zero,
    "$reduce_or": _is_nonzero,
    "$reduce_bool": _is_nonzero,
    "$eq": _equal,
    "$ne": _different,
    "$lt": _less,
    "$ge": _at_least,
    "$gt": _greater,
    "$le": _at_most,
}


# ---- Branch and bound


def greatest_error(
    netlist: Netlist, op: str, seconds: float, enough: int | None = None
) -> Greatest | None:
    """Return a bound on |exact - result| over all operands.

    The bound is the greatest error itself, unless time runs out or the bound `enough` is kept or
    broken before that is known.

    Args:
      netlist: a flat combinational one of ports a, b and result, unsigned.
      op: "muli" or "addi".
      seconds: bound on the time.

    Returns:
      None where cells have no bounds here, or most are gates of single bits, which say nothing
      about numbers.
    """
    end = time.monotonic() + seconds
    cells = netlist.module["cells"].values()
    single = sum(1 for c in cells if c["type"] in _GATES and len(c["connections"]["Y"]) == 1)
    if len(cells) > _MOST_CELLS or 2 * single > len(cells):
        return None
    circuit = _Circuit(netlist, op)
    a, b = ((1 << circuit.widths[_OPERAND + name]) - 1 for name in "ab")
    best, pair, boxes, left = -1, (0, 0), 0, -1
    for corner in ((0, 0), (a, b)):
        error = _error_at(circuit, corner)
        if error is None:
            return None
        best, pair = max((best, pair), (error, corner))
    whole = _Box(0, a, 0, b)
    known = circuit.bounded(whole)
    heap = [(-known.bound, 0, whole, known)]
    floor = -1 if enough is None else enough
    while heap and -heap[0][0] > max(best, floor) and (enough is None or best <= enough):
        if time.monotonic() > end:
            break
        _, _, box, known = heapq.heappop(heap)
        parts = _cut(box, known.cut)
        if not parts:
            left = max(left, known.bound)
        for part in parts:
            boxes += 1
            try:
                known = circuit.bounded(part)
            except _Infeasible:
                continue
            if known.bound <= best:
                continue
            error = _error_at(circuit, known.corner)
            if error is not None:
                best, pair = max((best, pair), (error, known.corner))
            heapq.heappush(heap, (-known.bound, boxes, part, known))
    return Greatest(max(best, left, -heap[0][0] if heap else -1), pair, boxes)


def _error_at(circuit: _Circuit, pair: tuple[int, int]) -> int | None:
    """Return the error at operands; None where a cell's word is not known."""
    result = circuit.words(_Box(pair[0], 0, pair[1], 0)).read(circuit.result)
    exact = pair[0] * pair[1] if circuit.op == "muli" else pair[0] + pair[1]
    return abs(exact - result.low) if result.low == result.high else None


def _cut(box: _Box, cut: tuple[str, int] | None) -> list[_Box]:
    """Return a box in two parts; none where it is one pair of operands on one side of all."""
    sizes = box.da / (box.a + box.da + 1), box.db / (box.b + box.db + 1)
    if cut is not None and max(sizes) * _FINE <= 1:
        return [box._replace(sides=(*box.sides, _Side(*cut, below))) for below in (False, True)]
    if box.da and (sizes[0] >= sizes[1] or not box.db):
        half = box.da >> 1
        return [box._replace(da=half), box._replace(a=box.a + half + 1, da=half)]
    if box.db:
        half = box.db >> 1
        return [box._replace(db=half), box._replace(b=box.b + half + 1, db=half)]
    return []
