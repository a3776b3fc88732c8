# SPDX-License-Identifier: Apache-2.0
"""Data in an `.npz` file: the array `x`, and targets `y` where there are any; nothing pickled."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from asnet_mlir.data.limits import gigabytes, memory_bytes
from asnet_mlir.errors import InputError
from asnet_mlir.support.formats import BF16, F32, NumberFormat

__all__ = ["read_all_arrays", "read_arrays"]

#: Bytes of a member's header without its name, and of what may follow its data.
_LOCAL_HEADER, _DESCRIPTOR = 30, 24


def read_arrays(path: Path, format: NumberFormat = F32) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the arrays `x` and, where there is one, `y`.

    Args:
      format: that the samples are meant for.

    Raises:
      InputError: the file is missing, damaged or too large, or has no `x`.
    """

    def chosen(names: list[str]) -> list[str]:
        if "x" not in names:
            raise InputError(f"{path}: lacks the array 'x' (and 'y', with labels)")
        others = sorted(name for name in names if name != "x")
        if others and "y" not in names:
            raise InputError(
                f"{path}: holds {', '.join(others)} beside 'x'; labels are read from the array 'y'"
            )
        return [name for name in ("x", "y") if name in names]

    arrays = _read(path, chosen)
    x = arrays["x"]
    if format == BF16 and x.dtype.kind == "V" and x.itemsize == BF16.storage_bytes:
        x = x.view(BF16.dtype)  # which numpy writes as bits without a type
    return x, arrays.get("y")


def read_all_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return all arrays, by name.

    Raises:
      InputError: the file is missing, damaged or too large.
    """
    return _read(path, lambda names: names)


def _read(path: Path, chosen: Callable[[list[str]], list[str]]) -> dict[str, np.ndarray]:
    """Return those arrays that `chosen` takes of the names."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_directory(path, archive)
            names = [info.filename.removesuffix(".npy") for info in archive.infolist()]
            wanted = chosen(names)
            _check_sizes(path, archive, wanted)
        with np.load(path, allow_pickle=False) as loaded:
            return {name: loaded[name] for name in wanted}
    except (ValueError, EOFError, OSError, KeyError, NotImplementedError) as error:
        raise _unreadable(path, error) from None
    except (zipfile.BadZipFile, zlib.error, RuntimeError, SyntaxError) as error:
        raise _unreadable(path, error) from None
    except MemoryError:
        raise InputError(f"{path}: is too large for this machine's memory") from None


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: not a readable .npz file ({error})")


def _lacks_entries(path: Path, archive: zipfile.ZipFile) -> bool:
    """Whether there is more between the last array and the directory: labels may be lost."""
    last = max(archive.infolist(), key=lambda info: info.header_offset, default=None)
    if last is None:
        return False
    with path.open("rb") as file:
        file.seek(last.header_offset + _LOCAL_HEADER - 4)
        lengths = np.frombuffer(file.read(4), "<u2")  # of the name and of the extra field
    end = last.header_offset + _LOCAL_HEADER + int(lengths.sum()) + last.compress_size
    return end + _DESCRIPTOR < archive.start_dir


def _check_directory(path: Path, archive: zipfile.ZipFile) -> None:
    names = {info.filename for info in archive.infolist()}
    if len(names) != len(archive.infolist()) or _lacks_entries(path, archive):
        raise InputError(f"{path}: its directory does not list what it holds: it is damaged")


def _check_sizes(path: Path, archive: zipfile.ZipFile, names: Sequence[str]) -> None:
    """Compare what the arrays' headers announce with what there is, before memory is taken.

    A few bytes of a file may announce an array of any size, and unpack to one.
    """
    memory = memory_bytes()
    for name in names:
        member = archive.getinfo(f"{name}.npy")
        with archive.open(member) as file:
            version = np.lib.format.read_magic(file)
            read = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read(file)
            if dtype.hasobject:
                raise InputError(
                    f"{path}: the array '{name}' holds pickled Python objects, which are not "
                    "read: they may run code"
                )
            size, have = math.prod(shape) * dtype.itemsize, member.file_size - file.tell()
        if size > memory // 2:
            raise InputError(
                f"{path}: the array '{name}' of shape {shape} takes {gigabytes(size)}; "
                f"this machine has {gigabytes(memory)}"
            )
        if size != have:
            raise InputError(
                f"{path}: the array '{name}' is damaged: {have} bytes of data, its shape "
                f"{shape} needs {size}"
            )
