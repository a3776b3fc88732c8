# SPDX-License-Identifier: Apache-2.0
"""The operand pairs on which a core is checked, in chunks."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from asnet_mlir.cores.core import Core
from asnet_mlir.cores.operands import (
    corner_pairs,
    integer_corner_pairs,
    random_operands,
    random_pairs,
    typical_pairs,
)
from asnet_mlir.cores.simulation.simulation import Widths
from asnet_mlir.support.formats import FLOAT_FORMATS

__all__ = ["DEFAULT_VECTORS", "Chunk", "chunks"]

#: Random operand pairs tried besides the corners.
DEFAULT_VECTORS = 1_000_000

_CHUNK = 1 << 20
# Operand bits up to which every pair is tried: always, and in a check of full length.
_ALWAYS_EXHAUSTIVE_BITS = 16
_EXHAUSTIVE_BITS = 24
# An iterative core is tried on fewer pairs where they would take more clock cycles than this, but
# never on fewer than these.
_MOST_CYCLES = 200_000_000
_FEWEST_PAIRS = 1 << 16


@dataclass(frozen=True)
class Chunk:
    """Operand pairs.

    Attributes:
      a, b: as words of the core's ports.
      part: of how many of them the second simulator gets.
      typical: where the typical ones begin, on which errors are measured.
    """

    a: np.ndarray
    b: np.ndarray
    part: int
    typical: int


def chunks(
    core: Core, latency: int, widths: Widths, random_vectors: int, seed: int
) -> Iterator[Chunk]:
    """Give operands of which a core's result is specified: all, or corners and random ones.

    Args:
      latency: of the slowest instance, in clock cycles.
    """
    kinds = widths.dtypes
    for chunk in _every_chunk(core, latency, widths, random_vectors, seed):
        kept = core.ports.specified(chunk.a, chunk.b)
        size = int(np.count_nonzero(kept))
        if size:
            yield Chunk(
                chunk.a[kept].astype(kinds[0], copy=False),
                chunk.b[kept].astype(kinds[1], copy=False),
                min(chunk.part, size),
                int(np.count_nonzero(kept[: chunk.typical])),
            )


def _every_chunk(
    core: Core, latency: int, widths: Widths, count: int, seed: int
) -> Iterator[Chunk]:
    total, pace = widths.a + widths.b, core.initiation_interval
    if core.is_stateful:
        pace = max(pace, latency)
        count = min(count, max(_FEWEST_PAIRS, _MOST_CYCLES // pace))
    bits = _EXHAUSTIVE_BITS if count >= DEFAULT_VECTORS else _ALWAYS_EXHAUSTIVE_BITS
    if total <= bits and pace << total <= max(_MOST_CYCLES, _FEWEST_PAIRS * pace):
        every = 1 << total
        for start in range(0, every, _CHUNK):
            pairs = np.arange(start, min(start + _CHUNK, every), dtype=np.uint32)
            part = min(pairs.size, -(-pairs.size * max(count, 1 << 16) // every))
            mask = np.uint32((1 << widths.b) - 1)
            yield Chunk(pairs >> np.uint32(widths.b), pairs & mask, part, pairs.size)
        return
    if core.format is not None:
        a, b = corner_pairs(FLOAT_FORMATS[core.format])
    else:
        a, b = integer_corner_pairs(widths.a, widths.b)
    limit = max(_FEWEST_PAIRS, _MOST_CYCLES // pace)
    yield Chunk(a[:limit], b[:limit], min(a.size, limit), a.size)
    for number, start in enumerate(range(0, count, _CHUNK)):
        size = min(_CHUNK, count - start)
        a, b, typical = _random_chunk(core.format, widths.a, widths.b, size, (seed, number))
        yield Chunk(a, b, size, typical)


@functools.lru_cache(maxsize=4)
def _random_chunk(
    number_format: str | None, width_a: int, width_b: int, size: int, seed: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return random operands, of floats a quarter typical ones at the end, and where these begin.

    Kept, because cores of one format are tried on the same operands.
    """
    if number_format is None:
        a, b = random_operands(None, width_a, width_b, size, seed)
        return a, b, size
    first = random_pairs(size - size // 4, seed, number_format)
    last = typical_pairs(size // 4, seed, number_format)
    a, b = (np.concatenate(pair) for pair in zip(first, last, strict=True))
    return a, b, size - size // 4
