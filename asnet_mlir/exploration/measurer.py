# SPDX-License-Identifier: Apache-2.0
"""Measures configurations for a strategy: from the store where they are there, else by a runner."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import asnet_mlir
from asnet_mlir.binding import Binding
from asnet_mlir.errors import AsnetError
from asnet_mlir.exploration import keys
from asnet_mlir.exploration.commands import is_said
from asnet_mlir.exploration.costs import CostModel
from asnet_mlir.exploration.early_stop import StoppingRule
from asnet_mlir.exploration.origin import Origin
from asnet_mlir.exploration.provenance import provenance
from asnet_mlir.exploration.results import Result
from asnet_mlir.exploration.runner import Measurement, Runner
from asnet_mlir.exploration.runs import this_run
from asnet_mlir.exploration.space import Configuration, DesignSpace
from asnet_mlir.exploration.store import (
    ACCURACY,
    EvaluationRecord,
    MetricRecord,
    PartialRecord,
    RuleRecord,
    Store,
    StudyRecord,
)
from asnet_mlir.exploration.stored_bindings import keep_beside
from asnet_mlir.exploration.sweep_progress import Progress
from asnet_mlir.metrics import Metric
from asnet_mlir.metrics.class_metrics import Accuracy
from asnet_mlir.support.cache import content_hash
from asnet_mlir.support.interrupts import Interrupts

__all__ = ["BudgetSpent", "Measurer", "Study"]


class BudgetSpent(Exception):
    """Ends a strategy from inside `measure`."""


@dataclass(frozen=True)
class Study:
    """What all evaluations of a study have in common."""

    network: str
    dataset: str
    data_name: str
    source: str | None
    space: DesignSpace
    bound: Binding | None = None  # what holds where a configuration says nothing
    # The part of it that is not of the network's file.
    given: Binding = field(default_factory=Binding)
    asked_metric: str | None = None  # as `--metric` takes it
    metric: Metric = Accuracy()  # noqa: RUF009 (a value)
    tuned: Any = None  # the data that weights are tuned for, or True for all codes alike
    exact: Mapping[str, str] = field(default_factory=keys.exact_hashes)
    origin: Origin = field(
        default_factory=Origin
    )  # of all instances that the space or the file binds

    def origin_of(self, binding: Binding) -> Origin:
        """Return the code and the models that a configuration's result comes from."""
        binding = binding.over(self.bound) if self.bound else binding
        return self.origin.of(rule.instance for rule in binding.rules)

    def key(self, binding: Binding) -> str:
        """Return the key of a configuration's evaluation."""
        binding = binding.over(self.bound) if self.bound else binding
        assigned = keys.assignment(binding, self.space.layers, self.exact)
        return keys.evaluation_key(self.network, self.dataset, assigned, self.metric.key)


class Measurer:
    """Measures configurations for a strategy: from the store, else by the runner."""

    def __init__(
        self,
        store: Store,
        study: Study,
        record: StudyRecord,
        costs: CostModel,
        runner: Runner,
        stop: StoppingRule | None,
        total: int | None,
        progress: Progress | None,
        interrupts: Interrupts,
        ahead: int = 0,
        begin: float | None = None,
    ) -> None:
        """Begin a study, or go on with it.

        Args:
          record: what is asked; its key is made here.
          total: how many configurations there will be, where that is known.
          progress: called once a result is stored.
          ahead, begin: configurations of other searches that are done, and when the first one
            began, for the progress.
        """
        self.results: dict[Configuration, Result] = {}
        self.evaluated = 0
        self.replaced = 0
        self._store, self._study, self._costs, self._runner = store, study, costs, runner
        self._stop, self._budget, self._progress = stop, record.budget, progress
        self._total, self._interrupts, self._ahead = total, interrupts, ahead
        self._begin = time.perf_counter() if begin is None else begin
        self._position = 0
        self._outdated: set[str] = set()
        self.key = content_hash(
            study.network,
            study.dataset,
            json.dumps(record.constraints, sort_keys=True),
            repr((record.strategy, record.seed, record.budget, record.cost, record.bound)),
            stop.name if stop else "",
            *(rule.label + rule.instance.content_hash for rule in study.given.rules),
            *([] if record.metric == ACCURACY else [record.metric.key]),
        )
        #: Whether the last run of this study was killed.
        self.found_killed = store.state(self.key) == "killed"
        store.begin_study(replace(record, key=self.key))
        store.archive.note("study", self.key, provenance())
        store.archive.put("run", self.key, this_run())

    def measure(self, wanted: Iterable[Configuration]) -> Mapping[Configuration, Result]:
        """See `Task.measure`."""
        waiting: list[tuple[int, Configuration, Result]] = []
        spent = False

        def jobs() -> Iterator[tuple[tuple[int, Configuration, str], Binding]]:
            nonlocal spent
            for configuration in wanted:
                if configuration in self.results or configuration in asked:
                    continue
                if self._budget is not None and len(self.results) + len(open_) >= self._budget:
                    spent = True
                    return
                asked.add(configuration)
                position, self._position = self._position, self._position + 1
                binding = self._study.space.binding(configuration)
                key = self._study.key(binding)
                found = self._find(key, binding, configuration)
                if found is not None:
                    self._keep(position, configuration, found, waiting)
                    continue
                open_.add(configuration)
                yield (position, configuration, key), binding

        asked: set[Configuration] = set()
        open_: set[Configuration] = set()
        for (position, configuration, key), measured in self._runner.run(jobs()):
            open_.discard(configuration)
            result = self._add(key, configuration, measured)
            self._keep(position, configuration, result, waiting)
        # A cluster's workers finish in any order; the results are in that of the strategy.
        for _, configuration, result in sorted(waiting, key=lambda entry: entry[0]):
            self.results.pop(configuration, None)
            self.results[configuration] = result
        if spent:
            raise BudgetSpent
        return self.results

    def _find(self, key: str, binding: Binding, configuration: Configuration) -> Result | None:
        known = self._store.get(key)
        costs = self._costs.figures(configuration)
        origin = self._study.origin_of(binding)
        if known is not None and known.origin.contradicts(origin):
            self._outdated.add(key)
            return None
        if known is not None:
            return Result(
                binding,
                known.value,
                known.samples,
                costs,
                configuration,
                None,
                key,
                True,
                self._study.metric,
                known.difference,
                self._store.archive.outcome(key, known.samples),
                self._study.space.label(configuration),
                self._costs.spreads(configuration),
            )
        if self._stop is None:
            return None
        partial = self._store.get_partial(key, self._stop.name)
        if partial is None or partial.origin.contradicts(origin):
            return None
        return Result(
            binding,
            partial.value,
            partial.samples,
            costs,
            configuration,
            partial.confidence,
            key,
            True,
            self._study.metric,
            name=self._study.space.label(configuration),
            spread=self._costs.spreads(configuration),
        )

    def _add(self, key: str, configuration: Configuration, measured: Measurement) -> Result:
        """Store what was measured."""
        study = self._study
        binding = study.space.binding(configuration)
        confidence = None
        figure = None if measured.correct is not None else measured.value
        difference = measured.difference.to_json() if measured.difference else None
        metric = MetricRecord.of(study.metric)
        if measured.stopped and self._stop is not None:
            confidence = self._stop.confidence
            self._store.add_partial(
                PartialRecord(
                    key,
                    self._stop.name,
                    measured.correct,
                    measured.samples,
                    confidence,
                    self._stop.bound,
                    measured.seconds,
                    study.space.label(configuration),
                    study.origin_of(binding),
                    metric,
                    figure,
                )
            )
        else:
            self._store.add(
                EvaluationRecord(
                    key,
                    study.network,
                    study.dataset,
                    study.space.label(configuration),
                    binding.to_json(),
                    tuple(RuleRecord.of(rule) for rule in binding.rules),
                    measured.correct,
                    measured.samples,
                    measured.seconds,
                    asnet_mlir.__version__,
                    reproduce(study, binding.over(study.given), self._stored(key)),
                    origin=study.origin_of(binding),
                    metric=metric,
                    figure=figure,
                    difference=difference,
                ),
                replace=key in self._outdated,
            )
            if measured.outcome is not None:
                self._store.archive.keep_outcome(key, measured.outcome)
            if study.bound is not None and study.bound.rules:
                keep_beside(self._store.archive, key, binding.over(study.bound))
            self.replaced += key in self._outdated
        self.evaluated += 1
        return Result(
            binding,
            measured.value,
            measured.samples,
            self._costs.figures(configuration),
            configuration,
            confidence,
            key,
            metric=study.metric,
            difference=difference,
            outcome=measured.outcome,
            name=study.space.label(configuration),
            spread=self._costs.spreads(configuration),
        )

    def _stored(self, key: str) -> str | None:
        """Return what names a result's binding, where it is all that the command needs."""
        if self._store.name == ":memory:":
            return None
        return f"{self._store.name}#{key[:16]}"

    def _keep(
        self,
        position: int,
        configuration: Configuration,
        result: Result,
        waiting: list[tuple[int, Configuration, Result]],
    ) -> None:
        """Note a result and report it, in this order: what was reported is stored."""
        self._store.add_study_result(self.key, result.key, position, configuration, result.costs)
        self.results[configuration] = result
        waiting.append((position, configuration, result))
        if self._progress:
            seconds = time.perf_counter() - self._begin
            self._progress(self._ahead + len(self.results), self._total, result, seconds)
        self._interrupts.check()

    def end(self, state: str, seconds: float, chosen: Result | None) -> None:
        """Note how the run ended.

        Raises:
          AsnetError: the store can't be written, and nothing had failed before.
        """
        spreads = {r.key: dict(r.spread) for r in self.results.values() if r.spread}
        try:
            if spreads:
                self._store.archive.put("spread", self.key, spreads)
            self._store.end_study(self.key, state, seconds, chosen.key if chosen else None)
        except AsnetError:
            if state == "done":
                raise  # otherwise there is an error already, perhaps this one


def reproduce(study: Study, binding: Binding, stored: str | None = None) -> str | None:
    """Return the command that evaluates a binding again; None where no command can."""
    source, data, tuned = study.source, study.data_name, study.tuned
    if source is None or (tuned not in (None, True) and not isinstance(tuned, str | Path)):
        return None
    words = ["asnet", "evaluate", source, "--data", data]
    if all(is_said(rule.instance, rule.op) for rule in binding.rules):
        for rule in binding.rules:
            words += ["--bind", rule.label]
    elif stored is not None:
        words += ["--binding", stored]
    else:
        return None
    if tuned is not None and any(rule.op == "muli" for rule in binding.rules):
        words += ["--tune-weights", *([] if tuned is True else [str(tuned)])]
    if study.asked_metric is not None:
        words += ["--metric", study.asked_metric]
    return shlex.join(words)
