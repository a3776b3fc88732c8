# SPDX-License-Identifier: Apache-2.0
"""Errors of integer cores.

Two steps make the work independent of the model's strategy: the model's own kernel fills a block of
results, then a reduction adds up the errors of the block.  For integers of up to 32 bits the
reduction is compiled, and exhaustive where the operand space has at most 2^32 pairs.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from asnet_mlir.cores.metrics.integer_sums import (
    BLOCK,
    CompiledSums,
    Contract,
    IntegerSums,
    sums_in_python,
)
from asnet_mlir.cores.metrics.subject import (
    MAP_CELLS,
    Distribution,
    ErrorMap,
    Histogram,
    Overflow,
    Subject,
    cell_means,
    points_in_cells,
    quotient,
    run_tasks,
)
from asnet_mlir.errors import InputError

__all__ = ["characterize_integers", "integer_map"]

# Blocks that one task of a thread computes.
_BLOCKS_PER_TASK = 4
_MAX_EXHAUSTIVE_BITS = 32
# What a simulated model does in a second is what a compiled one does in a millisecond.
_MAX_SIMULATED_EXHAUSTIVE_BITS = 20
_SAMPLES = 1 << 20


class _IntegerOperands:
    """Blocks of operand pairs of an integer core, as bits, by number."""

    def __init__(
        self, subject: Subject, distribution: Distribution, samples: int | str | None, seed: int
    ) -> None:
        self._widths = widths = subject.widths
        self._dtypes = subject.dtypes
        self._distribution = distribution
        self._signed = subject.instance.core.signed
        self._seed = seed
        together = widths["a"] + widths["b"]
        limit = (
            _MAX_SIMULATED_EXHAUSTIVE_BITS
            if subject.strategy == "simulated"
            else _MAX_EXHAUSTIVE_BITS
        )
        self.exhaustive = distribution == "uniform" and (
            samples == "all" or (samples is None and together <= limit)
        )
        if samples == "all" and together > _MAX_EXHAUSTIVE_BITS:
            raise InputError(
                f"{subject.instance.label}: samples 'all': the operands have {together} bits "
                f"together, at most {_MAX_EXHAUSTIVE_BITS} can be tried exhaustively"
            )
        self.weights: np.ndarray | None = None
        if isinstance(distribution, Histogram):
            self._pairs = _integer_pairs(subject, distribution)
            self.weights = distribution.weight
            self.pairs = distribution.a.size
        elif self.exhaustive:
            self.pairs = 1 << together
            # Both are powers of two: in a block b takes all values, or a stays.
            index = np.arange(min(BLOCK, self.pairs), dtype=np.uint64)
            low = np.uint64((1 << widths["b"]) - 1)
            self._first = (
                (index >> np.uint64(widths["b"])).astype(self._dtypes[0]),
                (index & low).astype(self._dtypes[1]),
            )
        else:
            self.pairs = int(samples) if samples else _SAMPLES
        self.blocks = -(-self.pairs // BLOCK)

    def block(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the operands of one block; only the last may be shorter than the others."""
        start = number * BLOCK
        size = min(BLOCK, self.pairs - start)
        if isinstance(self._distribution, Histogram):
            a, b = self._pairs
            return a[start : start + size], b[start : start + size]
        if self.exhaustive:
            width = self._widths["b"]
            shifts = (start >> width, start & ((1 << width) - 1))
            return tuple(
                first + dtype.type(shift) if shift else first
                for first, dtype, shift in zip(self._first, self._dtypes, shifts, strict=True)
            )  # type: ignore[return-value]
        rng = np.random.default_rng((self._seed, number))
        return tuple(
            self._drawn(rng, self._widths[role], size).astype(dtype)
            for role, dtype in zip(("a", "b"), self._dtypes, strict=True)
        )  # type: ignore[return-value]

    def _drawn(self, rng: np.random.Generator, width: int, size: int) -> np.ndarray:
        top = (1 << width) - 1
        if self._distribution == "uniform":
            return rng.integers(0, top, size, np.uint64, endpoint=True)
        middle = 0.0 if self._signed else top / 2
        low, high = (-(1 << (width - 1)), top >> 1) if self._signed else (0, top)
        values = np.rint(rng.normal(middle, (1 << width) / 8, size))
        # Beyond 2^53 the double next to the bound may lie outside: clip in integers.
        clipped = [min(max(int(v), low), high) & top for v in values] if width > 52 else None
        if clipped is not None:
            return np.array(clipped, np.uint64)
        return values.clip(low, high).astype(np.int64).view(np.uint64) & np.uint64(top)

    def block_weights(self, number: int) -> np.ndarray | None:
        """Return what the pairs of a block count."""
        start = number * BLOCK
        return None if self.weights is None else self.weights[start : start + BLOCK]


def _integer_pairs(subject: Subject, histogram: Histogram) -> tuple[np.ndarray, np.ndarray]:
    """Return a histogram's pairs as bits of the ports' widths."""
    pairs = []
    signed = subject.instance.core.signed
    for role, dtype in zip(("a", "b"), subject.dtypes, strict=True):
        values, width = getattr(histogram, role), subject.widths[role]
        if values.dtype.kind == "f":
            raise InputError(
                f"{histogram.name}: '{role}' holds floats, {subject.instance.label} takes integers"
            )
        low, high = (-(1 << (width - 1)), (1 << (width - 1)) - 1) if signed else (0, 2**width - 1)
        least, greatest = int(values.min()), int(values.max())
        if least < low or greatest > high:
            raise InputError(
                f"{histogram.name}: '{role}' holds {least if least < low else greatest}, port "
                f"{role} of {subject.instance.label} takes {low}..{high}"
            )
        bits = values.astype(np.int64).view(np.uint64) if least < 0 else values.astype(np.uint64)
        pairs.append((bits & np.uint64((1 << width) - 1)).astype(dtype))
    return pairs[0], pairs[1]


def _contract(subject: Subject, overflow: Overflow = "plain") -> Contract:
    core, widths = subject.instance.core, subject.widths
    assert core.op is not None
    return Contract(core.op, widths["a"], widths["b"], widths["result"], core.signed, overflow)


def characterize_integers(
    subject: Subject,
    distribution: Distribution,
    samples: int | str | None,
    seed: int,
    workers: int,
    overflow: Overflow = "plain",
) -> dict[str, Any]:
    """Return what `Characterization` says of an integer core, by attribute."""
    contract = _contract(subject, overflow)
    operands = _IntegerOperands(subject, distribution, samples, seed)
    compiled = CompiledSums(contract) if contract.is_compiled and operands.weights is None else None

    def task(first: int) -> list[IntegerSums]:
        found = []
        for number in range(first, min(first + _BLOCKS_PER_TASK, operands.blocks)):
            a, b = operands.block(number)
            result = subject.evaluate(a, b)
            if compiled is not None:
                found.append(compiled(a, b, result))
            else:
                weights = operands.block_weights(number)
                found.append(sums_in_python(contract, a, b, result, weights))
        return found

    starts = range(0, operands.blocks, _BLOCKS_PER_TASK)
    sums = IntegerSums()
    results = run_tasks([functools.partial(task, start) for start in starts], workers)
    for start, found in zip(starts, results, strict=True):
        for offset, other in enumerate(found):
            sums.add(other, start + offset)
    if not sums.weight:
        raise InputError(f"{subject.instance.label}: no operand pair has an exact result")
    weight, full = sums.weight, contract.output_range
    metrics: dict[str, int | float | None] = {
        "EP": quotient(sums.wrong, weight),
        "MAE": quotient(sums.absolute, weight),
        "WCE": sums.greatest,
        "MSE": quotient(sums.square, weight),
        "bias": quotient(sums.signed, weight),
        "MRE": quotient(math.fsum(sums.relative), weight),
        "MRE_nonzero": quotient(math.fsum(sums.relative_nonzero), weight - sums.zero)
        if weight > sums.zero
        else None,
        "WCRE": sums.greatest_relative,
    }
    return {
        "widths": subject.widths,
        "strategy": subject.strategy,
        "vectors": sums.pairs,
        "exhaustive": operands.exhaustive,
        "output_range": full,
        "metrics": metrics,
        "percent": {
            name: None if value is None else value * 100 / (full if name in _OF_RANGE else 1)
            for name, value in metrics.items()
            if name != "MSE"
        },
        "undefined": sums.undefined,
        "overflow": overflow if contract.wraps else None,
        "overflowing": sums.overflowing,
        "worst_case": _integer_worst_case(subject, contract, operands, sums.greatest_block),
    }


#: The metrics whose per cent are those of the output range.
_OF_RANGE = {"MAE", "WCE", "bias"}


def _integer_worst_case(
    subject: Subject, contract: Contract, operands: _IntegerOperands, block: int | None
) -> dict[str, Any] | None:
    """Return the first pair with the greatest error, by computing its block again."""
    if block is None:
        return None
    a, b = operands.block(block)
    errors, undefined = _integer_errors(subject, contract, a, b)
    weights = operands.block_weights(block)
    counted = ~undefined if weights is None else ~undefined & (weights > 0)
    # Doubles tell errors beyond 2^53 apart by chance: then any of the greatest is shown.
    where = int(np.argmax(np.where(counted, np.abs(errors), -1.0)))
    a, b = a[where : where + 1], b[where : where + 1]
    x, y = contract.operand(a, contract.a), contract.operand(b, contract.b)
    found = {
        "a": x,
        "b": y,
        "result": contract.outcome(subject.evaluate(a, b)),
        "exact": contract.exact(x, y)[0],
    }
    return {name: int(values[0]) for name, values in found.items()}


def _integer_errors(
    subject: Subject, contract: Contract, a: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return signed errors as doubles, and where there is none that counts."""
    if contract.is_compiled:  # int64 does, and is much faster than Python's integers

        def number(bits: np.ndarray, width: int, signed: bool) -> np.ndarray:
            values = bits.astype(np.int64) << (64 - width)
            return (
                values >> (64 - width)
                if signed
                else (values.view(np.uint64) >> np.uint64(64 - width)).view(np.int64)
            )

        x, y = number(a, contract.a, contract.signed), number(b, contract.b, contract.signed)
        undefined = (y == 0) & (contract.op == "divi")
        divisor = np.where(y == 0, 1, y)
        exact = {
            "addi": lambda: x + y,
            "subi": lambda: x - y,
            "muli": lambda: x * y,
            "divi": lambda: np.trunc(x / divisor).astype(np.int64),
            "maxi": lambda: np.maximum(x, y),
            "mini": lambda: np.minimum(x, y),
        }[contract.op]()
        if contract.wraps:
            held = number(exact, contract.result, contract.result_signed)
            undefined |= (held != exact) & contract.excludes
            exact = held
        result = number(subject.evaluate(a, b), contract.result, contract.result_signed)
        return contract.error(result, exact).astype(np.float64), undefined
    x, y = contract.operand(a, contract.a), contract.operand(b, contract.b)
    exact, undefined, overflowing = contract.exact(x, y)
    error = contract.error(contract.outcome(subject.evaluate(a, b)), exact)
    return error.astype(np.float64), undefined | overflowing


def integer_map(
    subject: Subject, distribution: Distribution, seed: int, overflow: Overflow = "plain"
) -> ErrorMap:
    """Return mean errors over the plane of operands, and a sample of errors."""
    contract = _contract(subject, overflow)
    rng = np.random.default_rng((seed, 1))
    signed = subject.instance.core.signed
    widths = (subject.widths["a"], subject.widths["b"])
    compiled = contract.is_compiled
    # Wide cores are slow to compare, and a map of them needs no finer cells.
    cells = [min(MAP_CELLS if compiled else MAP_CELLS // 4, 1 << width) for width in widths]
    sizes = [(1 << width) // count for width, count in zip(widths, cells, strict=True)]
    starts = [-(1 << (width - 1)) if signed else 0 for width in widths]
    a, b = points_in_cells(rng, cells, sizes)
    points = [
        ((values + np.uint64(start & ((1 << 64) - 1))) & np.uint64((1 << width) - 1)).astype(dtype)
        for values, start, width, dtype in zip((a, b), starts, widths, subject.dtypes, strict=True)
    ]
    errors, undefined = _integer_errors(subject, contract, *points)
    mean = cell_means(np.where(undefined, np.nan, errors), *cells)
    borders = [
        start + np.arange(count + 1) * float(size)
        for start, count, size in zip(starts, cells, sizes, strict=True)
    ]
    operands = _IntegerOperands(subject, distribution, None, seed)
    seen, weights = [], []
    # Of an exhaustive space every n-th block, so that both operands vary.
    chosen = max(1, min(operands.blocks, 16 if compiled else 1))
    for k in range(chosen):
        number = k * operands.blocks // chosen
        a, b = operands.block(number)
        errors, undefined = _integer_errors(subject, contract, a, b)
        seen.append(errors[~undefined])
        weight = operands.block_weights(number)
        weights.append((np.ones(a.size) if weight is None else weight)[~undefined])
    return ErrorMap(mean, borders[0], borders[1], np.concatenate(seen), np.concatenate(weights))
