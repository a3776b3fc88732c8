# SPDX-License-Identifier: Apache-2.0
"""Words of literals, and the arithmetic that both kinds of circuits are built with.

A literal is twice a variable's number, plus 1 where it is inverted; variable 0 is the constant
false (as in Biere, *The AIGER format*, 2007).  What a gate is, the kind of circuit says.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

__all__ = ["FALSE", "TRUE", "Gates", "Word"]

FALSE, TRUE = 0, 1
#: Literals, lowest bit first.
Word = list[int]


class Gates(ABC):
    """A growing circuit; constants, equal and inverted inputs of a gate need none."""

    @abstractmethod
    def _conjoin(self, x: int, y: int) -> int:
        """Return `x and y`; `x < y` are of two variables, none of them the constant."""

    @abstractmethod
    def _differ(self, x: int, y: int) -> int:
        """Return `x xor y`; `x < y` are two variables, not inverted, none of them the constant."""

    def conjunction(self, x: int, y: int) -> int:
        """Return `x and y`."""
        if x > y:
            x, y = y, x
        if x == FALSE or x ^ 1 == y:
            return FALSE
        if x in (TRUE, y):
            return y
        return self._conjoin(x, y)

    def either(self, x: int, y: int) -> int:
        """Return `x or y`."""
        return self.conjunction(x ^ 1, y ^ 1) ^ 1

    def differ(self, x: int, y: int) -> int:
        """Return `x xor y`."""
        inverted = (x ^ y) & 1
        x, y = sorted((x & ~1, y & ~1))
        if x == y:
            return inverted
        return (y if x == FALSE else self._differ(x, y)) ^ inverted

    def choose(self, condition: int, yes: int, no: int) -> int:
        """Return `yes` where the condition holds, else `no`."""
        if condition in (FALSE, TRUE):
            return yes if condition else no
        if yes == no:
            return yes
        if yes == no ^ 1:
            return self.differ(condition, no)
        return self.either(self.conjunction(condition, yes), self.conjunction(condition ^ 1, no))

    def choose_word(self, condition: int, yes: Word, no: Word) -> Word:
        """Choose bit by bit."""
        return [self.choose(condition, y, n) for y, n in zip(yes, no, strict=True)]

    def any(self, word: Sequence[int]) -> int:
        """Return whether any literal holds."""
        level = list(word) or [FALSE]
        while len(level) > 1:
            pairs = [self.either(*level[k : k + 2]) for k in range(0, len(level) - 1, 2)]
            level = pairs + level[len(level) & ~1 :]
        return level[0]

    def half_adder(self, x: int, y: int) -> tuple[int, int]:
        """Return sum and carry."""
        return self.differ(x, y), self.conjunction(x, y)

    def full_adder(self, x: int, y: int, z: int) -> tuple[int, int]:
        """Return sum and carry."""
        half = self.differ(x, y)
        total = self.differ(half, z)
        return total, self.either(self.conjunction(x, y), self.conjunction(half, z))

    def add(self, x: Word, y: Word, carry: int = FALSE) -> tuple[Word, int]:
        """Return the sum's bits and the carry out of them, by a chain of full adders."""
        total = []
        for left, right in zip(x, y, strict=True):
            bit, carry = self.full_adder(left, right, carry)
            total.append(bit)
        return total, carry

    def subtract(self, x: Word, y: Word) -> tuple[Word, int]:
        """Return the difference's bits and whether `x >= y`, both unsigned."""
        return self.add(x, [bit ^ 1 for bit in y], TRUE)

    def multiply(self, x: Word, y: Word) -> Word:
        """Return the low `len(x)` bits of the product, by rows of `x`."""
        width = len(x)
        total = [FALSE] * width
        for position, bit in enumerate(y):
            if bit != FALSE:
                row = [self.conjunction(bit, other) for other in x[: width - position]]
                total, _ = self.add(total, [FALSE] * position + row)
        return total

    def divide(self, x: Word, y: Word) -> tuple[Word, Word]:
        """Return quotient and remainder, unsigned; anything where `y` is 0."""
        width = len(x)
        remainder = [FALSE] * (width + 1)
        divisor = [*y, FALSE]
        quotient = [FALSE] * width
        for position in reversed(range(width)):
            remainder = [x[position], *remainder[:-1]]
            difference, fits = self.subtract(remainder, divisor)
            quotient[position] = fits
            remainder = self.choose_word(fits, difference, remainder)
        return quotient, remainder[:width]
