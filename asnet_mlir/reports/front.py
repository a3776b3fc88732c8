# SPDX-License-Identifier: Apache-2.0
"""The front of the metric and cost of one exploration, as a picture, as reports draw it."""

from __future__ import annotations

from pathlib import Path

from asnet_mlir.exploration import Exploration, Result
from asnet_mlir.exploration.store import DatasetRecord, MetricRecord, NetworkRecord, RuleRecord
from asnet_mlir.reports.collect import Group, Point
from asnet_mlir.reports.figures import Look, draw_front, drawing_settings
from asnet_mlir.reports.save import save_figure

__all__ = ["plot_front"]


def plot_front(exploration: Exploration, path: Path, chosen: Result | None = None) -> None:
    """Draw all results by metric and cost, the Pareto front and the choice, as a PNG.

    Args:
      path: its suffix may say another format.
      chosen: is marked.

    Raises:
      InputError: `path` can't be written.
    """
    from matplotlib import rc_context

    look = Look()
    group = _group(exploration, chosen)
    with rc_context(drawing_settings(look)):  # type: ignore[arg-type]
        save_figure(draw_front(group, _cost(exploration), look), path)


def _cost(exploration: Exploration) -> str:
    return "steps" if exploration.cost == "none" else exploration.cost


def _group(exploration: Exploration, chosen: Result | None) -> Group:
    """Return an exploration as reports know what a store has of it."""
    results = exploration.results
    places = {result.key: place for place, result in enumerate(results)}
    return Group(
        NetworkRecord("", exploration.network, None, ()),
        DatasetRecord("", exploration.data, exploration.samples),
        tuple(_point(exploration, result, result is chosen) for result in results),
        places[exploration.exact.key],
        (),
        fronts={_cost(exploration): tuple(places[one.key] for one in exploration.front())},
        metric=MetricRecord.of(exploration.metric),
    )


def _point(exploration: Exploration, result: Result, is_chosen: bool) -> Point:
    rules = tuple(RuleRecord.of(rule) for rule in result.binding.rules)
    return Point(
        result.key,
        result.label,
        result.value,
        None,
        result.samples,
        0.0,
        {**result.costs, _cost(exploration): exploration.cost_of(result)},
        None,
        {},
        (rules,),
        result.confidence,
        chosen=is_chosen,
        spread=result.spread,
    )
