# SPDX-License-Identifier: Apache-2.0
"""Metrics of networks: how good outputs are, by labels or beside the exact network's."""

from asnet_mlir.metrics.judge import (
    Difference,
    Judge,
    Reference,
    finite,
    make_judge,
    make_judges,
    only_judged,
)
from asnet_mlir.metrics.metric import Metric, Output, text_of
from asnet_mlir.metrics.named import METRICS, is_metric_name, metric_named
from asnet_mlir.metrics.output_metric import OutputMetric

__all__ = [
    "METRICS",
    "Difference",
    "Judge",
    "Metric",
    "Output",
    "OutputMetric",
    "Reference",
    "finite",
    "is_metric_name",
    "make_judge",
    "make_judges",
    "metric_named",
    "only_judged",
    "text_of",
]
