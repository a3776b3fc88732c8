# SPDX-License-Identifier: Apache-2.0
"""The hardware generator: a bound network as a bundle of SystemVerilog."""

from asnet_mlir.hardware.comparison import Comparison, compare_words, simulate
from asnet_mlir.hardware.generation import emit_hardware, generate
from asnet_mlir.hardware.synthesis.synthesize import synthesize

__all__ = ["Comparison", "compare_words", "emit_hardware", "generate", "simulate", "synthesize"]
