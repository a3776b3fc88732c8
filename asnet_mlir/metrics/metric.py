# SPDX-License-Identifier: Apache-2.0
"""What a metric is: what it is told, what it counts of some samples, and the figure of all."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.support.formats import F32, NumberFormat

__all__ = ["Metric", "Output", "numbers_like", "text_of"]

#: What stands for an infinite figure in sums and differences of scores: no finite figure of 64-bit
#: arithmetic comes near it in decibels.
_MOST_DECIBELS = 1000.0


@dataclass(frozen=True)
class Output:
    """What a network gives for a sample.

    Attributes:
      shape: without the batch; the last dimension are classes where a metric looks for any.
      format: of its numbers; integers are codes.
    """

    shape: tuple[int, ...]
    format: NumberFormat = F32

    @property
    def channels(self) -> int:
        """The size of the last dimension."""
        return self.shape[-1] if self.shape else 1

    @property
    def places(self) -> tuple[int, ...]:
        """The dimensions before the last: one class each."""
        return self.shape[:-1]


@dataclass(frozen=True)
class Metric(ABC):
    """How good outputs are.

    What it counts of some samples is an array; the counts of several groups of samples, merged in
    the samples' order, are those of all together, bit for bit, however they were divided.

    Attributes:
      against_exact: its targets are the exact network's outputs, even where the data has others.
      larger_is_better: the direction.
      unit: of the figure: a share of 1 (`%`), decibels (`dB`), or none.
      title: of an axis.
      each: what a count is of, where the figure is the mean of the samples' counts: `right` (0 or
        1), `error` (0 or more); None otherwise.
    """

    against_exact: bool = False

    larger_is_better: ClassVar[bool] = True
    unit: ClassVar[Literal["%", "dB", ""]] = "%"
    title: ClassVar[str] = ""

    @property
    @abstractmethod
    def name(self) -> str:
        """As `--metric` and bounds have it, without its options."""

    @property
    def key(self) -> str:
        """Tells it from every metric that may give other figures."""
        return f"{self.name}:exact" if self.against_exact else self.name

    @property
    def each(self) -> Literal["right", "error"] | None:
        return None

    @abstractmethod
    def prepared(self, targets: np.ndarray, output: Output) -> tuple[Self, np.ndarray]:
        """Return the metric for these targets, and the targets as `count` takes them.

        Args:
          targets: [n, ...] as the data has them.

        Raises:
          InputError: they don't fit the output, or the metric does not.
        """

    @abstractmethod
    def prepared_exact(self, output: Output) -> Self:
        """Return the metric for targets that will be the exact network's outputs.

        Raises:
          InputError: it can't judge such an output.
        """

    def resolved(self, exact: np.ndarray) -> Self:
        """Return the metric with what is left to decide decided by the exact network's outputs."""
        return self

    @abstractmethod
    def answers(self, exact: np.ndarray) -> np.ndarray:
        """Return what `count` takes as targets where they are the exact network's outputs."""

    @abstractmethod
    def count(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return what is counted of some samples.

        Args:
          outputs: [n, *shape] of the output's dtype.
          targets: [n, ...] as `prepared` or `answers` gives them.
        """

    def merge(self, counts: Sequence[np.ndarray]) -> np.ndarray:
        """Return the counts of all samples; by default there is a row for each."""
        return np.concatenate(counts) if len(counts) > 1 else counts[0]

    @abstractmethod
    def value(self, counts: np.ndarray) -> float:
        """Return the figure; infinite ones occur, NaN does not."""

    def score(self, value: float) -> float:
        """Return a finite number that is the larger, the better the figure is."""
        finite = min(max(value, -_MOST_DECIBELS), _MOST_DECIBELS) if math.isinf(value) else value
        return finite if self.larger_is_better else -finite

    @property
    def factor(self) -> float:
        """What a figure is multiplied by where its unit is shown."""
        return 100.0 if self.unit == "%" else 1.0

    @property
    def axis(self) -> str:
        """The title of an axis, with the unit."""
        return f"{self.title} [{self.unit}]" if self.unit else self.title

    def show(self, value: float) -> str:
        """Return a figure for people, with its unit: `92.74 %`, `31.20 dB`, `0.00123`."""
        return text_of(value, self.unit)


def text_of(value: float, unit: str) -> str:
    """Return a metric's figure with its unit."""
    if unit == "%":
        return f"{100 * value:.2f} %"
    if math.isinf(value):
        return "infinite" if value > 0 else "minus infinite"
    return f"{value:.2f} dB" if unit == "dB" else f"{value:.4g}"


def numbers_like(targets: np.ndarray, output: Output) -> np.ndarray:
    """Return targets as float64[n, *shape] of the output.

    Dimensions of size 1 may come and go.

    Raises:
      InputError: they have another shape.
    """
    have = [size for size in targets.shape[1:] if size != 1]
    if have != [size for size in output.shape if size != 1]:
        raise InputError(
            f"targets of shape {list(targets.shape[1:])} a sample can't be compared with outputs "
            f"of shape {list(output.shape)}"
        )
    if not output.format.is_float and not np.array_equal(targets, np.rint(targets)):
        raise InputError(
            f"the network's outputs are integer codes ({output.format}), the targets are not; give "
            "targets in codes, or the float network"
        )
    return targets.astype(np.float64).reshape(len(targets), *output.shape)
