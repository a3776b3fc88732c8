"""What every front end produces: a network that can be lowered for any batch size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from asnet_mlir.binding import Binding, with_latencies
from asnet_mlir.errors import InputError

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

    def __repr__(self) -> str:
        return f"Weight({self.name!r}, {self.value.dtype}{list(self.value.shape)})"


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
      unfolded: the network as the framework gave it, where arithmetic on weights only has been done
        (`fold_weights`): what `stablehlo` takes are its weights.
      reference: optional float32[n, ...] -> float32[n, ...], the framework's own evaluation.
      approx: for a network that is an `approx` module already: batch size -> its text (and
        `stablehlo` and `lower` raise InputError).
      binding: what the ops of a bound module are bound to.
      missing: ops of a bound module whose core's source is unknown: kind, layer, and the message
        for who does not bind them anew.
    """

    name: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    weights: tuple[Weight, ...]
    stablehlo: Callable[[int], str]
    lower: Callable[[int], str]
    fixed_batch: int | None = None
    unfolded: Network | None = field(default=None, compare=False)
    reference: Callable[[np.ndarray], np.ndarray] | None = field(default=None, compare=False)
    approx: Callable[[int], str] | None = None
    binding: Binding | None = None
    missing: tuple[tuple[str, str, str], ...] = ()

    def __repr__(self) -> str:
        shapes = f"{list(self.input_shape)} -> {list(self.output_shape)}"
        return f"Network({self.name!r}, {shapes}, {len(self.weights)} weights)"

    def complete(self, binding: Any = None) -> Binding:
        """Return `binding`, whatever `Binding.of` takes, on top of what the network has already.

        Raises:
          InputError: it is no binding, or an op is left whose core's source is unknown.
        """
        binding = Binding.of(binding)
        for kind, layer, message in self.missing:
            if not any(rule.fits(kind, layer) for rule in binding.rules):
                raise InputError(message)
        if self.binding is not None:
            binding = binding.over(self.binding)
        return with_latencies(binding)
