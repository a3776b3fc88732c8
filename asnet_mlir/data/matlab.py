# SPDX-License-Identifier: Apache-2.0
"""Numeric arrays from MATLAB 5 files (`.mat`), read so that a damaged file is an error, no crash.

Source: MathWorks, *MAT-File Format* (version 5).  A file is a header of 128 bytes and data
elements; an element is a tag (type, number of bytes) and data, padded to 8 bytes; up to 4 bytes of
data fit into the tag.  A matrix is an element of elements: flags, dimensions, name, values.
(SciPy's reader ends the process on some damaged files.)
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from asnet_mlir.data.limits import gigabytes, memory_bytes
from asnet_mlir.errors import InputError

__all__ = ["read_matlab"]

_HEADER, _TAG = 128, 8
_MATRIX, _COMPRESSED = 14, 15
# How values are stored, and what class an array is of; a double may be stored in one byte.
_STORED = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
_CLASSES = {
    6: "f8",
    7: "f4",
    8: "i1",
    9: "u1",
    10: "i2",
    11: "u2",
    12: "i4",
    13: "u4",
    14: "i8",
    15: "u8",
}
_COMPLEX = 0x0800


class _Damaged(Exception):
    """What is wrong with the file."""


@dataclass
class _Elements:
    """The data elements in a piece of a file, one after the other."""

    data: memoryview
    order: Literal["<", ">"]

    def words(self, at: int, count: int) -> list[int]:
        if at + 4 * count > len(self.data):
            raise _Damaged("it ends in the middle of an element")
        return [int(w) for w in np.frombuffer(self.data, f"{self.order}u4", count, offset=at)]

    def take(self) -> tuple[int, memoryview]:
        """Return the type and the data of the next element and step over it."""
        kind, size = self.words(0, 2)
        start = _TAG
        if kind >> 16:  # a small element: both halves of the first word count
            kind, size, start = kind & 0xFFFF, kind >> 16, 4
            if size > 4:
                raise _Damaged(f"a small element announces {size} bytes")
        if start + size > len(self.data):
            raise _Damaged(f"an element of {size} bytes ends after {len(self.data) - start}")
        data = self.data[start : start + size]
        # Compressed elements are not padded.
        end = start + size if kind == _COMPRESSED else -(-(start + size) // 8) * 8
        self.data = self.data[end:]
        return kind, data


def read_matlab(path: Path, names: Collection[str]) -> dict[str, np.ndarray]:
    """Return those of the variables `names` that the file holds, as MATLAB shapes them.

    Raises:
      InputError: the file can't be read, is of another version, damaged, or a variable of these
        names is no array of real numbers.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror})") from None
    try:
        return _variables(content, names)
    except _Damaged as error:
        raise InputError(
            f"{path}: not a readable MATLAB 5 file: {error}; is the download complete?"
        ) from None
    except MemoryError:
        raise InputError(f"{path}: is too large for this machine's memory") from None


def _variables(content: bytes, names: Collection[str]) -> dict[str, np.ndarray]:
    if len(content) < _HEADER:
        raise _Damaged(f"it has {len(content)} bytes, less than the header's {_HEADER}")
    order: Literal["<", ">"] = ">" if content[126:128] == b"MI" else "<"
    # Version 0x0100 and the letters MI as a 16-bit number, both in the writer's byte order.
    if content[124:128] != (b"\1\0MI" if order == ">" else b"\0\1IM"):
        hdf5 = content.startswith((b"MATLAB 7.3", b"\x89HDF"))
        raise _Damaged("it is of version 7.3 (save it with -v7)" if hdf5 else "no such header")
    found: dict[str, np.ndarray] = {}
    elements = _Elements(memoryview(content)[_HEADER:], order)
    while len(elements.data):
        kind, data = elements.take()
        if kind == _COMPRESSED:
            kind, data = _unpack(data, order)
        if kind == _MATRIX:
            name, value = _matrix(_Elements(data, order), names)
            if value is not None:
                found[name] = value
    return found


def _unpack(data: memoryview, order: Literal["<", ">"]) -> tuple[int, memoryview]:
    """Return type and data of the one element that is compressed in `data`."""
    stream = zlib.decompressobj()
    try:
        tag = stream.decompress(data, _TAG)
        kind, size = _Elements(memoryview(tag), order).words(0, 2)
        if size > memory_bytes() // 2:
            raise _Damaged(f"a variable takes {gigabytes(size)}, more than half of the memory")
        content = stream.decompress(stream.unconsumed_tail, size) if size else b""
        # Padding, and the checksum, which is compared only if it is read.
        stream.decompress(stream.unconsumed_tail, 8)
    except zlib.error as error:
        raise _Damaged(f"a variable can't be unpacked ({error})") from None
    if len(content) != size:
        raise _Damaged(f"a variable unpacks to {len(content)} bytes, its tag says {size}")
    if not stream.eof:
        raise _Damaged("a variable has no end")
    return kind, memoryview(content)


def _matrix(parts: _Elements, names: Collection[str]) -> tuple[str, np.ndarray | None]:
    """Return a matrix's name and, if that is one of `names`, its value."""
    order = parts.order
    _, flags = parts.take()
    word = _Elements(flags, order).words(0, 1)[0]
    kind, dimensions = parts.take()
    if _STORED.get(kind) != "i4" or len(dimensions) % 4:
        raise _Damaged("a variable has no dimensions")
    shape = tuple(int(d) for d in np.frombuffer(dimensions, f"{order}i4"))
    _, text = parts.take()
    name = bytes(text).decode("latin-1")
    if name not in names:
        return name, None
    if word & 0xFF not in _CLASSES or word & _COMPLEX:
        raise _Damaged(f"'{name}' is no array of real numbers")
    kind, values = parts.take()
    if kind not in _STORED:
        raise _Damaged(f"'{name}' is stored as type {kind}")
    stored = np.dtype(_STORED[kind]).newbyteorder(order)
    if min(shape, default=0) < 0 or len(values) != math.prod(shape) * stored.itemsize:
        raise _Damaged(f"'{name}' of shape {shape} has {len(values)} bytes, {stored.itemsize} each")
    with np.errstate(invalid="ignore"):
        array = np.frombuffer(values, stored).astype(_CLASSES[word & 0xFF], copy=False)
    return name, array.reshape(shape, order="F")
