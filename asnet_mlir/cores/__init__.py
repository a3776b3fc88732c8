"""Cores: from Verilog and its contract to a checked model in MLIR."""

from asnet_mlir.cores.core import (
    OPS,
    Core,
    Instance,
    Parameter,
    Ports,
    core_from_verilog,
    library_cores,
    load_core,
    parse_instance,
)

__all__ = [
    "OPS",
    "Core",
    "Instance",
    "Parameter",
    "Ports",
    "core_from_verilog",
    "library_cores",
    "load_core",
    "parse_instance",
]
