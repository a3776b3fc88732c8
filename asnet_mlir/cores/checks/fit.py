# SPDX-License-Identifier: Apache-2.0
"""What a circuit of integers approximates: told by its results, and by its name.

Results are compared with the four operations, of unsigned operands and of two's complement ones.
How well an operation fits is the mean distance from it, modulo 2^width of the result, over that of
the constant 0: 0 for the operation itself, about 1 for what has nothing to do with it.  Distances
modulo 2^width do not depend on how words are read, which is what is asked here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from asnet_mlir.cores.operands import exact_integer, random_operands
from asnet_mlir.cores.simulation.family import Widths

__all__ = ["Inference", "Reading", "distances", "fits_other_signedness", "infer", "probes"]

#: An operation and whether its operands are two's complement.
Reading = tuple[str, bool]

# What an approximation is from its operation at most, and how much farther all others must be.
_NEAR, _TIMES = 0.25, 4.0
_EXHAUSTIVE_BITS = 16
_SAMPLES = 1 << 15

# As libraries of approximate circuits name them: mul8u_1JFF, add12se_54H, mul8x3u_3Y1.
_NAME = re.compile(r"(add|sub|mul|div)(\d+)(?:x(\d+))?([us])?e?(?:_\w*)?", re.IGNORECASE)


@dataclass(frozen=True)
class Inference:
    """The operation that a circuit is taken for.

    `source` is "name" or "function"; `pairs` says how many operand pairs the function was seen on,
    all of them if `exhaustive`.
    """

    op: str
    signed: bool
    source: str
    pairs: int
    exhaustive: bool

    def __str__(self) -> str:
        how = (
            "by its name"
            if self.source == "name"
            else f"by its function on {'all' if self.exhaustive else 'random'} {self.pairs} pairs"
        )
        return f"taken for {self.op} of {'signed' if self.signed else 'unsigned'} operands {how}"


def probes(widths: Widths) -> tuple[np.ndarray, np.ndarray]:
    """Return bits of operand pairs that tell operations apart: all of few bits, else random."""
    bits = widths.a + widths.b
    if bits <= _EXHAUSTIVE_BITS:
        pairs = np.arange(1 << bits, dtype=np.uint64)
        return pairs >> np.uint64(widths.b), pairs & np.uint64((1 << widths.b) - 1)
    return random_operands(None, widths.a, widths.b, _SAMPLES, 11)


def distances(
    widths: Widths, a: np.ndarray, b: np.ndarray, results: np.ndarray
) -> dict[Reading, float]:
    """Return how far results are from each operation, relative to the constant 0.

    Args:
      a, b, results: bits, 1-D arrays of unsigned integers of one length.
    """
    sizes = (widths.a, widths.b, widths.result)
    mask = np.uint64((1 << widths.result) - 1)

    def length(difference: np.ndarray) -> float:
        forth = difference & mask
        back = (np.uint64(0) - difference) & mask
        return float(np.minimum(forth, back).astype(np.float64).sum())

    found = {}
    for op in ("muli", "addi", "subi", "divi"):
        for signed in (False, True):
            exact, defined = exact_integer(op, a, b, sizes, signed)
            exact, got = exact[defined], results.astype(np.uint64)[defined]
            scale = length(exact)
            found[op, signed] = length(got - exact) / scale if scale else np.inf
    return found


def fits_other_signedness(found: Mapping[Reading, float], op: str, signed: bool) -> bool:
    """Return whether results fit an operation far better when operands are read the other way."""
    declared, other = found[op, signed], found[op, not signed]
    return other <= _NEAR and declared >= max(_TIMES * other, _NEAR / 5)


def infer(
    name: str, widths: Widths, found: Mapping[Reading, float], signed: bool, pairs: int
) -> Inference | None:
    """Return what a circuit approximates, or None where neither its function nor its name tells.

    Args:
      name: of its module.
      found: of `distances`.
      signed: how its ports are declared, which decides where both readings are one function.
      pairs: how many `found` was computed from.
    """
    exhaustive = widths.a + widths.b <= _EXHAUSTIVE_BITS

    def best(op: str) -> bool:
        """Return the reading that fits; the declared one where they are about the same."""
        one, other = found[op, signed], found[op, not signed]
        return not signed if one >= _TIMES * other and one > other else signed

    by_function = None
    ranked = sorted({op for op, _ in found}, key=lambda op: found[op, best(op)])
    first, second = (found[op, best(op)] for op in ranked[:2])
    if first <= _NEAR and second >= _TIMES * first and second > first:
        by_function = ranked[0]
    match = _NAME.fullmatch(name)
    if match and int(match[2]) == widths.a and int(match[3] or match[2]) == widths.b:
        op = f"{match[1].lower()}i"
        # A name that the function contradicts says nothing.
        if by_function in (None, op):
            letter = (match[4] or "").lower()
            reading = {"u": False, "s": True}.get(letter, best(op))
            if not fits_other_signedness(found, op, reading):
                return Inference(op, reading, "name", pairs, exhaustive)
    if by_function is None:
        return None
    return Inference(by_function, best(by_function), "function", pairs, exhaustive)
