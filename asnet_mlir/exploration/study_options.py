# SPDX-License-Identifier: Apache-2.0
"""What an exploration is asked for, checked, and what follows from that alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from asnet_mlir.binding import Binding
from asnet_mlir.errors import InputError
from asnet_mlir.exploration.constraints import Constraints
from asnet_mlir.exploration.cost_kinds import Cost, cost_names
from asnet_mlir.exploration.criterion import Criterion
from asnet_mlir.exploration.early_stop import StoppingRule
from asnet_mlir.exploration.hardware_costs import Style
from asnet_mlir.exploration.measurer import Study
from asnet_mlir.exploration.results import check_objective
from asnet_mlir.exploration.space import DesignSpace
from asnet_mlir.exploration.store import MetricRecord, StudyRecord, VariableRecord, check_store
from asnet_mlir.exploration.strategies import strategy_named
from asnet_mlir.metrics import Metric, is_metric_name, metric_named
from asnet_mlir.metrics.class_metrics import Accuracy

__all__ = ["DEFAULT_BUDGET", "StudyOptions"]

#: Configurations that a search measures where no budget is given.
DEFAULT_BUDGET = 500


@dataclass(frozen=True)
class StudyOptions:
    """What `explore` takes, and what follows from it alone; made, it is checked."""

    binding: Binding
    given_metric: str | Metric | None
    tuned: Any
    store: str | Path | None
    strategy: str
    given_budget: int | None
    seed: int
    cost: Cost
    choose: str | None
    minimize: str | None
    maximize: str | None
    only_axes: bool
    early_stop: float | None
    scheduler: str | None
    threads: int | None
    command: str | None
    test: Any = None
    style: Style = Style()  # noqa: RUF009 (a value)
    seeds: int = 1
    synthesis_seeds: int = 1

    def __post_init__(self) -> None:
        for strategy in self.strategies:
            strategy_named(strategy)
        if (least := min(self.seeds, self.synthesis_seeds)) < 1:
            raise InputError(f"the number of seeds must be at least 1, not {least}")
        cost_names(self.cost)
        if self.given_budget is not None and self.given_budget < 1:
            raise InputError(
                f"the budget must be at least 1 configuration, not {self.given_budget}"
            )
        if self.only_axes and self.strategy != "exhaustive":
            raise InputError(f"--axes goes with the strategy exhaustive, not with {self.strategy}")
        if self.criterion:
            self.criterion.check_costs(self.cost)
        if self.tuned is not None and self.scheduler is not None:
            raise InputError("weights are tuned in this process; give no scheduler")
        check_objective(self.cost, self.minimize, self.maximize, self.metric or Accuracy())
        check_store(self.store)

    @cached_property
    def criterion(self) -> Criterion | None:
        """The bounds on the choice."""
        given = self._given
        return Criterion.parse(self.choose, given, self.cost) if self.choose is not None else None

    @cached_property
    def _given(self) -> Metric | None:
        return (
            metric_named(self.given_metric)
            if isinstance(self.given_metric, str)
            else (self.given_metric)
        )

    @cached_property
    def metric(self) -> Metric | None:
        """The metric that is asked for; None where data and output decide."""
        if self._given is not None:
            return self._given
        asked = [self.criterion.metric_name if self.criterion else None]
        asked += [one for one in (self.minimize, self.maximize) if one and is_metric_name(one)]
        return next((metric_named(name) for name in asked if name), None)

    @property
    def minimized(self) -> str:
        """The name of the cost that is minimized, or `none`."""
        return next(iter(cost_names(self.cost)), "none")

    @property
    def costs(self) -> str:
        """The costs that were asked for, as text."""
        return ",".join(cost_names(self.cost)) or "none"

    @cached_property
    def strategies(self) -> tuple[str, ...]:
        """The strategies, in the order in which they search."""
        names = (name.strip() for name in self.strategy.split(","))
        return tuple(dict.fromkeys(names))

    def budget(self, strategy: str) -> int | None:
        """Return how many configurations a strategy may measure; None for all."""
        if self.given_budget is None and strategy != "exhaustive":
            return DEFAULT_BUDGET
        return self.given_budget

    def searches(self, space: DesignSpace) -> Iterator[tuple[str, int]]:
        """Yield strategies with seeds: one seed of those that draw nothing."""
        for strategy in self.strategies:
            draws = strategy in ("nsga2", "agn")
            if strategy == "exhaustive" and not self.only_axes:
                draws = (self.given_budget or space.size) < space.size
            for seed in range(self.seed, self.seed + (self.seeds if draws else 1)):
                yield strategy, seed

    def total(self, space: DesignSpace) -> int:
        """Return how many configurations there will be at most, of all searches together."""
        axes = 1 + sum(len(v.choices) - 1 for v in space.variables)
        each = axes if self.only_axes else space.size
        return sum(min(each, self.budget(name) or each) for name, _ in self.searches(space))

    def record(
        self,
        study: Study,
        constraints: Constraints,
        stop: StoppingRule | None,
        strategy: str,
        seed: int,
    ) -> StudyRecord:
        """Return what the store keeps of the question that one search is."""
        return StudyRecord(
            key="",
            network=study.network,
            dataset=study.dataset,
            constraints=constraints.to_json(),
            scope=constraints.scope,
            strategy="axes" if self.only_axes else strategy,
            seed=seed,
            budget=self.budget(strategy),
            cost=self.costs,
            bound=self.choose,
            early_stop=self.early_stop,
            command=self.command,
            size=study.space.size,
            variables=_variables(study.space),
            stopping_rule=stop.name if stop else None,
            metric=MetricRecord.of(study.metric),
        )


def _variables(space: DesignSpace) -> tuple[VariableRecord, ...]:
    return tuple(
        VariableRecord(
            variable.op,
            variable.layer,
            tuple("exact" if choice is None else choice.reference for choice in variable.choices),
        )
        for variable in space.variables
    )
