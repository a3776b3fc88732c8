# SPDX-License-Identifier: Apache-2.0
"""Learnt scales: the multipliers that bring sums back to codes, trained like weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from asnet_mlir.training.jax_products import pin
from asnet_mlir.training.operations import Number
from asnet_mlir.training.reader import Straight

__all__ = ["Scale", "find_scales"]

_GREATEST = 2**31 - 1


@dataclass(frozen=True)
class Scale:
    """The multipliers of a layer, int32.

    A step's size of weights or of activations is a factor of them (learnt step sizes, LSQ, arXiv
    1902.08153), so that one number a channel stands for both.

    Attributes:
      name: of the network's weight.
      weight: its number among the network's weights.
      base: as the network has them.
    """

    name: str
    weight: int
    base: np.ndarray

    def parameters(self) -> dict[str, Any]:
        """Return the binary logarithms of what multipliers are multiplied by."""
        return {"scale": np.zeros(self.base.shape, np.float32)}

    def number(self, parameter: Any, differentiable: bool) -> Number:
        """Return the multipliers; they stay positive int32."""
        wide = self.base.astype(np.float64) * jnp.exp2(parameter.astype(jnp.float64))
        exact = jnp.clip(jnp.round(wide), 1, _GREATEST).astype(jnp.int32)
        if not differentiable:
            return Number(exact)
        real = self.base.astype(np.float32) * jnp.exp2(parameter)
        return Number(exact, pin(jnp.minimum(real, jnp.float32(_GREATEST)), exact))


def find_scales(code: Straight) -> list[Scale]:
    """Return the int32 weights of one number a channel that products of 64 bits take, positive."""
    found = {}
    for op in code.operations:
        if op.name != "multiply" or code.types[op.results[0]].element != "i64":
            continue
        number = code.source(op.operands[1], ("convert", "broadcast_in_dim", "reshape"))
        if not 1 <= number <= len(code.weights):
            continue
        weight = code.weights[number - 1]
        if weight.value.dtype == np.int32 and weight.value.ndim <= 1 and (weight.value > 0).all():
            found[weight.name] = Scale(weight.name, number - 1, weight.value)
    return list(found.values())
