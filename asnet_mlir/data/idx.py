# SPDX-License-Identifier: Apache-2.0
"""IDX files: the format of the MNIST database and of Fashion-MNIST.

Source: http://yann.lecun.com/exdb/mnist, "The IDX file format": two zero bytes, a type code, the
rank, the dimensions as big-endian 32-bit integers, the values.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from asnet_mlir.errors import InputError

__all__ = ["labelled_images", "parse_idx", "read_idx"]

_UNSIGNED_BYTE = 0x08


def parse_idx(content: bytes, name: str) -> np.ndarray:
    """Return the array of unsigned bytes that `content` describes.

    Raises:
      InputError: it is no IDX file of bytes, or of another length than it says.
    """
    if len(content) < 4 or content[:2] != b"\0\0" or len(content) < 4 + 4 * content[3]:
        raise InputError(f"{name}: not an IDX file")
    code, rank = content[2], content[3]
    if code != _UNSIGNED_BYTE:
        raise InputError(f"{name}: holds values of type 0x{code:02x}, not unsigned bytes (0x08)")
    shape = tuple(int(d) for d in np.frombuffer(content, ">u4", rank, offset=4))
    have, want = len(content) - 4 - 4 * rank, math.prod(shape)
    if have != want:
        raise InputError(f"{name}: holds {have} values, its header says {want}")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)


def read_idx(path: Path) -> np.ndarray:
    """Read an IDX file, compressed with gzip if its name ends in `.gz`.

    Raises:
      InputError: see `parse_idx`; the file can't be read or unpacked.
    """
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: can't be read ({error})") from None
    return parse_idx(content, str(path))


def labelled_images(
    images: np.ndarray, labels: np.ndarray, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return `images` with a channel and `labels`, after checking that they belong together.

    Raises:
      InputError: they do not.
    """
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise InputError(
            f"{name}: images of shape {images.shape} and labels of shape {labels.shape} do not "
            "belong together"
        )
    return images[..., np.newaxis], labels
