# SPDX-License-Identifier: Apache-2.0
"""Integer arithmetic of quantised networks, written as StableHLO (docs/semantics.md, Q3 and Q4).

Everything here is plain logic, which no binding reaches: elementwise ops, and sums of 64 bits.
"""

from __future__ import annotations

import numpy as np

from asnet_mlir.quantized.fixed_point import FixedPoint, Rounding
from asnet_mlir.quantized.parameters import Quantization
from asnet_mlir.quantized.writer import Tensor, Writer

__all__ = ["element_of", "rescale", "saturate", "subtract_zero", "uniform_or_weight", "whole"]

_BITS = 31
# Integers up to it are f32.
_LIMIT = float(1 << 24)


def element_of(quantization: Quantization) -> str:
    """Return the element type that carries codes: `i8`, `ui8`, `i16`, `ui16`."""
    format = quantization.format
    return format.element_type if format.is_signed else f"u{format.element_type}"


def uniform_or_weight(
    writer: Writer, name: str, values: np.ndarray, element: str, like: Tensor
) -> Tensor:
    """Return integers of the last dimensions in the shape of `like`: a constant if all are one.

    Args:
      values: of a format's dtype.
      element: to which they are converted.
    """
    if values.size and (values == values.flat[0]).all():
        return writer.constant(int(values.flat[0]), element, like)
    wide = writer.convert(writer.weight(name, values), element)
    return writer.spread(wide, like)


def subtract_zero(writer: Writer, codes: Tensor, zero_point: int) -> Tensor:
    """Return `code - zero_point` as i32."""
    wide = writer.convert(codes, "i32")
    return writer.elementwise("subtract", wide, zero_point) if zero_point else wide


def rescale(writer: Writer, x: Tensor, factors: FixedPoint, rounding: Rounding) -> Tensor:
    """Return i32 numbers times real factors, rounded to i32 modulo 2^32.

    Args:
      x: i32 or i64; with a factor for each channel these are its last dimension.
      rounding: `single`: x times the multiplier, shifted with half of a unit added (ties up).
        `double`: shifted left first where the factor is above 1, the product shifted by 31 with
        half of a unit added (ties up), and that by the rest with ties away from zero.
        `even`: x as f32 times the factor as f32, to the nearest integer, ties to even; within
        2^24.
    """
    if rounding == "even":
        return _round_floats(writer, x, factors)
    if rounding == "single":
        return _round_once(writer, x, factors)
    return _round_twice(writer, x, factors)


def _round_floats(writer: Writer, x: Tensor, factors: FixedPoint) -> Tensor:
    reals = np.array(factors.reals, np.float32)
    wide = writer.convert(x, "f32")
    if (reals == reals[0]).all():
        product = writer.elementwise("multiply", wide, float(reals[0]))
    else:
        spread = writer.spread(writer.weight("factor", reals), wide)
        product = writer.elementwise("multiply", wide, spread)
    return whole(writer, product, "round_nearest_even")


def whole(writer: Writer, x: Tensor, rounding: str) -> Tensor:
    """Return f32 rounded to i32 by an op of StableHLO, limited to 2^24 in magnitude.

    So that a zero point can be added to it: what a code does not hold saturates later.
    """
    rounded = writer.elementwise(rounding, x)
    bounds = [writer.constant(bound, "f32", rounded) for bound in (-_LIMIT, _LIMIT)]
    limited = writer.op("clamp", [bounds[0], rounded, bounds[1]], x.shape, "f32", batched=x.batched)
    return writer.convert(limited, "i32")


def _shape_of(x: Tensor, element: str) -> Tensor:
    return Tensor("", x.shape, element, x.batched)


def _factor(
    writer: Writer, x: Tensor, name: str, values: list[int], dtype: type, element: str
) -> Tensor:
    return uniform_or_weight(writer, name, np.array(values, dtype), element, _shape_of(x, element))


def _round_once(writer: Writer, x: Tensor, factors: FixedPoint) -> Tensor:
    multiplier = _factor(writer, x, "multiplier", list(factors.multipliers), np.int32, "i64")
    shifts = [_BITS - shift for shift in factors.shifts]
    shift = _factor(writer, x, "shift", shifts, np.int8, "i64")
    product = writer.elementwise("multiply", writer.convert(x, "i64"), multiplier)
    half = _half(writer, x, shifts, shift)
    rounded = writer.elementwise("add", product, half)
    return writer.convert(writer.elementwise("shift_right_arithmetic", rounded, shift), "i32")


def _half(writer: Writer, x: Tensor, shifts: list[int], shift: Tensor) -> Tensor:
    """Return half of what a shift counts, 2^(shift - 1), or 0 where it is 0; i64."""
    if len(set(shifts)) == 1:
        return writer.constant((1 << shifts[0]) >> 1, "i64", _shape_of(x, "i64"))
    one = writer.constant(1, "i64", shift)
    unit = writer.elementwise("shift_left", one, shift)
    return writer.elementwise("shift_right_arithmetic", unit, one)


def _round_twice(writer: Writer, x: Tensor, factors: FixedPoint) -> Tensor:
    left = [max(shift, 0) for shift in factors.shifts]
    right = [max(-shift, 0) for shift in factors.shifts]
    if any(left):
        amount = _factor(writer, x, "left_shift", left, np.int8, x.element)
        x = writer.elementwise("shift_left", x, amount)
    multiplier = _factor(writer, x, "multiplier", list(factors.multipliers), np.int32, "i64")
    product = writer.elementwise("multiply", writer.convert(x, "i64"), multiplier)
    product = writer.elementwise("add", product, 1 << (_BITS - 1))
    high = writer.elementwise("shift_right_arithmetic", product, _BITS)
    if any(right):
        high = _divide_by_power(writer, high, right)
    return writer.convert(high, "i32")


def _divide_by_power(writer: Writer, x: Tensor, shifts: list[int]) -> Tensor:
    """Return i64 numbers divided by 2^shift, rounded to nearest, ties away from zero."""
    shift = _factor(writer, x, "shift", shifts, np.int8, "i64")
    sign = writer.elementwise("shift_right_arithmetic", x, 63)
    nudge = writer.elementwise("add", _half(writer, x, shifts, shift), sign)
    if 0 in shifts:  # nothing is rounded there
        nudge = writer.elementwise("maximum", nudge, 0)
    return writer.elementwise("shift_right_arithmetic", writer.elementwise("add", x, nudge), shift)


def saturate(
    writer: Writer,
    x: Tensor,
    output: Quantization,
    activation: tuple[int, int] | None = None,
    *,
    add_zero: bool = True,
) -> Tensor:
    """Return i32 numbers as codes: the zero point is added, and what no code holds saturates.

    Args:
      activation: the least and the greatest code, where an activation leaves fewer.
    """
    zero = output.single_zero_point
    if add_zero and zero:
        x = writer.elementwise("add", x, zero)
    low, high = activation or (output.low, output.high)
    bounds = [writer.constant(bound, x.element, x) for bound in (low, high)]
    x = writer.op("clamp", [bounds[0], x, bounds[1]], x.shape, x.element, batched=x.batched)
    return writer.convert(x, element_of(output))
