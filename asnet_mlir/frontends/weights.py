# SPDX-License-Identifier: Apache-2.0
"""Weights as arrays and as `.npz` files, and which of them an argument of `@main` takes."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.network import Weight
from asnet_mlir.support.files import write_whole
from asnet_mlir.support.formats import (
    BF16,
    F32,
    SUPPORTED_DTYPES,
    NumberFormat,
    format_of_array,
    format_of_dtype,
    format_of_element,
)

__all__ = [
    "TensorKind",
    "as_weight",
    "assign_weights",
    "check_batch_dimension",
    "from_stored",
    "network_format",
    "read_weights",
    "to_stored",
    "unique_name",
    "weights_file_of",
    "write_arrays",
    "write_weights",
    "wrong_kind",
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


@dataclass(frozen=True)
class TensorKind:
    """What an argument or the result of `@main` is.

    Attributes:
      shape: with the batch, where it has one.
      format: of its numbers; an integer's sign is the network's to say where `has_sign` is False,
        as in modules whose integers are signless.
    """

    shape: tuple[int, ...]
    format: NumberFormat = F32
    has_sign: bool = True

    @classmethod
    def of_signless(cls, type: Any) -> TensorKind:
        """Return the kind of a tensor type of MLIR, whose integers say nothing about their sign.

        Raises:
          UnsupportedError: its elements are of no format.
        """
        format = format_of_element(str(type.element_type))
        if format is None:
            raise UnsupportedError(f"weights of {type.element_type} are not supported")
        return cls(tuple(type.shape), format, has_sign=False)

    def holds(self, array: np.ndarray) -> bool:
        """Return whether an array's numbers are of this kind."""
        given = format_of_array(array)
        if given is None or self.has_sign:
            return given == self.format
        return given.element_type == self.format.element_type


def as_weight(name: str, value: Any) -> Weight:
    """Return the weight `name` of what becomes a C-ordered array.

    Raises:
      UnsupportedError: it holds numbers of no format, such as 64-bit ones.
      InputError: it holds a NaN, which no training leaves on purpose.
    """
    array = np.asarray(value)
    format = Weight(name, array).format
    count = int(np.count_nonzero(np.isnan(array))) if format.is_float else 0
    if count:
        raise InputError(
            f"weight '{name}' holds {count} NaN{'s' if count > 1 else ''} of {array.size} numbers; "
            "the training diverged, or the file is damaged"
        )
    # Not ascontiguousarray: that makes a vector of a scalar.
    return Weight(name, np.array(array, order="C", copy=None))


def wrong_kind(path: Path, type: Any) -> InputError:
    """Return the error for an argument or result of `@main` that is no array of a format."""
    return InputError(
        f"{path}: @main works on {type}, must be numbers ({SUPPORTED_DTYPES}) of a fixed shape"
    )


def check_batch_dimension(path: Path, taken: TensorKind, returned: TensorKind) -> None:
    """Check that `@main`'s input and output begin with the same batch.

    Raises:
      InputError: they don't.
    """
    for kind in (taken, returned):
        if len(kind.shape) < 2 or kind.shape[0] != taken.shape[0]:
            raise InputError(
                f"{path}: the first dimension of @main's input and output must be the batch"
            )


def network_format(what: str, dtype: Any) -> NumberFormat:
    """Return the format of a network's input or output.

    Args:
      what: names it, for the message.
      dtype: a dtype of numpy, or its name.

    Raises:
      UnsupportedError: no format is of that dtype.
    """
    name = getattr(dtype, "name", str(dtype))
    format = format_of_dtype(name)
    if format is None:
        raise UnsupportedError(f"{what} is {name}; {SUPPORTED_DTYPES} are supported")
    return format


def to_stored(array: np.ndarray) -> np.ndarray:
    """Return an array as `.npz` files hold it: numpy has no bfloat16, so that its bits are kept."""
    return array.view(f"V{array.itemsize}") if array.dtype.kind == "V" else array


def from_stored(array: np.ndarray, format: NumberFormat) -> np.ndarray:
    """Return a stored array of a format: what numpy read as bits without a type has it again."""
    is_bits = array.dtype.kind == "V" and array.itemsize == format.storage_bytes
    return array.view(format.dtype) if is_bits and format == BF16 else array


def weights_file_of(path: Path) -> Path:
    """Return where the weights of the module file `path` lie: `net.mlir` has `net.weights.npz`."""
    return path.with_name(f"{path.stem}.weights.npz")


def write_weights(path: Path, weights: Sequence[Weight]) -> None:
    """Write weights as an `.npz` file, by their names."""
    write_arrays(path, {weight.name: weight.value for weight in weights})


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as an `.npz` file, by their names."""
    file = io.BytesIO()
    stored: dict[str, Any] = {name: to_stored(array) for name, array in arrays.items()}
    np.savez(file, allow_pickle=False, **stored)
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
    arguments: Sequence[tuple[str, TensorKind]],
) -> tuple[Weight, ...]:
    """Give each argument of a function its array, by name, else by position (`arr_0`, ..).

    Args:
      where: the file of the arrays, for messages.
      arguments: name (may be empty) and kind of each.

    Raises:
      InputError: an argument without an array, an array without an argument, another shape or
        format.
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
    for index, (key, (name, kind)) in enumerate(zip(keys, arguments, strict=True)):
        array = from_stored(arrays[key], kind.format)
        if array.shape != kind.shape:
            raise InputError(
                f"{where}: weight '{key}' has the shape {list(array.shape)}, @main takes "
                f"{list(kind.shape)}"
            )
        if not kind.holds(array):
            raise InputError(
                f"{where}: weight '{key}' is {array.dtype}, @main takes {kind.format.dtype_name}"
            )
        label = unique_name(name or f"weight_{index}", taken)
        weights.append(Weight(label, as_weight(key, array).value))
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
