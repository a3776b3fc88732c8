# SPDX-License-Identifier: Apache-2.0
"""What each sample, or group of samples, contributes to a metric's figure.

It is what intervals and paired tests are made of (`evaluation.statistics`).  Where the metric is
the share of right samples, it is which ones are right.  Any other metric has jackknife
pseudo-values (Tukey, 1958): the samples are divided into g groups in their order, and group i has
g v - (g - 1) v(i), v being the figure of all samples and v(i) that of all but the group's.  Of a
mean that is the mean of the group; of every smooth figure the pseudo-values behave like independent
draws whose mean is the figure.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from asnet_mlir.evaluation.statistics import bootstrap, mcnemar, share_interval, sign_flips
from asnet_mlir.metrics import Judge

__all__ = ["Outcome", "interval", "outcome_of", "p_value"]

#: bool[n], which samples are right, or float64[g], pseudo-values of groups of samples.
Outcome = np.ndarray

#: Groups of means, which cost nothing, and of other figures, each of which is computed once more.
_GROUPS_OF_MEANS, _GROUPS = 256, 20


def outcome_of(
    judge: Judge, outputs: np.ndarray, counts: np.ndarray | None = None
) -> Outcome | None:
    """Return what an evaluation's samples contribute; None where a figure is infinite.

    Args:
      judge: resolved, for all samples in the order of the data.
      outputs: [n, *shape] of all samples.
      counts: what `judge.count` gives of them, where that is known.
    """
    metric, samples = judge.metric, len(outputs)
    if metric.each is not None and counts is None:
        counts = judge.count(outputs)
    if metric.each == "right" and counts is not None:
        return counts.astype(bool)
    groups = min(samples, _GROUPS_OF_MEANS if metric.each == "error" else _GROUPS)
    begins = samples * np.arange(groups + 1) // groups
    if metric.each == "error" and counts is not None:
        values = np.add.reduceat(counts.astype(np.float64), begins[:-1]) / np.diff(begins)
    else:
        values = np.fromiter(_pseudo_values(judge, outputs, begins), np.float64)
    return values if groups > 1 and np.isfinite(values).all() else None


def _pseudo_values(judge: Judge, outputs: np.ndarray, begins: np.ndarray) -> Iterator[float]:
    metric = judge.metric
    counts = [judge.count(outputs[begin:end], begin) for begin, end in itertools.pairwise(begins)]
    whole, groups = metric.value(metric.merge(counts)), len(counts)
    for group in range(groups):
        others = counts[:group] + counts[group + 1 :]
        without = metric.value(metric.merge(others)) if others else whole
        yield groups * whole - (groups - 1) * without if np.isfinite(without) else np.nan


def interval(outcome: Outcome) -> tuple[float, float]:
    """Return the 95 % confidence interval of the figure: Wilson's of a share, else a bootstrap."""
    if outcome.dtype == bool:
        return share_interval(int(outcome.sum()), len(outcome))
    return bootstrap(outcome)


def p_value(one: Outcome | None, other: Outcome | None) -> float | None:
    """Return how likely two configurations on the same samples differ as much by chance.

    McNemar's exact test of shares, else a test of random signs of the differences of groups.  None
    where one of the outcomes is not known, or they are of other samples.
    """
    if one is None or other is None or one.shape != other.shape or one.dtype != other.dtype:
        return None
    return mcnemar(one, other) if one.dtype == bool else sign_flips(one - other)
