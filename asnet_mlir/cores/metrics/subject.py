# SPDX-License-Identifier: Apache-2.0
"""What the characterization of integer and of floating-point cores has in common."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from asnet_mlir.cores.core import Instance
from asnet_mlir.cores.models.derive import derive_models
from asnet_mlir.cores.models.kernel import compile_elementwise
from asnet_mlir.cores.models.model import Strategy
from asnet_mlir.cores.simulation import simulation
from asnet_mlir.cores.simulation.family import storage
from asnet_mlir.errors import InputError
from asnet_mlir.support.cache import content_hash

__all__ = [
    "DISTRIBUTIONS",
    "MAP_CELLS",
    "ROLES",
    "Distribution",
    "ErrorMap",
    "Histogram",
    "Named",
    "OVERFLOWS",
    "Overflow",
    "Subject",
    "cell_means",
    "points_in_cells",
    "quotient",
    "run_tasks",
]

Named = Literal["uniform", "normal", "typical"]

#: The distributions that have a name.
DISTRIBUTIONS: tuple[str, ...] = get_args(Named)

#: What to make of pairs whose exact result the result port does not hold.
Overflow = Literal["plain", "modular", "exclude"]

OVERFLOWS: tuple[str, ...] = get_args(Overflow)

#: The ports of every core.
ROLES = ("a", "b", "result")

#: Cells of an error map along each operand, at most.
MAP_CELLS = 256

_SYMBOL = "characterized"


@dataclass(frozen=True, eq=False)
class Histogram:
    """Operand pairs as they occur somewhere, each with a weight: how often it occurs.

    Attributes:
      a, b: 1-D arrays of one length; floats for floating-point cores (rounded to their format),
        integers for integer cores.
      weight: what each pair counts, not negative; None: every pair the same.
      name: what reports call it.
    """

    a: np.ndarray
    b: np.ndarray
    weight: np.ndarray | None = None
    name: str = "histogram"

    def __post_init__(self) -> None:
        """Refuse arrays that are no pairs.

        Raises:
          InputError: shapes, types or weights that mean nothing.
        """
        for what, array in (("a", self.a), ("b", self.b)):
            if array.ndim != 1 or array.dtype.kind not in "fiu" or array.dtype.itemsize > 8:
                raise InputError(
                    f"{self.name}: '{what}' must be a 1-D array of numbers, got "
                    f"{array.dtype}{array.shape}"
                )
        if self.a.shape != self.b.shape or not self.a.size:
            raise InputError(
                f"{self.name}: 'a' and 'b' must have one length and not be empty, got "
                f"{self.a.size} and {self.b.size}"
            )
        if (self.a.dtype.kind == "f") != (self.b.dtype.kind == "f"):
            raise InputError(f"{self.name}: 'a' and 'b' must both be floats or both integers")
        weight = self.weight
        if weight is None:
            return
        if weight.shape != self.a.shape or weight.dtype.kind not in "fiu":
            raise InputError(
                f"{self.name}: 'weight' must have one number for each pair, got "
                f"{weight.dtype}{weight.shape} for {self.a.size} pairs"
            )
        if not np.isfinite(weight).all() or (weight < 0).any() or not (weight > 0).any():
            raise InputError(f"{self.name}: weights must be finite, not negative, not all zero")

    @classmethod
    def load(cls, path: str | Path) -> Histogram:
        """Return the pairs in an `.npz` with arrays `a`, `b` and optionally `weight`.

        Raises:
          InputError: no such file, no such arrays.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files} if hasattr(file, "files") else {}
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
        except (ValueError, EOFError, AttributeError, TypeError, KeyError) as error:
            raise InputError(f"{path}: is not an .npz file of arrays: {error}") from None
        except Exception as error:  # a broken zip file raises zipfile's and zlib's own errors
            raise InputError(f"{path}: is not an .npz file of arrays: {error}") from None
        for name in ("a", "b"):
            if name not in arrays:
                raise InputError(f"{path}: has no array '{name}'; it has {', '.join(arrays)}")
        return cls(arrays["a"], arrays["b"], arrays.get("weight"), Path(path).name)

    def save(self, path: str | Path) -> None:
        """Write the pairs as `load` reads them."""
        arrays: dict[str, Any] = {"a": self.a, "b": self.b}
        if self.weight is not None:
            arrays["weight"] = self.weight
        with open(path, "wb") as file:
            np.savez_compressed(file, **arrays)

    @functools.cached_property
    def content_hash(self) -> str:
        """Hash of the pairs and their weights."""
        arrays = [self.a, self.b, *([] if self.weight is None else [self.weight])]
        parts: list[str | bytes] = []
        for array in arrays:
            parts += [str(array.dtype), np.ascontiguousarray(array).tobytes()]
        return content_hash(*parts)


Distribution = Named | Histogram


@dataclass(frozen=True, eq=False)
class ErrorMap:
    """Mean signed errors over the plane of operands, for a picture.

    Attributes:
      mean: mean of (approximate - exact) in each cell, first index a (float64); of floats relative
        to the exact result, over significands of one binade.  NaN where there is none.
      a, b: borders of the cells, one more than there are cells.
      errors: signed errors of pairs drawn from the distribution (relative for floats).
      weights: what each of them counts.
    """

    mean: np.ndarray
    a: np.ndarray
    b: np.ndarray
    errors: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Subject:
    """An instance with its compiled model: what all of this module looks at.

    `evaluate` takes and gives operands as bits in the smallest unsigned dtype that holds them.
    """

    instance: Instance
    strategy: str
    widths: dict[str, int]
    evaluate: Callable[[np.ndarray, np.ndarray], np.ndarray]

    @classmethod
    def of(cls, instance: Instance, strategy: Strategy | None) -> Subject:
        model = derive_models({_SYMBOL: instance}, strategy)[_SYMBOL]
        kernel = compile_elementwise({_SYMBOL: model})
        if instance.core.format == "f32":

            def evaluate(a: np.ndarray, b: np.ndarray) -> np.ndarray:
                result = kernel(_SYMBOL, a.view(np.float32), b.view(np.float32))
                return result.view(np.uint32)

            return cls(instance, model.strategy, {"a": 32, "b": 32, "result": 32}, evaluate)
        widths = _widths(instance, model.text)
        return cls(instance, model.strategy, widths, functools.partial(kernel, _SYMBOL))

    @property
    def dtypes(self) -> tuple[np.dtype, np.dtype]:
        return storage(self.widths["a"]), storage(self.widths["b"])


def _widths(instance: Instance, text: str) -> dict[str, int]:
    """Return the widths that a model's text shows, else those of the ports."""
    signature = re.search(rf"@{_SYMBOL}\(%\w+: i(\d+), %\w+: i(\d+)\) -> i(\d+)(?!\w)", text)
    if signature:
        return dict(zip(ROLES, map(int, signature.groups()), strict=True))
    widths = simulation.port_widths([instance])[0]
    return {"a": widths.a, "b": widths.b, "result": widths.result}


def quotient(a: int | float, b: int | float) -> float | None:
    """Return a / b, correctly rounded for integers; None where that is not finite."""
    value = a / b
    return value if math.isfinite(value) else None


def run_tasks(
    tasks: Iterator[Callable[[], Any]] | list[Callable[[], Any]], workers: int
) -> Iterator[Any]:
    """Give the results of tasks in their order, computed by threads."""
    if workers == 1:
        for task in tasks:
            yield task()
        return
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(lambda task: task(), tasks)


def points_in_cells(
    rng: np.random.Generator, cells: Sequence[int], sizes: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return points (two flat uint64 arrays) in the cells of a grid, as many in each.

    Each cell is divided into up to 4 x 4 parts, each of which holds one point drawn at random on
    its own: points in rows and columns would show as stripes.
    """
    inner = [min(size, 4) for size in sizes]
    shape = (cells[0], cells[1], inner[0], inner[1])
    points = []
    for axis in range(2):
        part = sizes[axis] // inner[axis]
        index = [np.arange(shape[k], dtype=np.uint64) for k in (axis, axis + 2)]
        first = [
            values.reshape([-1 if k == place else 1 for k in range(4)])
            for values, place in zip(index, (axis, axis + 2), strict=True)
        ]
        base = first[0] * np.uint64(sizes[axis]) + first[1] * np.uint64(part)
        points.append((base + rng.integers(0, part, shape, np.uint64)).ravel())
    return points[0], points[1]


def cell_means(errors: np.ndarray, cells_a: int, cells_b: int) -> np.ndarray:
    """Return the mean of each cell's errors, NaN where there is none."""
    blocks = errors.reshape(cells_a, cells_b, -1)
    finite = np.isfinite(blocks)
    total = np.where(finite, blocks, 0.0).sum(axis=2)
    return np.where(finite.any(axis=2), total / np.maximum(finite.sum(axis=2), 1), np.nan)
