# SPDX-License-Identifier: Apache-2.0
"""A metric with its targets: what decides how good a configuration's outputs are."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.metrics.metric import Metric, Output
from asnet_mlir.metrics.named import default_metric, metric_named
from asnet_mlir.metrics.number_metrics import decibels, errors
from asnet_mlir.metrics.output_metric import OutputMetric
from asnet_mlir.support.parts import Parts

__all__ = [
    "Difference",
    "Judge",
    "Reference",
    "finite",
    "make_judge",
    "make_judges",
    "only_judged",
    "targets_by_output",
]

#: Targets that do not say of which output.
_LABELS = "y"


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


class Reference:
    """Outputs of the exact network, [n, *shape], with which others are compared."""

    def __init__(self, exact: np.ndarray) -> None:
        """Prepare what every comparison needs of them."""
        self._exact = exact
        flat = exact.astype(np.float64).reshape(len(exact), -1)
        energy = np.square(np.where(np.isfinite(flat), flat, 0.0)).sum(axis=1)
        self._energy = math.fsum(energy)
        has_answers = exact.ndim == 2 and exact.shape[1] > 1
        self._answers = _answers(exact) if has_answers else None

    def difference(self, outputs: np.ndarray) -> Difference:
        """Compare outputs of the same samples."""
        error = errors(outputs, self._exact)
        snr = decibels(self._energy, math.fsum(np.square(error).sum(axis=1)))
        same = error == 0 if self._answers is None else _answers(outputs) == self._answers
        return Difference(snr, float(np.mean(same)), float(error.max(initial=0.0)))


def _answers(outputs: np.ndarray) -> np.ndarray:
    """Return [n]: the place of the largest output; ~ of it where one is NaN."""
    places = np.argmax(outputs, axis=1)
    return np.where(np.isnan(outputs).any(axis=1), ~places, places)


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

    def judged(self, outputs: np.ndarray) -> np.ndarray:
        """Return the output that the metric is of, where the network has several."""
        return self.metric.take(outputs) if isinstance(self.metric, OutputMetric) else outputs

    def difference(self, outputs: np.ndarray, exact: np.ndarray) -> Difference:
        """Return how what is judged differs from the exact network's."""
        return Reference(self.judged(exact)).difference(self.judged(outputs))

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
    if isinstance(metric, OutputMetric):
        raise InputError(
            f"metric '{metric.output}={metric.name}': the network has one output; give "
            f"--metric {metric.name}"
        )
    try:
        metric = metric or default_metric(targets, output)
        if targets is None or metric.against_exact:
            metric = dataclasses.replace(metric, against_exact=True)
            return Judge(metric.prepared_exact(output), None)
        return Judge(*metric.prepared(targets, output))
    except InputError as error:
        raise InputError(f"{data}: {error}") from None


def make_judges(
    metrics: Sequence[str | Metric], targets: np.ndarray | None, outputs: Parts, data: str
) -> list[Judge]:
    """Return what judges each of several outputs, the one that the figure is of first.

    That is the output of the first metric, else the first that has targets.

    Args:
      metrics: each of one output (`OUTPUT=METRIC`); one that names none is of the only output that
        has targets.  The others are judged as `default_metric` says.
      targets: a field for each output that has any (`Dataset.y`), an array where the data does not
        say of which, or None.
      data: its name, for messages.

    Raises:
      InputError: see `make_judge`; there is no such output, or it is named twice.
    """
    named = [metric_named(one) if isinstance(one, str) else one for one in metrics]
    said = [one.output for one in named if isinstance(one, OutputMetric)]
    for name in said:
        outputs.part(name, "output")
    by_output = targets_by_output(targets, said, outputs, data)
    chosen: dict[str, Metric] = {}
    for one in named:
        if isinstance(one, OutputMetric):
            name, metric = one.output, one.metric
        else:
            name, metric = only_judged(by_output, outputs, data), one
        if name in chosen:
            raise InputError(f"{data}: output '{name}' has two metrics; give one")
        chosen[name] = metric
    order = [*chosen, *by_output, *outputs.names]
    judges = []
    for name in dict.fromkeys(order):
        part, own = outputs.part(name, "output"), by_output.get(name)
        kind = Output(part.shape, part.format)
        judge = make_judge(chosen.get(name), own, kind, f"{data}, output '{name}'")
        of = OutputMetric(judge.metric.against_exact, judge.metric, name, outputs)
        judges.append(Judge(of, judge.targets))
    return judges


def targets_by_output(
    targets: np.ndarray | None, said: Sequence[str], outputs: Parts, data: str
) -> dict[str, np.ndarray]:
    """Return the targets of each output that has any, by its name.

    Args:
      targets: see `make_judges`.
      said: outputs that metrics name, the first of which targets without a name are of.

    Raises:
      InputError: targets do not say of which output they are.
    """
    if targets is None:
        return {}
    if targets.dtype.names is None:
        found = {_LABELS: targets}
    else:
        found = {name: np.ascontiguousarray(targets[name]) for name in targets.dtype.names}
    if _LABELS in found and _LABELS not in outputs.names:
        if not said or said[0] in found:
            raise InputError(
                f"{data}: 'y' does not say of which output; call it "
                f"{', '.join(f'y_{name}' for name in outputs.names)}, or say the output: "
                f"--metric {outputs.names[0]}=METRIC"
            )
        found[said[0]] = found.pop(_LABELS)
    return {name: found[name] for name in outputs.names if name in found}


def only_judged(by_output: Collection[str], outputs: Parts, data: str) -> str:
    """Return the only output that has targets.

    Raises:
      InputError: several have any, or none.
    """
    if len(by_output) == 1:
        return next(iter(by_output))
    what = f"targets of {', '.join(sorted(by_output))}" if by_output else "no targets"
    raise InputError(
        f"{data}: has {what}, the network has the outputs {', '.join(outputs.names)}; say which "
        f"one is judged: --metric {outputs.names[0]}=METRIC"
    )


def finite(value: float) -> float | None:
    """Return a figure as a JSON value: None stands for an infinite one."""
    return value if math.isfinite(value) else None
