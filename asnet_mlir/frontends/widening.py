# SPDX-License-Identifier: Apache-2.0
"""Networks of f16 and bf16 as networks of f32, which hardware and most cores compute with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.frontends.constants import numbers_of
from asnet_mlir.frontends.locations import describe_op
from asnet_mlir.frontends.module import LoweredModule, Traced, lower_module
from asnet_mlir.frontends.stablehlo_file import parse_stablehlo
from asnet_mlir.ir import walk
from asnet_mlir.network import Network, Weight
from asnet_mlir.support.formats import BF16, F16, F32, NumberFormat

__all__ = ["widened"]

_NARROW = (F16, BF16)


def widened(network: Network) -> Network:
    """Return a network with f32 wherever it has f16 or bf16: weights, layers, input and output.

    Weights keep their numbers; sums, products and functions are rounded to f32 instead, so that
    outputs are those of the network before it was made narrow, but for the weights' own rounding.

    Raises:
      InputError: the network is of a form past StableHLO.
      UnsupportedError: it has several inputs or outputs of which one is narrow, or takes the bits
        of a narrow number.
    """
    if network.is_approx:
        raise InputError(f"{network.name}: is of the form approx or bound, whose formats are bound")
    for what, parts in (("input", network.inputs), ("output", network.outputs)):
        for part in parts or ():
            if part.format in _NARROW:
                raise UnsupportedError(
                    f"{network.name}: {what} '{part.name}' is {part.format}, and only networks of "
                    f"one {what} are widened; convert it to f32 where the network comes from"
                )
    base = network.unfolded or network
    weights = tuple(
        Weight(weight.name, weight.value.astype(np.float32)) if weight.format in _NARROW else weight
        for weight in base.weights
    )
    first = _lowered(base, base.fixed_batch or 1, weights)
    return replace(
        base,
        weights=(*weights, *first.constants),
        lowering=Traced(
            base.name,
            lambda batch: _lowered(base, batch, weights),
            fixed_batch=base.fixed_batch,
        ),
        input_format=_wide(base.input_format),
        output_format=_wide(base.output_format),
    )


def _wide(format: NumberFormat) -> NumberFormat:
    return F32 if format in _NARROW else format


def _lowered(network: Network, batch: int, weights: tuple[Weight, ...]) -> LoweredModule:
    from jaxlib.mlir import ir

    module = parse_stablehlo(network.name, network.stablehlo(batch).encode())
    with module.context, ir.Location.unknown():
        _widen(network.name, module)
        return lower_module(module, weights)


def _widen(name: str, module: Any) -> None:
    """Change the types, and constants, of a jaxlib MLIR module."""
    from jaxlib.mlir import ir

    f32 = ir.F32Type.get()

    def is_narrow(kind: Any) -> bool:
        element = getattr(kind, "element_type", kind)
        return isinstance(element, ir.F16Type | ir.BF16Type)

    def wide(kind: Any) -> Any:
        return ir.RankedTensorType.get(list(kind.shape), f32) if is_narrow(kind) else kind

    for op in walk(module):
        if op.name == "stablehlo.bitcast_convert" and any(
            is_narrow(value.type) for value in (*op.operands, *op.results)
        ):
            raise UnsupportedError(f"{name}: {describe_op(op)} takes bits, and can't be widened")
    for op in walk(module):
        if op.name == "stablehlo.constant" and is_narrow(op.results[0].type):
            op.attributes["value"] = ir.DenseElementsAttr.get(_numbers(name, op))
        blocks = [block for region in op.regions for block in region.blocks]
        for value in (*op.results, *(own for block in blocks for own in block.arguments)):
            value.set_type(wide(value.type))
    for view in module.body.operations:
        op = view.operation
        if op.name == "func.func":
            kind = op.attributes["function_type"].value
            inputs, results = (
                [wide(own) for own in kinds] for kinds in (kind.inputs, kind.results)
            )
            op.attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get(inputs, results))
    module.operation.verify()


def _numbers(name: str, constant: Any) -> np.ndarray:
    """Return float32, what a constant of f16 or bf16 holds."""
    from jaxlib.mlir import ir

    attribute, shape = constant.attributes["value"], tuple(constant.results[0].type.shape)
    if attribute.is_splat:
        return np.full(shape, ir.FloatAttr(attribute.get_splat_value()).value, np.float32)
    array = numbers_of(constant)
    if array is None:
        raise UnsupportedError(f"{name}: {describe_op(constant)} holds NaNs or infinities of bf16")
    return array.astype(np.float32)
