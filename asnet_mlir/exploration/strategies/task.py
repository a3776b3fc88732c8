# SPDX-License-Identifier: Apache-2.0
"""What a strategy is given, and what it may ask."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from asnet_mlir.exploration.criterion import Criterion
from asnet_mlir.exploration.results import Result
from asnet_mlir.exploration.space import Configuration, DesignSpace

__all__ = ["Task"]


@dataclass(frozen=True)
class Task:
    """A search for accurate and cheap configurations.

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

    def feasible(self, result: Result) -> bool:
        """Whether a result keeps the accuracy that is asked for."""
        if not result.complete:
            return False
        return self.criterion is None or self.criterion.accurate(result.accuracy)
