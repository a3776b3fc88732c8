# SPDX-License-Identifier: Apache-2.0
"""A softmax at a network's end, which becomes codes where that is asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.quantization.graph import Graph
from asnet_mlir.quantization.groups import Group, Softmax

__all__ = ["with_softmax"]

#: A softmax in f32 and one in f64 differ by less; other functions by more, on some sample.
_TOLERANCE = 1e-4
_SAMPLES = 64


def with_softmax(graph: Graph, groups: Sequence[Group], x: np.ndarray) -> tuple[Group, ...]:
    """Return the groups of a network with its last operations, a softmax in floating point, as one.

    Frameworks write a softmax in many forms; it is known by what it gives for samples.

    Args:
      x: float32[n, *input_shape], samples.

    Raises:
      InputError: the network does not end in a softmax over the last dimension of codes.
    """
    count = next((n for n, group in enumerate(reversed(groups)) if not group.is_float), len(groups))
    before, ending = groups[: len(groups) - count], groups[len(groups) - count :]
    made = {result for group in ending for index in group.ops for result in graph.op(index).results}
    taken = sorted({value for group in ending for value in group.inputs} - made)
    refused = InputError(
        f"{graph.network.name}: does not end in a softmax of codes over their last dimension"
    )
    if len(taken) != 1 or graph.output not in made:
        raise refused
    for given, found in graph.run([taken[0], graph.output], x[:_SAMPLES]):
        if given.size != found.size:
            raise refused
        numbers = given.reshape(found.shape).astype(np.float64)
        powers = np.exp(numbers - numbers.max(axis=-1, keepdims=True))
        if np.abs(found - powers / powers.sum(axis=-1, keepdims=True)).max() > _TOLERANCE:
            raise refused
    ops = tuple(index for group in ending for index in group.ops)
    layers = frozenset(layer for group in ending for layer in group.layers)
    names = {group.name for group in before}
    name = "softmax" if "softmax" not in names else f"softmax_{len(names)}"
    return (*before, Group(name, Softmax(), (taken[0],), graph.output, ops, layers))
