# SPDX-License-Identifier: Apache-2.0
"""Programs as one StableHLO text: their weights are constants that keep their names."""

from __future__ import annotations

from typing import Any

from asnet_mlir.frontends.constants import arguments_to_constants, main_of
from asnet_mlir.frontends.stablehlo_file import parse_stablehlo
from asnet_mlir.ir import mark_parts
from asnet_mlir.quantized import Program
from asnet_mlir.support.parts import Parts

__all__ = ["module_of", "self_contained"]


def module_of(program: Program, batch: int) -> Any:
    """Return a program as a jaxlib MLIR module, its weights arguments."""
    return parse_stablehlo(program.name, program.text(batch).encode())


def self_contained(
    program: Program, batch: int, inputs: Parts | None = None, outputs: Parts | None = None
) -> str:
    """Return the text of a program for a batch, whose `@main` takes the input alone.

    Args:
      inputs, outputs: what its rows are of.
    """
    from jaxlib.mlir import ir

    module = module_of(program, batch)
    arguments_to_constants(module, program.weights)
    with module.context, ir.Location.unknown():
        mark_parts(ir, main_of(module), inputs, outputs)
    return str(module.operation.get_asm(enable_debug_info=True))
