# SPDX-License-Identifier: Apache-2.0
"""Operands on which cores are tried, and the exact operations on them."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from asnet_mlir.support.formats import F32, FLOAT_FORMATS, NumberFormat

__all__ = [
    "corner_pairs",
    "corner_values",
    "exact_float",
    "exact_integer",
    "ieee_reference",
    "integer_corner_pairs",
    "random_operands",
    "random_pairs",
    "typical_pairs",
]


def ieee_reference(op: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the bits of the exact operation on f32 bits (uint32), every NaN canonical.

    The four basic operations are the host's own (IEEE 754-2019, 5.4.1); maximum and minimum (9.6)
    are found by comparing integers, because hosts disagree on signed zeros.
    """
    return exact_float(F32, op, a, b)


def exact_float(kind: NumberFormat, op: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the bits of an IEEE-754 operation on bits of a format, every NaN canonical.

    The formats narrower than f32 are computed in float64 and rounded once more.  With at least
    2p + 2 bits for operands of p bits the second rounding never shows, in + - * and / alike
    (S. Figueroa, When is double rounding innocuous?, SIGNUM Newsletter 30(3), 1995).
    """
    if op in ("maxf", "minf"):
        # Sign and magnitude to an order in which -0 is below +0.
        sign = kind.bits_dtype.type(kind.sign)
        keys = [np.where(v & sign, ~v, v | sign).astype(kind.bits_dtype) for v in (a, b)]
        first = (keys[0] >= keys[1]) == (op == "maxf")
        nan = kind.is_nan(a) | kind.is_nan(b)
        canonical = kind.bits_dtype.type(kind.canonical_nan)
        return np.where(nan, canonical, np.where(first, a, b)).astype(kind.bits_dtype)
    operation = {
        "addf": np.add,
        "subf": np.subtract,
        "mulf": np.multiply,
        "divf": np.divide,
    }[op]
    with np.errstate(all="ignore"):
        if kind.name == "f32":
            return kind.canonical(operation(a.view(np.float32), b.view(np.float32)).view(np.uint32))
        return kind.round(operation(kind.to_float64(a), kind.to_float64(b)))


def exact_integer(
    op: str, a: np.ndarray, b: np.ndarray, widths: tuple[int, int, int], signed: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return an integer operation's result bits (uint64), and where it is defined.

    Args:
      op: one of `INTEGER_OPS`.
      a, b: bits of the operands (unsigned).
      widths: bits of a, b and the result, at most 64; the result is taken modulo its width.
      signed: operands are two's complement; division then rounds towards zero.
    """

    def extended(bits: np.ndarray, width: int) -> np.ndarray:
        wide = bits.astype(np.uint64)
        if not signed:
            return wide
        return (wide << np.uint64(64 - width)).view(np.int64) >> np.int64(64 - width)

    x, y = extended(a, widths[0]), extended(b, widths[1])
    defined = np.ones(x.shape, bool)
    with np.errstate(all="ignore"):
        if op == "divi":
            defined = y != 0
            divisor = np.where(defined, y, np.ones_like(y))
            if signed:
                # By magnitudes, which int64 lacks for the least number.
                quotient = np.abs(x).view(np.uint64) // np.abs(divisor).view(np.uint64)
                result = np.where((x < 0) != (divisor < 0), np.uint64(0) - quotient, quotient)
            else:
                result = x // divisor
        else:
            operation = {
                "addi": np.add,
                "subi": np.subtract,
                "muli": np.multiply,
                "maxi": np.maximum,
                "mini": np.minimum,
            }[op]
            result = operation(x, y)
    mask = np.uint64((1 << widths[2]) - 1)
    return result.view(np.uint64) & mask, defined


@functools.cache
def corner_values(name: str = "f32") -> np.ndarray:
    """Return the bits of special values of a format, both signs of each."""
    kind = FLOAT_FORMATS[name]
    if name != "f32":
        # Special fractions at special exponents, infinities and NaNs among them.
        width, top = kind.fraction_bits, (1 << kind.exponent_bits) - 1
        bias = kind.bias
        fractions = {0, 1, 2, 3, 1 << width - 1, (1 << width - 1) + 1, (1 << width - 1) - 1}
        fractions |= {(1 << width) - 1, (1 << width) - 2, 0x55555555 & (1 << width) - 1}
        exponents = {0, 1, 2, 3, bias - width - 1, bias - width, bias - 2, bias - 1, bias}
        exponents |= {bias + 1, bias + 2, bias + width, bias + width + 1, top - 2, top - 1, top}
        exponents |= {(bias + 1) // 2, bias + bias // 2}
        every = sorted(e << width | f for e in exponents for f in fractions)
        return np.array([m | s for m in every for s in (0, kind.sign)], kind.bits_dtype)
    magnitudes = [
        0x00000000,  # zero
        *(0x00000001, 0x00000002, 0x00000003, 0x00400000, 0x007FFFFE, 0x007FFFFF),  # subnormal
        *(0x00800000, 0x00800001, 0x00FFFFFF, 0x01000000, 0x01000001),  # least normal ones
        *(0x0B800000, 0x0C000000, 0x1F800000, 0x20000000),  # products around the subnormals
        *(0x34000000, 0x33800000, 0x33800001),  # ulp of one, its half, and just above
        *(0x3E800000, 0x3F000000, 0x3F7FFFFE, 0x3F7FFFFF, 0x3F800000, 0x3F800001, 0x3F800002),
        *(0x3FC00000, 0x3FFFFFFF, 0x40000000, 0x40400000, 0x3EAAAAAB, 0x40490FDB),
        *(0x3F800800, 0x3F801000, 0x3F802000, 0x3FFFF000, 0x3FFFF800),  # halfway products
        *(0x3FB504F3, 0x3F9E3779, 0x3F955555, 0x3FEAAAAA),
        *(0x4B000000, 0x4B7FFFFF, 0x4B800000, 0x4B800001, 0x5F000000, 0x5F800000),
        *(0x7E800000, 0x7EFFFFFF, 0x7F000000, 0x7F7FFFFE, 0x7F7FFFFF),  # greatest
        0x7F800000,  # infinity
        *(kind.canonical_nan, kind.canonical_nan + 1, 0x7FFFFFFF),  # quiet NaNs
        *(0x7F800001, 0x7FA00000, 0x7FBFFFFF),  # signalling NaNs
    ]
    return np.array([m | s for m in magnitudes for s in (0, 1 << 31)], np.uint32)


def corner_pairs(kind: NumberFormat) -> tuple[np.ndarray, np.ndarray]:
    """Return every pair of `corner_values`."""
    corners = corner_values(kind.name)
    a, b = np.meshgrid(corners, corners, indexing="ij")
    return a.ravel(), b.ravel()


def integer_corner_pairs(width_a: int, width_b: int) -> tuple[np.ndarray, np.ndarray]:
    """Return every pair of special integers of two widths (uint64): powers of two, runs of ones."""
    corners = []
    for width in (width_a, width_b):
        top = (1 << width) - 1
        values = {0, 1 & top, 2 & top, 3 & top, top, top - 1, top >> 1, min(top, (top >> 1) + 1)}
        values |= {0x5555555555555555 & top, 0xAAAAAAAAAAAAAAAA & top}
        values |= {1 << k for k in range(width)} | {top >> k for k in range(width)}
        corners.append(np.array(sorted(values), np.uint64))
    a, b = np.meshgrid(*corners, indexing="ij")
    return a.ravel(), b.ravel()


def random_operands(
    number_format: str | None, width_a: int, width_b: int, count: int, seed: Sequence[int] | int
) -> tuple[np.ndarray, np.ndarray]:
    """Return bits of random operands of a format, or uniform integers (uint64) without one."""
    if number_format is not None:
        return random_pairs(count, seed, number_format)
    rng = np.random.default_rng(seed)
    return (
        rng.integers(0, (1 << width_a) - 1, count, dtype=np.uint64, endpoint=True),
        rng.integers(0, (1 << width_b) - 1, count, dtype=np.uint64, endpoint=True),
    )


def random_pairs(
    count: int, seed: Sequence[int] | int, number_format: str = "f32"
) -> tuple[np.ndarray, np.ndarray]:
    """Return bits of random operands of a format: eight distributions in equal parts, shuffled.

    Uniform bits; magnitudes about one; near exponents (cancellation); products and quotients
    around the subnormals and around overflow; few significant bits (exact results, ties); long runs
    of ones; a subnormal operand.
    """
    kind = FLOAT_FORMATS[number_format]
    fraction, bias, top = kind.fraction_bits, kind.bias, (1 << kind.exponent_bits) - 2
    unsigned = kind.bits_dtype.type
    rest = unsigned(kind.sign | (1 << fraction) - 1)
    rng = np.random.default_rng(seed)

    def bits(n: int) -> np.ndarray:
        return rng.integers(0, kind.sign << 1, n, dtype=kind.bits_dtype)

    def with_exponents(n: int, low: int, high: int) -> np.ndarray:
        exponents = rng.integers(low, high + 1, n).clip(0, top).astype(kind.bits_dtype)
        return (bits(n) & rest) | (exponents << unsigned(fraction))

    sizes = [count // 8 + (index < count % 8) for index in range(8)]
    pairs = [
        (bits(sizes[0]), bits(sizes[0])),
        (
            with_exponents(sizes[1], bias - 8, bias + 7),
            with_exponents(sizes[1], bias - 8, bias + 7),
        ),
    ]
    reach = fraction + 3
    for distance, n in zip((2, 0, 1), sizes[2:5], strict=True):
        a = with_exponents(n, 1, top)
        exponents = (a >> unsigned(fraction) & unsigned(top + 1)).astype(np.int64)
        jitter = rng.integers(-reach, reach + 1, n)
        partner = [
            bias - exponents + (0 if distance == 0 else bias) + jitter,
            exponents + bias * rng.choice((-1, 1), n) + jitter,
            exponents + rng.integers(-3, 4, n),
        ][distance]
        b = with_exponents(n, 0, 0) | (
            partner.clip(0, top).astype(kind.bits_dtype) << unsigned(fraction)
        )
        pairs.append((a, b))
    # Half of the significand's bits, and down to a few.
    short = unsigned((kind.sign << 1) - (1 << (fraction + 1) // 2))
    span = min(27, bias - 2)
    pairs.append(
        (
            with_exponents(sizes[5], bias - span, bias + span) & short,
            with_exponents(sizes[5], bias - span, bias + span)
            & (short << rng.integers(0, fraction // 2 - 2, sizes[5], dtype=kind.bits_dtype)),
        )
    )
    shifts = rng.integers(0, fraction + 1, sizes[6], dtype=kind.bits_dtype)
    ones = ((unsigned(1) << shifts) - unsigned(1)).astype(kind.bits_dtype)
    span = min(36, bias - 2)
    pairs.append(
        (
            with_exponents(sizes[6], bias - span, bias + span) | ones,
            with_exponents(sizes[6], bias - span, bias + span) | ones,
        )
    )
    pairs.append(
        (
            with_exponents(sizes[7], 0, 0),
            with_exponents(sizes[7], bias - bias // 2, bias + bias // 2),
        )
    )
    order = rng.permutation(count)
    swap = rng.random(count) < 0.5
    a, b = (np.concatenate([pair[side] for pair in pairs])[order] for side in (0, 1))
    return np.where(swap, b, a), np.where(swap, a, b)


def typical_pairs(
    count: int, seed: Sequence[int] | int, number_format: str = "f32"
) -> tuple[np.ndarray, np.ndarray]:
    """Return bits of normal operands: uniform sign and fraction, exponents -8..7 uniform.

    Errors are measured on these, so that figures of different cores can be compared.
    """
    kind = FLOAT_FORMATS[number_format]
    unsigned = kind.bits_dtype.type
    rest = unsigned(kind.sign | (1 << kind.fraction_bits) - 1)
    rng = np.random.default_rng(seed)
    a, b = (
        rng.integers(0, kind.sign << 1, count, dtype=kind.bits_dtype) & rest
        | rng.integers(kind.bias - 8, kind.bias + 8, count, dtype=kind.bits_dtype)
        << unsigned(kind.fraction_bits)
        for _ in range(2)
    )
    return a, b
