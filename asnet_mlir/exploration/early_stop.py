# SPDX-License-Identifier: Apache-2.0
"""When an evaluation may stop: its figure will not satisfy the bound, with a stated confidence.

**Shares of right samples** (`EarlyStop`).  The samples are looked at in an order that a seed draws
once for all configurations.  After n of the N samples, k of them right, the number right among all
N is hypergeometric: with K right in all,

    P(at most k right among n) = sum over i <= k of C(K, i) C(N - K, n - i) / C(N, n),

which falls as K grows.  A configuration that reaches the bound has K >= K0, so that it comes to k
or fewer with at most the probability at K = K0.  Where that is no more than alpha / L at one of L
looks planned beforehand, the evaluation stops.  By the union bound over the looks, a configuration
that does reach the bound is stopped with a probability of at most alpha = 1 - confidence, over the
draw of the order; nothing is assumed about the data.

**Means of errors** that are not negative (`ErrorStop`).  What was summed of some samples only grows
with the others: where it is above N times the bound, the mean is, for certain.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from asnet_mlir.errors import InputError

__all__ = ["EarlyStop", "ErrorStop", "StoppingRule"]

#: Shares of the samples after which is looked.
_LOOKS = (1 / 64, 1 / 32, 1 / 16, 3 / 32, 1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2, 3 / 4)
_FEWEST = 32
#: Looks are after multiples of this: samples are computed so many at once.
_WHOLE = 16


@dataclass(frozen=True)
class StoppingRule(ABC):
    """The stopping rule of one sweep.

    Attributes:
      samples: N, of the whole data set.
      needed: what the metric must reach: for shares K0, how many samples must be right.
      confidence: that a stopped configuration does not reach it, as the user gave it.
      seed: of the order of the samples.
    """

    samples: int
    needed: float
    confidence: float
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.5 <= self.confidence < 1:
            raise InputError(
                f"--early-stop must be a confidence of at least 0.5 and below 1, such as 0.999, "
                f"not {self.confidence}"
            )

    @property
    @abstractmethod
    def name(self) -> str:
        """Names the rule in the store: two rules of one name stop at the same place."""

    @property
    @abstractmethod
    def bound(self) -> float:
        """The figure of the metric that must be reached."""

    @abstractmethod
    def stops(self, look: int, counts: np.ndarray) -> bool:
        """Whether an evaluation ends at a look, by its number.

        Args:
          counts: of the samples so far, a number each, in the order in which they are looked at.
        """

    @cached_property
    def order(self) -> np.ndarray:
        """int64[samples]: the samples in the order in which they are looked at."""
        return np.random.default_rng(self.seed).permutation(self.samples)

    @cached_property
    def looks(self) -> tuple[int, ...]:
        """After how many samples is looked."""
        counts = {_WHOLE * math.ceil(share * self.samples / _WHOLE) for share in _LOOKS}
        return tuple(sorted(n for n in counts if _FEWEST <= n < self.samples))


@dataclass(frozen=True)
class EarlyStop(StoppingRule):
    """The rule for shares of right samples; a count is 0 or 1."""

    needed: int

    @property
    def name(self) -> str:
        return f"1 {self.samples} {self.needed} {self.confidence!r} {self.seed}"

    @property
    def bound(self) -> float:
        return self.needed / self.samples

    def stops(self, look: int, counts: np.ndarray) -> bool:
        return int(counts.sum()) <= self.thresholds[look]

    @cached_property
    def thresholds(self) -> tuple[int, ...]:
        """Per look, stop at so many right or fewer; -1 where no count is small enough."""
        if not self.looks:
            return ()
        level = (1 - self.confidence) / len(self.looks)
        return tuple(_most_right(self.samples, self.needed, looked, level) for looked in self.looks)


@dataclass(frozen=True)
class ErrorStop(StoppingRule):
    """The rule for means of errors; a count is 0 or more.

    Attributes:
      strict: whether the mean must be below `needed` rather than at most that.
    """

    strict: bool = False

    @property
    def name(self) -> str:
        return f"error 1 {self.samples} {self.needed!r} {self.strict} {self.seed}"

    @property
    def bound(self) -> float:
        return self.needed

    def stops(self, look: int, counts: np.ndarray) -> bool:
        # Rounded as the whole sum will be, which is never less than a part of it.
        least = math.fsum(counts) / self.samples
        return least > self.needed or (self.strict and least == self.needed)


def _most_right(samples: int, needed: int, looked: int, level: float) -> int:
    """Return the largest k with P(at most k of `looked` right | `needed` of all) <= level.

    It is -1 where there is none.
    """
    if needed > samples:
        return looked  # nothing reaches the bound
    fewest = max(0, looked - (samples - needed))
    total, best = -math.inf, fewest - 1  # fewer than `fewest` is impossible: certainly below
    # A hair below, for the rounding of logarithms of numbers as large as samples!.
    log_level = math.log(level) - 1e-9 - 1e-13 * samples
    for right in range(fewest, min(looked, needed) + 1):
        total = float(np.logaddexp(total, _log_probability(samples, needed, looked, right)))
        if total > log_level:
            break
        best = right
    return best


def _log_probability(samples: int, needed: int, looked: int, right: int) -> float:
    return (
        _log_choose(needed, right)
        + _log_choose(samples - needed, looked - right)
        - _log_choose(samples, looked)
    )


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
