"""What every front end produces: a network that can be lowered for any batch size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from asnet_mlir.cores import Instance

__all__ = ["Network", "Weight"]


@dataclass(frozen=True)
class Weight:
    """One trained array, an argument of the lowered function after the input.

    Attributes:
      name: the framework's path of it, such as `dense/kernel`.
      value: float32 array, C order.
    """

    name: str
    value: np.ndarray


@dataclass(frozen=True)
class Network:
    """A feed-forward network: float32[batch, *input_shape] -> float32[batch, *output_shape].

    Attributes:
      name: for messages and file names.
      input_shape, output_shape: of one sample, without the batch dimension.
      weights: in the order in which the lowered function takes them.
      stablehlo: batch size -> text of the StableHLO module that the framework gives.
      lower: batch size -> text of a linalg-on-tensors module with one public function
        `@main(input, *weights)`, locations included (layer names live in them).
      fixed_batch: the only batch size that `lower` takes, or None for any.
      approx: for a network that is an `approx` module already: batch size -> its text (and
        `stablehlo` and `lower` raise InputError).
      instances: for a bound one, by ID, the instances that its ops are bound to.
      reference: optional float32[n, ...] -> float32[n, ...], the framework's own evaluation.
    """

    name: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    weights: tuple[Weight, ...]
    stablehlo: Callable[[int], str]
    lower: Callable[[int], str]
    fixed_batch: int | None = None
    reference: Callable[[np.ndarray], np.ndarray] | None = field(default=None, compare=False)
    approx: Callable[[int], str] | None = None
    instances: Mapping[int, Instance] = field(default_factory=dict)
