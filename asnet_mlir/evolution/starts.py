# SPDX-License-Identifier: Apache-2.0
"""Exact circuits, and the classic ways to leave parts of them out: where evolution starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from asnet_mlir.cores.circuits.words import FALSE, TRUE, Word
from asnet_mlir.evolution.circuit import Builder, Circuit

__all__ = ["adder", "multiplier", "starts"]

#: Literals to be added, by the weight (a power of 2) that they have.
Columns = list[list[int]]


def starts(op: str, widths: tuple[int, int], result: int, signed: bool) -> list[Circuit]:
    """Return circuits of an integer op, exact ones first.

    Of products: an array and a tree (Dadda, 1965), both also with Booth's recoding (MacSorley,
    1961), and the tree without its lowest columns, with a constant that makes up for their mean.
    Of sums and differences: a chain of full adders, also without its lowest bits.

    Args:
      op: `muli`, `addi` or `subi`.
      widths: bits of the operands.
      result: bits of the result; the sum or product modulo 2^result.
    """
    if op == "muli":
        least = range(min(result, sum(widths)) - 2)
        ways: Sequence[Reduce] = (_array, _dadda)
        found = [
            multiplier(widths, result, signed, reduce=way, booth=booth)
            for booth in (False, True)
            for way in ways
        ]
        for cut in least[1:]:
            found.append(multiplier(widths, result, signed, cut=cut))
        return found
    return [adder(op, widths, result, signed, cut) for cut in range(min(widths))]


Reduce = Callable[[Builder, Columns], Word]


def adder(op: str, widths: tuple[int, int], result: int, signed: bool, cut: int = 0) -> Circuit:
    """Return `a + b` or `a - b` by a chain of full adders.

    Args:
      cut: how many of the lowest bits are those of `a` without a carry.
    """
    builder = Builder(widths)
    a, b = (_extended(word, result, signed) for word in builder.operands)
    minus = op == "subi"
    right = [bit ^ minus for bit in b]
    total, _ = builder.add(a[cut:], right[cut:], TRUE if minus else FALSE)
    return builder.finish([*a[:cut], *total])


def multiplier(
    widths: tuple[int, int],
    result: int,
    signed: bool,
    *,
    reduce: Reduce | None = None,
    booth: bool = False,
    cut: int = 0,
) -> Circuit:
    """Return `a * b`.

    Args:
      reduce: how the columns become one word; by default as Dadda did.
      booth: recode `b`, two bits at a time, into digits from -2 to 2.
      cut: columns that are left out, the lowest ones; the mean of what they add up to is put into
        the columns above, as far as it reaches there.
    """
    builder = Builder(widths)
    a, b = builder.operands
    columns = (_booth if booth else _partial_products)(builder, a, b, result, signed)
    if cut:
        # A partial product is one in a quarter of all pairs (in three quarters where inverted).
        mean = sum(
            (0.75 if literal & 1 else 0.25) * (1 << k)
            for k in range(cut)
            for literal in columns[k]
            if literal > TRUE
        ) + sum((1 << k) for k in range(cut) for literal in columns[k] if literal == TRUE)
        steps = round(mean / (1 << cut))
        columns = [[] for _ in range(cut)] + columns[cut:]
        for k in range(cut, result):
            if steps >> (k - cut) & 1:
                columns[k].append(TRUE)
    word = (reduce or _dadda)(builder, columns)
    return builder.finish(word)


def _extended(word: Word, width: int, signed: bool) -> Word:
    fill = word[-1] if signed else FALSE
    return [*word[:width], *[fill] * (width - len(word))]


def _partial_products(builder: Builder, a: Word, b: Word, result: int, signed: bool) -> Columns:
    """Return the AND of every two bits; of signed operands as Baugh and Wooley (1973) have it."""
    columns: Columns = [[] for _ in range(result)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            if i + j < result:
                negative = signed and (i == len(a) - 1) != (j == len(b) - 1)
                columns[i + j].append(builder.conjunction(x, y) ^ negative)
    if signed:
        _add_one(columns, len(a) - 1)
        _add_one(columns, len(b) - 1)
        for k in range(len(a) + len(b) - 1, result):  # -2^(len(a) + len(b) - 1) modulo 2^result
            _add_one(columns, k)
    return columns


def _booth(builder: Builder, a: Word, b: Word, result: int, signed: bool) -> Columns:
    """Return the products of `a` with the digits of `b`: -2, -1, 0, 1 or 2 times 4^k each."""
    columns: Columns = [[] for _ in range(result)]
    digits = (len(b) + 1) // 2 if signed else len(b) // 2 + 1
    multiplicand = _extended(b, 2 * digits, signed)
    wide = _extended(a, len(a) + 1, signed)
    for k in range(digits):
        low = multiplicand[2 * k - 1] if k else FALSE
        middle, high = multiplicand[2 * k], multiplicand[2 * k + 1]
        one = builder.differ(low, middle)
        two = builder.conjunction(builder.differ(middle, high), one ^ 1)
        row = []
        for i in range(len(a) + 1):
            before = wide[i - 1] if i else FALSE
            bit = builder.either(
                builder.conjunction(one, wide[i]), builder.conjunction(two, before)
            )
            row.append(builder.differ(bit, high))
        # The row is negative where its sign says so: its highest bit counts -2^len(a).  Minus a bit
        # is its inverse minus one; the ones of all rows are constants.
        place = 2 * k
        sign = (
            row[-1] if signed else high
        )  # an unsigned multiple has len(a) + 1 bits and then its sign
        body = row[:-1] if signed else row
        for i, bit in enumerate(body):
            if place + i < result:
                columns[place + i].append(bit)
        top = place + len(body)
        if top < result:
            columns[top].append(sign ^ 1)
            for position in range(top, result):  # -2^top modulo 2^result
                _add_one(columns, position)
        if place < result:
            columns[place].append(high)  # a negative multiple is its complement and one
    return columns


def _add_one(columns: Columns, position: int) -> None:
    """Add 2^position to the columns' constant, which has at most a one in each."""
    while position < len(columns):
        if TRUE not in columns[position]:
            columns[position].append(TRUE)
            return
        columns[position].remove(TRUE)
        position += 1


def _array(builder: Builder, columns: Columns) -> Word:
    """Add up column by column, each by a chain of full adders."""
    word = []
    columns = [list(column) for column in columns]
    for k, column in enumerate(columns):
        while len(column) > 1:
            if len(column) > 2:
                bit, carry = builder.full_adder(column[0], column[1], column[2])
                column[:3] = [bit]
            else:
                bit, carry = builder.half_adder(column[0], column[1])
                column[:2] = [bit]
            if k + 1 < len(columns):
                columns[k + 1].append(carry)
        word.append(column[0] if column else FALSE)
    return word


def _dadda(builder: Builder, columns: Columns) -> Word:
    """Reduce columns to two rows as late as possible, then add these by a chain."""
    columns = [list(column) for column in columns]
    heights = [2]
    while heights[-1] < max(len(column) for column in columns):
        heights.append(heights[-1] * 3 // 2)
    for height in reversed(heights):
        for k, column in enumerate(columns):
            while len(column) > height:
                if len(column) == height + 1:
                    bit, carry = builder.half_adder(column.pop(0), column.pop(0))
                else:
                    bit, carry = builder.full_adder(*(column.pop(0) for _ in range(3)))
                column.append(bit)
                if k + 1 < len(columns):
                    columns[k + 1].append(carry)
    return _array(builder, columns)
