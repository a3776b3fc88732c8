# SPDX-License-Identifier: Apache-2.0
"""The drawings of a report as files, for a screen or for a paper."""

from __future__ import annotations

import contextlib
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.reports.collect import Group, Point, Sensitivity, op_title
from asnet_mlir.reports.save import save_figure
from asnet_mlir.reports.style import CHOSEN, COLOURS, MARKERS, beyond_text
from asnet_mlir.support.files import unwritable

__all__ = ["Look", "drawing_settings", "draw_figures", "draw_front"]


@dataclass(frozen=True)
class Look:
    """How drawings look.

    Attributes:
      format: `png`, `pdf` or `svg`.
      width: inches; a column of a paper has about 3.4.
      font: size in points.
      title: whether there is one.
    """

    format: str = "png"
    width: float = 8.0
    font: float = 10.0
    title: bool = True

    def __post_init__(self) -> None:
        if self.format not in ("png", "pdf", "svg"):
            raise InputError(f"unknown format '{self.format}'; drawings are png, pdf or svg")
        if not 1 <= self.width <= 50 or not 2 <= self.font <= 50:
            raise InputError("drawings are 1 to 50 inches wide, with a font of 2 to 50 points")


def draw_figures(groups: Sequence[Group], folder: Path, look: Look = Look()) -> list[Path]:
    """Draw curves of figures, Pareto fronts and sensitivities into `folder`, one file each.

    Returns:
      The files, named `NETWORK-DATA-accuracy-P.png`, `..-front-area.png`, `..-layers-mulf.png`.

    Raises:
      InputError: the folder can't be written to.
      ToolError: the disk is full or failed; no folder is left without a picture.
    """
    from matplotlib import rc_context

    written: list[Path] = []
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from None
    try:
        with warnings.catch_warnings(), rc_context(drawing_settings(look)):  # type: ignore[arg-type]
            # A name may have characters that the font lacks; boxes stand for them.
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            for group in groups:
                for name, figure in _figures(group, look):
                    stem = f"{_slug(group.title)}-{name}"
                    path = _free(folder, stem, look.format, written)
                    save_figure(figure, path)
                    written.append(path)
    finally:
        if is_new and not written:
            with contextlib.suppress(OSError):
                folder.rmdir()
    return written


def drawing_settings(look: Look) -> dict[str, Any]:
    """Return matplotlib's settings; text in vector drawings stays text."""
    from cycler import cycler

    return {
        "font.size": look.font,
        "axes.titlesize": look.font,
        "legend.fontsize": 0.9 * look.font,
        "xtick.labelsize": 0.9 * look.font,
        "ytick.labelsize": 0.9 * look.font,
        "axes.prop_cycle": cycler(color=COLOURS),
        "pdf.fonttype": 42,
        "svg.fonttype": "none",
        "svg.hashsalt": "asnet",
    }


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "-", text.replace(" on ", "-")).strip("-")[:100] or "network"


def _free(folder: Path, stem: str, suffix: str, taken: Sequence[Path]) -> Path:
    """Return a name that none of the other pictures has: two networks may be named alike.

    File systems may ignore case.
    """
    path, number = folder / f"{stem}.{suffix}", 2
    while str(path).lower() in (str(other).lower() for other in taken):
        path, number = folder / f"{stem}-{number}.{suffix}", number + 1
    return path


def _figures(group: Group, look: Look) -> Iterator[tuple[str, Any]]:
    for parameter in dict.fromkeys(curve.parameter for curve in group.curves):
        yield f"{_slug(group.metric.name)}-{_slug(parameter)}", _draw_curves(group, parameter, look)
    for cost in group.fronts:
        yield f"front-{cost}", draw_front(group, cost, look)
        if any(cost in study.volumes for study in group.studies):
            yield f"search-{cost}", _draw_search(group, cost, look)
    for table in group.sensitivities:
        yield f"layers-{_slug(table.op)}", _draw_sensitivity(group, table, look)


def _canvas(group: Group, look: Look, height: float | None = None) -> tuple[Any, Any]:
    """Return a figure and its axes, as high as a drawing of its width is, or so many inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(
        figsize=(look.width, height or look.width / 8 * 4.5), dpi=150, layout="constrained"
    )
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    if look.title:
        axes.set_title(_plain(f"{group.title}, {group.data.samples:,} samples"))
    return figure, axes


def _plain(text: str) -> str:
    """Return text in which no character begins a formula."""
    return text.replace("$", r"\$")


def _draw_curves(group: Group, parameter: str, look: Look) -> Any:
    figure, axes = _canvas(group, look)
    curves = [curve for curve in group.curves if curve.parameter == parameter]
    for position, curve in enumerate(curves):
        axes.plot(
            [value for value, _ in curve.points],
            [group.drawn(group.points[index].value) for _, index in curve.points],
            marker=MARKERS[position % len(MARKERS)],
            ms=5,
            label=_plain(curve.title),
        )
    label = "stated in the paper"
    for row in group.paper:
        for op in dict.fromkeys(curve.op for curve in curves):
            if parameter not in row.point.rules.get(op, {}):
                continue
            place = row.point.rules[op][parameter], group.drawn(row.point.accuracy)
            axes.plot(*place, "D", mfc="none", mec="k", ms=7, label=label)
            label = "_nolegend_"
            text = row.point.beside(op)
            axes.annotate(
                text, place, xytext=(-8, -3), textcoords="offset points", ha="right", fontsize=9
            )
            break
    if group.exact is not None:
        exact = group.drawn(group.points[group.exact].value)
        axes.axhline(exact, color="0.6", lw=1, ls="--", zorder=0)
    axes.set_xlabel(_plain(parameter) + (" (ignored mantissa bits)" if parameter == "P" else ""))
    axes.set_ylabel(_plain(group.axis))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left")
    return figure


def draw_front(group: Group, cost: str, look: Look) -> Any:
    """Return a figure of all results by metric and cost, with the front, exact and chosen ones."""
    figure, axes = _canvas(group, look, look.width / 8 * 4.5 + 0.05 * look.font)

    def draw(points: Sequence[Point], *style: Any, **options: Any) -> None:
        x = [point.costs[cost] for point in points]
        axes.plot(x, [group.drawn(point.value) for point in points], *style, **options)

    known = [p for p in group.points if cost in p.costs]
    full = [p for p in known if p.confidence is None]
    for number, name in enumerate(group.cores(cost)):
        own = [point for point in full if point.core == name]
        marker, colour = MARKERS[number % len(MARKERS)], COLOURS[number % len(COLOURS)]
        draw(own, marker, color=colour, ms=3.5, alpha=0.6, mew=0, label=_plain(name))
    if several := [point for point in full if not point.core]:
        draw(several, ".", color="0.7", ms=4, label="several cores")
    if stopped := [point for point in known if point.confidence is not None]:
        draw(stopped, "x", color="0.8", ms=4, label="stopped early (estimates)")
    front = [group.points[index] for index in group.fronts[cost]]
    draw(front, "-", color="0.2", lw=1, drawstyle="steps-post", label="Pareto front")
    _draw_spreads(axes, group, cost, front)
    if group.exact is not None and cost in group.points[group.exact].costs:
        draw([group.points[group.exact]], "s", color="k", ms=6, label="exact")
    if chosen := [p for p in known if p.chosen]:
        draw(chosen, "o", mfc="none", mec=CHOSEN, mew=2, ms=10, label="chosen")
    _leave_out_far_ones(axes, group, cost)
    axes.set_xlabel(_plain(group.axis_of(cost)))
    axes.set_ylabel(_plain(group.axis))
    axes.ticklabel_format(axis="x", style="plain")
    axes.grid(alpha=0.3)
    # Below the drawing, where it hides no point.
    handles, labels = axes.get_legend_handles_labels()
    columns = 6 if look.width > 6 else 3
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)
    return figure


def _draw_spreads(axes: Any, group: Group, cost: str, front: Sequence[Point]) -> None:
    """Draw how far the costs of a front's points reach over the seeds of synthesis."""
    label = "range over seeds of synthesis"
    for point in front:
        if cost in point.spread:
            height = group.drawn(point.value)
            axes.plot(point.spread[cost], [height, height], "|-", color="0.4", lw=1, label=label)
            label = "_nolegend_"


def _draw_search(group: Group, cost: str, look: Look) -> Any:
    figure, axes = _canvas(group, look)
    for study in group.studies:
        if volumes := study.volumes.get(cost):
            places = range(1, len(volumes) + 1)
            axes.plot(places, volumes, drawstyle="steps-post", label=_plain(study.label))
    axes.set_xlabel("evaluations")
    axes.set_ylabel(_plain(f"hypervolume\n({group.metric.name}, {cost})"))
    axes.set_ylim(0, 1.02)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    return figure


def _leave_out_far_ones(axes: Any, group: Group, cost: str) -> None:
    """End the axis where the front is, and say how many points are beyond its end."""
    limit = group.limit(cost)
    if limit is None:
        return
    is_low = group.metric.larger_is_better
    axes.set_ylim(**{"bottom" if is_low else "top": limit[0]})
    axes.text(
        *(0.01, 0.02),
        beyond_text(limit[1], is_low),
        transform=axes.transAxes,
        color="0.4",
        fontsize="small",
    )


def _draw_sensitivity(group: Group, table: Sensitivity, look: Look) -> Any:
    # The headings are turned: what they need grows with the font, not with the width.
    figure, axes = _canvas(group, look, look.font / 10 * (1.8 + 0.4 * len(table.layers)))
    score = [group.metric.score(group.drawn(point.value)) for point in group.points]
    base = score[group.exact] if group.exact is not None else math.nan
    if math.isnan(base):
        base = max((score[index] for index in table.cells.values()), default=0.0)
    values = np.full((len(table.layers), len(table.instances)), np.nan)
    for (layer, instance), index in table.cells.items():
        place = table.layers.index(layer), table.instances.index(instance)
        values[place] = base - score[index]
    image = axes.imshow(values, aspect="auto", cmap="Oranges", vmin=0)
    _write_numbers(axes, values)
    axes.set_yticks(range(len(table.layers)), [_plain(name) for name in table.layers])
    labels = [_plain(column) for column in table.columns]
    turned = {"rotation": 40, "ha": "right"} if max(map(len, labels)) > 5 else {}
    axes.set_xticks(range(len(labels)), labels, fontsize="small", **turned)
    what = op_title(table.op)
    unit = {"%": "points of ", "dB": "dB of "}.get(group.metric.unit, "")
    figure.colorbar(image, label=_plain(f"{unit}{group.metric.name}\nlost"), pad=0.02)
    axes.set_xlabel(f"{what} of one layer alone")
    return figure


def _write_numbers(axes: Any, values: np.ndarray) -> None:
    """Write a heat map's numbers into its cells, where they are few enough to be read."""
    if values.shape[1] > 16:
        return
    most = np.nanmax(values, initial=0.0)
    for (row, column), value in np.ndenumerate(values):
        if math.isfinite(value):
            colour = "w" if value > 0.6 * most else "k"
            axes.text(
                *(column, row),
                f"{value:.2g}",
                color=colour,
                ha="center",
                va="center",
                fontsize="x-small",
            )
