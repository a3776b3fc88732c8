# SPDX-License-Identifier: Apache-2.0
"""TensorFlow's SavedModel folders, through the cache; read in a process of TensorFlow's own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import util
from pathlib import Path
from typing import Any

from asnet_mlir.errors import InputError, ToolError
from asnet_mlir.frontends.cached import cached_network, file_key
from asnet_mlir.frontends.child import ChildModel
from asnet_mlir.network import Network

__all__ = ["from_saved_model", "load_saved_model"]

_PROGRAMS = ("saved_model.pb", "saved_model.pbtxt")
_PACKAGES = ("tensorflow-cpu", "tensorflow", "jax", "jaxlib")
_DEFAULT = "serving_default"
_CALL = "__call__"


def from_saved_model(path: Path) -> Network:
    """Read a SavedModel: its signature `serving_default`, or its only one, or its `__call__`.

    Raises:
      InputError: the folder is no SavedModel, or a damaged one.
      UnsupportedError: see `from_tensorflow`.
      ToolError: TensorFlow is not installed.
    """
    if not any((path / name).is_file() for name in _PROGRAMS):
        raise InputError(f"{path}: a folder without saved_model.pb, no SavedModel of TensorFlow")
    name = path.resolve().name

    def find_key() -> str:
        return f"saved_model {file_key(path, packages=_PACKAGES)}"

    child = ChildModel("saved_model", path)

    def make() -> Network:
        require_tensorflow(f"{path}: is a SavedModel")
        return child.network()

    return cached_network(find_key, name, make)


def require_tensorflow(what: str) -> None:
    """Raise unless TensorFlow is installed; it is not imported."""
    if util.find_spec("tensorflow") is None:
        raise ToolError(f"{what}; TensorFlow is missing: pip install 'asnet-mlir[tensorflow]'")


def load_saved_model(path: Path) -> Network:
    """Read a SavedModel in this process, with TensorFlow."""
    import tensorflow as tf

    from asnet_mlir.frontends.tensorflow import (
        from_tensorflow_function,
        inputs_and_call,
        signature_of,
        variable_name,
    )

    try:
        with _without_training(path) as folder:
            loaded = tf.saved_model.load(str(folder))
    except Exception as error:  # TensorFlow raises whatever its parsers raise
        detail = next((line for line in str(error).splitlines() if line.strip()), "")
        raise InputError(
            f"{path}: TensorFlow can't read it: {detail.strip()[:300] or type(error).__name__}"
        ) from None
    function = _function(path, loaded)
    try:
        inputs, own = inputs_and_call(str(path), function, signature_of(str(path), function))

        def call(*batches: Any) -> Any:
            # Functions hold their variables weakly: what was loaded must live as long as they.
            assert loaded is not None
            return own(*batches)

        variables = [(variable_name(v), v) for v in function.variables]
        scopes = {part for name, _ in variables for part in name.split("/")[:-1]}
        return from_tensorflow_function(
            call,
            inputs,
            name=str(path),
            variables=variables,
            root=None,  # a model that Keras exported is in a scope of its own
            scopes=frozenset(scopes),
        )
    except InputError as error:
        prefix = "" if str(error).startswith(str(path)) else f"{path}: "
        raise type(error)(f"{prefix}{error}") from None


@contextmanager
def _without_training(path: Path) -> Iterator[Path]:
    """Give a SavedModel without what optimizers keep of each variable.

    TensorFlow restores that by the optimizer's own class, and fails where it does not know it.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    program = path / _PROGRAMS[0]
    if not program.is_file():
        yield path
        return
    model = saved_model_pb2.SavedModel.FromString(program.read_bytes())
    nodes = [node for graph in model.meta_graphs for node in graph.object_graph_def.nodes]
    if not any(node.slot_variables for node in nodes):
        yield path
        return
    for node in nodes:
        node.ClearField("slot_variables")
    with tempfile.TemporaryDirectory(prefix="asnet-model-") as folder:
        for own in path.iterdir():
            if own != program:
                (Path(folder) / own.name).symlink_to(own.resolve())
        (Path(folder) / program.name).write_bytes(model.SerializeToString())
        yield Path(folder)


def _function(path: Path, loaded: Any) -> Any:
    """Return the concrete function that is the network."""
    signatures = dict(loaded.signatures)
    if _DEFAULT in signatures or len(signatures) == 1:
        return signatures.get(_DEFAULT) or next(iter(signatures.values()))
    if signatures:
        raise InputError(
            f"{path}: has the signatures {', '.join(sorted(signatures))}, none of them {_DEFAULT}"
        )
    functions = list(getattr(getattr(loaded, _CALL, None), "concrete_functions", ()))
    if len(functions) != 1:
        raise InputError(
            f"{path}: has no signature and {len(functions)} functions to call; save it with "
            "tf.saved_model.save(module, folder, signatures=function)"
        )
    return functions[0]
