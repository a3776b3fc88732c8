# SPDX-License-Identifier: Apache-2.0
"""Errors of integer cores.

Two steps make the work independent of the model's strategy: the model's own kernel fills a block of
results, then a reduction adds up the errors of the block.  For integers of up to 32 bits the
reduction is compiled, and exhaustive where the operand space has at most 2^32 pairs.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from asnet_mlir import dialects
from asnet_mlir.cores.metrics.subject import (
    MAP_CELLS,
    ROLES,
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
from asnet_mlir.cores.simulation.family import storage
from asnet_mlir.errors import InputError
from asnet_mlir.native.jit import CompiledModule

__all__ = ["characterize_integers", "integer_map"]

# Pairs of a block.  Python's lock is what threads wait for: with 2^16, two threads are slower than
# one; with more, blocks leave the second-level cache.
_BLOCK = 1 << 18
# Blocks that one task of a thread computes.
_BLOCKS_PER_TASK = 4
_LANES = 8
_MAX_EXHAUSTIVE_BITS = 32
# What a simulated model does in a second is what a compiled one does in a millisecond.
_MAX_SIMULATED_EXHAUSTIVE_BITS = 20
_SAMPLES = 1 << 20


@dataclass(frozen=True)
class _Contract:
    """What the exact integer operation gives, in the bits that the result port has.

    `needed` bits hold every exact result.  A narrower port holds it modulo 2^width; a wider one
    holds it extended.  A difference of unsigned operands is two's complement where it fits.
    `overflow` is what an error means where exact results do not fit, see docs/characterization.md.
    """

    op: str
    a: int
    b: int
    result: int
    signed: bool
    overflow: Overflow = "plain"

    @property
    def needed(self) -> int:
        widest = max(self.a, self.b)
        return {
            "muli": self.a + self.b,
            "addi": widest + 1,
            "subi": widest + 1,
            "divi": self.a + self.signed,
            "maxi": widest,
            "mini": widest,
        }[self.op]

    @property
    def wraps(self) -> bool:
        return self.result < self.needed

    @property
    def result_signed(self) -> bool:
        return self.signed or (self.op == "subi" and not self.wraps)

    @property
    def output_range(self) -> int:
        return (1 << min(self.result, self.needed)) - 1

    @property
    def is_compiled(self) -> bool:
        """Whether the compiled reduction's 64-bit registers hold everything."""
        return max(self.a, self.b, self.result, self.needed) <= 32

    def operand(self, values: np.ndarray, width: int) -> np.ndarray:
        """Return operand bits as Python integers."""
        values = values.astype(object)
        return (
            np.where(values >> (width - 1) > 0, values - (1 << width), values)
            if (self.signed)
            else values
        )

    def outcome(self, bits: np.ndarray) -> np.ndarray:
        """Return result bits, or integers modulo what the port holds, as Python integers."""
        bits = bits.astype(object) & ((1 << self.result) - 1)
        if not self.result_signed:
            return bits
        return np.where(bits >> (self.result - 1) > 0, bits - (1 << self.result), bits)

    @property
    def is_modular(self) -> bool:
        return self.wraps and self.overflow == "modular"

    @property
    def excludes(self) -> bool:
        return self.wraps and self.overflow == "exclude"

    def error(self, outcome: np.ndarray, exact: np.ndarray) -> np.ndarray:
        """Return what is between results, as `outcome` gives them, and exact ones."""
        error = outcome - exact
        if not self.is_modular:
            return error
        half = 1 << (self.result - 1)
        return ((error + half) & ((1 << self.result) - 1)) - half

    def exact(self, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return exact results (Python integers), where there is none (a division by zero), and
        where one is left out because it does not fit.
        """
        undefined = np.zeros(a.shape, bool)
        if self.op == "addi":
            value = a + b
        elif self.op == "subi":
            value = a - b
        elif self.op == "muli":
            value = a * b
        elif self.op == "maxi":
            value = np.maximum(a, b)
        elif self.op == "mini":
            value = np.minimum(a, b)
        else:
            undefined = (b == 0).astype(bool)
            divisor = np.where(undefined, 1, b)
            magnitude = abs(a) // abs(divisor)
            value = np.where((a < 0) != (divisor < 0), -magnitude, magnitude)
        if not self.wraps:
            return value, undefined, np.zeros(a.shape, bool)
        held = self.outcome(value)
        return held, undefined, (held != value).astype(bool) & ~undefined & self.excludes


class _IntegerSums:
    """Errors added up; integers exactly, whatever their size."""

    def __init__(self) -> None:
        self.weight: int | float = 0  # of pairs with a result
        self.pairs = 0
        self.undefined = 0
        self.overflowing = 0
        self.zero: int | float = 0  # weight of pairs whose exact result is 0
        self.wrong: int | float = 0
        self.absolute: int | float = 0
        self.signed: int | float = 0
        self.square: int | float = 0
        self.relative: list[float] = []
        self.relative_nonzero: list[float] = []
        self.greatest = 0
        self.greatest_relative = 0.0
        self.greatest_block: int | None = None

    def add(self, other: _IntegerSums, block: int) -> None:
        """Add those of another block of pairs."""
        self.weight += other.weight
        self.pairs += other.pairs
        self.undefined += other.undefined
        self.overflowing += other.overflowing
        self.zero += other.zero
        self.wrong += other.wrong
        self.absolute += other.absolute
        self.signed += other.signed
        self.square += other.square
        self.relative += other.relative
        self.relative_nonzero += other.relative_nonzero
        if other.greatest > self.greatest:
            self.greatest, self.greatest_block = other.greatest, block
        self.greatest_relative = max(self.greatest_relative, other.greatest_relative)


def _sums_in_python(
    contract: _Contract,
    a: np.ndarray,
    b: np.ndarray,
    result: np.ndarray,
    weights: np.ndarray | None = None,
) -> _IntegerSums:
    """Add up the errors of pairs, given as bits, in Python's integers: for any width."""
    sums = _IntegerSums()
    sums.pairs = a.size
    if not a.size:
        return sums
    x, y = contract.operand(a, contract.a), contract.operand(b, contract.b)
    exact, undefined, overflowing = contract.exact(x, y)
    defined = ~(undefined | overflowing)
    sums.undefined, sums.overflowing = int(undefined.sum()), int(overflowing.sum())
    exact = exact[defined]
    error = contract.error(contract.outcome(result)[defined], exact)
    magnitude = abs(error)
    # Integer weights stay integers, so that sums stay exact.
    w: Any = 1
    if weights is not None:
        whole = bool((weights == np.floor(weights)).all())
        w = (weights.astype(object) if whole else weights.astype(np.float64))[defined]
        if whole:
            w = np.array([int(v) for v in w], object)
    relative = np.array(
        [m / max(1, abs(e)) for m, e in zip(magnitude, exact, strict=True)], np.float64
    )
    counted = (w if weights is not None else np.ones(exact.size, object)) + 0
    seen = np.array([bool(v) for v in counted], bool)
    sums.weight = counted.sum() if counted.size else 0
    sums.wrong = (counted * (magnitude != 0)).sum() if counted.size else 0
    sums.absolute = (counted * magnitude).sum() if counted.size else 0
    sums.signed = (counted * error).sum() if counted.size else 0
    sums.square = (counted * magnitude * magnitude).sum() if counted.size else 0
    sums.relative = [math.fsum(counted.astype(np.float64) * relative)]
    nonzero = (exact != 0).astype(bool)
    sums.zero = counted[~nonzero].sum() if counted.size else 0
    sums.relative_nonzero = [math.fsum(counted[nonzero].astype(np.float64) * relative[nonzero])]
    if seen.any():
        sums.greatest = int(magnitude[seen].max())
        sums.greatest_relative = float(relative[seen].max())
    return sums


class _CompiledSums:
    """The reduction of `_sums_in_python` as native code, for values of at most 32 bits."""

    def __init__(self, contract: _Contract) -> None:
        dialects.load()
        from mlir import ir
        from mlir.passmanager import PassManager

        self._contract = contract
        with ir.Context(), ir.Location.unknown():
            module = ir.Module.parse(_reduction_text(contract))
            PassManager.parse("builtin.module(asnet-models-to-llvm)").run(module.operation)
            self._compiled = CompiledModule(module, opt_level=3)

    def __call__(self, a: np.ndarray, b: np.ndarray, result: np.ndarray) -> _IntegerSums:
        whole = a.size - a.size % _LANES
        # Less than 2^32 an error and 2^18 pairs: no sum leaves 64 bits.
        assert a.size <= _BLOCK
        counts, reals = np.zeros(9, np.int64), np.zeros(3, np.float64)
        self._compiled("reduce", a[:whole], b[:whole], result[:whole], counts, reals)
        sums = _IntegerSums()
        undefined, wrong, absolute, signed, low, high, greatest, zero, overflowing = map(
            int, counts
        )
        sums.pairs = whole
        sums.undefined, sums.overflowing, sums.zero = undefined, overflowing, zero
        sums.weight = whole - undefined - overflowing
        sums.wrong, sums.absolute, sums.signed = wrong, absolute, signed
        sums.square = low + (high << 32)
        sums.greatest = greatest
        sums.relative = [float(reals[0])]
        sums.greatest_relative = float(reals[1])
        sums.relative_nonzero = [float(reals[2])]
        if whole < a.size:
            rest = _sums_in_python(self._contract, a[whole:], b[whole:], result[whole:])
            sums.add(rest, 0)
        return sums


def _reduction_text(contract: _Contract) -> str:
    """Return the reduction in MLIR: eight pairs at a time, one partial sum a lane."""
    vi, vf, vb = (f"vector<{_LANES}x{kind}>" for kind in ("i64", "f64", "i1"))
    types = {role: f"i{storage(getattr(contract, role)).itemsize * 8}" for role in ROLES}
    body: list[str] = []

    def let(name: str, operation: str) -> str:
        body.append(f"    %{name} = {operation}")
        return f"%{name}"

    def extended(name: str, value: str, width: int, signed: bool) -> str:
        """Take the low bits of a vector for a number."""
        shift = f"%c{64 - width}"
        constants.add(64 - width)
        up = let(f"{name}_up", f"arith.shli {value}, {shift} : {vi}")
        return let(name, f"arith.{'shrsi' if signed else 'shrui'} {up}, {shift} : {vi}")

    constants = {0, 1, 32, (1 << 32) - 1}
    values = {}
    for role in ROLES:
        narrow = f"vector<{_LANES}x{types[role]}>"
        let(f"{role}_bits", f"vector.load %{role}[%i] : memref<?x{types[role]}>, {narrow}")
        let(f"{role}_wide", f"arith.extui %{role}_bits : {narrow} to {vi}")
        values[role] = extended(
            f"{role}_value",
            f"%{role}_wide",
            getattr(contract, role),
            contract.result_signed if role == "result" else contract.signed,
        )
    a, b = values["a"], values["b"]
    if contract.op == "divi":
        let("undefined", f"arith.cmpi eq, {b}, %c0 : {vi}")
        let("divisor", f"arith.select %undefined, %c1, {b} : {vb}, {vi}")
        # In doubles: the quotient of 32-bit integers is at least 2^-32 of itself away from the next
        # integer that it is not, so that rounding to 53 bits does not reach it.
        let("a_real", f"arith.sitofp {a} : {vi} to {vf}")
        let("b_real", f"arith.sitofp %divisor : {vi} to {vf}")
        let("q_real", f"arith.divf %a_real, %b_real : {vf}")
        exact = let("ideal", f"arith.fptosi %q_real : {vf} to {vi}")
    else:
        operation = contract.op
        if operation in ("maxi", "mini"):
            operation = f"{operation[:3]}{'s' if contract.signed else 'u'}i"
        exact = let("ideal", f"arith.{operation} {a}, {b} : {vi}")
    ideal = exact
    if contract.wraps:
        exact = extended("wrapped", exact, contract.result, contract.result_signed)
    error = let("difference", f"arith.subi {values['result']}, {exact} : {vi}")
    if contract.is_modular:
        error = extended("distance", error, contract.result, True)
    # 1 where a pair counts.
    let("counts", f"arith.addi %c1, %c0 : {vi}")
    counts = "%counts"
    if contract.op == "divi":
        error = let("error", f"arith.select %undefined, %c0, {error} : {vb}, {vi}")
        let("undefined_one", f"arith.extui %undefined : {vb} to {vi}")
        let("n0", f"arith.addi %s0, %undefined_one : {vi}")
        counts = let("defined_one", f"arith.subi {counts}, %undefined_one : {vi}")
    else:
        let("n0", f"arith.addi %s0, %c0 : {vi}")
    if contract.excludes:
        let("too_large", f"arith.cmpi ne, {ideal}, {exact} : {vi}")
        let("too_large_one", f"arith.extui %too_large : {vb} to {vi}")
        let("overflowing", f"arith.andi %too_large_one, {counts} : {vi}")
        error = let("within", f"arith.select %too_large, %c0, {error} : {vb}, {vi}")
        let("n8", f"arith.addi %s8, %overflowing : {vi}")
        counts = let("within_one", f"arith.subi {counts}, %overflowing : {vi}")
    else:
        let("n8", f"arith.addi %s8, %c0 : {vi}")
    let("is_zero", f"arith.cmpi eq, {exact}, %c0 : {vi}")
    let("zero_one", f"arith.extui %is_zero : {vb} to {vi}")
    let("zero_counts", f"arith.andi %zero_one, {counts} : {vi}")
    let("n7", f"arith.addi %s7, %zero_counts : {vi}")
    let("negative", f"arith.subi %c0, {error} : {vi}")
    let("magnitude", f"arith.maxsi {error}, %negative : {vi}")
    let("differs", f"arith.cmpi ne, {error}, %c0 : {vi}")
    let("differs_one", f"arith.extui %differs : {vb} to {vi}")
    let("n1", f"arith.addi %s1, %differs_one : {vi}")
    let("n2", f"arith.addi %s2, %magnitude : {vi}")
    let("n3", f"arith.addi %s3, {error} : {vi}")
    let("square", f"arith.muli %magnitude, %magnitude : {vi}")
    let("low", f"arith.andi %square, %c{(1 << 32) - 1} : {vi}")
    let("high", f"arith.shrui %square, %c32 : {vi}")
    let("n4", f"arith.addi %s4, %low : {vi}")
    let("n5", f"arith.addi %s5, %high : {vi}")
    let("n6", f"arith.maxsi %s6, %magnitude : {vi}")
    let("exact_negative", f"arith.subi %c0, {exact} : {vi}")
    let("exact_magnitude", f"arith.maxsi {exact}, %exact_negative : {vi}")
    let("base", f"arith.maxsi %exact_magnitude, %c1 : {vi}")
    let("base_real", f"arith.sitofp %base : {vi} to {vf}")
    let("magnitude_real", f"arith.sitofp %magnitude : {vi} to {vf}")
    let("relative", f"arith.divf %magnitude_real, %base_real : {vf}")
    let("m0", f"arith.addf %r0, %relative : {vf}")
    let("relative_nonzero", f"arith.select %is_zero, %zero, %relative : {vb}, {vf}")
    let("m2", f"arith.addf %r2, %relative_nonzero : {vf}")
    let("greater", f"arith.cmpf ogt, %relative, %r1 : {vf}")
    let("m1", f"arith.select %greater, %relative, %r1 : {vb}, {vf}")
    state = [(f"s{k}", f"n{k}", vi, "%c0") for k in range(9)]
    state += [(f"r{k}", f"m{k}", vf, "%zero") for k in range(3)]
    arguments = ", ".join(f"%{role}: memref<?x{types[role]}>" for role in ROLES)
    kinds = ", ".join(kind for _, _, kind, _ in state)
    lines = [
        f"func.func @reduce({arguments}, %sums: memref<9xi64>, %reals: memref<3xf64>)",
        "    attributes {llvm.emit_c_interface} {",
        "  %first = arith.constant 0 : index",
        f"  %step = arith.constant {_LANES} : index",
        *(f"  %c{v} = arith.constant dense<{v}> : {vi}" for v in sorted(constants)),
        f"  %zero = arith.constant dense<0.0> : {vf}",
        f"  %count = memref.dim %a, %first : memref<?x{types['a']}>",
        "  %totals:12 = scf.for %i = %first to %count step %step iter_args("
        + ", ".join(f"%{name} = {start}" for name, _, _, start in state)
        + f") -> ({kinds}) {{",
        *body,
        f"    scf.yield {', '.join(f'%{new}' for _, new, _, _ in state)} : {kinds}",
        "  }",
    ]
    for k in range(12):
        vector, scalar = (vi, "i64") if k < 9 else (vf, "f64")
        kind = {6: "maxsi", 10: "maximumf"}.get(k, "add")
        memory, place = ("sums", k) if k < 9 else ("reals", k - 9)
        lines += [
            f"  %total{k} = vector.reduction <{kind}>, %totals#{k} : {vector} into {scalar}",
            f"  %place{k} = arith.constant {place} : index",
            f"  memref.store %total{k}, %{memory}[%place{k}] : "
            f"memref<{9 if k < 9 else 3}x{scalar}>",
        ]
    return "\n".join([*lines, "  return", "}", ""])


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
            index = np.arange(min(_BLOCK, self.pairs), dtype=np.uint64)
            low = np.uint64((1 << widths["b"]) - 1)
            self._first = (
                (index >> np.uint64(widths["b"])).astype(self._dtypes[0]),
                (index & low).astype(self._dtypes[1]),
            )
        else:
            self.pairs = int(samples) if samples else _SAMPLES
        self.blocks = -(-self.pairs // _BLOCK)

    def block(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the operands of one block; only the last may be shorter than the others."""
        start = number * _BLOCK
        size = min(_BLOCK, self.pairs - start)
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
        start = number * _BLOCK
        return None if self.weights is None else self.weights[start : start + _BLOCK]


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


def _contract(subject: Subject, overflow: Overflow = "plain") -> _Contract:
    core, widths = subject.instance.core, subject.widths
    assert core.op is not None
    return _Contract(core.op, widths["a"], widths["b"], widths["result"], core.signed, overflow)


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
    compiled = (
        _CompiledSums(contract) if contract.is_compiled and operands.weights is None else None
    )

    def task(first: int) -> list[_IntegerSums]:
        found = []
        for number in range(first, min(first + _BLOCKS_PER_TASK, operands.blocks)):
            a, b = operands.block(number)
            result = subject.evaluate(a, b)
            if compiled is not None:
                found.append(compiled(a, b, result))
            else:
                weights = operands.block_weights(number)
                found.append(_sums_in_python(contract, a, b, result, weights))
        return found

    starts = range(0, operands.blocks, _BLOCKS_PER_TASK)
    sums = _IntegerSums()
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
    subject: Subject, contract: _Contract, operands: _IntegerOperands, block: int | None
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
    subject: Subject, contract: _Contract, a: np.ndarray, b: np.ndarray
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
