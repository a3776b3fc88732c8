# SPDX-License-Identifier: Apache-2.0
"""An exploration as text."""

from __future__ import annotations

from asnet_mlir.exploration import Exploration, Result
from asnet_mlir.exploration.cost_kinds import cost_kind
from asnet_mlir.reports.accuracy_plot import accuracy_table
from asnet_mlir.reports.figure_texts import interval_text, number_text
from asnet_mlir.reports.table_formats import formatted

__all__ = ["exploration_table", "has_axes"]

_MOST_ROWS = 30


def exploration_table(exploration: Exploration) -> str:
    """Return the metric along each op kind's list, or the front where a search has none."""
    tables = []
    if has_axes(exploration):
        tables.append(accuracy_table(exploration))
    if exploration.cost != "none" or not tables:
        tables.append(_front(exploration))
    if exploration.breakdown:
        tables.append(_breakdown(exploration))
    return "\n\n".join(tables)


def has_axes(exploration: Exploration) -> bool:
    """Whether every op kind's list was measured with all else exact, in the whole network."""
    return exploration.space.scope == "network" and all(
        len(exploration.axis(op)) == len(choices) - 1
        for op, choices in exploration.constraints.choices.items()
    )


def _breakdown(exploration: Exploration) -> str:
    """Return where costs come from, in per cent of exact."""
    names = [name for name in ("exact", "chosen") if name in exploration.breakdown[0]]
    head = ["layer", "op", *names]
    texts = []
    for cost in dict.fromkeys(row["cost"] for row in exploration.breakdown):
        own = [row for row in exploration.breakdown if row["cost"] == cost]
        rows = [
            [row["layer"] or "(no name)", row["op"], *(f"{row[name]:.1f}" for name in names)]
            for row in sorted(own, key=lambda row: -row["exact"])[:_MOST_ROWS]
        ]
        sums = [f"{sum(row[name] for row in own):.1f}" for name in names]
        title = f"{cost} by layer and op kind, in % of exact"
        texts.append(f"{title}\n{formatted(head, [*rows, ['all', '', *sums]], 'text')}".rstrip())
    return "\n\n".join(texts)


def _front(exploration: Exploration) -> str:
    """Return the Pareto front of metric and cost, the cheapest first."""
    front = exploration.front()
    cost, metric = exploration.cost, exploration.metric
    worse = "lower" if metric.larger_is_better else "higher"
    unit = cost_kind(cost).unit
    title = "steps to go" if cost == "none" else f"{cost} [{unit}]" if unit else cost
    lines = [
        f"{exploration.headline()}; front of {metric.name} and {title}",
        f"{metric.name:>10}  {'95 % interval':>18}  {title:>16}  configuration",
    ]
    alike = exploration.alike()
    left_out = len(front) - _MOST_ROWS
    rows: list[Result] = front if left_out <= 0 else front[-_MOST_ROWS:]
    for result in rows:
        value = exploration.cost_of(result)
        shown = f"{value:.2f}" if cost == "none" else number_text(value)
        mark = "~" if result.key in alike else " "
        lines.append(
            f"{metric.show(result.value):>10}{mark} "
            f"{interval_text(metric, result.interval):>18}  {shown:>16}  {result.label}"
        )
    if any(result.key in alike for result in rows):
        lines.append("~ can't be told from the next better one (a paired test at 5 %)")
    if left_out > 0:
        lines.insert(2, f"{'':10}  {left_out} cheaper ones of {worse} {metric.name} are left out")
    return "\n".join(lines)
