# SPDX-License-Identifier: Apache-2.0
"""The Street View House Numbers, cropped digits (format 2), from the files that a user has.

The files are `train_32x32.mat`, `test_32x32.mat` and `extra_32x32.mat` of
http://ufldl.stanford.edu/housenumbers: MATLAB 5 files with `X`, uint8[32, 32, 3, n], and `y`,
[n, 1], in which 10 stands for the digit 0.  (Netzer, Wang, Coates, Bissacco, Wu, Ng, *Reading
digits in natural images with unsupervised feature learning*, 2011; for non-commercial use only.)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from asnet_mlir.data.matlab import read_matlab
from asnet_mlir.errors import InputError

__all__ = ["PARTS", "load_svhn"]

PARTS = ("train", "test", "extra")
"""The files that the data set consists of."""


def load_svhn(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return uint8[n, 32, 32, 3] images and uint8[n] labels 0..9 of a part.

    Raises:
      InputError: the file is missing, damaged, or not as described above.
    """
    path = folder / f"{part}_32x32.mat"
    if not path.is_file():
        raise InputError(
            f"{path}: no such file; download {path.name} (cropped digits) from "
            "http://ufldl.stanford.edu/housenumbers into this folder"
        )
    arrays = read_matlab(path, ("X", "y"))
    missing = {"X", "y"} - set(arrays)
    if missing:
        raise InputError(f"{path}: lacks the variable '{max(missing)}'; it must hold 'X' and 'y'")
    x, y = arrays["X"], arrays["y"]
    if x.ndim == 3:  # MATLAB drops a last dimension of 1
        x = x[..., np.newaxis]
    images = _images(path, x)
    return images, _labels(path, y, len(images))


def _images(path: Path, x: np.ndarray) -> np.ndarray:
    if x.dtype != np.uint8 or x.ndim != 4 or x.shape[:3] != (32, 32, 3):
        raise InputError(
            f"{path}: 'X' must be uint8 of shape (32, 32, 3, n), got {x.dtype} of shape {x.shape}"
        )
    if x.shape[3] == 0:
        raise InputError(f"{path}: holds no samples: the shape of 'X' is {x.shape}")
    return np.ascontiguousarray(x.transpose(3, 0, 1, 2))


def _labels(path: Path, y: np.ndarray, count: int) -> np.ndarray:
    if y.shape != (count, 1):
        raise InputError(
            f"{path}: 'y' must be a column of {count} labels, got an array of shape {y.shape}"
        )
    y = y[:, 0]
    bad = ~((y >= 1) & (y <= 10) & (y == np.floor(y)))
    if bad.any():
        first = int(np.argmax(bad))
        raise InputError(
            f"{path}: the label of sample {first} is {y[first]}; labels are 1..10, and 10 is the "
            "digit 0"
        )
    return (y % 10).astype(np.uint8)
