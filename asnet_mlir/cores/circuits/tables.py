# SPDX-License-Identifier: Apache-2.0
"""The greatest value of a sum of tables that share variables.

A multiplier made of blocks is such a sum: each block's error is a table over a digit of one operand
and a digit of the other.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asnet_mlir.cores.circuits import polynomials
from asnet_mlir.cores.circuits.polynomials import Polynomial

__all__ = ["Table", "greatest_sum"]

#: Variables, each a term with one bit, and values by the number whose bit k is variable k of them.
type Table = tuple[Sequence[int], np.ndarray]

_MOST_DIGIT_BITS = 12


def greatest_sum(rest: Polynomial, tables: Sequence[Table], end: float) -> tuple[int, int]:
    """Return an upper bound of a polynomial plus tables, and variables at 1 where it is large.

    The bound is the maximum where the variables fall into digits such that each table, and each
    term of the polynomial, is over two of them at most: then the digits are enumerated by branch
    and bound, until the time `end` by the monotonic clock.  Else it is the sum of the maxima.
    """
    high, ones = polynomials.greatest(rest)
    total = high
    for variables, values in tables:
        place = int(values.argmax())
        total += int(values[place])
        ones |= sum(v for k, v in enumerate(variables) if place >> k & 1)
    if _value(rest, tables, ones) == total:
        return total, ones
    digits = _digits(rest, tables)
    found = None if digits is None else _enumerated(rest, tables, digits, end)
    return (total, ones) if found is None else found


def _value(rest: Polynomial, tables: Sequence[Table], ones: int) -> int:
    found = polynomials.value(rest, ones)
    for variables, values in tables:
        found += int(values[sum(1 << k for k, v in enumerate(variables) if ones & v)])
    return found


def _digits(rest: Polynomial, tables: Sequence[Table]) -> list[int] | None:
    """Return the coarsest digits, as sets of variables, that cut no table's: None without them.

    Variables that occur in the same tables are a digit.
    """
    signature: dict[int, list[int]] = {}
    for number, (variables, _) in enumerate(tables):
        for variable in variables:
            signature.setdefault(variable, []).append(number)
    groups: dict[tuple[int, ...], int] = {}
    for variable, where in signature.items():
        groups[tuple(where)] = groups.get(tuple(where), 0) | variable
    digits = list(groups.values())
    for mask in [sum(variables) for variables, _ in tables] + list(rest):
        if sum(1 for digit in digits if digit & mask) > 2 or mask & ~sum(digits):
            return None
    if any(digit.bit_count() > _MOST_DIGIT_BITS for digit in digits):
        return None
    return digits


@dataclass
class _DigitValues:
    """What digits give together.

    Attributes:
      variables: of each digit, in the order of its number's bits.
      constant: given by none of them.
      alone: int64[number] of each digit.
      pairs: int64[number, number] of two digits, by their places, the lower one first.
    """

    variables: list[list[int]]
    constant: int
    alone: list[np.ndarray]
    pairs: dict[tuple[int, int], np.ndarray]

    @staticmethod
    def of(rest: Polynomial, tables: Sequence[Table], digits: Sequence[int]) -> _DigitValues:
        """Return those of a polynomial plus tables, each term and table over two digits at most."""
        variables = [list(polynomials.variables(digit)) for digit in digits]
        alone = [np.zeros(1 << len(own), np.int64) for own in variables]
        given = _DigitValues(variables, 0, alone, {})
        for names, values in tables:
            mask = sum(names)
            where = [k for k, digit in enumerate(digits) if digit & mask]
            index = [_numbers(variables[k], list(names)) for k in where]
            if len(where) == 1:
                alone[where[0]] += values[index[0]]
            else:
                given._pair(where)[...] += values[index[0][:, None] | index[1][None, :]]
        for term, coefficient in rest.items():
            where = [k for k, digit in enumerate(digits) if digit & term]
            hits = []
            for k in where:
                inner = sum(1 << p for p, v in enumerate(variables[k]) if v & term)
                hits.append(np.arange(alone[k].size) & inner == inner)
            if not where:
                given.constant += coefficient
            elif len(where) == 1:
                alone[where[0]] += hits[0] * coefficient
            else:
                given._pair(where)[...] += (hits[0][:, None] & hits[1][None, :]) * coefficient
        return given

    def _pair(self, where: Sequence[int]) -> np.ndarray:
        left, right = where
        shape = self.alone[left].size, self.alone[right].size
        return self.pairs.setdefault((left, right), np.zeros(shape, np.int64))

    def ordered(self) -> _DigitValues:
        """Return the digits in another order, those that matter most first."""
        spread = [float(np.ptp(values)) for values in self.alone]
        for (left, right), values in self.pairs.items():
            spread[left] += float(np.ptp(values))
            spread[right] += float(np.ptp(values))
        order = sorted(range(len(spread)), key=lambda k: -spread[k])
        rank = {digit: k for k, digit in enumerate(order)}
        return _DigitValues(
            [self.variables[k] for k in order],
            self.constant,
            [self.alone[k] for k in order],
            {
                (min(rank[x], rank[y]), max(rank[x], rank[y])): v if rank[x] < rank[y] else v.T
                for (x, y), v in self.pairs.items()
            },
        )


def _numbers(own: Sequence[int], of: Sequence[int]) -> np.ndarray:
    """Return, by a digit's number, its bits where they stand among a table's variables."""
    total = np.zeros(1 << len(own), np.int64)
    for k, variable in enumerate(own):
        total |= (np.arange(total.size) >> k & 1) << of.index(variable)
    return total


class _Search:
    """Branch and bound over digits, until a time by the monotonic clock.

    Attributes:
      best: the greatest value, and the digits' numbers with it; None where nothing was found yet.
    """

    def __init__(self, given: _DigitValues, end: float) -> None:
        self._given, self._end = given, end
        self._count = len(given.alone)
        # What digits that are chosen later can give at most, by pairs of them.
        self._later = [
            sum(int(v.max()) for (i, _), v in given.pairs.items() if i >= k)
            for k in range(self._count + 1)
        ]
        self.best: tuple[int, tuple[int, ...]] | None = None

    def visit(self, gained: int, alone: list[np.ndarray], choice: tuple[int, ...]) -> bool:
        """Choose the digits that are left; return whether there was time for it.

        Args:
          gained: by the digits chosen.
          alone: what each other digit gives, besides its pairs with others not chosen.
          choice: the numbers of the digits chosen.
        """
        level, pairs = len(choice), self._given.pairs
        if time.monotonic() > self._end:
            return False
        if level == self._count:
            if self.best is None or gained > self.best[0]:
                self.best = gained, choice
            return True
        bounds = self._bounds(gained, alone, level)
        for value in np.argsort(-bounds, kind="stable").tolist():
            if self.best is not None and bounds[value] <= self.best[0]:
                break
            following = []
            for k in range(1, self._count - level):
                pair = pairs.get((level, level + k))
                following.append(alone[k] if pair is None else alone[k] + pair[value])
            if not self.visit(gained + int(alone[0][value]), following, (*choice, value)):
                return False
        return True

    def _bounds(self, gained: int, alone: list[np.ndarray], level: int) -> np.ndarray:
        """Return the bound for each value of a digit: itself, and each later one at its best."""
        bounds = gained + alone[0].copy()
        for k in range(1, self._count - level):
            table = self._given.pairs.get((level, level + k))
            if table is None:
                bounds += int(alone[k].max())
            else:
                bounds += (table + alone[k][None, :]).max(1)
        bounds += self._later[level + 1]
        return bounds


def _enumerated(
    rest: Polynomial, tables: Sequence[Table], digits: Sequence[int], end: float
) -> tuple[int, int] | None:
    """Return the maximum by branch and bound, and variables that give it; None without the time."""
    given = _DigitValues.of(rest, tables, digits).ordered()
    search = _Search(given, end)
    if not search.visit(given.constant, given.alone, ()):
        return None
    assert search.best is not None
    best, choice = search.best
    ones = 0
    for variables, value in zip(given.variables, choice, strict=True):
        ones |= sum(v for k, v in enumerate(variables) if value >> k & 1)
    return best, ones
