# SPDX-License-Identifier: Apache-2.0
"""`.h5` files of Keras 2 and 3, and descriptions of models (`.json`) with weights beside them."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from asnet_mlir.errors import InputError, described
from asnet_mlir.frontends.keras_archive import check_keras_config, check_keras_weights

__all__ = ["read_keras_h5", "read_keras_json", "weights_of_json"]

_CONFIG, _WEIGHTS, _LAYERS = "model_config", "model_weights", "layer_names"
#: How a layer's arrays are made, which matters before they are read only; what old versions wrote
#: there, later ones refuse.
_OF_TRAINING = ("_initializer", "_regularizer", "_constraint")
_INPUT_SHAPE = "batch_input_shape"
#: Arguments that layers no longer take, with the values that change nothing.
_GONE = {"DepthwiseConv2D": {"groups": 1}}


def read_keras_h5(path: Path, keras: Any, own: Mapping[str, Any]) -> tuple[Any, frozenset[str]]:
    """Return the model in an `.h5` file, and the types of its weights; no code of it is run.

    Args:
      own: classes and functions of the user's, by name.

    Raises:
      InputError: the file holds no model, or what it must not, or Keras can't read it.
    """
    text = _config(path)
    check_keras_config(path, text, own=own)
    kinds = check_keras_weights(path, path.read_bytes())
    config = _modern(json.loads(text))
    with tempfile.TemporaryDirectory(prefix="asnet-h5-") as folder:
        copy = Path(folder) / "model.h5"
        shutil.copyfile(path, copy)
        copy.chmod(0o600)
        with described(f"{path}: Keras can't read it"):
            with h5py.File(copy, "r+") as file:
                file.attrs[_CONFIG] = json.dumps(config)
                _widen_bfloat16(file)
            model = keras.saving.load_model(
                copy, compile=False, safe_mode=True, custom_objects=dict(own)
            )
            return model, kinds


def read_keras_json(
    path: Path, weights: Path, keras: Any, own: Mapping[str, Any]
) -> tuple[Any, frozenset[str]]:
    """Return the model that a `.json` file describes, with weights, and the types of these.

    Args:
      weights: an `.h5` file of weights, or of a whole model.
      own: classes and functions of the user's, by name.

    Raises:
      InputError: a file is damaged, or holds what it must not, or they don't fit together.
    """
    text = path.read_bytes()
    check_keras_config(path, text, "content", own)
    kinds = check_keras_weights(weights, weights.read_bytes())
    with described(f"{path}: Keras can't read it"):
        from keras.src.legacy.saving import saving_utils  # reads what Keras 2 and 3 wrote

        model = saving_utils.model_from_config(_modern(json.loads(text)), custom_objects=dict(own))
    if not model.built:
        raise InputError(f"{path}: does not say its input's shape")
    with tempfile.TemporaryDirectory(prefix="asnet-h5-") as folder:
        # What Keras takes a file for depends on its name.
        copy = Path(folder) / ("model.h5" if _is_by_layers(weights) else "model.weights.h5")
        shutil.copyfile(weights, copy)
        copy.chmod(0o600)
        if _is_by_layers(weights):
            with h5py.File(copy, "r+") as file:
                _widen_bfloat16(file)
        with described(f"{path}: the weights of {weights.name} don't fit"):
            model.load_weights(copy)
    return model, kinds


def weights_of_json(path: Path, weights: Path | None) -> Path:
    """Return the weights' file of the description `NAME.json`, by default one beside it.

    Raises:
      InputError: there is none.
    """
    names = [f"{path.stem}{end}" for end in (".weights.h5", "_weights.h5", ".h5", ".hdf5")]
    places = [weights] if weights is not None else [path.with_name(name) for name in names]
    for place in places:
        if place.is_file():
            return place
    if weights is not None:
        raise InputError(f"{weights}: no such file")
    raise InputError(
        f"{path}: describes a network without weights, and none of {', '.join(names)} lies beside "
        "it; give --weights FILE.h5"
    )


def _is_by_layers(path: Path) -> bool:
    """Whether an HDF5 file has weights as Keras 2 has them, by the names of layers."""
    with h5py.File(path, "r") as file:
        return _LAYERS in file.attrs or _WEIGHTS in file


def _widen_bfloat16(file: Any) -> None:
    """Write arrays of bfloat16 as float32, in place; Keras reads them of `.keras` files only."""
    found: list[Any] = []
    file.visititems(lambda _, own: found.append(own) if getattr(own, "shape", None) else None)
    for own in found:
        if own.dtype.kind == "V":
            name, bits = own.name, own[()].view(np.uint16)
            del file[name]
            file.create_dataset(name, data=(bits.astype(np.uint32) << 16).view(np.float32))


def _config(path: Path) -> bytes:
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
            "give its description, NAME.json of model.to_json(), with --weights"
        )
    return text if isinstance(text, bytes) else str(text).encode()


def _with_input(layers: Any) -> Any:
    """Return the layers of a Sequential, what the first one says of the input in a layer before."""
    if not isinstance(layers, list) or not layers or not isinstance(layers[0], dict):
        return layers
    first = layers[0].get("config")
    if layers[0].get("class_name") == "InputLayer" or not isinstance(first, dict):
        return layers
    shape = first.pop(_INPUT_SHAPE, None)
    if shape is None:
        return layers
    dtype = first.get("dtype")
    dtype = dtype if isinstance(dtype, str) else "float32"
    taken = {"batch_shape": shape, "dtype": dtype, "name": "input"}
    return [{"class_name": "InputLayer", "config": taken}, *layers]


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
        config = result["config"] = {"name": "sequential", "layers": config}
    if kind == "Sequential" and isinstance(config, dict):
        config["layers"] = _with_input(config.get("layers"))
    if isinstance(config, dict):
        for argument, harmless in _GONE.get(str(kind), {}).items():
            if config.get(argument) == harmless:
                del config[argument]
    return result
