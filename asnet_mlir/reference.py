# SPDX-License-Identifier: Apache-2.0
"""The reference: a bound network as scalar loops, against which all faster code is tested."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asnet_mlir.ir import main_function, module_from_text, run_passes
from asnet_mlir.native.jit import CompiledModule

__all__ = ["to_native"]


def to_native(
    bound: str, models: str, *, callbacks: Mapping[str, Any] | None = None
) -> CompiledModule:
    """Compile a bound module as the reference: scalar loops, one sample after the other.

    `("main", x, *weights, y)` runs it.  The evaluator's code, which is much faster, is tested
    against it.

    Args:
      bound: what `bind` or `bind_for_hardware` returned.
      models: what `model_texts` returned for the instances that are bound.
      callbacks: C functions (of ctypes) that `models` declare, by their names.
    """
    with module_from_text(bound) as module:
        from mlir import ir

        # The module object must outlive the move of its operations.
        parsed = ir.Module.parse(models)
        for op in list(parsed.body.operations):
            module.body.append(op)
        main = main_function(module)
        function = ir.FunctionType(main.attributes["function_type"].value)
        shapes = [
            tuple(ir.ShapedType(kind).shape) for kind in (*function.inputs, *function.results)
        ]
        run_passes(module, "builtin.module(asnet-reference)", "lowering to LLVM")
        compiled = CompiledModule(module, shapes={"main": shapes}, callbacks=callbacks)
    return compiled
