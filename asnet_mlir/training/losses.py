# SPDX-License-Identifier: Apache-2.0
"""What training makes small: a loss for each output that has labels, and their weighted sum."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.metrics import (
    ClassMetric,
    Metric,
    Output,
    class_labels,
    default_metric,
    numbers_like,
)

__all__ = ["LOSSES", "Loss", "are_classes", "cross_entropy", "make_losses", "total_loss"]

LOSSES = ("cross_entropy", "mse", "mae")


@dataclass(frozen=True)
class Loss:
    """What is made small of an output.

    Attributes:
      output: its name.
      name: of `LOSSES`.
      weight: in the sum of all losses.
      targets: of all samples: int64[n, *places] where they are classes, else float32[n, *shape].
    """

    output: str
    name: str
    weight: float
    targets: np.ndarray

    @property
    def takes_logits(self) -> bool:
        """Whether it takes what the output's softmax or sigmoid takes."""
        return self.name == "cross_entropy"

    def value(self, given: Any, targets: Any) -> Any:
        """Return the mean loss of some samples, without its weight.

        Args:
          given: float32[n, *shape], the output (logits, see `takes_logits`).
          targets: theirs, of `self.targets`.
        """
        if self.name == "cross_entropy":
            return cross_entropy(given, targets)
        error = given - targets
        return jnp.square(error).mean() if self.name == "mse" else jnp.abs(error).mean()


def total_loss(losses: Sequence[Loss], given: Mapping[str, Any], targets: Sequence[Any]) -> Any:
    """Return the weighted sum of losses.

    Args:
      given: the outputs by their names; see `Loss.value`.
      targets: of each loss.
    """
    return sum(
        loss.weight * loss.value(given[loss.output], own)
        for loss, own in zip(losses, targets, strict=True)
    )


def cross_entropy(logits: Any, classes: Any) -> Any:
    """Return the mean cross entropy, in nats.

    Args:
      logits: float32[n, *places, classes]; of one number that of class 1 against class 0.
      classes: int[n, *places].
    """
    if logits.ndim == classes.ndim or logits.shape[-1] == 1:
        logits = logits.reshape(classes.shape)
        return (jax.nn.softplus(logits) - logits * classes).mean()
    chances = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(chances, classes[..., None], axis=-1).mean()


def are_classes(y: np.ndarray | None) -> bool:
    """Return whether labels are one integer a sample, none of them negative."""
    if y is None or y.ndim != 1 or not np.issubdtype(y.dtype, np.integer):
        return False
    return not len(y) or int(y.min()) >= 0


def make_losses(
    texts: Sequence[str],
    targets: Mapping[str, np.ndarray],
    outputs: Mapping[str, Output],
    metrics: Mapping[str, Metric],
    data: str,
) -> list[Loss]:
    """Return the losses of the outputs that have labels.

    Args:
      texts: `[OUTPUT=]LOSS[:WEIGHT]`; without OUTPUT of the only output that has labels.  Without a
        text, an output has the loss that goes with its metric: the cross entropy of classes, the
        mean squared error of numbers.
      targets: by output those that the data has.
      outputs: all, by their names, in order.
      metrics: by output what judges it.
      data: its name, for messages.

    Raises:
      InputError: there is no such loss or output, its labels are missing or don't fit; no output
        has any labels, or a weight above 0.
    """
    if not targets:
        raise InputError(f"{data}: has no labels, and training takes those of an output or more")
    chosen: dict[str, tuple[str, float]] = {}
    for text in texts:
        output, name, weight = _parsed(text, targets, outputs, data)
        if output in chosen:
            raise InputError(f"loss '{text}': output '{output}' has two losses; give one")
        chosen[output] = name, weight
    losses = []
    for output, kind in outputs.items():
        if output not in targets:
            continue
        named = chosen.get(output)
        where = data if len(outputs) == 1 else f"{data}, output '{output}'"
        try:
            name = named[0] if named else _default(targets[output], kind, metrics.get(output))
            own = _prepared(name, targets[output], kind)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        losses.append(Loss(output, name, named[1] if named else 1.0, own))
    losses = [loss for loss in losses if loss.weight]
    if not losses:
        raise InputError(f"{data}: all losses have the weight 0; there is nothing to train for")
    return losses


def _parsed(
    text: str, targets: Mapping[str, np.ndarray], outputs: Mapping[str, Output], data: str
) -> tuple[str, str, float]:
    """Return the output, the name and the weight of `[OUTPUT=]LOSS[:WEIGHT]`."""
    output, _, rest = text.rpartition("=")
    name, colon, weight = rest.partition(":")
    if name not in LOSSES:
        raise InputError(f"loss '{text}': '{name}' is none of {', '.join(LOSSES)}")
    if not output and len(outputs) > 1 and len(targets) > 1:
        raise InputError(
            f"loss '{text}': {data} has labels of {', '.join(targets)}; say of which output it is: "
            f"{next(iter(targets))}={rest}"
        )
    output = output or next(iter(targets))
    if output not in outputs:
        raise InputError(
            f"loss '{text}': there is no output '{output}'; the outputs are {', '.join(outputs)}"
        )
    if output not in targets:
        raise InputError(f"loss '{text}': {data} has no labels 'y_{output}'")
    try:
        factor = float(weight) if colon else 1.0
    except ValueError:
        factor = math.nan
    if not (math.isfinite(factor) and factor >= 0):
        raise InputError(f"loss '{text}': a weight is a number of at least 0, not '{weight}'")
    return output, name, factor


def _default(targets: np.ndarray, output: Output, metric: Metric | None) -> str:
    if metric is None or not (isinstance(metric, ClassMetric) or metric.name in ("mse", "mae")):
        metric = default_metric(targets, output)
    if isinstance(metric, ClassMetric):
        return "cross_entropy"
    return "mae" if metric.name == "mae" else "mse"


def _prepared(name: str, targets: np.ndarray, output: Output) -> np.ndarray:
    if name == "cross_entropy":
        return class_labels(targets, output)
    return numbers_like(targets, output).astype(np.float32)
