# SPDX-License-Identifier: Apache-2.0
"""Who evaluates configurations: this process, or the workers of a Dask cluster."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np

from asnet_mlir.binding import Binding
from asnet_mlir.evaluation.outcomes import Outcome, outcome_of
from asnet_mlir.evaluation.session import Session
from asnet_mlir.exploration.early_stop import StoppingRule
from asnet_mlir.metrics import Difference

__all__ = ["LocalRunner", "Measurement", "Runner", "measure"]

T = TypeVar("T")


@dataclass(frozen=True)
class Measurement:
    """What came out of an evaluation.

    Attributes:
      value: the metric's figure of `samples` evaluated.
      correct: how many of them are right, where the metric is a share of right ones.
      seconds: that it took, compilation included.
      difference: from the exact network, on all samples.
      outcome: what the samples contribute, in the order of the data set; None where it ended early.
      stopped: the evaluation ended early; the rest of the samples was not looked at.
    """

    value: float
    correct: int | None
    samples: int
    seconds: float
    difference: Difference | None = None
    stopped: bool = False
    outcome: Outcome | None = None


class Runner(Protocol):
    """Evaluates configurations; one that is done comes out as soon as it is."""

    def run(self, jobs: Iterable[tuple[T, Binding]]) -> Iterator[tuple[T, Measurement]]:
        """Yield each job's tag with its measurement, in any order; `jobs` is drawn lazily."""
        ...

    def __enter__(self) -> Runner: ...

    def __exit__(self, *error: object) -> None: ...


def measure(session: Session, binding: Binding, stop: StoppingRule | None) -> Measurement:
    """Evaluate one configuration.

    Args:
      session: holds the samples; with `stop`, in the order of `stop.order`.
      stop: when to end before all samples are looked at.
    """
    begin = time.perf_counter()
    judge, total = session.judge, len(session.dataset)
    parts: list[np.ndarray] = []
    counts: list[np.ndarray] = []
    looked = 0
    looks = stop.looks if stop is not None else ()
    for look, until in enumerate((*looks, total)):
        parts.append(session.outputs(binding, looked, until))
        counts.append(judge.count(parts[-1], looked))
        looked = until
        if until == total:
            break
        together = judge.metric.merge(counts)
        if stop is not None and stop.stops(look, together):
            return _measured(session, together, looked, begin, None)
    outputs = np.concatenate(parts) if len(parts) > 1 else parts[0]
    together = judge.metric.merge(counts)
    measured = _measured(session, together, total, begin, outputs)
    if stop is None:
        return replace(measured, outcome=outcome_of(judge, outputs, together))
    back = np.argsort(stop.order)
    return replace(measured, outcome=outcome_of(judge.ordered(back), outputs[back]))


def _measured(
    session: Session, counts: np.ndarray, samples: int, begin: float, outputs: np.ndarray | None
) -> Measurement:
    """Return the measurement of so many samples; `outputs` are those of all."""
    metric = session.judge.metric
    return Measurement(
        metric.value(counts),
        int(counts.sum()) if metric.each == "right" else None,
        samples,
        time.perf_counter() - begin,
        None if outputs is None else session.difference(outputs),
        outputs is None,
    )


class LocalRunner:
    """Evaluates in this process, one configuration after the other, on all its threads."""

    def __init__(self, session: Session, stop: StoppingRule | None = None) -> None:
        self._session, self._stop = session, stop

    def run(self, jobs: Iterable[tuple[T, Binding]]) -> Iterator[tuple[T, Measurement]]:
        """See `Runner`."""
        for tag, binding in jobs:
            yield tag, measure(self._session, binding, self._stop)

    def __enter__(self) -> LocalRunner:
        return self

    def __exit__(self, *error: object) -> None:
        pass
