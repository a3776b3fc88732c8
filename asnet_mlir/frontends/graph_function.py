# SPDX-License-Identifier: Apache-2.0
"""What functions of JAX have in common that graphs of files are translated to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from asnet_mlir.errors import described
from asnet_mlir.frontends.known_arrays import KnownArrays, narrow

__all__ = ["GraphFunction"]


class GraphFunction(ABC):
    """A graph as a function of JAX, `function(inputs, weights)`.

    Attributes:
      name: of the file, for messages.
      inputs: names, element types (numpy) and dimensions, None for those that are open.
      outputs: names.
      weights: names and values of the arrays that it takes besides; `find_weights` fills them in.
    """

    inputs: Mapping[str, tuple[np.dtype[Any], Sequence[int | None]]]
    outputs: Sequence[str]

    def __init__(self, name: str) -> None:
        self.name = name
        self._arrays = KnownArrays()
        self.weights = self._arrays.weights

    def find_weights(self, shapes: Mapping[str, Sequence[int]]) -> None:
        """Run it without numbers, for inputs of such shapes, and keep which weights it takes."""
        self._arrays.give(None)
        specifications = {
            name: jax.ShapeDtypeStruct(tuple(shapes[name]), narrow(dtype))
            for name, (dtype, _) in self.inputs.items()
        }
        with described(f"{self.name}: JAX can't trace it"):
            jax.eval_shape(self._run, specifications)

    def __call__(self, inputs: Mapping[str, Any], weights: Sequence[Any]) -> list[Any]:
        """Return the outputs, in the graph's own order of dimensions."""
        self._arrays.give(weights)
        return self._run(inputs)

    @abstractmethod
    def _run(self, inputs: Mapping[str, Any]) -> list[Any]:
        """Return the outputs, by arrays that have been given."""
