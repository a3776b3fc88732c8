"""Loading of labelled data sets, named as on the command line.

`mnist:train[:N]` and `mnist:test[:N]` are the shipped MNIST database (LeCun, Cortes, Burges), its
pixels scaled to 0..1; a path that ends in `.npz` is a file with the arrays `x` and `y`.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.resources import data_directory

__all__ = ["Dataset", "load_data"]

_IDX_DTYPES = {0x08: np.dtype(np.uint8)}
_MNIST_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


@dataclass(frozen=True)
class Dataset:
    """Samples with their labels.

    Attributes:
      name: what the user called it.
      x: float32[n, ...], one sample a row, C order; NaNs become canonical (0x7FC00000), as the
        hardware's input stage makes them (docs/semantics.md).
      y: int64[n], class indices.
    """

    name: str
    x: np.ndarray
    y: np.ndarray

    def __post_init__(self) -> None:
        nan = np.isnan(self.x)
        if nan.any():
            object.__setattr__(self, "x", np.where(nan, np.float32(np.nan), self.x))

    def __len__(self) -> int:
        return len(self.x)

    def head(self, count: int) -> Dataset:
        """Return the first `count` samples (all when there are fewer)."""
        return Dataset(self.name, self.x[:count], self.y[:count])

    def shaped(self, sample_shape: tuple[int, ...]) -> Dataset:
        """Return the data with samples of `sample_shape`.

        Samples may be flattened into a vector, and dimensions of size 1 may come and go; nothing
        else counts as the same shape.

        Raises:
          InputError: a sample has another shape.
        """
        have = self.x.shape[1:]
        same = [d for d in have if d != 1] == [d for d in sample_shape if d != 1]
        flattened = len(sample_shape) == 1 and math.prod(have) == sample_shape[0]
        if not same and not flattened:
            raise InputError(
                f"{self.name}: samples have the shape {_text(have)}, the network takes "
                f"{_text(sample_shape)}"
            )
        return Dataset(self.name, self.x.reshape(len(self.x), *sample_shape), self.y)


def load_data(name: str | Dataset) -> Dataset:
    """Load the data set called `name` (see the module's text).

    Raises:
      InputError: the name is not known, or the file is missing or not as described.
    """
    if isinstance(name, Dataset):
        return name
    if name.endswith(".npz"):
        return _load_npz(Path(name))
    kind, _, rest = name.partition(":")
    if kind != "mnist":
        raise InputError(
            f"unknown data set '{name}'; known are mnist:train[:N], mnist:test[:N] and FILE.npz"
        )
    part, colon, limit = rest.partition(":")
    if part not in _MNIST_FILES:
        raise InputError(f"{name}: MNIST has the parts 'train' and 'test', not '{part}'")
    dataset = _load_mnist(name, part)
    if not colon:
        return dataset
    if not (limit.isascii() and limit.isdecimal()) or not 1 <= int(limit) <= len(dataset):
        raise InputError(f"{name}: the number of samples must be in 1..{len(dataset)}")
    return dataset.head(int(limit))


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _load_mnist(name: str, part: str) -> Dataset:
    images_name, labels_name = _MNIST_FILES[part]
    images, labels = _read_idx(images_name), _read_idx(labels_name)
    x = images[..., np.newaxis].astype(np.float32) / np.float32(255)
    return Dataset(name, x, labels.astype(np.int64))


def _read_idx(name: str) -> np.ndarray:
    """Read a shipped IDX file (big-endian header: type code, rank, dimensions)."""
    folder = data_directory() / "mnist"
    content = gzip.decompress((folder / f"{name}.gz").read_bytes())
    sums = dict(line.split()[::-1] for line in (folder / "SHA256SUMS").read_text().splitlines())
    if hashlib.sha256(content).hexdigest() != sums[name]:
        raise InputError(f"{name}.gz is damaged (checksum differs); reinstall asnet-mlir")
    rank = content[3]
    shape = tuple(np.frombuffer(content, ">u4", rank, offset=4).astype(int))
    return np.frombuffer(content, _IDX_DTYPES[content[2]], offset=4 + 4 * rank).reshape(shape)


def _load_npz(path: Path) -> Dataset:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = {"x", "y"} - set(archive.files)
            if missing:
                raise InputError(
                    f"{path}: lacks the array '{min(missing)}'; it must hold 'x' and 'y'"
                )
            x, y = archive["x"], archive["y"]
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a readable .npz file ({error})") from None
    if x.dtype.kind not in "fiu" or x.ndim < 2:
        raise InputError(
            f"{path}: 'x' must be numbers with a sample a row, got {x.dtype} {x.shape}"
        )
    if y.dtype.kind not in "iu" or y.shape != x.shape[:1]:
        raise InputError(
            f"{path}: 'y' must be {len(x)} class indices, got {y.dtype} of shape {y.shape}"
        )
    if len(x) == 0:
        raise InputError(f"{path}: holds no samples")
    with np.errstate(over="ignore"):  # what float32 can't hold is infinite
        x = np.ascontiguousarray(x, np.float32)
    return Dataset(str(path), x, y.astype(np.int64))
