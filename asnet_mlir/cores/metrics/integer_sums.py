# SPDX-License-Identifier: Apache-2.0
"""Sums of the errors of blocks of results of integer cores, compiled or in Python's integers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from asnet_mlir import dialects
from asnet_mlir.cores.metrics.subject import ROLES, Overflow
from asnet_mlir.cores.simulation.family import storage
from asnet_mlir.ir import new_context
from asnet_mlir.native.jit import CompiledModule

__all__ = ["BLOCK", "CompiledSums", "Contract", "IntegerSums", "sums_in_python"]

# Pairs of a block.  Python's lock is what threads wait for: with 2^16, two threads are slower than
# one; with more, blocks leave the second-level cache.
BLOCK = 1 << 18
_LANES = 8
_VI, _VF, _VB = (f"vector<{_LANES}x{kind}>" for kind in ("i64", "f64", "i1"))


@dataclass(frozen=True)
class Contract:
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


class IntegerSums:
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

    def add(self, other: IntegerSums, block: int) -> None:
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


def sums_in_python(
    contract: Contract,
    a: np.ndarray,
    b: np.ndarray,
    result: np.ndarray,
    weights: np.ndarray | None = None,
) -> IntegerSums:
    """Add up the errors of pairs, given as bits, in Python's integers: for any width."""
    sums = IntegerSums()
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


class CompiledSums:
    """The reduction of `sums_in_python` as native code, for values of at most 32 bits."""

    def __init__(self, contract: Contract) -> None:
        dialects.load()
        from mlir import ir
        from mlir.passmanager import PassManager

        self._contract = contract
        with new_context(), ir.Location.unknown():
            module = ir.Module.parse(_Reduction(contract).text())
            PassManager.parse("builtin.module(asnet-models-to-llvm)").run(module.operation)
            self._compiled = CompiledModule(module, opt_level=3)

    def __call__(self, a: np.ndarray, b: np.ndarray, result: np.ndarray) -> IntegerSums:
        whole = a.size - a.size % _LANES
        # Less than 2^32 an error and 2^18 pairs: no sum leaves 64 bits.
        assert a.size <= BLOCK
        counts, reals = np.zeros(9, np.int64), np.zeros(3, np.float64)
        self._compiled("reduce", a[:whole], b[:whole], result[:whole], counts, reals)
        sums = IntegerSums()
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
            rest = sums_in_python(self._contract, a[whole:], b[whole:], result[whole:])
            sums.add(rest, 0)
        return sums


class _Reduction:
    """The reduction in MLIR: eight pairs at a time, one partial sum a lane.

    A step makes new sums, `n0` to `n8` of integers and `m0` to `m2` of doubles, of those before it,
    `s0` to `s8` and `r0` to `r2`.
    """

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._types = {r: f"i{storage(getattr(contract, r)).itemsize * 8}" for r in ROLES}
        self._constants = {0, 1, 32, (1 << 32) - 1}
        self._body: list[str] = []
        self._counts = "%counts"  # 1 where a pair counts
        self._make_step()

    def _let(self, name: str, operation: str) -> str:
        self._body.append(f"    %{name} = {operation}")
        return f"%{name}"

    def _extended(self, name: str, value: str, width: int, signed: bool) -> str:
        """Take the low bits of a vector for a number."""
        shift = f"%c{64 - width}"
        self._constants.add(64 - width)
        up = self._let(f"{name}_up", f"arith.shli {value}, {shift} : {_VI}")
        return self._let(name, f"arith.{'shrsi' if signed else 'shrui'} {up}, {shift} : {_VI}")

    def _make_step(self) -> None:
        contract, let = self._contract, self._let
        a, b, result = (self._loaded(role) for role in ROLES)
        ideal = exact = self._quotient(a, b) if contract.op == "divi" else self._operation(a, b)
        if contract.wraps:
            exact = self._extended("wrapped", exact, contract.result, contract.result_signed)
        error = let("difference", f"arith.subi {result}, {exact} : {_VI}")
        if contract.is_modular:
            error = self._extended("distance", error, contract.result, True)
        let("counts", f"arith.addi %c1, %c0 : {_VI}")
        error = self._without_undefined(error)
        error = self._without_too_large(error, ideal, exact)
        self._add_errors(error, exact)
        self._add_relative_errors(exact)

    def _loaded(self, role: str) -> str:
        contract, kind = self._contract, self._types[role]
        narrow = f"vector<{_LANES}x{kind}>"
        self._let(f"{role}_bits", f"vector.load %{role}[%i] : memref<?x{kind}>, {narrow}")
        self._let(f"{role}_wide", f"arith.extui %{role}_bits : {narrow} to {_VI}")
        signed = contract.result_signed if role == "result" else contract.signed
        return self._extended(f"{role}_value", f"%{role}_wide", getattr(contract, role), signed)

    def _operation(self, a: str, b: str) -> str:
        operation = self._contract.op
        if operation in ("maxi", "mini"):
            operation = f"{operation[:3]}{'s' if self._contract.signed else 'u'}i"
        return self._let("ideal", f"arith.{operation} {a}, {b} : {_VI}")

    def _quotient(self, a: str, b: str) -> str:
        let = self._let
        let("undefined", f"arith.cmpi eq, {b}, %c0 : {_VI}")
        let("divisor", f"arith.select %undefined, %c1, {b} : {_VB}, {_VI}")
        # In doubles: the quotient of 32-bit integers is at least 2^-32 of itself away from the next
        # integer that it is not, so that rounding to 53 bits does not reach it.
        let("a_real", f"arith.sitofp {a} : {_VI} to {_VF}")
        let("b_real", f"arith.sitofp %divisor : {_VI} to {_VF}")
        let("q_real", f"arith.divf %a_real, %b_real : {_VF}")
        return let("ideal", f"arith.fptosi %q_real : {_VF} to {_VI}")

    def _without_undefined(self, error: str) -> str:
        """Count divisions by zero, whose error is 0 from here on."""
        let = self._let
        if self._contract.op != "divi":
            let("n0", f"arith.addi %s0, %c0 : {_VI}")
            return error
        error = let("error", f"arith.select %undefined, %c0, {error} : {_VB}, {_VI}")
        let("undefined_one", f"arith.extui %undefined : {_VB} to {_VI}")
        let("n0", f"arith.addi %s0, %undefined_one : {_VI}")
        self._counts = let("defined_one", f"arith.subi {self._counts}, %undefined_one : {_VI}")
        return error

    def _without_too_large(self, error: str, ideal: str, exact: str) -> str:
        """Count exact results that do not fit, where these are left out: their error is 0."""
        let = self._let
        if not self._contract.excludes:
            let("n8", f"arith.addi %s8, %c0 : {_VI}")
            return error
        let("too_large", f"arith.cmpi ne, {ideal}, {exact} : {_VI}")
        let("too_large_one", f"arith.extui %too_large : {_VB} to {_VI}")
        let("overflowing", f"arith.andi %too_large_one, {self._counts} : {_VI}")
        error = let("within", f"arith.select %too_large, %c0, {error} : {_VB}, {_VI}")
        let("n8", f"arith.addi %s8, %overflowing : {_VI}")
        self._counts = let("within_one", f"arith.subi {self._counts}, %overflowing : {_VI}")
        return error

    def _add_errors(self, error: str, exact: str) -> None:
        let = self._let
        let("is_zero", f"arith.cmpi eq, {exact}, %c0 : {_VI}")
        let("zero_one", f"arith.extui %is_zero : {_VB} to {_VI}")
        let("zero_counts", f"arith.andi %zero_one, {self._counts} : {_VI}")
        let("n7", f"arith.addi %s7, %zero_counts : {_VI}")
        let("negative", f"arith.subi %c0, {error} : {_VI}")
        let("magnitude", f"arith.maxsi {error}, %negative : {_VI}")
        let("differs", f"arith.cmpi ne, {error}, %c0 : {_VI}")
        let("differs_one", f"arith.extui %differs : {_VB} to {_VI}")
        let("n1", f"arith.addi %s1, %differs_one : {_VI}")
        let("n2", f"arith.addi %s2, %magnitude : {_VI}")
        let("n3", f"arith.addi %s3, {error} : {_VI}")
        let("square", f"arith.muli %magnitude, %magnitude : {_VI}")
        let("low", f"arith.andi %square, %c{(1 << 32) - 1} : {_VI}")
        let("high", f"arith.shrui %square, %c32 : {_VI}")
        let("n4", f"arith.addi %s4, %low : {_VI}")
        let("n5", f"arith.addi %s5, %high : {_VI}")
        let("n6", f"arith.maxsi %s6, %magnitude : {_VI}")

    def _add_relative_errors(self, exact: str) -> None:
        let = self._let
        let("exact_negative", f"arith.subi %c0, {exact} : {_VI}")
        let("exact_magnitude", f"arith.maxsi {exact}, %exact_negative : {_VI}")
        let("base", f"arith.maxsi %exact_magnitude, %c1 : {_VI}")
        let("base_real", f"arith.sitofp %base : {_VI} to {_VF}")
        let("magnitude_real", f"arith.sitofp %magnitude : {_VI} to {_VF}")
        let("relative", f"arith.divf %magnitude_real, %base_real : {_VF}")
        let("m0", f"arith.addf %r0, %relative : {_VF}")
        let("relative_nonzero", f"arith.select %is_zero, %zero, %relative : {_VB}, {_VF}")
        let("m2", f"arith.addf %r2, %relative_nonzero : {_VF}")
        let("greater", f"arith.cmpf ogt, %relative, %r1 : {_VF}")
        let("m1", f"arith.select %greater, %relative, %r1 : {_VB}, {_VF}")

    def text(self) -> str:
        """Return the module: a function of operands, results and the memories of the totals."""
        types = self._types
        state = [(f"s{k}", f"n{k}", _VI, "%c0") for k in range(9)]
        state += [(f"r{k}", f"m{k}", _VF, "%zero") for k in range(3)]
        arguments = ", ".join(f"%{role}: memref<?x{types[role]}>" for role in ROLES)
        kinds = ", ".join(kind for _, _, kind, _ in state)
        starts = ", ".join(f"%{name} = {start}" for name, _, _, start in state)
        lines = [
            f"func.func @reduce({arguments}, %sums: memref<9xi64>, %reals: memref<3xf64>)",
            "    attributes {llvm.emit_c_interface} {",
            "  %first = arith.constant 0 : index",
            f"  %step = arith.constant {_LANES} : index",
            *(f"  %c{v} = arith.constant dense<{v}> : {_VI}" for v in sorted(self._constants)),
            f"  %zero = arith.constant dense<0.0> : {_VF}",
            f"  %count = memref.dim %a, %first : memref<?x{types['a']}>",
            f"  %totals:12 = scf.for %i = %first to %count step %step iter_args({starts})"
            f" -> ({kinds}) {{",
            *self._body,
            f"    scf.yield {', '.join(f'%{new}' for _, new, _, _ in state)} : {kinds}",
            "  }",
        ]
        for k in range(12):
            vector, scalar = (_VI, "i64") if k < 9 else (_VF, "f64")
            kind = {6: "maxsi", 10: "maximumf"}.get(k, "add")
            memory, place = ("sums", k) if k < 9 else ("reals", k - 9)
            lines += [
                f"  %total{k} = vector.reduction <{kind}>, %totals#{k} : {vector} into {scalar}",
                f"  %place{k} = arith.constant {place} : index",
                f"  memref.store %total{k}, %{memory}[%place{k}] : "
                f"memref<{9 if k < 9 else 3}x{scalar}>",
            ]
        return "\n".join([*lines, "  return", "}", ""])
