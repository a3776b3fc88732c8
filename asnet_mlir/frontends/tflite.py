# SPDX-License-Identifier: Apache-2.0
"""Quantised TensorFlow Lite files (`.tflite`), through the cache."""

from __future__ import annotations

import functools
from pathlib import Path

from asnet_mlir.errors import InputError
from asnet_mlir.frontends.cached import cached_network, file_key
from asnet_mlir.frontends.program import from_program
from asnet_mlir.frontends.tflite_layers import program_of
from asnet_mlir.frontends.tflite_model import read_tflite
from asnet_mlir.network import Network

__all__ = ["from_tflite_file"]

_PACKAGES = ("jax", "jaxlib", "tflite")


def from_tflite_file(path: Path) -> Network:
    """Read a `.tflite` file whose tensors are codes of 8 bits; no code of it is run.

    With exact cores the network gives the bits of LiteRT's reference kernels.

    Raises:
      InputError: the file is missing or damaged, or its parts don't fit together.
      UnsupportedError: an op, a version, a type or a shape is not supported; it is named.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")

    def find_key() -> str:
        return f"tflite {file_key(path, packages=_PACKAGES)}"

    return cached_network(find_key, path.stem, functools.partial(_make, path))


def _make(path: Path) -> Network:
    try:
        program = program_of(path.stem, read_tflite(path.read_bytes()))
    except InputError as error:
        text = str(error).removeprefix(f"{path.stem}: ")
        raise type(error)(f"{path}: {text}") from None
    return from_program(program)
