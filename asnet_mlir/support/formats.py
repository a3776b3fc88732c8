# SPDX-License-Identifier: Apache-2.0
"""Number formats and kinds of operations: the dialect's own tables, as values.

`_tables.py`, beside this file, is written from the dialect's C++ when the package is built, so that
no list of formats or op kinds stands anywhere else, and no process needs MLIR to know them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

import asnet_mlir.support._tables as _tables
from asnet_mlir.errors import InputError

__all__ = [
    "ATTRIBUTES",
    "BF16",
    "EDGE_FORMATS",
    "F16",
    "F32",
    "FLOAT_FORMATS",
    "FLOAT_OPS",
    "INTEGER_OPS",
    "OP_KINDS",
    "NumberFormat",
    "OpKind",
    "SUPPORTED_DTYPES",
    "format_of_array",
    "format_of_dtype",
    "format_of_element",
    "parse_format",
]


@dataclass(frozen=True)
class NumberFormat:
    """What bits mean: a floating-point format as IEEE 754 lays it out, or an integer.

    Attributes:
      name: `f32`, `bf16`, `f16`; `iN` in two's complement, `uN` without a sign.
      width: bits.
      exponent_bits, fraction_bits: of a float; 0 of an integer.
      is_signed: whether values may be negative.
    """

    name: str
    width: int
    exponent_bits: int = 0
    fraction_bits: int = 0
    is_signed: bool = True

    def __str__(self) -> str:
        return self.name

    @property
    def is_float(self) -> bool:
        """Whether this is a floating-point format."""
        return self.exponent_bits > 0

    @property
    def bias(self) -> int:
        """What is added to an exponent."""
        return (1 << self.exponent_bits - 1) - 1

    @property
    def sign(self) -> int:
        """The sign bit."""
        return 1 << self.width - 1

    @property
    def infinity(self) -> int:
        """Bits of positive infinity; those of a NaN's magnitude are greater."""
        return ((1 << self.exponent_bits) - 1) << self.fraction_bits

    @property
    def canonical_nan(self) -> int:
        """The NaN that a core sees and that an exact core gives."""
        return self.infinity | 1 << self.fraction_bits - 1

    @property
    def range(self) -> tuple[float, float] | tuple[int, int]:
        """The least and the greatest finite value."""
        if self.is_float:
            greatest = (2 - 2.0**-self.fraction_bits) * 2.0**self.bias
            return -greatest, greatest
        if self.is_signed:
            return -(1 << self.width - 1), (1 << self.width - 1) - 1
        return 0, (1 << self.width) - 1

    @functools.cached_property
    def bits_dtype(self) -> np.dtype[Any]:
        """The unsigned dtype that holds the bits: the next of 8, 16 and 32."""
        return np.dtype(f"uint{self._storage}")

    @functools.cached_property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the values; narrow integers lie in the next wider one, extended."""
        if self.name == "bf16":
            import ml_dtypes  # only where there are such arrays

            return np.dtype(ml_dtypes.bfloat16)
        return np.dtype(self.dtype_name)

    @property
    def dtype_name(self) -> str:
        """The dtype's name, which is known without the package that has it."""
        if self.name == "bf16":
            return "bfloat16"
        kind = "float" if self.is_float else "int" if self.is_signed else "uint"
        return f"{kind}{self._storage}"

    @property
    def element_type(self) -> str:
        """The type of MLIR that holds it; integers are signless there."""
        return self.name if self.is_float else f"i{self.width}"

    @property
    def storage_bytes(self) -> int:
        """Bytes of a number in memory."""
        return self._storage // 8

    @property
    def _storage(self) -> int:
        return next(bits for bits in (8, 16, 32) if self.width <= bits)

    def from_numbers(self, numbers: np.ndarray) -> np.ndarray:
        """Return real numbers in this format, C order.

        Args:
          numbers: any dtype of real numbers.

        Returns:
          dtype `dtype`: of a float format rounded once to nearest, ties to even, what it can't
          hold infinite, NaNs canonical.

        Raises:
          InputError: of an integer format, naming the first number that is none of its integers.
        """
        given = format_of_array(numbers)
        if self.is_float:
            with np.errstate(all="ignore"):
                if self.name == "f32" or given == self:
                    values = np.ascontiguousarray(numbers, self.dtype)
                else:
                    values = self.round(numbers.astype(np.float64)).view(self.dtype)
            bits = values.view(self.bits_dtype)
            nan = self.is_nan(bits)
            return self.canonical(bits).view(self.dtype) if nan.any() else values
        if given != self:
            least, greatest = self.range
            if given is not None and given.is_float:
                numbers = numbers.astype(np.float64)
            wrong = ~((numbers >= least) & (numbers <= greatest))
            if numbers.dtype.kind == "f":
                wrong |= numbers != np.rint(numbers)
            if wrong.any():
                place = np.argwhere(wrong)[0]
                what = numbers[tuple(place)]
                raise InputError(
                    f"{what} at {place.tolist()} is no {self.name}, an integer from {least} to "
                    f"{greatest}"
                )
        return np.ascontiguousarray(numbers, self.dtype)

    def to_words(self, values: np.ndarray) -> np.ndarray:
        """Return uint32, the words of hardware that hold values of this format, zeros above them.

        Args:
          values: array of `dtype`.
        """
        return np.ascontiguousarray(values).view(self.bits_dtype).astype(np.uint32, copy=False)

    def from_words(self, words: np.ndarray) -> np.ndarray:
        """Return the values of `dtype` that words (uint32) hold."""
        return words.astype(self.bits_dtype, copy=False).view(self.dtype)

    def is_nan(self, bits: np.ndarray) -> np.ndarray:
        """Return where bits are a NaN's."""
        return (bits & self.bits_dtype.type(self.sign - 1)) > self.bits_dtype.type(self.infinity)

    def is_normal(self, bits: np.ndarray) -> np.ndarray:
        """Return where bits are a normal number's."""
        exponents = bits & self.bits_dtype.type(self.infinity)
        return (exponents != 0) & (exponents != self.bits_dtype.type(self.infinity))

    def is_signalling(self, bits: np.ndarray) -> np.ndarray:
        """Return where bits are a signalling NaN's."""
        quiet = self.bits_dtype.type(1 << self.fraction_bits - 1)
        return self.is_nan(bits) & (bits & quiet == 0)

    def canonical(self, bits: np.ndarray) -> np.ndarray:
        """Return bits with every NaN as the canonical one."""
        return np.where(self.is_nan(bits), self.bits_dtype.type(self.canonical_nan), bits)

    def to_float64(self, bits: np.ndarray) -> np.ndarray:
        """Return the values of a float's bits, exactly."""
        with np.errstate(all="ignore"):
            if self.name == "f16":
                return bits.view(np.float16).astype(np.float64)
            if self.name == "bf16":
                bits = bits.astype(np.uint32) << np.uint32(16)
            return bits.view(np.float32).astype(np.float64)

    def round(self, values: np.ndarray) -> np.ndarray:
        """Return the bits of float64 values rounded once to nearest, ties to even (NaN canonical).

        Only for values that stay normal numbers of float64 when scaled by the format's range.
        """
        least = 1 - self.bias
        with np.errstate(all="ignore"):
            _, exponents = np.frexp(values)
            steps = np.maximum(exponents - 1, least) - self.fraction_bits
            rounded = np.ldexp(np.rint(np.ldexp(values, -steps)), steps)
            limit = float(2.0 ** (self.bias + 1))
            rounded = np.where(np.abs(rounded) >= limit, np.copysign(np.inf, values), rounded)
            rounded = np.where(np.isfinite(values), rounded, values)
            # Every value of the formats here is one of float32.
            bits = rounded.astype(np.float32).view(np.uint32)
            if self.name == "f16":
                bits = rounded.astype(np.float32).astype(np.float16).view(np.uint16)
            elif self.name == "bf16":
                bits = (bits >> np.uint32(16)).astype(np.uint16)
        nan = self.bits_dtype.type(self.canonical_nan)
        return np.where(np.isnan(values), nan, bits).astype(self.bits_dtype)


#: The floating-point formats by name.
FLOAT_FORMATS: Mapping[str, NumberFormat] = MappingProxyType(
    {
        name: NumberFormat(name, 1 + exponent + fraction, exponent, fraction)
        for name, exponent, fraction in _tables.FLOAT_FORMATS
    }
)
F32, BF16, F16 = (FLOAT_FORMATS[name] for name in ("f32", "bf16", "f16"))


@functools.cache
def parse_format(name: str) -> NumberFormat:
    """Return the format of a name.

    Raises:
      InputError: there is no such format.
    """
    if name in FLOAT_FORMATS:
        return FLOAT_FORMATS[name]
    fewest, most = _tables.INTEGER_BITS
    found = re.fullmatch(r"[iu]([1-9][0-9]?)", name)
    if found and fewest <= int(found[1]) <= most:
        return NumberFormat(name, int(found[1]), is_signed=name[0] == "i")
    raise InputError(
        f"unknown format '{name}'; give one of {', '.join(FLOAT_FORMATS)}, "
        f"i{fewest}..i{most} or u{fewest}..u{most}"
    )


def format_of_dtype(name: str) -> NumberFormat | None:
    """Return the format whose values a dtype's are, by its name; None of 64 bits or booleans."""
    return _BY_DTYPE.get(name)


def format_of_array(array: np.ndarray) -> NumberFormat | None:
    """Return the format of an array's numbers; None where there is none, see `format_of_dtype`."""
    return format_of_dtype(array.dtype.name) if array.dtype.isnative else None


def format_of_element(element: str, *, is_unsigned: bool = False) -> NumberFormat | None:
    """Return the format of a type of MLIR or StableHLO (`f32`, `i8`, `ui8`), None where none is.

    Args:
      is_unsigned: how a signless integer is read.
    """
    is_unsigned |= element.startswith("ui")
    name = element.removeprefix("u")
    if name.startswith("i") and is_unsigned:
        name = f"u{name[1:]}"
    try:
        return parse_format(name)
    except InputError:
        return None


_BY_DTYPE: Mapping[str, NumberFormat] = MappingProxyType(
    {
        format.dtype_name: format
        for format in (
            *FLOAT_FORMATS.values(),
            *(parse_format(f"{sign}{width}") for sign in "iu" for width in (8, 16, 32)),
        )
    }
)


#: The formats that arrays hold: what networks take, keep and give.
EDGE_FORMATS = tuple(_BY_DTYPE.values())
#: Their dtypes, for messages.
SUPPORTED_DTYPES = ", ".join(_BY_DTYPE)


@dataclass(frozen=True)
class OpKind:
    """A kind of operation that a core can compute, named as the dialect's op is.

    Attributes:
      exact, exact_unsigned: the ops of `arith` that it stands for; of integers, in two's complement
        or without a sign.
      is_float: on floats of one format; otherwise on integers.
      is_commutative: where it is exact; a core may tell its operands apart.
      unit: what a reader calls something that computes it.
      formula: of the operands a and b, for a reader.
    """

    name: str
    exact: str
    exact_unsigned: str
    is_float: bool
    is_commutative: bool
    unit: str
    formula: str

    @property
    def stem(self) -> str:
        """The name without the letter for its operands: `add`."""
        return self.name[:-1]


# What readers call the kinds, on floats and on integers alike.
_WORDS = {
    "add": ("adder", "a + b"),
    "sub": ("subtractor", "a − b"),
    "mul": ("multiplier", "a · b"),
    "div": ("divider", "a / b"),
    "max": ("maximum", "max(a, b)"),
    "min": ("minimum", "min(a, b)"),
}


def _op_kind(
    name: str, exact: str, exact_unsigned: str, is_float: bool, is_commutative: bool
) -> OpKind:
    unit, formula = _WORDS[name[:-1]]
    return OpKind(name, exact, exact_unsigned, is_float, is_commutative, unit, formula)


#: Every kind by its name, those on floats first.
OP_KINDS: Mapping[str, OpKind] = MappingProxyType(
    {row[0]: _op_kind(*row) for row in _tables.OP_KINDS}
)
#: The kinds on floats, and those on integers.
FLOAT_OPS = tuple(kind.name for kind in OP_KINDS.values() if kind.is_float)
INTEGER_OPS = tuple(kind.name for kind in OP_KINDS.values() if not kind.is_float)

#: The dialect's discardable attributes: name, what it holds, what it stands on.
ATTRIBUTES: tuple[tuple[str, str, str], ...] = _tables.ATTRIBUTES
