# SPDX-License-Identifier: Apache-2.0
"""Area of engines on ECP5, as their text says it: LUT4 of carry chains, choices and memories.

Yosys maps what is here counted; docs/hardware.md has prediction and measurement side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

__all__ = [
    "NOTHING",
    "Area",
    "Factor",
    "adder",
    "memory",
    "product",
    "queue",
    "rom",
    "serial",
]

#: Shapes of a block RAM: words by bits.
_SHAPES = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))
#: Words of a queue or a ring in distributed memory at most, and of a ROM in logic.
_DISTRIBUTED, _LOGIC = 64, 32
#: Words of a distributed memory's block, and LUT4 that four bits of it take.
_BLOCK, _BLOCK_LUTS = 16, 4
#: LUT4 of a queue's counters.
_QUEUE = 40
#: LUT4 of the cell in front of a carry chain.
_CHAIN = 2
#: Bits of a factor up to which a product is in logic always: see `asnet_product`.
_FEW_BITS = 4
#: What is left when all parts are mapped together, of what they take alone (three networks).
_TOGETHER = 0.93


@dataclass(frozen=True)
class Area:
    """What a part takes.

    Attributes:
      luts: LUT4, products left out.
      rows: LUT4 of products that are in logic always.
      soft: LUT4 of other products, in logic.
      dsps: multipliers of these.
      brams: block RAMs.
    """

    luts: float = 0.0
    rows: float = 0.0
    soft: float = 0.0
    dsps: int = 0
    brams: int = 0

    def __add__(self, other: Area) -> Area:
        return Area(
            self.luts + other.luts,
            self.rows + other.rows,
            self.soft + other.soft,
            self.dsps + other.dsps,
            self.brams + other.brams,
        )

    def __mul__(self, times: int) -> Area:
        return Area(
            self.luts * times,
            self.rows * times,
            self.soft * times,
            self.dsps * times,
            self.brams * times,
        )

    def counts(self, dsp: bool) -> dict[str, int]:
        """Return LUTs, multipliers and block RAMs, products in multipliers or in soft logic."""
        return {
            "luts": round(_TOGETHER * self.luts + self.rows + (0.0 if dsp else self.soft)),
            "dsps": self.dsps if dsp else 0,
            "brams": self.brams,
        }


NOTHING = Area()


def adder(width: int) -> Area:
    """Return the area of a carry chain, which has two bits a cell, and one that begins it."""
    return Area(luts=_chain(width) + _CHAIN if width > 0 else 0)


def _chain(width: int) -> int:
    return width + width % 2


class Factor(NamedTuple):
    """A factor: its width and what is known of its bits.

    Attributes:
      width: with the sign.
      unsigned: the sign is always 0.
      zeros: so many of its lowest bits are.
      value: where it is a constant.
    """

    width: int
    unsigned: bool = False
    zeros: int = 0
    value: int | None = None

    def limb(self, low: int, bits: int | None = None) -> Factor:
        """Return its bits from `low` on, all of them or so many and a 0 in front."""
        zeros, value = max(self.zeros - low, 0), self.value
        if value is not None:
            value = value >> low if bits is None else (value >> low) % (1 << bits)
        if bits is None:
            return Factor(self.width - low, self.unsigned, min(zeros, self.width - low), value)
        return Factor(bits + 1, True, min(zeros, bits), value)


def product(left: Factor, right: Factor, in_logic: bool = False) -> Area:
    """Return the area of `asnet_product`, the wider factor first."""
    luts = _rows(left, right)
    if in_logic or right.width <= _FEW_BITS:
        return Area(rows=luts)
    return Area(soft=luts, dsps=1)


def _rows(left: Factor, right: Factor) -> float:
    """Return LUT4 of `asnet_rows`."""
    wide, bits = (factor.width - factor.unsigned - factor.zeros for factor in (left, right))
    if 0 in (wide, bits, left.value, right.value):
        return 0
    pairs = (right.width + 1) // 2
    luts = wide * bits if left.value is None and right.value is None else 0
    # Two bits that are 0 are no row; one alone is a row without a sum, but for the sign. A row of a
    # constant first factor is one of four constants.
    if right.value is None:
        digits = [3 * (2 * k + 1 >= right.zeros) for k in range(pairs)]
        sums = digits.count(3) - (right.zeros % 2) - (right.unsigned and right.width % 2 == 0)
    else:
        digits = [right.value >> 2 * k & 3 for k in range(pairs)]
        sums = digits.count(3) + (digits[-1] == 2)
    luts += sums * _chain(wide + 2) if left.value is None else 0
    nodes = [digit != 0 for digit in digits]
    low = 2
    while len(nodes) > 1:
        both = [nodes[k : k + 2] for k in range(0, len(nodes), 2)]
        luts += sum(_chain(wide + low) for pair in both if pair == [True, True])
        nodes = [any(pair) for pair in both]
        low *= 2
    return luts


def serial(left: int, right: int, cycles: int) -> Area:
    """Return the area of `asnet_serial`."""
    digit = -(-right // cycles)
    own = adder(left + digit) + Area(luts=right)
    if digit == 1:
        return own + Area(luts=left + 2)
    return own + Area(rows=_rows(Factor(left), Factor(digit + 1)))


def memory(words: int, width: int) -> Area:
    """Return the area of a memory with a writer and a reader, without its addresses."""
    if words <= _DISTRIBUTED:
        blocks = -(-words // _BLOCK)
        return Area(luts=_BLOCK_LUTS * -(-width // 4) * blocks + (blocks - 1) * width)
    return Area(brams=_blocks(words, width))


def rom(words: int, width: int) -> Area:
    """Return the area of `asnet_rom`."""
    if words <= _LOGIC:
        return Area(luts=0.8 * width * max(1, words / _BLOCK))
    return Area(brams=_blocks(words, width))


def queue(words: int, width: int) -> Area:
    """Return the area of `asnet_fifo`."""
    return memory(words, width) + Area(luts=_QUEUE + (words - 1).bit_length())


def _blocks(words: int, width: int) -> int:
    return min(-(-words // deep) * -(-width // wide) for deep, wide in _SHAPES)
