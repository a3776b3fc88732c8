# SPDX-License-Identifier: Apache-2.0
"""How a network is quantized, and the scales and zero points that follow from ranges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.quantization.calibration import Observed
from asnet_mlir.quantized import CODE_BITS, Quantization

__all__ = ["METHODS", "Scheme"]

METHODS = ("minmax", "percentile", "mse")

#: The share of numbers that the method `percentile` lets saturate on each side, in percent.
_PERCENT = 0.01
#: The shares of the whole range that the method `mse` tries.
_SHARES = np.linspace(1.0, 0.2, 65)


@dataclass(frozen=True)
class Scheme:
    """How a network is quantized.

    Attributes:
      bits, weights: of the codes of activations and of weights.
      per_channel: whether each output channel of weights has a scale of its own.
      symmetric: whether the zero points of activations are 0 (the middle, where unsigned).
      unsigned: whether activations and weights have unsigned codes, weights with zero points.
      method: how ranges are chosen: `minmax`, all numbers; `percentile`, all but 0.01 % on each
        side; `mse`, the range with the least mean squared error.

    Raises:
      InputError: bits outside 2..16, an unknown method.
    """

    bits: int = 8
    weights: int = 8
    per_channel: bool = True
    symmetric: bool = False
    unsigned: bool = False
    method: Literal["minmax", "percentile", "mse"] | str = "minmax"

    def __post_init__(self) -> None:
        fewest, most = CODE_BITS
        for what, bits in (("activations", self.bits), ("weights", self.weights)):
            if not fewest <= bits <= most:
                raise InputError(f"codes of {what} have {fewest} to {most} bits, not {bits}")
        if self.method not in METHODS:
            raise InputError(f"unknown method '{self.method}'; one of {', '.join(METHODS)}")

    def activation(self, observed: Observed) -> Quantization:
        """Return how a value's numbers become codes; 0.0 has a code of its own."""
        low, high = min(observed.low, 0.0), max(observed.high, 0.0)
        if self.method == "percentile":
            shares = np.percentile(observed.drawn, [_PERCENT, 100 - _PERCENT])
            low, high = max(low, min(float(shares[0]), 0.0)), min(high, max(float(shares[1]), 0.0))
        if self.method == "mse":
            numbers = observed.drawn.astype(np.float64)
            low, high = _least_error(
                numbers, low, high, lambda low, high: self._between(low, high, self.bits)
            )
        return self._between(low, high, self.bits, symmetric=self.symmetric)

    def kernel(self, kernel: np.ndarray) -> Quantization:
        """Return how the weights of a layer become codes.

        Args:
          kernel: float64[.., channels].
        """
        columns = kernel.reshape(-1, kernel.shape[-1])
        columns = columns if self.per_channel else columns.reshape(-1, 1)
        found = [self._weights_between(column) for column in columns.T]
        return Quantization(
            np.concatenate([own.scale for own in found]),
            np.concatenate([own.zero_point for own in found]),
            self.weights,
            not self.unsigned,
        )

    def _weights_between(self, numbers: np.ndarray) -> Quantization:
        low, high = min(numbers.min(), 0.0), max(numbers.max(), 0.0)
        symmetric = not self.unsigned

        def codes(low: float, high: float) -> Quantization:
            return self._between(low, high, self.weights, symmetric=symmetric)

        if self.method == "mse":
            low, high = _least_error(numbers, low, high, codes)
        return codes(low, high)

    def _between(
        self, low: float, high: float, bits: int, symmetric: bool | None = None
    ) -> Quantization:
        """Return the codes of numbers between two, one of them 0 or on either side of it."""
        signed = not self.unsigned
        whole = Quantization(np.ones(1), np.zeros(1, np.int64), bits, signed)
        if self.symmetric if symmetric is None else symmetric:
            middle = 0 if signed else 1 << (bits - 1)
            scale = max(-low, high) / (whole.high - middle)
            return Quantization(_positive(scale), np.array([middle]), bits, signed)
        scale = (high - low) / (whole.high - whole.low)
        zero = whole.low if scale == 0 else round(whole.low - low / scale)
        zero = min(max(zero, whole.low), whole.high)
        return Quantization(_positive(scale), np.array([zero]), bits, signed)


def _positive(scale: float) -> np.ndarray:
    """Return a scale as an array; that of numbers which are all 0 is 1."""
    return np.array([scale if scale > np.finfo(np.float32).tiny else 1.0])


def _least_error(
    numbers: np.ndarray, low: float, high: float, codes: Callable[[float, float], Quantization]
) -> tuple[float, float]:
    """Return the share of a range whose codes have the least mean squared error."""

    def error(share: float) -> float:
        own = codes(low * share, high * share)
        return float(np.mean((own.numbers(own.codes(numbers)) - numbers) ** 2))

    best = min(_SHARES, key=error)
    return low * best, high * best
