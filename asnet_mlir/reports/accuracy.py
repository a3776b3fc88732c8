"""Accuracy against the parameters of approximate cores (the paper's figures 3(a) and 4(a))."""

from __future__ import annotations

from pathlib import Path

from asnet_mlir.errors import InputError
from asnet_mlir.exploration import Exploration

__all__ = ["accuracy_table", "plot_accuracy"]

_TITLES = {
    "addf": "adder",
    "subf": "subtractor",
    "mulf": "multiplier",
    "divf": "divider",
    "maxf": "maximum",
    "minf": "minimum",
}
# Told apart by shape as well as by hue, and in grey.
_MARKERS = ("o", "s", "^", "D", "v", "P")


def _series(exploration: Exploration) -> dict[str, list[tuple[str, float]]]:
    """Return (parameters, accuracy in per cent) along each op kind's axis."""
    return {
        op: [
            (_parameters_text(result.binding.rules[0].instance), 100 * result.accuracy)
            for result in exploration.axis(op)
        ]
        for op in exploration.constraints.choices
    }


def _parameters_text(instance: object) -> str:
    label = instance.label  # type: ignore[attr-defined]
    name, _, parameters = label.partition(":")
    return parameters or name


def accuracy_table(exploration: Exploration) -> str:
    """Return a table of the configurations in which one op kind alone is approximated."""
    series = _series(exploration)
    lines = [
        f"{exploration.network} on {exploration.data}: exact {100 * exploration.exact.accuracy:.2f} %",
        "",
        "  ".join(f"{_TITLES[op] + ' alone':>28}" for op in series),
    ]
    for row in range(max(map(len, series.values()))):
        cells = [
            f"{points[row][0]:>18} {points[row][1]:7.2f} %" if row < len(points) else " " * 28
            for points in series.values()
        ]
        lines.append("  ".join(f"{cell:>28}" for cell in cells))
    return "\n".join(lines)


def plot_accuracy(exploration: Exploration, path: Path) -> None:
    """Draw accuracy along each op kind's axis as a PNG (or what `path`'s suffix says).

    Raises:
      InputError: `path` can't be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for marker, (op, points) in zip(_MARKERS, _series(exploration).items(), strict=False):
        if not points:
            continue
        numbers = [_single_number(text) for text, _ in points]
        x = numbers if None not in numbers else list(range(len(points)))
        axes.plot(x, [value for _, value in points], marker=marker, ms=5, label=_TITLES[op])
    exact = 100 * exploration.exact.accuracy
    axes.axhline(exact, color="0.6", lw=1, ls="--", zorder=0)
    axes.annotate(f"exact {exact:.2f} %", (0, exact), xytext=(0, 4), textcoords="offset points",
                  color="0.4", fontsize=9)
    axes.set_xlabel("ignored mantissa bits P")
    axes.set_ylabel("correctly classified [%]")
    axes.set_title(f"{exploration.network}, {exploration.samples:,} samples of {exploration.data}")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left")
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: can't write the plot: {error}") from None


def _single_number(text: str) -> int | None:
    name, equals, value = text.partition("=")
    if not equals:
        return 0  # all parameters at their defaults
    return int(value) if "," not in value and value.lstrip("-").isdecimal() else None
