# SPDX-License-Identifier: Apache-2.0
"""NSGA-II (Deb et al., IEEE TEC 6(2), 2002), as pymoo implements it."""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np

from asnet_mlir.exploration.space import Configuration
from asnet_mlir.exploration.strategies.task import Task

__all__ = ["nsga2"]

#: Configurations of a generation: as many generations as the budget gives of these sizes.
_SMALLEST, _LARGEST, _GENERATIONS = 12, 40, 25
#: Generations without a new configuration after which there is nothing left to find.
_STAGNATION = 20


def nsga2(task: Task) -> None:
    """Search the front of the metric and cost by NSGA-II until the budget is spent.

    Genes are places in the lists of choices, with uniform crossover and polynomial mutation rounded
    to integers.  The first generation holds the exact configuration, the uniform
    ones (all variables equally far along their lists), each variable's cheapest choice alone, and
    random ones.  A bound on the metric is a constraint: infeasible configurations lose against
    feasible ones.
    """
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.config import Config
    from pymoo.core.evaluator import Evaluator
    from pymoo.core.problem import Problem
    from pymoo.operators.crossover.ux import UniformCrossover
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.problems.static import StaticProblem

    Config.warnings["not_compiled"] = False
    space = task.space
    sizes = np.array([len(variable.choices) for variable in space.variables])
    population = min(_LARGEST, max(_SMALLEST, (task.budget or 10**9) // _GENERATIONS), space.size)
    limits = task.limits
    problem = Problem(
        n_var=len(sizes), n_obj=2, n_ieq_constr=int(bool(limits)), xl=0, xu=sizes - 1, vtype=int
    )
    algorithm = NSGA2(
        pop_size=population,
        sampling=np.array(_first(task, sizes, population)),
        crossover=UniformCrossover(prob=0.9, repair=RoundingRepair()),
        # Three genes in ten change, since one alone of many layers moves little.
        mutation=PM(prob=1.0, prob_var=0.3, eta=3, vtype=float, repair=RoundingRepair()),
        eliminate_duplicates=True,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        algorithm.setup(problem, termination=("n_gen", 10**9), seed=task.seed, verbose=False)
    idle = 0
    while idle < _STAGNATION and len(task.results) < space.size and algorithm.has_next():
        before = len(task.results)
        asked: Any = algorithm.ask()
        if asked is None or len(asked) == 0:
            break
        genes = [tuple(int(gene) for gene in row) for row in asked.get("X")]
        # In an order in which neighbours share the results of their first layers.
        results = task.measure(sorted(set(genes)))
        values: dict[str, Any] = {"F": np.array([[-results[g].score, task.cost(g)] for g in genes])}
        if limits:
            violation = [
                [0.0 if task.feasible(results[g]) else max(limits) - results[g].score + 1e-9]
                for g in genes
            ]
            values["G"] = np.array(violation)
        Evaluator().eval(StaticProblem(problem, **values), asked)
        algorithm.tell(infills=asked)
        idle = 0 if len(task.results) > before else idle + 1


def _first(task: Task, sizes: np.ndarray, population: int) -> list[Configuration]:
    """Return the distinct configurations of the first generation."""
    last = sizes - 1
    first: dict[Configuration, None] = {task.space.exact: None}
    steps = int(last.max())
    shares = np.unique(np.linspace(0, 1, min(steps + 1, max(2, 2 * population // 3))))
    for share in shares:
        first[tuple(int(c) for c in np.round(share * last))] = None
    for variable in range(len(sizes)):
        if len(first) >= 2 * population // 3:
            break
        alone = list(task.space.exact)
        alone[variable] = int(last[variable])
        first[tuple(alone)] = None
    generator = random.Random(task.seed)
    while len(first) < population:
        first[tuple(generator.randrange(int(size)) for size in sizes)] = None
    return list(first)[:population]
