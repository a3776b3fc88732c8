# SPDX-License-Identifier: Apache-2.0
"""Bounds on the figures of a configuration: `accuracy>=0.9 and area<=2000`."""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from asnet_mlir.errors import InputError

__all__ = ["COSTS", "FIGURES", "Bound", "Criterion"]

#: What a configuration costs; the units are in `exploration.costs`.
COSTS = ("area", "delay", "energy")
FIGURES = ("accuracy", *COSTS)

_RELATIONS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}
_BOUND = re.compile(r"\s*([a-z]+)\s*(>=|>|<=|<)\s*([0-9][0-9.eE+-]*)\s*(%?)\s*", re.ASCII)


@dataclass(frozen=True)
class Bound:
    """One bound: `figure relation limit`; the limit of an accuracy is in 0..1."""

    figure: str
    relation: str
    limit: float

    def holds(self, value: float) -> bool:
        """Whether a figure's value satisfies the bound."""
        return _RELATIONS[self.relation](value, self.limit)


@dataclass(frozen=True)
class Criterion:
    """Bounds that must hold together.

    Attributes:
      text: as the user wrote it.
    """

    text: str
    bounds: tuple[Bound, ...]

    @classmethod
    def parse(cls, text: str) -> Criterion:
        """Read bounds joined by `and`, such as `accuracy>=90% and area<=2000`.

        Raises:
          InputError: what can't be read, or a figure that there is not.
        """
        bounds = []
        for part in re.split(r"\band\b|&&?|,", text):
            match = _BOUND.fullmatch(part)
            try:
                limit = float(match[3]) if match else math.nan
            except ValueError:
                limit = math.nan
            if match is None or math.isnan(limit):
                raise InputError(
                    f"'{text}': write a bound as accuracy>=0.9, several joined by 'and'"
                )
            figure = match[1]
            if figure not in FIGURES:
                near = difflib.get_close_matches(figure, FIGURES, n=1, cutoff=0.3)
                hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(FIGURES)}"
                raise InputError(f"'{text}': unknown figure '{figure}'; {hint}")
            if match[4] and figure != "accuracy":
                raise InputError(f"'{text}': only an accuracy is in per cent")
            bounds.append(Bound(figure, match[2], limit / 100 if match[4] else limit))
        return cls(text, tuple(bounds))

    def holds(self, figures: Mapping[str, float]) -> bool:
        """Whether all bounds hold on figures that `check_costs` found to be known."""
        return all(bound.holds(figures[bound.figure]) for bound in self.bounds)

    def check_costs(self, cost: str) -> None:
        """Refuse bounds on figures that `--cost` does not give.

        Raises:
          InputError: the message says which option gives the figure.
        """
        known = {"accuracy", *(COSTS if cost == "energy" else (cost,))}
        for bound in self.bounds:
            if bound.figure not in known:
                raise InputError(
                    f"'{self.text}': the {bound.figure} is not known with --cost {cost}; give "
                    f"--cost {'energy, which gives all' if cost != 'none' else bound.figure}"
                )

    @property
    def accuracy_bounds(self) -> tuple[Bound, ...]:
        """The lower bounds on the accuracy."""
        return tuple(b for b in self.bounds if b.figure == "accuracy" and b.relation[0] == ">")

    def accurate(self, accuracy: float) -> bool:
        """Whether the lower bounds on the accuracy hold."""
        return all(bound.holds(accuracy) for bound in self.accuracy_bounds)

    def least_correct(self, samples: int) -> int:
        """Return how many of `samples` must be right; `samples + 1` when all are not enough."""
        low, high = 0, samples + 1
        while low < high:  # `accurate` is monotonic
            middle = (low + high) // 2
            if self.accurate(middle / samples):
                high = middle
            else:
                low = middle + 1
        return low
