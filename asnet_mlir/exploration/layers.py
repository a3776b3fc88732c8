# SPDX-License-Identifier: Apache-2.0
"""Which operations the layers of a network do, counted from its approx module."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from asnet_mlir.cores import Instance
from asnet_mlir.ir import module_from_text, operand_format

__all__ = ["Layer", "network_layers"]


@dataclass(frozen=True)
class Layer:
    """A layer of a network.

    Attributes:
      name: as bindings name it; empty for operations that no layer's name was found for.
      ops: per op kind (`mulf`, ..), how many operations one sample takes.
      formats: per op kind, the formats of their operands, the one that most of them have first.
    """

    name: str
    ops: Mapping[str, int]
    formats: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def takes(self, instance: Instance) -> bool:
        """Return whether an instance computes ops of its kind here; none is said of no formats."""
        formats = self.formats.get(instance.core.op or "", ())
        return not formats or any(instance.computes_on(format) for format in formats)


def network_layers(approx: str, batch: int = 1) -> tuple[Layer, ...]:
    """Return the layers that compute something, in the order in which they begin.

    The counts are static: an op in the body of a `linalg` op runs once for each point of its
    iteration space, padding included, as in the hardware.

    Args:
      approx: what `asnet_mlir.compiler.to_approx` returned.
      batch: for how many samples.
    """
    found: dict[str, dict[str, Counter[str]]] = {}
    with module_from_text(approx) as module:
        for op, layer, points in _arithmetic(module.operation, "", 1):
            kinds = found.setdefault(layer, {})
            formats = kinds.setdefault(op.name.removeprefix("approx."), Counter())
            formats[operand_format(op).name] += points
    return tuple(
        Layer(
            name,
            {kind: max(1, formats.total() // batch) for kind, formats in kinds.items()},
            {kind: tuple(f for f, _ in formats.most_common()) for kind, formats in kinds.items()},
        )
        for name, kinds in found.items()
    )


def _arithmetic(op: Any, layer: str, points: int) -> Iterator[tuple[Any, str, int]]:
    """Yield (op, its layer, how often it runs) for the approx ops inside `op`."""
    from mlir import ir

    if "approx.layer" in op.attributes:
        layer = op.attributes["approx.layer"].value
    if op.name.startswith("approx.") and len(op.results) == 1:
        kind = op.results[0].type
        elements = 1
        if isinstance(kind, ir.ShapedType) and kind.has_static_shape:
            elements = math.prod(kind.shape)
        yield op, layer, points * elements
        return
    if "indexing_maps" in op.attributes:
        points *= _iterations(op)
    for region in op.regions:
        for block in region:
            for child in block:
                yield from _arithmetic(child.operation, layer, points)


def _iterations(op: Any) -> int:
    """Return the number of points of a linalg op's iteration space."""
    from mlir import ir

    maps = [attribute.value for attribute in op.attributes["indexing_maps"]]
    extents: dict[int, int] = {}
    for operand, map in zip(op.operands, maps, strict=True):
        shape = operand.type.shape if isinstance(operand.type, ir.ShapedType) else []
        for expression, extent in zip(map.results, shape, strict=True):
            if isinstance(expression, ir.AffineDimExpr):
                extents[expression.position] = extent
    return math.prod(extents.get(dimension, 1) for dimension in range(maps[0].n_dims))
