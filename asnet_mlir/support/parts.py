# SPDX-License-Identifier: Apache-2.0
"""Several tensors of a sample as one row of numbers (docs/decisions/0035-rows-of-parts.md).

A network of several inputs or outputs is, inside, one of one: the row of a sample holds its tensors
one after the other, in the order in which the network has them.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.support.formats import NumberFormat, parse_format

__all__ = ["Part", "Parts"]

_WORD = parse_format("i32")


@dataclass(frozen=True)
class Part:
    """A named tensor among those that a network takes or gives.

    Attributes:
      shape: of a sample, without the batch; () of one number.
      format: of its numbers.
    """

    name: str
    shape: tuple[int, ...]
    format: NumberFormat

    def __str__(self) -> str:
        return f"{self.name} ({self.format} {'x'.join(map(str, self.shape)) or 'number'})"

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Parts:
    """The tensors of a row, in their order: two or more, of different names.

    Numbers of a row are of one format: the parts' own where that is the same, else the signed
    integer as wide as all of them, in which each part has its bits; where widths differ, it is
    that of 32 bits, in which narrower numbers have their bits, extended by their uppermost.
    """

    parts: tuple[Part, ...]

    def __iter__(self) -> Any:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)

    def __str__(self) -> str:
        return ", ".join(map(str, self.parts))

    @cached_property
    def format(self) -> NumberFormat:
        """Of a row's numbers."""
        formats = [part.format for part in self.parts]
        if all(format == formats[0] for format in formats):
            return formats[0]
        widths = {format.storage_bytes * 8 for format in formats}
        return parse_format(f"i{widths.pop()}") if len(widths) == 1 else _WORD

    @property
    def shape(self) -> tuple[int]:
        """Of a row: (how many numbers it has,)."""
        return (sum(part.size for part in self.parts),)

    @cached_property
    def bounds(self) -> tuple[tuple[int, int], ...]:
        """Where each part begins and ends in a row."""
        ends = list(itertools.accumulate(part.size for part in self.parts))
        return tuple(zip([0, *ends[:-1]], ends, strict=True))

    @property
    def names(self) -> tuple[str, ...]:
        """The parts' names."""
        return tuple(part.name for part in self.parts)

    def pack(self, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return [n, size], the rows of n samples.

        Args:
          arrays: [n, *shape] of each part's dtype, by name.
        """
        samples = len(next(iter(arrays.values())))
        rows = np.empty((samples, *self.shape), self.format.dtype)
        for part, (begin, end) in zip(self.parts, self.bounds, strict=True):
            numbers = np.ascontiguousarray(arrays[part.name]).reshape(samples, part.size)
            if part.format != self.format:
                numbers = numbers.view(_signed(part.format))
            rows[:, begin:end] = numbers
        return rows

    def unpack(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Return what `pack` made rows of."""
        return {part.name: self.take(part.name, rows) for part in self.parts}

    def take(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Return [n, *shape] of one part of rows [n, size]."""
        index = self.names.index(name)
        part, (begin, end) = self.parts[index], self.bounds[index]
        numbers = rows[:, begin:end]
        if part.format != self.format:
            numbers = numbers.astype(_signed(part.format)).view(part.format.dtype)
        return np.ascontiguousarray(numbers).reshape(len(rows), *part.shape)

    def part(self, name: str, what: str) -> Part:
        """Return the part of a name.

        Args:
          what: the parts are, for the message (`output`).

        Raises:
          InputError: there is none.
        """
        for part in self.parts:
            if part.name == name:
                return part
        raise InputError(f"there is no {what} '{name}'; the {what}s are {self}")

    def to_json(self) -> list[dict[str, Any]]:
        """Return the parts as JSON values."""
        return [
            {"name": part.name, "shape": list(part.shape), "format": part.format.name}
            for part in self.parts
        ]

    def placed(self) -> list[dict[str, Any]]:
        """Return what `to_json` does, with where each part is: `begin` and `end` in the row."""
        return [
            {**part, "begin": begin, "end": end}
            for part, (begin, end) in zip(self.to_json(), self.bounds, strict=True)
        ]

    @classmethod
    def of_json(cls, values: Sequence[Mapping[str, Any]]) -> Parts:
        """Return what `to_json` gave.

        Raises:
          InputError: the values are no parts.
        """
        try:
            parts = tuple(
                Part(
                    str(value["name"]),
                    tuple(int(size) for size in value["shape"]),
                    parse_format(str(value["format"])),
                )
                for value in values
            )
        except (KeyError, TypeError, ValueError):
            raise InputError(f"no parts of a row: {json.dumps(values)[:80]}") from None
        if len(parts) < 2 or len({part.name for part in parts}) != len(parts):
            raise InputError("parts of a row must be two or more, of different names")
        return cls(parts)


def _signed(format: NumberFormat) -> np.dtype[Any]:
    return np.dtype(f"int{format.storage_bytes * 8}")
