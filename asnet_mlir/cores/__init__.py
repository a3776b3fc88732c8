# SPDX-License-Identifier: Apache-2.0
"""Cores: from Verilog and its contract to a checked model in MLIR."""

from asnet_mlir.cores.checks.check import CheckReport, check, check_core
from asnet_mlir.cores.checks.registration import ensure_checked
from asnet_mlir.cores.core import EXACT_CORES, Core, Instance, Parameter, Ports, Unit
from asnet_mlir.cores.models.derive import derive_models
from asnet_mlir.cores.models.model import Model
from asnet_mlir.cores.models.native import native_masks
from asnet_mlir.cores.reading.from_verilog import core_from_verilog
from asnet_mlir.cores.reading.library import (
    exact_instance,
    library_cores,
    load_core,
    parse_instance,
)

__all__ = [
    "EXACT_CORES",
    "CheckReport",
    "Core",
    "Instance",
    "Model",
    "Parameter",
    "Ports",
    "Unit",
    "check",
    "check_core",
    "core_from_verilog",
    "derive_models",
    "ensure_checked",
    "exact_instance",
    "library_cores",
    "load_core",
    "native_masks",
    "parse_instance",
]
