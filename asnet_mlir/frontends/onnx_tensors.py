# SPDX-License-Identifier: Apache-2.0
"""Tensors of an ONNX graph, in whatever order of dimensions is best to compute with.

ONNX has images as [n, c, h, w]; convolutions and pools are fastest on [n, h, w, c], and what
stands between them takes either.  So a tensor carries the order in which its dimensions are held,
and only what can't do with another than ONNX's own puts it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Constant", "Tensor", "channels_last"]


@dataclass(frozen=True)
class Constant:
    """What is known before the network runs: an initializer, or computed from some.

    Attributes:
      value: any dtype and shape, in ONNX's order.
      name: of the initializer, or of the node that gives it.
    """

    value: np.ndarray
    name: str

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape


@dataclass(frozen=True)
class Tensor:
    """An array of JAX.

    Attributes:
      array: dimension i is dimension `order[i]` of what ONNX calls the tensor.
      order: a permutation.
    """

    array: Any
    order: tuple[int, ...]

    @classmethod
    def plain(cls, array: Any) -> Tensor:
        """Return an array whose dimensions are in ONNX's order."""
        return cls(array, tuple(range(array.ndim)))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape in ONNX's order."""
        return tuple(self.array.shape[self.order.index(i)] for i in range(self.array.ndim))

    @property
    def logical(self) -> Any:
        """The array in ONNX's order."""
        return self.ordered(tuple(range(self.array.ndim)))

    def ordered(self, order: Sequence[int]) -> Any:
        """Return the array with its dimensions in an order."""
        if self.order == tuple(order):
            return self.array
        return self.array.transpose([self.order.index(i) for i in order])

    def transposed(self, permutation: Sequence[int]) -> Tensor:
        """Return ONNX's transposition: nothing moves."""
        return Tensor(self.array, tuple(list(permutation).index(i) for i in self.order))

    def reshaped(self, shape: Sequence[int]) -> Tensor:
        """Return ONNX's reshape; nothing moves where the dimensions it joins lie side by side."""
        groups = _groups(self.shape, shape)
        groups.sort(key=lambda group: self.order.index(group[0][0]))
        if groups and self.order == tuple(i for taken, _ in groups for i in taken):
            order = tuple(i for _, made in groups for i in made)
            return Tensor(self.array.reshape([shape[i] for i in order]), order)
        return Tensor.plain(self.logical.reshape(shape))


def _groups(old: Sequence[int], new: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Return which dimensions of one shape make which of another, least groups of equal sizes.

    Dimensions of 1 go with whatever stands before them.
    """
    groups: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(old) and j < len(new):
        taken, made, left, right = [i], [j], old[i], new[j]
        i, j = i + 1, j + 1
        while left != right:
            if left < right:
                if i == len(old):
                    return []
                left, taken, i = left * old[i], [*taken, i], i + 1
            else:
                if j == len(new):
                    return []
                right, made, j = right * new[j], [*made, j], j + 1
        groups.append((taken, made))
    rest = list(range(i, len(old))), list(range(j, len(new)))
    if any(old[k] != 1 for k in rest[0]) or any(new[k] != 1 for k in rest[1]) or not groups:
        return []
    groups[-1] = (groups[-1][0] + rest[0], groups[-1][1] + rest[1])
    return groups


def channels_last(rank: int) -> tuple[int, ...]:
    """Return the order [n, .., c] of dimensions [n, c, ..]."""
    return (0, *range(2, rank), 1)
