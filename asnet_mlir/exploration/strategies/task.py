# SPDX-License-Identifier: Apache-2.0
"""What a strategy is given, and what it may ask."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from asnet_mlir.exploration.criterion import Criterion
from asnet_mlir.exploration.results import Result
from asnet_mlir.exploration.space import Configuration, DesignSpace
from asnet_mlir.metrics import Metric
from asnet_mlir.metrics.class_metrics import Accuracy

__all__ = ["Task"]


@dataclass(frozen=True)
class Task:
    """A search for good and cheap configurations.

    Attributes:
      space: the configurations.
      cost: what is minimized; the steps not yet taken along the lists where no cost is known.
      measure: evaluates configurations (lazily drawn, those already measured for free) and returns
        the results by configuration; it does not return when the budget is spent.
      results: all that was measured so far.
      budget: configurations that may be measured; None for no bound.
      seed: of whatever is drawn.
      samples: of the data set.
      criterion: bounds that the choice will have to satisfy.
      metric: what results are judged by.
      only_axes: leave out configurations that approximate more than one variable.
    """

    space: DesignSpace
    cost: Callable[[Configuration], float]
    measure: Callable[[Iterable[Configuration]], Mapping[Configuration, Result]]
    results: Mapping[Configuration, Result]
    budget: int | None
    seed: int
    samples: int
    criterion: Criterion | None = None
    only_axes: bool = False
    metric: Metric = Accuracy()  # noqa: RUF009 (a value)

    def feasible(self, result: Result) -> bool:
        """Whether a result is as good as is asked for."""
        if not result.complete:
            return False
        return self.criterion is None or self.criterion.good(result.value, self.metric)

    @property
    def limits(self) -> list[float]:
        """The scores that a good result has at least (`Metric.score`)."""
        if self.criterion is None:
            return []
        return [self.metric.score(b.limit) for b in self.criterion.metric_bounds(self.metric)]
