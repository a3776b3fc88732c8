# SPDX-License-Identifier: Apache-2.0
"""Which front end reads what the user names."""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path
from typing import Any

from asnet_mlir.errors import InputError, warn
from asnet_mlir.frontends.folding import fold_weights
from asnet_mlir.network import Network
from asnet_mlir.support.resources import data_directory

__all__ = ["builtin_models", "load_model"]

_LONGEST_NAME = 1000
_MODULE_SUFFIXES = (".mlir", ".mlirbc")
_KERAS_SUFFIXES = (".keras", ".h5", ".hdf5")
_PICKLE = (
    "is a pickle, which runs code when it is loaded, and is never loaded; export the network "
    "where it was trained: torch.export.save(torch.export.export(model, (x,)), 'net.pt2')"
)
_ARRAYS = "holds arrays without a network; "
_ELSEWHERE = "which is not read; export the network to ONNX (FILE.onnx) where it was made"
_CHECKPOINT = (
    "is a part of TensorFlow's checkpoint, weights without a network; save the whole model "
    "(model.save('net.keras'), or tf.saved_model.save)"
)
_CIRCUIT = "is a circuit, and a MODEL is a network; give circuits as cores (asnet cores import)"
_ARCHIVE = "is an archive; unpack it and name the model in it"
#: What to do with files that are no networks this program reads.
_HINTS = {
    **dict.fromkeys((".pt", ".pth", ".pkl", ".pickle", ".bin", ".joblib", ".torchscript", ".ptl",
                     ".ckpt"), _PICKLE),
    **dict.fromkeys((".index", ".meta", ".data-00000-of-00001"), _CHECKPOINT),
    **dict.fromkeys((".v", ".sv"), _CIRCUIT),
    **dict.fromkeys((".zip", ".tar", ".gz", ".tgz"), _ARCHIVE),
    **{suffix: f"is a file of {owner}, {_ELSEWHERE}" for suffix, owner in (
        (".caffemodel", "Caffe"), (".prototxt", "Caffe"), (".engine", "TensorRT"),
        (".gguf", "GGML"), (".mlmodel", "Core ML"), (".mlpackage", "Core ML"), (".mnn", "MNN"),
        (".param", "ncnn"), (".params", "MXNet"), (".pdmodel", "Paddle"), (".plan", "TensorRT"),
        (".trt", "TensorRT"), (".xml", "OpenVINO"),
    )},
    ".msgpack": _ARRAYS + "give the model as module:function",
    ".npy": _ARRAYS + "give the model as module:function",
    ".npz": _ARRAYS + "give it as --weights of a .mlir file, or as DATA",
    ".pb": "is a part of TensorFlow's; give the folder of a SavedModel",
    ".py": "is a program; name a function in it that returns the model, module:function",
    ".safetensors": _ARRAYS + "give the model as module:function",
    ".sqlite": "is a store of results; give the model that was explored",
}  # fmt: skip


def builtin_models() -> dict[str, Path]:
    """Return the networks that come with trained weights, by name."""
    return {path.stem: path for path in sorted((data_directory() / "models").glob("*.keras"))}


def load_model(
    model: Any, weights: str | Path | None = None, *, module: str | Path | None = None
) -> Network:
    """Make a `Network` of what the user names, its weights folded (`fold_weights`).

    What is to be known of it is said by an `AsnetWarning`, also where it is in the cache.

    Args:
      model: a built-in name, a `.keras`, `.h5`, `.tflite`, `.onnx` or `.pt2` file, a SavedModel
        folder of TensorFlow, a StableHLO `.mlir` or `.mlirbc` file, a `.mlir` file of the forms
        `approx` or `bound`, `module:function` (which returns one of what follows), a Keras model, a
        `tf.function` or `tf.Module`, `(fn, example_args)` for JAX, `(module, example_args)` or an
        `ExportedProgram` for PyTorch, or a `Network` itself.
      weights: an `.npz` file with the weights that a `.mlir` or `.mlirbc` file takes; by default
        `NAME.weights.npz` beside `NAME.mlir`.  Of a `.json` file, an `.h5` file, by default one
        beside it (see `from_keras_json`).
      module: a file of Python, which is run, with layers that a `.keras`, `.h5` or `.json` names.

    Raises:
      InputError: nothing of that name can be read.
      UnsupportedError: the network uses what no front end supports.
    """
    network = fold_weights(_load(model, weights, module))
    if not network.warnings:
        return network
    name = model if isinstance(model, str | Path) else network.name
    for text in network.warnings:
        warn(f"{name}: {text}")
    return replace(network, warnings=())


def _load(model: Any, weights: str | Path | None, module: str | Path | None) -> Network:
    if not isinstance(model, str | Path):
        if weights is not None:
            raise InputError("weights: are for .mlir and .mlirbc files; this model has its own")
        if module is not None:
            raise InputError("module: is for .keras, .h5 and .json files; this model is an object")
        return _load_object(model)
    text = str(model)
    if len(text) > _LONGEST_NAME:
        raise InputError(f"unknown model '{text[:60]}...': the name is too long")
    path, own = Path(text), Path(module) if module is not None else None
    if own is not None and path.suffix not in (*_KERAS_SUFFIXES, ".json"):
        raise InputError(f"{text}: --module is for .keras, .h5 and .json files")
    given = Path(weights) if weights is not None else None
    if path.suffix in _MODULE_SUFFIXES:
        from asnet_mlir.frontends.mlir_file import from_mlir_file

        return from_mlir_file(path, given)
    if path.suffix == ".json":
        from asnet_mlir.frontends.keras_file import from_keras_json

        return from_keras_json(path, given, module=own)
    if given is not None:
        raise InputError(
            f"{text}: has its own weights; --weights is for .mlir, .mlirbc and .json files"
        )
    builtin = builtin_models()
    if text in builtin or path.suffix in _KERAS_SUFFIXES:
        from asnet_mlir.frontends.keras_file import from_keras_file

        return from_keras_file(builtin.get(text, path), name=path.stem, module=own)
    return _load_whole(text)


def _load_whole(text: str) -> Network:
    """Make a network of a name to which nothing is to be added."""
    path = Path(text)
    if path.is_dir():
        from asnet_mlir.frontends.saved_model import from_saved_model

        return from_saved_model(path)
    if path.suffix == ".tflite":
        from asnet_mlir.frontends.tflite import from_tflite_file

        return from_tflite_file(path)
    if path.suffix == ".onnx":
        from asnet_mlir.frontends.onnx import from_onnx_file

        return from_onnx_file(path)
    if path.suffix == ".pt2":
        from asnet_mlir.frontends.torch import from_torch_file

        return from_torch_file(path)
    if ":" in text:
        from asnet_mlir.frontends.with_arguments import call_module_function

        return _load_object(call_module_function(text), text)
    if path.suffix in _HINTS:
        raise InputError(f"{text}: {_HINTS[path.suffix]}")
    kinds = (
        "a .keras, .h5, .json, .tflite, .onnx, .pt2, .mlir or .mlirbc file, a SavedModel folder or "
        "module:function"
    )
    if path.is_file():
        raise InputError(f"{text}: is of a kind that is not read; a MODEL is {kinds}")
    builtin = builtin_models()
    near = difflib.get_close_matches(text, builtin, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else f"; built in: {', '.join(builtin) or 'none'}"
    raise InputError(f"unknown model '{text}'{hint} (or name {kinds})")


def _load_object(model: Any, reference: str | None = None) -> Network:
    """Make a network of an object, which the function `reference` may have returned."""
    name = reference.partition(":")[2] if reference else None
    kind = type(model).__name__
    if isinstance(model, Network):
        return model
    if isinstance(model, tuple):
        from asnet_mlir.frontends.with_arguments import from_model_and_arguments

        return from_model_and_arguments(model, name=name)
    frameworks = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
    if "keras" in frameworks:
        from asnet_mlir.frontends.keras import from_keras_model

        return from_keras_model(model, name=name)
    if "tensorflow" in frameworks:
        from asnet_mlir.frontends.tensorflow import from_tensorflow

        return from_tensorflow(model, name=name)
    if "torch" in frameworks:
        from asnet_mlir.frontends.torch import from_torch

        return from_torch(model, name=name)
    what = f"{reference}: must return" if reference else f"unknown model of type {kind}: give"
    raise InputError(
        f"{what} (fn, example_args) for a function of JAX or a torch.nn.Module, a Keras model, a "
        "tf.function or tf.Module, or an ExportedProgram of PyTorch"
    )
