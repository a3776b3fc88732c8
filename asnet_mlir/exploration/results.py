# SPDX-License-Identifier: Apache-2.0
"""What an exploration found, and which configuration to take of it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import asnet_mlir
from asnet_mlir.binding import Binding
from asnet_mlir.errors import AsnetError, InputError
from asnet_mlir.evaluation.outcomes import Outcome, interval, p_value
from asnet_mlir.evaluation.statistics import LEVEL, share_interval
from asnet_mlir.exploration.constraints import Constraints
from asnet_mlir.exploration.cost_kinds import COSTS, Cost, cost_names, figures_of, giving
from asnet_mlir.exploration.criterion import Criterion
from asnet_mlir.exploration.search_quality import hypervolumes
from asnet_mlir.exploration.space import Configuration, DesignSpace
from asnet_mlir.metrics import Metric, finite
from asnet_mlir.metrics.class_metrics import Accuracy

__all__ = [
    "Exploration",
    "Judgement",
    "NothingFoundError",
    "Result",
    "Search",
    "check_objective",
    "choose",
]


class NothingFoundError(AsnetError):
    """No configuration satisfies the bounds."""


@dataclass(frozen=True)
class Result:
    """One configuration and what it reaches.

    Attributes:
      value: the figure of the metric; an accuracy is in 0..1.
      samples: that were evaluated.
      costs: figures that are known, by name (`exploration.cost_kinds`).
      configuration: its place in the design space.
      confidence: None for a result on all samples.  Otherwise the evaluation was stopped early:
        `value` is an estimate, and this is the confidence that the bound is not reached.
      key: of the evaluation in the store.
      stored: found in the store rather than run.
      metric: what judged it.
      difference: from the exact network, as `Difference.to_json` gives it; None where the
        evaluation was stopped early, or is of an older store.
      name: the label that its design space gives it.
      outcome: what the samples contribute to the figure (`evaluation.outcomes`); None where that is
        not known: stopped early, an infinite figure, or found in a store that does not keep it.
      spread: the range of costs over the seeds of synthesis, of those that have one.
    """

    binding: Binding
    value: float
    samples: int = 0
    costs: Mapping[str, float] = field(default_factory=dict)
    configuration: Configuration = ()
    confidence: float | None = None
    key: str = ""
    stored: bool = False
    metric: Metric = Accuracy()  # noqa: RUF009 (a value)
    difference: Mapping[str, float | None] | None = None
    outcome: Outcome | None = field(default=None, compare=False, repr=False)
    name: str = ""
    spread: Mapping[str, tuple[float, float]] = field(default_factory=dict, repr=False)

    @property
    def label(self) -> str:
        """The configuration in one line, as `--bind` takes it (`DesignSpace.label`)."""
        return self.name or self.binding.label

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """The figure's 95 % confidence interval (`evaluation.outcomes`); None where not known."""
        if self.outcome is not None:
            return interval(self.outcome)
        if self.complete and self.metric.each == "right":
            return share_interval(round(self.value * self.samples), self.samples)
        return None

    @property
    def accuracy(self) -> float:
        """The accuracy, 0..1, where that is the metric."""
        if self.metric.name != "accuracy":
            raise AttributeError(f"the metric is {self.metric.name}; its figure is 'value'")
        return self.value

    @property
    def score(self) -> float:
        """A finite number that is the larger, the better the figure is."""
        return self.metric.score(self.value)

    @property
    def complete(self) -> bool:
        """Whether the figure is that on all samples."""
        return self.confidence is None

    @property
    def figures(self) -> Mapping[str, float]:
        """The metric's figure and the costs that are known, by name."""
        return {self.metric.name: self.value, **self.costs}

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        stopped = {} if self.complete else {"stopped_early": self.confidence}
        return {
            self.metric.name: finite(self.value),
            **({"interval": list(self.interval)} if self.interval is not None else {}),
            "samples": self.samples,
            **stopped,
            **self.costs,
            **({"spread": {k: list(v) for k, v in self.spread.items()}} if self.spread else {}),
            **({"difference": dict(self.difference)} if self.difference is not None else {}),
            "label": self.label,
            **self.binding.to_json(),
        }


@dataclass(frozen=True)
class Judgement:
    """Results on data that no choice was made on: of the exact network, the front and the choice.

    Attributes:
      data: their name.
    """

    data: str
    samples: int
    results: tuple[Result, ...]

    def of(self, result: Result) -> Result:
        """Return what a result of the exploration comes to on these data."""
        return next(one for one in self.results if one.configuration == result.configuration)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "data": self.data,
            "samples": self.samples,
            "results": [result.to_json() for result in self.results],
        }


@dataclass(frozen=True)
class Search:
    """What one strategy measured with one seed, in its order.

    Attributes:
      study: key of the study in the store.
    """

    strategy: str
    seed: int
    study: str
    results: tuple[Result, ...]

    @property
    def label(self) -> str:
        """What tells it from others."""
        return f"{self.strategy}, seed {self.seed}"


@dataclass(frozen=True)
class Exploration:
    """All results of a study, in the order in which its strategy asked for them.

    Those of several strategies or seeds are put together, each configuration once.

    Attributes:
      seconds: of this run, compilation included; results found in the store cost nothing.
      evaluated: how many configurations were run rather than found in the store.
      cost: the name of the cost that was minimized, or `none`.
      chosen: what `choose` picked for the bound that the exploration was given; None without one
        or where nothing satisfies it.
      study: key of the (first) study in the store.
      metric: what judged the configurations.
      replaced: how many results in the store came from other models of the same cores than this
        program makes; they were measured again.
      test: what came out on the test data; None without.
      asked_costs: what `cost` was given.
      breakdown: rows of cost, layer, op kind and shares of `exact` and `chosen`, in per cent of
        the exact network's, of costs that are sums over operations.
      searches: each strategy with each of its seeds.
      killed: how many of them had been begun by a run that was killed, and went on now.
    """

    network: str
    data: str
    samples: int
    constraints: Constraints
    space: DesignSpace
    results: tuple[Result, ...]
    seconds: float
    evaluated: int
    strategy: str = "exhaustive"
    cost: str = "none"
    chosen: Result | None = None
    study: str = ""
    replaced: int = 0
    metric: Metric = Accuracy()  # noqa: RUF009 (a value)
    test: Judgement | None = None
    asked_costs: Cost = "none"
    breakdown: Sequence[Mapping[str, Any]] = ()
    searches: tuple[Search, ...] = ()
    killed: int = 0

    def __repr__(self) -> str:
        chosen = f", chosen {self.chosen.label!r}" if self.chosen else ""
        return (
            f"Exploration({self.network!r} on {self.data!r}, {self.samples} samples, "
            f"{len(self.results)} results{chosen})"
        )

    @property
    def exact(self) -> Result:
        """The configuration without approximation."""
        return next(result for result in self.results if not result.binding.rules)

    def axis(self, op: str, layer: str | None = None) -> list[Result]:
        """Return the results in which `op` (in `layer`) alone is approximated, in list order."""
        alone = [
            r for r in self.results if [(r.op, r.layer) for r in r.binding.rules] == [(op, layer)]
        ]
        return sorted(alone, key=lambda result: result.configuration)

    def headline(self) -> str:
        """Return network, data, what is compared with, and the exact network's figure."""
        against = ", against the exact network's outputs" if self.metric.against_exact else ""
        return f"{self.network} on {self.data}{against}: exact {self.metric.show(self.exact.value)}"

    def front(self) -> list[Result]:
        """Return the Pareto front: no other result is as good and cheaper, least cost first.

        Without costs, the steps along the constraints' lists stand for them.
        """
        front: list[Result] = []
        order = sorted(
            (result for result in self.results if result.complete),
            key=lambda result: (self.cost_of(result), -result.score),
        )
        for result in order:
            if not front or result.score > front[-1].score:
                front.append(result)
        return front

    def alike(self) -> set[str]:
        """Return the keys of the front's results that can't be told from the next one above.

        That is: a paired test (`evaluation.outcomes.p_value`) does not reject, at its level of 5 %,
        that the next better result of the front is as good.  Of results whose samples' outcomes
        are not known nothing is said.
        """
        pairs = ((low, high) for low, high in itertools.pairwise(self.front()))
        tests = ((low.key, p_value(low.outcome, high.outcome)) for low, high in pairs)
        return {key for key, p in tests if p is not None and p > 1 - LEVEL}

    def cost_of(self, result: Result) -> float:
        """Return what is minimized: the cost, or without costs the steps not yet taken."""
        if self.cost != "none":
            return result.costs[self.cost]
        return len(self.space.variables) - self.space.steps(result.configuration)

    def volumes(self) -> tuple[tuple[float, ...], ...]:
        """Return of each search the hypervolume after each of its complete results.

        It is a share of the box that all results span, by the minimized cost and the score.
        """
        complete = [result for result in self.results if result.complete]
        scores = [r.score for r in complete if math.isfinite(r.score)]
        costs = [self.cost_of(result) for result in complete]
        ideal, worst = (min(costs), max(scores)), (max(costs), min(scores))
        own = (
            [(self.cost_of(r), r.score) for r in search.results if r.complete]
            for search in self.searches
        )
        return tuple(hypervolumes(points, ideal, worst) for points in own)

    def _searches_json(self) -> list[dict[str, Any]]:
        return [
            {
                "strategy": search.strategy,
                "seed": search.seed,
                "study": search.study,
                "evaluations": len(search.results),
                "hypervolume": list(volume),
            }
            for search, volume in zip(self.searches, self.volumes(), strict=True)
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the exploration as JSON values; `front` has places in `results`."""
        places = {result.key: place for place, result in enumerate(self.results)}
        return {
            "version": asnet_mlir.__version__,
            "network": self.network,
            "data": self.data,
            "samples": self.samples,
            "scope": self.space.scope,
            "strategy": self.strategy,
            "cost": self.cost,
            "metric": self.metric.name,
            "larger_is_better": self.metric.larger_is_better,
            "against": "exact" if self.metric.against_exact else "targets",
            "configurations": self.space.size,
            "seconds": self.seconds,
            "evaluated": self.evaluated,
            "results": [result.to_json() for result in self.results],
            "front": [places[result.key] for result in self.front()],
            **({"test": self.test.to_json()} if self.test else {}),
            "breakdown": [dict(row) for row in self.breakdown],
            **({"searches": self._searches_json()} if len(self.searches) > 1 else {}),
        }


def check_objective(cost: Cost, minimize: str | None, maximize: str | None, metric: Metric) -> None:
    """Refuse what `choose` can't go by.

    Raises:
      InputError: both are given, or something that is not known with this cost and metric.
    """
    if minimize is not None and maximize is not None:
        raise InputError("give either --minimize or --maximize, not both")
    better = "maximize" if metric.larger_is_better else "minimize"
    given = {"maximize": maximize, "minimize": minimize}
    if maximize is not None and given[better] != metric.name:
        if maximize == metric.name:
            raise InputError(f"--maximize {maximize}: it is the better, the smaller; --minimize it")
        only = f"only '{metric.name}'" if metric.larger_is_better else "no figure of these"
        raise InputError(f"--maximize {maximize}: {only} can be maximized")
    if minimize is None or given[better] == metric.name:
        return
    known = figures_of(cost)
    if minimize not in COSTS and minimize not in known:
        raise InputError(f"--minimize {minimize}: costs are {', '.join(COSTS)}")
    if minimize not in known:
        asked = ",".join(cost_names(cost)) or "none"
        raise InputError(
            f"--minimize {minimize}: the {minimize} is not known with --cost {asked}; give --cost "
            f"{giving(minimize, cost)}"
        )


def choose(
    exploration: Exploration,
    bound: str | Criterion,
    *,
    minimize: str | None = None,
    maximize: str | None = None,
) -> Result:
    """Pick a configuration (Algorithm 1, line 8) that satisfies `bound`.

    Of those that do, the cheapest is taken where costs are known, the better one of two that cost
    the same.  Without costs it is the one furthest along the constraints' lists, which begin with
    the exact operation, all op kinds (and layers) together.

    Args:
      bound: `accuracy>=0.9`, `accuracy>90% and area<=2000`, `psnr>=30`.
      minimize: a cost that the exploration knows, instead of the one it was made for; or a metric
        that is the better, the smaller it is.
      maximize: the metric, such as `accuracy`: take the best one, the cheaper of two that are
        equal.

    Raises:
      InputError: the bound can't be read, or asks for a figure that is not known.
      NothingFoundError: no configuration satisfies it; the message says what the best one reaches.
    """
    metric = exploration.metric
    asked = exploration.asked_costs
    criterion = Criterion.parse(bound, metric, asked) if isinstance(bound, str) else bound
    criterion.check_metric(metric)
    criterion.check_costs(asked)
    check_objective(asked, minimize, maximize, metric)
    complete = [result for result in exploration.results if result.complete]
    feasible = [result for result in complete if criterion.holds(result.figures)]
    if not feasible:
        best = max(complete, key=lambda result: result.score)
        word = "most accurate" if metric.name == "accuracy" else "best"
        reached = f"{best.value:.4f}" if metric.unit == "%" else metric.show(best.value)
        raise NothingFoundError(
            f"no configuration satisfies {criterion.text}; the {word} one, {best.label}, "
            f"reaches {reached}"
        )

    def cost(result: Result) -> float:
        return result.costs.get(minimize or "", exploration.cost_of(result))

    if maximize or minimize == metric.name:
        return min(feasible, key=lambda result: (-result.score, cost(result)))
    return min(feasible, key=lambda result: (cost(result), -result.score))
