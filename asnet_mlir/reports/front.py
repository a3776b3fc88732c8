# SPDX-License-Identifier: Apache-2.0
"""The front of the metric and cost of one exploration, as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asnet_mlir.exploration import Exploration, Result
from asnet_mlir.exploration.cost_kinds import cost_kind
from asnet_mlir.reports.save import drawn, save_figure

__all__ = ["plot_front"]


def plot_front(exploration: Exploration, path: Path, chosen: Result | None = None) -> None:
    """Draw all results by metric and cost, the Pareto front and the choice, as a PNG.

    Args:
      path: its suffix may say another format.
      chosen: is marked.

    Raises:
      InputError: `path` can't be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()

    metric = exploration.metric

    def draw(results: list[Result], style: str, **options: Any) -> None:
        x = [exploration.cost_of(result) for result in results]
        axes.plot(x, [drawn(metric, result.value) for result in results], style, **options)

    complete = [result for result in exploration.results if result.complete]
    stopped = [result for result in exploration.results if not result.complete]
    draw(complete, ".", color="0.7", ms=5, label="configurations")
    if stopped:
        draw(stopped, "x", color="0.8", ms=4, label="stopped early (estimates)")
    draw(exploration.front(), "o-", ms=5, drawstyle="steps-post", label="front")
    draw([exploration.exact], "s", color="black", ms=6, label="exact")
    if chosen is not None:
        draw([chosen], "*", color="tab:red", ms=13, label="chosen")
    kind = cost_kind(exploration.cost)
    title = f"{kind.title} [{kind.unit}]" if kind.unit else kind.title
    axes.set_xlabel("steps to the end of the lists" if exploration.cost == "none" else title)
    axes.set_ylabel(metric.axis)
    axes.set_title(f"{exploration.network}, {exploration.samples:,} samples of {exploration.data}")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    save_figure(figure, path)
