# SPDX-License-Identifier: Apache-2.0
"""Quantised ONNX files (`.onnx`), through the cache; read by the package `onnx` (an extra)."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from asnet_mlir.errors import InputError, ToolError
from asnet_mlir.frontends.cached import cached_network, file_key
from asnet_mlir.frontends.onnx_layers import onnx_program
from asnet_mlir.frontends.program import from_program
from asnet_mlir.network import Network

__all__ = ["from_onnx_file", "parse_onnx"]

_PACKAGES = ("jax", "jaxlib", "onnx")


def from_onnx_file(path: Path) -> Network:
    """Read an `.onnx` file whose layers are between (de)quantizations, or `QLinear*` ops.

    No code of it is run and no other file is read.

    Raises:
      InputError: the file is missing or damaged, or its parts don't fit together.
      UnsupportedError: an op, a type or a shape is not supported.
      ToolError: `onnx` is not installed.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")

    def find_key() -> str:
        return f"onnx {file_key(path, packages=_PACKAGES)}"

    return cached_network(find_key, path.stem, functools.partial(_make, path))


def _make(path: Path) -> Network:
    try:
        program = onnx_program(path.stem, parse_onnx(path.read_bytes()))
    except InputError as error:
        text = str(error).removeprefix(f"{path.stem}: ")
        raise type(error)(f"{path}: {text}") from None
    return from_program(program)


def parse_onnx(content: bytes) -> Any:
    """Return the `ModelProto` of a file's content.

    Raises:
      InputError: it is none.
      ToolError: `onnx` is not installed.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError:
        raise ToolError(
            "ONNX files need the package onnx: pip install 'asnet-mlir[onnx]'"
        ) from None
    try:
        model = onnx.ModelProto.FromString(content)
    except DecodeError as error:
        raise InputError(f"not an ONNX file: {str(error)[:100]}") from None
    if not model.graph.node or not model.opset_import:
        raise InputError("not an ONNX file: it has no graph")
    _check_names(model.graph)
    return model


def _check_names(graph: Any) -> None:
    """Refuse names that are no text: of a damaged file protobuf gives them as bytes."""
    names = [value.name for value in (*graph.initializer, *graph.input, *graph.output)]
    for node in graph.node:
        names += [node.op_type, node.name, node.domain, *node.input, *node.output]
        names += [attribute.name for attribute in node.attribute]
    if not all(isinstance(name, str) for name in names):
        raise InputError("a damaged ONNX file: names that are no UTF-8")
