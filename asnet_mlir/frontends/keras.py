# SPDX-License-Identifier: Apache-2.0
"""Keras 3 models, on Keras' JAX or TensorFlow backend."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.frontends.jax import from_jax_function
from asnet_mlir.frontends.weights import TensorKind, network_format
from asnet_mlir.network import Network
from asnet_mlir.support.formats import F32, NumberFormat

__all__ = ["from_keras_model", "import_keras"]


def import_keras() -> Any:
    """Import Keras on the JAX backend.

    Raises:
      UnsupportedError: this process has Keras on another backend already.
    """
    from asnet_mlir import dialects

    # Where TensorFlow is installed, Keras imports it, after which MLIR could not be.
    dialects.load_first()
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

    The model runs where Keras runs: on JAX or TensorFlow.

    Raises:
      InputError: it is no model, not built, or a dimension other than the batch is open.
      UnsupportedError: more than one input or output; another backend.
    """
    keras = sys.modules["keras"]
    if not isinstance(model, keras.Model):
        raise InputError(f"{type(model).__name__} is no keras.Model; wrap it in keras.Sequential")
    name = name or model.name
    kind = TensorKind(_input_shape(model, name), _input_format(model, name))
    backend = keras.backend.backend()
    names, options = _variable_names(model), _inference(model)
    if backend == "tensorflow":
        from asnet_mlir.frontends.tensorflow import from_tensorflow_function

        return from_tensorflow_function(
            lambda batch: model(batch, **options),
            kind,
            name=name,
            variables=[(names[id(v)], v.value) for v in model.variables],
            root=model.name,
            scopes=frozenset(_layer_names(model)),
        )
    if backend != "jax":
        raise UnsupportedError(
            f"{name}: Keras runs on '{backend}' in this process; supported are jax and tensorflow "
            "(save the model as a .keras file and give that)"
        )
    return _from_jax_model(model, name, kind, names)


def _input_shape(model: Any, name: str) -> tuple[int, ...]:
    """Return the shape of one sample.

    A subclassed model has no inputs of its own: what it was built with counts.
    """
    if getattr(model, "inputs", None) is not None:
        if len(model.inputs) != 1 or len(model.outputs) != 1:
            raise UnsupportedError(
                f"{name}: only models with one input and one output are supported, it has "
                f"{len(model.inputs)} and {len(model.outputs)}"
            )
        shape = model.inputs[0].shape
    else:
        shape = (model.get_build_config() or {}).get("input_shape") if model.built else None
        if shape is None:
            raise InputError(
                f"{name}: is not built, so that its input's shape is unknown; call "
                "model.build((None, ...)) or the model on a batch first"
            )
        if not all(size is None or isinstance(size, int) for size in shape):
            raise UnsupportedError(f"{name}: only models with one input are supported")
    if None in shape[1:]:
        raise InputError(f"{name}: its input shape {tuple(shape[1:])} is open; fix every dimension")
    return tuple(int(size) for size in shape[1:])


def _input_format(model: Any, name: str) -> NumberFormat:
    """Return the format of the input; of a subclassed model, which states none, f32."""
    if getattr(model, "inputs", None) is None:
        return F32
    return network_format(f"{name}: the input", str(model.inputs[0].dtype))


def _from_jax_model(model: Any, name: str, kind: TensorKind, names: Mapping[int, str]) -> Network:
    import jax

    options = _inference(model)
    trainable, rest = list(model.trainable_variables), list(model.non_trainable_variables)

    def forward(batch: Any, trainable_values: Any, rest_values: Any) -> Any:
        # Seeds of dropout layers are integers; inference does not read them.
        values = iter(rest_values)
        filled = [next(values) if _is_float(v) else v.value for v in rest]
        return model.stateless_call(trainable_values, filled, batch, **options)[0]

    float_rest = [v for v in rest if _is_float(v)]
    return from_jax_function(
        forward,
        (
            jax.ShapeDtypeStruct((1, *kind.shape), kind.format.dtype),
            [v.value for v in trainable],
            [v.value for v in float_rest],
        ),
        name=name,
        weight_names=[names[id(v)] for v in (*trainable, *float_rest)],
    )


def _inference(model: Any) -> dict[str, bool]:
    """Return `training=False` for a model whose `call` takes it."""
    return {"training": False} if "training" in inspect.signature(model.call).parameters else {}


def _layer_names(model: Any) -> Iterator[str]:
    for layer in getattr(model, "layers", ()):
        yield layer.name
        yield from _layer_names(layer)


def _is_float(variable: Any) -> bool:
    return "float" in str(variable.dtype)


def _variable_names(model: Any) -> dict[int, str]:
    """Return names of a model's variables by their `id`: its layers' paths and their own.

    Keras' own paths depend on where a layer was built, which a file does not keep.
    """
    names: dict[int, str] = {}

    def visit(layer: Any, place: str) -> None:
        for child in getattr(layer, "layers", ()):
            visit(child, f"{place}{child.name}/")
        for variable in layer.variables:
            _, found, own = variable.path.rpartition(f"{layer.name}/")
            names.setdefault(id(variable), place + (own if found else variable.path))

    visit(model, "")
    return names
