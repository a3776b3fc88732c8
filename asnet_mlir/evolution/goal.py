# SPDX-License-Identifier: Apache-2.0
"""What a search looks for: bounds on errors, and what is made small."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.evolution.problem import METRICS

__all__ = ["Bound", "Goal", "Objective", "parse_bounds"]

Objective = Literal["area", "power", "delay", "energy"]

_FINEST = 1e-3
#: Which objectives of `_evolve` these are, and what a register takes, in 1024ths of an AND that
#: changes half of the time.  In OSU 0.18 um the clock of a register takes 0.95 % of what the gates
#: of the exact 8 x 8 multiplier take with a network's operands, which count 250,000.
_COMPILED: dict[str, tuple[int, int]] = {
    "area": (0, 0),
    "power": (1, 0),
    "delay": (2, 0),
    "energy": (1, 2400),
}


@dataclass(frozen=True)
class Bound:
    """A metric of `METRICS` that shall be at most `most`."""

    metric: str
    most: float


def parse_bounds(texts: Sequence[str]) -> tuple[Bound, ...]:
    """Read `WCE<=128` or `MAE<=0.5%`, several in one text separated by commas.

    Raises:
      InputError: it is something else, or names a metric twice.
    """
    bounds: list[Bound] = []
    for text in texts:
        for part in text.split(","):
            match = re.fullmatch(r"\s*(\w+)\s*<=\s*([0-9.]+(?:e[-+]?[0-9]+)?)\s*", part, re.I)
            if not match or match[1] not in METRICS or not _is_number(match[2]):
                raise InputError(
                    f"--bound '{part.strip()}': write METRIC<=NUMBER, METRIC one of "
                    f"{', '.join(METRICS)}"
                )
            if any(bound.metric == match[1] for bound in bounds):
                raise InputError(f"--bound: {match[1]} has two bounds")
            bounds.append(Bound(match[1], float(match[2])))
    return tuple(bounds)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


@dataclass(frozen=True)
class Goal:
    """The cheapest circuits under bounds.

    Attributes:
      bounds: every circuit keeps them all.
      points: how many bounds of the first metric there are: a front, from the least to its own.
      least: the smallest of them.
      objective: area (of gates), power (area times activity, for independent operands: uniform
        ones, or of the problem's histogram), energy (power, and the clock of registers for bits of
        operands that are read and of results that are no constants) or delay (levels of gates,
        then area).
      areas: of an AND and of an XOR.
    """

    bounds: tuple[Bound, ...]
    points: int = 1
    least: float | None = None
    objective: Objective = "area"
    areas: tuple[int, int] = (1, 2)

    def __post_init__(self) -> None:
        """Refuse what means nothing.

        Raises:
          InputError: no bound, a number of points or a least bound out of range.
        """
        if not self.bounds:
            raise InputError("a search needs a bound: --bound 'WCE<=128'")
        if self.objective not in get_args(Objective):
            raise InputError(
                f"--minimize '{self.objective}': one of {', '.join(get_args(Objective))}"
            )
        if not 1 <= self.points <= 1000:
            raise InputError(f"--points must be from 1 to 1000, not {self.points}")
        if self.points > 1 and not 0 < self.smallest < self.bounds[0].most:
            raise InputError(
                f"--least {self.smallest:g}: a front goes from there up to "
                f"{self.bounds[0].metric}<={self.bounds[0].most:g}"
            )

    @property
    def smallest(self) -> float:
        """The least bound of the front."""
        return self.bounds[0].most * _FINEST if self.least is None else self.least

    def places(self) -> np.ndarray:
        """Return the front's bounds, rising: float64 [points]."""
        most = self.bounds[0].most
        if self.points == 1:
            return np.array([most], np.float64)
        places = np.geomspace(self.smallest, most, self.points)
        places[-1] = most
        return places

    def limits(self) -> np.ndarray:
        """Return each metric's bound, infinite for none: float64 [metrics]."""
        limits = np.full(len(METRICS), np.inf)
        for bound in self.bounds:
            limits[METRICS.index(bound.metric)] = bound.most
        return limits

    def for_search(self) -> tuple[Any, ...]:
        """Return the goal as `_evolve` reads it."""
        metric = METRICS.index(self.bounds[0].metric)
        objective, of_register = _COMPILED[self.objective]
        return (metric, self.places(), self.limits(), objective, *self.areas, of_register)
