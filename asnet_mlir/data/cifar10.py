# SPDX-License-Identifier: Apache-2.0
"""CIFAR-10 from a user's files of its binary version; the Python version is pickled, and not read.

The files are `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin` of
https://www.cs.toronto.edu/~kriz/cifar.html ("CIFAR-10 binary version"): records of one byte of
label, 0..9, and 3,072 bytes of image, the planes of red, green and blue one after the other, each
32 rows.  (Krizhevsky, *Learning multiple layers of features from tiny images*, 2009.)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from asnet_mlir.errors import InputError

__all__ = ["PARTS", "load_cifar10"]

PARTS = {
    "train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    "test": ("test_batch.bin",),
}
"""The files that each part consists of."""

_SIDE, _CHANNELS, _CLASSES = 32, 3, 10
_RECORD = 1 + _CHANNELS * _SIDE * _SIDE


def load_cifar10(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return uint8[n, 32, 32, 3] images and uint8[n] labels 0..9 of a part.

    Raises:
      InputError: a file is missing, damaged, or not as described above.
    """
    records = np.concatenate([_records(folder / name) for name in PARTS[part]])
    planes = records[:, 1:].reshape(-1, _CHANNELS, _SIDE, _SIDE)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), records[:, 0].copy()


def _records(path: Path) -> np.ndarray:
    if not path.is_file():
        raise InputError(
            f"{path}: no such file; unpack the binary version of CIFAR-10 "
            "(cifar-10-binary.tar.gz) and name the folder of its .bin files"
        )
    content = np.fromfile(path, np.uint8)
    if not len(content) or len(content) % _RECORD:
        raise InputError(
            f"{path}: holds {len(content)} bytes, which are no records of {_RECORD} (a label and "
            "32 x 32 x 3 pixels)"
        )
    records = content.reshape(-1, _RECORD)
    bad = records[:, 0] >= _CLASSES
    if bad.any():
        first = int(np.argmax(bad))
        raise InputError(
            f"{path}: the label of sample {first} is {records[first, 0]}; labels are 0..9"
        )
    return records
