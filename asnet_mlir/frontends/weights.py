# SPDX-License-Identifier: Apache-2.0
"""Weights as arrays and as `.npz` files, and which of them an argument of `@main` takes."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.network import Weight
from asnet_mlir.support.files import write_whole

__all__ = [
    "as_float32",
    "assign_weights",
    "read_weights",
    "unique_name",
    "weights_file_of",
    "write_weights",
]

_SHOWN = 6

#: What numpy raises for archives that are damaged, or claim arrays that no memory holds.
_DAMAGED = (
    ValueError,
    EOFError,
    KeyError,
    OSError,
    MemoryError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)


def as_float32(name: str, value: Any) -> np.ndarray:
    """Return `value` as a C-ordered float32 array.

    Raises:
      UnsupportedError: it holds other numbers, which float32 arithmetic can't stand for.
      InputError: it holds a NaN, which no training leaves on purpose.
    """
    array = np.asarray(value)
    if array.dtype != np.float32:
        raise UnsupportedError(f"weight '{name}' is {array.dtype}; only float32 is supported")
    count = int(np.count_nonzero(np.isnan(array)))
    if count:
        raise InputError(
            f"weight '{name}' holds {count} NaN{'s' if count > 1 else ''} of {array.size} numbers; "
            "the training diverged, or the file is damaged"
        )
    # Not ascontiguousarray: that makes a vector of a scalar.
    return np.array(array, order="C", copy=None)


def weights_file_of(path: Path) -> Path:
    """Return where the weights of the module file `path` lie: `net.mlir` has `net.weights.npz`."""
    return path.with_name(f"{path.stem}.weights.npz")


def write_weights(path: Path, weights: Sequence[Weight]) -> None:
    """Write weights as an `.npz` file, by their names."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **{w.name: w.value for w in weights})
    write_whole(path, file.getvalue())


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """Read an `.npz` file of arrays; nothing in it is run (no pickles).

    Raises:
      InputError: the file is missing, damaged, or holds something else than arrays of numbers.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise InputError(f"{path}: is one array; weights are an .npz file of named arrays")
        with loaded as archive:
            return {name: archive[name] for name in archive.files}
    except (
        ValueError,
        EOFError,
        KeyError,
        OSError,
        MemoryError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        detail = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path}: not an .npz file of weights: {detail}") from None


def assign_weights(
    where: str,
    arrays: Mapping[str, np.ndarray],
    arguments: Sequence[tuple[str, tuple[int, ...]]],
) -> tuple[Weight, ...]:
    """Give each argument of a function its array, by name, else by position (`arr_0`, ..).

    Args:
      where: the file of the arrays, for messages.
      arguments: name (may be empty) and shape of each.

    Raises:
      InputError: an argument without an array, an array without an argument, another shape.
      UnsupportedError: an array that is not float32.
    """
    names = [name for name, _ in arguments]
    positions = [f"arr_{index}" for index in range(len(arguments))]
    if set(names) == set(arrays) and len(set(names)) == len(names):
        keys = names
    elif set(positions) == set(arrays):
        keys = positions
    else:
        missing = [
            name or f"number {index + 1}" for index, name in enumerate(names) if name not in arrays
        ]
        extra = [name for name in arrays if name not in names]
        parts = []
        if missing:
            parts.append(f"lacks {_list(missing)}")
        if extra:
            parts.append(f"has {_list(extra)} too many" if not missing else f"has {_list(extra)}")
        if not parts:
            parts.append("can't be told apart: several arguments have one name")
        raise InputError(
            f"{where}: {', '.join(parts)}; @main takes {len(arguments)} weights, by their names or "
            f"as arr_0..arr_{len(arguments) - 1}"
        )
    weights: list[Weight] = []
    taken: set[str] = set()
    for index, (key, (name, shape)) in enumerate(zip(keys, arguments, strict=True)):
        array = arrays[key]
        if array.shape != shape:
            raise InputError(
                f"{where}: weight '{key}' has the shape {list(array.shape)}, @main takes "
                f"{list(shape)}"
            )
        label = unique_name(name or f"weight_{index}", taken)
        weights.append(Weight(label, as_float32(key, array)))
    return tuple(weights)


def unique_name(name: str, taken: set[str]) -> str:
    """Return `name`, with a number behind it where it is taken, and take it."""
    result, number = name, 1
    while result in taken:
        result, number = f"{name}_{number}", number + 1
    taken.add(result)
    return result


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
