"""The hardware generator: a bound network as a bundle of SystemVerilog."""

from asnet_mlir.hardware.verbs import (
    Comparison,
    compare_words,
    emit_hardware,
    generate,
    simulate,
    synthesize,
)

__all__ = ["Comparison", "compare_words", "emit_hardware", "generate", "simulate", "synthesize"]
