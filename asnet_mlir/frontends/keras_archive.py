# SPDX-License-Identifier: Apache-2.0
"""What a `.keras` file may hold: checked before Keras sees it.

A `.keras` file is a zip archive of `config.json` (the layers), `metadata.json` and
`model.weights.h5`.  Keras' safe mode runs no code from it; this page keeps out what is around that:
archives that unpack to more than they are, classes that are not Keras' own, layers that read other
files or run other frameworks' programs, and HDF5 files that point out of themselves.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from asnet_mlir.errors import InputError

__all__ = ["check_keras_archive", "check_keras_config", "check_keras_weights"]

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_ASSETS = "assets"

_MIB = 1 << 20
#: Keras stores members as they are; what is much larger unpacked is no trained network.
_MOST_UNPACKED = 100 * _MIB
_MOST_RATIO = 20
_MOST_CONFIG = 16 * _MIB
_MOST_OBJECTS = 100_000

#: Parts of Keras whose classes and functions a network is made of; not `utils`, `saving`, ...
_PARTS = {
    "activations",
    "constraints",
    "dtype_policies",
    "initializers",
    "layers",
    "models",
    "ops",
    "quantizers",
    "random",
    "regularizers",
}

#: Layers that are code, read files, or run a saved program.
_REFUSED = {
    "FlaxLayer": "runs a program of another framework",
    "IntegerLookup": "reads a vocabulary",
    "JaxLayer": "runs a program of another framework",
    "Lambda": "is Python code",
    "StringLookup": "reads a vocabulary",
    "TFSMLayer": "runs a program of another framework",
    "TextVectorization": "reads a vocabulary",
    "TorchModuleWrapper": "runs a program of another framework",
    "__lambda__": "is Python code",
}


def check_keras_archive(path: Path, own: Collection[str] = ()) -> frozenset[str]:
    """Return the types of an archive's weights, which is safe to give to Keras.

    Args:
      own: names of classes and functions that the user gives.

    Raises:
      InputError: the file is missing, no archive, damaged, or holds what it must not; the message
        says what.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive)
            check_keras_config(path, archive.read(_CONFIG), _CONFIG, own)
            return check_keras_weights(path, archive.read(_WEIGHTS), f"its {_WEIGHTS}")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        # RuntimeError: an encrypted member.
        what = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: not a .keras file, or a damaged one: {what[:200]}") from None


def _check_members(path: Path, archive: zipfile.ZipFile) -> None:
    names = set()
    for member in archive.infolist():
        place = PurePosixPath(member.filename)
        if place.is_absolute() or ".." in place.parts or "\\" in member.filename:
            raise InputError(f"{path}: the member '{member.filename}' points out of the archive")
        if member.filename in names:
            raise InputError(f"{path}: holds the member '{member.filename}' twice")
        names.add(member.filename)
        if place.parts[:1] != (_ASSETS,) and member.filename not in (_CONFIG, _METADATA, _WEIGHTS):
            raise InputError(
                f"{path}: holds '{member.filename}'; a .keras file has {_CONFIG}, {_METADATA} and "
                f"{_WEIGHTS}"
            )
    for name in (_CONFIG, _METADATA, _WEIGHTS):
        if name not in names:
            raise InputError(f"{path}: lacks its member '{name}'; save the model again")
    unpacked = sum(member.file_size for member in archive.infolist())
    packed = path.stat().st_size
    if unpacked > max(_MOST_UNPACKED, _MOST_RATIO * packed):
        raise InputError(
            f"{path}: unpacks from {packed} to {unpacked} bytes, which no trained network does"
        )
    if archive.getinfo(_CONFIG).file_size > _MOST_CONFIG:
        raise InputError(f"{path}: its {_CONFIG} is larger than {_MOST_CONFIG} bytes")


def check_keras_config(
    path: Path, text: bytes, what: str = "model_config", own: Collection[str] = ()
) -> None:
    """Raise unless a description of a model, in JSON, is safe to give to Keras.

    Args:
      what: names it, for messages.
      own: names of classes and functions that the user gives.

    Raises:
      InputError: it names what is not Keras' own, or code; or it is damaged.
    """
    try:
        config = json.loads(text)
        entries = list(_objects(config))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: its {what} can't be read: {str(error)[:100]}") from None
    if not isinstance(config, dict) or "class_name" not in config:
        raise InputError(f"{path}: its {what} describes no model")
    for entry in entries:
        name, module = entry["class_name"], entry.get("module")
        shown = str(entry["config"].get("name") or name) if _has_config(entry) else str(name)
        if not isinstance(name, str) or not isinstance(module, str | None):
            raise InputError(f"{path}: its {what} names a class by something else than a text")
        if name in _REFUSED:
            raise InputError(
                f"{path}: layer '{shown}' ({name}) {_REFUSED[name]}; no code of a file is run, "
                "make it of Keras' own layers"
            )
        if name not in own and not _is_keras(module, name, entry.get("registered_name")):
            place = f" of '{module}'" if module else ""
            raise InputError(
                f"{path}: '{shown}' is of the class '{name}'{place}, which is not Keras' own; give "
                f"the file that defines it, --module FILE.py (or load_model(.., module='FILE.py'))"
            )


def _is_keras(module: str | None, name: str, registered: Any) -> bool:
    if module is None:
        # Tensors and the like, in double underscores; what is registered is someone's own class.
        return registered is None
    if module == "builtins":
        return name == "function"  # an activation by its name
    parts = module.split(".")
    if parts[0] != "keras":
        return False
    own = parts[2:] if parts[1:2] == ["src"] else parts[1:]
    return not own or own[0] in _PARTS


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield what describes an object, but for how the model was compiled, which is not read."""
    if isinstance(value, dict):
        if "class_name" in value:
            yield value
        for key, child in value.items():
            if key != "compile_config":
                yield from _objects(child)
    elif isinstance(value, list):
        for child in value:
            yield from _objects(child)


def _has_config(entry: dict[str, Any]) -> bool:
    return isinstance(entry.get("config"), dict)


def check_keras_weights(path: Path, content: bytes, what: str = "its content") -> frozenset[str]:
    """Return the types of a HDF5 file's arrays: plain ones of numbers, no more of them than bytes.

    Raises:
      InputError: it refers to other files, holds other things, or is damaged.
    """
    import h5py

    place = f"{path}: {what}"
    kinds = set()
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            size = 0
            for name, dataset in _datasets(place, file):
                is_bfloat16 = dataset.dtype.kind == "V" and dataset.dtype.itemsize == 2
                if dataset.dtype.kind not in "fiub" and not is_bfloat16:
                    raise InputError(f"{place} holds {dataset.dtype} in '{name}', not numbers")
                if dataset.external or dataset.is_virtual:
                    raise InputError(f"{place} takes '{name}' from another file")
                kinds.add("bfloat16" if is_bfloat16 else dataset.dtype.name)
                size += int(dataset.size or 0) * dataset.dtype.itemsize
            if size > max(_MOST_UNPACKED, _MOST_RATIO * len(content)):
                raise InputError(f"{place} claims {size} bytes of arrays in {len(content)}")
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{place} is damaged: {' '.join(str(error).split())[:200]}") from None
    return frozenset(kinds)


def _datasets(place: str, file: Any) -> Iterator[tuple[str, Any]]:
    """Yield the datasets of an HDF5 file, each once; every link must be a plain one."""
    import h5py

    seen = {h5py.h5o.get_info(file.id).addr}
    waiting = [("", file)]
    while waiting:
        prefix, group = waiting.pop()
        for name in group:
            full = f"{prefix}/{name}"
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise InputError(f"{place} has the link '{full}'; only plain groups are read")
            child = group[name]
            address = h5py.h5o.get_info(child.id).addr
            if address in seen:
                continue
            seen.add(address)
            if len(seen) > _MOST_OBJECTS:
                raise InputError(f"{place} has more than {_MOST_OBJECTS} groups and arrays")
            if isinstance(child, h5py.Group):
                waiting.append((full, child))
            elif isinstance(child, h5py.Dataset):
                yield full, child
