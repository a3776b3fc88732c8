# SPDX-License-Identifier: Apache-2.0
"""A search along the direction that saves most for the accuracy that it costs."""

from __future__ import annotations

from collections.abc import Iterator

from asnet_mlir.exploration.space import Configuration
from asnet_mlir.exploration.strategies.task import Task

__all__ = ["greedy"]

#: Pairs of variables that are tried, for each variable, before the search gives up.
_SWAPS = 3
#: Uniform configurations that are tried as starts.
_UNIFORM = 24


def greedy(task: Task) -> None:
    """Measure each variable alone, then walk from the exact configuration to cheaper ones.

    1. *Sensitivities*: the score (of the metric) with one variable approximated and all else
       exact, for every choice, or for choices evenly spaced along the list where those would take
       more than half of the budget; the rest is interpolated.
    2. *Descent*: of all moves of one variable to a cheaper choice, the one that saves most cost for
       the loss of score that the sensitivities predict.  A move that breaks the bound is taken
       back, and the variable may only go less far from then on.
    3. *Swaps*, when no move is left: one variable goes back to a more exact choice, which may pay
       for a larger saving in another.  After one that succeeds, the descent goes on.
    4. *Uniform starts*: with a bound, the same from the cheapest configuration that keeps it and
       has all variables equally far along their lists.  Close to the exact figure, where
       sensitivities are a few samples, that is the better start.

    Without a bound on the metric the descent ends at the cheapest configuration, and its way
    there traces the front.
    """
    search = _Search(task)
    search.measure_sensitivities()
    search.improve()
    if task.criterion is not None and search.restart():
        search.improve()


class _Search:
    def __init__(self, task: Task) -> None:
        self._task = task
        self._current = task.space.exact
        self._reached = self._measure(self._current)[1]
        #: Predicted loss of score per variable and choice.
        self._loss = [[0.0] * len(variable.choices) for variable in task.space.variables]
        #: Per variable the loss from which on moves have broken the bound.
        self._ceiling = [float("inf")] * len(task.space.variables)

    def _measure(self, configuration: Configuration) -> tuple[bool, float]:
        """Return whether a configuration keeps the bound, and its score."""
        result = self._task.measure([configuration])[configuration]
        return self._task.feasible(result), result.score

    def measure_sensitivities(self) -> None:
        """Fill the table of losses."""
        task = self._task
        picks = [
            (variable, choice)
            for variable, choices in enumerate(self._picked())
            for choice in choices
        ]
        alone = {pick: _with(task.space.exact, *pick) for pick in picks}
        results = task.measure(sorted(alone.values()))
        exact = self._reached
        for variable, losses in enumerate(self._loss):
            known = {0: 0.0} | {
                choice: max(0.0, exact - results[alone[v, choice]].score)
                for v, choice in picks
                if v == variable
            }
            for choice in range(len(losses)):
                losses[choice] = _interpolated(known, choice)

    def _picked(self) -> list[list[int]]:
        """Return the choices that are measured alone, per variable."""
        sizes = [len(variable.choices) - 1 for variable in self._task.space.variables]
        budget = self._task.budget
        if budget is None or sum(sizes) <= budget // 2:
            return [list(range(1, size + 1)) for size in sizes]
        each = max(1, budget // 2 // len(sizes))
        # The last choice, the cheapest, is always among them.
        return [
            sorted({size - (size * k) // each for k in range(each)})
            if size > each
            else list(range(1, size + 1))
            for size in sizes
        ]

    def improve(self) -> None:
        """Descend and swap until nothing is gained."""
        self.descend()
        while self.swap():
            self.descend()

    def restart(self) -> bool:
        """Go to the cheapest uniform configuration that keeps the bound; whether there is one."""
        ends = [len(losses) - 1 for losses in self._loss]
        count = min(max(ends), _UNIFORM)
        uniform = {
            tuple(round(end * step / count) for end in ends): None for step in range(1, count + 1)
        }
        results = self._task.measure(uniform)
        kept = [c for c in uniform if self._task.feasible(results[c])]
        if not kept:
            return False
        self._current = min(kept, key=self._task.cost)
        self._reached = results[self._current].score
        self._ceiling = [float("inf")] * len(self._loss)
        return True

    def descend(self) -> None:
        """Take the best move until none is left."""
        while (move := next(self._moves(), None)) is not None:
            variable, choice = move
            candidate = _with(self._current, variable, choice)
            feasible, score = self._measure(candidate)
            if feasible:
                self._current, self._reached = candidate, score
            else:
                self._ceiling[variable] = self._loss[variable][choice]

    def _moves(self) -> Iterator[tuple[int, int]]:
        """Yield moves to cheaper configurations, the best one first."""
        cost, span = self._task.cost(self._current), self._span
        scored = []
        for variable, losses in enumerate(self._loss):
            now = self._current[variable]
            for choice, loss in enumerate(losses):
                candidate = _with(self._current, variable, choice)
                saving = cost - self._task.cost(candidate)
                if choice == now or saving <= 0 or loss >= self._ceiling[variable]:
                    continue
                known = self._task.results.get(candidate)
                if known is not None and not self._task.feasible(known):
                    continue
                more = max(0.0, loss - losses[now])
                # Half a sample: moves that lose nothing are compared by what they save.
                worth = saving / (more + 0.5 * span / self._task.samples)
                scored.append((-worth, variable, choice))
        for _, variable, choice in sorted(scored):
            yield variable, choice

    def swap(self) -> bool:
        """Try pairs of moves, one of them back; return whether one was taken."""
        cost = self._task.cost(self._current)
        pairs = []
        for up, losses in enumerate(self._loss):
            for back in range(self._current[up]):
                gained = losses[self._current[up]] - losses[back]
                raised = _with(self._current, up, back)
                for down, others in enumerate(self._loss):
                    if down == up:
                        continue
                    for choice, loss in enumerate(others):
                        candidate = _with(raised, down, choice)
                        if choice == self._current[down] or candidate in self._task.results:
                            continue
                        saving = cost - self._task.cost(candidate)
                        lost = loss - others[self._current[down]] - gained
                        if saving > 0 and lost < self._slack():
                            pairs.append((lost, -saving, candidate))
        pairs.sort()
        for _, _, candidate in pairs[: _SWAPS * len(self._loss)]:
            feasible, score = self._measure(candidate)
            if feasible:
                self._current, self._reached = candidate, score
                self._ceiling = [float("inf")] * len(self._loss)
                return True
        return False

    def _slack(self) -> float:
        """The loss of score that the bound still allows, and a little for the prediction.

        What is predicted is off by the square root of the samples that decide otherwise.
        """
        least = 0.0 if self._task.metric.unit == "%" else float("-inf")
        limit = max(self._task.limits, default=least)
        return self._reached - limit + 0.1 * self._span / self._task.samples**0.5

    @property
    def _span(self) -> float:
        """What a loss is measured by: of shares the whole, else the largest predicted one."""
        if self._task.metric.unit == "%":
            return 1.0
        return max(max(losses) for losses in self._loss) or 1.0


def _with(configuration: Configuration, variable: int, choice: int) -> Configuration:
    return (*configuration[:variable], choice, *configuration[variable + 1 :])


def _interpolated(known: dict[int, float], choice: int) -> float:
    """Return a loss between those of the nearest known choices, by the place in the list."""
    below = max(index for index in known if index <= choice)
    above = min((index for index in known if index >= choice), default=below)
    if above == below:
        return known[below]
    share = (choice - below) / (above - below)
    return known[below] + share * (known[above] - known[below])
