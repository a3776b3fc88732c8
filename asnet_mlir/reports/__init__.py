# SPDX-License-Identifier: Apache-2.0
"""Results for people: tables, plots and pages."""

from asnet_mlir.reports.accuracy_plot import accuracy_table, plot_accuracy
from asnet_mlir.reports.exploration_table import exploration_table, has_axes
from asnet_mlir.reports.front import plot_front
from asnet_mlir.reports.heatmap import plot_errors
from asnet_mlir.reports.report import report

__all__ = [
    "accuracy_table",
    "exploration_table",
    "has_axes",
    "plot_accuracy",
    "plot_errors",
    "plot_front",
    "report",
]
