# SPDX-License-Identifier: Apache-2.0
"""What circuits are to compute, and their errors: on all operand pairs, or on a sample."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from asnet_mlir.cores.metrics.subject import Histogram
from asnet_mlir.errors import InputError
from asnet_mlir.evolution import _evolve
from asnet_mlir.evolution.circuit import Circuit

__all__ = ["METRICS", "Errors", "Problem", "Task", "exact_errors"]

#: The error figures, in the order of `_evolve`.
METRICS = ("MAE", "WCE", "EP", "bias", "MRE", "WMED", "Wbias")

#: Operand bits up to which a search looks at all pairs; above at `_SAMPLES` of them.
_EXHAUSTIVE_BITS = 20
_SAMPLES = 1 << 16
#: Operand bits up to which circuits are measured on all pairs.
EXACT_BITS = 32
_BLOCK_PAIRS = 4096
_TASK_BLOCKS = 1 << 13


@dataclass(frozen=True)
class Task:
    """A function, with a circuit that is taken for exact.

    Attributes:
      signed: results are two's complement.
      op: the integer op; None where it is some circuit's own function.
    """

    exact: Circuit
    signed: bool
    op: str | None = None

    @property
    def widths(self) -> tuple[int, ...]:
        """Bits of each operand."""
        return self.exact.widths

    @property
    def result(self) -> int:
        """Bits of the result."""
        return len(self.exact.outputs)


@dataclass(frozen=True)
class Errors:
    """Error figures as docs/characterization.md defines them.

    Attributes:
      exhaustive: MAE, WCE, EP and bias are of all operand pairs.
      MRE: of all pairs, where the exact result is 0 against 1; of a sample where there are more
        than 2^20 pairs.
      WMED: mean of |error| under a histogram of operands; None without one.
      Wbias: mean of the error with its sign under it.
    """

    MAE: float
    WCE: int
    EP: float
    bias: float
    MRE: float
    WMED: float | None
    Wbias: float | None
    exhaustive: bool


class Problem:
    """Operand pairs with their exact results, bit by bit: a pair in each bit of a word.

    Of up to 20 operand bits these are all pairs; of more a sample, drawn from the histogram where
    there is one.
    """

    def __init__(
        self, task: Task, histogram: Histogram | None = None, seed: int = 0, isa: str | None = None
    ) -> None:
        """Prepare the pairs of a task.

        Args:
          histogram: what WMED is weighted by; integers of the task's operands.
          seed: of a sample.
          isa: "avx512", "avx2" or "baseline" kernels; by default the best of this processor.

        Raises:
          InputError: the histogram has operands that the task has not.
        """
        self.task = task
        bits = sum(task.widths)
        self.is_exhaustive = bits <= _EXHAUSTIVE_BITS
        weights = None
        if histogram is not None:
            drawn = _codes(task, histogram)
            weight = histogram.weight
            weights = np.ones(drawn.size) if weight is None else weight.astype(np.float64)
        if self.is_exhaustive:
            # A few pairs are repeated to fill a block.
            index = np.arange(max(1 << bits, _BLOCK_PAIRS), dtype=np.uint64)
            index &= np.uint64((1 << bits) - 1)
            if weights is not None:
                share = np.bincount(drawn.astype(np.int64), weights, 1 << bits)
                # Pairs that count most come first: they decide over most circuits.
                index = index[np.argsort(-share[index.astype(np.int64)], kind="stable")]
                weights = share[index.astype(np.int64)]
        else:
            random = np.random.default_rng(seed)
            count = (
                _SAMPLES if weights is None else max(_SAMPLES, _rounded(drawn.size, task.result))
            )
            index = random.integers(0, 1 << bits, count, np.uint64)
            if weights is not None:
                # Half of the pairs are drawn from the histogram, the others count nothing there.
                picked = random.choice(drawn.size, count // 2, p=weights / weights.sum())
                index[: count // 2] = drawn[picked]
                weights = np.r_[np.ones(count // 2), np.zeros(count - count // 2)]
        drawn_pairs = index[:0]
        if weights is not None:
            random = np.random.default_rng(seed)
            drawn_pairs = random.choice(index, _BLOCK_PAIRS, p=weights / weights.sum())
        inputs = _planes(np.r_[index, drawn_pairs], bits)
        operands = _split(index, task.widths)
        exact = task.exact.evaluate(operands)
        values = _signed(exact, task.result) if task.signed else exact.astype(np.float64)
        relative = 1 / np.maximum(1.0, np.abs(values)) / index.size
        self.handle: Any = _evolve.problem(
            inputs,
            _planes(exact, task.result),
            index.size // 64,
            drawn_pairs.size // 64,
            task.signed,
            relative,
            None if weights is None else weights / weights.sum(),
            isa,
        )
        self.has_weights = weights is not None
        #: How many pairs a circuit is evaluated on.
        self.pairs = index.size

    def seen(self, circuit: Circuit) -> Errors:
        """Return a circuit's figures on the pairs that a search evaluates it on."""
        mae, wce, ep, bias, mre, wmed, wbias = _evolve.measure(self.handle, arrays(circuit))
        weighted = wmed if self.has_weights else None
        signed = wbias if self.has_weights else None
        return Errors(mae, wce, ep, bias, mre, weighted, signed, self.is_exhaustive)

    def errors(self, circuit: Circuit, threads: int | None = None) -> Errors:
        """Return a circuit's figures: exact ones where all pairs can be looked at, by threads."""
        found = self.seen(circuit)
        if self.is_exhaustive or sum(self.task.widths) > EXACT_BITS:
            return found
        mae, wce, ep, bias = exact_errors(self.task, circuit, threads)
        return replace(found, MAE=mae, WCE=wce, EP=ep, bias=bias, exhaustive=True)


def exact_errors(
    task: Task, circuit: Circuit, threads: int | None = None
) -> tuple[float, int, float, float]:
    """Return MAE, WCE, EP and bias of all operand pairs: of 16 x 16 bits in 10 to 20 s of CPU.

    Raises:
      InputError: there are more than 2^32 pairs.
    """
    bits = sum(task.widths)
    if bits > EXACT_BITS:
        raise InputError(f"{bits} bits of operands are too many to look at all pairs")
    blocks = max(1, (1 << bits) // _BLOCK_PAIRS)
    starts = range(0, blocks, _TASK_BLOCKS)

    def part(first: int) -> tuple[int, int, int, int, int]:
        count = min(_TASK_BLOCKS, blocks - first)
        found: tuple[int, int, int, int, int] = _evolve.measure_all(
            bits, task.result, task.signed, arrays(circuit), arrays(task.exact), first, count
        )
        return found

    with ThreadPoolExecutor(threads or len(os.sched_getaffinity(0))) as pool:
        sums = list(pool.map(part, starts))
    pairs = blocks * _BLOCK_PAIRS
    absolute, wrong, error = (sum(one[k] for one in sums) for k in range(3))
    return absolute / pairs, max(one[3] for one in sums), wrong / pairs, error / pairs


def arrays(circuit: Circuit) -> tuple[np.ndarray, np.ndarray]:
    """Return a circuit as `_evolve` reads it."""
    return np.ascontiguousarray(circuit.gates), np.ascontiguousarray(circuit.outputs)


def _codes(task: Task, histogram: Histogram) -> np.ndarray:
    """Return the histogram's pairs as numbers, `a` in the lowest bits."""
    total = np.zeros(histogram.a.size, np.uint64)
    shift = 0
    for name, values, width in zip("ab", (histogram.a, histogram.b), task.widths, strict=True):
        low, high = (-(1 << width - 1), 1 << width - 1) if task.signed else (0, 1 << width)
        if values.dtype.kind == "f":
            raise InputError(f"{histogram.name}: '{name}' has floats; give integers")
        if values.min() < low or values.max() >= high:
            kind = "signed" if task.signed else "unsigned"
            raise InputError(
                f"{histogram.name}: '{name}' has {int(values.min())} to {int(values.max())}, more "
                f"than the {width} bits ({kind}) of the circuit's operand"
            )
        code = values.astype(np.int64) & ((1 << width) - 1)
        total |= code.astype(np.uint64) << np.uint64(shift)
        shift += width
    return total


def _rounded(count: int, bits: int) -> int:
    """Return a number of pairs: whole blocks, and so few that the sum of errors has 64 bits."""
    return min(1 << 18, 1 << 64 - bits, -(-count // _BLOCK_PAIRS) * _BLOCK_PAIRS)


def _split(index: np.ndarray, widths: Sequence[int]) -> list[np.ndarray]:
    operands, shift = [], 0
    for width in widths:
        operands.append(index >> np.uint64(shift) & np.uint64((1 << width) - 1))
        shift += width
    return operands


def _signed(values: np.ndarray, width: int) -> np.ndarray:
    shift = np.int64(64 - width)
    return ((values.view(np.int64) << shift) >> shift).astype(np.float64)


def _planes(values: np.ndarray, bits: int) -> np.ndarray:
    """Return bit k of all values as words, for each k: uint64 [bits, values / 64]."""
    planes = [
        np.packbits((values >> np.uint64(k) & np.uint64(1)).astype(np.uint8), bitorder="little")
        for k in range(bits)
    ]
    return np.stack(planes).view(np.uint64)
