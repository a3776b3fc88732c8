# SPDX-License-Identifier: Apache-2.0
"""`.h5` files of Keras 2, and of Keras 3's `model.save("net.h5")`."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from asnet_mlir.errors import InputError, described
from asnet_mlir.frontends.keras_archive import check_keras_config, check_keras_weights

__all__ = ["read_keras_h5"]

_CONFIG, _WEIGHTS = "model_config", "model_weights"
#: How a layer's arrays are made, which matters before they are read only; what old versions wrote
#: there, later ones refuse.
_OF_TRAINING = ("_initializer", "_regularizer", "_constraint")
#: Arguments that layers no longer take, with the values that change nothing.
_GONE = {"DepthwiseConv2D": {"groups": 1}}


def read_keras_h5(path: Path, keras: Any) -> Any:
    """Return the model in an `.h5` file; no code of it is run.

    Raises:
      InputError: the file holds no model, or what it must not, or Keras can't read it.
    """
    text = _config(path)
    check_keras_config(path, text)
    check_keras_weights(path, path.read_bytes())
    config = _modern(json.loads(text))
    with tempfile.TemporaryDirectory(prefix="asnet-h5-") as folder:
        copy = Path(folder) / "model.h5"
        shutil.copyfile(path, copy)
        copy.chmod(0o600)
        with described(f"{path}: Keras can't read it"):
            import h5py

            with h5py.File(copy, "r+") as file:
                file.attrs[_CONFIG] = json.dumps(config)
            return keras.saving.load_model(copy, compile=False, safe_mode=True)


def _config(path: Path) -> bytes:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            text = file.attrs.get(_CONFIG)
            has_weights = _WEIGHTS in file
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        detail = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: not an HDF5 file, or a damaged one: {detail}") from None
    if text is None or not has_weights:
        raise InputError(
            f"{path}: holds weights without a model; save the whole model (model.save(..)), or "
            "give the model itself, in Python"
        )
    return text if isinstance(text, bytes) else str(text).encode()


def _modern(value: Any) -> Any:
    """Return a configuration without what Keras 3 refuses and inference does not need."""
    if isinstance(value, list):
        return [_modern(child) for child in value]
    if not isinstance(value, dict):
        return value
    result = {key: _modern(child) for key, child in value.items() if not key.endswith(_OF_TRAINING)}
    kind, config = result.get("class_name"), result.get("config")
    if kind == "Model":
        result["class_name"] = "Functional"
    if kind == "Sequential" and isinstance(config, list):
        result["config"] = {"name": "sequential", "layers": config}
    if isinstance(config, dict):
        for argument, harmless in _GONE.get(str(kind), {}).items():
            if config.get(argument) == harmless:
                del config[argument]
    return result
