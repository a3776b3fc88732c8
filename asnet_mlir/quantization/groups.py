# SPDX-License-Identifier: Apache-2.0
"""What a float network consists of, as far as quantization goes: groups of its operations."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

__all__ = [
    "Average",
    "Clamp",
    "Concatenation",
    "Detail",
    "Float",
    "Function",
    "Group",
    "Layout",
    "Maximum",
    "Mean",
    "Move",
    "Pairwise",
    "Product",
    "Softmax",
    "Window",
]


@dataclass(frozen=True)
class Clamp:
    """The least and the greatest number that an activation function leaves."""

    low: float = -math.inf
    high: float = math.inf

    def within(self, low: float = -math.inf, high: float = math.inf) -> Clamp:
        """Return what is left when numbers are clamped once more."""
        # maximum(minimum(x, h), l) with l > h is l, whatever x is.
        least = max(self.low, low)
        return Clamp(min(least, high), min(max(self.high, low), high))


@dataclass(frozen=True)
class Window:
    """Where a convolution or a pooling looks at images.

    Attributes:
      size, strides, dilation: of height and width.
      padding: before and after, of height and width.
    """

    size: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))


@dataclass(frozen=True)
class Layout:
    """How images lie in a value, and how they must lie: [height, width, channels].

    Attributes:
      spatial: how many dimensions of space there are; one is a height of 1.
      order: the dimensions of a sample in the order space, channels.
    """

    spatial: int
    order: tuple[int, ...]

    @property
    def back(self) -> tuple[int, ...]:
        """The permutation that undoes `order`."""
        return tuple(int(place) for place in np.argsort(self.order))


@dataclass(frozen=True)
class Product:
    """A convolution or a dense layer; batch normalization and activation function are part of it.

    Attributes:
      kernel: float64, HWIO of a convolution, [n, channels] of a dense layer.
      bias: float64[channels].
      clamp: of the outputs.
      window, groups, taken, given: of a convolution; how it takes and gives images.
    """

    kernel: np.ndarray
    bias: np.ndarray
    clamp: Clamp = Clamp()
    window: Window | None = None
    groups: int = 1
    taken: Layout | None = None
    given: Layout | None = None

    def scaled(self, factor: np.ndarray, offset: np.ndarray) -> Product:
        """Return the product times a factor plus an offset, each float64[channels]."""
        return dataclasses.replace(
            self, kernel=self.kernel * factor, bias=self.bias * factor + offset
        )


@dataclass(frozen=True)
class Pairwise:
    """`add`, `subtract` or `multiply` of two values of one shape, and a clamp."""

    name: str
    clamp: Clamp = Clamp()


@dataclass(frozen=True)
class Maximum:
    """The maximum of windows."""

    window: Window
    layout: Layout


@dataclass(frozen=True)
class Average:
    """The average of windows; padding counts only where `counts_padding`."""

    window: Window
    layout: Layout
    counts_padding: bool = False


@dataclass(frozen=True)
class Mean:
    """The mean over some dimensions of a sample, which may stay with a size of 1."""

    axes: tuple[int, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Move:
    """`reshape`, `transpose`, `slice`, `pad` or `broadcast`: codes go to other places.

    Attributes:
      arguments: a shape, a permutation, (start, stop, step) or (before, after) of each dimension
        of a sample; of a broadcast, the dimensions of the result that are the operand's, the batch
        included, and a shape.
    """

    name: str
    arguments: tuple[int, ...] | tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Concatenation:
    """Values one after the other along a dimension of a sample."""

    axis: int


@dataclass(frozen=True)
class Function:
    """A function of each number, whatever operations it takes."""


@dataclass(frozen=True)
class Softmax:
    """Exponentials over their sum, of the last dimension."""


@dataclass(frozen=True)
class Float:
    """An operation for which there is no arithmetic on codes."""


Detail = (
    Product
    | Pairwise
    | Maximum
    | Average
    | Mean
    | Move
    | Concatenation
    | Function
    | Softmax
    | Float
)


@dataclass(frozen=True)
class Group:
    """Operations that become one layer of codes, or stay as they are.

    Attributes:
      name: no other group has it.
      detail: what they compute together.
      inputs: the values that they take, constants left out.
      output: the value that they give.
      ops: their indices in the graph, in the order of computation.
      layers: those that the operations belong to.
    """

    name: str
    detail: Detail
    inputs: tuple[int, ...]
    output: int
    ops: tuple[int, ...]
    layers: frozenset[str]

    @property
    def is_float(self) -> bool:
        """Whether it can't be quantized."""
        return isinstance(self.detail, Float)

    @property
    def keeps_codes(self) -> bool:
        """Whether the codes of its output mean what those of its input do."""
        return isinstance(self.detail, Move | Maximum | Average)

    @property
    def kind(self) -> str:
        """What it is, in a word."""
        detail = self.detail
        if isinstance(detail, Product):
            if detail.window is None:
                return "dense"
            return "convolution" if detail.groups == 1 else f"convolution, {detail.groups} groups"
        if isinstance(detail, Pairwise | Move):
            return detail.name
        return type(detail).__name__.lower()

    def belongs_to(self, layer: str) -> bool:
        """Return whether a name that a user gives means it: its own, or a layer's."""
        return any(own == layer or own.startswith(f"{layer}/") for own in (self.name, *self.layers))
