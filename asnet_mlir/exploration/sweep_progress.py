# SPDX-License-Identifier: Apache-2.0
"""Progress for people: what is done, how fast, the best so far, how long it will take."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TextIO

from asnet_mlir.exploration.criterion import Criterion
from asnet_mlir.exploration.results import Result
from asnet_mlir.support.progress import ProgressLine, duration

__all__ = ["Progress", "ProgressDisplay"]

#: Called with (done, total or None, the last result, seconds so far) after each configuration.
Progress = Callable[[int, int | None, Result, float], None]


#: Seconds over which the rate is taken; from which on a sweep's time is said before it goes on, and
#: from which on with advice.
_LATE, _SAID, _LONG = 20.0, 60.0, 1200.0


class ProgressDisplay(ProgressLine):
    """One line that is written over on a terminal, else a line every ten seconds."""

    def __init__(
        self,
        criterion: Criterion | None = None,
        cost: str = "none",
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Show on `stream`, by default standard error.

        Args:
          criterion: the best one is the cheapest that satisfies it; without, the best
            approximate one.
          cost: what is minimized.
        """
        super().__init__(stream, clock)
        self._criterion, self._cost = criterion, cost
        self._best: Result | None = None
        self._run = 0
        #: (seconds, configurations run) of late: the first one compiles, and takes the longest.
        self._late: deque[tuple[float, int]] = deque()
        self._warned = False

    def costs(self, done: int, total: int, label: str) -> None:
        """Show how far the synthesis of the instances is, or with no `total` what begins."""
        if not total:
            self.show(label)
            return
        self.show(f"synthesis of {done}/{total} instances, last {label}", done == total)

    def __call__(self, done: int, total: int | None, result: Result, seconds: float) -> None:
        """Show the state after one configuration (see `Progress`)."""
        self._run += not result.stored
        self._note(result)
        rate = self._rate(seconds)
        parts = [f"{done}/{total} configurations" if total else f"{done} configurations"]
        if self._run:
            parts.append(f"{rate:.1f}/s")
        if total and rate and done < total:
            left = (total - done) / rate
            parts.append(f"{duration(left)} left")
            if not self._warned and self._run > 2:
                self._warned = True
                self._estimate(total, left)
        if self._best is not None:
            known = self._best.costs.get(self._cost)
            cost = "" if known is None else f", {self._cost} {known:,.0f}"
            metric = self._best.metric
            value = self._best.value
            figure = f"{value:.4f}" if metric.unit == "%" else metric.show(value)
            parts.append(f"best {figure}{cost}: {self._best.label}")
        self.show(", ".join(parts), total is not None and done >= total)

    def _estimate(self, total: int, seconds: float) -> None:
        """Say how long a sweep will take, once its first configurations have shown it."""
        if seconds > _SAID:
            advice = "; --budget N, or --strategy greedy, measures fewer" if seconds > _LONG else ""
            self.note(f"{total:,} configurations take about {duration(seconds)} here{advice}")

    def _rate(self, seconds: float) -> float:
        """Return configurations run a second of late, without what is found in the store."""
        self._late.append((seconds, self._run))
        while len(self._late) > 2 and seconds - self._late[0][0] > _LATE:
            self._late.popleft()
        begin, before = self._late[0]
        if self._run > before and seconds > begin:
            return (self._run - before) / (seconds - begin)
        return self._run / seconds if seconds > 0 else 0.0

    def _note(self, result: Result) -> None:
        best = self._best
        if not result.complete or not result.binding.rules:
            return
        if self._criterion is None:
            if best is None or result.score > best.score:
                self._best = result
        elif self._criterion.holds(result.figures):
            cost = result.costs.get(self._cost)
            if (
                best is None
                or (cost is not None and cost < best.costs[self._cost])
                # Without costs: the last one in the order of the search is the furthest.
                or cost is None
            ):
                self._best = result
