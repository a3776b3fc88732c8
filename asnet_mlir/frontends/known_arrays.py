# SPDX-License-Identifier: Apache-2.0
"""Arrays that a graph knows before it runs: what ops take of them becomes weights.

An op may take an array turned, a kernel with its channels last, say.  Then what it becomes is the
weight, so that nothing of the turning is left in the network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from asnet_mlir.errors import UnsupportedError
from asnet_mlir.frontends.onnx_tensors import Constant

__all__ = ["KnownArrays", "narrow"]


class KnownArrays:
    """The arrays of one graph, which is computed twice: to find its weights, and with them.

    Attributes:
      weights: what ops took, by name.
    """

    def __init__(self) -> None:
        self.weights: dict[str, np.ndarray] = {}
        self._keys: dict[tuple[str, str], str] = {}
        self._given: dict[str, Any] | None = None

    def give(self, weights: Sequence[Any] | None) -> None:
        """From now on ops take these, in the order of `weights`; or None: numpy's own arrays."""
        if weights is None:
            self._given = None
        else:
            self._given = dict(zip(self.weights, weights, strict=True))

    def array(
        self, constant: Constant, how: str = "", turn: Callable[[Any], Any] = lambda array: array
    ) -> Any:
        """Return what a constant is, turned, for an op: a weight, or a few numbers.

        Args:
          how: names what `turn` does; it only moves numbers.

        Raises:
          UnsupportedError: it holds something else than numbers.
        """
        value = turn(constant.value)
        if value.dtype.kind == "O" or value.dtype.kind in "USc":
            raise UnsupportedError(f"'{constant.name}' holds {value.dtype}")
        needed = narrow(value.dtype)
        if needed != value.dtype:
            if needed.kind in "iu":
                info = np.iinfo(needed)
                value = np.clip(value, info.min, info.max)
            value = value.astype(needed)
        is_float = jnp.issubdtype(value.dtype, jnp.floating)
        if not is_float or value.size < 2 or bool((value == value.flat[0]).all()):
            return jnp.asarray(value)
        key = (constant.name, how)
        if key not in self._keys:
            label = constant.name
            if label in self.weights:
                label = f"{label}_{sum(name == constant.name for name, _ in self._keys)}"
            self._keys[key] = label
            self.weights[label] = value
        return jnp.asarray(value) if self._given is None else self._given[self._keys[key]]


def narrow(dtype: Any) -> np.dtype[Any]:
    """Return the type of numbers that a 64-bit type is computed in."""
    return np.dtype({"int64": "int32", "uint64": "uint32", "float64": "float32"}.get(
        np.dtype(dtype).name, dtype
    ))  # fmt: skip
