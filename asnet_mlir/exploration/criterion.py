# SPDX-License-Identifier: Apache-2.0
"""Bounds on the figures of a configuration: `accuracy>=0.9 and area<=2000`, `psnr>=30`."""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from asnet_mlir.errors import InputError
from asnet_mlir.exploration.cost_kinds import COSTS, Cost, cost_names, figures_of, giving
from asnet_mlir.metrics import METRICS, Metric, is_metric_name, metric_named

__all__ = ["Bound", "Criterion"]

_RELATIONS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}
_BOUND = re.compile(r"\s*([^\W\d]\w*)\s*(>=|>|<=|<)\s*(-?\.?[0-9][0-9.eE+-]*)\s*(%?)\s*")


@dataclass(frozen=True)
class Bound:
    """One bound: `figure relation limit`; the limit of a share is in 0..1."""

    figure: str
    relation: str
    limit: float
    is_cost: bool = False

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
    def parse(cls, text: str, metric: Metric | None = None, cost: Cost = "none") -> Criterion:
        """Read bounds joined by `and`, such as `accuracy>=90% and area<=2000`.

        Args:
          metric: what judges, where that is known already; else bounds may be on any one.
          cost: what is minimized, which may have a name of the user's.

        Raises:
          InputError: what can't be read, or a figure that there is not.
        """
        own = [name for name in cost_names(cost) if name not in COSTS]
        figures = (*(METRICS if metric is None else [metric.name]), *COSTS, *own)
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
            if figure not in figures and not is_metric_name(figure):
                near = [one for one in figures if one.startswith(figure)]
                near += difflib.get_close_matches(figure, figures, n=1, cutoff=0.3)
                hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(figures)}"
                raise InputError(f"'{text}': unknown figure '{figure}'; {hint}")
            if match[4] and not _is_share(figure, metric):
                raise InputError(f"'{text}': the {figure} is not in per cent, only a share is")
            is_cost = figure in COSTS or figure in own
            limit = limit / 100 if match[4] else limit
            bounds.append(Bound(figure, match[2], limit, is_cost))
        return cls(text, tuple(bounds))

    def holds(self, figures: Mapping[str, float]) -> bool:
        """Whether all bounds hold on figures that `check_costs` found to be known."""
        return all(bound.holds(figures[bound.figure]) for bound in self.bounds)

    def check_costs(self, cost: Cost) -> None:
        """Refuse bounds on figures that `--cost` does not give.

        Raises:
          InputError: the message says which option gives the figure.
        """
        known = figures_of(cost)
        for bound in self.bounds:
            if bound.is_cost and bound.figure not in known:
                asked = ",".join(cost_names(cost)) or "none"
                raise InputError(
                    f"'{self.text}': the {bound.figure} is not known with --cost {asked}; give "
                    f"--cost {giving(bound.figure, cost)}"
                )

    @property
    def metric_name(self) -> str | None:
        """The metric that bounds are on; None where none is.

        Raises:
          InputError: they are on several.
        """
        names = list(dict.fromkeys(b.figure for b in self.bounds if not b.is_cost))
        if len(names) > 1:
            raise InputError(f"'{self.text}': bounds are on one metric, not on {names}")
        return names[0] if names else None

    def check_metric(self, metric: Metric) -> None:
        """Refuse bounds on another metric than the one that judges.

        Raises:
          InputError: naming both.
        """
        name = self.metric_name
        if name is not None and name != metric.name:
            raise InputError(
                f"'{self.text}': the metric is {metric.name}; give --metric {name}, or a bound on "
                f"the {metric.name}"
            )

    def metric_bounds(self, metric: Metric) -> tuple[Bound, ...]:
        """The bounds that a better figure of the metric satisfies the sooner."""
        sign = ">" if metric.larger_is_better else "<"
        return tuple(b for b in self.bounds if b.figure == metric.name and b.relation[0] == sign)

    def good(self, value: float, metric: Metric) -> bool:
        """Whether a figure of the metric is good enough (`metric_bounds`)."""
        return all(bound.holds(value) for bound in self.metric_bounds(metric))

    def least_correct(self, samples: int, metric: Metric) -> int:
        """Return how many of `samples` must be right; `samples + 1` when all are not enough."""
        low, high = 0, samples + 1
        while low < high:  # `good` is monotonic
            middle = (low + high) // 2
            if self.good(middle / samples, metric):
                high = middle
            else:
                low = middle + 1
        return low


def _is_share(figure: str, metric: Metric | None) -> bool:
    if figure in COSTS:
        return False
    return (metric or metric_named(figure)).unit == "%"
