# SPDX-License-Identifier: Apache-2.0
"""ONNX's graphs of floats as networks."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import jax
import numpy as np

from asnet_mlir.errors import InputError, UnsupportedError, described
from asnet_mlir.frontends.jax import from_jax_function
from asnet_mlir.frontends.known_arrays import narrow
from asnet_mlir.frontends.onnx_elementwise import ELEMENTWISE
from asnet_mlir.frontends.onnx_graph import OnnxFunction, Translation
from asnet_mlir.frontends.onnx_recurrent import RECURRENT
from asnet_mlir.frontends.onnx_shapes import SHAPES
from asnet_mlir.frontends.onnx_windows import WINDOWS
from asnet_mlir.network import Network

__all__ = ["TRANSLATIONS", "from_float_model"]

#: What is read, and what makes JAX of it.
TRANSLATIONS: Mapping[str, Translation] = MappingProxyType(
    {**ELEMENTWISE, **SHAPES, **WINDOWS, **RECURRENT}
)


def from_float_model(name: str, model: Any) -> Network:
    """Make a network of a `ModelProto` of one input and one output.

    The batch may be of any size where the graph allows it, else of the one that the file fixes.

    Raises:
      InputError: its parts don't fit together.
      UnsupportedError: an op, a type or a shape is not supported.
    """
    with described(f"{name}: a damaged ONNX file"):
        function = OnnxFunction(name, model, TRANSLATIONS)
    for what, names in (("input", [*function.inputs]), ("output", function.outputs)):
        if len(names) != 1:
            shown = ", ".join(f"'{own}'" for own in names) or "none"
            raise UnsupportedError(f"{name}: one {what} is supported, it has {shown}")
    ((given, (dtype, sizes)),) = function.inputs.items()
    if not sizes or any(size is None for size in sizes[1:]):
        shown = ", ".join("?" if size is None else str(size) for size in sizes)
        raise InputError(
            f"{name}: input '{given}' is of the open shape [{shown}]; fix all but the batch (by "
            "onnx.tools.update_model_dims)"
        )
    shape = [int(size) for size in sizes[1:] if size is not None]

    def network(fixed_batch: int | None) -> Network:
        fresh = OnnxFunction(name, model, TRANSLATIONS)
        fresh.find_weights({given: [fixed_batch or 1, *shape]})
        arrays = dict(fresh.weights)

        def compute(x: Any, weights: list[Any]) -> Any:
            return fresh({given: x}, weights)[0]

        return from_jax_function(
            compute,
            (jax.ShapeDtypeStruct((fixed_batch or 1, *shape), narrow(np.dtype(dtype))),
             list(arrays.values())),
            name=name,
            weight_names=list(arrays),
            fixed_batch=fixed_batch,
        )  # fmt: skip

    try:
        return network(None)
    except InputError:
        if sizes[0] is None:
            raise
    return network(sizes[0])
