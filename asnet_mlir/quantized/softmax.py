# SPDX-License-Identifier: Apache-2.0
"""Softmax of codes in integers, as TensorFlow Lite's reference kernel (docs/semantics.md, Q8)."""

from __future__ import annotations

import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.quantized.exponentials import exponentials
from asnet_mlir.quantized.parameters import Quantization
from asnet_mlir.quantized.rescaling import saturate
from asnet_mlir.quantized.windows import reduce
from asnet_mlir.quantized.writer import Tensor, Writer

__all__ = ["probabilities", "softmax"]

# Exponentials are Q0; their sum has 12 integer bits.
_SUM_BITS = 12
_LONGEST = (1 << _SUM_BITS) - 1
# 48/17 and -32/17, Q2: the first approximation of 1 / x for x in [1/2, 1].
_NUMERATOR, _SLOPE = 1515870810, -1010580540


def probabilities(bits: int, signed: bool) -> Quantization:
    """Return what the codes of a softmax mean: 0 to almost 1 in steps of 2^-bits."""
    low = -(1 << bits - 1) if signed else 0
    return Quantization(np.array(2.0**-bits), np.array(low), bits, signed)


def softmax(
    writer: Writer, x: Tensor, meaning: Quantization, output: Quantization, beta: float
) -> Tensor:
    """Return the codes of `exp(beta x) / sum exp(beta x)` over the last dimension.

    Args:
      output: as `probabilities` gives it.
    """
    if not 0 < x.shape[-1] <= _LONGEST:
        raise InputError(f"a softmax of {x.shape[-1]} numbers: 1 to {_LONGEST} are supported")
    table = writer.weight("exponentials", np.array(exponentials(meaning, beta), np.int32))
    wide = writer.convert(x, "i32")
    greatest = _spread(writer, reduce(writer, wide, "maximum", meaning.low, [len(x.shape) - 1]), x)
    terms = writer.look_up(table, writer.elementwise("subtract", greatest, wide))
    terms = writer.convert(terms, "i64")
    whole = writer.elementwise("add", terms, 1 << _SUM_BITS - 1)
    whole = writer.elementwise("shift_right_arithmetic", whole, _SUM_BITS)
    # In 64 bits, so that it is no sum that a core computes.
    total = reduce(writer, whole, "add", 0, [len(x.shape) - 1])
    headroom = _leading_zeros(writer, total)
    inverse = _spread(writer, _inverse(writer, total, headroom), x)
    exponent = writer.elementwise("negate", headroom)
    exponent = writer.elementwise("add", exponent, _SUM_BITS + 31 - output.bits)
    exponent = _spread(writer, exponent, x)
    product = _times(writer, inverse, terms)
    half = writer.elementwise("subtract", exponent, 1)
    half = writer.elementwise("shift_left", writer.constant(1, "i64", half), half)
    rounded = writer.elementwise("add", product, half)
    codes = writer.elementwise("shift_right_arithmetic", rounded, exponent)
    return saturate(writer, codes, output)


def _spread(writer: Writer, x: Tensor, like: Tensor) -> Tensor:
    """Repeat numbers along the last dimension, which was reduced."""
    return writer.spread(x, Tensor("", like.shape, x.element), range(x.rank))


def _times(writer: Writer, x: Tensor, y: Tensor | int) -> Tensor:
    """Return half of a product of numbers of 32 bits, rounded, ties up; i64."""
    product = writer.elementwise("add", writer.elementwise("multiply", x, y), 1 << 30)
    return writer.elementwise("shift_right_arithmetic", product, 31)


def _limited(writer: Writer, x: Tensor) -> Tensor:
    """Saturate i64 to 32 bits."""
    x = writer.elementwise("minimum", x, (1 << 31) - 1)
    return writer.elementwise("maximum", x, -(1 << 31))


def _leading_zeros(writer: Writer, total: Tensor) -> Tensor:
    """Return how many of 32 bits are above the highest one; i64.

    Args:
      total: at least 1.0, so that at most 12 are.
    """
    count = writer.constant(0, "i64", total)
    for bit in range(31 - _SUM_BITS + 1, 32):
        below = writer.convert(writer.compare("LT", total, 1 << bit), "i64")
        count = writer.elementwise("add", count, below)
    return count


def _inverse(writer: Writer, total: Tensor, headroom: Tensor) -> Tensor:
    """Return 2^(31 - headroom) / total, Q0, by three steps of Newton's method; i64."""
    shifted = writer.elementwise("shift_left", total, headroom)  # 2^31 to 2^32
    half = writer.elementwise("shift_right_arithmetic", shifted, 1)
    result = writer.elementwise("add", _times(writer, half, _SLOPE), _NUMERATOR)
    for _ in range(3):
        rest = writer.elementwise("negate", _times(writer, half, result))
        rest = writer.elementwise("add", rest, 1 << 29)
        step = writer.elementwise("shift_left", _times(writer, result, rest), 2)
        result = writer.elementwise("add", result, _limited(writer, step))
    return _limited(writer, writer.elementwise("shift_left", result, 1))
