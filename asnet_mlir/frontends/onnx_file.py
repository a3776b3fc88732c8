# SPDX-License-Identifier: Apache-2.0
"""ONNX files: read, checked, their external data found; by the package `onnx` (an extra).

No code of a file is run, and of other files only those are read that lie in its own folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from asnet_mlir.errors import InputError, ToolError, UnsupportedError

__all__ = ["external_files", "parse_onnx", "read_onnx", "sorted_nodes", "tensor_array"]

#: What the package raises for values that are none.
DAMAGED = (ValueError, TypeError, KeyError, AttributeError, OverflowError, NotImplementedError)
_SHOWN = 4


def parse_onnx(content: bytes) -> Any:
    """Return the `ModelProto` of a file's content.

    Raises:
      InputError: it is none.
      ToolError: `onnx` is not installed.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError:
        raise ToolError(
            "ONNX files need the package onnx: pip install 'asnet-mlir[onnx]'"
        ) from None
    try:
        model = onnx.ModelProto.FromString(content)
    except DecodeError as error:
        raise InputError(f"not an ONNX file: {str(error)[:100]}") from None
    if not model.graph.node or not model.opset_import:
        raise InputError("not an ONNX file: it has no graph")
    _check_names(model.graph)
    return model


def read_onnx(path: Path) -> Any:
    """Return the `ModelProto` of a file, what lies in other files put into it.

    Raises:
      InputError, ToolError: see `parse_onnx`; a file that it refers to is missing, too short, or
        outside of its folder.
    """
    model = parse_onnx(path.read_bytes())
    for tensor in _external_tensors(model):
        _fill(path, tensor)
    return model


def external_files(path: Path) -> list[Path]:
    """Return the files, beside an ONNX file, that hold weights of it.

    Raises:
      InputError, ToolError: see `read_onnx`.
    """
    found = {_place(path, tensor) for tensor in _external_tensors(parse_onnx(path.read_bytes()))}
    return sorted(found)


def _check_names(graph: Any) -> None:
    """Refuse names that are no text: of a damaged file protobuf gives them as bytes."""
    names = [value.name for value in (*graph.initializer, *graph.input, *graph.output)]
    for node in graph.node:
        names += [node.op_type, node.name, node.domain, *node.input, *node.output]
        names += [attribute.name for attribute in node.attribute]
    if not all(isinstance(name, str) for name in names):
        raise InputError("a damaged ONNX file: names that are no UTF-8")


def _external_tensors(model: Any) -> Iterator[Any]:
    """Yield the tensors of a model, and of the graphs in its nodes, that lie in other files."""
    import onnx

    graphs, nodes = [model.graph], [node for f in model.functions for node in f.node]
    while graphs or nodes:
        tensors = []
        if graphs:
            graph = graphs.pop()
            tensors += [*graph.initializer]
            for sparse in graph.sparse_initializer:
                tensors += [sparse.values, sparse.indices]
            nodes += graph.node
        for node in nodes:
            for attribute in node.attribute:
                tensors += [*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors]
                graphs += [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]
        nodes = []
        for tensor in tensors:
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                yield tensor


def _entries(path: Path, tensor: Any) -> dict[str, str]:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    if not entries.get("location"):
        raise InputError(f"{path}: '{tensor.name}' lies in another file, which it does not name")
    return entries


def _place(path: Path, tensor: Any) -> Path:
    location = _entries(path, tensor)["location"]
    relative = PurePosixPath(location)
    outside = f"{path}: '{tensor.name}' lies in '{location[:200]}', outside of the file's folder"
    if relative.is_absolute() or ".." in relative.parts or "\\" in location or "\0" in location:
        raise InputError(f"{outside}, which is not read")
    folder = path.parent.resolve()
    place = path.parent / relative
    if not place.resolve().is_relative_to(folder):
        raise InputError(f"{outside}, which is not read")
    if not place.is_file():
        raise InputError(
            f"{path}: '{tensor.name}' lies in '{location[:200]}', which is missing; put it beside "
            "the .onnx file, under that name"
        )
    return place


def _fill(path: Path, tensor: Any) -> None:
    place, entries = _place(path, tensor), _entries(path, tensor)
    try:
        offset, length = (int(entries.get(key) or 0) for key in ("offset", "length"))
    except ValueError:
        raise InputError(f"{path}: '{tensor.name}' says no place in {place.name}") from None
    size = place.stat().st_size
    if offset < 0 or length < 0 or offset + length > size:
        raise InputError(
            f"{path}: '{tensor.name}' is to lie at {offset}, {length} bytes long, in {place.name}, "
            f"which has {size}; the file is cut off, or another one's"
        )
    with place.open("rb") as file:
        file.seek(offset)
        tensor.raw_data = file.read(length) if "length" in entries else file.read()
    del tensor.external_data[:]
    tensor.ClearField("data_location")


def tensor_array(name: str, tensor: Any) -> Any:
    """Return a tensor of a model as a numpy array.

    Raises:
      InputError: it is damaged.
      UnsupportedError: it lies in another file.
    """
    import onnx

    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise UnsupportedError(f"{name}: '{tensor.name}' lies in another file, which is not read")
    try:
        return onnx.numpy_helper.to_array(tensor)
    except DAMAGED as error:
        raise InputError(f"{name}: '{tensor.name}' is damaged: {str(error)[:100]}") from None


def sorted_nodes(name: str, graph: Any, known: set[str]) -> list[Any]:
    """Return a graph's nodes, each after those that give what it takes.

    Args:
      name: of the network, for messages.
      known: what is given from outside.

    Raises:
      InputError: an input that nothing gives, a value that two nodes give, or a cycle.
    """
    makers: dict[str, int] = {}
    for index, node in enumerate(graph.node):
        for output in filter(None, node.output):
            if output in makers or output in known:
                raise InputError(f"{name}: '{output}' is given twice")
            makers[output] = index
    waiting = []
    for node in graph.node:
        for value in filter(None, node.input):
            if value not in makers and value not in known:
                raise InputError(
                    f"{name}: op {node.op_type}, which gives '{', '.join(node.output)}': no node "
                    f"gives its input '{value}'"
                )
        waiting.append({makers[v] for v in _taken(node) if v in makers})
    users: list[list[int]] = [[] for _ in waiting]
    for index, before in enumerate(waiting):
        for maker in before:
            users[maker].append(index)
    ready = [index for index, before in enumerate(waiting) if not before]
    result: list[Any] = []
    while ready:
        index = ready.pop(0)
        result.append(graph.node[index])
        for user in users[index]:
            waiting[user].discard(index)
            if not waiting[user]:
                ready.append(user)
    if len(result) < len(waiting):
        left = [graph.node[i].name or graph.node[i].op_type for i, w in enumerate(waiting) if w]
        shown = ", ".join(f"'{node}'" for node in left[:_SHOWN])
        raise InputError(f"{name}: nodes that wait for each other, a cycle, among {shown}")
    return result


def _taken(node: Any) -> Iterator[str]:
    """Yield the values that a node takes, those of the graphs in it included."""
    yield from filter(None, node.input)
    for attribute in node.attribute:
        for graph in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
            own = {value.name for value in (*graph.input, *graph.initializer)}
            own |= {output for inner in graph.node for output in inner.output}
            for inner in graph.node:
                yield from (value for value in _taken(inner) if value not in own)
