# SPDX-License-Identifier: Apache-2.0
"""Metrics by their names on the command line, and the one that data and output ask for."""

from __future__ import annotations

import dataclasses
import difflib
import re

import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.metrics.class_metrics import F1, Accuracy, AreaUnderCurve, IoU, TopK
from asnet_mlir.metrics.metric import Metric, Output
from asnet_mlir.metrics.number_metrics import (
    KullbackLeibler,
    MeanAbsoluteError,
    MeanSquaredError,
    PeakSignalToNoise,
    SignalToNoise,
)
from asnet_mlir.metrics.output_metric import OutputMetric
from asnet_mlir.metrics.own_metric import own_metric
from asnet_mlir.support.named_functions import is_reference

__all__ = ["METRICS", "default_metric", "is_metric_name", "metric_named"]

_NAMED: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Accuracy(),
        TopK(),
        F1(),
        AreaUnderCurve(),
        IoU(),
        MeanSquaredError(),
        MeanAbsoluteError(),
        PeakSignalToNoise(),
        SignalToNoise(),
        KullbackLeibler(),
    )
}
METRICS = tuple(_NAMED)
"""The names; `top5` stands for all `topK`."""

_TOP = re.compile(r"top([1-9][0-9]{0,5})")
#: Options of metrics, which are numbers.
_OPTIONS = ("threshold", "peak")


def is_metric_name(name: str) -> bool:
    """Whether a metric of the program has this name."""
    return name in _NAMED or _TOP.fullmatch(name) is not None


def metric_named(text: str) -> Metric:
    """Return the metric that `NAME[:exact][:threshold=T][:peak=P]` or `module:function` names.

    With `:exact`, targets are the exact network's outputs.  `OUTPUT=` before it says which output
    of several it is of.

    Raises:
      InputError: there is no such metric or option; of a module and its function.
    """
    output, is_of_output, rest = text.partition("=")
    if is_of_output and not is_metric_name(text.partition(":")[0]):
        inner = metric_named(rest)
        return OutputMetric(inner.against_exact, inner, output)
    name, *options = text.split(":")
    metric = _NAMED.get(name)
    if (match := _TOP.fullmatch(name)) is not None:
        metric = Accuracy() if match[1] == "1" else TopK(k=int(match[1]))
    against_exact = "exact" in options
    if metric is None:
        reference = text.removesuffix(":exact") if text.count(":") > 1 else text
        if is_reference(reference):
            return own_metric(reference, against_exact=reference != text)
        near = difflib.get_close_matches(name, METRICS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(METRICS)}"
        raise InputError(f"unknown metric '{text}'; {hint} (or name a function, module:function)")
    changes: dict[str, float] = {}
    known = [f.name for f in dataclasses.fields(metric) if f.name in _OPTIONS]
    for option in options:
        key, _, value = option.partition("=")
        if option == "exact":
            continue
        if key not in known:
            may = ", ".join(["exact", *(f"{one}=VALUE" for one in known)])
            raise InputError(f"metric '{text}': unknown option '{option}'; it takes {may}")
        try:
            changes[key] = float(value)
        except ValueError:
            raise InputError(f"metric '{text}': {key} must be a number, not '{value}'") from None
    return dataclasses.replace(metric, against_exact=against_exact, **changes)


def default_metric(targets: np.ndarray | None, output: Output) -> Metric:
    """Return the metric that goes with targets, as the data has them, and an output.

    Classes are judged by accuracy, masks (a class for each place) by intersection over union,
    images (of three dimensions) by their peak signal-to-noise ratio, other numbers by their mean
    squared error; without targets, by the signal-to-noise ratio against the exact network.

    Raises:
      InputError: the targets don't say what they are.
    """
    if targets is None:
        return SignalToNoise(against_exact=True)
    if _are_classes(targets, output):
        return IoU() if output.places else Accuracy()
    if targets.dtype.kind in "iu" and not output.places and output.channels == 1:
        raise InputError(
            f"the network has one output and the targets are integers in {targets.min()}.."
            f"{targets.max()}; say what they are: --metric mse for numbers to come near to (for "
            "two classes they would be 0 and 1)"
        )
    if len(output.shape) >= 3:
        peak = (targets.min(initial=0) >= 0) and (targets.max(initial=0) <= 255)
        return PeakSignalToNoise() if peak else SignalToNoise()
    return MeanSquaredError()


def _are_classes(targets: np.ndarray, output: Output) -> bool:
    """Whether targets are classes rather than numbers."""
    is_binary = bool(np.isin(targets, (0, 1)).all())
    if output.channels == 1:
        return is_binary
    if targets.shape[1:] == output.shape:
        return is_binary and bool((targets.sum(axis=-1) == 1).all())
    return targets.dtype.kind in "iu"
