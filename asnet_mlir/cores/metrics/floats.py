# SPDX-License-Identifier: Apache-2.0
"""Errors of floating-point cores, on operands drawn from a distribution."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from asnet_mlir.cores.metrics.subject import (
    MAP_CELLS,
    Distribution,
    ErrorMap,
    Histogram,
    Subject,
    cell_means,
    points_in_cells,
    quotient,
    run_tasks,
)
from asnet_mlir.cores.operands import (
    corner_pairs,
    exact_float,
    typical_pairs,
)
from asnet_mlir.errors import InputError
from asnet_mlir.support.formats import FLOAT_FORMATS, NumberFormat

__all__ = ["characterize_floats", "float_map"]

# Doubles of a block stay in the second-level cache.
_BLOCK = 1 << 16
_SAMPLES = 1 << 22
_MAP_SAMPLES = 1 << 18


@dataclass(frozen=True)
class _FloatCore:
    """A floating-point core seen as a subject of characterization."""

    subject: Subject
    op: str
    kind: NumberFormat

    @classmethod
    def of(cls, subject: Subject) -> _FloatCore:
        core = subject.instance.core
        assert core.op is not None and core.format is not None
        return cls(subject, core.op, FLOAT_FORMATS[core.format])

    @property
    def least_normal(self) -> float:
        return 2.0 ** (1 - self.kind.bias)

    def blocks(
        self, distribution: Distribution, samples: int, seed: int
    ) -> Iterator[Callable[[], _Block]]:
        """Give what makes each block of operands (as bits) and weights."""
        if isinstance(distribution, Histogram):
            if distribution.a.dtype.kind != "f":
                raise InputError(
                    f"{distribution.name}: holds integers, {self.subject.instance.label} takes "
                    f"{self.kind.name} numbers"
                )
            for start in range(0, distribution.a.size, _BLOCK):
                yield functools.partial(self._recorded, distribution, start)
            return
        for number in range(-(-samples // _BLOCK)):
            size = min(_BLOCK, samples - number * _BLOCK)
            yield functools.partial(self._drawn, distribution, size, (seed, number))

    def _recorded(self, histogram: Histogram, start: int) -> _Block:
        piece = slice(start, start + _BLOCK)
        a, b = (self.kind.round(v[piece].astype(np.float64)) for v in (histogram.a, histogram.b))
        return a, b, None if histogram.weight is None else histogram.weight[piece]

    def _drawn(self, distribution: str, size: int, seed: tuple[int, int]) -> _Block:
        if distribution == "typical":
            return *typical_pairs(size, seed, self.kind.name), None
        rng = np.random.default_rng(seed)
        values = (
            rng.uniform(-1, 1, (2, size))
            if distribution == "uniform"
            else rng.standard_normal((2, size))
        )
        return self.kind.round(values[0]), self.kind.round(values[1]), None


_Block = tuple[np.ndarray, np.ndarray, np.ndarray | None]

#: What special values are counted as, the first that fits.
_SPECIALS = ("nan", "infinity", "subnormal", "zero")


@dataclass
class _FloatSums:
    """Errors of one block of pairs."""

    pairs: int
    not_finite: int
    sums: dict[str, float]
    greatest: dict[str, float]
    specials: dict[str, list[int]]
    worst: dict[str, Any] | None


def _float_sums(
    core: _FloatCore, a: np.ndarray, b: np.ndarray, weights: np.ndarray | None = None
) -> _FloatSums:
    """Add up the errors of pairs, given as bits."""
    kind, least_normal = core.kind, core.least_normal
    w = np.ones(a.size) if weights is None else weights.astype(np.float64)
    got_bits = core.subject.evaluate(a, b)
    exact_bits = exact_float(kind, core.op, a, b)
    x, y, got, exact = (kind.to_float64(bits) for bits in (a, b, got_bits, exact_bits))
    differs = kind.canonical(got_bits) != exact_bits  # any NaN is any other
    specials = {}
    left = np.ones(a.size, bool)
    for name in _SPECIALS:
        where = np.zeros(a.size, bool)
        for values in (x, y, exact):
            magnitude = np.abs(values)
            where |= {
                "nan": lambda v=values: np.isnan(v),
                "infinity": lambda v=values: np.isinf(v),
                "subnormal": lambda m=magnitude: (m > 0) & (m < least_normal),
                "zero": lambda m=magnitude: m == 0,
            }[name]()
        where &= left
        left &= ~where
        specials[name] = [int(where.sum()), int((where & differs).sum())]
    finite = np.isfinite(exact)
    both = finite & np.isfinite(got)
    with np.errstate(all="ignore"):
        error = np.where(both, got - exact, 0.0)
        normal = both & (np.abs(exact) >= least_normal)
        # Positive where the magnitude is too great.
        relative = np.where(normal, error / np.where(normal, exact, 1.0), 0.0)
        ulp = np.ldexp(1.0, np.frexp(np.where(normal, exact, 1.0))[1] - 1 - kind.fraction_bits)
        ulps = np.where(normal, np.abs(error) / ulp, 0.0)
    magnitude, rel = np.abs(error), np.abs(relative)
    counted = w > 0
    terms = {
        "weight": w,
        "finite": w * finite,
        "normal": w * (finite & (np.abs(exact) >= least_normal)),
        "wrong": w * differs,
        "absolute": w * magnitude,
        "signed": w * error,
        "square": w * magnitude * magnitude,
        "relative": w * rel,
        "relative_signed": w * relative,
        "ulp": w * ulps,
    }
    worst: dict[str, Any] | None = None
    rel, magnitude, ulps = (np.where(counted, values, 0.0) for values in (rel, magnitude, ulps))
    if a.size and rel.max() > 0:
        place = int(np.argmax(rel))
        shown = {"a": (x, a), "b": (y, b), "result": (got, got_bits)}
        digits = core.subject.widths["a"] // 4
        worst = {}
        for name, (values, bits) in shown.items():
            worst[name] = float(values[place])
            worst[f"{name}_bits"] = f"0x{int(bits[place]):0{digits}x}"
        worst["exact"] = float(exact[place])
    return _FloatSums(
        pairs=a.size,
        not_finite=int((finite & ~both & counted).sum()),
        sums={name: float(np.sum(values)) for name, values in terms.items()},
        greatest={
            "WCE": float(magnitude.max(initial=0.0)),
            "WCRE": float(rel.max(initial=0.0)),
            "max_ulp": float(ulps.max(initial=0.0)),
        },
        specials=specials,
        worst=worst,
    )


def characterize_floats(
    subject: Subject,
    distribution: Distribution,
    samples: int | str | None,
    seed: int,
    workers: int,
) -> dict[str, Any]:
    """Return what `Characterization` says of a floating-point core, by attribute."""
    core = _FloatCore.of(subject)

    def task(make: Callable[[], _Block]) -> _FloatSums:
        return _float_sums(core, *make())

    makers = core.blocks(distribution, int(samples) if samples else _SAMPLES, seed)
    found = list(run_tasks([functools.partial(task, make) for make in makers], workers))
    corners = _float_sums(core, *_corner_pairs(core.kind))
    sums = {name: math.fsum(part.sums[name] for part in found) for name in found[0].sums}
    not_finite = sum(part.not_finite for part in found)
    worst: dict[str, Any] | None = None
    greatest = {"WCE": 0.0, "WCRE": 0.0, "max_ulp": 0.0}
    for part in found:
        if part.worst and part.greatest["WCRE"] > greatest["WCRE"]:
            worst = part.worst
        greatest = {name: max(value, part.greatest[name]) for name, value in greatest.items()}

    def mean(name: str, over: str) -> float | None:
        if not_finite and name != "wrong":
            return None
        return quotient(sums[name], sums[over]) if sums[over] else None

    def most(name: str) -> float | None:
        return None if not_finite else greatest[name]

    metrics: dict[str, int | float | None] = {
        "EP": mean("wrong", "weight"),
        "MAE": mean("absolute", "finite"),
        "WCE": most("WCE"),
        "MSE": mean("square", "finite"),
        "bias": mean("signed", "finite"),
        "MRE": mean("relative", "normal"),
        "WCRE": most("WCRE"),
        "relative_bias": mean("relative_signed", "normal"),
        "mean_ulp": mean("ulp", "normal"),
        "max_ulp": most("max_ulp"),
    }
    shares = ("EP", "MRE", "WCRE", "relative_bias")
    return {
        "widths": subject.widths,
        "strategy": subject.strategy,
        "vectors": sum(part.pairs for part in found),
        "exhaustive": False,
        "output_range": None,
        "metrics": metrics,
        "percent": {
            name: None if (value := metrics[name]) is None else 100 * value for name in shares
        },
        "not_finite": not_finite,
        "special_values": {
            name: {
                "vectors": sum(part.specials[name][0] for part in [*found, corners]),
                "mismatches": sum(part.specials[name][1] for part in [*found, corners]),
            }
            for name in _SPECIALS
        },
        "worst_case": worst,
    }


def _corner_pairs(kind: NumberFormat) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of corner values, NaN as a core sees it (docs/semantics.md, N1)."""
    a, b = (kind.canonical(values) for values in corner_pairs(kind))
    return a, b


def _relative_errors(core: _FloatCore, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return relative errors, positive where the magnitude is too great.

    NaN where the exact result is not finite, or is zero and the core's is not.
    """
    exact = core.kind.to_float64(exact_float(core.kind, core.op, a, b))
    got = core.kind.to_float64(core.subject.evaluate(a, b))
    with np.errstate(all="ignore"):
        errors = np.where(got == exact, 0.0, (got - exact) / exact)
    return np.where(np.isfinite(exact) & ((exact != 0) | (got == 0)), errors, np.nan)


def float_map(subject: Subject, distribution: Distribution, seed: int) -> ErrorMap:
    """Return mean relative errors over the significands of one binade, and a sample of errors."""
    core = _FloatCore.of(subject)
    kind = core.kind
    fractions = 1 << kind.fraction_bits
    cells = min(MAP_CELLS, fractions)
    points = points_in_cells(
        np.random.default_rng((seed, 1)), (cells, cells), (fractions // cells,) * 2
    )
    one = np.uint64(kind.bias << kind.fraction_bits)
    errors = _relative_errors(
        core, *((one + fraction).astype(kind.bits_dtype) for fraction in points)
    )
    borders = 1 + np.arange(cells + 1) / cells
    seen, weights = [], []
    for make in core.blocks(distribution, _MAP_SAMPLES, seed):
        a, b, weight = make()
        found = _relative_errors(core, a, b)
        usable = np.isfinite(found)
        seen.append(found[usable])
        weights.append((np.ones(a.size) if weight is None else weight)[usable])
    return ErrorMap(
        cell_means(errors, cells, cells),
        borders,
        borders,
        np.concatenate(seen),
        np.concatenate(weights),
    )
