# SPDX-License-Identifier: Apache-2.0
"""Data in an `.npz` file: the array `x`, and targets `y` where there are any; nothing pickled."""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path

import numpy as np

from asnet_mlir.data.limits import gigabytes, memory_bytes
from asnet_mlir.errors import InputError
from asnet_mlir.support.formats import BF16, F32, NumberFormat

__all__ = ["read_arrays"]

#: Bytes of a member's header without its name, and of what may follow its data.
_LOCAL_HEADER, _DESCRIPTOR = 30, 24


def read_arrays(path: Path, format: NumberFormat = F32) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the arrays `x` and, where there is one, `y`.

    Args:
      format: that the samples are meant for.

    Raises:
      InputError: the file is missing, damaged or too large, or has no `x`.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        _check_sizes(path)
        with np.load(path, allow_pickle=False) as archive:
            x, y = archive["x"], archive.get("y")
    except (ValueError, EOFError, OSError, KeyError, NotImplementedError) as error:
        raise _unreadable(path, error) from None
    except (zipfile.BadZipFile, zlib.error, RuntimeError, SyntaxError) as error:
        raise _unreadable(path, error) from None
    except MemoryError:
        raise InputError(f"{path}: is too large for this machine's memory") from None
    if format == BF16 and x.dtype.kind == "V" and x.itemsize == BF16.storage_bytes:
        x = x.view(BF16.dtype)  # which numpy writes as bits without a type
    return x, y


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


def _check_sizes(path: Path) -> None:
    """Compare what the arrays' headers announce with what there is, before memory is taken.

    A few bytes of a file may announce an array of any size, and unpack to one.
    """
    memory = memory_bytes()
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: info for info in archive.infolist()}
        if len(members) != len(archive.infolist()) or _lacks_entries(path, archive):
            raise InputError(f"{path}: its directory does not list what it holds: it is damaged")
        if "x.npy" not in members:
            raise InputError(f"{path}: lacks the array 'x' (and 'y', with labels)")
        others = sorted(name.removesuffix(".npy") for name in members if name != "x.npy")
        if others and "y.npy" not in members:
            raise InputError(
                f"{path}: holds {', '.join(others)} beside 'x'; labels are read from the array 'y'"
            )
        for name in ("x", "y"):
            if f"{name}.npy" not in members:
                continue
            member = members[f"{name}.npy"]
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
