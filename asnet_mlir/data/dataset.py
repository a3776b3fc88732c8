# SPDX-License-Identifier: Apache-2.0
"""Samples with their labels, checked once where they come in."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from asnet_mlir.errors import InputError

__all__ = ["Dataset"]


@dataclass(frozen=True)
class Dataset:
    """Samples with their labels.

    Attributes:
      name: what the user called it.
      x: float32[n, ...], n >= 1, one sample a row, C order; any real numbers are converted, what
        float32 can't hold becomes infinite, NaNs become canonical, as the hardware's
        input stage makes them (docs/semantics.md).
      y: int64[n], class indices, none negative.

    Raises:
      InputError: the arrays are not as described; the message names the first bad sample.
    """

    name: str
    x: np.ndarray
    y: np.ndarray

    def __post_init__(self) -> None:
        x, y = np.asarray(self.x), np.asarray(self.y)
        if x.dtype.kind not in "fiu" or x.ndim < 2:
            raise InputError(
                f"{self.name}: 'x' must be numbers with a sample a row, got {x.dtype} of shape "
                f"{x.shape}"
            )
        if y.dtype.kind not in "iu" or y.shape != x.shape[:1]:
            raise InputError(
                f"{self.name}: 'y' must be {len(x)} class indices (integers), got {y.dtype} of "
                f"shape {y.shape}"
            )
        if x.size == 0:
            raise InputError(f"{self.name}: holds no samples (the shape of 'x' is {x.shape})")
        for bad, what in ((y < 0, "is negative"), (y > np.iinfo(np.int64).max, "is too large")):
            if bad.any():
                first = int(np.argmax(bad))
                raise InputError(f"{self.name}: the label of sample {first}, {y[first]}, {what}")
        with np.errstate(over="ignore"):
            x = np.ascontiguousarray(x, np.float32)
        nan = np.isnan(x)
        if nan.any():
            x = np.where(nan, np.float32(np.nan), x)
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "y", np.ascontiguousarray(y, np.int64))

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, {len(self)} samples of {_text(self.x.shape[1:])})"

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

    def require_numbers(self) -> None:
        """Refuse data with NaNs, whose classification means nothing.

        Raises:
          InputError: naming the first sample with a NaN, and how many there are.
        """
        rows = np.isnan(self.x).reshape(len(self.x), -1).any(axis=1)
        if rows.any():
            first = int(np.argmax(rows))
            place = np.argwhere(np.isnan(self.x[first]))[0].tolist()
            raise InputError(
                f"{self.name}: sample {first} holds a NaN at {place} ({int(rows.sum())} of "
                f"{len(rows)} samples hold any); remove these samples"
            )


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"
