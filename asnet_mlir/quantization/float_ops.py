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
      UnsupportedError: it gives several results, or has a region that reads what is outside.
    """
    if len(op.results) != 1:
        raise UnsupportedError(
            f"{graph.network.name}: {graph.describe(op)} gives several results, and can't be left "
            "in floating point"
        )
    writer = builder.writer
    writer.layer = op.layer
    try:
        operands = [
            values[value].tensor if value in values else _constant(graph, op, value, builder)
            for value in op.operands
        ]
        shape = graph.shapes[op.result]
        batched = shape[:1] == (graph.batch,)
        result = writer.op(
            op.name,
            operands,
            shape[1:] if batched else shape,
            graph.elements[op.result],
            _attributes(op.mlir),
            batched=batched,
            region="".join(_region(graph, op, region) for region in op.mlir.regions),
        )
    finally:
        writer.layer = ""
    return {op.result: Value(result, None)}


def _constant(graph: Graph, op: Op, value: int, builder: Builder) -> Tensor:
    array, element = graph.constants[value], graph.elements[value]
    kind = Tensor("", array.shape, element, batched=False)
    flat = array.reshape(-1)
    if element == "f32" and flat.size and (flat.view(np.uint32) == flat.view(np.uint32)[0]).all():
        return builder.writer.constant(float(flat[0]), element, kind)
    if format_of_array(array) is not None and element != "i1":
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


def _region(graph: Graph, op: Op, region: Any) -> str:
    """Return the text of a region of one block whose operations read nothing of the outside."""
    (block,) = region.blocks
    # Names of the region begin with a letter, so that they are no others'.
    names = {argument: f"%r{number}" for number, argument in enumerate(block.arguments)}
    arguments = ", ".join(f"{name}: {value.type}" for value, name in names.items())
    lines = [f"^bb0({arguments}):"]
    for view in block.operations:
        inner = view.operation
        if any(value not in names for value in inner.operands) or len(inner.regions):
            raise UnsupportedError(
                f"{graph.network.name}: {graph.describe(op)} has a region that can't be left in "
                "floating point"
            )
        own = ", ".join(names[value] for value in inner.operands)
        kinds = ", ".join(str(value.type) for value in inner.operands)
        names |= {result: f"%r{len(names)}" for result in inner.results}
        results = ", ".join(names[result] for result in inner.results)
        given = ", ".join(str(result.type) for result in inner.results)
        properties = _attributes(inner)
        lines.append(
            f'{f"{results} = " if results else ""}"{inner.name}"({own})'
            f"{f' <{{{properties}}}>' if properties else ''} : ({kinds}) -> ({given})"
        )
    return "\n".join(lines) + "\n"
