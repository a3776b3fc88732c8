# SPDX-License-Identifier: Apache-2.0
"""Float networks to networks of integer codes (docs/quantization.md)."""

from asnet_mlir.quantization.outcome import Outcome, quantization_outcome
from asnet_mlir.quantization.quantize import quantize
from asnet_mlir.quantization.scheme import Scheme

__all__ = ["Outcome", "Scheme", "quantization_outcome", "quantize"]
