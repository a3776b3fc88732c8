# SPDX-License-Identifier: Apache-2.0
"""Integer polynomials of 0/1 variables (pseudo-Boolean functions), and their greatest values.

What arithmetic circuits compute is short in them: the product of two words is a sum over pairs of
bits.  As a square of a variable is the variable, a term is a set of variables (Hammer and Rudeanu,
*Boolean Methods in Operations Research*, 1968).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

__all__ = ["Polynomial", "add", "greatest", "multiply", "range_of", "scaled", "substitute", "value"]

#: Coefficients by term, a term being the bits of an integer: bit k is variable k, 0 the constant.
type Polynomial = dict[int, int]

_MOST_NODES = 20_000


def add(x: Mapping[int, int], y: Mapping[int, int], factor: int = 1) -> Polynomial:
    """Return `x + factor * y`."""
    total = dict(x)
    for term, coefficient in y.items():
        found = total.get(term, 0) + factor * coefficient
        if found:
            total[term] = found
        else:
            total.pop(term, None)
    return total


def multiply(x: Mapping[int, int], y: Mapping[int, int]) -> Polynomial:
    """Return `x * y`."""
    product: Polynomial = {}
    for left, p in x.items():
        for right, q in y.items():
            term = left | right
            product[term] = product.get(term, 0) + p * q
    return {term: coefficient for term, coefficient in product.items() if coefficient}


def scaled(x: Mapping[int, int], factor: int) -> Polynomial:
    """Return `factor * x`."""
    return {term: coefficient * factor for term, coefficient in x.items()} if factor else {}


def substitute(x: Mapping[int, int], ones: int, zeros: int) -> Polynomial:
    """Return a polynomial with variables fixed at 1 (the bits of `ones`) and at 0."""
    found: Polynomial = {}
    for term, coefficient in x.items():
        if not term & zeros:
            term &= ~ones
            found[term] = found.get(term, 0) + coefficient
    return {term: coefficient for term, coefficient in found.items() if coefficient}


def value(x: Mapping[int, int], ones: int) -> int:
    """Return the value where the variables in `ones` are 1 and all others 0."""
    return sum(coefficient for term, coefficient in x.items() if not term & ~ones)


def range_of(x: Mapping[int, int]) -> tuple[int, int]:
    """Return a lower and an upper bound: the sums of negative and of positive coefficients."""
    constant = x.get(0, 0)
    low = sum(c for term, c in x.items() if c < 0 and term)
    high = sum(c for term, c in x.items() if c > 0 and term)
    return constant + low, constant + high


def variables(term: int) -> Iterator[int]:
    """Return the variables of a term as terms of their own."""
    while term:
        lowest = term & -term
        yield lowest
        term ^= lowest


def greatest(x: Mapping[int, int], enough: int | None = None) -> tuple[int, int]:
    """Return an upper bound of a polynomial, and variables at 1 for which it is large.

    The bound is the value there, that is the maximum, unless the search had to end early.  It fixes
    variables of which the sign of the derivative is known, and branches on another where there is
    none (Boros and Hammer, *Pseudo-Boolean optimization*, 2002).

    Args:
      enough: what is not above this need not be exact; the bound then is at most this.
    """
    best, best_ones = None, 0
    floor = enough
    bound = None
    nodes = 0
    stack = [(dict(x), 0)]
    while stack:
        rest, ones = stack.pop()
        nodes += 1
        rest, fixed = _fix(rest)
        ones |= fixed
        high = range_of(rest)[1]
        if not rest.keys() - {0}:
            if best is None or high > best:
                best, best_ones = high, ones
            continue
        limit = max((v for v in (best, floor) if v is not None), default=None)
        if limit is not None and high <= limit:
            if best is None or high > best:
                bound = high if bound is None else max(bound, high)
            continue
        if nodes > _MOST_NODES:
            bound = high if bound is None else max(bound, high)
            continue
        weight: dict[int, int] = {}
        for term, coefficient in rest.items():
            for variable in variables(term):
                weight[variable] = weight.get(variable, 0) + abs(coefficient)
        variable = max(weight, key=lambda v: weight[v])
        stack.append((substitute(rest, 0, variable), ones))
        stack.append((substitute(rest, variable, 0), ones | variable))
    found = [v for v in (best, bound) if v is not None]
    return max(found), best_ones


def _fix(x: Polynomial) -> tuple[Polynomial, int]:
    """Return a polynomial without the variables whose best value is known; those that are 1."""
    ones = 0
    while True:
        low: dict[int, int] = {}
        high: dict[int, int] = {}
        for term, coefficient in x.items():
            for variable in variables(term):
                # The derivative's term without other variables is always there.
                alone = term == variable
                if coefficient < 0 or alone:
                    low[variable] = low.get(variable, 0) + coefficient
                if coefficient > 0 or alone:
                    high[variable] = high.get(variable, 0) + coefficient
        up = sum(v for v in low.keys() | high.keys() if low.get(v, 0) >= 0)
        down = sum(v for v in low.keys() | high.keys() if high.get(v, 0) <= 0 and not v & up)
        if not up | down:
            return x, ones
        ones |= up
        x = substitute(x, up, down)
