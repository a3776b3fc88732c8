# SPDX-License-Identifier: Apache-2.0
"""The greatest value of a sum of tables that share variables.

A multiplier made of blocks is such a sum: each block's error is a table over a digit of one operand
and a digit of the other.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

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


def _enumerated(
    rest: Polynomial, tables: Sequence[Table], digits: Sequence[int], end: float
) -> tuple[int, int] | None:
    """Return the maximum by branch and bound over digits, those that matter most first."""
    variables = [list(polynomials.variables(digit)) for digit in digits]
    sizes = [1 << len(own) for own in variables]
    alone = [np.zeros(size, np.int64) for size in sizes]
    pairs: dict[tuple[int, int], np.ndarray] = {}

    def entry(left: int, right: int) -> np.ndarray:
        return pairs.setdefault((left, right), np.zeros((sizes[left], sizes[right]), np.int64))

    def numbers(own: Sequence[int], of: Sequence[int]) -> np.ndarray:
        """Return, by a digit's number, its bits where they stand among a table's variables."""
        total = np.zeros(1 << len(own), np.int64)
        for k, variable in enumerate(own):
            place = of.index(variable)
            total |= (np.arange(total.size) >> k & 1) << place
        return total

    constant = 0
    for names, values in tables:
        mask = sum(names)
        where = [k for k, digit in enumerate(digits) if digit & mask]
        index = [numbers(variables[k], list(names)) for k in where]
        if len(where) == 1:
            alone[where[0]] += values[index[0]]
        else:
            entry(where[0], where[1])[...] += values[index[0][:, None] | index[1][None, :]]
    for term, coefficient in rest.items():
        where = [k for k, digit in enumerate(digits) if digit & term]
        hits = []
        for k in where:
            inner = sum(1 << p for p, v in enumerate(variables[k]) if v & term)
            hits.append(np.arange(sizes[k]) & inner == inner)
        if not where:
            constant += coefficient
        elif len(where) == 1:
            alone[where[0]] += hits[0] * coefficient
        else:
            entry(where[0], where[1])[...] += (hits[0][:, None] & hits[1][None, :]) * coefficient
    spread = [float(np.ptp(values)) for values in alone]
    for (left, right), values in pairs.items():
        spread[left] += float(np.ptp(values))
        spread[right] += float(np.ptp(values))
    order = sorted(range(len(digits)), key=lambda k: -spread[k])
    rank = {digit: k for k, digit in enumerate(order)}
    # tables[i][j] by digits in order, i < j.
    ranked = {
        (min(rank[x], rank[y]), max(rank[x], rank[y])): v if rank[x] < rank[y] else v.T
        for (x, y), v in pairs.items()
    }
    own = [alone[digit] for digit in order]
    best: int | None = None
    best_choice: tuple[int, ...] = ()
    count = len(order)
    # What digits that are chosen later can give at most, by pairs of them.
    later = [sum(int(v.max()) for (i, _), v in ranked.items() if i >= k) for k in range(count + 1)]

    def visit(
        level: int, gained: int, open_values: list[np.ndarray], choice: tuple[int, ...]
    ) -> bool:
        nonlocal best, best_choice
        if time.monotonic() > end:
            return False
        if level == count:
            if best is None or gained > best:
                best, best_choice = gained, choice
            return True
        # The bound for each value of this digit: itself, and each later one at its best.
        bounds = gained + open_values[0].copy()
        for k in range(1, count - level):
            table = ranked.get((level, level + k))
            if table is None:
                bounds += int(open_values[k].max())
            else:
                bounds += (table + open_values[k][None, :]).max(1)
        bounds += later[level + 1]
        for value in np.argsort(-bounds, kind="stable").tolist():
            if best is not None and bounds[value] <= best:
                break
            following = [
                open_values[k] + ranked[level, level + k][value]
                if (level, level + k) in ranked
                else open_values[k]
                for k in range(1, count - level)
            ]
            here = gained + int(open_values[0][value])
            if not visit(level + 1, here, following, (*choice, value)):
                return False
        return True

    if not visit(0, constant, own, ()):
        return None
    assert best is not None
    ones = 0
    for digit, value in zip(order, best_choice, strict=True):
        ones |= sum(v for k, v in enumerate(variables[digit]) if value >> k & 1)
    return best, ones
