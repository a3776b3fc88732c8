# SPDX-License-Identifier: Apache-2.0
"""Graphs of files, translated to functions of JAX, as networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.frontends.graph_function import GraphFunction
from asnet_mlir.frontends.jax import from_jax_function
from asnet_mlir.frontends.known_arrays import narrow
from asnet_mlir.frontends.weights import unique_name
from asnet_mlir.network import Network

__all__ = ["from_graph"]


def from_graph(name: str, make: Callable[[], GraphFunction], hint: str) -> Network:
    """Make a network of a graph, whose inputs and outputs keep their names.

    The batch may be of any size where the graph allows it, else of the one that it fixes.

    Args:
      make: gives the graph, each time one of its own.
      hint: what to do about open shapes.

    Raises:
      InputError: its parts don't fit together, or a shape is open.
      UnsupportedError: an op, a type or a shape is not supported.
    """
    graph = make()
    for what, names in (("input", graph.inputs), ("output", graph.outputs)):
        if not names:
            raise UnsupportedError(f"{name}: has no {what}")
    shapes = {}
    for own, (_, sizes) in graph.inputs.items():
        if not sizes or any(size is None for size in sizes[1:]):
            shown = ", ".join("?" if size is None else str(size) for size in sizes)
            raise InputError(
                f"{name}: input '{own}' is of the open shape [{shown}]; {hint}"
                if sizes
                else f"{name}: input '{own}' has no dimension, and the first must be the batch"
            )
        shapes[own] = [int(size) for size in sizes[1:] if size is not None]
    fixed = next((sizes[0] for _, sizes in graph.inputs.values() if sizes[0] is not None), None)

    def network(fixed_batch: int | None) -> Network:
        fresh = make()
        batch = fixed_batch or 1
        fresh.find_weights({own: [batch, *shape] for own, shape in shapes.items()})
        arrays = dict(fresh.weights)
        taken: set[str] = set()  # a graph may give one tensor twice

        def compute(batches: Sequence[Any], weights: list[Any]) -> Any:
            return fresh(dict(zip(shapes, batches, strict=True)), weights)

        examples = [
            jax.ShapeDtypeStruct((batch, *shape), narrow(np.dtype(graph.inputs[own][0])))
            for own, shape in shapes.items()
        ]
        return from_jax_function(
            compute,
            (examples, list(arrays.values())),
            name=name,
            weight_names=list(arrays),
            fixed_batch=fixed_batch,
            input_names=list(shapes),
            output_names=[unique_name(own, taken) for own in graph.outputs],
        )

    try:
        return network(None)
    except InputError:
        if fixed is None:
            raise
    return network(fixed)
