# SPDX-License-Identifier: Apache-2.0
"""How sure a measured share is, and whether two configurations can be told apart.

Samples are taken as drawn independently from what the network will meet.  Intervals of a share are
Wilson's (1927): of the usual ones the one whose coverage stays near its level for shares near 0 and
1 and for few samples (Brown, Cai, DasGupta, 2001).  Two configurations are evaluated on the same
samples, so that they are compared pairwise: McNemar's test (1947) in its exact form looks at those
samples that one of them has right and the other has wrong; figures that are no shares are compared
by random signs of their differences (Fisher, 1935).
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

__all__ = ["LEVEL", "bootstrap", "mcnemar", "share_interval", "sign_flips"]

#: Of intervals, and 1 less the significance of tests.
LEVEL = 0.95


def share_interval(right: int, samples: int, level: float = LEVEL) -> tuple[float, float]:
    """Return Wilson's interval for a share of which `right` of `samples` were seen, in 0..1."""
    z = NormalDist().inv_cdf(0.5 + level / 2)
    share, weight = right / samples, z * z / samples
    centre = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(share * (1 - share) / samples + weight / samples / 4)
    # At the ends the interval begins and ends exactly there.
    low = 0.0 if right == 0 else max(0.0, centre - half)
    return low, 1.0 if right == samples else min(1.0, centre + half)


def mcnemar(one: np.ndarray, other: np.ndarray) -> float:
    """Return the two-sided p-value of McNemar's exact test.

    Args:
      one, other: bool[n], whether each sample is right.

    Under the null hypothesis each sample on which they disagree is as likely right in the one as in
    the other: the smaller of the two counts is binomial with probability 1/2.
    """
    first, second = int((one & ~other).sum()), int((other & ~one).sum())
    differing = first + second
    if differing == 0:
        return 1.0
    logs = [_log_choose(differing, k) for k in range(min(first, second) + 1)]
    tail = math.fsum(math.exp(log - differing * math.log(2)) for log in logs)
    return min(1.0, 2 * tail)


def bootstrap(
    values: np.ndarray, level: float = LEVEL, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Return the percentile interval (Efron, 1979) of the mean of a figure of each sample.

    Args:
      values: float[n].
    """
    values = np.asarray(values, np.float64)
    draw = np.random.default_rng(seed)
    means = values[draw.integers(0, len(values), (resamples, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [0.5 - level / 2, 0.5 + level / 2])
    return float(low), float(high)


def sign_flips(differences: np.ndarray, flips: int = 4000, seed: int = 0) -> float:
    """Return the two-sided p-value of paired differences, float[n], by random signs.

    Under the null hypothesis each difference is as likely the one as the other way round: the
    p-value is the share of draws of signs, the observed one among them, whose sum is as large.
    """
    if not differences.any():
        return 1.0
    draw = np.random.default_rng(seed)
    signs = 2.0 * draw.integers(0, 2, (flips, len(differences))) - 1.0
    observed = abs(differences.sum())
    larger = np.abs(signs @ differences) >= observed * (1 - 1e-12)
    return float((1 + larger.sum()) / (1 + flips))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
