# SPDX-License-Identifier: Apache-2.0
"""`.pt2` archives of `torch.export.save`: a graph in JSON and weights as bytes; without PyTorch.

PyTorch's own reader unpickles example inputs, tensors of other classes and custom objects,
evaluates texts as formulas, and calls functions by their names.  Here nothing of that is done: an
archive's graph is data, and a weight is its bytes.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.support.formats import BF16

__all__ = ["DAMAGED", "DTYPES", "TorchProgram", "read_pt2"]

#: What lists and objects of another shape than PyTorch writes raise when they are read.
DAMAGED = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError)
_SCHEMA = 8
_AGAIN = "save the program again, torch.export.save(torch.export.export(model, (x,)), 'net.pt2')"
_OLDER = (
    "was saved by an older PyTorch, as a pickle, which runs code when it is loaded and is never "
    f"loaded; by a newer one, as 2.14 is, {_AGAIN}"
)
_MIB = 1 << 20
_MOST_GRAPH = 256 * _MIB
#: PyTorch stores members as they are; what is much larger unpacked is no trained network.
_MOST_UNPACKED, _MOST_RATIO = 100 * _MIB, 20

#: Types of numbers by their codes in archives.
DTYPES: Mapping[int, np.dtype[Any]] = MappingProxyType(
    {
        1: np.dtype(np.uint8),
        2: np.dtype(np.int8),
        3: np.dtype(np.int16),
        4: np.dtype(np.int32),
        5: np.dtype(np.int64),
        6: np.dtype(np.float16),
        7: np.dtype(np.float32),
        8: np.dtype(np.float64),
        12: np.dtype(np.bool_),
        13: np.dtype(BF16.dtype),
        28: np.dtype(np.uint16),
        34: np.dtype(np.uint32),
        35: np.dtype(np.uint64),
    }
)


@dataclass(frozen=True)
class TorchProgram:
    """A graph of ATen ops.

    Attributes:
      graph: `nodes`, `inputs`, `outputs`, `tensor_values`, .. as PyTorch's schema 8 has them.
      arrays: parameters, buffers and constants by the names that nodes know them by.
      names: their names in the model: `layer1.0.conv1.weight`.
      inputs: names of what the user gives.
      outputs: names of what the user gets.
    """

    graph: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    names: Mapping[str, str]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def read_pt2(label: str, content: bytes | Path) -> TorchProgram:
    """Read an archive, of its content or a file.

    Args:
      label: names it, for messages.

    Raises:
      InputError: it is none, or a damaged one.
      UnsupportedError: it is of another version, or holds what only code could read.
    """
    try:
        with zipfile.ZipFile(content if isinstance(content, Path) else io.BytesIO(content)) as file:
            return _read(label, _Archive(label, file))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        what = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{label}: not a .pt2 file, or a damaged one: {what[:200]}") from None
    except DAMAGED as error:
        what = " ".join(str(error).split())[:100]
        raise InputError(f"{label}: a damaged .pt2 file: {type(error).__name__}: {what}") from None


class _Archive:
    """The members of an archive, all in one folder whose name does not matter."""

    def __init__(self, label: str, file: zipfile.ZipFile) -> None:
        self._label, self._file = label, file
        infos = file.infolist()
        unpacked = sum(info.file_size for info in infos)
        packed = sum(info.compress_size for info in infos)
        if unpacked > max(_MOST_UNPACKED, _MOST_RATIO * packed):
            raise InputError(
                f"{label}: unpacks from {packed} to {unpacked} bytes, which no trained network does"
            )
        self._members = {info.filename.partition("/")[2]: info for info in infos}

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def names(self, start: str, end: str) -> list[str]:
        return sorted(n for n in self._members if n.startswith(start) and n.endswith(end))

    def read(self, name: str) -> bytes:
        if name not in self._members:
            raise InputError(f"{self._label}: a damaged .pt2 file: lacks its member '{name}'")
        return self._file.read(self._members[name])

    def json(self, name: str) -> Any:
        if name in self._members and self._members[name].file_size > _MOST_GRAPH:
            raise InputError(f"{self._label}: its member '{name}' is of more than 256 MiB")
        try:
            return json.loads(self.read(name))
        except RecursionError:
            raise InputError(f"{self._label}: its member '{name}' can't be read") from None


def _read(label: str, archive: _Archive) -> TorchProgram:
    models = archive.names("models/", ".json")
    if not models:
        raise _without_program(label, archive)
    if len(models) > 1:
        shown = ", ".join(f"'{Path(model).stem}'" for model in models[:4])
        raise UnsupportedError(f"{label}: holds several programs, {shown}; save one a file")
    program = archive.json(models[0])
    version = program["schema_version"]
    if version["major"] != _SCHEMA:
        raise UnsupportedError(
            f"{label}: is of version {version['major']}.{version['minor']} of PyTorch's format "
            f"(PyTorch {program.get('torch_version', '?')}); {_SCHEMA} is supported: {_AGAIN}"
        )
    module, name = program["graph_module"], Path(models[0]).stem
    stored = _arrays(label, archive, "weights", f"{name}_weights_config.json")
    stored |= _arrays(label, archive, "constants", f"{name}_constants_config.json")
    arrays, names, inputs = {}, {}, []
    for spec in module["signature"]["input_specs"]:
        ((kind, own),) = spec.items()
        if kind == "user_input":
            inputs.append(_user_input(label, own["arg"]))
        elif kind in ("parameter", "buffer", "tensor_constant"):
            node, full = own["arg"]["name"], own[f"{kind}_name"]
            arrays[node], names[node] = stored[full], full
        elif kind != "constant_input":
            raise UnsupportedError(f"{label}: takes a {kind}, which is not supported")
    outputs = _outputs(label, module["signature"]["output_specs"])
    return TorchProgram(module["graph"], arrays, names, tuple(inputs), tuple(outputs))


def _without_program(label: str, archive: _Archive) -> InputError:
    if "serialized_exported_program.json" in archive or archive.names("", "_program.json"):
        return UnsupportedError(f"{label}: {_OLDER}")
    if archive.names("", ".so") or archive.names("data/aotinductor", ""):
        return UnsupportedError(f"{label}: holds compiled code without its graph; {_AGAIN}")
    if archive.names("", ".pkl"):
        return InputError(
            f"{label}: is a pickle (torch.save, torch.jit.save), which runs code when it is loaded "
            f"and is never loaded; {_AGAIN}"
        )
    return InputError(f"{label}: holds no program of torch.export; {_AGAIN}")


def _user_input(label: str, argument: Mapping[str, Any]) -> str:
    if "as_tensor" not in argument:
        ((kind, _),) = argument.items()
        raise UnsupportedError(f"{label}: takes {kind.removeprefix('as_')} beside tensors")
    return str(argument["as_tensor"]["name"])


def _outputs(label: str, specs: Any) -> list[str]:
    outputs = []
    for spec in specs:
        ((kind, own),) = spec.items()
        if kind in ("buffer_mutation", "parameter_mutation", "user_input_mutation"):
            what = own.get("buffer_name") or own.get("parameter_name") or own.get("user_input_name")
            raise UnsupportedError(
                f"{label}: changes '{what}' as it runs; export it in evaluation (model.eval())"
            )
        if kind != "user_output" or "as_tensor" not in own["arg"]:
            raise UnsupportedError(f"{label}: gives something else than tensors")
        outputs.append(str(own["arg"]["as_tensor"]["name"]))
    return outputs


def _arrays(label: str, archive: _Archive, folder: str, config: str) -> dict[str, np.ndarray]:
    """Return the arrays of one folder by their names in the model."""
    if archive.names(f"data/{folder}/", ".pt"):
        raise UnsupportedError(f"{label}: {_OLDER}")
    entries = archive.json(f"data/{folder}/{config}")["config"]
    return {
        name: _array(label, name, archive, f"data/{folder}/{entry['path_name']}", entry)
        for name, entry in entries.items()
    }


def _array(
    label: str, name: str, archive: _Archive, member: str, entry: Mapping[str, Any]
) -> np.ndarray:
    meta = entry["tensor_meta"]
    if entry["use_pickle"] or meta is None:
        raise UnsupportedError(
            f"{label}: '{name}' is a pickle, which runs code when it is loaded, and is never loaded"
        )
    if meta["dtype"] not in DTYPES:
        raise UnsupportedError(f"{label}: '{name}' is of type {meta['dtype']} of PyTorch")
    dtype = DTYPES[meta["dtype"]]
    shape, strides = ([int(size["as_int"]) for size in meta[key]] for key in ("sizes", "strides"))
    start = int(meta["storage_offset"]["as_int"])
    data = archive.read(member)
    flat = np.frombuffer(data, dtype, len(data) // dtype.itemsize)
    if 0 in shape:
        return np.zeros(shape, dtype)
    last = start + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    if min([start, *strides, *shape]) < 0 or last >= flat.size:
        raise InputError(
            f"{label}: '{name}' is to have {shape} numbers, of {flat.size} that are there; the "
            "file is damaged"
        )
    steps = [stride * dtype.itemsize for stride in strides]
    return np.ascontiguousarray(
        np.lib.stride_tricks.as_strided(flat[start:], shape, steps)
    ).reshape(shape)
