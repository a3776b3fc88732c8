# SPDX-License-Identifier: Apache-2.0
"""asnet-mlir: trained neural networks to hardware with approximate arithmetic.

The public verbs are imported on first use, so that `import asnet_mlir` is quick and works before or
after any framework.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_VERBS = {
    "load_model": "asnet_mlir.frontends",
    "load_data": "asnet_mlir.data",
    "Binding": "asnet_mlir.binding",
    "compile": "asnet_mlir.emit",
    "evaluate": "asnet_mlir.evaluation",
    "run": "asnet_mlir.evaluation",
    "quantize": "asnet_mlir.quantization",
    "quantization_outcome": "asnet_mlir.quantization",
    "explore": "asnet_mlir.exploration",
    "report": "asnet_mlir.reports",
    "compare": "asnet_mlir.reports.compare",
    "pack": "asnet_mlir.exploration.packing",
    "unpack": "asnet_mlir.exploration.packing",
    "generate": "asnet_mlir.hardware",
    "simulate": "asnet_mlir.hardware",
    "synthesize": "asnet_mlir.hardware",
    "prove": "asnet_mlir.hardware.prove",
    "check_core": "asnet_mlir.cores",
    "characterize_core": "asnet_mlir.cores.metrics.characterize",
}

__all__ = ["__version__", *sorted(_VERBS)]


def __getattr__(name: str) -> Any:
    if name in _VERBS:
        return getattr(importlib.import_module(_VERBS[name]), name)
    raise AttributeError(f"module 'asnet_mlir' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
