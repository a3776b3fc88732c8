# SPDX-License-Identifier: Apache-2.0
"""Keras 3 models, on Keras' JAX or TensorFlow backend."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.frontends.jax import from_jax_function
from asnet_mlir.frontends.weights import TensorKind, network_format, unique_name
from asnet_mlir.network import Network

__all__ = ["from_keras_model", "import_keras", "variable_names"]


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
    """Make a network of a built Keras 3 model, of one input and output or of several.

    Several inputs go by the names of their tensors, outputs by the keys of the dictionary that the
    model returns, else by its layers.  The model runs where Keras runs: on JAX or TensorFlow.

    Raises:
      InputError: it is no model, not built, or a dimension other than the batch is open.
      UnsupportedError: another backend.
    """
    keras = sys.modules["keras"]
    if not isinstance(model, keras.Model):
        raise InputError(f"{type(model).__name__} is no keras.Model; wrap it in keras.Sequential")
    name = name or model.name
    edges = _edges(model, name)
    backend = keras.backend.backend()
    names, options = variable_names(model), _inference(model)
    if backend == "tensorflow":
        from asnet_mlir.frontends.tensorflow import from_tensorflow_function

        return from_tensorflow_function(
            lambda *batches: keras.tree.flatten(model(edges.structured(batches), **options)),
            edges.inputs,
            name=name,
            variables=[(names[id(v)], v.value) for v in model.variables],
            root=model.name,
            scopes=frozenset(_layer_names(model)),
            output_names=edges.outputs,
        )
    if backend != "jax":
        raise UnsupportedError(
            f"{name}: Keras runs on '{backend}' in this process; supported are jax and tensorflow "
            "(save the model as a .keras file and give that)"
        )
    return _from_jax_model(model, name, edges, names)


@dataclass(frozen=True)
class _Edges:
    """What a model takes and gives.

    Attributes:
      inputs: name and kind of one sample of each input, in the order of `keras.tree.flatten`.
      structure: in which the model takes them.
      outputs: names, in that order; None where the model does not say them.
    """

    inputs: list[tuple[str, TensorKind]]
    structure: Any
    outputs: list[str] | None

    def structured(self, batches: Sequence[Any]) -> Any:
        """Return batches as the model takes them."""
        if len(self.inputs) == 1:
            return batches[0]
        return sys.modules["keras"].tree.pack_sequence_as(self.structure, list(batches))


def _edges(model: Any, name: str) -> _Edges:
    """Return what a model takes and gives.

    A subclassed model has no inputs of its own: what it was built with counts, of f32.
    """
    keras = sys.modules["keras"]
    if getattr(model, "inputs", None) is not None:
        taken = [(tensor.name, tensor.shape, str(tensor.dtype)) for tensor in model.inputs]
        structure = getattr(model, "_inputs_struct", model.inputs)
        outputs = _output_names(model)
    else:
        built = (model.get_build_config() or {}).get("input_shape") if model.built else None
        if built is None:
            raise InputError(
                f"{name}: is not built, so that its input's shape is unknown; call "
                "model.build((None, ...)) or the model on a batch first"
            )
        structure, outputs = _shapes(built), None
        flat = keras.tree.flatten_with_path(structure)
        taken = [(_path_name("input", path), own.shape, "float32") for path, own in flat]
    kinds = []
    for own, shape, dtype in taken:
        which = f"input '{own}'" if len(taken) > 1 else "input"
        if None in shape[1:]:
            raise InputError(
                f"{name}: its {which} shape {tuple(shape[1:])} is open; fix every dimension"
            )
        format = network_format(f"{name}: the {which}", dtype)
        kinds.append((own, TensorKind(tuple(int(size) for size in shape[1:]), format)))
    return _Edges(kinds, structure, outputs)


@dataclass(frozen=True)
class _Shape:
    """A leaf among the shapes that a model was built with: tuples are containers elsewhere."""

    shape: tuple[int | None, ...]


def _shapes(built: Any) -> Any:
    """Return the shapes that a model was built with, as leaves in the same containers."""
    if isinstance(built, Mapping):
        return {key: _shapes(value) for key, value in built.items()}
    if all(size is None or isinstance(size, int) for size in built):
        return _Shape(tuple(built))
    return [_shapes(value) for value in built]


def _output_names(model: Any) -> list[str]:
    """Return what the outputs of a functional model are called."""
    keras = sys.modules["keras"]
    structure = getattr(model, "_outputs_struct", model.outputs)
    if isinstance(structure, Mapping):
        paths = keras.tree.flatten_with_path(structure)
        return [_path_name("output", path) for path, _ in paths]
    taken: set[str] = set()
    return [
        unique_name(str(tensor._keras_history.operation.name), taken) for tensor in model.outputs
    ]


def _path_name(what: str, path: Sequence[Any]) -> str:
    """Return the name of a leaf by its path; a number has what it counts before it."""
    text = "/".join(map(str, path))
    return f"{what}{text}" if text[:1].isdigit() or not text else text


def _from_jax_model(model: Any, name: str, edges: _Edges, names: Mapping[int, str]) -> Network:
    import jax

    keras = sys.modules["keras"]
    options = _inference(model)
    trainable, rest = list(model.trainable_variables), list(model.non_trainable_variables)

    def forward(batches: Any, trainable_values: Any, rest_values: Any) -> Any:
        # Seeds of dropout layers are integers; inference does not read them.
        values = iter(rest_values)
        filled = [next(values) if _is_float(v) else v.value for v in rest]
        x = edges.structured(batches)
        given = model.stateless_call(trainable_values, filled, x, **options)[0]
        leaves = keras.tree.flatten(given)
        return leaves if len(leaves) > 1 else leaves[0]

    float_rest = [v for v in rest if _is_float(v)]
    return from_jax_function(
        forward,
        (
            [jax.ShapeDtypeStruct((1, *kind.shape), kind.format.dtype) for _, kind in edges.inputs],
            [v.value for v in trainable],
            [v.value for v in float_rest],
        ),
        name=name,
        weight_names=[names[id(v)] for v in (*trainable, *float_rest)],
        input_names=[own for own, _ in edges.inputs],
        output_names=edges.outputs,
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


def variable_names(model: Any) -> dict[int, str]:
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
