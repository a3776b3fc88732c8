# SPDX-License-Identifier: Apache-2.0
"""Quantised networks: what codes mean, and a builder of networks that compute on them."""

from asnet_mlir.quantized.builder import Builder, Value
from asnet_mlir.quantized.parameters import CODE_BITS, Quantization
from asnet_mlir.quantized.writer import Program

__all__ = ["CODE_BITS", "Builder", "Program", "Quantization", "Value"]
