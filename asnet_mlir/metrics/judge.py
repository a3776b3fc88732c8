# SPDX-License-Identifier: Apache-2.0
"""A metric with its targets: what decides how good a configuration's outputs are."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.metrics.metric import Metric, Output
from asnet_mlir.metrics.named import default_metric, metric_named
from asnet_mlir.metrics.number_metrics import decibels, errors

__all__ = ["Difference", "Judge", "finite", "make_judge"]


@dataclass(frozen=True)
class Difference:
    """How outputs differ from the exact network's, which needs no labels.

    Attributes:
      snr: 10 log10(sum e^2 / sum (o - e)^2) in dB, over all samples and outputs; infinite where
        they are equal.
      equal_answers: the share of samples with the same answer: the place of the largest output, or,
        of networks with one output or several dimensions, of outputs with the same bits.
      largest_error: of |o - e|.
    """

    snr: float
    equal_answers: float
    largest_error: float

    @classmethod
    def of(cls, outputs: np.ndarray, exact: np.ndarray) -> Difference:
        """Compare [n, *shape] outputs with those of the exact network."""
        error = errors(outputs, exact)
        flat = exact.astype(np.float64).reshape(len(exact), -1)
        signal = np.square(np.where(np.isfinite(flat), flat, 0.0)).sum(axis=1)
        snr = decibels(math.fsum(signal), math.fsum(np.square(error).sum(axis=1)))
        if exact.ndim == 2 and exact.shape[1] > 1:
            same = np.argmax(outputs, axis=1) == np.argmax(exact, axis=1)
            same &= np.isnan(outputs).any(axis=1) == np.isnan(exact).any(axis=1)
        else:
            same = error == 0
        return cls(snr, float(np.mean(same)), float(error.max(initial=0.0)))

    def to_json(self) -> dict[str, float | None]:
        """Return the figures as JSON values; None stands for an infinite one."""
        return {key: finite(value) for key, value in dataclasses.asdict(self).items()}

    def __str__(self) -> str:
        if self.largest_error == 0:
            return "equal to the exact network"
        snr = f"{self.snr:.1f} dB" if math.isfinite(self.snr) else "no"
        return (
            f"against the exact network: SNR {snr}, {100 * self.equal_answers:.2f} % equal "
            f"answers, largest error {self.largest_error:.3g}"
        )


@dataclass(frozen=True)
class Judge:
    """A metric, prepared for an output and its targets.

    Attributes:
      targets: [n, ...] as the metric counts them; None where they are the exact network's outputs,
        until `resolved` has seen these.
    """

    metric: Metric
    targets: np.ndarray | None

    @property
    def key(self) -> str:
        """Tells it from every judge that may give other figures on the same targets."""
        return self.metric.key

    def resolved(self, exact: np.ndarray) -> Judge:
        """Return the judge that knows the exact network's outputs of all samples, in order."""
        metric = self.metric.resolved(exact)
        targets = metric.answers(exact) if self.targets is None else self.targets
        return Judge(metric, targets)

    def ordered(self, order: np.ndarray) -> Judge:
        """Return the judge for the samples in another order."""
        return self if self.targets is None else Judge(self.metric, self.targets[order])

    def count(self, outputs: np.ndarray, start: int = 0) -> np.ndarray:
        """Return the counts of outputs of the samples from `start` on."""
        assert self.targets is not None
        return self.metric.count(outputs, self.targets[start : start + len(outputs)])

    def value(self, outputs: np.ndarray) -> float:
        """Return the figure of the outputs of all samples."""
        return self.metric.value(self.count(outputs))


def make_judge(
    metric: str | Metric | None, targets: np.ndarray | None, output: Output, data: str
) -> Judge:
    """Return what judges outputs.

    Args:
      metric: as `metric_named` takes it; by default what `default_metric` says.
      targets: as the data has them, or None.
      data: its name, for messages.

    Raises:
      InputError: there is no such metric, or it can't judge such outputs by such targets.
    """
    if isinstance(metric, str):
        metric = metric_named(metric)
    try:
        metric = metric or default_metric(targets, output)
        if targets is None or metric.against_exact:
            metric = dataclasses.replace(metric, against_exact=True)
            return Judge(metric.prepared_exact(output), None)
        return Judge(*metric.prepared(targets, output))
    except InputError as error:
        raise InputError(f"{data}: {error}") from None


def finite(value: float) -> float | None:
    """Return a figure as a JSON value: None stands for an infinite one."""
    return value if math.isfinite(value) else None
