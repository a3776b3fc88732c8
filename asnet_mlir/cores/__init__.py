"""Cores: from Verilog and its contract to a checked model in MLIR."""

from asnet_mlir.cores.check import CheckReport, check, check_core
from asnet_mlir.cores.core import (
    INTEGER_OPS,
    OPS,
    Core,
    Instance,
    Parameter,
    Ports,
    Unit,
    core_from_verilog,
    library_cores,
    load_core,
    parse_instance,
)
from asnet_mlir.cores.model import Model, derive_models, native_masks
from asnet_mlir.cores.registration import ensure_checked

__all__ = [
    "INTEGER_OPS",
    "OPS",
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
    "library_cores",
    "load_core",
    "native_masks",
    "parse_instance",
]
