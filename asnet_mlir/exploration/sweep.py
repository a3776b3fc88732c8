# SPDX-License-Identifier: Apache-2.0
"""The searches of an exploration, one after the other, and what they found together."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from asnet_mlir.data import Dataset
from asnet_mlir.exploration import keys
from asnet_mlir.exploration.constraints import Constraints
from asnet_mlir.exploration.costs import CostModel
from asnet_mlir.exploration.criterion import Criterion
from asnet_mlir.exploration.early_stop import StoppingRule
from asnet_mlir.exploration.measurer import BudgetSpent, Measurer, Study
from asnet_mlir.exploration.results import (
    Exploration,
    Judgement,
    NothingFoundError,
    Result,
    Search,
)
from asnet_mlir.exploration.results import choose as pick
from asnet_mlir.exploration.runner import Runner
from asnet_mlir.exploration.space import Configuration
from asnet_mlir.exploration.store import DatasetRecord, Store
from asnet_mlir.exploration.strategies import NoiseModel, Task, strategy_named
from asnet_mlir.exploration.study_options import StudyOptions
from asnet_mlir.exploration.sweep_progress import Progress
from asnet_mlir.support.interrupts import Interrupts

__all__ = ["Sweep"]


@dataclass
class Sweep:
    """An exploration with all that it needs, and what is known of it so far.

    Attributes:
      begin: when it began, by `time.perf_counter`.
      noise: what the network's sums stand.
      measurers: of the searches that were begun, with strategy and seed.
    """

    options: StudyOptions
    network: str
    dataset: Dataset
    constraints: Constraints
    study: Study
    store: Store
    costs: CostModel
    stop: StoppingRule | None
    interrupts: Interrupts
    begin: float
    noise: NoiseModel
    measurers: list[tuple[str, int, Measurer]] = field(default_factory=list)
    breakdown: list[dict[str, Any]] = field(default_factory=list)

    def run(self, runner: Runner, progress: Progress | None) -> Result | None:
        """Search with every strategy and seed; return what is chosen of all results.

        Raises:
          KeyboardInterrupt: with a message that says what is stored.
        """
        space, options = self.study.space, self.options
        self._prepare_costs()
        total, ahead, begin = options.total(space), 0, time.perf_counter()
        with runner:
            for strategy, seed in options.searches(space):
                record = options.record(self.study, self.constraints, self.stop, strategy, seed)
                measurer = Measurer(
                    self.store,
                    self.study,
                    record,
                    self.costs,
                    runner,
                    self.stop,
                    total,
                    progress,
                    self.interrupts,
                    ahead,
                    begin,
                )
                self.measurers.append((strategy, seed, measurer))
                self._search(strategy, seed, measurer)
                ahead += len(measurer.results)
        chosen = self._choice(self.found())
        named = {"exact": space.exact}
        if chosen is not None:
            named["chosen"] = chosen.configuration
        self.breakdown = self.costs.breakdown(named)
        if self.breakdown:
            self.store.archive.put("breakdown", self.measurers[0][2].key, {"rows": self.breakdown})
        return chosen

    def _prepare_costs(self) -> None:
        """Find out the costs of every choice alone, if they are asked for anyway.

        What is synthesized is there before the first evaluation: the rate of the sweep is that of
        evaluations.
        """
        axes = list(self.study.space.axes())
        budgets = [self.options.budget(name) for name in self.options.strategies]
        if any(budget is None or budget >= len(axes) for budget in budgets):
            for configuration in axes:
                self.interrupts.check()
                self.costs.figures(configuration)

    def _search(self, strategy: str, seed: int, measurer: Measurer) -> None:
        """Search with one strategy and seed, and note how it ended."""
        space, options, begin = self.study.space, self.options, time.perf_counter()
        task = Task(
            space,
            self.costs.minimized,
            measurer.measure,
            measurer.results,
            options.budget(strategy),
            seed,
            len(self.dataset),
            options.criterion,
            options.only_axes,
            self.study.metric,
            self.noise,
        )
        state, chosen = "interrupted", None
        try:
            with contextlib.suppress(BudgetSpent):
                measurer.measure([space.exact])
                strategy_named(strategy)(task)
            chosen = self._choice(self._found([(strategy, seed, measurer)]))
            state = "done"
        except KeyboardInterrupt:
            raise KeyboardInterrupt(self._interrupted()) from None
        finally:
            measurer.end(state, time.perf_counter() - begin, chosen)

    def found(self, chosen: Result | None = None, test: Judgement | None = None) -> Exploration:
        """Return what all searches found, each configuration once."""
        return replace(
            self._found(self.measurers), chosen=chosen, test=test, breakdown=self.breakdown
        )

    def _found(self, measurers: list[tuple[str, int, Measurer]]) -> Exploration:
        results: dict[Configuration, Result] = {}
        for _, _, measurer in measurers:
            for configuration, result in measurer.results.items():
                results.setdefault(configuration, result)
        first = measurers[0][2]
        return Exploration(
            self.network,
            self.dataset.name,
            len(self.dataset),
            self.constraints,
            self.study.space,
            tuple(results.values()),
            time.perf_counter() - self.begin,
            sum(measurer.evaluated for _, _, measurer in measurers),
            ",".join(dict.fromkeys(strategy for strategy, _, _ in measurers)),
            self.options.minimized,
            None,
            first.key,
            sum(measurer.replaced for _, _, measurer in measurers),
            self.study.metric,
            asked_costs=self.options.cost,
            searches=tuple(
                Search(strategy, seed, measurer.key, tuple(measurer.results.values()))
                for strategy, seed, measurer in measurers
            ),
            killed=sum(measurer.found_killed for _, _, measurer in measurers),
        )

    def _choice(self, found: Exploration) -> Result | None:
        """Return the result that is asked for; None without a bound or one that satisfies it."""
        options = self.options
        if not (options.criterion or options.minimize or options.maximize):
            return None
        # Where nothing satisfies the bound, the caller asks `choose` for the reason.
        with contextlib.suppress(NothingFoundError):
            return pick(
                found,
                options.criterion or Criterion("", ()),
                minimize=options.minimize,
                maximize=options.maximize,
            )
        return None

    def judged(self, test: Dataset, runner: Runner, chosen: Result | None) -> Judgement:
        """Measure the exact network, the front and the choice on the test data.

        They are a study of their own in the store.
        """
        begin = time.perf_counter()
        key = keys.dataset_key(test)
        self.store.add_dataset(DatasetRecord(key, test.name, len(test)))
        study = replace(self.study, dataset=key, data_name=test.name)
        record = replace(
            self.options.record(
                study, self.constraints, None, self.options.strategies[0], self.options.seed
            ),
            strategy="test",
            budget=None,
            early_stop=None,
        )
        measurer = Measurer(
            self.store, study, record, self.costs, runner, None, None, None, self.interrupts
        )
        found = self.found(chosen)
        wanted = [found.exact, *found.front(), *([chosen] if chosen else [])]
        results: Mapping[Configuration, Result] = measurer.measure(
            [result.configuration for result in wanted]
        )
        judgement = Judgement(test.name, len(test), tuple(results.values()))
        measurer.end("done", time.perf_counter() - begin, judgement.of(chosen) if chosen else None)
        return judgement

    def _interrupted(self) -> str:
        """Return what is stored, for an interrupt's message."""
        evaluated = sum(measurer.evaluated for _, _, measurer in self.measurers)
        if self.options.store is None:
            return f"interrupted after {evaluated} evaluations; without --store none is kept"
        complete = sum(
            result.complete for _, _, m in self.measurers for result in m.results.values()
        )
        return (
            f"interrupted: {complete} evaluations of this study are stored in "
            f"{self.options.store}; the same command goes on from there"
        )
