# SPDX-License-Identifier: Apache-2.0
"""What makes up for the errors of approximate cores in a network, without training."""

from asnet_mlir.compensation.control_variate import (
    Compensation,
    VariateLayer,
    add_control_variate,
)
from asnet_mlir.compensation.tuning import TunedLayer, Tuning, WeightTuner, tune_weights

__all__ = [
    "Compensation",
    "TunedLayer",
    "Tuning",
    "VariateLayer",
    "WeightTuner",
    "add_control_variate",
    "tune_weights",
]
