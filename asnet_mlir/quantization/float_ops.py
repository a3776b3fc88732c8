# SPDX-License-Identifier: Apache-2.0
"""Operations that stay in floating point, written again as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from asnet_mlir.errors import UnsupportedError
from asnet_mlir.quantization.graph import Graph, Op
from asnet_mlir.quantized import Builder, Value
from asnet_mlir.quantized.writer import Tensor
from asnet_mlir.support.formats import format_of_array

__all__ = ["write_float_op"]


def write_float_op(
    graph: Graph, op: Op, values: Mapping[int, Value], builder: Builder
) -> dict[int, Value]:
    """Write an operation and return its results.

    Args:
      values: f32, or whatever other operations of this kind gave.

    Raises:
      UnsupportedError: it takes constants of numbers that are no weights.
    """
    writer = builder.writer
    writer.layer = op.layer
    try:
        tensors = {
            value: values[value].tensor if value in values else _constant(graph, op, value, builder)
            for value in op.read
        }
        outside = {graph.value(value): tensors[value].ssa for value in op.captured}
        results = writer.several(
            op.name,
            [tensors[value] for value in op.operands],
            [_kind(graph, value) for value in op.results],
            _attributes(op.mlir),
            regions=[_region(region, outside) for region in op.mlir.regions],
        )
    finally:
        writer.layer = ""
    return {value: Value(result, None) for value, result in zip(op.results, results, strict=True)}


def _kind(graph: Graph, value: int) -> Tensor:
    shape = graph.shapes[value]
    batched = shape[:1] == (graph.batch,)
    return Tensor("", shape[1:] if batched else shape, graph.elements[value], batched)


def _constant(graph: Graph, op: Op, value: int, builder: Builder) -> Tensor:
    array, element = graph.constants[value], graph.elements[value]
    kind = Tensor("", array.shape, element, batched=False)
    flat = array.reshape(-1)
    if element == "f32" and flat.size and (flat.view(np.uint32) == flat.view(np.uint32)[0]).all():
        return builder.writer.constant(float(flat[0]), element, kind)
    if not array.ndim and array.dtype.kind in "iu":  # loops are counted by such
        return builder.writer.constant(int(array), element)
    if element == "i1":  # no format of weights
        bits = builder.writer.weight("constant", array.astype(np.uint8))
        return builder.writer.convert(bits, element)
    if format_of_array(array) is not None:
        return builder.writer.weight("constant", array)
    if flat.size and (flat == flat[0]).all():
        return builder.writer.constant(int(flat[0]), element, kind)
    raise UnsupportedError(
        f"{graph.network.name}: {graph.describe(op)} takes constants of {element}, and can't be "
        "left in floating point"
    )


def _attributes(op: Any) -> str:
    """Return an operation's properties as MLIR's text, those of frameworks left out."""
    names = [item if isinstance(item, str) else item.name for item in op.attributes]
    return ", ".join(f"{name} = {op.attributes[name]}" for name in names if "." not in name)


def _region(region: Any, outside: Mapping[Any, str]) -> str:
    """Return the text of a region.

    Args:
      outside: names of the values around it.
    """
    (block,) = region.blocks
    # Names of regions begin with a letter, so that they are none of the writer's.
    names = dict(outside)
    for argument in block.arguments:
        names[argument] = f"%r{len(names)}"
    arguments = ", ".join(f"{names[value]}: {value.type}" for value in block.arguments)
    lines = [f"^bb0({arguments}):"]
    for view in block.operations:
        inner = view.operation
        own = ", ".join(names[value] for value in inner.operands)
        kinds = ", ".join(str(value.type) for value in inner.operands)
        bodies = ", ".join(f"{{{_region(each, names)}}}" for each in inner.regions)
        for result in inner.results:
            names[result] = f"%r{len(names)}"
        results = ", ".join(names[result] for result in inner.results)
        given = ", ".join(str(result.type) for result in inner.results)
        properties = _attributes(inner)
        lines.append(
            f'{f"{results} = " if results else ""}"{inner.name}"({own})'
            f"{f' <{{{properties}}}>' if properties else ''}{f' ({bodies})' if bodies else ''}"
            f" : ({kinds}) -> ({given})"
        )
    return "\n".join(lines) + "\n"
