# SPDX-License-Identifier: Apache-2.0
"""Data of networks with several inputs or outputs: arrays by the names of these.

An input's array has its name; of a network of one input it is `x`.  Targets of an output are
`y_NAME`, or NAME where no input is called so; `y` alone is of the only output, or of the one that
the metric names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asnet_mlir.data.dataset import Dataset, Samples, checked_targets
from asnet_mlir.data.datasets import checked_range, first_of, load_data, npz_file
from asnet_mlir.data.npz import read_all_arrays
from asnet_mlir.data.splits import split_range
from asnet_mlir.errors import InputError
from asnet_mlir.support.formats import BF16, NumberFormat
from asnet_mlir.support.parts import Part, Parts

__all__ = ["Edges", "load_named"]

_LABELS = "y"


@dataclass(frozen=True)
class Edges:
    """What a network takes and gives; see `Network`.

    Attributes:
      shape, format: of a sample, or of its row.
    """

    shape: tuple[int, ...]
    format: NumberFormat
    inputs: Parts | None = None
    outputs: Parts | None = None

    @property
    def expected(self) -> str:
        """What arrays may be called, for messages."""
        taken = self.inputs or "x"
        given = "y"
        if self.outputs is not None:
            given = ", ".join(f"y_{name}" for name in self.outputs.names)
        return f"expected are {taken}; with labels, {given}"


def load_named(data: Any, edges: Edges) -> Dataset:
    """Load data for a network, its samples rows where the network has several inputs.

    Args:
      data: whatever `load_data` takes; of several inputs, an `.npz` file, a dictionary of arrays, a
        pair (inputs, targets) of dictionaries, or a `Dataset` of such rows.

    Raises:
      InputError: an array is missing, has another name, shape or number of samples than expected,
        or holds a NaN.
    """
    if edges.inputs is None and edges.outputs is None:
        return load_data(data, edges.format).shaped(edges.shape)
    if isinstance(data, Dataset | Samples):
        return load_data(data, edges.format).shaped(edges.shape)
    if isinstance(data, tuple | list) and len(data) == 2:
        return _of_pair(data[0], data[1], edges)
    if isinstance(data, Mapping):
        return _of_arrays("data", data, edges)
    if isinstance(data, str | Path):
        return _of_text(str(data), edges)
    if edges.inputs is None:
        return load_data(data, edges.format).shaped(edges.shape)
    raise InputError(f"{_several(edges)}, got {type(data).__name__}; {edges.expected}")


def _several(edges: Edges) -> str:
    return f"the network has {len(edges.inputs or ())} inputs, which a dictionary of arrays gives"


def _of_text(name: str, edges: Edges) -> Dataset:
    if part := split_range(name):
        whole = _of_text(part[0], edges)
        begin, end = checked_range(name, len(whole), part)
        return _rows(name, whole, slice(begin, end))
    file = npz_file(name)
    if file is None:
        if edges.inputs is not None:
            raise InputError(
                f"{name}: has one array of samples, the network has {len(edges.inputs)} inputs; "
                f"give a FILE.npz: {edges.expected}"
            )
        return load_data(name, edges.format).shaped(edges.shape)
    path, limit = file
    whole = _of_arrays(name, read_all_arrays(path), edges)
    first = first_of(name, (np.arange(len(whole)),), limit)[0]
    return whole if limit is None else _rows(name, whole, slice(0, len(first)))


def _rows(name: str, whole: Dataset, rows: slice) -> Dataset:
    targets = None if whole.y is None else whole.y[rows]
    return Dataset(name, whole.x[rows], targets, whole.format)


def _of_pair(x: Any, y: Any, edges: Edges) -> Dataset:
    """Make data of (inputs, targets), each an array or a dictionary of them."""
    arrays: dict[str, Any] = dict(x) if isinstance(x, Mapping) else {"x": x}
    targets: dict[str, Any] = {}
    if isinstance(y, Mapping):
        targets = {str(key): value for key, value in y.items()}
    elif y is not None:
        targets = {_LABELS: y}
    return _made("(x, y)", arrays, targets, edges)


def _of_arrays(name: str, arrays: Mapping[str, Any], edges: Edges) -> Dataset:
    """Make data of arrays, inputs and targets, by their names."""
    taken = edges.inputs.names if edges.inputs else ("x",)
    inputs = {key: value for key, value in arrays.items() if key in taken}
    targets = {key: value for key, value in arrays.items() if key not in taken}
    return _made(name, inputs, targets, edges)


def _made(
    name: str, arrays: Mapping[str, Any], targets: Mapping[str, Any], edges: Edges
) -> Dataset:
    parts = edges.inputs or Parts((Part("x", edges.shape, edges.format),))
    missing = [own for own in parts.names if own not in arrays]
    wrong = [own for own in arrays if own not in parts.names]
    if missing or wrong:
        what = f"lacks {_quoted(missing)}" if missing else f"has no use for {_quoted(wrong)}"
        raise InputError(f"{name}: {what}; {edges.expected}")
    samples = {part.name: _samples(name, part, arrays[part.name]) for part in parts}
    count = len(samples[parts.names[0]])
    for own, x in samples.items():
        if len(x) != count:
            raise InputError(
                f"{name}: '{parts.names[0]}' has {count} samples, '{own}' has {len(x)}"
            )
    x = parts.pack(samples) if edges.inputs else samples["x"]
    return Dataset(name, x, _targets(name, targets, count, edges), edges.format)


def _samples(name: str, part: Part, given: Any) -> np.ndarray:
    """Return [n, *shape] of a part's format."""
    label = f"{name}: '{part.name}'" if part.name != "x" else name
    array = np.asarray(given)
    if part.format == BF16 and array.dtype.kind == "V" and array.itemsize == BF16.storage_bytes:
        array = array.view(BF16.dtype)  # which numpy writes as bits without a type
    if array.ndim == 1 and part.size == 1:  # a number a sample
        array = array[:, None]
    samples = Samples(label, array, part.format).shaped(part.shape or (1,))
    samples.require_numbers()
    return samples.x.reshape(len(array), *part.shape)


def _targets(name: str, given: Mapping[str, Any], count: int, edges: Edges) -> np.ndarray | None:
    """Return targets: of one output, an array; of several, a field for each that has any."""
    if not given:
        return None
    found: dict[str, np.ndarray] = {}
    for key, value in given.items():
        output = _output_of(key, edges)
        if output is None:
            raise InputError(f"{name}: has no use for '{key}'; {edges.expected}")
        if output in found:
            raise InputError(f"{name}: has targets of output '{output}' twice")
        found[output] = checked_targets(name, np.asarray(value), count, key)
    if edges.outputs is None:
        return found[_LABELS]
    kinds = [(key, value.dtype, value.shape[1:]) for key, value in found.items()]
    fields = np.empty(count, kinds)
    for key, value in found.items():
        fields[key] = value
    return fields


def _output_of(key: str, edges: Edges) -> str | None:
    """Return the output that an array's name says, `y` where it leaves that open."""
    if edges.outputs is None:
        return _LABELS if key == _LABELS else None
    names = edges.outputs.names
    for own in (key.removeprefix("y_"), key):
        if own in names:
            return own
    return _LABELS if key == _LABELS else None


def _quoted(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
