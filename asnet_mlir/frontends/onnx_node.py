# SPDX-License-Identifier: Apache-2.0
"""A node of an ONNX graph: its attributes, and the layer that it belongs to."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from asnet_mlir.errors import InputError
from asnet_mlir.frontends.onnx_file import DAMAGED

__all__ = ["OnnxNode", "attributes_of", "layer_name"]

_TORCH_SCOPES = "pkg.torch.onnx.name_scopes"


@dataclass
class OnnxNode:
    """What every reader of nodes needs.

    Attributes:
      layer: the name that bindings know it by.
      inputs: what its inputs are; None for those that are left out.
    """

    op: str
    layer: str
    inputs: list[Any]
    attributes: dict[str, Any] = field(default_factory=dict)

    def input(self, index: int) -> Any:
        """Return an input that must be there."""
        found = self.inputs[index] if index < len(self.inputs) else None
        if found is None:
            raise InputError(f"lacks its input {index}")
        return found

    def has(self, index: int) -> bool:
        """Whether there is an input."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def integer(self, name: str, default: int = 0) -> int:
        """Return an attribute that is an integer."""
        return self._attribute(name, default, int)

    def integers(self, name: str, default: Sequence[int] = ()) -> list[int]:
        """Return an attribute that is a list of integers."""
        found = self._attribute(name, list(default), list)
        if not all(isinstance(value, int) for value in found):
            raise InputError(f"its attribute {name} is no list of integers")
        return found

    def text(self, name: str, default: str) -> str:
        """Return an attribute that is text."""
        return self._attribute(name, default.encode(), bytes).decode("utf-8", "replace")

    def number(self, name: str, default: float) -> float:
        """Return an attribute that is a number."""
        return self._attribute(name, default, float)

    def _attribute[T](self, name: str, default: T, kind: type[T]) -> T:
        found = self.attributes.get(name, default)
        if not isinstance(found, kind):
            raise InputError(f"its attribute {name} is {type(found).__name__}")
        return found


def attributes_of(proto: Any) -> dict[str, Any]:
    """Return a node's attributes by name.

    Raises:
      InputError: they are damaged.
    """
    import onnx

    for attribute in proto.attribute:
        if attribute.ref_attr_name:
            raise InputError(f"its attribute {attribute.name} is left to a function's caller")
    try:
        return {a.name: onnx.helper.get_attribute_value(a) for a in proto.attribute}
    except DAMAGED as error:
        raise InputError(f"damaged attributes: {str(error)[:100]}") from None


def layer_name(proto: Any) -> str:
    """Return the name of a node's layer: of the module of PyTorch, or its own, or its output's."""
    module = _torch_module(proto)
    if module:
        return module
    text = proto.name or (proto.output[0] if proto.output else proto.op_type)
    parts = ["".join(c if c.isalnum() or c in "_-." else "_" for c in p) for p in text.split("/")]
    return "/".join(part for part in parts if part) or proto.op_type.lower()


def _torch_module(proto: Any) -> str:
    """Return the module path that PyTorch's exporters leave: `layer1.0.conv1`, or "".

    The one by `torch.export` writes a list of scopes, from the outside to the op; the older one
    names a node `/layer1/layer1.0/conv1/Conv`.
    """
    scopes = {entry.key: entry.value for entry in proto.metadata_props}.get(_TORCH_SCOPES)
    if scopes is not None:
        try:
            paths = ast.literal_eval(scopes)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return ""
        return next((str(path) for path in reversed(paths[:-1]) if path), "") if paths else ""
    parts = proto.name.split("/")
    if parts[0] or len(parts) < 3 or not parts[-1].startswith(proto.op_type):
        return ""
    path: list[str] = []
    for part in parts[1:-1]:
        if path and part.startswith(f"{path[-1]}."):
            path.pop()
        path.append(part)
    return ".".join(path)
