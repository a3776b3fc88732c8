# SPDX-License-Identifier: Apache-2.0
"""Layers get the cheapest core whose error is below the noise that they stand (AGN)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.exploration.space import Configuration
from asnet_mlir.exploration.strategies.task import NoiseModel, Task

__all__ = ["agn"]


def agn(task: Task) -> None:
    """Learn how much noise each layer stands, and measure the configurations that follow.

    1. *Levels*: the noise that each layer's sums stand is learnt by gradients, for one weight after
       the other of what is saved against what is lost (`training.tolerance`).  A variable gets at
       each weight the cheapest of its choices whose errors in its layers are no greater.
    2. *Measurement* of these configurations, evenly spaced ones where the budget is smaller.
    3. *Between two of them*, where there is a bound: from the cheapest that keeps it, variables go
       one after the other to their choices in the next one that breaks it, first those that save
       most.
    """
    if task.noise is None or not any(error.size for error in task.noise.errors):
        raise InputError(
            "the strategy agn is for products of codes and weights: variables of muli in a network "
            "of codes (`asnet quantize`)"
        )
    exact = task.space.exact
    costs = [
        [task.cost(_with(exact, place, choice)) for choice in range(len(variable.choices))]
        for place, variable in enumerate(task.space.variables)
    ]
    found = list(dict.fromkeys(_configurations(task.noise, costs, exact, task.seed)))
    measured = _spread(found, task.budget)
    results = task.measure(measured)
    if task.criterion is None:
        return
    kept = [one for one in measured if task.feasible(results[one])]
    current = min(kept, key=task.cost, default=exact)
    beyond = [one for one in found if task.cost(one) < task.cost(current)]
    if beyond:
        _approach(task, costs, current, max(beyond, key=task.cost))


def _configurations(
    noise: NoiseModel, costs: Sequence[Sequence[float]], exact: Configuration, seed: int
) -> Iterator[Configuration]:
    """Yield what follows from the levels at each weight."""
    saved = np.array([max(own[0] - min(own), 0.0) for own in costs])
    shares = saved / saved.sum() if saved.sum() else np.full(len(costs), 1 / len(costs))
    for levels in noise.levels(shares.tolist(), seed):
        yield tuple(
            _cheapest(own, (errors <= level).all(axis=1)) if errors.size else exact[place]
            for place, (own, errors, level) in enumerate(
                zip(costs, noise.errors, levels, strict=True)
            )
        )


def _cheapest(costs: Sequence[float], fits: np.ndarray) -> int:
    """Return the cheapest choice among those that fit; the exact one always does."""
    return min(
        (choice for choice, yes in enumerate(fits) if yes or not choice), key=costs.__getitem__
    )


def _spread(found: Sequence[Configuration], budget: int | None) -> list[Configuration]:
    """Return as many configurations as the budget allows besides the exact one."""
    if budget is None or len(found) < budget:
        return list(found)
    places = np.linspace(0, len(found) - 1, max(budget - 1, 1)).round().astype(int)
    return [found[place] for place in dict.fromkeys(places.tolist())]


def _approach(
    task: Task, costs: Sequence[Sequence[float]], current: Configuration, end: Configuration
) -> None:
    """Take each variable's choice in `end` where the bound is still kept."""

    def saving(place: int) -> float:
        return costs[place][current[place]] - costs[place][end[place]]

    order = sorted(range(len(costs)), key=lambda place: (-saving(place), place))
    for place in order:
        if saving(place) <= 0:
            continue
        candidate = _with(current, place, end[place])
        if task.feasible(task.measure([candidate])[candidate]):
            current = candidate


def _with(configuration: Configuration, variable: int, choice: int) -> Configuration:
    return (*configuration[:variable], choice, *configuration[variable + 1 :])
