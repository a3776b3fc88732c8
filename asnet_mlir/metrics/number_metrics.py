# SPDX-License-Identifier: Apache-2.0
"""Metrics of numbers: outputs o beside targets t, in float64.

An output that is NaN, or infinite where its target is not, has an infinite error.  Sums over
samples are rounded once (`math.fsum`), so that they do not depend on how samples are divided.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.metrics.metric import Metric, Output, numbers_like

__all__ = [
    "KullbackLeibler",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "PeakSignalToNoise",
    "SignalToNoise",
    "decibels",
    "errors",
]

#: Probabilities below this are taken for it: a logarithm of 0 would say no more than one sample.
_LEAST_PROBABILITY = 1e-7
#: How far sums of probabilities are from 1, at most; approximate softmaxes come later.
_TOLERANCE = 1e-2


def errors(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return float64[n, m], |o - t| of flattened samples; infinite where that is no number."""
    o, t = (part.astype(np.float64).reshape(len(part), -1) for part in (outputs, targets))
    with np.errstate(invalid="ignore"):
        error = np.abs(o - t)
    same = (o == t) | (np.isnan(o) & np.isnan(t))
    return np.where(same, 0.0, np.where(np.isnan(error), np.inf, error))


def decibels(signal: float, noise: float) -> float:
    """Return 10 log10(signal / noise); infinite without noise."""
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 and noise < math.inf else -math.inf


@dataclass(frozen=True)
class _NumberMetric(Metric):
    """What metrics of numbers have in common: targets of the outputs' shape."""

    def prepared(self, targets: np.ndarray, output: Output) -> tuple[Self, np.ndarray]:
        return self.prepared_exact(output), numbers_like(targets, output)

    def prepared_exact(self, output: Output) -> Self:
        return self

    def answers(self, exact: np.ndarray) -> np.ndarray:
        return exact.astype(np.float64)

    def value(self, counts: np.ndarray) -> float:
        return math.fsum(counts) / len(counts)


@dataclass(frozen=True)
class MeanSquaredError(_NumberMetric):
    """The mean over samples and outputs of (o - t)^2."""

    larger_is_better: ClassVar[bool] = False
    unit: ClassVar[Literal["%", "dB", ""]] = ""
    title: ClassVar[str] = "mean squared error"

    @property
    def name(self) -> str:
        return "mse"

    @property
    def each(self) -> Literal["right", "error"] | None:
        return "error"

    def count(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        mean: np.ndarray = np.square(errors(outputs, targets)).mean(axis=1)
        return mean


@dataclass(frozen=True)
class MeanAbsoluteError(_NumberMetric):
    """The mean over samples and outputs of |o - t|."""

    larger_is_better: ClassVar[bool] = False
    unit: ClassVar[Literal["%", "dB", ""]] = ""
    title: ClassVar[str] = "mean absolute error"

    @property
    def name(self) -> str:
        return "mae"

    @property
    def each(self) -> Literal["right", "error"] | None:
        return "error"

    def count(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        mean: np.ndarray = errors(outputs, targets).mean(axis=1)
        return mean


@dataclass(frozen=True)
class SignalToNoise(_NumberMetric):
    """The signal-to-noise ratio: 10 log10(sum t^2 / sum (o - t)^2), over all samples.

    Counts are float64[n, 2]: both sums of a sample.
    """

    unit: ClassVar[Literal["%", "dB", ""]] = "dB"
    title: ClassVar[str] = "signal-to-noise ratio"

    @property
    def name(self) -> str:
        return "snr"

    def count(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        flat = targets.reshape(len(targets), -1).astype(np.float64)
        signal = np.square(np.where(np.isfinite(flat), flat, 0.0)).sum(axis=1)
        return np.stack([signal, np.square(errors(outputs, targets)).sum(axis=1)], axis=1)

    def value(self, counts: np.ndarray) -> float:
        return decibels(math.fsum(counts[:, 0]), math.fsum(counts[:, 1]))


@dataclass(frozen=True)
class PeakSignalToNoise(_NumberMetric):
    """The peak signal-to-noise ratio: 10 log10(peak^2 / mean of (o - t)^2), over all samples.

    (The mean of images' own ratios, which some report, is infinite with one equal image.)

    Attributes:
      peak: the largest value that a target may have; by default 1 for targets in 0..1, 255 for
        ones in 0..255, and the span of the format of integer outputs.
    """

    peak: float | None = None

    unit: ClassVar[Literal["%", "dB", ""]] = "dB"
    title: ClassVar[str] = "peak signal-to-noise ratio"

    @property
    def name(self) -> str:
        return "psnr"

    @property
    def key(self) -> str:
        return f"{super().key}:peak={self.peak!r}"

    def prepared(self, targets: np.ndarray, output: Output) -> tuple[Self, np.ndarray]:
        metric, fitted = super().prepared(targets, output)
        return metric._with_peak(fitted), fitted

    def prepared_exact(self, output: Output) -> Self:
        if self.peak is not None and not 0 < self.peak < math.inf:
            raise InputError(f"psnr: the peak must be a positive number, not {self.peak}")
        if self.peak is None and not output.format.is_float:
            low, high = output.format.range
            return dataclasses.replace(self, peak=float(high - low))
        return self

    def resolved(self, exact: np.ndarray) -> Self:
        return self if self.peak is not None else self._with_peak(exact)

    def _with_peak(self, targets: np.ndarray) -> Self:
        if self.peak is not None:
            return self
        for peak in (1.0, 255.0):
            if (targets >= 0).all() and (targets <= peak).all():
                return dataclasses.replace(self, peak=peak)
        raise InputError(
            f"psnr: targets are in {targets.min():g}..{targets.max():g}, neither 0..1 nor 0..255; "
            "say which is the largest that there may be, psnr:peak=VALUE"
        )

    def count(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        mean: np.ndarray = np.square(errors(outputs, targets)).mean(axis=1)
        return mean

    def value(self, counts: np.ndarray) -> float:
        return decibels((self.peak or 1.0) ** 2, super().value(counts))


@dataclass(frozen=True)
class KullbackLeibler(_NumberMetric):
    """The Kullback-Leibler divergence (1951) of outputs from targets, in nats, a sample.

    sum t ln(t / o), the mean over samples (and places).  Targets are probabilities along the last
    dimension, or classes, of probability 1.  Where all the exact network's outputs are
    probabilities, outputs are divided by their sums, and those below 1e-7 taken for it; else they
    are logits, and their softmax is taken.

    Attributes:
      logits: whether outputs are logits; None until the exact outputs are known.
    """

    logits: bool | None = None

    larger_is_better: ClassVar[bool] = False
    unit: ClassVar[Literal["%", "dB", ""]] = ""
    title: ClassVar[str] = "Kullback-Leibler divergence"

    @property
    def name(self) -> str:
        return "kl"

    @property
    def each(self) -> Literal["right", "error"] | None:
        return "error"

    def prepared(self, targets: np.ndarray, output: Output) -> tuple[Self, np.ndarray]:
        from asnet_mlir.metrics.class_metrics import class_labels

        metric = self.prepared_exact(output)
        if targets.shape[1:] != output.shape:
            return metric, np.eye(output.channels)[class_labels(targets, output)]
        if not _are_probabilities(targets):
            raise InputError("kl: targets must be probabilities that sum to 1, or classes")
        return metric, targets.astype(np.float64)

    def prepared_exact(self, output: Output) -> Self:
        if output.channels < 2:
            raise InputError("kl compares probabilities of at least two outputs")
        if not output.format.is_float:
            raise InputError(f"kl: the outputs are integer codes ({output.format})")
        return self

    def resolved(self, exact: np.ndarray) -> Self:
        return dataclasses.replace(self, logits=not _are_probabilities(exact))

    def answers(self, exact: np.ndarray) -> np.ndarray:
        return np.exp(self._logarithms(exact))

    def _logarithms(self, outputs: np.ndarray) -> np.ndarray:
        """Return logarithms of probabilities; those of outputs with a NaN are minus infinite."""
        o = outputs.astype(np.float64)
        missing = np.isnan(o).any(axis=-1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            if self.logits:
                shifted = o - o.max(axis=-1, keepdims=True)
                logarithms = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
            else:
                clipped = np.clip(o, _LEAST_PROBABILITY, None)
                logarithms = np.log(clipped / clipped.sum(axis=-1, keepdims=True))
        return np.where(missing | np.isnan(logarithms), -np.inf, logarithms)

    def count(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            terms = targets * (np.log(targets) - self._logarithms(outputs))
        terms = np.where(targets == 0, 0.0, terms)
        mean: np.ndarray = terms.sum(axis=-1).reshape(len(terms), -1).mean(axis=1)
        return np.maximum(mean, 0.0)


def _are_probabilities(values: np.ndarray) -> bool:
    values = values.astype(np.float64)
    if not (np.isfinite(values).all() and (values >= 0).all()):
        return False
    return bool((np.abs(values.sum(axis=-1) - 1) <= _TOLERANCE).all())
