# SPDX-License-Identifier: Apache-2.0
"""A StableHLO function of several tensors as one of rows (`asnet_mlir.support.parts`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asnet_mlir.errors import InputError
from asnet_mlir.frontends.constants import main_of
from asnet_mlir.frontends.weights import network_format
from asnet_mlir.ir import mark_parts
from asnet_mlir.support.formats import NumberFormat, parse_format
from asnet_mlir.support.parts import Part, Parts

__all__ = ["pack_main", "parts_of"]


#: The layer that makes a row of all outputs.
_ROW = "all outputs"


def parts_of(
    network: str, what: str, named: Sequence[tuple[str, Sequence[int], Any]], batch: int
) -> Parts | None:
    """Return the parts that a network's inputs or outputs are; None of a single one.

    Args:
      network: its name, for messages.
      what: `input` or `output`.
      named: name, shape with the batch, and dtype of each, in order.

    Raises:
      InputError: one has no batch, or two have one name.
      UnsupportedError: one is of numbers of no format.
    """
    parts = []
    for name, shape, dtype in named:
        if tuple(shape[:1]) != (batch,):
            raise InputError(
                f"{network}: the first dimension of {what} '{name}' must be the batch, its shape "
                f"is {list(shape)}"
            )
        format = network_format(f"{network}: {what} '{name}'", dtype)
        parts.append(Part(name, tuple(int(size) for size in shape[1:]), format))
    names = [part.name for part in parts]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{network}: has several {what}s named '{twice}'; name each differently")
    return Parts(tuple(parts)) if len(parts) > 1 else None


def pack_main(module: Any, inputs: Parts | None, outputs: Parts | None) -> None:
    """Make `@main(*inputs, *weights) -> outputs` a function of rows, in place.

    Args:
      module: jaxlib MLIR module.
      inputs, outputs: what it takes and returns several of; None of one, which stays.
    """
    if inputs is None and outputs is None:
        return
    from jaxlib.mlir import ir

    with module.context, ir.Location.unknown():
        main = main_of(module)
        block = main.regions[0].blocks[0]
        taken = list(block.arguments)
        weights = taken[len(inputs) if inputs else 1 :]
        batch = ir.RankedTensorType(taken[0].type).shape[0]
        kinds = [_row(inputs, batch) if inputs else taken[0].type, *(w.type for w in weights)]
        places = [ir.Location.unknown(), *(w.location for w in weights)]
        result = _row(outputs, batch) if outputs else _returned(block).operands[0].type
        new = _function(main, ir.FunctionType.get(kinds, [result]), len(weights), bool(outputs))
        body = ir.Block.create_at_start(new.regions[0], kinds, places)
        row, *others = body.arguments
        with ir.InsertionPoint(body):
            given = _unpacked(inputs, row, taken) if inputs else [row]
        for old, value in zip(taken, [*given, *others], strict=True):
            old.replace_all_uses_with(value)
        for view in list(block.operations):
            op = view.operation
            op.detach_from_parent()
            body.append(op)
        main.operation.erase()
        if outputs:
            last = _returned(body)
            # A layer of its own, so that no other one's output is the row.
            with ir.InsertionPoint(last), ir.Location.name(f"{_ROW}/concatenate"):
                ir.Operation.create(
                    "func.return", operands=[_packed(outputs, list(last.operands), result)]
                )
            last.erase()
        mark_parts(ir, new, inputs, outputs)


def _function(main: Any, kind: Any, weights: int, has_row: bool) -> Any:
    """Return a new function beside `@main`, without a body, that has its attributes.

    Args:
      weights: arguments at the end, which keep theirs.
      has_row: whether the result is a row, which keeps none.
    """
    from jaxlib.mlir import ir

    attributes = dict(main.attributes.items())
    if "arg_attrs" in attributes:
        own = list(attributes["arg_attrs"])
        kept = own[len(own) - weights :]
        attributes["arg_attrs"] = ir.ArrayAttr.get([ir.DictAttr.get({}), *kept])
    if has_row:
        attributes.pop("res_attrs", None)
    attributes["function_type"] = ir.TypeAttr.get(kind)
    with ir.InsertionPoint(main.operation):
        return ir.Operation.create("func.func", attributes=attributes, regions=1)


def _returned(block: Any) -> Any:
    return list(block.operations)[-1].operation


def _tensor(shape: Sequence[int], format: NumberFormat) -> Any:
    from jaxlib.mlir import ir

    element = format.element_type if format.is_signed else f"u{format.element_type}"
    return ir.RankedTensorType.get(list(shape), ir.Type.parse(element))


def _row(parts: Parts, batch: int) -> Any:
    return _tensor([batch, *parts.shape], parts.format)


def _bits(format: NumberFormat) -> NumberFormat:
    """Return the signed integer that holds a format's bits."""
    return parse_format(f"i{format.storage_bytes * 8}")


def _unpacked(parts: Parts, row: Any, taken: Sequence[Any]) -> list[Any]:
    """Return the parts of a row, of the types of the arguments `taken` that they stand for."""
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import stablehlo

    batch = ir.RankedTensorType(row.type).shape[0]
    values = []
    for part, (begin, end), old in zip(parts, parts.bounds, taken, strict=False):
        value = stablehlo.slice(row, [0, begin], [batch, end], [1, 1])
        flat = [batch, part.size]
        if part.format != parts.format:
            bits = _bits(part.format)
            if bits != parts.format:
                value = stablehlo.convert(_tensor(flat, bits), value)
            if bits != part.format:
                value = stablehlo.bitcast_convert(_tensor(flat, part.format), value)
        values.append(stablehlo.reshape(old.type, value))
    return values


def _packed(parts: Parts, results: Sequence[Any], kind: Any) -> Any:
    """Return the row, of a type, that the parts make."""
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import stablehlo

    batch = ir.RankedTensorType(kind).shape[0]
    values = []
    for part, result in zip(parts, results, strict=True):
        flat = [batch, part.size]
        value = stablehlo.reshape(_tensor(flat, part.format), result)
        if part.format != parts.format:
            bits = _bits(part.format)
            if bits != part.format:
                value = stablehlo.bitcast_convert(_tensor(flat, bits), value)
            if bits != parts.format:
                value = stablehlo.convert(_tensor(flat, parts.format), value)
        values.append(value)
    return stablehlo.concatenate(values, 1)
