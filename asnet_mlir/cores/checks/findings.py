# SPDX-License-Identifier: Apache-2.0
"""What the check of an instance finds, and the report made of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from asnet_mlir.cores.core import (
    Instance,
)
from asnet_mlir.cores.operands import (
    exact_integer,
)
from asnet_mlir.cores.simulation.family import Widths
from asnet_mlir.support.formats import F32, NumberFormat

__all__ = ["CheckReport", "Findings", "differing", "operands_text"]

_SHOWN_MISMATCHES = 5


@dataclass(frozen=True)
class CheckReport:
    """What checking one instance found.

    `vectors` is the number of operand pairs, `seed` that of the random ones; `simulator_vectors`
    says for each simulator how many of them it was given.  `metrics` compares a floating-point core
    with the exact operation over `typical_pairs` whose exact result is a normal number:
    `max_relative_error`, `mean_relative_error` (None where a result is not finite) and
    `error_probability`.  For an integer core they are over all pairs, relative errors against at
    least 1, with `mean_absolute_error` and `worst_case_error`; empty where there is no operation to
    compare with.  `op` is what it is compared with, of signed operands or not; `inferred` says how
    it was found where none was given.  `warnings` are no failures: what is most likely meant
    otherwise.
    """

    label: str
    status: str
    strategy: str | None
    vectors: int
    seed: int
    simulators: tuple[str, ...]
    latency_cycles: int
    metrics: dict[str, float | None] = field(default_factory=dict)
    failures: tuple[str, ...] = ()
    simulator_vectors: dict[str, int] = field(default_factory=dict)
    op: str | None = None
    signed: bool = False
    inferred: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return self.status == "pass"

    def summary(self) -> str:
        """Return the report as text: one line, and one more for each failure."""
        parts = [f"{self.label}: {self.status}"]
        if self.vectors:
            simulators = [
                name if count == self.vectors else f"{name} ({count} of them)"
                for name, count in self.simulator_vectors.items()
            ]
            parts.append(
                f"{self.strategy} model, {self.vectors} operand pairs (seed {self.seed}), "
                f"{', '.join(simulators)}, latency {self.latency_cycles}"
            )
        if self.metrics:
            error = self.metrics["max_relative_error"]
            parts.append(f"max relative error {'not finite' if error is None else f'{error:.3g}'}")
        if self.inferred:
            parts.insert(1, self.inferred)
        return "\n  ".join(
            ["; ".join(parts), *self.failures, *(f"warning: {text}" for text in self.warnings)]
        )

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            **asdict(self),
            "simulators": list(self.simulators),
            "failures": list(self.failures),
            "warnings": list(self.warnings),
        }


class Findings:
    """What has been seen of one instance so far."""

    def __init__(self, instance: Instance, widths: Widths) -> None:
        self.instance = instance
        self.widths = widths
        self.strategy: str | None = None
        self.failures: list[str] = []
        self.undefined: list[str] = []  # failures that explain all others
        self.mismatches: dict[str, int] = {}
        self.vectors = 0
        self.simulators: dict[str, int] = {}
        self.cycles: set[int] = set()
        self.normal = 0
        self.wrong = 0
        self.error_sum = 0.0
        self.error_max = 0.0
        self.absolute_sum = 0.0
        self.absolute_max = 0.0
        core = instance.core
        self.op, self.signed = core.op, core.signed
        self.inferred: str | None = None
        self.warnings: list[str] = []

    def compare(
        self, other: str, a: np.ndarray, b: np.ndarray, got: np.ndarray, want: np.ndarray, nan: bool
    ) -> None:
        """Compare the first simulation's result bits with the `other` ones."""
        where = differing(got, want, nan_equals_nan=nan)
        shown = self.mismatches.get(other, 0)
        if where.size:
            self.mismatches[other] = shown + where.size
        widths = self.widths
        for index in where[: max(0, _SHOWN_MISMATCHES - shown)]:
            self.failures.append(
                f"{operands_text(a[index], b[index], widths)}: simulation "
                f"{_hex(got[index], widths.result)}, {other} {_hex(want[index], widths.result)}"
            )

    def measure(
        self,
        kind: NumberFormat,
        a: np.ndarray,
        b: np.ndarray,
        got: np.ndarray,
        exact: np.ndarray,
    ) -> None:
        """Add up the errors against the exact operation."""
        usable = kind.is_normal(a) & kind.is_normal(b) & kind.is_normal(exact)
        got, exact = got[usable], exact[usable]
        self.normal += got.size
        wrong = got != exact
        self.wrong += int(np.count_nonzero(wrong))
        with np.errstate(all="ignore"):  # NaNs are among what a core may return
            value, truth = (kind.to_float64(bits[wrong]) for bits in (got, exact))
            errors = np.abs(value - truth) / np.abs(truth)
        if errors.size:
            self.error_sum += float(errors.sum())
            self.error_max = max(self.error_max, float(np.nan_to_num(errors, nan=np.inf).max()))

    def measure_integers(
        self, a: np.ndarray, b: np.ndarray, got: np.ndarray, op: str, signed: bool
    ) -> None:
        """Add up the errors against the exact operation on integers."""
        widths = (self.widths.a, self.widths.b, self.widths.result)
        exact, defined = exact_integer(op, a, b, widths, signed)
        # A difference of unsigned operands is two's complement where the port has the bits for it.
        is_signed = signed or (op == "subi" and widths[2] > max(widths[:2]))
        value, truth = (
            _numbers(bits[defined], widths[2], is_signed) for bits in (got.astype(np.uint64), exact)
        )
        self.normal += value.size
        errors = np.abs(value - truth)
        if errors.size:
            self.wrong += int(np.count_nonzero(errors))
            relative = errors / np.maximum(np.abs(truth), 1.0)
            self.error_sum += float(relative.sum())
            self.error_max = max(self.error_max, float(relative.max()))
            self.absolute_sum += float(errors.sum())
            self.absolute_max = max(self.absolute_max, float(errors.max()))

    def metrics(self) -> dict[str, float | None]:
        """Return the errors as the report gives them."""
        if not self.normal:
            return {}

        def finite(value: float) -> float | None:
            return value if np.isfinite(value) else None

        found = {
            "max_relative_error": finite(self.error_max),
            "mean_relative_error": finite(self.error_sum / self.normal),
            "error_probability": self.wrong / self.normal,
        }
        if not self.instance.core.is_float:
            found["mean_absolute_error"] = self.absolute_sum / self.normal
            found["worst_case_error"] = self.absolute_max
        return found

    def report(self, seed: int) -> CheckReport:
        """Return the report."""
        summary = [
            f"{count} of {self.vectors} operand pairs: simulation and {other} differ"
            for other, count in self.mismatches.items()
        ]
        failures = (*self.undefined, *summary, *self.failures)
        return CheckReport(
            label=self.instance.label,
            status="fail" if failures else "pass",
            strategy=self.strategy,
            vectors=self.vectors,
            seed=seed,
            simulators=tuple(self.simulators),
            latency_cycles=self.instance.latency,
            metrics=self.metrics(),
            failures=failures,
            simulator_vectors=self.simulators,
            op=self.op,
            signed=self.signed,
            inferred=self.inferred,
            warnings=tuple(self.warnings),
        )


def differing(left: np.ndarray, right: np.ndarray, *, nan_equals_nan: bool) -> np.ndarray:
    """Return the indices at which two arrays of result bits differ.

    Args:
      left, right: 1-D unsigned integer arrays of one length.
      nan_equals_nan: read the bits as f32, and let any NaN equal any NaN.
    """
    unequal = left != right
    if nan_equals_nan:
        unequal &= ~(F32.is_nan(left) & F32.is_nan(right))
    return np.flatnonzero(unequal)


def operands_text(a: Any, b: Any, widths: Widths) -> str:
    """Return a pair of operands, words of a core's ports, for people."""
    return f"a = {_hex(a, widths.a)}, b = {_hex(b, widths.b)}"


def _hex(value: Any, width: int) -> str:
    return f"{int(value):#0{2 + (width + 3) // 4}x}"


def _numbers(bits: np.ndarray, width: int, signed: bool) -> np.ndarray:
    """Return words of `width` bits as numbers (float64)."""
    if not signed:
        return bits.astype(np.float64)
    shift = np.uint64(64 - width)
    return ((bits << shift).view(np.int64) >> shift.astype(np.int64)).astype(np.float64)
