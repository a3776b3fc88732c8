# SPDX-License-Identifier: Apache-2.0
"""Area of engines on ECP5, as their text says it: LUT4 of carry chains, choices and memories.

Yosys maps what is here counted; docs/hardware.md has prediction and measurement side by side.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["NOTHING", "Area", "adder", "memory", "product", "queue", "rom", "serial"]

#: Shapes of a block RAM: words by bits.
_SHAPES = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))
#: Words of a queue or a ring in distributed memory at most, and of a ROM in logic.
_DISTRIBUTED, _LOGIC = 64, 32
#: Words of a distributed memory's block, and LUT4 that four bits of it take.
_BLOCK, _BLOCK_LUTS = 16, 4
#: LUT4 of a queue's counters.
_QUEUE = 40
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
    """Return the area of a carry chain, which has two bits a cell."""
    return Area(luts=width + width % 2)


def product(left: int, right: int, in_logic: bool = False) -> Area:
    """Return the area of `asnet_product`, the wider factor first."""
    luts = _rows(left, right)
    if in_logic or right <= _FEW_BITS:
        return Area(rows=luts)
    return Area(soft=luts, dsps=1)


def _rows(left: int, right: int) -> float:
    """Return LUT4 of `asnet_rows`."""
    pairs = (right + 1) // 2
    luts = left * right + pairs * adder(left + 2).luts
    digits, nodes = 2, pairs
    while nodes > 1:
        luts += nodes // 2 * adder(left + digits).luts
        digits, nodes = 2 * digits, (nodes + 1) // 2
    return luts


def serial(left: int, right: int, cycles: int) -> Area:
    """Return the area of `asnet_serial`."""
    digit = -(-right // cycles)
    own = adder(left + digit) + Area(luts=right)
    if digit == 1:
        return own + Area(luts=left + 2)
    return own + Area(rows=_rows(left, digit + 1))


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
