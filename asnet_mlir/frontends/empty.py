# SPDX-License-Identifier: Apache-2.0
"""Tensors without elements are taken out of a StableHLO module.

Slicing ends with them (`x[:, 8:]` of eight, the last steps of a scan); nothing after StableHLO has
them: neither its lowering to linalg, nor memories.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asnet_mlir.errors import UnsupportedError
from asnet_mlir.frontends.calls import inline_calls
from asnet_mlir.frontends.locations import describe_op
from asnet_mlir.ir import walk

__all__ = ["remove_empty_tensors"]


def remove_empty_tensors(module: Any) -> None:
    """Rewrite what reads tensors without elements and erase what makes them, in place.

    Args:
      module: jaxlib MLIR module of StableHLO, of static shapes.

    Raises:
      UnsupportedError: an op reads one for which there is no rule, or the network returns one.
    """
    from jaxlib.mlir import ir

    with module.context:
        inline_calls(
            module,
            lambda call: any(_is_empty(ir, v.type) for v in (*call.operands, *call.results)),
        )
        ops = list(walk(module.operation))
        made = [op for op in ops if any(_is_empty(ir, result.type) for result in op.results)]
        taken = [op for op in ops if any(_is_empty(ir, value.type) for value in op.operands)]
        for op in taken:
            if op in made:
                continue
            if op.name == "func.return":
                raise UnsupportedError("the network returns a tensor without elements")
            rewrite = _REWRITES.get(op.name)
            if rewrite is None:
                raise UnsupportedError(f"{describe_op(op)} reads a tensor without elements")
            with ir.InsertionPoint(op), op.location:
                values = rewrite(op)
            for result, value in zip(op.results, values, strict=True):
                result.replace_all_uses_with(value)
            op.erase()
        for op in reversed(made):
            if not any(list(result.uses) for result in op.results):
                op.erase()


def _is_empty(ir: Any, kind: Any) -> bool:
    return isinstance(kind, ir.RankedTensorType) and 0 in ir.RankedTensorType(kind).shape


def _concatenate(op: Any) -> list[Any]:
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import stablehlo

    full = [value for value in op.operands if not _is_empty(ir, value.type)]
    if len(full) == 1:
        return full
    return [stablehlo.concatenate(full, op.attributes["dimension"])]


def _starts(op: Any) -> list[Any]:
    """Return what a reduction, or padding, of nothing is: the values it starts with, everywhere."""
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import stablehlo

    starts = list(op.operands)[-len(op.results) :]
    nowhere = ir.DenseI64ArrayAttr.get([])
    return [
        stablehlo.broadcast_in_dim(result.type, start, nowhere)
        for result, start in zip(op.results, starts, strict=True)
    ]


def _zero(op: Any) -> list[Any]:
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import stablehlo

    kind = ir.RankedTensorType(op.results[0].type)
    is_integer = isinstance(kind.element_type, ir.IntegerType)
    zero = (
        ir.IntegerAttr.get(kind.element_type, 0)
        if is_integer
        else ir.FloatAttr.get(kind.element_type, 0.0)
    )
    return [stablehlo.constant(ir.DenseElementsAttr.get_splat(kind, zero))]


def _unchanged(op: Any) -> list[Any]:
    return list(op.operands)[: len(op.results)]


_REWRITES: dict[str, Callable[[Any], list[Any]]] = {
    "stablehlo.concatenate": _concatenate,
    "stablehlo.convolution": _zero,
    "stablehlo.dot_general": _zero,
    "stablehlo.dynamic_update_slice": _unchanged,
    "stablehlo.pad": _starts,
    "stablehlo.reduce": _starts,
    "stablehlo.reduce_window": _starts,
    "stablehlo.scatter": _unchanged,
    "stablehlo.select_and_scatter": _starts,
}
