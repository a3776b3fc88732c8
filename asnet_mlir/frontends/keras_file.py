# SPDX-License-Identifier: Apache-2.0
"""`.keras` and `.h5` files, through the cache."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

from asnet_mlir.errors import InputError, described
from asnet_mlir.frontends.cached import cached_network, file_key
from asnet_mlir.network import Network

__all__ = ["from_keras_file"]

_PACKAGES = ("jax", "jaxlib", "keras", "h5py")


def from_keras_file(path: Path, *, name: str | None = None) -> Network:
    """Read a `.keras` or `.h5` file.

    No code of it is run (`asnet_mlir.frontends.keras_archive`, and Keras' safe mode).

    Where this process has Keras on another backend than JAX, another process reads it.

    Raises:
      InputError: the file is missing, or holds what it must not, or Keras can't read it.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")

    def find_key() -> str:
        return f"keras {file_key(path, packages=_PACKAGES)}"

    return cached_network(find_key, name or path.stem, functools.partial(_make, path))


def _make(path: Path) -> Network:
    if path.suffix == ".keras":
        from asnet_mlir.frontends.keras_archive import check_keras_archive

        check_keras_archive(path)
    if _is_on_another_backend():
        from asnet_mlir.frontends.child import ChildModel

        return ChildModel("keras", path).network()
    from asnet_mlir.frontends.keras import from_keras_model, import_keras

    keras = import_keras()
    if path.suffix == ".keras":
        with described(f"{path}: Keras can't read it"):
            model = keras.saving.load_model(path, compile=False, safe_mode=True)
    else:
        from asnet_mlir.frontends.keras_h5 import read_keras_h5

        model = read_keras_h5(path, keras)
    try:
        return from_keras_model(model)
    except InputError as error:
        raise type(error)(f"{path}: {error}") from None


def _is_on_another_backend() -> bool:
    return "keras" in sys.modules and sys.modules["keras"].backend.backend() != "jax"
