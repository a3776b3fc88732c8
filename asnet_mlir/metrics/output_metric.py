# SPDX-License-Identifier: Apache-2.0
"""A metric of one output of a network that has several."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np

from asnet_mlir.metrics.metric import Metric, Output
from asnet_mlir.support.parts import Parts

__all__ = ["OutputMetric"]


@dataclass(frozen=True)
class OutputMetric(Metric):
    """What another metric says of one output: `--metric OUTPUT=METRIC`.

    Bounds name it as they name the other; results, stores and reports say the output, too.

    Attributes:
      metric: judges the output.
      output: its name.
      parts: the network's outputs; None until the network is known.
    """

    metric: Metric = None  # type: ignore[assignment]
    output: str = ""
    parts: Parts | None = None

    @property
    def name(self) -> str:
        return self.metric.name

    @property
    def key(self) -> str:
        index = self._parts.names.index(self.output)
        (begin, end), format = self._parts.bounds[index], self._parts.parts[index].format
        return f"{self.output}[{begin}:{end}]{format}={self.metric.key}"

    @property
    def larger_is_better(self) -> bool:  # type: ignore[override]
        return self.metric.larger_is_better

    @property
    def unit(self) -> Literal["%", "dB", ""]:  # type: ignore[override]
        return self.metric.unit

    @property
    def title(self) -> str:  # type: ignore[override]
        return f"{self.output}: {self.metric.title or self.metric.name}"

    @property
    def each(self) -> Literal["right", "error"] | None:
        return self.metric.each

    def prepared(self, targets: np.ndarray, output: Output) -> tuple[Self, np.ndarray]:
        metric, prepared = self.metric.prepared(targets, self._output)
        return self._with(metric), prepared

    def prepared_exact(self, output: Output) -> Self:
        return self._with(self.metric.prepared_exact(self._output))

    def resolved(self, exact: np.ndarray) -> Self:
        return self._with(self.metric.resolved(self.take(exact)))

    def answers(self, exact: np.ndarray) -> np.ndarray:
        return self.metric.answers(self.take(exact))

    def count(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return self.metric.count(self.take(outputs), targets)

    def merge(self, counts: Sequence[np.ndarray]) -> np.ndarray:
        return self.metric.merge(counts)

    def value(self, counts: np.ndarray) -> float:
        return self.metric.value(counts)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return the output of rows of all."""
        return self._parts.take(self.output, rows)

    @property
    def _parts(self) -> Parts:
        assert self.parts is not None  # `make_judges` knows the network
        return self.parts

    @property
    def _output(self) -> Output:
        part = self._parts.part(self.output, "output")
        return Output(part.shape, part.format)

    def _with(self, metric: Metric) -> Self:
        return dataclasses.replace(self, metric=metric, against_exact=metric.against_exact)
