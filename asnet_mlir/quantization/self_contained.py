# SPDX-License-Identifier: Apache-2.0
"""Programs as one StableHLO text: their weights are constants that keep their names."""

from __future__ import annotations

from typing import Any

from asnet_mlir.frontends.constants import WEIGHT_ATTRIBUTE, main_of
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
    from jaxlib.mlir.dialects import stablehlo

    module = module_of(program, batch)
    with module.context, ir.Location.unknown():
        main = main_of(module)
        block = main.regions[0].blocks[0]
        arguments = list(block.arguments)
        with ir.InsertionPoint.at_block_begin(block):
            for weight, argument in zip(program.weights, arguments[1:], strict=True):
                elements = ir.DenseElementsAttr.get(
                    weight.value, signless=weight.format.is_signed or weight.format.is_float
                )
                constant = stablehlo.constant(elements, loc=ir.Location.name(weight.name)).owner
                constant.attributes[WEIGHT_ATTRIBUTE] = ir.StringAttr.get(weight.name)
                argument.replace_all_uses_with(constant.result)
        kind = main.attributes["function_type"].value
        for index in reversed(range(1, len(arguments))):
            block.erase_argument(index)
        main.attributes["function_type"] = ir.TypeAttr.get(
            ir.FunctionType.get([kind.inputs[0]], list(kind.results))
        )
        mark_parts(ir, main, inputs, outputs)
        return str(module.operation.get_asm(enable_debug_info=True))
