# SPDX-License-Identifier: Apache-2.0
"""Functions of codes as tables (docs/semantics.md, Q8).

Exponentials for a softmax are fixed-point numbers, 32 bits with a sign: `raw / 2^(31 - n)` has n
integer bits (`Qn`).  The method and its constants are gemmlowp's (`fixedpoint/fixedpoint.h`), which
TensorFlow Lite's reference kernels use: a Taylor series around -1/8 in [-1/4, 0), times exp(-2^k)
for each bit above it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from asnet_mlir.quantized.fixed_point import FixedPoint
from asnet_mlir.quantized.parameters import Quantization

__all__ = [
    "exponentials",
    "leaky_relu_codes",
    "logistic_codes",
    "rescaled",
    "tanh_codes",
]

_ONE = (1 << 31) - 1
_EXP_EIGHTH = 1895147668  # exp(-1/8), Q0
_THIRD = 715827883  # 1/3, Q0
#: exp(-2^k) for k = -2 to 4, Q0.
_EXP_POWERS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
#: Integer bits of what is exponentiated.
_INTEGER_BITS = 5


def _saturated(value: int) -> int:
    return max(-(1 << 31), min(_ONE, value))


def _times(x: int, y: int) -> int:
    """Return the high half of twice a product, rounded, ties up."""
    return _saturated((x * y + (1 << 30)) >> 31)


def _over_power(x: int, exponent: int) -> int:
    """Return x / 2^exponent to nearest, ties away from zero."""
    half = (1 << exponent) >> 1
    return (x + half) >> exponent if x >= 0 else -((-x + half) >> exponent)


def rescaled(x: int, multiplier: int, shift: int) -> int:
    """Return x times a factor, rounded twice, as `rescale` writes it."""
    wide = (x << max(shift, 0)) & 0xFFFFFFFF
    wide -= (wide & 1 << 31) << 1
    return _over_power(_times(wide, multiplier), max(-shift, 0))


def _exp_of_negative(x: int) -> int:
    """Return exp(x), Q0, of x <= 0, Q5."""
    if x == 0:
        return _ONE
    fraction = 31 - _INTEGER_BITS
    quarter = 1 << fraction - 2
    low = (x & quarter - 1) - quarter
    result = _exp_in_quarter(low << _INTEGER_BITS)
    rest = low - x
    for power, factor in enumerate(_EXP_POWERS, start=-2):
        if rest & 1 << fraction + power:
            result = _times(result, factor)
    return result


def _exp_in_quarter(x: int) -> int:
    """Return exp(x), Q0, of x in [-1/4, 0), Q0."""
    x += 1 << 28
    square = _times(x, x)
    cube, fourth = _times(square, x), _times(square, square)
    third = _times(_over_power(fourth, 2) + cube, _THIRD)
    series = x + _over_power(third + square, 1)
    return _saturated(_EXP_EIGHTH + _times(_EXP_EIGHTH, series))


def exponentials(x: Quantization, beta: float) -> list[int]:
    """Return exp(beta * scale * d), Q0, for d = 0 down to the least difference of two codes."""
    factor = min(beta * x.single_scale * (1 << 31 - _INTEGER_BITS), float(_ONE))
    fixed = FixedPoint.of([factor])
    (multiplier,), (shift,) = fixed.multipliers, fixed.shifts
    radius = math.floor(((1 << _INTEGER_BITS) - 1) * (1 << 31 - _INTEGER_BITS) / 2**shift)
    results = []
    for difference in range(x.high - x.low + 1):
        if difference > radius:
            results.append(0)
            continue
        results.append(_exp_of_negative(rescaled(-difference, multiplier, shift)))
    return results


def logistic_codes(x: Quantization, y: Quantization) -> np.ndarray:
    """Return the codes of 1 / (1 + exp(-x)) for all codes of x, in arithmetic of f32."""

    def logistic(numbers: np.ndarray) -> np.ndarray:
        powers = np.exp(-numbers.astype(np.float64)).astype(np.float32)
        return np.float32(1) / (np.float32(1) + powers)

    return _codes_of(logistic, x, y)


def tanh_codes(x: Quantization, y: Quantization) -> np.ndarray:
    """Return the codes of tanh(x) for all codes of x, in arithmetic of f32."""
    return _codes_of(lambda v: np.tanh(v.astype(np.float64)).astype(np.float32), x, y)


def _codes_of(
    function: Callable[[np.ndarray], np.ndarray], x: Quantization, y: Quantization
) -> np.ndarray:
    """Return codes of a function of f32, ties away from zero.

    Scales are f32, each operation is rounded; functions are the nearest f32, where TensorFlow Lite
    takes those of the C library.
    """
    codes = np.arange(x.low, x.high + 1) - x.single_zero_point
    numbers = np.float32(x.single_scale) * codes.astype(np.float32)
    with np.errstate(over="ignore"):
        ratios = function(numbers) * (np.float32(1) / np.float32(y.single_scale))
    rounded = np.copysign(np.floor(np.abs(ratios.astype(np.float64)) + 0.5), ratios)
    return np.clip(rounded + y.single_zero_point, y.low, y.high)


def leaky_relu_codes(x: Quantization, y: Quantization, alpha: float) -> np.ndarray:
    """Return the codes of x, times alpha where it is negative, each by a factor rounded twice."""
    zero = x.single_zero_point
    factors = FixedPoint.of(
        [x.single_scale / y.single_scale, x.single_scale * abs(alpha) / y.single_scale]
    )
    results = []
    for code in range(x.low, x.high + 1):
        which = int(code < zero)
        value = rescaled(code - zero, factors.multipliers[which], factors.shifts[which])
        if which and alpha < 0:
            value = -value
        results.append(value + y.single_zero_point)
    return np.clip(results, y.low, y.high)
