# SPDX-License-Identifier: Apache-2.0
"""Functions that networks use seldom, written in operations that every network has.

`stablehlo.sine` and others become a `stablehlo.map` of scalar code: f32 multiplications, additions
and divisions, which a binding reaches, and plain logic on bits.  docs/semantics.md, section 6,
defines them and says how exact they are; operations are in its order here.  Narrower floats are
widened and rounded once behind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = ["FUNCTIONS"]

#: Bits of 2 / pi behind a word of zeros: the product with a float's significand, modulo 4, needs
#: those from its exponent on (M. H. Payne, R. N. Hanek, 1983).
_TWO_OVER_PI = (
    *(0x00000000, 0xA2F9836E, 0x4E441529, 0xFC2757D1),
    *(0xF534DDC0, 0xDB629599, 0x3C439041, 0xFE5163AB),
)
# S. L. Moshier, Cephes Mathematical Library 2.2: single/sinf.c, atanf.c, cbrtf.c, expf.c, logf.c.
_SINE = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_COSINE = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
_ARCTANGENT = (8.05374449538e-2, -1.38776856032e-1, 1.99777106478e-1, -3.33329491539e-1)
_CUBE_ROOT = (
    *(-0.13466110473359520655, 0.54664601366395524503, -0.95438224771509446525),
    *(1.1399983354717293273, 0.40238979564544752126),
)
_EXPONENTIAL = (
    *(1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3),
    *(4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1),
)
_LOGARITHM = (
    *(7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1),
    *(-1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1),
)
_MINUS_LN2 = (-0.693359375, 2.12194440e-4)
_SIGN, _MAGNITUDE, _INFINITY = 0x80000000, 0x7FFFFFFF, 0x7F800000


class _Code:
    """Makes scalar operations of StableHLO at the insertion point, on f32, i32 and booleans."""

    def __init__(self) -> None:
        from jaxlib.mlir import ir

        self._float = ir.RankedTensorType.get([], ir.F32Type.get())
        self._word = ir.RankedTensorType.get([], ir.IntegerType.get_signless(32))
        self._bit = ir.RankedTensorType.get([], ir.IntegerType.get_signless(1))

    def f32(self, value: float) -> Any:
        return self._constant(np.array(value, np.float32))

    def i32(self, value: int) -> Any:
        return self._constant(np.array(value & 0xFFFFFFFF, np.uint32).view(np.int32))

    def _constant(self, value: np.ndarray) -> Any:
        from jaxlib.mlir import ir
        from jaxlib.mlir.dialects import stablehlo

        return stablehlo.constant(ir.DenseElementsAttr.get(value))

    def _make(self, name: str, operands: Sequence[Any], kind: Any = None, **attributes: Any) -> Any:
        from jaxlib.mlir import ir

        return ir.Operation.create(
            f"stablehlo.{name}",
            results=[operands[0].type if kind is None else kind],
            operands=list(operands),
            attributes=attributes,
        ).result

    def add(self, *terms: Any) -> Any:
        """Return terms added from the first on."""
        return self._chain("add", terms)

    def multiply(self, *factors: Any) -> Any:
        return self._chain("multiply", factors)

    def _chain(self, name: str, operands: Sequence[Any]) -> Any:
        whole = operands[0]
        for operand in operands[1:]:
            whole = self._make(name, [whole, operand])
        return whole

    def divide(self, a: Any, b: Any) -> Any:
        return self._make("divide", [a, b])

    def negate(self, a: Any) -> Any:
        return self.signed(a, self.i32(_SIGN))

    def minus(self, a: Any, b: Any) -> Any:
        """Return a difference of floats as the sum that it is."""
        return self.add(a, self.negate(b))

    def subtract(self, a: Any, b: Any) -> Any:
        return self._make("subtract", [a, b])

    def both(self, a: Any, b: Any) -> Any:
        return self._make("and", [a, b])

    def either(self, a: Any, b: Any) -> Any:
        return self._make("or", [a, b])

    def differ(self, a: Any, b: Any) -> Any:
        return self._make("xor", [a, b])

    def up(self, a: Any, by: Any) -> Any:
        """Return an integer shifted to the left; by a number or a value."""
        return self._make("shift_left", [a, self.i32(by) if isinstance(by, int) else by])

    def down(self, a: Any, by: Any) -> Any:
        by = self.i32(by) if isinstance(by, int) else by
        return self._make("shift_right_logical", [a, by])

    def spread_sign(self, a: Any) -> Any:
        """Return a word that is the sign bit of an integer throughout."""
        return self._make("shift_right_arithmetic", [a, self.i32(31)])

    def compare(self, a: Any, direction: str, b: Any) -> Any:
        from jaxlib.mlir import ir

        kind = "FLOAT" if a.type == self._float else "SIGNED"
        return self._make(
            "compare",
            [a, b],
            self._bit,
            comparison_direction=ir.Attribute.parse(
                f"#stablehlo<comparison_direction {direction}>"
            ),
            compare_type=ir.Attribute.parse(f"#stablehlo<comparison_type {kind}>"),
        )

    def below(self, a: Any, b: Any) -> Any:
        """Return whether an integer without a sign is less than another."""
        return self.compare(self.differ(a, self.i32(_SIGN)), "LT", self.differ(b, self.i32(_SIGN)))

    def select(self, condition: Any, a: Any, b: Any) -> Any:
        return self._make("select", [condition, a, b], a.type)

    def bits(self, a: Any) -> Any:
        return self._make("bitcast_convert", [a], self._word)

    def of_bits(self, a: Any) -> Any:
        return self._make("bitcast_convert", [a], self._float)

    def signed(self, a: Any, sign: Any) -> Any:
        """Return a float with its sign turned by a word's highest bit, other bits 0."""
        return self.of_bits(self.differ(self.bits(a), sign))

    def magnitude(self, a: Any) -> Any:
        return self.of_bits(self.both(self.bits(a), self.i32(_MAGNITUDE)))

    def to_float(self, a: Any) -> Any:
        """Return the nearest float of an integer with a sign."""
        return self._make("convert", [a], self._float)

    def to_float_unsigned(self, a: Any) -> Any:
        from jaxlib.mlir import ir

        word = ir.RankedTensorType.get([], ir.IntegerType.get_unsigned(32))
        return self._make("convert", [self._make("bitcast_convert", [a], word)], self._float)

    def to_integer(self, a: Any) -> Any:
        return self._make("convert", [a], self._word)

    def rounded(self, a: Any) -> Any:
        return self._make("round_nearest_even", [a])

    def horner(self, x: Any, coefficients: Sequence[float]) -> Any:
        p = self.f32(coefficients[0])
        for coefficient in coefficients[1:]:
            p = self.add(self.multiply(p, x), self.f32(coefficient))
        return p

    def moved(self, a: Any, n: Any) -> Any:
        """Return a normal float times 2^n; 0 below the normal numbers, infinite above them."""
        bits = self.bits(a)
        exponent = self.add(self.both(self.down(bits, 23), self.i32(0xFF)), n)
        sign = self.both(bits, self.i32(_SIGN))
        result = self.add(bits, self.up(n, 23))
        infinity = self.either(sign, self.i32(_INFINITY))
        result = self.select(self.compare(exponent, "GE", self.i32(255)), infinity, result)
        return self.of_bits(self.select(self.compare(exponent, "LE", self.i32(0)), sign, result))

    def parts(self, a: Any) -> tuple[Any, Any]:
        """Return significand in [1, 2) and exponent of a positive number, subnormal ones too."""
        is_small = self.compare(a, "LT", self.f32(2.0**-126))
        scaled = self.to_float(self.bits(a))  # a subnormal number's bits count its unit, 2^-149
        bits = self.bits(self.select(is_small, scaled, a))
        bias = self.select(is_small, self.i32(127 + 149), self.i32(127))
        one = self.either(self.both(bits, self.i32(0x7FFFFF)), self.i32(0x3F800000))
        return self.of_bits(one), self.subtract(self.down(bits, 23), bias)

    def finish(self, result: Any, *operands: Any) -> Any:
        """Return a result that is a NaN where an operand is one."""
        for operand in operands:
            is_nan = self.compare(operand, "NE", operand)
            result = self.select(is_nan, self.f32(math.nan), result)
        return result


# Sine, cosine, tangent


def _high_word(c: _Code, significand: Any, word: Any) -> Any:
    """Return the upper 32 bits of a product of 24 and 32 bits, a byte of the word at a time."""
    total = c.multiply(significand, c.both(word, c.i32(0xFF)))
    for shift in (8, 16, 24):
        byte = c.both(c.down(word, shift), c.i32(0xFF))
        total = c.add(c.down(total, 8), c.multiply(significand, byte))
    return c.down(total, 8)


def _window(c: _Code, exponent: Any) -> list[Any]:
    """Return the three words of 2 / pi that matter for a float of a biased exponent."""
    place = c.subtract(exponent, c.i32(120))
    place = c.select(c.compare(place, "LT", c.i32(0)), c.i32(0), place)
    index, shift = c.down(place, 5), c.both(place, c.i32(31))
    words = []
    for offset in range(4):
        word = c.i32(_TWO_OVER_PI[offset])
        for number in range(1, 5):
            chosen = c.i32(_TWO_OVER_PI[min(number + offset, 7)])
            word = c.select(c.compare(index, "EQ", c.i32(number)), chosen, word)
        words.append(word)
    rest = c.subtract(c.i32(31), shift)
    return [
        c.either(c.up(words[k], shift), c.down(c.down(words[k + 1], 1), rest)) for k in range(3)
    ]


def _reduced(c: _Code, x: Any) -> tuple[Any, Any, Any]:
    """Return |x| less a multiple k of pi / 2: its magnitude, k modulo 4, its sign."""
    bits = c.both(c.bits(x), c.i32(_MAGNITUDE))
    is_small = c.compare(bits, "LT", c.i32(0x3F490FDB))  # pi / 4
    significand = c.either(c.both(bits, c.i32(0x7FFFFF)), c.i32(0x800000))
    first, second, third = _window(c, c.down(bits, 23))
    low = c.multiply(significand, second)
    below = c.add(low, _high_word(c, significand, third))
    carry = c.select(c.below(below, low), c.i32(1), c.i32(0))
    product = c.multiply(significand, first)
    above = c.add(product, _high_word(c, significand, second), carry)
    # Quarters of a turn to the nearest, and the rest in 64 bits behind the point.
    k = c.down(c.add(above, c.i32(1 << 29)), 30)
    rest = c.either(c.up(above, 2), c.down(below, 30))
    turned = c.spread_sign(rest)
    high, low = c.differ(rest, turned), c.differ(c.up(below, 2), turned)
    shift = c.i32(0)
    for step in (16, 8, 4, 2, 1):
        fits = c.below(high, c.i32(1 << (32 - step)))
        high = c.select(fits, c.up(high, step), high)
        shift = c.select(fits, c.add(shift, c.i32(step)), shift)
    high = c.either(high, c.down(c.down(low, 1), c.subtract(c.i32(31), shift)))
    quarter = c.moved(c.to_float_unsigned(high), c.subtract(c.i32(-32), shift))
    half_pi = float(np.float32(math.pi / 2))
    y = c.add(
        c.multiply(quarter, c.f32(half_pi)),
        c.multiply(quarter, c.f32(math.pi / 2 - half_pi)),
    )
    zero = c.i32(0)
    return (
        c.select(is_small, c.magnitude(x), y),
        c.select(is_small, zero, k),
        c.select(is_small, zero, c.both(turned, c.i32(_SIGN))),
    )


def _sine_and_cosine(c: _Code, x: Any) -> tuple[Any, Any, Any]:
    """Return sine and cosine of what remains of |x|, and the quarters of a turn."""
    y, k, sign = _reduced(c, x)
    z = c.multiply(y, y)
    sine = c.add(c.multiply(c.multiply(c.horner(z, _SINE), z), y), y)
    cosine = c.multiply(c.multiply(c.horner(z, _COSINE), z), z)
    cosine = c.add(c.add(cosine, c.multiply(z, c.f32(-0.5))), c.f32(1.0))
    return c.signed(sine, sign), cosine, k


def _is_odd(c: _Code, k: Any) -> Any:
    return c.compare(c.both(k, c.i32(1)), "NE", c.i32(0))


def _of_finite(c: _Code, x: Any, result: Any) -> Any:
    is_finite = c.compare(c.magnitude(x), "LT", c.f32(math.inf))
    return c.select(is_finite, result, c.f32(math.nan))


def _sign_of(c: _Code, x: Any) -> Any:
    return c.both(c.bits(x), c.i32(_SIGN))


def _sine(c: _Code, x: Any) -> Any:
    sine, cosine, k = _sine_and_cosine(c, x)
    result = c.select(_is_odd(c, k), cosine, sine)
    result = c.signed(result, c.up(c.both(k, c.i32(2)), 30))
    return _of_finite(c, x, c.signed(result, _sign_of(c, x)))


def _cosine(c: _Code, x: Any) -> Any:
    sine, cosine, k = _sine_and_cosine(c, x)
    result = c.select(_is_odd(c, k), sine, cosine)
    sign = c.up(c.both(c.add(k, c.i32(1)), c.i32(2)), 30)
    return _of_finite(c, x, c.signed(result, sign))


def _tangent(c: _Code, x: Any) -> Any:
    sine, cosine, k = _sine_and_cosine(c, x)
    is_odd = _is_odd(c, k)
    result = c.divide(c.select(is_odd, cosine, sine), c.select(is_odd, sine, cosine))
    result = c.signed(result, c.select(is_odd, c.i32(_SIGN), c.i32(0)))
    return _of_finite(c, x, c.signed(result, _sign_of(c, x)))


# Roots, angles, powers


def _cube_root(c: _Code, x: Any) -> Any:
    a = c.magnitude(x)
    one, exponent = c.parts(a)
    # x = m 8^q 2^r with m in [1/2, 1), r in 0..2: a third by multiplication with 43691 / 2^17.
    biased = c.add(exponent, c.i32(601))
    q = c.down(c.multiply(biased, c.i32(43691)), 17)
    r = c.subtract(biased, c.multiply(q, c.i32(3)))
    m = c.moved(one, c.i32(-1))
    is_one, is_two = (c.compare(r, "EQ", c.i32(n)) for n in (1, 2))
    scale = c.select(is_one, c.f32(2 ** (1 / 3)), c.f32(1.0))
    scale = c.select(is_two, c.f32(4 ** (1 / 3)), scale)
    y, z = c.multiply(c.horner(m, _CUBE_ROOT), scale), c.moved(m, r)
    for _ in range(2):  # Newton's steps
        error = c.minus(y, c.divide(z, c.multiply(y, y)))
        y = c.add(y, c.multiply(error, c.f32(-1 / 3)))
    result = c.moved(y, c.subtract(q, c.i32(200)))
    is_end = c.either(c.compare(a, "EQ", c.f32(0.0)), c.compare(a, "EQ", c.f32(math.inf)))
    result = c.signed(c.select(is_end, a, result), _sign_of(c, x))
    return c.finish(result, x)


def _angle(c: _Code, y: Any, x: Any) -> Any:
    a, b = c.magnitude(y), c.magnitude(x)
    is_steep = c.compare(a, "GT", b)
    low, high = c.select(is_steep, b, a), c.select(is_steep, a, b)
    # So that the sum does not overflow, nor the quotient lose digits.
    is_large = c.compare(high, "GE", c.f32(2.0**126))
    is_tiny = c.compare(high, "LT", c.f32(2.0**-100))
    scale = c.select(is_large, c.f32(0.25), c.select(is_tiny, c.f32(2.0**100), c.f32(1.0)))
    low, high = c.multiply(low, scale), c.multiply(high, scale)
    is_equal, zero = c.compare(low, "EQ", high), c.f32(0.0)
    is_wide = c.either(c.compare(low, "GT", c.multiply(high, c.f32(0.41421356))), is_equal)
    is_wide = c.both(is_wide, c.compare(high, "GT", zero))
    above = c.select(is_wide, c.minus(low, high), low)
    below = c.select(is_wide, c.add(low, high), high)
    t = c.select(is_equal, zero, c.divide(above, below))
    z = c.multiply(t, t)
    p = c.multiply(c.multiply(c.horner(z, _ARCTANGENT), z), t)
    # Eighths of a turn; the angle goes back from an even one.
    sign_x = _sign_of(c, x)
    is_left = c.compare(sign_x, "NE", c.i32(0))
    eighths = c.select(is_wide, c.i32(1), c.i32(0))
    eighths = c.select(is_steep, c.subtract(c.i32(2), eighths), eighths)
    eighths = c.select(is_left, c.subtract(c.i32(4), eighths), eighths)
    back = c.differ(c.select(is_steep, c.i32(_SIGN), c.i32(0)), sign_x)
    start, rest = zero, zero
    for number in range(1, 5):
        angle = math.pi / 4 * number
        is_it = c.compare(eighths, "EQ", c.i32(number))
        start = c.select(is_it, c.f32(angle), start)
        rest = c.select(is_it, c.f32(angle - float(np.float32(angle))), rest)
    result = c.add(start, c.add(c.signed(t, back), c.add(c.signed(p, back), rest)))
    return c.finish(c.signed(result, _sign_of(c, y)), x, y)


def _upper(c: _Code, a: Any) -> Any:
    """Return a number's 12 upper bits: products of such are exact."""
    return c.of_bits(c.both(c.bits(a), c.i32(0xFFFFF000)))


def _two(c: _Code, a: Any, b: Any) -> tuple[Any, Any]:
    """Return a sum and its rounding error, |a| >= |b| (T. J. Dekker, 1971)."""
    total = c.add(a, b)
    return total, c.minus(b, c.minus(total, a))


def _logarithm(c: _Code, a: Any) -> tuple[Any, Any]:
    """Return log a of a positive number in two parts."""
    one, exponent = c.parts(a)
    is_upper = c.compare(one, "GE", c.f32(math.sqrt(2)))
    one = c.select(is_upper, c.multiply(one, c.f32(0.5)), one)
    e = c.to_float(c.add(exponent, c.select(is_upper, c.i32(1), c.i32(0))))
    f = c.add(one, c.f32(-1.0))
    upper = _upper(c, f)
    lower = c.minus(f, upper)
    high, low = _two(c, f, c.multiply(c.multiply(upper, upper), c.f32(-0.5)))
    low = c.add(low, c.multiply(c.multiply(c.add(f, upper), lower), c.f32(-0.5)))
    low = c.add(low, c.multiply(c.multiply(c.horner(f, _LOGARITHM), f), c.multiply(f, f)))
    whole = c.multiply(e, c.f32(-_MINUS_LN2[0]))
    is_whole = c.compare(c.magnitude(whole), "GE", c.magnitude(high))
    high, error = _two(c, c.select(is_whole, whole, high), c.select(is_whole, high, whole))
    low = c.add(low, c.add(error, c.multiply(e, c.f32(-_MINUS_LN2[1]))))
    return _two(c, high, low)


def _exponential(c: _Code, high: Any, low: Any) -> Any:
    """Return exp(high + low)."""
    for end, direction in ((-104.0, "LT"), (89.0, "GT")):
        high = c.select(c.compare(high, direction, c.f32(end)), c.f32(end), high)
    n = c.rounded(c.multiply(high, c.f32(math.log2(math.e))))
    r = c.add(high, c.multiply(n, c.f32(_MINUS_LN2[0])), c.multiply(n, c.f32(_MINUS_LN2[1])))
    # What is left of a product that is out of range is no small number.
    is_small = c.compare(c.magnitude(low), "LT", c.f32(1.0))
    r = c.add(r, c.select(is_small, low, c.f32(0.0)))
    q = c.add(c.multiply(c.horner(r, _EXPONENTIAL), c.multiply(r, r)), r)
    return c.moved(c.add(q, c.f32(1.0)), c.to_integer(n))


def _power(c: _Code, x: Any, y: Any) -> Any:
    a, zero, one, infinity = c.magnitude(x), c.f32(0.0), c.f32(1.0), c.f32(math.inf)
    high, low = _logarithm(c, a)
    # Beyond 2^30 every power of a number that is not 1 has over- or underflowed.
    least = c.select(
        c.compare(c.magnitude(y), "GT", c.f32(2.0**30)), c.f32(2.0**30), c.magnitude(y)
    )
    exponent = c.signed(least, _sign_of(c, y))
    high_x, high_y = _upper(c, high), _upper(c, exponent)
    lower_x = c.add(c.minus(high, high_x), low)
    rest = c.add(c.multiply(exponent, lower_x), c.multiply(c.minus(exponent, high_y), high_x))
    product, rest = _two(c, c.multiply(high_y, high_x), rest)
    result = _exponential(c, product, rest)
    is_up = c.compare(y, "GT", zero)
    result = c.select(c.compare(a, "EQ", infinity), c.select(is_up, infinity, zero), result)
    result = c.select(c.compare(a, "EQ", zero), c.select(is_up, zero, infinity), result)
    # Of negative numbers only whole powers, odd ones with a sign.
    is_whole = c.compare(c.rounded(y), "EQ", y)
    half = c.multiply(y, c.f32(0.5))
    is_odd = c.both(is_whole, c.compare(c.rounded(half), "NE", half))
    result = c.signed(result, c.select(is_odd, _sign_of(c, x), c.i32(0)))
    is_none = c.both(c.compare(x, "LT", zero), c.compare(c.rounded(y), "NE", y))
    is_none = c.both(is_none, c.compare(a, "LT", infinity))
    result = c.finish(c.select(is_none, c.f32(math.nan), result), x, y)
    is_one = c.either(c.compare(y, "EQ", zero), c.compare(x, "EQ", one))
    return c.select(is_one, one, result)


def _mapped(emit: Callable[..., Any]) -> Callable[[Any], list[Any]]:
    """Return a rewrite of an operation on tensors to a `stablehlo.map` of scalar code."""

    def rewrite(op: Any) -> list[Any]:
        from jaxlib.mlir import ir
        from jaxlib.mlir.dialects import stablehlo

        given = ir.RankedTensorType(op.results[0].type)
        if not any(isinstance(given.element_type, kind) for kind in _float_types()):
            return list(op.results)
        kind = ir.RankedTensorType.get(given.shape, ir.F32Type.get())
        operands = [
            value if value.type == kind else stablehlo.convert(kind, value) for value in op.operands
        ]
        made = ir.Operation.create(
            "stablehlo.map",
            results=[kind],
            operands=operands,
            attributes={"dimensions": ir.DenseI64ArrayAttr.get(list(range(kind.rank)))},
            regions=1,
        )
        scalar = ir.RankedTensorType.get([], ir.F32Type.get())
        block = made.regions[0].blocks.append(*[scalar] * len(operands))
        with ir.InsertionPoint(block):
            stablehlo.return_([emit(_Code(), *block.arguments)])
        return [made.result if given == kind else stablehlo.convert(given, made.result)]

    return rewrite


def _float_types() -> tuple[Any, ...]:
    from jaxlib.mlir import ir

    return ir.F32Type, ir.BF16Type, ir.F16Type


def _general_power(op: Any) -> list[Any]:
    """Leave the powers that a few multiplications and a root are (`approx-expand-math`)."""
    from jaxlib.mlir import ir

    exponent = op.operands[1]
    while (source := getattr(exponent.owner, "operation", exponent.owner)) is not None:
        if getattr(source, "name", "") not in ("stablehlo.broadcast_in_dim", "stablehlo.convert"):
            break
        exponent = source.operands[0]
    if getattr(source, "name", "") == "stablehlo.constant":
        value = source.attributes["value"]
        if isinstance(value, ir.DenseElementsAttr) and value.is_splat:
            number = abs(float(ir.FloatAttr(value.get_splat_value()).value))
            if number <= 64 and (2 * number).is_integer():
                return list(op.results)
    return _mapped(_power)(op)


#: What makes an operation's results of it, by its name; its own results where it stays.
FUNCTIONS: dict[str, Callable[[Any], list[Any]]] = {
    "stablehlo.sine": _mapped(_sine),
    "stablehlo.cosine": _mapped(_cosine),
    "stablehlo.tan": _mapped(_tangent),
    "stablehlo.cbrt": _mapped(_cube_root),
    "stablehlo.atan2": _mapped(_angle),
    "stablehlo.power": _general_power,
}
