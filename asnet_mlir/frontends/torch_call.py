# SPDX-License-Identifier: Apache-2.0
"""A call of an ATen op, as the functions that translate ops see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.frontends.known_arrays import KnownArrays
from asnet_mlir.frontends.onnx_float import TRANSLATIONS
from asnet_mlir.frontends.onnx_graph import Known, Node, Result
from asnet_mlir.frontends.onnx_tensors import Constant, Tensor

__all__ = ["Call", "TorchTranslation"]

_OPSET = 23


@dataclass(frozen=True)
class Call:
    """An op with its arguments.

    Attributes:
      op: `conv2d`.
      overload: `default`.
      layer: the name that bindings know it by.
      arguments: by their names in ATen; tensors, lists of them, numbers, lists, text or None.
      arrays: of the graph.
      run: computes a graph that is an argument.
    """

    op: str
    overload: str
    layer: str
    arguments: Mapping[str, Any]
    arrays: KnownArrays
    run: Callable[[Any, Sequence[Any]], list[Known]]

    def get(self, name: str, default: Any = None) -> Any:
        """Return an argument that may be left out."""
        found = self.arguments.get(name)
        return default if found is None else found

    def known(self, name: str) -> Known:
        """Return an argument that must be a tensor."""
        found = self.arguments.get(name)
        if not isinstance(found, Tensor | Constant):
            raise InputError(f"its argument {name} is no tensor")
        return found

    def tensor(self, name: str) -> Tensor:
        """Return an argument as a tensor."""
        found = self.known(name)
        return found if isinstance(found, Tensor) else Tensor.plain(self.arrays.array(found))

    def logical(self, name: str) -> Any:
        """Return an argument as an array in PyTorch's order."""
        return self.tensor(name).logical

    def axis(self, name: str, rank: int, default: int | None = None) -> int:
        """Return an argument that names a dimension."""
        return self.axis_of(self.get(name, default), rank)

    def axis_of(self, axis: Any, rank: int) -> int:
        """Return which dimension a number names."""
        if not isinstance(axis, int) or not -max(rank, 1) <= axis < max(rank, 1):
            raise InputError(f"dimension {axis} of {rank}")
        return axis % max(rank, 1)

    def numbers(self, name: str, count: int, default: Any) -> list[int]:
        """Return a number for each of `count` dimensions; one stands for all."""
        found = self.get(name, default)
        found = list(found) if isinstance(found, list | tuple) else [found]
        found = found * count if len(found) == 1 else found
        if len(found) != count or not all(isinstance(n, int) for n in found):
            raise InputError(f"{name} is {found} for {count} dimensions")
        return found

    def aligned(self, *names: str) -> tuple[list[Any], tuple[int, ...]]:
        """Return arguments that are broadcast together as arrays in one order, and that order.

        Numbers stay as they are, and a tensor of no dimensions does not widen others, as PyTorch
        has it.
        """
        given = [self.arguments.get(name) for name in names]
        tensors = [known for known in given if isinstance(known, Tensor | Constant)]
        arrays, order = self._node("", tensors).aligned()
        wide = [a.dtype for a, known in zip(arrays, tensors, strict=True) if known.shape]
        if wide:
            kind = jnp.result_type(*wide)
            arrays = [
                a if known.shape or _category(a.dtype) > _category(kind) else a.astype(kind)
                for a, known in zip(arrays, tensors, strict=True)
            ]
        made = iter(arrays)
        return [next(made) if isinstance(g, Tensor | Constant) else g for g in given], order

    def onnx(self, op: str, *inputs: Any, outputs: int = 1, **attributes: Any) -> Result:
        """Return what an op of ONNX gives, in the order of dimensions that is best for it."""
        own = {key: v.encode() if isinstance(v, str) else v for key, v in attributes.items()}
        return TRANSLATIONS[op](self._node(op, inputs, own, outputs))

    def onnx_node(self, *inputs: Any) -> Node:
        """Return a node that has these inputs."""
        return self._node("", inputs)

    def _node(
        self,
        op: str,
        inputs: Sequence[Any],
        attributes: Mapping[str, Any] | None = None,
        outputs: int = 1,
    ) -> Node:
        return Node(
            op, self.layer, list(inputs), dict(attributes or {}), arrays=self.arrays,
            version=_OPSET, outputs=[f"{self.op}_{i}" for i in range(outputs)], run=self.run,
        )  # fmt: skip

    def constant(self, value: Any, name: str = "") -> Constant:
        """Return what is known as the input of a node."""
        return Constant(np.asarray(value), name or f"{self.layer}.{self.op}")

    def refuse(self, unless: bool, what: str) -> None:
        """Raise unless something holds."""
        if not unless:
            raise UnsupportedError(what)


def _category(dtype: Any) -> int:
    if jnp.issubdtype(dtype, jnp.floating):
        return 2
    return 0 if dtype == jnp.bool_ else 1


TorchTranslation = Callable[[Call], Result]
