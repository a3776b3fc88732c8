# SPDX-License-Identifier: Apache-2.0
"""ONNX files (`.onnx`), through the cache; read by the package `onnx` (an extra)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.frontends.cached import cached_network, file_key
from asnet_mlir.frontends.onnx_file import external_files, read_onnx
from asnet_mlir.network import Network

__all__ = ["from_onnx_file", "from_onnx_model"]

_PACKAGES = ("jax", "jaxlib", "onnx")
_OF_CODES = ("QLinearConv", "QLinearMatMul", "QuantizeLinear", "ConvInteger", "MatMulInteger")


def from_onnx_file(path: Path) -> Network:
    """Read an `.onnx` file: of floats, or quantised (see `from_onnx_model`).

    No code of it is run; other files are read where they hold weights of it and lie in its folder.

    Raises:
      InputError: a file is missing or damaged, or its parts don't fit together.
      UnsupportedError: an op, a type or a shape is not supported.
      ToolError: `onnx` is not installed.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")

    def find_key() -> str:
        with _of_file(path):
            beside = external_files(path)
        return f"onnx {file_key(path, *beside, packages=_PACKAGES)}"

    def make() -> Network:
        with _of_file(path):
            return from_onnx_model(path.stem, read_onnx(path))

    return cached_network(find_key, path.stem, make)


class _of_file:
    """Puts a file's path into errors about it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, InputError) and not str(error).startswith(str(self._path)):
            text = str(error).removeprefix(f"{self._path.stem}: ")
            raise type(error)(f"{self._path}: {text}") from None


def from_onnx_model(name: str, model: Any) -> Network:
    """Make a network of a `ModelProto`.

    A quantised graph, in which all layers are between (de)quantizations or `QLinear*`, becomes one
    on integer codes.  Where only some are, all is computed as its floats say, quantizations
    included.

    Raises:
      InputError, UnsupportedError: see `from_onnx_file`.
    """
    from asnet_mlir.frontends.onnx_float import from_float_model

    if not any(op in _OF_CODES for op in _ops(model)):
        return from_float_model(name, model)
    from asnet_mlir.frontends.onnx_layers import onnx_program
    from asnet_mlir.frontends.program import from_program

    try:
        program = onnx_program(name, model)
    except UnsupportedError as on_codes:
        try:
            return from_float_model(name, model)
        except InputError:
            raise on_codes from None
    return from_program(program)


def _ops(model: Any) -> Iterator[str]:
    for node in (*model.graph.node, *(node for f in model.functions for node in f.node)):
        yield node.op_type
