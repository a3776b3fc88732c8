# SPDX-License-Identifier: Apache-2.0
"""Who evaluates configurations: this process, or the workers of a Dask cluster."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from asnet_mlir.binding import Binding
from asnet_mlir.evaluation.session import Session
from asnet_mlir.exploration.early_stop import EarlyStop

__all__ = ["LocalRunner", "Measurement", "Runner", "measure"]

T = TypeVar("T")


@dataclass(frozen=True)
class Measurement:
    """What came out of an evaluation.

    Attributes:
      correct: samples classified as labelled, of `samples` evaluated.
      seconds: that it took, compilation included.
      stopped: the evaluation ended early; the rest of the samples was not looked at.
    """

    correct: int
    samples: int
    seconds: float
    stopped: bool = False


class Runner(Protocol):
    """Evaluates configurations; one that is done comes out as soon as it is."""

    def run(self, jobs: Iterable[tuple[T, Binding]]) -> Iterator[tuple[T, Measurement]]:
        """Yield each job's tag with its measurement, in any order; `jobs` is drawn lazily."""
        ...

    def __enter__(self) -> Runner: ...

    def __exit__(self, *error: object) -> None: ...


def measure(session: Session, binding: Binding, stop: EarlyStop | None) -> Measurement:
    """Evaluate one configuration.

    Args:
      session: holds the samples; with `stop`, in the order of `stop.order`.
      stop: when to end before all samples are looked at.
    """
    begin = time.perf_counter()
    correct = looked = 0
    if stop is not None:
        for until, threshold in zip(stop.looks, stop.thresholds, strict=True):
            correct += int(session.right(binding, looked, until).sum())
            looked = until
            if correct <= threshold:
                return Measurement(correct, looked, time.perf_counter() - begin, stopped=True)
    total = len(session.dataset)
    correct += int(session.right(binding, looked, total).sum())
    return Measurement(correct, total, time.perf_counter() - begin)


class LocalRunner:
    """Evaluates in this process, one configuration after the other, on all its threads."""

    def __init__(self, session: Session, stop: EarlyStop | None = None) -> None:
        self._session, self._stop = session, stop

    def run(self, jobs: Iterable[tuple[T, Binding]]) -> Iterator[tuple[T, Measurement]]:
        """See `Runner`."""
        for tag, binding in jobs:
            yield tag, measure(self._session, binding, self._stop)

    def __enter__(self) -> LocalRunner:
        return self

    def __exit__(self, *error: object) -> None:
        pass
