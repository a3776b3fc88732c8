"""Results for people: tables and plots."""

from asnet_mlir.reports.accuracy import accuracy_table, plot_accuracy

__all__ = ["accuracy_table", "plot_accuracy"]
