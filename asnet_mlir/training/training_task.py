# SPDX-License-Identifier: Apache-2.0
"""Samples with the losses that training makes small on them, and what judges it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from asnet_mlir.data import Dataset
from asnet_mlir.errors import InputError
from asnet_mlir.evaluation.evaluate import judges_of
from asnet_mlir.metrics import Judge, Metric, Output, OutputMetric, targets_by_output
from asnet_mlir.network import Network
from asnet_mlir.training.approximation import ONLY, Approximation, approximate
from asnet_mlir.training.losses import Loss, make_losses, total_loss

__all__ = ["Task", "exact_rows", "judged", "logits_of", "make_task"]

#: Samples that are judged at once.
_BATCH = 500
#: What decides where several outputs have labels, and no metric says more.
_LOSS = "validation_loss"


@dataclass(frozen=True)
class Task:
    """What a network is trained for on some samples.

    Attributes:
      x: [n, *input_shape] of the network's format.
      losses: of the outputs that are trained for.
      judges: of the outputs that have labels or that metrics name, the deciding one first.
      decided_by: of `labels`, or `validation_loss`.
    """

    x: np.ndarray
    losses: Sequence[Loss]
    judges: Sequence[Judge]
    decided_by: str

    @property
    def labels(self) -> list[str]:
        """What figures are called."""
        return [_label(judge.metric) for judge in self.judges]

    @property
    def key(self) -> str:
        """A text that differs where steps or scores do on the same arrays."""
        losses = [(loss.output, loss.name, loss.weight) for loss in self.losses]
        return repr([losses, [judge.key for judge in self.judges], self.decided_by])

    @property
    def arrays(self) -> list[np.ndarray]:
        """The samples and all targets."""
        return [self.x, *(loss.targets for loss in self.losses)]

    def part(self, begin: int, end: int) -> Task:
        """Return the task on some of the samples."""
        losses = [replace(loss, targets=loss.targets[begin:end]) for loss in self.losses]
        judges = [judge.ordered(np.arange(begin, end)) for judge in self.judges]
        return replace(self, x=self.x[begin:end], losses=losses, judges=judges)

    def require_like(self, other: Task) -> None:
        """Refuse validation samples that do not tell what training is for.

        Raises:
          InputError: other outputs have labels than those that are trained for.
        """
        own, trained = ([loss.output for loss in task.losses] for task in (self, other))
        if own != trained:
            raise InputError(
                f"the samples to validate on have labels of {', '.join(own)}, those to train on of "
                f"{', '.join(trained)}; give both the same"
            )

    def resolved(self, exact: Callable[[np.ndarray], np.ndarray]) -> Task:
        """Return the task whose judges know the exact network's outputs.

        Args:
          exact: returns them, rows of several outputs, of samples.
        """
        rows = exact(self.x)
        return replace(self, judges=[judge.resolved(rows) for judge in self.judges])

    def judge(
        self, judged: Callable[[Any, Any, Any], Any], parameters: Any
    ) -> tuple[float, float, dict[str, float]]:
        """Return the score, the loss, and the figures by their labels."""
        rows, losses = [], []
        for start in range(0, len(self.x), _BATCH):
            chosen = slice(start, start + _BATCH)
            targets = [loss.targets[chosen] for loss in self.losses]
            x = self.x[chosen]
            outputs, loss = judged(x, parameters, targets)
            rows.append(np.asarray(outputs))
            losses.append(float(loss) * len(x))
        outputs = np.concatenate(rows)
        figures = [judge.value(outputs) for judge in self.judges]
        loss = sum(losses) / len(self.x)
        if self.decided_by == _LOSS:
            score = -loss if np.isfinite(loss) else -np.inf
        else:
            score = self.judges[0].metric.score(figures[0])
        return score, loss, dict(zip(self.labels, figures, strict=True))


def make_task(
    network: Network,
    dataset: Dataset,
    losses: Sequence[str],
    metric: str | Metric | Sequence[str | Metric] | None,
) -> Task:
    """Return what a network is trained for on data.

    Args:
      losses: see `make_losses`.
      metric: see `judges_of`.

    Raises:
      InputError: see `make_losses` and `judges_of`.
    """
    label = f"{network.name} on {dataset.name}"
    judges = judges_of(metric, dataset, network)
    said = [judge.metric for judge in judges]
    if network.outputs is None:
        outputs = {ONLY: Output(network.output_shape, network.output_format)}
        targets = {} if dataset.y is None else {ONLY: dataset.y}
        metrics = {ONLY: said[0]}
    else:
        outputs = {part.name: Output(part.shape, part.format) for part in network.outputs}
        metrics = {one.output: one.metric for one in said if isinstance(one, OutputMetric)}
        first = [next(iter(metrics))] if metric is not None else []
        targets = targets_by_output(dataset.y, first, network.outputs, label)
    made = make_losses(losses, targets, outputs, metrics, label)
    count = len([metric] if isinstance(metric, str | Metric) else metric or ())
    kept = [
        judge
        for place, judge in enumerate(judges)
        if place < count or _output(judge.metric) in targets
    ]
    is_open = metric is None and len(targets) > 1
    return Task(dataset.x, made, kept, _LOSS if is_open else _label(kept[0].metric))


def logits_of(losses: Sequence[Loss]) -> list[str]:
    """Return the outputs whose losses take logits."""
    return [loss.output for loss in losses if loss.takes_logits]


def judged(function: Approximation, losses: Sequence[Loss]) -> Callable[[Any, Any, Any], Any]:
    """Return a function of samples, parameters and targets that gives outputs and the loss."""

    def both(x: Any, parameters: Any, targets: Any) -> tuple[Any, Any]:
        rows, reals = function.reals(x, parameters, logits=logits_of(losses))
        return rows, total_loss(losses, reals, targets)

    return jax.jit(both)


def exact_rows(network: Network, function: Approximation, x: np.ndarray) -> np.ndarray:
    """Return a network's outputs with exact arithmetic.

    Args:
      function: the network under a binding.
      x: samples.
    """
    exact = jax.jit(approximate(network) if function.binding.rules else function)
    parts = [np.asarray(exact(x[start : start + _BATCH])) for start in range(0, len(x), _BATCH)]
    return np.concatenate(parts)


def _output(metric: Metric) -> str:
    return metric.output if isinstance(metric, OutputMetric) else ONLY


def _label(metric: Metric) -> str:
    return f"{metric.output} {metric.name}" if isinstance(metric, OutputMetric) else metric.name
