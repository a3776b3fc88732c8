# SPDX-License-Identifier: Apache-2.0
"""When an evaluation may stop: its accuracy is below the bound, with a stated confidence.

The samples are looked at in an order that a seed draws once for all configurations.  After n of
the N samples, k of them right, the number right among all N is hypergeometric: with K right in all,

    P(at most k right among n) = sum over i <= k of C(K, i) C(N - K, n - i) / C(N, n),

which falls as K grows.  A configuration that reaches the bound has K >= K0, so that it comes to k
or fewer with at most the probability at K = K0.  Where that is no more than alpha / L at one of L
looks planned beforehand, the evaluation stops.  By the union bound over the looks, a configuration
that does reach the bound is stopped with a probability of at most alpha = 1 - confidence, over the
draw of the order; nothing is assumed about the data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from asnet_mlir.errors import InputError

__all__ = ["EarlyStop"]

#: Shares of the samples after which is looked.
_LOOKS = (1 / 64, 1 / 32, 1 / 16, 3 / 32, 1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2, 3 / 4)
_FEWEST = 32
#: Looks are after multiples of this: samples are computed so many at once.
_WHOLE = 16


@dataclass(frozen=True)
class EarlyStop:
    """The stopping rule of one sweep.

    Attributes:
      samples: N, of the whole data set.
      needed: K0, how many of them must be right.
      confidence: 0.5 <= confidence < 1, that a stopped configuration does not reach K0.
      seed: of the order of the samples.
    """

    samples: int
    needed: int
    confidence: float
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.5 <= self.confidence < 1:
            raise InputError(
                f"--early-stop must be a confidence of at least 0.5 and below 1, such as 0.999, "
                f"not {self.confidence}"
            )

    @property
    def name(self) -> str:
        """Names the rule in the store: two rules of one name stop at the same place."""
        return f"1 {self.samples} {self.needed} {self.confidence!r} {self.seed}"

    @cached_property
    def order(self) -> np.ndarray:
        """int64[samples]: the samples in the order in which they are looked at."""
        return np.random.default_rng(self.seed).permutation(self.samples)

    @cached_property
    def looks(self) -> tuple[int, ...]:
        """After how many samples is looked."""
        counts = {_WHOLE * math.ceil(share * self.samples / _WHOLE) for share in _LOOKS}
        return tuple(sorted(n for n in counts if _FEWEST <= n < self.samples))

    @cached_property
    def thresholds(self) -> tuple[int, ...]:
        """Per look, stop at so many right or fewer; -1 where no count is small enough."""
        if not self.looks:
            return ()
        level = (1 - self.confidence) / len(self.looks)
        return tuple(_most_right(self.samples, self.needed, looked, level) for looked in self.looks)


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
