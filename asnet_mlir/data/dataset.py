# SPDX-License-Identifier: Apache-2.0
"""Samples, with their labels or without, checked once where they come in."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.support.formats import F32, NumberFormat, format_of_array

__all__ = ["Dataset", "Samples", "checked_targets"]


@dataclass(frozen=True)
class Samples:
    """Samples that need no labels.

    Attributes:
      name: what the user called it.
      x: [n, ...] of the format's dtype, n >= 1, one sample a row, C order.  Any real numbers are
        converted (`NumberFormat.from_numbers`): what a float format can't hold becomes infinite,
        NaNs become canonical, as the hardware's input stage makes them (docs/semantics.md); what
        is no integer of an integer format is refused.
      format: of the samples' numbers.

    Raises:
      InputError: the array is not as described.
    """

    name: str
    x: np.ndarray
    format: NumberFormat = F32

    def __post_init__(self) -> None:
        x = np.asarray(self.x)
        is_numbers = x.dtype.kind in "fiu" or format_of_array(x) is not None
        if not is_numbers or x.ndim < 2:
            raise InputError(
                f"{self.name}: 'x' must be numbers with a sample a row, got {x.dtype} of shape "
                f"{x.shape}"
            )
        if x.size == 0:
            raise InputError(f"{self.name}: holds no samples (the shape of 'x' is {x.shape})")
        try:
            x = self.format.from_numbers(x)
        except InputError as error:
            raise InputError(f"{self.name}: {error}") from None
        object.__setattr__(self, "x", x)

    def __repr__(self) -> str:
        return f"Samples({self.name!r}, {len(self)} samples of {_text(self.x.shape[1:])})"

    def __len__(self) -> int:
        return len(self.x)

    def shaped(self, sample_shape: tuple[int, ...]) -> Samples:
        """Return the samples in the shape `sample_shape`.

        They may be flattened into a vector, and dimensions of size 1 may come and go; nothing else
        counts as the same shape.

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
        return Samples(self.name, self.x.reshape(len(self.x), *sample_shape), self.format)

    def require_numbers(self) -> None:
        """Refuse samples with NaNs, of which nothing can be said.

        Raises:
          InputError: naming the first sample with a NaN, and how many there are.
        """
        if not self.format.is_float:
            return
        rows = np.isnan(self.x).reshape(len(self.x), -1).any(axis=1)
        if rows.any():
            first = int(np.argmax(rows))
            place = np.argwhere(np.isnan(self.x[first]))[0].tolist()
            raise InputError(
                f"{self.name}: sample {first} holds a NaN at {place} ({int(rows.sum())} of "
                f"{len(rows)} samples hold any); remove these samples"
            )


@dataclass(frozen=True)
class Dataset:
    """Samples with what a network should say about them.

    Attributes:
      name, x, format: see `Samples`.
      y: [n, ...], a target for each sample, or None: int64 for integers (class indices, or numbers)
        and booleans, float32 or float64 for other numbers; none is NaN.  What they mean to an
        output, a metric says.  Of a network of several outputs, it has a field (of numpy's
        structured arrays) for each output that has targets, by its name; one that is called `y`
        is of the output that the metric names.

    Raises:
      InputError: the arrays are not as described; the message names the first bad sample.
    """

    name: str
    x: np.ndarray
    y: np.ndarray | None
    format: NumberFormat = F32

    def __post_init__(self) -> None:
        x = Samples(self.name, self.x, self.format).x
        object.__setattr__(self, "x", x)
        if self.y is not None:
            y = np.asarray(self.y)
            for field in y.dtype.names or ():
                checked_targets(self.name, y[field], len(x), field)
            if y.dtype.names is None:
                y = checked_targets(self.name, y, len(x))
            object.__setattr__(self, "y", y)

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, {len(self)} samples of {_text(self.x.shape[1:])})"

    def __len__(self) -> int:
        return len(self.x)

    def targets(self) -> np.ndarray:
        """Return `y`.

        Raises:
          InputError: there is none.
        """
        if self.y is None:
            raise InputError(f"{self.name}: has no labels; it needs an array 'y' beside 'x'")
        return self.y

    @property
    def samples(self) -> Samples:
        """The samples without their labels."""
        return Samples(self.name, self.x, self.format)

    def head(self, count: int) -> Dataset:
        """Return the first `count` samples (all when there are fewer)."""
        y = None if self.y is None else self.y[:count]
        return Dataset(self.name, self.x[:count], y, self.format)

    def converted(self, format: NumberFormat) -> Dataset:
        """Return the data with its numbers in another format.

        Raises:
          InputError: a number is none of an integer format.
        """
        return self if format == self.format else Dataset(self.name, self.x, self.y, format)

    def shaped(self, sample_shape: tuple[int, ...]) -> Dataset:
        """Return the data with samples of `sample_shape`; see `Samples.shaped`.

        Raises:
          InputError: a sample has another shape.
        """
        return Dataset(self.name, self.samples.shaped(sample_shape).x, self.y, self.format)

    def require_numbers(self) -> None:
        """Refuse data with NaNs, whose classification means nothing; see `Samples`."""
        self.samples.require_numbers()


def checked_targets(name: str, y: np.ndarray, samples: int, label: str = "y") -> np.ndarray:
    """Return targets in a dtype of `Dataset.y`, C order.

    Args:
      label: what they are called, for messages.
    """
    if y.dtype.kind not in "biuf" or y.shape[:1] != (samples,):
        raise InputError(
            f"{name}: '{label}' must be {samples} class indices or targets, one a sample, got "
            f"{y.dtype} of shape {y.shape}"
        )
    if y.dtype.kind == "f":
        y = y.astype(np.float32 if y.itemsize <= 4 else np.float64, copy=False)
    elif y.size and y.max() > np.iinfo(np.int64).max:
        first = int(np.argwhere(y > np.iinfo(np.int64).max)[0][0])
        raise InputError(f"{name}: the label of sample {first}, {y.max()}, is too large")
    else:
        y = y.astype(np.int64, copy=False)
    bad = np.isnan(y).reshape(samples, -1).any(axis=1)
    if bad.any():
        raise InputError(f"{name}: the target of sample {int(np.argmax(bad))} holds a NaN")
    return np.ascontiguousarray(y)


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"
