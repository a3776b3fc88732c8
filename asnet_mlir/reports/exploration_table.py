# SPDX-License-Identifier: Apache-2.0
"""An exploration as text."""

from __future__ import annotations

from asnet_mlir.exploration import Exploration, Result
from asnet_mlir.reports.accuracy_plot import accuracy_table
from asnet_mlir.reports.figure_texts import interval_text

__all__ = ["exploration_table", "has_axes"]

_MOST_ROWS = 30
_UNITS = {"area": "LUT4", "delay": "ns", "energy": "LUT ns"}


def exploration_table(exploration: Exploration) -> str:
    """Return the metric along each op kind's list, or the front where a search has none."""
    tables = []
    if has_axes(exploration):
        tables.append(accuracy_table(exploration))
    if exploration.cost != "none" or not tables:
        tables.append(_front(exploration))
    return "\n\n".join(tables)


def has_axes(exploration: Exploration) -> bool:
    """Whether every op kind's list was measured with all else exact, in the whole network."""
    return exploration.space.scope == "network" and all(
        len(exploration.axis(op)) == len(choices) - 1
        for op, choices in exploration.constraints.choices.items()
    )


def _front(exploration: Exploration) -> str:
    """Return the Pareto front of metric and cost, the cheapest first."""
    front = exploration.front()
    cost, metric = exploration.cost, exploration.metric
    worse = "lower" if metric.larger_is_better else "higher"
    title = f"{cost} [{_UNITS[cost]}]" if cost in _UNITS else "steps to go"
    lines = [
        f"{exploration.network} on {exploration.data}: exact "
        f"{metric.show(exploration.exact.value)}; front of {metric.name} and {title}",
        f"{metric.name:>10}  {'95 % interval':>18}  {title:>16}  configuration",
    ]
    alike = exploration.alike()
    left_out = len(front) - _MOST_ROWS
    rows: list[Result] = front if left_out <= 0 else front[-_MOST_ROWS:]
    for result in rows:
        value = exploration.cost_of(result)
        shown = f"{value:,.0f}" if cost in _UNITS else f"{value:.2f}"
        mark = "~" if result.key in alike else " "
        lines.append(
            f"{metric.show(result.value):>10}{mark} "
            f"{interval_text(metric, result.interval):>18}  {shown:>16}  {result.binding.label}"
        )
    if any(result.key in alike for result in rows):
        lines.append("~ can't be told from the next better one (a paired test at 5 %)")
    if left_out > 0:
        lines.insert(2, f"{'':10}  {left_out} cheaper ones of {worse} {metric.name} are left out")
    return "\n".join(lines)
