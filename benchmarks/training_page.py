# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/training.md, and its picture, of what benchmarks/training.py found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

DOCS = Path(__file__).parents[1] / "docs"


def write(report: dict[str, Any]) -> None:
    """Write the tables of the parts that are there, and draw the curves."""
    page = DOCS / "training.md"
    text = page.read_text()
    tables: dict[str, Callable[[Any], str]] = {
        "recovery": recovery,
        "steps": steps,
        "front": front,
        "words": words,
    }
    for name, table in tables.items():
        if report.get(name):
            begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
            before, _, rest = text.partition(begin)
            text = f"{before}{begin}\n\n{table(report[name])}\n{end}{rest.partition(end)[2]}"
    page.write_text(text)
    if report.get("recovery"):
        draw(report["recovery"])


def table_of(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def percent(share: float) -> str:
    return f"{100 * share:.2f}"


def by_estimator(runs: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return the runs of each estimator."""
    found: dict[str, list[dict[str, Any]]] = {}
    for one in runs:
        found.setdefault(one["estimator"], []).append(one)
    return found


def recovery(runs: list[dict[str, Any]]) -> str:
    rows = []
    for estimator, own in by_estimator(runs).items():
        middle = median(one["trained"] for one in own)
        rows.append(
            [
                f"`{estimator}`",
                percent(own[0]["untrained"]),
                ", ".join(percent(one["trained"]) for one in own),
                f"**{percent(middle)}**",
                f"{100 * (middle - own[0]['exact']):+.2f}",
                f"{median(one['processor seconds'] for one in own):.0f}",
            ]
        )
    head = ["estimator", "untrained", "trained, a seed each", "median", "from exact", "seconds"]
    return table_of(head, rows)


def steps(rows: list[dict[str, Any]]) -> str:
    head = ["network", "core", "step, ms", "of the exact one", "forward, ms", "of the exact one"]
    figures = ("step", "step ratio", "forward", "forward ratio")
    names = (f"`{row['binding'].removeprefix('muli=')}`" for row in rows)
    return table_of(
        head,
        (
            [row["network"], name, *(row[figure] for figure in figures)]
            for row, name in zip(rows, names, strict=True)
        ),
    )


def front(found: dict[str, Any]) -> str:
    head = ["energy saved", "untrained", "images", "epochs", "trained", "from exact", "cores"]
    return table_of(
        head,
        (
            [
                f"{100 * one['saved']:.1f} %",
                percent(one["untrained"]),
                f"{one['images']:,}",
                len(one["epochs"]) - 1,
                f"**{percent(one['trained'])}**",
                f"{100 * (one['trained'] - found['exact']):+.2f}",
                f"`{one['binding']}`",
            ]
            for one in found.get("trained", [])
        ),
    )


def words(rows: list[dict[str, Any]]) -> str:
    head = ["core", "rank", "JAX: words", "differ", "hardware: words", "differ", "cycles an image"]
    keys = ("rank", "words", "JAX differs", "simulated words", "hardware differs", "cycles")
    return table_of(
        head, ([f"`{row['core']}`", *(f"{row[key]:,}" for key in keys)] for row in rows)
    )


def draw(runs: list[dict[str, Any]]) -> None:
    """Draw the accuracy on the validation samples after each epoch: the median of the seeds."""
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.4), layout="constrained")
    axes = figure.subplots()
    for estimator, own in by_estimator(runs).items():
        curves = 100 * np.array([one["epochs"][1:] for one in own])
        epochs = range(1, curves.shape[1] + 1)
        axes.plot(epochs, np.median(curves, axis=0), marker="o", label=estimator)
        axes.fill_between(epochs, curves.min(axis=0), curves.max(axis=0), alpha=0.15)
    case = runs[0]
    start = f"before training {100 * case['epochs'][0]:.1f} %"
    axes.set(
        title=f"{case['network']}, {case['binding'].removeprefix('muli=')}, {start}",
        xlabel="epoch",
        ylabel="accuracy on validation images, %",
        xticks=list(range(1, len(case["epochs"]))),
    )
    axes.title.set_fontsize(8)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(DOCS / "training.png", dpi=120)
