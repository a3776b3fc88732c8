# SPDX-License-Identifier: Apache-2.0
"""Real factors as integers: a multiplier of 31 bits and a shift (docs/semantics.md, rule Q4)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from asnet_mlir.errors import InputError

__all__ = ["FixedPoint", "Rounding"]

#: How a product with a factor is rounded: once, ties up; twice, the second time ties away from
#: zero; or as f32, to an integer with ties to even.
Rounding = Literal["single", "double", "even"]

_BITS = 31
_LEAST_SHIFT, _GREATEST_SHIFT = -31, 30


@dataclass(frozen=True)
class FixedPoint:
    """Factors `multiplier * 2^(shift - 31)`, 2^30 <= multiplier < 2^31, or 0.

    The numbers are those of TensorFlow Lite's `QuantizeMultiplier`.

    Attributes:
      multipliers, shifts: one of each for a whole tensor, or one for each channel.
    """

    multipliers: tuple[int, ...]
    shifts: tuple[int, ...]

    @classmethod
    def of(cls, factors: Iterable[float]) -> FixedPoint:
        """Return the nearest to real factors, each below 2^30; below 2^-32 they are 0.

        Raises:
          InputError: a factor is negative, not finite, or too large.
        """
        pairs = [_fixed(factor) for factor in factors]
        return cls(tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs))

    @property
    def reals(self) -> list[float]:
        """The factors as numbers."""
        return [
            math.ldexp(multiplier, shift - _BITS)
            for multiplier, shift in zip(self.multipliers, self.shifts, strict=True)
        ]

    def over(self, count: int) -> FixedPoint:
        """Return the factors divided by a count, multipliers cut, as TensorFlow Lite does."""
        pairs = []
        for multiplier, shift in zip(self.multipliers, self.shifts, strict=True):
            more = min(count.bit_length() - 1, 32, shift - _LEAST_SHIFT)
            pairs.append(((multiplier << more) // count, shift - more))
        return FixedPoint(tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs))


def _fixed(factor: float) -> tuple[int, int]:
    if not (math.isfinite(factor) and factor >= 0):
        raise InputError(f"a factor between scales must be positive and finite, got {factor:g}")
    if factor == 0:
        return 0, 0
    fraction, shift = math.frexp(factor)
    multiplier = math.floor(fraction * 2**_BITS + 0.5)
    if multiplier == 1 << _BITS:
        multiplier, shift = multiplier // 2, shift + 1
    if shift < _LEAST_SHIFT:
        return 0, 0
    if shift > _GREATEST_SHIFT:
        raise InputError(f"a factor of {factor:g} between scales is too large")
    return multiplier, shift
