# SPDX-License-Identifier: Apache-2.0
"""`.keras`, `.h5` and `.json` files, through the cache."""

from __future__ import annotations

import functools
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from asnet_mlir.errors import InputError, UnsupportedError, described
from asnet_mlir.frontends.cached import cached_network, file_key
from asnet_mlir.network import Network
from asnet_mlir.support.files import write_whole

__all__ = ["from_keras_file", "from_keras_json", "write_keras_file"]

_PACKAGES = ("jax", "jaxlib", "keras", "h5py")
_FLOATS = ("float16", "bfloat16", "float32", "float64")


def from_keras_file(path: Path, *, name: str | None = None, module: Path | None = None) -> Network:
    """Read a `.keras` or `.h5` file.

    No code of it is run (`asnet_mlir.frontends.keras_archive`, and Keras' safe mode).

    Where this process has Keras on another backend than JAX, another process reads it.

    Args:
      module: a file of Python, which is run, with classes that the model names.

    Raises:
      InputError: the file is missing, or holds what it must not, or Keras can't read it.
    """
    return _from_files(path, None, name, module)


def from_keras_json(path: Path, weights: Path | None, *, module: Path | None = None) -> Network:
    """Read a description of a model, `model.to_json()`, with its weights.

    Args:
      weights: an `.h5` file; by default `NAME.weights.h5`, `NAME_weights.h5` or `NAME.h5` beside
        `NAME.json`.
      module: see `from_keras_file`.

    Raises:
      InputError: a file is missing, or holds what it must not, or they don't fit together.
    """
    from asnet_mlir.frontends.keras_h5 import weights_of_json

    if not path.is_file():
        raise InputError(f"{path}: no such file")
    return _from_files(path, weights_of_json(path, weights), None, module)


def write_keras_file(source: Path, weights: Mapping[str, np.ndarray], output: Path) -> None:
    """Write the model of a `.keras` or `.h5` file with other weights, as a `.keras` file.

    Args:
      weights: by the names that the network of `source` has; the model keeps its others.

    Raises:
      InputError: see `from_keras_file`.
    """
    from asnet_mlir.frontends.keras import variable_names

    model, _ = _read(source, None, None)
    names = variable_names(model)
    for variable in model.variables:
        if names[id(variable)] in weights:
            variable.assign(weights[names[id(variable)]])
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "model.keras"
        model.save(whole)
        write_whole(output, whole.read_bytes())


def _from_files(path: Path, weights: Path | None, name: str | None, module: Path | None) -> Network:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    make = functools.partial(_make, path, weights, module)
    if module is not None:  # which may import whatever it likes: nothing is kept
        return make()
    files = [path] if weights is None else [path, weights]

    def find_key() -> str:
        return f"keras {file_key(*files, packages=_PACKAGES)}"

    return cached_network(find_key, name or path.stem, make)


def _make(path: Path, weights: Path | None, module: Path | None) -> Network:
    if _is_on_another_backend():
        if weights is not None or module is not None:
            raise UnsupportedError(
                f"{path}: is read where Keras runs on JAX; set KERAS_BACKEND=jax before it is "
                "imported"
            )
        from asnet_mlir.frontends.child import ChildModel

        return ChildModel("keras", path).network()
    from asnet_mlir.frontends.keras import from_keras_model

    model, kinds = _read(path, weights, module)
    try:
        network = from_keras_model(model, name=path.stem if module is not None else None)
    except InputError as error:
        raise type(error)(f"{path}: {error}") from None
    return replace(network, warnings=_what_is_widened(model, kinds))


def _read(path: Path, weights: Path | None, module: Path | None) -> tuple[Any, frozenset[str]]:
    """Return a model, and the types of the numbers in its file."""
    from asnet_mlir.frontends.keras import import_keras

    keras = import_keras()
    own: Any = {}
    if module is not None:
        from asnet_mlir.frontends.keras_own import own_objects

        own = own_objects(module)
    if weights is not None:
        from asnet_mlir.frontends.keras_h5 import read_keras_json

        return read_keras_json(path, weights, keras, own)
    if path.suffix != ".keras":
        from asnet_mlir.frontends.keras_h5 import read_keras_h5

        return read_keras_h5(path, keras, own)
    from asnet_mlir.frontends.keras_archive import check_keras_archive

    kinds = check_keras_archive(path, own)
    with described(f"{path}: Keras can't read it"):
        model = keras.saving.load_model(path, compile=False, safe_mode=True, custom_objects=own)
    return model, kinds


def _what_is_widened(model: Any, kinds: frozenset[str]) -> tuple[str, ...]:
    """Return warnings of weights that are of another type than the layers that take them."""
    taken = {str(variable.dtype) for variable in model.variables}
    other = sorted((kinds & set(_FLOATS)) - taken)
    floats = sorted(taken & set(_FLOATS))
    if not (other and floats):
        return ()
    done = "rounded" if other == ["float64"] else "widened"
    return (
        f"its weights are {' and '.join(other)}, its layers' {' and '.join(floats)}: "
        f"they are {done}",
    )


def _is_on_another_backend() -> bool:
    return "keras" in sys.modules and sys.modules["keras"].backend.backend() != "jax"
