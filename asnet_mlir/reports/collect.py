"""What a report shows, gathered from a result store: the page and the pictures draw the same."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asnet_mlir.exploration.store import (
    DatasetRecord,
    EvaluationRecord,
    NetworkRecord,
    PartialRecord,
    RuleRecord,
    Store,
    StudyRecord,
    StudyResult,
)
from asnet_mlir.reports.paper import PaperPoint, paper_points

__all__ = [
    "COST_UNITS",
    "OP_TITLES",
    "Curve",
    "Group",
    "PaperRow",
    "Point",
    "Sensitivity",
    "Study",
    "collect",
    "percent",
]

OP_TITLES = {
    "addf": "adder",
    "subf": "subtractor",
    "mulf": "multiplier",
    "divf": "divider",
    "maxf": "maximum",
    "minf": "minimum",
}
COST_UNITS = {"area": "LUT4", "delay": "ns", "energy": "LUT4 ns", "steps": "steps to go"}
"""Costs and their units.  `steps` stands in where no cost was measured: how many steps along the
constraints' lists, 1 for a whole list, a configuration is away from the end of all of them."""


@dataclass(frozen=True)
class Point:
    """One configuration on one data set.

    Attributes:
      accuracy: 0..1; where the evaluation was stopped early, an estimate.
      confidence: None for a full evaluation; else with which the accuracy is below `bound`.
      costs: those known, by name (`COST_UNITS`).
      binding: as JSON values; {} where the evaluation was stopped early.
      chosen: by a study.
    """

    key: str
    label: str
    accuracy: float
    correct: int
    samples: int
    seconds: float
    costs: Mapping[str, float]
    command: str | None
    binding: Mapping
    rules: tuple[RuleRecord, ...] = ()
    confidence: float | None = None
    bound: float | None = None
    chosen: bool = False


@dataclass(frozen=True)
class Curve:
    """Accuracy along a parameter of a core, all else exact.

    Attributes:
      points: (value of the parameter, index into the group's points), by value.
    """

    parameter: str
    op: str
    title: str
    points: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Sensitivity:
    """Accuracy where one op kind is approximated in one layer alone.

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
    """A study with its number of results and the index of the point that it chose."""

    record: StudyRecord
    results: int
    chosen: int | None


@dataclass(frozen=True)
class PaperRow:
    """What the paper states, and the index of our point with the same parameters."""

    point: PaperPoint
    ours: int | None


@dataclass(frozen=True)
class Group:
    """All that is known of one network on one data set.

    Attributes:
      exact: index of the point without approximation.
      fronts: by cost, indices of the points of the Pareto front, the cheapest first.
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

    @property
    def title(self) -> str:
        """Network and data, for headings."""
        return f"{self.network.name} on {self.data.name}"


def percent(accuracy: float) -> str:
    """Return an accuracy as text, `92.74 %`."""
    return f"{100 * accuracy:.2f} %"


def collect(path: str | Path) -> list[Group]:
    """Return the contents of a store, a group for each network and data set with results.

    Raises:
      InputError: the file is missing, damaged, no store, or one of another version.
    """
    with Store(path, read_only=True) as store:
        networks = {record.key: record for record in store.networks()}
        datasets = {record.key: record for record in store.datasets()}
        studies = [(record, store.study_results(record.key)) for record in store.studies()]
        evaluations: dict[tuple[str, str], list[EvaluationRecord]] = defaultdict(list)
        for record in store.evaluations():
            evaluations[record.network, record.dataset].append(record)
    for study, results in studies:
        if results:
            evaluations.setdefault((study.network, study.dataset), [])
    return [
        _group(
            networks[network],
            datasets[dataset],
            records,
            [s for s in studies if (s[0].network, s[0].dataset) == (network, dataset)],
        )
        for (network, dataset), records in evaluations.items()
    ]


def _group(
    network: NetworkRecord,
    data: DatasetRecord,
    evaluations: Sequence[EvaluationRecord],
    studies: Sequence[tuple[StudyRecord, Sequence[StudyResult]]],
) -> Group:
    costs: dict[str, dict[str, float]] = defaultdict(dict)
    stopped: dict[str, PartialRecord] = {}
    for _, results in studies:
        for result in results:
            costs[result.evaluation.key].update(result.costs)
            if isinstance(result.evaluation, PartialRecord):
                stopped[result.evaluation.key] = result.evaluation
    chosen = {record.chosen for record, _ in studies if record.chosen}
    points = [_full(r, costs[r.key], r.key in chosen) for r in evaluations]
    points += [_stopped(r, costs[r.key]) for r in stopped.values()]
    if not any(point.costs for point in points):
        points = _with_steps(points, network, [record for record, _ in studies])
    index = {point.key: position for position, point in enumerate(points)}
    exact = next((i for i, p in enumerate(points) if not p.rules and p.confidence is None), None)
    return Group(
        network,
        data,
        tuple(points),
        exact,
        tuple(
            Study(record, len(results), index.get(record.chosen or ""))
            for record, results in studies
        ),
        tuple(_curves(points)),
        tuple(_sensitivities(points, network)),
        {name: front for name in COST_UNITS if (front := _front(points, name))},
        tuple(PaperRow(point, _ours(point, points)) for point in paper_points(network.name)),
    )


def _full(record: EvaluationRecord, costs: Mapping[str, float], chosen: bool) -> Point:
    return Point(
        record.key,
        record.label,
        record.accuracy,
        record.correct,
        record.samples,
        record.seconds,
        dict(costs),
        record.command,
        record.binding,
        record.rules,
        chosen=chosen,
    )


def _stopped(record: PartialRecord, costs: Mapping[str, float]) -> Point:
    return Point(
        record.key,
        record.label,
        record.accuracy,
        record.correct,
        record.samples,
        record.seconds,
        dict(costs),
        None,
        {},
        confidence=record.confidence,
        bound=record.bound,
    )


def _with_steps(
    points: Sequence[Point], network: NetworkRecord, studies: Iterable[StudyRecord]
) -> list[Point]:
    """Give points the cost `steps`, from the lists of the last study that has all instances."""
    result = list(points)
    for study in studies:
        choices = study.constraints.get("choices", {})
        share = {
            (op, instance["content_hash"]): (position + 1) / len(instances)
            for op, instances in choices.items()
            for position, instance in enumerate(instances)
        }
        places = (
            len(choices)
            if study.scope == "network"
            else sum(op in layer.ops for layer in network.layers for op in choices)
        )
        for position, point in enumerate(points):
            steps = [share.get((rule.op, rule.content_hash)) for rule in point.rules]
            in_scope = all(
                (rule.layer is None) == (study.scope == "network") for rule in point.rules
            )
            if point.confidence is None and in_scope and None not in steps:
                to_go = places - sum(step for step in steps if step is not None)
                result[position] = dataclasses.replace(point, costs={"steps": to_go})
    return result


def _front(points: Sequence[Point], cost: str) -> tuple[int, ...]:
    """Return the points than which none is as accurate and cheaper, the cheapest first."""
    known = [i for i, p in enumerate(points) if cost in p.costs and p.confidence is None]
    front: list[int] = []
    for position in sorted(known, key=lambda i: (points[i].costs[cost], -points[i].accuracy)):
        if not front or points[position].accuracy > points[front[-1]].accuracy:
            front.append(position)
    return tuple(front)


def _curves(points: Sequence[Point]) -> list[Curve]:
    """Return the curves of cores that are the only approximate ones in the whole network."""
    cores: dict[tuple[str, str], list[tuple[RuleRecord, int]]] = defaultdict(list)
    for position, point in enumerate(points):
        if len(point.rules) == 1 and point.rules[0].layer is None:
            rule = point.rules[0]
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
                title = OP_TITLES.get(op, op)
                title += f" {_short(core)}" if several_cores else ""
                title += "".join(f", {name}={value}" for name, value in rest)
                curves.append(Curve(parameter, op, title, tuple(sorted(line.items()))))
    return curves


def _short(core: str) -> str:
    """Return a core's name without the folders of its file."""
    return core.rsplit("/", 1)[-1]


def _sensitivities(points: Sequence[Point], network: NetworkRecord) -> list[Sensitivity]:
    """Return, per op kind, the results in which one layer alone is approximated."""
    cells: dict[str, dict[tuple[str, str], int]] = defaultdict(dict)
    instances: dict[str, dict[str, RuleRecord]] = defaultdict(dict)
    for position, point in enumerate(points):
        if len(point.rules) == 1 and point.rules[0].layer is not None:
            rule = point.rules[0]
            cells[rule.op].setdefault((rule.layer or "", rule.label), position)
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
        core = [_short(rule.core)] if several_cores or not varying else []
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
        (i for i, p in enumerate(points) if p.confidence is None and matches(p.rules)), None
    )
