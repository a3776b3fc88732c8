# SPDX-License-Identifier: Apache-2.0
"""The drawings of a report as PNG files."""

from __future__ import annotations

import contextlib
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asnet_mlir.reports.collect import Group, Sensitivity, op_title
from asnet_mlir.reports.save import save_figure
from asnet_mlir.support.files import unwritable

__all__ = ["draw_figures"]

# Told apart by shape as well as by hue, and in grey.
_MARKERS = ("o", "s", "^", "D", "v", "P")


def draw_figures(groups: Sequence[Group], folder: Path) -> list[Path]:
    """Draw curves of figures, Pareto fronts and sensitivities into `folder`, one file each.

    Returns:
      The files, named `NETWORK-DATA-accuracy-P.png`, `..-front-area.png`, `..-layers-mulf.png`.

    Raises:
      InputError: the folder can't be written to.
      ToolError: the disk is full or failed; no folder is left without a picture.
    """
    written: list[Path] = []
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from None
    try:
        with warnings.catch_warnings():
            # A name may have characters that the font lacks; boxes stand for them.
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            for group in groups:
                for name, figure in _figures(group):
                    path = _free(folder, f"{_slug(group.title)}-{name}", written)
                    save_figure(figure, path)
                    written.append(path)
    finally:
        if is_new and not written:
            with contextlib.suppress(OSError):
                folder.rmdir()
    return written


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "-", text.replace(" on ", "-")).strip("-")[:100] or "network"


def _free(folder: Path, stem: str, taken: Sequence[Path]) -> Path:
    """Return a name that none of the other pictures has: two networks may be named alike.

    File systems may ignore case.
    """
    path, number = folder / f"{stem}.png", 2
    while str(path).lower() in (str(other).lower() for other in taken):
        path, number = folder / f"{stem}-{number}.png", number + 1
    return path


def _figures(group: Group) -> Iterator[tuple[str, Any]]:
    for parameter in dict.fromkeys(curve.parameter for curve in group.curves):
        yield f"{_slug(group.metric.name)}-{_slug(parameter)}", _draw_curves(group, parameter)
    for cost in group.fronts:
        yield f"front-{cost}", _draw_front(group, cost)
    for table in group.sensitivities:
        yield f"layers-{_slug(table.op)}", _draw_sensitivity(group, table)


def _canvas(group: Group, height: float = 4.5) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(_plain(f"{group.title}, {group.data.samples:,} samples"))
    return figure, axes


def _plain(text: str) -> str:
    """Return text in which no character begins a formula."""
    return text.replace("$", r"\$")


def _draw_curves(group: Group, parameter: str) -> Any:
    figure, axes = _canvas(group)
    curves = [curve for curve in group.curves if curve.parameter == parameter]
    for position, curve in enumerate(curves):
        axes.plot(
            [value for value, _ in curve.points],
            [group.drawn(group.points[index].value) for _, index in curve.points],
            marker=_MARKERS[position % len(_MARKERS)],
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


def _draw_front(group: Group, cost: str) -> Any:
    figure, axes = _canvas(group)
    factor, unit = group.scale(cost)
    known = [p for p in group.points if cost in p.costs]
    front = [group.points[index] for index in group.fronts[cost]]
    axes.plot(
        [p.costs[cost] / factor for p in known],
        [group.drawn(p.value) for p in known],
        ".",
        color="0.65",
        ms=5,
        label="other configurations",
    )
    axes.plot(
        [p.costs[cost] / factor for p in front],
        [group.drawn(p.value) for p in front],
        "o-",
        ms=5,
        drawstyle="steps-post",
        label="Pareto front",
    )
    chosen = [p for p in known if p.chosen]
    if chosen:
        axes.plot(
            [p.costs[cost] / factor for p in chosen],
            [group.drawn(p.value) for p in chosen],
            "o",
            mfc="none",
            mec="tab:green",
            mew=2,
            ms=11,
            label="chosen",
        )
    axes.set_xlabel(unit if cost == "steps" else f"{cost} [{unit}]")
    axes.set_ylabel(_plain(group.axis))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    return figure


def _draw_sensitivity(group: Group, table: Sensitivity) -> Any:
    figure, axes = _canvas(group, 1.6 + 0.4 * len(table.layers))
    score = [group.metric.score(group.drawn(point.value)) for point in group.points]
    base = score[group.exact] if group.exact is not None else math.nan
    if math.isnan(base):
        base = max((score[index] for index in table.cells.values()), default=0.0)
    values = np.full((len(table.layers), len(table.instances)), np.nan)
    for (layer, instance), index in table.cells.items():
        place = table.layers.index(layer), table.instances.index(instance)
        values[place] = base - score[index]
    image = axes.imshow(values, aspect="auto", cmap="Oranges", vmin=0)
    axes.set_yticks(range(len(table.layers)), [_plain(name) for name in table.layers])
    labels = [_plain(column) for column in table.columns]
    turned = {"rotation": 40, "ha": "right"} if max(map(len, labels)) > 5 else {}
    axes.set_xticks(range(len(labels)), labels, fontsize=8, **turned)
    what = op_title(table.op)
    unit = {"%": "points of ", "dB": "dB of "}.get(group.metric.unit, "")
    figure.colorbar(image, label=_plain(f"{unit}{group.metric.name} lost"), pad=0.02)
    axes.set_xlabel(f"{what} of one layer alone")
    return figure
