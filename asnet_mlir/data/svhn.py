"""The Street View House Numbers, cropped digits (format 2), from the files that a user has.

The files are `train_32x32.mat`, `test_32x32.mat` and `extra_32x32.mat` of
http://ufldl.stanford.edu/housenumbers: MATLAB 5 files with `X`, uint8[32, 32, 3, n], and `y`,
[n, 1], in which 10 stands for the digit 0.  (Netzer, Wang, Coates, Bissacco, Wu, Ng, *Reading
digits in natural images with unsupervised feature learning*, 2011; for non-commercial use only.)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

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
    arrays = _read(path)
    missing = {"X", "y"} - set(arrays)
    if missing:
        raise InputError(f"{path}: lacks the variable '{max(missing)}'; it must hold 'X' and 'y'")
    return _images(path, arrays["X"]), _labels(path, arrays["y"], arrays["X"])


def _read(path: Path) -> dict[str, np.ndarray]:
    import scipy.io

    try:
        return scipy.io.loadmat(path, variable_names=("X", "y"))
    except NotImplementedError:
        raise InputError(
            f"{path}: is a MATLAB 7.3 file; the official ones are MATLAB 5 (save with -v7)"
        ) from None
    except Exception as error:  # on damaged files the reader raises whatever it stumbles over
        raise InputError(
            f"{path}: not a readable MATLAB file ({type(error).__name__}: {error}); is the "
            "download complete?"
        ) from None


def _images(path: Path, x: np.ndarray) -> np.ndarray:
    if isinstance(x, np.ndarray) and x.ndim == 3:  # MATLAB drops a last dimension of 1
        x = x[..., np.newaxis]
    if not isinstance(x, np.ndarray) or x.dtype != np.uint8 or x.shape[:3] != (32, 32, 3):
        raise InputError(f"{path}: 'X' must be uint8 of shape (32, 32, 3, n), got {_text(x)}")
    if x.ndim != 4 or x.shape[3] == 0:
        raise InputError(f"{path}: holds no samples: the shape of 'X' is {x.shape}")
    return np.ascontiguousarray(x.transpose(3, 0, 1, 2))


def _labels(path: Path, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    count = x.shape[3] if x.ndim == 4 else 1
    if not isinstance(y, np.ndarray) or y.dtype.kind not in "fiu" or y.shape != (count, 1):
        raise InputError(f"{path}: 'y' must be {count} numbers in a column, got {_text(y)}")
    y = y[:, 0]
    bad = ~((y >= 1) & (y <= 10) & (y == np.floor(y)))
    if bad.any():
        first = int(np.argmax(bad))
        raise InputError(
            f"{path}: the label of sample {first} is {y[first]}; labels are 1..10, and 10 is the "
            "digit 0"
        )
    return (y % 10).astype(np.uint8)


def _text(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return type(value).__name__
