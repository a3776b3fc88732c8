# SPDX-License-Identifier: Apache-2.0
"""Metrics of networks: how good outputs are, by labels or beside the exact network's."""

from asnet_mlir.metrics.class_metrics import ClassMetric, class_labels
from asnet_mlir.metrics.judge import (
    Difference,
    Judge,
    Reference,
    finite,
    make_judge,
    make_judges,
    only_judged,
    targets_by_output,
)
from asnet_mlir.metrics.metric import Metric, Output, numbers_like, text_of
from asnet_mlir.metrics.named import METRICS, default_metric, is_metric_name, metric_named
from asnet_mlir.metrics.output_metric import OutputMetric

__all__ = [
    "METRICS",
    "ClassMetric",
    "Difference",
    "Judge",
    "Metric",
    "Output",
    "OutputMetric",
    "Reference",
    "class_labels",
    "default_metric",
    "finite",
    "is_metric_name",
    "make_judge",
    "make_judges",
    "metric_named",
    "numbers_like",
    "only_judged",
    "targets_by_output",
    "text_of",
]
