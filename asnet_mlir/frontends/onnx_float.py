# SPDX-License-Identifier: Apache-2.0
"""ONNX's graphs of floats as networks."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from asnet_mlir.errors import described
from asnet_mlir.frontends.graph_network import from_graph
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
    """Make a network of a `ModelProto`, whose inputs and outputs keep their names.

    The batch may be of any size where the graph allows it, else of the one that the file fixes.

    Raises:
      InputError: its parts don't fit together.
      UnsupportedError: an op, a type or a shape is not supported.
    """

    def make() -> OnnxFunction:
        with described(f"{name}: a damaged ONNX file"):
            return OnnxFunction(name, model, TRANSLATIONS)

    return from_graph(name, make, "fix all but the batch (by onnx.tools.update_model_dims)")
