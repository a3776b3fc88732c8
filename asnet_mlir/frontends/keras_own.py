# SPDX-License-Identifier: Apache-2.0
"""Layers of the user's own, which a model file of Keras names: from a file of Python."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asnet_mlir.errors import InputError
from asnet_mlir.support.named_functions import import_file

__all__ = ["own_objects"]


def own_objects(path: Path) -> Mapping[str, Any]:
    """Run a file and return its classes and functions by the names that models know them by.

    Those are their own names, and what `register_keras_serializable` gave them.  Keras must be
    imported.

    Raises:
      InputError: the file can't be run, or defines nothing.
    """
    import keras

    found: dict[str, Any] = {}
    for name, value in vars(import_file(path)).items():
        if not inspect.isclass(value) and not inspect.isfunction(value):
            continue
        if not name.startswith("_") and value.__module__.partition(".")[0] != "keras":
            found[name] = value
            found[keras.saving.get_registered_name(value)] = value
    if not found:
        raise InputError(f"{path}: defines no class and no function")
    return found
