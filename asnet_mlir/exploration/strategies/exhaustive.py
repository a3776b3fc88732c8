# SPDX-License-Identifier: Apache-2.0
"""Every configuration, or an evenly drawn sample of them."""

from __future__ import annotations

import random

from asnet_mlir.errors import InputError
from asnet_mlir.exploration.space import Configuration
from asnet_mlir.exploration.strategies.task import Task

__all__ = ["exhaustive"]

_MOST = 100_000


def exhaustive(task: Task) -> None:
    """Measure the whole Cartesian product, the last layers fastest.

    Under a budget that is smaller than the product, as many configurations as it allows are drawn
    at random, each with the same chance; the exact one is always among them.

    Raises:
      InputError: the product is too large to be meant, and there is no budget.
    """
    space = task.space
    if task.only_axes:
        task.measure(space.axes())
        return
    if task.budget is None and space.size > _MOST:
        raise InputError(
            f"the design space has {_rounded(space.size)} configurations; give --budget N, or "
            "search it with --strategy greedy or nsga2"
        )
    if task.budget is None or task.budget >= space.size:
        task.measure(space.configurations())
        return
    drawn = {space.exact}
    generator = random.Random(task.seed)
    ranges = [len(variable.choices) for variable in space.variables]
    if 2 * task.budget > space.size:  # few are left out: draw from a list
        others = list(space.configurations())[1:]
        drawn |= set(generator.sample(others, task.budget - 1))
    while len(drawn) < task.budget:
        configuration: Configuration = tuple(generator.randrange(n) for n in ranges)
        drawn.add(configuration)
    # Neighbours share the results of their first layers.
    task.measure(sorted(drawn))


def _rounded(number: int) -> str:
    return f"{number:,}" if number < 10**12 else f"about 10^{len(str(number)) - 1}"
