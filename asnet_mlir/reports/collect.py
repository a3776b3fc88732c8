# SPDX-License-Identifier: Apache-2.0
"""What a report shows, gathered from a result store: the page and the pictures draw the same."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asnet_mlir.errors import InputError
from asnet_mlir.exploration.cost_kinds import COSTS
from asnet_mlir.exploration.search_quality import hypervolumes, importances
from asnet_mlir.exploration.store import (
    ACCURACY,
    DatasetRecord,
    EvaluationRecord,
    MetricRecord,
    NetworkRecord,
    PartialRecord,
    RuleRecord,
    Store,
    StudyRecord,
    StudyResult,
)
from asnet_mlir.reports.paper import PaperPoint, paper_points
from asnet_mlir.reports.style import core_name, far_limit
from asnet_mlir.support.formats import OP_KINDS

__all__ = [
    "COST_UNITS",
    "Curve",
    "Group",
    "PaperRow",
    "Point",
    "Sensitivity",
    "Study",
    "collect",
    "costs_of",
    "op_title",
]

COST_UNITS = {**{name: kind.unit for name, kind in COSTS.items()}, "steps": "steps to go"}
"""Costs and their units.  `steps` stands in where no cost was measured: how many steps along the
constraints' lists, 1 for a whole list, a configuration of the study with the most results is away
from the end of all of them."""


def costs_of(points: Iterable[Point]) -> tuple[str, ...]:
    """Return the names of all costs: those that there are, and users' own that points have."""
    own = sorted({name for point in points for name in point.costs})
    return tuple(dict.fromkeys([*COST_UNITS, *own]))


def op_title(op: str) -> str:
    """Return what a reader calls an op kind; studies of other versions may name others."""
    return OP_KINDS[op].unit if op in OP_KINDS else op


@dataclass(frozen=True)
class Point:
    """One configuration on one data set.

    Attributes:
      value: the figure of the metric, an accuracy in 0..1; where the evaluation was stopped early,
        an estimate.
      confidence: None for a full evaluation; else with which `bound` is not reached.
      difference: from the exact network, as `Difference.to_json` gives it.
      interval: 95 % confidence interval of the figure; None where it is not known.
      costs: those known, by name (`COST_UNITS`).
      binding: as JSON values; {} where the evaluation was stopped early.
      views: the ways in which studies, and the evaluation itself, write the configuration as
        rules: one that approximates the only layer with divisions is a `divf` to one study, a
        `divf@dense` to another.
      chosen: by a study.
      spread: the range of costs over the seeds of synthesis, of those that have one.
    """

    key: str
    label: str
    value: float
    correct: int | None
    samples: int
    seconds: float
    costs: Mapping[str, float]
    command: str | None
    binding: Mapping
    views: tuple[tuple[RuleRecord, ...], ...] = ()
    confidence: float | None = None
    bound: float | None = None
    chosen: bool = False
    difference: Mapping[str, float | None] | None = None
    interval: tuple[float, float] | None = None
    spread: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def core(self) -> str:
        """The core of its approximate ops; `exact` without, empty where there are several."""
        rules = next((view for view in self.views if view), ())
        cores = {core_name(rule.label) for rule in rules}
        if len(cores) == 1:
            return cores.pop()
        return "exact" if () in self.views or not self.views else ""

    def alone(self) -> Iterator[RuleRecord]:
        """Yield the rule of each view that has just one; none where it was stopped early."""
        if self.confidence is None:
            yield from (view[0] for view in self.views if len(view) == 1)


@dataclass(frozen=True)
class Curve:
    """The figure along a parameter of a core, all else exact.

    Attributes:
      points: (value of the parameter, index into the group's points), by value.
    """

    parameter: str
    op: str
    title: str
    points: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Sensitivity:
    """The figure where one op kind is approximated in one layer alone.

    Attributes:
      instances: labels of the columns.
      columns: what tells them apart, `P=20`, for headings.
      layers: names of the rows.
      cells: by (layer, instance), an index into the group's points.
    """

    op: str
    instances: tuple[str, ...]
    columns: tuple[str, ...]
    layers: tuple[str, ...]
    cells: Mapping[tuple[str, str], int]


@dataclass(frozen=True)
class Study:
    """A study with its number of results and the index of the point that it chose.

    Attributes:
      volumes: by the cost that it minimized, the hypervolume after each evaluation, a share of the
        group's box.
      importance: of each variable (`search_quality.importances`), by its label.
      breakdown: rows of where costs come from (`Exploration.breakdown`).
      state: `running`, `killed`, .. (`Store.state`).
    """

    record: StudyRecord
    results: int
    chosen: int | None
    volumes: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    importance: Mapping[str, float] = field(default_factory=dict)
    breakdown: tuple[Mapping[str, Any], ...] = ()
    state: str = "done"

    @property
    def label(self) -> str:
        """What tells it from others."""
        return f"{self.record.strategy}, seed {self.record.seed}"


@dataclass(frozen=True)
class PaperRow:
    """What the paper states, and the index of our point with the same parameters."""

    point: PaperPoint
    ours: int | None


@dataclass(frozen=True)
class Group:
    """All that is known of one network on one data set, judged by one metric.

    Attributes:
      metric: that the points are figures of.
      exact: index of the point without approximation.
      fronts: by cost, indices of the points of the Pareto front, the cheapest first.
      store: the file's name, where a report is of several.
    """

    network: NetworkRecord
    data: DatasetRecord
    points: tuple[Point, ...]
    exact: int | None
    studies: tuple[Study, ...]
    curves: tuple[Curve, ...] = ()
    sensitivities: tuple[Sensitivity, ...] = ()
    fronts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    paper: tuple[PaperRow, ...] = ()
    metric: MetricRecord = ACCURACY
    store: str = ""

    @property
    def title(self) -> str:
        """Network, data and a metric other than the accuracy, for headings."""
        metric = "" if self.metric == ACCURACY else f", {self.metric.label}"
        place = f" ({self.store})" if self.store else ""
        return f"{self.network.name} on {self.data.name}{metric}{place}"

    @property
    def factor(self) -> float:
        """What figures are multiplied by where their unit is shown."""
        return 100.0 if self.metric.unit == "%" else 1.0

    @property
    def axis(self) -> str:
        """The title of the axis of figures."""
        unit = f" [{self.metric.unit}]" if self.metric.unit else ""
        return f"{self.metric.title}{unit}"

    def drawn(self, value: float) -> float:
        """Return a figure as drawings have it: in its unit, none for an infinite one."""
        return self.factor * value if math.isfinite(value) else math.nan

    def axis_of(self, cost: str) -> str:
        """Return the title of an axis of a cost."""
        unit = COST_UNITS.get(cost, "")
        if cost == "steps":
            return unit
        return f"{cost} [{unit}]" if unit else cost

    def cores(self, cost: str) -> tuple[str, ...]:
        """Return the cores of points that approximate with one core, in the order of legends."""
        known = {point.core for point in self.points if cost in point.costs}
        return tuple(sorted(known - {"", "exact"}))

    def limit(self, cost: str) -> tuple[float, int] | None:
        """Return where the axis of drawn figures ends, and how many are beyond (`far_limit`)."""
        near = [self.drawn(self.points[index].value) for index in self.fronts[cost]]
        if self.exact is not None:
            near.append(self.drawn(self.points[self.exact].value))
        values = [self.drawn(point.value) for point in self.points if cost in point.costs]
        return far_limit(near, values, self.metric.larger_is_better)


def collect(path: str | Path) -> list[Group]:
    """Return the contents of a store, a group for each network, data set and metric with results.

    Raises:
      InputError: the file is missing, damaged, no store, or one of another version.
    """
    with Store(path, read_only=True) as store:
        networks = {record.key: record for record in store.networks()}
        datasets = {record.key: record for record in store.datasets()}
        studies = [(record, store.study_results(record.key)) for record in store.studies()]
        evaluations: dict[tuple[str, str, MetricRecord], list[EvaluationRecord]]
        evaluations = defaultdict(list)
        for record in store.evaluations():
            evaluations[record.network, record.dataset, record.metric].append(record)
        intervals = _intervals(store)
        broken = {
            study.key: tuple(kept[0]["rows"])
            for study, _ in studies
            if (kept := store.archive.kept("breakdown", study.key)) is not None
        }
        states = {study.key: store.state(study.key) for study, _ in studies}
        spreads: dict[str, dict[str, tuple[float, float]]] = {}
        for study, _ in studies:
            kept = store.archive.kept("spread", study.key)
            for key, ranges in (kept[0] if kept else {}).items():
                spreads[key] = {name: (ends[0], ends[1]) for name, ends in ranges.items()}
    for study, results in studies:
        if results:
            evaluations.setdefault((study.network, study.dataset, study.metric), [])
    lost = next((k for k in evaluations if k[0] not in networks or k[1] not in datasets), None)
    if lost:
        raise InputError(f"{path}: the store is damaged (it lacks the network or data of a result)")
    return [
        _group(
            networks[network],
            datasets[dataset],
            records,
            [
                s
                for s in studies
                if (s[0].network, s[0].dataset, s[0].metric) == (network, dataset, metric)
            ],
            metric,
            _Beside(intervals, broken, states, spreads),
        )
        for (network, dataset, metric), records in evaluations.items()
    ]


@dataclass(frozen=True)
class _Beside:
    """What a store has beside results: of evaluations by their keys, of studies by theirs."""

    intervals: Mapping[str, tuple[float, float]]
    breakdowns: Mapping[str, tuple[Mapping[str, Any], ...]]
    states: Mapping[str, str]
    spreads: Mapping[str, Mapping[str, tuple[float, float]]]


def _intervals(store: Store) -> dict[str, tuple[float, float]]:
    """Return the intervals of full results by their keys, those that are known."""
    found: dict[str, tuple[float, float]] = {}
    for record in store.evaluations():
        ends = store.archive.interval(record.key, record.correct, record.samples)
        if ends is not None:
            found[record.key] = ends
    return found


def _group(
    network: NetworkRecord,
    data: DatasetRecord,
    evaluations: Sequence[EvaluationRecord],
    studies: Sequence[tuple[StudyRecord, Sequence[StudyResult]]],
    metric: MetricRecord,
    beside: _Beside,
) -> Group:
    costs: dict[str, dict[str, float]] = defaultdict(dict)
    views: dict[str, list[tuple[RuleRecord, ...]]] = defaultdict(list)
    stopped: dict[str, PartialRecord] = {}
    measured = any(result.costs for _, results in studies for result in results)
    largest = max(studies, key=lambda known: len(known[1]))[0].key if studies else None
    for evaluation in evaluations:
        views[evaluation.key].append(evaluation.rules)
    for study, results in studies:
        writer = _Writer(study)
        for result in results:
            key = result.evaluation.key
            costs[key].update((n, cost) for n, cost in result.costs.items() if math.isfinite(cost))
            if not measured and study.key == largest:
                costs[key]["steps"] = writer.steps(result.configuration)
            rules = writer.rules(result.configuration)
            if rules not in views[key]:
                views[key].append(rules)
            if isinstance(result.evaluation, PartialRecord):
                stopped[key] = result.evaluation
    chosen = {record.chosen for record, _ in studies if record.chosen}
    points = [
        Point(
            *_figures(record),
            costs=costs[record.key],
            command=record.command,
            binding=record.binding,
            views=tuple(views[record.key]),
            chosen=record.key in chosen,
            difference=record.difference,
            interval=beside.intervals.get(record.key),
            spread=beside.spreads.get(record.key, {}),
        )
        for record in evaluations
    ]
    points += [
        Point(
            *_figures(partial),
            costs=costs[partial.key],
            command=None,
            binding={},
            views=tuple(views[partial.key]),
            confidence=partial.confidence,
            bound=partial.bound,
        )
        for partial in stopped.values()
    ]
    index = {point.key: position for position, point in enumerate(points)}
    exact = next((i for i, p in enumerate(points) if p.confidence is None and () in p.views), None)
    return Group(
        network,
        data,
        tuple(points),
        exact,
        tuple(
            Study(
                record,
                len(results),
                index.get(record.chosen or ""),
                _volumes(record, results, points, metric),
                _importance(record, results, metric),
                beside.breakdowns.get(record.key, ()),
                beside.states.get(record.key, record.state),
            )
            for record, results in studies
        ),
        tuple(_curves(points)),
        tuple(_sensitivities(points, network)),
        {name: front for name in costs_of(points) if (front := _front(points, name, metric))},
        tuple(
            PaperRow(point, _ours(point, points))
            for point in (paper_points(network.name) if metric == ACCURACY else ())
        ),
        metric,
    )


def _volumes(
    record: StudyRecord,
    results: Sequence[StudyResult],
    points: Sequence[Point],
    metric: MetricRecord,
) -> dict[str, tuple[float, ...]]:
    """Return a search's hypervolumes by the cost that it minimized, in the box of all full results
    of its group.
    """
    cost = record.cost.partition(",")[0]
    if record.strategy == "test":
        return {}  # only what a search had found
    own = [
        (result.costs[cost], metric.score(result.evaluation.value))
        for result in results
        if cost in result.costs and isinstance(result.evaluation, EvaluationRecord)
    ]
    known = [p for p in points if cost in p.costs and p.confidence is None]
    scores = [s for p in known if math.isfinite(s := metric.score(p.value))]
    costs = [p.costs[cost] for p in known]
    if len(own) < 3 or len(set(costs)) < 2 or len(set(scores)) < 2:
        return {}
    return {cost: hypervolumes(own, (min(costs), max(scores)), (max(costs), min(scores)))}


def _importance(
    record: StudyRecord, results: Sequence[StudyResult], metric: MetricRecord
) -> dict[str, float]:
    full = [r for r in results if isinstance(r.evaluation, EvaluationRecord)]
    if len(record.variables) < 2 or len(full) < 3:
        return {}
    shares = importances(
        [r.configuration for r in full], [metric.score(r.evaluation.value) for r in full]
    )
    labels = [v.op if v.layer is None else f"{v.op}@{v.layer}" for v in record.variables]
    return dict(zip(labels, shares, strict=True))


def _figures(
    record: EvaluationRecord | PartialRecord,
) -> tuple[str, str, float, int | None, int, float]:
    """Return key, label, the metric's figure, correct and all samples, and seconds."""
    return (
        record.key,
        record.label,
        record.value,
        record.correct,
        record.samples,
        record.seconds,
    )


class _Writer:
    """Writes a study's configurations as rules."""

    def __init__(self, study: StudyRecord) -> None:
        instances = {
            (op, instance["label"]): instance
            for op, choices in study.constraints.get("choices", {}).items()
            for instance in choices
        }
        self._rules = [
            [
                RuleRecord(
                    variable.op,
                    variable.layer,
                    label,
                    instance.get("core", label.partition(":")[0]),
                    instance.get("parameters", {}),
                    instance.get("content_hash", ""),
                )
                for label in variable.choices
                for instance in [instances.get((variable.op, label), {})]
            ]
            for variable in study.variables
        ]

    def rules(self, configuration: Sequence[int]) -> tuple[RuleRecord, ...]:
        """Return the rules of what is not exact, which is every variable's choice 0."""
        return tuple(
            choices[choice]
            for choices, choice in zip(self._rules, configuration, strict=True)
            if choice
        )

    def steps(self, configuration: Sequence[int]) -> float:
        """Return what is left to go along the lists of choices, 1 for each list."""
        return sum(
            1 - choice / max(1, len(choices) - 1)
            for choices, choice in zip(self._rules, configuration, strict=True)
        )


def _front(points: Sequence[Point], cost: str, metric: MetricRecord) -> tuple[int, ...]:
    """Return the points than which none is as good and cheaper, the cheapest first."""
    known = [i for i, p in enumerate(points) if cost in p.costs and p.confidence is None]
    front: list[int] = []
    score = [metric.score(point.value) for point in points]
    for position in sorted(known, key=lambda i: (points[i].costs[cost], -score[i])):
        if not front or score[position] > score[front[-1]]:
            front.append(position)
    return tuple(front)


def _curves(points: Sequence[Point]) -> list[Curve]:
    """Return the curves of cores that are the only approximate ones in the whole network."""
    cores: dict[tuple[str, str], list[tuple[RuleRecord, int]]] = defaultdict(list)
    for position, point in enumerate(points):
        for rule in point.alone():
            if rule.layer is None:
                cores[rule.op, rule.core].append((rule, position))
    curves = []
    for (op, core), members in cores.items():
        several_cores = sum(other == op for other, _ in cores) > 1
        names = {name: None for rule, _ in members for name in rule.parameters}
        varying = [n for n in names if len({rule.parameters.get(n) for rule, _ in members}) > 1]
        for parameter in varying:
            lines: dict[tuple[tuple[str, int], ...], dict[int, int]] = defaultdict(dict)
            for rule, position in members:
                if parameter not in rule.parameters:
                    continue
                rest = tuple(
                    (n, rule.parameters[n])
                    for n in varying
                    if n != parameter and n in rule.parameters
                )
                lines[rest].setdefault(rule.parameters[parameter], position)
            for rest, line in lines.items():
                if len(line) < 2:
                    continue
                title = op_title(op)
                title += f" {core_name(core)}" if several_cores else ""
                title += "".join(f", {name}={value}" for name, value in rest)
                curves.append(Curve(parameter, op, title, tuple(sorted(line.items()))))
    return curves


def _sensitivities(points: Sequence[Point], network: NetworkRecord) -> list[Sensitivity]:
    """Return, per op kind, the results in which one layer alone is approximated."""
    cells: dict[str, dict[tuple[str, str], int]] = defaultdict(dict)
    instances: dict[str, dict[str, RuleRecord]] = defaultdict(dict)
    for position, point in enumerate(points):
        for rule in point.alone():
            if rule.layer is not None:
                cells[rule.op].setdefault((rule.layer, rule.label), position)
                instances[rule.op][rule.label] = rule
    found = []
    for op, known in cells.items():
        rows = [layer.name for layer in network.layers]
        rows += [layer for layer, _ in known if layer not in rows]
        present = {layer for layer, _ in known}
        rules = sorted(
            instances[op].values(), key=lambda r: (r.core, tuple(r.parameters.items()), r.label)
        )
        found.append(
            Sensitivity(
                op,
                tuple(rule.label for rule in rules),
                tuple(_telling(rules)),
                tuple(dict.fromkeys(layer for layer in rows if layer in present)),
                known,
            )
        )
    return found


def _telling(rules: Sequence[RuleRecord]) -> Iterable[str]:
    """Yield short names of instances: their cores and parameters where these differ."""
    several_cores = len({rule.core for rule in rules}) > 1
    for rule in rules:
        varying = [
            f"{name}={value}"
            for name, value in rule.parameters.items()
            if any(o.core == rule.core and o.parameters.get(name) != value for o in rules)
        ]
        core = [core_name(rule.core)] if several_cores or not varying else []
        yield " ".join([*core, *varying])


def _ours(point: PaperPoint, points: Sequence[Point]) -> int | None:
    """Return the index of our full result with the paper's op kinds and parameters."""

    def matches(rules: Sequence[RuleRecord]) -> bool:
        return {rule.op for rule in rules} == set(point.rules) and all(
            rule.layer is None
            and rule.core in ("fmul_trunc", "fdiv_trunc")
            and all(rule.parameters.get(n) == v for n, v in point.rules[rule.op].items())
            for rule in rules
        )

    return next(
        (i for i, p in enumerate(points) if p.confidence is None and any(map(matches, p.views))),
        None,
    )
