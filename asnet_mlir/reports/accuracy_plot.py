# SPDX-License-Identifier: Apache-2.0
"""The metric against the parameters of approximate cores (the paper's figures 3(a) and 4(a))."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asnet_mlir.cores import Instance
from asnet_mlir.exploration import Exploration
from asnet_mlir.reports.figures import Look, drawing_settings
from asnet_mlir.reports.save import drawn, save_figure
from asnet_mlir.reports.style import MARKERS, core_name
from asnet_mlir.support.formats import OP_KINDS

__all__ = ["accuracy_table", "plot_accuracy"]


def _series(exploration: Exploration) -> dict[str, list[tuple[str, float]]]:
    """Return (what varies, the metric's figure) along each op kind's axis."""
    return {
        op: [
            (_text(result.binding.rules[0].instance, instances), result.value)
            for result in exploration.axis(op)
        ]
        for op, choices in exploration.constraints.choices.items()
        for instances in [[instance for instance in choices if instance is not None]]
    }


def _text(instance: Instance, among: Sequence[Instance]) -> str:
    """Name an instance by what tells it from the others: `P=20`, or its core and parameters."""
    one_core = len({core_name(other.reference) for other in among}) == 1
    varying = [
        f"{name}={value}"
        for name, value in instance.parameters
        if any(dict(other.parameters).get(name) != value for other in among)
    ]
    if one_core and varying:
        return ",".join(varying)
    return ":".join([core_name(instance.reference), *([",".join(varying)] if varying else [])])


def accuracy_table(exploration: Exploration) -> str:
    """Return a table of the configurations in which one op kind alone is approximated."""
    series, show = _series(exploration), exploration.metric.show
    lines = [
        exploration.headline(),
        "",
        "  ".join(f"{OP_KINDS[op].unit + ' alone':>28}" for op in series),
    ]
    for row in range(max(map(len, series.values()))):
        cells = [
            f"{points[row][0]:>18} {show(points[row][1]):>9}" if row < len(points) else " " * 28
            for points in series.values()
        ]
        lines.append("  ".join(f"{cell:>28}" for cell in cells))
    return "\n".join(lines)


def plot_accuracy(exploration: Exploration, path: Path) -> None:
    """Draw the metric along each op kind's axis as a PNG (or what `path`'s suffix says).

    Raises:
      InputError: `path` can't be written.
    """
    from matplotlib import rc_context

    with rc_context(drawing_settings(Look())):  # type: ignore[arg-type]
        save_figure(_drawn(exploration), path)


def _drawn(exploration: Exploration) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    metric = exploration.metric
    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for marker, (op, points) in zip(MARKERS, _series(exploration).items(), strict=False):
        if not points:
            continue
        numbers = [_single_number(text) for text, _ in points]
        known = [number for number in numbers if number is not None]
        x = known if len(known) == len(points) else list(range(len(points)))
        axes.plot(
            x,
            [drawn(metric, value) for _, value in points],
            marker=marker,
            ms=5,
            label=OP_KINDS[op].unit,
        )
    exact = drawn(metric, exploration.exact.value)
    axes.axhline(exact, color="0.6", lw=1, ls="--", zorder=0)
    axes.annotate(
        f"exact {metric.show(exploration.exact.value)}",
        (0, exact),
        xytext=(0, 4),
        textcoords="offset points",
        color="0.4",
        fontsize=9,
    )
    axes.set_xlabel("ignored mantissa bits P")
    axes.set_ylabel(metric.axis)
    axes.set_title(f"{exploration.network}, {exploration.samples:,} samples of {exploration.data}")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left")
    return figure


def _single_number(text: str) -> int | None:
    name, _, value = text.partition("=")
    return int(value) if name.isidentifier() and value.lstrip("-").isdecimal() else None
