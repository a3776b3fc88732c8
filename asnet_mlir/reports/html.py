# SPDX-License-Identifier: Apache-2.0
"""A result store as one HTML page that needs nothing else: no network, no server, no library.

What the page says is in the HTML, so that it can be read without scripts; the drawings and the
table of all results are made by `page/report.js` from the data that the page embeds as JSON.
Everything from the store is escaped, and the page's content security policy forbids it to load or
to send anything.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asnet_mlir
from asnet_mlir.exploration.store import ACCURACY
from asnet_mlir.metrics import finite, text_of
from asnet_mlir.reports import quantized
from asnet_mlir.reports.collect import (
    COST_UNITS,
    Group,
    Point,
    Sensitivity,
    Study,
    costs_of,
    op_title,
)
from asnet_mlir.reports.figure_texts import cost_text, figure_text, number_text
from asnet_mlir.reports.paper import SOURCE
from asnet_mlir.reports.style import beyond_text, page_colours

__all__ = ["embedded_data", "render"]

_PAGE = Path(__file__).with_name("page")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def embedded_data(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Return what `page/report.js` draws, as JSON values; null stands for an infinite figure."""
    offered = {id(group): _offered(group) for group in groups}
    return [
        {
            "title": group.title,
            "samples": group.data.samples,
            "exact": group.exact,
            "metric": {
                "name": group.metric.name,
                "axis": group.axis,
                "unit": group.metric.unit,
                "factor": group.factor,
                "larger": group.metric.larger_is_better,
            },
            "axes": {cost: group.axis_of(cost) for cost in costs_of(group.points)},
            "units": {cost: COST_UNITS.get(cost, "") for cost in costs_of(group.points)},
            "cores": {cost: group.cores(cost) for cost in group.fronts},
            "limits": {
                cost: [limit[0], beyond_text(limit[1], group.metric.larger_is_better)]
                for cost in group.fronts
                if (limit := group.limit(cost)) is not None
            },
            "searches": [
                {
                    "label": study.label,
                    "volumes": {cost: _steps(volume) for cost, volume in study.volumes.items()},
                }
                for study in group.studies
                if study.volumes
            ],
            "points": [
                {
                    "label": point.label,
                    "value": finite(point.value),
                    "correct": point.correct,
                    "samples": point.samples,
                    "seconds": round(point.seconds, 3),
                    "costs": dict(point.costs),
                    "core": point.core,
                    "chosen": point.chosen,
                    **({"spread": point.spread} if point.spread else {}),
                    **({"difference": point.difference} if point.difference else {}),
                    **({"interval": point.interval} if point.interval else {}),
                    **({"command": point.command} if point.command else {}),
                    **({"binding": point.binding} if position in offered[id(group)] else {}),
                    **(
                        {"stopped": {"confidence": point.confidence, "bound": point.bound}}
                        if point.confidence is not None
                        else {}
                    ),
                }
                for position, point in enumerate(group.points)
            ],
            "curves": [
                {
                    "parameter": curve.parameter,
                    "op": curve.op,
                    "title": curve.title,
                    "points": curve.points,
                }
                for curve in group.curves
            ],
            "fronts": group.fronts,
            "paper": [
                {
                    "where": row.point.where,
                    "rules": row.point.rules,
                    "value": row.point.accuracy,
                    "beside": {op: row.point.beside(op) for op in row.point.rules},
                }
                for row in group.paper
            ],
        }
        for group in groups
    ]


def _steps(volumes: Sequence[float]) -> list[tuple[int, float]]:
    """Return (number of evaluations, hypervolume) wherever it rises, and at the end."""
    steps: list[tuple[int, float]] = []
    for number, volume in enumerate(volumes, 1):
        if not steps or volume > volumes[number - 2] or number == len(volumes):
            steps.append((number, round(volume, 6)))
    return steps


def _offered(group: Group) -> set[int]:
    """Return the points whose bindings the page has as files: others would make it long."""
    fronts = {index for front in group.fronts.values() for index in front}
    return {
        index
        for index, point in enumerate(group.points)
        if point.binding and (index in fronts or point.chosen or not point.command)
    }


def render(
    groups: Sequence[Group],
    name: str,
    quantizations: Sequence[Mapping[str, Any]] = (),
    refresh: int | None = None,
) -> str:
    """Return the page for the contents of the store called `name`.

    Args:
      quantizations: what `read_quantization` returns, of networks in the store.
      refresh: seconds after which a browser reads the page again; None for a page that stays.
    """
    style, script = ((_PAGE / f).read_text() for f in ("report.css", "report.js"))
    # In a script element, only "<" can end the element or begin a comment.
    data = json.dumps(embedded_data(groups), allow_nan=False).replace("<", "\\u003c")
    count = sum(len(group.points) for group in groups)
    body = "\n".join(_section(group, number) for number, group in enumerate(groups))
    if not count:
        body = "<p>The store holds no results yet; <code>asnet explore</code> fills it.</p>"
    body += "".join(map(_quantization, quantizations))
    links = "".join(
        f'<li><a href="#group-{number}">{_e(group.title)}</a></li>'
        for number, group in enumerate(groups)
    )
    accurate = all(group.metric == ACCURACY for group in groups)
    heading = "Accuracy of approximate networks" if accurate else "Approximate networks"
    contents = f'<nav aria-label="Contents"><ul>{links}</ul></nav>' if len(groups) > 1 else ""
    again = f'<meta http-equiv="refresh" content="{refresh}">\n' if refresh else ""
    running = sum(study.state == "running" for group in groups for study in group.studies)
    live = (
        f'<p class="note" role="status">{running} {_plural(running, "search", "searches")} running;'
        f" the page is read again every {refresh} s.</p>"
        if refresh
        else ""
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
{again}<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="asnet-mlir {_e(asnet_mlir.__version__)}">
<title>{_e(name)} - approximate networks</title>
<style>
{page_colours()}{style}</style>
</head>
<body>
<header>
<h1>{_e(heading)}</h1>
<p class="lead">{count:,} {_plural(count, "configuration")} in <code>{_e(name)}</code>, by
asnet-mlir {_e(asnet_mlir.__version__)}.</p>
{live}
{contents}
<noscript><p class="note">The drawings and the table of all results need JavaScript; the rest of the
page does not.</p></noscript>
</header>
<main>
{body}
</main>
<div id="tooltip" role="status" aria-live="polite" hidden></div>
<script type="application/json" id="data">{data}</script>
<script>
{script}</script>
</body>
</html>
"""


def _e(text: object) -> str:
    return html.escape(str(text))


def _plural(count: int, noun: str, several: str | None = None) -> str:
    return noun if count == 1 else several or f"{noun}s"


def _section(group: Group, number: int) -> str:
    parts = [
        f'<section id="group-{number}" class="group" data-group="{number}">',
        f"<h2>{_e(group.title)}</h2>",
        _facts(group),
        *_choices(group),
    ]
    if group.curves:
        parts.append(
            f"<h3>{_word(group)} along a parameter</h3>"
            "<p>One core approximates all operations of its kind; everything else is exact.</p>"
            '<div class="charts" data-charts="curves"></div>'
        )
    if group.fronts:
        parts.append(
            f"<h3>{_word(group)} against cost</h3>"
            "<p>Marked: the Pareto front, the configurations than which none is both as "
            f"{'accurate' if group.metric == ACCURACY else 'good'} and cheaper."
            + (
                " No cost was measured (<code>asnet explore --cost</code>); the steps that are "
                "left on the constraints' lists stand in for it."
                if "steps" in group.fronts
                else ""
            )
            + '</p><div class="charts" data-charts="front"></div>'
        )
    if any(study.volumes for study in group.studies):
        parts.append(
            "<h3>How the searches went</h3><p>The share of the box of all results, by cost and "
            f"{_e(group.metric.name)}, that a search's front dominates after each evaluation (its "
            'hypervolume).</p><div class="charts" data-charts="search"></div>'
        )
    parts += [_sensitivity(group, table) for table in group.sensitivities]
    breakdowns = {repr(study.breakdown): study for study in reversed(group.studies)}
    parts += [_breakdown(study) for study in reversed(breakdowns.values())]
    parts += [
        _paper(group),
        _importance(group),
        _studies(group),
        _results(group, number),
        "</section>",
    ]
    return "\n".join(part for part in parts if part)


def _facts(group: Group) -> str:
    name = _e(group.metric.name)
    full = [point for point in group.points if point.confidence is None]
    facts = [("Samples", f"{group.data.samples:,}"), ("Configurations", f"{len(full):,}")]
    if len(full) < len(group.points):
        facts.append(("Stopped early", f"{len(group.points) - len(full):,}"))
    if group.exact is not None:
        facts.append((f"Exact {name}", group.metric.show(group.points[group.exact].value)))
    if full:
        worst = min(full, key=lambda point: group.metric.score(point.value))
        word = "Lowest" if group.metric.larger_is_better else "Highest"
        facts.append((f"{word} {name}", group.metric.show(worst.value)))
    facts.append(("Computing time", _duration(sum(point.seconds for point in group.points))))
    cells = "".join(f"<div><dt>{_e(k)}</dt><dd>{_e(v)}</dd></div>" for k, v in facts)
    kinds = list(dict.fromkeys(op for layer in group.network.layers for op in layer.ops))
    rows = [
        [
            layer.name or "(no name)",
            *(f"{layer.ops[op]:,}" if op in layer.ops else "" for op in kinds),
        ]
        for layer in group.network.layers
    ]
    layers = _table(["Layer", *(op_title(op) for op in kinds)], rows) if rows else ""
    return (
        f'<dl class="facts">{cells}</dl>'
        f"<details><summary>Operations a sample, by layer</summary>{layers}</details>"
    )


def _quantization(report: Mapping[str, Any]) -> str:
    return (
        "\n<section><h2>Layers in integer codes</h2>"
        f"<p>{_e(quantized.summary(report))} The ratio of signal to error (SNR) is of the layer's "
        "values; <em>alone</em>: of the network's outputs, if only this layer is quantised.</p>"
        f"{_table(quantized.HEAD, quantized.layer_rows(report))}</section>"
    )


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _choices(group: Group) -> list[str]:
    """What was chosen, once where several studies chose the same for the same bounds."""
    found: dict[tuple[int, str | None], list[Study]] = {}
    for study in group.studies:
        if study.chosen is not None:
            found.setdefault((study.chosen, study.record.bound), []).append(study)
    several = len(group.studies) > 1
    return [
        _chosen(group, place, bound, [s.record.strategy for s in by] if several else [])
        for (place, bound), by in found.items()
    ]


def _chosen(group: Group, place: int, bound: str | None, by: Sequence[str]) -> str:
    point = group.points[place]
    shown = figure_text(group.metric, point.value, point.interval)
    facts = [f"{group.metric.name} {shown}"]
    if group.exact is not None:
        change = point.value - group.points[group.exact].value
        if math.isfinite(change):
            facts[0] += f" ({_change(change, group)}{_points(group)} against exact)"
    facts += _difference(point)
    facts += [
        f"{name} {cost_text(name, value)}{_range(point, name)}"
        for name, value in point.costs.items()
        if name != "steps"
    ]
    text = f"for {bound}" if bound else "without a bound"
    source = f" by {_e(', '.join(dict.fromkeys(by)))}" if by else ""
    return (
        f'<div class="chosen"><h3>Chosen {_e(text)}{source}</h3>'
        f"<p><strong>{_e(point.label)}</strong><br>{_e(', '.join(facts))}</p>"
        f"{_command(point.command)}{_download(point)}</div>"
    )


def _range(point: Point, cost: str) -> str:
    """Return how far a cost reaches over the seeds of synthesis, behind it."""
    if cost not in point.spread:
        return ""
    low, high = map(number_text, point.spread[cost])
    return f" [{low}..{high}]"


def _command(command: str | None) -> str:
    if not command:
        return "<p>The network was an object of Python, which no command names.</p>"
    return f'<pre class="command" tabindex="0">{_e(command)}</pre>'


def _download(point: Point) -> str:
    """Return a link to the point's binding as a file, which is in the page."""
    text = quote(json.dumps(point.binding, indent=2))
    return f'<p><a download="binding.json" href="data:application/json,{text}">binding.json</a></p>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    header = "".join(f'<th scope="col">{_e(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{_e(row[0])}</th>'
        + "".join(f"<td>{_e(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0"><table class="{kind}"><thead><tr>{header}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _sensitivity(group: Group, table: Sensitivity) -> str:
    """A table whose cells are the darker, the more is lost."""
    base = group.points[group.exact].value if group.exact is not None else None
    if base is not None and not math.isfinite(base):
        base = None  # nothing can be said about how far figures are from it
    figures = {place: group.points[index].value for place, index in table.cells.items()}
    best = base if base is not None else max(figures.values(), key=group.metric.score)
    losses = {
        place: group.metric.score(best) - group.metric.score(value)
        for place, value in figures.items()
    }
    losses = {place: 0.0 if math.isnan(loss) else loss for place, loss in losses.items()}
    most = max(max(filter(math.isfinite, losses.values()), default=0.0), 1e-9)
    rows = []
    for layer in table.layers:
        cells = []
        for instance in table.instances:
            index = table.cells.get((layer, instance))
            if index is None:
                cells.append('<td class="empty"></td>')
                continue
            point, loss = group.points[index], losses[layer, instance]
            share = min(max(loss, 0.0) / most, 1.0)
            shown = group.metric.show(point.value)
            text = _change(point.value - base, group) if base is not None else shown
            title = f"{point.label}: {shown}"
            dark = " dark" if share > 0.55 else ""
            cells.append(
                f'<td class="heat{dark}" style="--loss:{share:.3f}" title="{_e(title)}">'
                f"{_e(text)}</td>"
            )
        rows.append(f'<tr><th scope="row">{_e(layer or "(no name)")}</th>{"".join(cells)}</tr>')
    head = "".join(f'<th scope="col">{_e(column)}</th>' for column in table.columns)
    what = op_title(table.op)
    cores = ", ".join(dict.fromkeys(label.partition(":")[0] for label in table.instances))
    name = group.metric.name
    unit = f"{name} against exact" if base is not None else name
    if base is not None and group.metric.unit:
        unit = f"{'points' if group.metric.unit == '%' else 'dB'} of {unit}"
    return (
        f"<h3>Sensitivity of layers to the {_e(what)}</h3>"
        f"<p>The {_e(what)} of one layer alone is approximated, by {_e(cores)}; {unit}.</p>"
        '<div class="scroll" tabindex="0"><table class="sensitivity"><thead><tr>'
        f'<th scope="col">Layer</th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


def _change(change: float, group: Group) -> str:
    """Return a difference of figures, `-0.12`; of shares in percentage points."""
    text = f"{change:+.3g}" if not group.metric.unit else f"{group.factor * change:+.2f}"
    is_none = text in ("+0.00", "-0.00", "+0")
    return "0.00" if is_none else text.replace("-", "\N{MINUS SIGN}")


def _points(group: Group) -> str:
    """Return the unit of a difference of figures, after a space."""
    return {"%": " points", "dB": " dB"}.get(group.metric.unit, "")


def _difference(point: Point) -> list[str]:
    """Return how a point's outputs differ from the exact network's, for people."""
    found = point.difference
    if found is None or not point.label or found.get("largest_error") == 0:
        return []
    facts = []
    if found.get("snr") is not None:
        facts.append(f"SNR against exact {found['snr']:.1f} dB")
    equal = found.get("equal_answers")
    if equal is not None:
        facts.append(f"equal answers {text_of(equal, '%')}")
    return facts


def _word(group: Group) -> str:
    """Return the metric as the first word of a heading."""
    return "Accuracy" if group.metric == ACCURACY else _e(group.metric.name)


def _paper(group: Group) -> str:
    if not group.paper:
        return ""
    rows = []
    for row in group.paper:
        what = ", ".join(
            f"{op_title(op)} " + " ".join(f"{n}={v}" for n, v in parameters.items())
            for op, parameters in row.point.rules.items()
        )
        show = group.metric.show
        ours = show(group.points[row.ours].value) if row.ours is not None else "not evaluated"
        stated = show(row.point.accuracy)
        rows.append([what, row.point.where, stated, f"{row.point.samples:,}", ours])
    note = (
        " Ours is trained and evaluated on <em>synthetic</em> images, the paper's on SVHN."
        if group.data.name.startswith("svhn_synthetic")
        else ""
    )
    return (
        "<h3>Beside the paper</h3>"
        f"<p>{_e(SOURCE)}. Networks of the same layers, trained independently.{note}</p>"
        + _table(["Approximated", "Stated in", "Paper", "Images", "Here"], rows, "words")
    )


def _studies(group: Group) -> str:
    rows = []
    for study in group.studies:
        record = study.record
        budget = f"{record.budget:,}" if record.budget is not None else "none"
        state = study.state
        if state not in ("done", ""):
            state += f", begun or ended last at {record.updated}"
        size = f"{record.size:,}" if record.size < 10**9 else f"{Decimal(record.size):.1e}"
        found = f"{study.results:,} of {size}"
        rows.append(
            f'<tr><th scope="row">{_e(record.strategy)}</th><td>{_e(record.scope)}</td>'
            f"<td>{_e(record.cost)}</td><td>{_e(found)}</td><td>{_e(budget)}</td>"
            f"<td>{_e(_volume(study))}</td><td>{record.seed}</td><td>{_e(state)}</td><td>{_e(_duration(record.seconds))}</td>"
            f"<td><code>{_e(record.command or 'Python')}</code></td></tr>"
        )
    if not rows:
        return ""
    names = (
        "Strategy",
        "Scope",
        "Cost",
        "Results",
        "Budget",
        "Hypervolume",
        "Seed",
        "State",
        "Time",
        "Command",
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    return (
        '<h3>Explorations</h3><div class="scroll" tabindex="0"><table class="studies"><thead>'
        f"<tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _breakdown(study: Study) -> str:
    """Where the costs of a study come from, by layer and op kind."""
    parts = []
    for cost in dict.fromkeys(row["cost"] for row in study.breakdown):
        own = [row for row in study.breakdown if row["cost"] == cost]
        names = [name for name in ("exact", "chosen") if name in own[0]]
        rows = [
            [
                f"{row['layer'] or '(no name)'}, {op_title(row['op'])}",
                *(f"{row[name]:.1f} %" for name in names),
            ]
            for row in sorted(own, key=lambda row: -row["exact"])
        ]
        rows.append(["all", *(f"{sum(row[name] for row in own):.1f} %" for name in names)])
        parts.append(
            f"<h3>Where the {_e(cost)} comes from</h3><p>Operations of each kind in each layer, in "
            f"per cent of all of the exact network ({_e(study.label)}).</p>"
            + _table(["Operations", *names], rows)
        )
    return "".join(parts)


def _volume(study: Study) -> str:
    """Return the hypervolume that a study ended with, for the cost that it minimized."""
    cost = study.record.cost.partition(",")[0]
    return f"{study.volumes[cost][-1]:.4f}" if study.volumes.get(cost) else ""


def _importance(group: Group) -> str:
    """Which variables' choices explain most of what results differ in."""
    studies = [study for study in group.studies if study.importance]
    if not studies:
        return ""
    labels = list(dict.fromkeys(label for study in studies for label in study.importance))
    most = {label: max(study.importance.get(label, 0.0) for study in studies) for label in labels}
    rows = [
        [label, *(f"{100 * study.importance.get(label, 0.0):.1f} %" for study in studies)]
        for label in sorted(labels, key=lambda label: -most[label])
    ]
    name = _e(group.metric.name)
    return (
        f"<h3>Which choices matter</h3><p>The share of the variance of {name} that a choice alone "
        f"explains, over each study's results.</p>"
        + _table(["Choice", *(study.label for study in studies)], rows)
    )


def _results(group: Group, number: int) -> str:
    least = "least" if group.metric.larger_is_better else "most"
    range_ = ' min="0" max="100"' if group.metric.unit == "%" else ""
    return f"""<h3 id="results-{number}">All results</h3>
<form class="filter" role="search" aria-label="Filter results">
<label>Configuration contains <input type="search" name="text" placeholder="mulf P=20"></label>
<label>{_word(group)} at {least} <input type="number" name="least"{range_} step="any">
{_e(group.metric.unit)}</label>
<label><input type="checkbox" name="front"> Pareto front only</label>
<label class="phone">Sort by <select name="sort"></select></label>
</form>
<div class="results" data-results></div>"""
