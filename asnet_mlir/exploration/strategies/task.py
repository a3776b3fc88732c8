# SPDX-License-Identifier: Apache-2.0
"""What a strategy is given, and what it may ask."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from asnet_mlir.exploration.criterion import Criterion
from asnet_mlir.exploration.results import Result
from asnet_mlir.exploration.space import Configuration, DesignSpace
from asnet_mlir.metrics import Metric
from asnet_mlir.metrics.class_metrics import Accuracy

__all__ = ["NoiseModel", "Task"]


class NoiseModel(Protocol):
    """What a network's sums of products stand, and what cores add to them."""

    @property
    def errors(self) -> Sequence[np.ndarray]:
        """By variable, float64[choices, sums]: the root mean square of the error of each sum.

        Without sums where it is of something else than products of codes and weights.
        """
        ...

    def levels(self, shares: Sequence[float], seed: int) -> Iterator[Sequence[np.ndarray]]:
        """Yield by variable the noise that its sums stand, float64[sums], from little to much.

        Args:
          shares: by variable how much of all that can be saved is saved by it; they sum to 1.
        """
        ...


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
      noise: of the network's sums; without sums where it is not on codes.
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
    noise: NoiseModel | None = None

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
