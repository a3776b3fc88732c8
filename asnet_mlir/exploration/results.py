# SPDX-License-Identifier: Apache-2.0
"""What an exploration found, and which configuration to take of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from asnet_mlir.binding import Binding
from asnet_mlir.errors import AsnetError, InputError
from asnet_mlir.exploration.constraints import Constraints
from asnet_mlir.exploration.criterion import COSTS, Criterion
from asnet_mlir.exploration.space import Configuration, DesignSpace

__all__ = ["Exploration", "NothingFoundError", "Result", "check_objective", "choose"]


class NothingFoundError(AsnetError):
    """No configuration satisfies the bounds."""


@dataclass(frozen=True)
class Result:
    """One configuration and the accuracy (0..1) it reaches.

    Attributes:
      samples: that were evaluated.
      costs: figures of `area`, `delay`, `energy` that are known (units: `exploration.costs`).
      configuration: its place in the design space.
      confidence: None for a result on all samples.  Otherwise the evaluation was stopped early:
        `accuracy` is an estimate, and this is the confidence that the bound is not reached.
      key: of the evaluation in the store.
      stored: found in the store rather than run.
    """

    binding: Binding
    accuracy: float
    samples: int = 0
    costs: Mapping[str, float] = field(default_factory=dict)
    configuration: Configuration = ()
    confidence: float | None = None
    key: str = ""
    stored: bool = False

    @property
    def complete(self) -> bool:
        """Whether the accuracy is that on all samples."""
        return self.confidence is None

    @property
    def figures(self) -> Mapping[str, float]:
        """The accuracy and the costs that are known, by name."""
        return {"accuracy": self.accuracy, **self.costs}

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        stopped = {} if self.complete else {"stopped_early": self.confidence}
        return {
            "accuracy": self.accuracy,
            "samples": self.samples,
            **stopped,
            **self.costs,
            "label": self.binding.label,
            **self.binding.to_json(),
        }


@dataclass(frozen=True)
class Exploration:
    """All results of a study, in the order in which its strategy asked for them.

    Attributes:
      seconds: of this run, compilation included; results found in the store cost nothing.
      evaluated: how many configurations were run rather than found in the store.
      cost: which cost was minimized: `area`, `delay`, `energy` or `none`.
      chosen: what `choose` picked for the bound that the exploration was given; None without one
        or where nothing satisfies it.
      study: key of the study in the store.
      replaced: how many results in the store came from other models of the same cores than this
        program makes; they were measured again.
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

    def __repr__(self) -> str:
        chosen = f", chosen {self.chosen.binding.label!r}" if self.chosen else ""
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

    def front(self) -> list[Result]:
        """Return the Pareto front: no other result is as accurate and cheaper, least cost first.

        Without costs, the steps along the constraints' lists stand for them.
        """
        front: list[Result] = []
        order = sorted(
            (result for result in self.results if result.complete),
            key=lambda result: (self.cost_of(result), -result.accuracy),
        )
        for result in order:
            if not front or result.accuracy > front[-1].accuracy:
                front.append(result)
        return front

    def cost_of(self, result: Result) -> float:
        """Return what is minimized: the cost, or without costs the steps not yet taken."""
        if self.cost != "none":
            return result.costs[self.cost]
        return len(self.space.variables) - self.space.steps(result.configuration)

    def to_json(self) -> dict[str, Any]:
        """Return the exploration as JSON values."""
        return {
            "network": self.network,
            "data": self.data,
            "samples": self.samples,
            "scope": self.space.scope,
            "strategy": self.strategy,
            "cost": self.cost,
            "configurations": self.space.size,
            "seconds": self.seconds,
            "evaluated": self.evaluated,
            "results": [result.to_json() for result in self.results],
        }


def check_objective(cost: str, minimize: str | None, maximize: str | None) -> None:
    """Refuse what `choose` can't go by.

    Raises:
      InputError: both are given, or something that is not known with this cost.
    """
    if minimize is not None and maximize is not None:
        raise InputError("give either --minimize or --maximize, not both")
    if maximize not in (None, "accuracy"):
        raise InputError(f"--maximize {maximize}: only 'accuracy' can be maximized")
    if minimize is not None and minimize not in COSTS:
        raise InputError(f"--minimize {minimize}: costs are {', '.join(COSTS)}")
    if minimize is not None and cost not in (minimize, "energy"):
        raise InputError(
            f"--minimize {minimize}: the {minimize} is not known with --cost {cost}; give --cost "
            f"{minimize if cost == 'none' else 'energy, which gives all'}"
        )


def choose(
    exploration: Exploration,
    bound: str | Criterion,
    *,
    minimize: str | None = None,
    maximize: str | None = None,
) -> Result:
    """Pick a configuration (Algorithm 1, line 8) that satisfies `bound`.

    Of those that do, the cheapest is taken where costs are known, the more accurate one of two that
    cost the same.  Without costs it is the one furthest along the constraints' lists, which begin
    with the exact operation, all op kinds (and layers) together.

    Args:
      bound: `accuracy>=0.9`, `accuracy>90% and area<=2000`.
      minimize: a cost that the exploration knows, instead of the one it was made for.
      maximize: `accuracy`: take the most accurate one, the cheaper of two that are equal.

    Raises:
      InputError: the bound can't be read, or asks for a figure that is not known.
      NothingFoundError: no configuration satisfies it; the message says what the most accurate one
        reaches.
    """
    criterion = Criterion.parse(bound) if isinstance(bound, str) else bound
    criterion.check_costs(exploration.cost)
    check_objective(exploration.cost, minimize, maximize)
    complete = [result for result in exploration.results if result.complete]
    feasible = [result for result in complete if criterion.holds(result.figures)]
    if not feasible:
        best = max(complete, key=lambda result: result.accuracy)
        raise NothingFoundError(
            f"no configuration satisfies {criterion.text}; the most accurate one, "
            f"{best.binding.label}, reaches {best.accuracy:.4f}"
        )

    def cost(result: Result) -> float:
        return exploration.cost_of(result) if minimize is None else result.costs[minimize]

    if maximize:
        return min(feasible, key=lambda result: (-result.accuracy, cost(result)))
    return min(feasible, key=lambda result: (cost(result), -result.accuracy))
