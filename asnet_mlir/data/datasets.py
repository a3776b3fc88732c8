# SPDX-License-Identifier: Apache-2.0
"""Data sets by their names on the command line.

| name | what |
|---|---|
| `mnist:[FOLDER:]train\\|test[:N]` | MNIST (LeCun, Cortes, Burges), shipped or from a folder |
| `svhn_synthetic:train\\|test[:N]` | painted house numbers, a synthetic stand-in for SVHN |
| `svhn:FOLDER[:train\\|test\\|extra][:N]` | the real SVHN's cropped digits, from a user's files |
| `fashion_mnist:[FOLDER:]train\\|test[:N]` | Fashion-MNIST, from its Debian package or a folder |
| `cifar10:FOLDER[:train\\|test][:N]` | CIFAR-10, from a user's files of its binary version |
| `FILE.npz[:N]` | the array `x`, and targets `y` where there are any |

`:N` takes the first N samples, `[A:B]` at the very end those from A up to B.  Pixels of images are
scaled to 0..1 for a network whose input is of a float format, and are 0..255 for one whose input is
integers; for one of `i8` they are 128 less, as quantised networks take them.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from asnet_mlir.data.cifar10 import PARTS as CIFAR10_PARTS
from asnet_mlir.data.cifar10 import load_cifar10
from asnet_mlir.data.dataset import Dataset, Samples
from asnet_mlir.data.idx import labelled_images, parse_idx, read_idx
from asnet_mlir.data.npz import read_arrays
from asnet_mlir.data.splits import split_range
from asnet_mlir.data.svhn import PARTS as SVHN_PARTS
from asnet_mlir.data.svhn import load_svhn
from asnet_mlir.data.svhn_synthetic import synthetic_svhn
from asnet_mlir.errors import InputError
from asnet_mlir.support.formats import F32, NumberFormat, parse_format
from asnet_mlir.support.resources import data_directory

__all__ = ["checked_range", "data_file", "first_of", "load_data", "load_samples", "npz_file"]

Arrays = tuple[np.ndarray, np.ndarray]

# Both databases name their files alike.
_IDX_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
_SIGNED_BYTES = parse_format("i8")
_FASHION_FOLDER = Path("/usr/share/datasets/fashion-mnist")  # where its Debian package puts them
_FASHION_HINT = (
    "install Debian's package dataset-fashion-mnist, or name the folder of the files: "
    "fashion_mnist:FOLDER:test"
)
_MNIST_HINT = "name the folder of MNIST's four files: mnist:FOLDER:train"


def load_data(
    name: str | Path | Dataset | Samples | np.ndarray | tuple[Any, Any],
    format: NumberFormat | None = None,
) -> Dataset:
    """Load the data set called `name` (see the module's text).

    Arrays are data, too: a pair `(x, y)` as in `Dataset`, or samples alone.

    Args:
      format: of the samples; by default that of a `Dataset`, and f32 of all else.

    Raises:
      InputError: the name is not known, or a file is missing or not as described.
    """
    if isinstance(name, Dataset):
        return name.converted(format or name.format)
    if isinstance(name, Samples):
        return Dataset(name.name, name.x, None, format or name.format)
    format = format or F32
    if isinstance(name, np.ndarray):
        return Dataset("x", name, None, format)
    if isinstance(name, tuple | list) and len(name) == 2:
        x, y = map(np.asarray, name)
        return Dataset("(x, y)", x, y, format)
    if not isinstance(name, str | Path):
        raise InputError(
            "data are a name such as mnist:test, a FILE.npz, an array x, a pair of arrays (x, y) "
            f"or a Dataset, not {type(name).__name__}"
        )
    name = str(name)
    if part := split_range(name):
        whole = load_data(part[0], format)
        begin, end = checked_range(name, len(whole), part)
        targets = None if whole.y is None else whole.y[begin:end]
        return Dataset(name, whole.x[begin:end], targets, format)
    file = npz_file(name)
    if file is not None:
        path, limit = file
        x, targets = read_arrays(path, format)
        if targets is None:
            (x,) = first_of(name, (x,), limit)
            return Dataset(name, x, None, format)
        data = Dataset(name, x, targets, format)  # which has one for each sample
        return (
            data if limit is None else Dataset(name, *first_of(name, (x, targets), limit), format)
        )
    kind, _, rest = name.partition(":")
    if kind not in _READERS:
        raise InputError(
            f"unknown data set '{name}'; known are mnist:test, svhn_synthetic:test, svhn:FOLDER, "
            "fashion_mnist:test (or :train, and :N for the first N samples), cifar10:FOLDER and "
            "FILE.npz"
        )
    images, labels = _READERS[kind](name, rest)
    if format.is_float:
        images = images.astype(np.float32) / np.float32(255)
    elif format == _SIGNED_BYTES:
        images = (images.astype(np.int16) - 128).astype(np.int8)
    return Dataset(name, images, labels, format)


def load_samples(
    data: str | Path | Dataset | Samples | np.ndarray | tuple[Any, Any],
    format: NumberFormat | None = None,
) -> tuple[Samples, np.ndarray | None]:
    """Load samples, and their labels where the data has them.

    Args:
      data: whatever `load_data` takes, an `.npz` file with `x` alone, or an array of samples.
      format: see `load_data`.

    Raises:
      InputError: see `load_data`.
    """
    loaded = load_data(data, format)
    return loaded.samples, loaded.y


def checked_range(name: str, samples: int, part: tuple[str, int, int | None]) -> tuple[int, int]:
    """Return the range `part` of a name, if the samples have it."""
    begin, end = part[1], samples if part[2] is None else part[2]
    if not begin < end <= samples:
        raise InputError(
            f"{name}: [{begin}:{end}] is no part of its {samples} samples; write [A:B] with "
            f"0 <= A < B <= {samples}"
        )
    return begin, end


def data_file(name: str) -> Path | None:
    """Return the `.npz` file that a data set is, or None where it is another one."""
    part = split_range(name)
    file = npz_file(part[0] if part else name)
    return file[0] if file else None


def npz_file(name: str) -> tuple[Path, str | None] | None:
    """Split `FILE.npz[:N]`; None where the name is of another kind."""
    match = re.fullmatch(r"(.+\.npz)(?::([^:]*))?", name, re.DOTALL)
    return (Path(match[1]), match[2]) if match else None


def first_of[Group: tuple[np.ndarray, ...]](name: str, arrays: Group, limit: str | None) -> Group:
    """Return the first `limit` (None: all) rows of samples and labels."""
    if limit is None:
        return arrays
    digits = limit.isascii() and limit.isdecimal() and len(limit) < 10
    if not digits or not 1 <= int(limit) <= len(arrays[0]):
        raise InputError(f"{name}: the number of samples must be in 1..{len(arrays[0])}")
    return type(arrays)(array[: int(limit)] for array in arrays)


def _part(name: str, rest: str, title: str) -> tuple[str, str | None]:
    """Split `PART[:N]`."""
    part, colon, limit = rest.partition(":")
    if part not in ("train", "test"):
        raise InputError(f"{name}: {title} has the parts 'train' and 'test', not '{part}'")
    return part, limit if colon else None


def _idx_data(
    name: str, rest: str, title: str, hint: str, own: Callable[[str], np.ndarray]
) -> Arrays:
    """Read `[FOLDER:]PART[:N]`; without a folder, `own` reads a file by its name."""
    match = re.fullmatch(r"(.+):((?:train|test)(?::[^:]*)?)", rest, re.DOTALL)
    part, limit = _part(name, match[2] if match else rest, title)
    read = partial(_idx_of, Path(match[1]), hint) if match else own
    images, labels = map(read, _IDX_FILES[part])
    return first_of(name, labelled_images(images, labels, name), limit)


def _idx_of(folder: Path, hint: str, file: str) -> np.ndarray:
    for path in (folder / f"{file}.gz", folder / file):
        if path.is_file():
            return read_idx(path)
    raise InputError(f"{folder / file}.gz: no such file; {hint}")


def _mnist(name: str, rest: str) -> Arrays:
    return _idx_data(name, rest, "MNIST", _MNIST_HINT, _shipped_idx)


def _shipped_idx(name: str) -> np.ndarray:
    folder = data_directory() / "mnist"
    if not (folder / f"{name}.gz").is_file():  # a wheel has the test images only
        raise InputError(f"{name}.gz is not in the installed package; {_MNIST_HINT}")
    content = gzip.decompress((folder / f"{name}.gz").read_bytes())
    sums = dict(line.split()[::-1] for line in (folder / "SHA256SUMS").read_text().splitlines())
    if hashlib.sha256(content).hexdigest() != sums[name]:
        raise InputError(f"{name}.gz is damaged (checksum differs); reinstall asnet-mlir")
    return parse_idx(content, name)


def _svhn_synthetic(name: str, rest: str) -> Arrays:
    part, limit = _part(name, rest, "synthetic SVHN")
    return first_of(name, synthetic_svhn(part), limit)


def _svhn(name: str, rest: str) -> Arrays:
    match = re.fullmatch(rf"(.+?)(?::({'|'.join(SVHN_PARTS)}))?(?::([0-9]*))?", rest, re.DOTALL)
    if match is None:
        raise InputError(
            f"{name}: names no folder; write svhn:FOLDER[:test|train|extra][:N], or "
            "svhn_synthetic:test for the synthetic stand-in"
        )
    folder, part, limit = match.groups()
    return first_of(name, load_svhn(Path(folder), part or "test"), limit)


def _cifar10(name: str, rest: str) -> Arrays:
    match = re.fullmatch(rf"(.+?)(?::({'|'.join(CIFAR10_PARTS)}))?(?::([0-9]*))?", rest, re.DOTALL)
    if match is None:
        raise InputError(f"{name}: names no folder; write cifar10:FOLDER[:test|train][:N]")
    folder, part, limit = match.groups()
    return first_of(name, load_cifar10(Path(folder), part or "test"), limit)


def _fashion_mnist(name: str, rest: str) -> Arrays:
    own = partial(_idx_of, _FASHION_FOLDER, _FASHION_HINT)
    return _idx_data(name, rest, "Fashion-MNIST", _FASHION_HINT, own)


_READERS: dict[str, Callable[[str, str], Arrays]] = {
    "mnist": _mnist,
    "svhn_synthetic": _svhn_synthetic,
    "svhn": _svhn,
    "fashion_mnist": _fashion_mnist,
    "cifar10": _cifar10,
}
