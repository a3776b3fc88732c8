# SPDX-License-Identifier: Apache-2.0
"""Pictures of a core's errors: a map over its operands, and how the errors are distributed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from asnet_mlir.cores.metrics.characterize import DISTRIBUTIONS, Characterization, ErrorMap
from asnet_mlir.reports.save import save_figure
from asnet_mlir.support.formats import OP_KINDS

__all__ = ["plot_errors"]

# Where the greatest mean is this many times the median, colours are logarithmic.
_LINEAR_UP_TO = 30
# Bars of a decade on a logarithmic axis of errors.
_BINS_PER_DECADE = 8


def plot_errors(characterization: Characterization, errors: ErrorMap, path: Path) -> None:
    """Draw the error map and the distribution of errors as a PNG (or what `path`'s suffix says).

    Raises:
      InputError: `path` can't be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.8), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    plane, histogram = figure.subplots(1, 2, width_ratios=(1.12, 1))
    _draw_map(figure, plane, characterization, errors)
    _draw_histogram(histogram, characterization, errors)
    figure.suptitle(
        f"{characterization.label}: {OP_KINDS[characterization.op].formula}\n",
        fontsize=13,
        fontweight="bold",
    )
    figure.text(0.5, 0.925, characterization.headline, ha="center", va="center", fontsize=9.5)
    save_figure(figure, path)


def _draw_map(figure: Any, axes: Any, found: Characterization, errors: ErrorMap) -> None:
    from matplotlib.colors import Normalize, SymLogNorm

    is_float = found.kind == "float"
    mean = (100.0 if is_float else 1.0) * errors.mean
    wrong = np.abs(mean[np.isfinite(mean) & (mean != 0)])
    # Symmetric, so that white is no error.
    limit = float(wrong.max(initial=0.0)) or 1.0
    middle = float(np.median(wrong)) if wrong.size else limit
    norm = (
        SymLogNorm(linthresh=middle, vmin=-limit, vmax=limit)
        if limit > _LINEAR_UP_TO * middle
        else Normalize(-limit, limit)
    )
    image = axes.pcolormesh(
        errors.a, errors.b, mean.T, cmap="RdBu_r", norm=norm, shading="flat", rasterized=True
    )
    axes.set_facecolor("0.6")  # cells without an exact result
    unit = f"significand of {{}} ({found.format}, exponent 0)" if is_float else "operand {}"
    axes.set_xlabel(unit.format("a"))
    axes.set_ylabel(unit.format("b"))
    axes.set_title("mean of approximate − exact, by operands", fontsize=10)
    if not wrong.size:
        axes.text(0.5, 0.5, "no error", transform=axes.transAxes, ha="center", color="0.4")
        return
    bar = figure.colorbar(image, ax=axes, pad=0.02)
    bar.set_label("mean relative error [%]" if is_float else "mean error [ulp of the result]")


def _draw_histogram(axes: Any, found: Characterization, errors: ErrorMap) -> None:
    """Draw shares of pairs by magnitude of error, too small and too great apart."""
    is_float = found.kind == "float"
    magnitude = (100.0 if is_float else 1.0) * np.abs(errors.errors)
    total = float(errors.weights.sum())
    wrong = (magnitude > 0) & np.isfinite(magnitude)
    axes.set_xlabel(
        "magnitude of the relative error [%]"
        if is_float
        else "magnitude of the error [ulp of the result]"
    )
    axes.set_ylabel("share of operand pairs [%]")
    named = found.distribution in DISTRIBUTIONS
    where = f"{found.distribution} operands" if named else f"\n{found.distribution}"
    axes.set_title(f"distribution of errors, {where}", fontsize=10 if named else 9)
    if not wrong.any() or not total:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.text(*(0.5, 0.5, "no error"), transform=axes.transAxes, ha="center", color="0.4")
        return
    low, high = float(magnitude[wrong].min()), float(magnitude[wrong].max())
    # A few errors far below the rest would squeeze it: they are counted in the leftmost bar.
    low = max(low, float(np.quantile(magnitude[wrong], 0.001)))
    first = np.floor(np.log10(low) * _BINS_PER_DECADE)
    last = np.ceil(np.log10(high) * _BINS_PER_DECADE + 1e-9)
    last = max(last, first + 1)
    edges = 10.0 ** (np.arange(first, last + 1) / _BINS_PER_DECADE)
    clipped = magnitude.clip(edges[0], edges[-1] * (1 - 1e-12))
    highest = 0.0
    what = "magnitude too {}" if is_float else "too {}"
    for sign, colour, label in ((-1, "tab:blue", "small"), (1, "tab:red", "great")):
        side = wrong & (np.sign(errors.errors) == sign)
        counts, _ = np.histogram(clipped[side], edges, weights=errors.weights[side])
        share = 100 * float(errors.weights[side].sum()) / total
        axes.stairs(100 * counts / total, edges, color=colour, fill=True, alpha=0.35, lw=0)
        label = f"{what.format(label)}: {share:.3g} %"
        axes.stairs(100 * counts / total, edges, color=colour, label=label)
        highest = max(highest, 100 * float(counts.max()) / total)
    exact = 100 * float(errors.weights[magnitude == 0].sum()) / total
    axes.set_xscale("log")
    axes.set_ylim(0, 1.4 * highest)  # room for the legend
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", title=f"exact: {exact:.3g} %", framealpha=0.9)
