# SPDX-License-Identifier: Apache-2.0
"""Metrics of classes: of a sample, or of every place (pixel) of it.

An output whose last dimension has C >= 2 numbers names one of C classes: that of the largest
number, of the lowest index where several are.  An output of one number names class 1 where it is
above a threshold, else class 0.  An output with a NaN names no class, and is wrong.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.metrics.metric import Metric, Output

__all__ = ["Accuracy", "AreaUnderCurve", "ClassMetric", "F1", "IoU", "TopK", "class_labels"]

_NO_CLASS = -1


def class_labels(targets: np.ndarray, output: Output) -> np.ndarray:
    """Return int64[n, *places]: class indices, or one-hot rows, as class indices.

    Raises:
      InputError: targets of another shape, that are no classes, or none that the output has.
    """
    places, channels = output.places, output.channels
    if channels > 1 and targets.shape[1:] == output.shape:
        is_one_hot = np.isin(targets, (0, 1)).all() and (targets.sum(axis=-1) == 1).all()
        if not is_one_hot:
            raise InputError(
                f"targets of the output's shape, {list(output.shape)}, must be one-hot rows to be "
                "classes; for numbers give another metric, such as mse"
            )
        return np.argmax(targets, axis=-1).astype(np.int64)
    if targets.shape[1:] not in (places, (*places, 1)):
        several = f" or one-hot rows of shape {list(output.shape)}" if channels > 1 else ""
        turn = "; classes that come first are to come last: of PyTorch, y.movedim(1, -1)"
        raise InputError(
            f"class indices for outputs of shape {list(output.shape)} have the shape "
            f"{list(places)} a sample{several}, not {list(targets.shape[1:])}"
            f"{turn if places and targets.shape[1:] == output.shape[1:] else ''}"
        )
    if targets.dtype.kind == "f" and not np.array_equal(targets, np.rint(targets)):
        raise InputError("class indices are integers; for numbers give another metric, such as mse")
    labels = targets.reshape(len(targets), *places).astype(np.int64)
    bad = (labels < 0) | (labels >= max(channels, 2))
    if bad.any():
        first = tuple(int(index) for index in np.argwhere(bad)[0])
        place = f" at {list(first[1:])}" if places else ""
        raise InputError(
            f"the label of sample {first[0]}{place} is {labels[first]}, the network has the "
            f"classes 0..{max(channels, 2) - 1}"
        )
    return labels


@dataclass(frozen=True)
class ClassMetric(Metric):
    """What metrics of classes have in common.

    Attributes:
      threshold: of an output of one number; by default 0.5 where all the exact network's outputs
        are in 0..1, as a sigmoid's are, else 0.
      channels: of the output, once it is known.
    """

    threshold: float | None = None
    channels: int = 0

    def prepared(self, targets: np.ndarray, output: Output) -> tuple[Self, np.ndarray]:
        return self.prepared_exact(output), class_labels(targets, output)

    def prepared_exact(self, output: Output) -> Self:
        if output.channels < 1:
            raise InputError(f"outputs of shape {list(output.shape)} name no classes")
        if output.channels > 1 and self.threshold is not None:
            raise InputError(
                f"{self.name}: a threshold is for one output; this network has {output.channels}"
            )
        if output.channels == 1 and self.threshold is None and not output.format.is_float:
            raise InputError(
                f"the network's one output is an integer code ({output.format}): say above which "
                f"code it is class 1, {self.name}:threshold=CODE"
            )
        return dataclasses.replace(self, channels=output.channels)

    @property
    def key(self) -> str:
        if self.channels != 1:
            return super().key
        threshold = "auto" if self.threshold is None else repr(self.threshold)
        return f"{super().key}:threshold={threshold}"

    def resolved(self, exact: np.ndarray) -> Self:
        if self.channels > 1 or self.threshold is not None:
            return self
        finite = exact[np.isfinite(exact)]
        is_share = bool(((finite >= 0) & (finite <= 1)).all())
        return dataclasses.replace(self, threshold=0.5 if is_share else 0.0)

    def answers(self, exact: np.ndarray) -> np.ndarray:
        return self.classes(exact)

    def classes(self, outputs: np.ndarray) -> np.ndarray:
        """Return int64[n, *places]: the class that each output names, -1 where it names none."""
        if self.channels == 1:
            ones = outputs.reshape(outputs.shape[:-1] if outputs.ndim > 1 else outputs.shape)
            named = (ones > (self.threshold or 0.0)).astype(np.int64)
            return np.where(np.isnan(ones), _NO_CLASS, named)
        named = np.argmax(outputs, axis=-1)
        missing = np.isnan(outputs).any(axis=-1)
        return np.where(missing, _NO_CLASS, named) if missing.any() else named

    def _needs_one_class(self, output: Output) -> None:
        if output.places:
            raise InputError(
                f"{self.name} judges one class a sample; outputs of shape {list(output.shape)} "
                "name one for each place"
            )


@dataclass(frozen=True)
class Accuracy(ClassMetric):
    """The share of samples, or of their places, whose class is the target's.

    sum over samples of [class = target] / samples.
    """

    #: Whether there is one class a sample.
    single: bool = True

    title: ClassVar[str] = "correctly classified"

    @property
    def name(self) -> str:
        return "accuracy"

    @property
    def each(self) -> Literal["right", "error"] | None:
        return "right" if self.single else None

    def prepared_exact(self, output: Output) -> Self:
        return dataclasses.replace(super().prepared_exact(output), single=not output.places)

    def count(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        right = self.classes(outputs) == targets
        return right if self.single else right.reshape(len(right), -1).mean(axis=1)

    def value(self, counts: np.ndarray) -> float:
        return float(np.mean(counts))


@dataclass(frozen=True)
class TopK(ClassMetric):
    """The share of samples whose target is among the K largest outputs (Russakovsky et al., 2015).

    Of equal outputs, those of lower index come first.
    """

    k: int = 5

    @property
    def name(self) -> str:
        return f"top{self.k}"

    @property
    def title(self) -> str:  # type: ignore[override]
        return f"target among the {self.k} largest"

    @property
    def each(self) -> Literal["right", "error"] | None:
        return "right"

    def prepared_exact(self, output: Output) -> Self:
        self._needs_one_class(output)
        if self.k >= output.channels:
            raise InputError(f"{self.name} is always 1 for a network of {output.channels} outputs")
        return super().prepared_exact(output)

    def count(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        own = np.take_along_axis(outputs, targets[:, np.newaxis], axis=1)
        earlier = np.arange(outputs.shape[1]) < targets[:, np.newaxis]
        before = ((outputs > own) | ((outputs == own) & earlier)).sum(axis=1)
        right: np.ndarray = (before < self.k) & ~np.isnan(outputs).any(axis=1)
        return right

    def value(self, counts: np.ndarray) -> float:
        return float(np.mean(counts))


@dataclass(frozen=True)
class _Overlap(ClassMetric):
    """Figures of how far targets and answers overlap, class by class, over all samples.

    Counts are int64[3, C]: right ones, answers, targets.  Of networks with one output, the figure
    is that of class 1; else the mean over the classes that occur among targets or answers.
    """

    def count(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        classes = max(self.channels, 2)
        named = self.classes(outputs)
        right = targets[named == targets]
        parts = [right, named[named != _NO_CLASS], targets]
        return np.stack([np.bincount(part.ravel(), minlength=classes) for part in parts])

    def merge(self, counts: Sequence[np.ndarray]) -> np.ndarray:
        return np.sum(counts, axis=0)

    def value(self, counts: np.ndarray) -> float:
        if self.channels == 1:
            counts = counts[:, 1:]
        right, named, targets = counts[:, counts[1] + counts[2] > 0]
        if not len(right):
            return 1.0  # neither targets nor answers have the class
        return float(np.mean(self._of_class(right, named + targets)))

    def _of_class(self, right: np.ndarray, both: np.ndarray) -> np.ndarray:
        """Return the figure of each class from |A and B| and |A| + |B|."""
        raise NotImplementedError


@dataclass(frozen=True)
class F1(_Overlap):
    """The F1 score (van Rijsbergen, 1979; Dice, 1945): 2 |A and B| / (|A| + |B|)."""

    title: ClassVar[str] = "F1 score"

    @property
    def name(self) -> str:
        return "f1"

    def _of_class(self, right: np.ndarray, both: np.ndarray) -> np.ndarray:
        return 2 * right / both


@dataclass(frozen=True)
class IoU(_Overlap):
    """Intersection over union (Jaccard, 1912): |A and B| / |A or B|.

    Over the pixels of all images, as PASCAL VOC counts it (Everingham et al., 2010).
    """

    title: ClassVar[str] = "intersection over union"

    @property
    def name(self) -> str:
        return "iou"

    def _of_class(self, right: np.ndarray, both: np.ndarray) -> np.ndarray:
        return right / (both - right)


@dataclass(frozen=True)
class AreaUnderCurve(ClassMetric):
    """The area under the ROC curve, as the Mann-Whitney statistic (Hanley and McNeil, 1982).

    The share of pairs of a sample of the class and another one in which the first has the larger
    score; equal ones count half.  The score is the output, of two outputs the second less the
    first; of more, each class is judged against the rest, and the figure is the mean over classes
    that have both.  A sample with a NaN is ranked where it is most wrong.

    Counts are float64[n, scores + 1]: scores, and the target.
    """

    title: ClassVar[str] = "area under the ROC curve"

    @property
    def name(self) -> str:
        return "auc"

    @property
    def key(self) -> str:
        return Metric.key.fget(self)  # type: ignore[attr-defined]

    def prepared(self, targets: np.ndarray, output: Output) -> tuple[Self, np.ndarray]:
        metric, labels = super().prepared(targets, output)
        if (labels == labels.flat[0]).all():
            raise InputError(
                f"auc compares samples of two classes; all targets are {labels.flat[0]}"
            )
        return metric, labels

    def prepared_exact(self, output: Output) -> Self:
        self._needs_one_class(output)
        if self.threshold is not None:
            raise InputError("auc has no threshold")
        return dataclasses.replace(self, channels=output.channels)

    def count(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        scores = outputs.astype(np.float64).reshape(len(outputs), -1)
        missing = np.isnan(scores).any(axis=1)
        if scores.shape[1] == 2:
            with np.errstate(invalid="ignore"):
                scores = scores[:, 1:] - scores[:, :1]
            missing |= np.isnan(scores[:, 0])
        classes = np.arange(scores.shape[1]) if scores.shape[1] > 1 else np.array([1])
        worst = np.where(targets[:, np.newaxis] == classes, -np.inf, np.inf)
        scores = np.where(missing[:, np.newaxis], worst, scores)
        return np.concatenate([scores, targets[:, np.newaxis]], axis=1)

    def value(self, counts: np.ndarray) -> float:
        scores, targets = counts[:, :-1], counts[:, -1]
        classes = range(scores.shape[1]) if scores.shape[1] > 1 else [1]
        areas = [
            _area(scores[:, column], targets == number)
            for column, number in enumerate(classes)
            if 0 < np.count_nonzero(targets == number) < len(targets)
        ]
        return float(np.mean(areas)) if areas else 1.0


def _area(scores: np.ndarray, positive: np.ndarray) -> float:
    """Return the Mann-Whitney statistic over the product of both groups' sizes."""
    _, inverse, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    ranks = (last - (sizes - 1) / 2)[inverse.reshape(-1)]  # equal scores share their mean rank
    ones = int(np.count_nonzero(positive))
    pairs = ones * (len(scores) - ones)
    return float((ranks[positive].sum() - ones * (ones + 1) / 2) / pairs)
