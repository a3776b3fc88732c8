"""Keras 3 models, on Keras' JAX backend."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.frontends.jax import from_jax_function
from asnet_mlir.frontends.network import Network

__all__ = ["from_keras_file", "from_keras_model"]


def import_keras() -> Any:
    """Import Keras on the JAX backend.

    Raises:
      UnsupportedError: this process has Keras on another backend already.
    """
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "jax"
    import keras

    if keras.backend.backend() != "jax":
        raise UnsupportedError(
            f"Keras runs on '{keras.backend.backend()}' in this process; set KERAS_BACKEND=jax "
            "before it is imported"
        )
    return keras


def from_keras_model(model: Any, *, name: str | None = None) -> Network:
    """Make a network of a built Keras 3 model with one input and one output.

    Raises:
      InputError: the model is not built, or a dimension other than the batch is open.
      UnsupportedError: more than one input or output.
    """
    import_keras()
    import jax
    import numpy as np

    name = name or model.name
    if len(model.inputs or ()) != 1 or len(model.outputs or ()) != 1:
        raise UnsupportedError(f"{name}: only models with one input and one output are supported")
    input_shape = tuple(model.inputs[0].shape[1:])
    if None in input_shape:
        raise InputError(f"{name}: its input shape {input_shape} is open; fix every dimension")
    trainable, rest = list(model.trainable_variables), list(model.non_trainable_variables)

    def forward(batch: Any, trainable_values: Any, rest_values: Any) -> Any:
        # Seeds of dropout layers are integers; inference does not read them.
        values = iter(rest_values)
        filled = [next(values) if _is_float(v) else v.value for v in rest]
        return model.stateless_call(trainable_values, filled, batch, training=False)[0]

    float_rest = [v for v in rest if _is_float(v)]
    return from_jax_function(
        forward,
        (
            jax.ShapeDtypeStruct((1, *input_shape), np.float32),
            [v.value for v in trainable],
            [v.value for v in float_rest],
        ),
        name=name,
        weight_names=[_short(v.path, model.name) for v in (*trainable, *float_rest)],
    )


def from_keras_file(path: Path, *, name: str | None = None) -> Network:
    """Read a `.keras` file in Keras' safe mode: no code from the file is run.

    Raises:
      InputError: the file is missing or Keras can't read it.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    keras = import_keras()
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever its layers raise
        raise InputError(f"{path}: Keras can't read it: {_one_line(error)}") from None
    return from_keras_model(model, name=name or path.stem)


def _is_float(variable: Any) -> bool:
    return "float" in str(variable.dtype)


def _short(path: str, model_name: str) -> str:
    return path.removeprefix(f"{model_name}/")


def _one_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
