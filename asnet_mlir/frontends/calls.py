# SPDX-License-Identifier: Apache-2.0
"""Calls in jaxlib's MLIR modules, inlined: its contexts have no interface by which MLIR does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asnet_mlir.ir import walk

__all__ = ["inline_calls"]


def inline_calls(module: Any, chosen: Callable[[Any], bool] = lambda _: True) -> None:
    """Inline calls, in place, and erase functions that are called no more.

    An operation of a function then has the location of its call around its own.

    Args:
      module: jaxlib MLIR module.
      chosen: which calls.
    """
    from jaxlib.mlir import ir

    functions = {
        op.attributes["sym_name"].value: op
        for op in module.operation.regions[0].blocks[0].operations
        if "sym_name" in op.attributes
    }
    inlined = set()
    while calls := [op for op in walk(module.operation) if op.name == "func.call" and chosen(op)]:
        call = calls[0]
        name = call.attributes["callee"].value
        inlined.add(name)
        block = functions[name].regions[0].blocks[0]
        values = dict(zip(block.arguments, call.operands, strict=True))
        for view in block.operations:
            op = view.operation
            own = [values[value] for value in op.operands]
            if op.name == "func.return":
                for result, value in zip(call.results, own, strict=True):
                    result.replace_all_uses_with(value)
                break
            copy = op.clone(ir.InsertionPoint(call)).operation
            copy.location = ir.Location.callsite(op.location, [call.location])
            for index, value in enumerate(own):
                copy.operands[index] = value
            values.update(zip(op.results, copy.results, strict=True))
        call.erase()
    called = {
        op.attributes["callee"].value for op in walk(module.operation) if op.name == "func.call"
    }
    for name in inlined - called:
        functions[name].operation.erase()
