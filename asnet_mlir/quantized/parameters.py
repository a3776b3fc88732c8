# SPDX-License-Identifier: Apache-2.0
"""How integer codes stand for real numbers (docs/semantics.md, rule Q1)."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass

import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.support.formats import NumberFormat, parse_format

__all__ = ["CODE_BITS", "Quantization"]

#: The fewest and the most bits of a code.
CODE_BITS = (2, 16)


@dataclass(frozen=True, eq=False)
class Quantization:
    """What the codes of a tensor mean: `real = scale * (code - zero_point)`.

    Attributes:
      scale: float64, [1] or one for each channel of weights; positive and finite.
      zero_point: int64, of the same shape; given as one number, it is that of all channels.
      bits: of a code, 2 to 16.
      signed: whether codes are in two's complement.
    """

    scale: np.ndarray
    zero_point: np.ndarray
    bits: int = 8
    signed: bool = True

    def __post_init__(self) -> None:
        scale = np.atleast_1d(np.asarray(self.scale, np.float64))
        zero = np.atleast_1d(np.asarray(self.zero_point))
        fewest, most = CODE_BITS
        if not fewest <= self.bits <= most:
            raise InputError(f"codes have {fewest} to {most} bits, not {self.bits}")
        if scale.ndim != 1 or not scale.size:
            raise InputError(f"scales are one, or one a channel; got shape {list(scale.shape)}")
        wrong = scale[~(np.isfinite(scale) & (scale > 0))]
        if wrong.size:
            raise InputError(f"scale {wrong[0]:g}: scales must be positive and finite")
        if zero.size not in (1, scale.size):
            raise InputError(f"{zero.size} zero points for {scale.size} scales")
        outside = zero[(zero < self.low) | (zero > self.high) | (zero != np.rint(zero))]
        if outside.size:
            raise InputError(
                f"zero point {outside[0]}: must be a code, an integer from {self.low} to "
                f"{self.high}"
            )
        object.__setattr__(self, "scale", scale)
        object.__setattr__(
            self, "zero_point", np.broadcast_to(zero.astype(np.int64), scale.shape).copy()
        )

    @property
    def low(self) -> int:
        """The least code."""
        return -(1 << self.bits - 1) if self.signed else 0

    @property
    def high(self) -> int:
        """The greatest code."""
        return (1 << self.bits - 1) - 1 if self.signed else (1 << self.bits) - 1

    @functools.cached_property
    def format(self) -> NumberFormat:
        """The format of the tensors that carry the codes, of 8 or 16 bits."""
        return parse_format(f"{'i' if self.signed else 'u'}{8 if self.bits <= 8 else 16}")

    @property
    def is_per_channel(self) -> bool:
        """Whether channels have scales of their own."""
        return self.scale.size > 1

    @property
    def single_scale(self) -> float:
        """The scale of a tensor that has one.

        Raises:
          InputError: channels have scales of their own, as only weights may.
        """
        if self.is_per_channel:
            raise InputError("activations have one scale, not one a channel")
        return float(self.scale[0])

    @property
    def single_zero_point(self) -> int:
        """The zero point of a tensor that has one scale."""
        _ = self.single_scale
        return int(self.zero_point[0])

    def same(self, other: Quantization) -> bool:
        """Whether a code means the same number in both."""
        return (
            (self.bits, self.signed) == (other.bits, other.signed)
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.zero_point, other.zero_point)
        )

    def codes(self, numbers: np.ndarray, *, axis: int | None = None) -> np.ndarray:
        """Return the nearest codes of real numbers, saturated; ties to even, a NaN is 0.

        Args:
          axis: of the channels, where they have scales of their own; the last by default.

        Returns:
          dtype of `format`, shape of `numbers`.
        """
        scale, zero = self._along(numbers.ndim, axis)
        with np.errstate(invalid="ignore"):
            codes = np.rint(numbers.astype(np.float64) / scale) + zero
        codes = np.clip(np.where(np.isnan(codes), zero, codes), self.low, self.high)
        return codes.astype(self.format.dtype)

    def numbers(self, codes: np.ndarray, *, axis: int | None = None) -> np.ndarray:
        """Return the real numbers of codes; float64, shape of `codes`."""
        scale, zero = self._along(codes.ndim, axis)
        return scale * (codes.astype(np.float64) - zero)

    def _along(self, rank: int, axis: int | None) -> tuple[np.ndarray, np.ndarray]:
        if not self.is_per_channel:
            return self.scale, self.zero_point
        shape = [1] * rank
        shape[-1 if axis is None else axis] = -1
        return self.scale.reshape(shape), self.zero_point.reshape(shape)

    def replace(self, **changes: object) -> Quantization:
        """Return this quantization with other attributes."""
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        scale = f"{self.scale[0]:g}" if not self.is_per_channel else f"{self.scale.size} scales"
        return f"Quantization({self.format}, {self.bits} bits, {scale}, zero {self.zero_point[0]})"
