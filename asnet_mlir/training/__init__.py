# SPDX-License-Identifier: Apache-2.0
"""Networks under bindings in JAX: trained through their cores, and run wherever JAX runs."""

from asnet_mlir.training.approximation import Approximation, approximate
from asnet_mlir.training.artifact import compare_artifact, export_artifact, run_artifact
from asnet_mlir.training.estimators import ESTIMATORS, Slopes, slopes
from asnet_mlir.training.finetune import Tuned, finetune

__all__ = [
    "ESTIMATORS",
    "Approximation",
    "Slopes",
    "Tuned",
    "approximate",
    "compare_artifact",
    "export_artifact",
    "finetune",
    "run_artifact",
    "slopes",
]
