# SPDX-License-Identifier: Apache-2.0
"""ONNX ops that move, choose, join and reduce numbers, and products of matrices."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.frontends.onnx_graph import Node, Result, Translation
from asnet_mlir.frontends.onnx_tensors import Tensor

__all__ = ["SHAPES"]


def _axes(node: Node, index: int, rank: int) -> list[int] | None:
    """Return the axes that an input or, in older operator sets, an attribute names."""
    given: Sequence[int] | None = None
    if node.has(index):
        given = node.host(index).reshape(-1).tolist()
    elif "axes" in node.attributes:
        given = node.integers("axes")
    return None if given is None else [_axis(axis, rank) for axis in given]


def _axis(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise InputError(f"axis {axis} of {rank} dimensions")
    return axis % rank


def _whole_shape(wanted: Sequence[int], given: Sequence[int], keep_zero: bool) -> list[int]:
    """Return what -1 and 0 stand for in a reshape."""
    shape = [
        given[i] if size == 0 and not keep_zero and i < len(given) else int(size)
        for i, size in enumerate(wanted)
    ]
    count = math.prod(given)
    if shape.count(-1) == 1:
        rest = math.prod(size for size in shape if size != -1)
        shape[shape.index(-1)] = count // rest if rest else 0
    if math.prod(shape) != count or any(size < 0 for size in shape):
        raise InputError(f"can't make {list(wanted)} of {list(given)}")
    return shape


def _reshape(node: Node) -> Result:
    x = node.tensor(0)
    wanted = node.host(1).reshape(-1).tolist()
    return x.reshaped(_whole_shape(wanted, x.shape, bool(node.integer("allowzero"))))


def _flatten(node: Node) -> Result:
    x = node.tensor(0)
    axis = node.integer("axis", 1)
    axis += len(x.order) if axis < 0 else 0
    return x.reshaped([math.prod(x.shape[:axis]), math.prod(x.shape[axis:])])


def _squeeze(node: Node) -> Result:
    x = node.tensor(0)
    axes = _axes(node, 1, len(x.order))
    if axes is None:
        axes = [i for i, size in enumerate(x.shape) if size == 1]
    if any(x.shape[axis] != 1 for axis in axes):
        raise InputError(f"can't take axes {axes} out of {list(x.shape)}")
    kept = [axis for axis in x.order if axis not in axes]
    array = x.array.reshape([x.shape[axis] for axis in kept])
    return Tensor(array, tuple(sorted(kept).index(axis) for axis in kept))


def _unsqueeze(node: Node) -> Result:
    x = node.tensor(0)
    count = node.host(1).size if node.has(1) else len(node.integers("axes"))
    axes = _axes(node, 1, len(x.order) + count) or []
    places = [i for i in range(len(x.order) + len(set(axes))) if i not in axes]
    order = (*sorted(axes), *(places[axis] for axis in x.order))
    return Tensor(x.array.reshape((1,) * len(set(axes)) + x.array.shape), order)


def _transpose(node: Node) -> Result:
    x = node.tensor(0)
    permutation = node.integers("perm", list(range(len(x.order)))[::-1])
    if sorted(permutation) != list(range(len(x.order))):
        raise InputError(f"perm is {permutation} for {len(x.order)} dimensions")
    return x.transposed(permutation)


def _concat(node: Node) -> Result:
    arrays, order = node.aligned()
    axis = _axis(node.integer("axis", 0), len(order))
    full = [a for i, a in enumerate(arrays) if node.input(i).shape != (0,)]
    return Tensor(jnp.concatenate(full, order.index(axis)), order)


def _split(node: Node) -> Result:
    x = node.tensor(0)
    axis = _axis(node.integer("axis", 0), len(x.order))
    size, count = x.shape[axis], len(node.outputs)
    if node.has(1):
        sizes = node.host(1).tolist()
    elif "split" in node.attributes:
        sizes = node.integers("split")
    else:
        each = -(-size // node.integer("num_outputs", count))
        sizes = [each] * (size // each) + ([size % each] if size % each else [])
    if sum(sizes) != size or len(sizes) != count:
        raise InputError(f"can't split {size} into {sizes}")
    places = np.cumsum([0, *sizes]).tolist()
    held = x.order.index(axis)
    return [
        Tensor(jax.lax.slice_in_dim(x.array, start, end, axis=held), x.order)
        for start, end in pairwise(places)
    ]


def _slice(node: Node) -> Result:
    x = node.tensor(0)
    starts, ends = (node.host(index).reshape(-1).tolist() for index in (1, 2))
    axes = _axes(node, 3, len(x.order)) or list(range(len(starts)))
    steps = node.host(4).reshape(-1).tolist() if node.has(4) else [1] * len(starts)
    chosen = [slice(None)] * len(x.order)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if step < 0 and end < -x.shape[axis]:
            end = None
        chosen[x.order.index(axis)] = slice(start, end, step)
    return Tensor(x.array[tuple(chosen)], x.order)


def _gather(node: Node) -> Result:
    x, known = node.tensor(0), node.input(1)
    axis = _axis(node.integer("axis", 0), len(x.order))
    size = x.shape[axis]
    if isinstance(known, Tensor):
        chosen = known.logical
        return jnp.take(x.logical, jnp.where(chosen < 0, chosen + size, chosen), axis, mode="clip")
    chosen = np.asarray(known.value)
    if chosen.size and not (-size <= chosen.min() and chosen.max() < size):
        raise InputError(f"index {chosen.min()} or {chosen.max()} of {size}")
    chosen = chosen % size if size else chosen
    if chosen.ndim == 0:
        array = jax.lax.index_in_dim(x.array, int(chosen), x.order.index(axis), keepdims=False)
        return Tensor(array, tuple(i - (i > axis) for i in x.order if i != axis))
    steps = np.diff(chosen) if chosen.ndim == 1 else np.zeros(0)
    if chosen.ndim == 1 and chosen.size and (chosen.size == 1 or (steps == 1).all()):
        start = int(chosen[0])
        held = x.order.index(axis)
        return Tensor(jax.lax.slice_in_dim(x.array, start, start + chosen.size, axis=held), x.order)
    return jnp.take(x.logical, chosen, axis)


def _gather_elements(node: Node) -> Result:
    x, chosen = node.logical(0), node.logical(1)
    axis = _axis(node.integer("axis", 0), x.ndim)
    cut = tuple(slice(None) if i == axis else slice(n) for i, n in enumerate(chosen.shape))
    size = x.shape[axis]
    return jnp.take_along_axis(x[cut], jnp.where(chosen < 0, chosen + size, chosen), axis)


def _expand(node: Node) -> Result:
    x = node.tensor(0)
    wanted = tuple(node.host(1).reshape(-1).tolist())
    shape = jnp.broadcast_shapes(x.shape, wanted)
    if len(shape) == len(x.order):
        return Tensor(jnp.broadcast_to(x.array, [shape[i] for i in x.order]), x.order)
    return jnp.broadcast_to(x.logical, shape)


def _tile(node: Node) -> Result:
    x = node.tensor(0)
    counts = node.host(1).reshape(-1).tolist()
    return Tensor(jnp.tile(x.array, [counts[i] for i in x.order]), x.order)


def _shape(node: Node) -> Result:
    shape = node.input(0).shape
    start = node.integer("start", 0)
    end = node.attributes.get("end")
    return np.array(shape[start:end], np.int64)


def _pad(node: Node) -> Result:
    x = node.tensor(0)
    rank = len(x.order)
    amounts = node.host(1).reshape(-1).tolist()
    axes = _axes(node, 3, rank) or list(range(rank))
    if len(amounts) != 2 * len(axes):
        raise InputError(f"{len(amounts)} pads for {len(axes)} dimensions")
    pads = [(0, 0)] * rank
    for index, axis in enumerate(axes):
        pads[x.order.index(axis)] = (amounts[index], amounts[index + len(axes)])
    mode = node.text("mode", "constant")
    cut = tuple(
        slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(pads, x.array.shape, strict=True)
    )
    array, pads = x.array[cut], [(max(a, 0), max(b, 0)) for a, b in pads]
    if mode == "constant":
        number = node.host(2).reshape(()).item() if node.has(2) else 0
        return Tensor(jnp.pad(array, pads, constant_values=number), x.order)
    if mode not in ("reflect", "edge", "wrap"):
        raise UnsupportedError(f"mode {mode} is not supported")
    return Tensor(jnp.pad(array, pads, mode=mode), x.order)


def _reduce(node: Node, function: Callable[..., Any]) -> Result:
    x = node.tensor(0)
    rank = len(x.order)
    axes = _axes(node, 1, rank)
    if not axes:
        if node.integer("noop_with_empty_axes"):
            return (
                x
                if function not in _OF_ELEMENTS
                else Tensor(_OF_ELEMENTS[function](x.array), x.order)
            )
        axes = list(range(rank))
    held = tuple(x.order.index(axis) for axis in axes)
    keep = bool(node.integer("keepdims", 1))
    array = function(x.array, axis=held, keepdims=keep)
    if keep:
        return Tensor(array, x.order)
    kept = [axis for axis in x.order if axis not in axes]
    return Tensor(array, tuple(sorted(kept).index(axis) for axis in kept))


def _sum_squares(x: Any, **options: Any) -> Any:
    return jnp.sum(x * x, **options)


def _norm1(x: Any, **options: Any) -> Any:
    return jnp.sum(jnp.abs(x), **options)


def _norm2(x: Any, **options: Any) -> Any:
    return jnp.sqrt(_sum_squares(x, **options))


def _log_sum(x: Any, **options: Any) -> Any:
    return jnp.log(jnp.sum(x, **options))


#: What a reduction over no axes leaves of each element, where that is not the element itself.
_OF_ELEMENTS: Mapping[Callable[..., Any], Callable[[Any], Any]] = {
    _sum_squares: lambda x: x * x,
    _norm1: jnp.abs,
    _norm2: jnp.abs,
    _log_sum: jnp.log,
}


def _arg(node: Node, function: Callable[..., Any]) -> Result:
    x = node.tensor(0)
    axis = _axis(node.integer("axis", 0), len(x.order))
    array = x.logical
    if node.integer("select_last_index"):
        found = array.shape[axis] - 1 - function(jnp.flip(array, axis), axis=axis)
    else:
        found = function(array, axis=axis)
    return jnp.expand_dims(found, axis) if node.integer("keepdims", 1) else found


def _softmax(node: Node, function: Callable[..., Any]) -> Result:
    x = node.tensor(0)
    if node.version >= 13:
        axis = _axis(node.integer("axis", -1), len(x.order))
        return Tensor(function(x.array, axis=x.order.index(axis)), x.order)
    axis = node.integer("axis", 1) % max(len(x.order), 1)  # of all dimensions from there on
    flat = x.logical.reshape(math.prod(x.shape[:axis]), -1)
    return function(flat, axis=1).reshape(x.shape)


def _matmul(node: Node) -> Result:
    return jnp.matmul(node.logical(0), node.logical(1))


def _matmul_integer(node: Node) -> Result:
    operands = []
    for index in (0, 1):
        array = node.logical(index).astype(jnp.int32)
        if node.has(index + 2):
            zero = node.logical(index + 2).astype(jnp.int32)
            if zero.ndim == 1 and zero.size > 1 and index == 0:
                zero = zero[:, None]
            array = array - zero
        operands.append(array)
    return jnp.matmul(*operands)


def _gemm(node: Node) -> Result:
    turns = [bool(node.integer(name)) for name in ("transA", "transB")]
    a, b = (
        node.turned(index, "transposed", lambda x: x.T) if turned else node.logical(index)
        for index, turned in enumerate(turns)
    )
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    y = a @ b
    if alpha != 1:
        y = jnp.asarray(alpha, y.dtype) * y
    if node.has(2):
        c = node.logical(2)
        y = y + (c if beta == 1 else jnp.asarray(beta, c.dtype) * c)
    return y


def _einsum(node: Node) -> Result:
    return jnp.einsum(
        node.text("equation", ""), *(node.logical(i) for i in range(len(node.inputs)))
    )


def _cumulative(node: Node) -> Result:
    x = node.logical(0)
    axis = _axis(int(node.host(1).reshape(())), x.ndim)
    x = jnp.flip(x, axis) if node.integer("reverse") else x
    y = jnp.cumsum(x, axis, dtype=x.dtype)
    if node.integer("exclusive"):
        pads = [(1, 0) if i == axis else (0, 0) for i in range(x.ndim)]
        y = jax.lax.slice_in_dim(jnp.pad(y, pads), 0, x.shape[axis], axis=axis)
    return jnp.flip(y, axis) if node.integer("reverse") else y


def _depth_to_space(node: Node) -> Result:
    x, k = node.logical(0), node.integer("blocksize")
    n, c, h, w = x.shape
    if node.text("mode", "DCR") == "DCR":
        x = x.reshape(n, k, k, c // k**2, h, w).transpose(0, 3, 4, 1, 5, 2)
    else:
        x = x.reshape(n, c // k**2, k, k, h, w).transpose(0, 1, 4, 2, 5, 3)
    return x.reshape(n, c // k**2, h * k, w * k)


def _space_to_depth(node: Node) -> Result:
    x, k = node.logical(0), node.integer("blocksize")
    n, c, h, w = x.shape
    turn = (0, 3, 5, 1, 2, 4) if node.text("mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    x = x.reshape(n, c, h // k, k, w // k, k).transpose(turn)
    return x.reshape(n, c * k**2, h // k, w // k)


def _trilu(node: Node) -> Result:
    x = node.logical(0)
    k = int(node.host(1).reshape(())) if node.has(1) else 0
    rows, columns = np.indices(x.shape[-2:])
    kept = columns - rows >= k if node.integer("upper", 1) else columns - rows <= k
    return jnp.where(jnp.asarray(kept), x, jnp.zeros((), x.dtype))


def _one_hot(node: Node) -> Result:
    chosen, depth, values = node.logical(0), int(node.host(1).reshape(())), node.host(2)
    axis = _axis(node.integer("axis", -1), chosen.ndim + 1)
    chosen = chosen.astype(jnp.int32)
    chosen = jnp.where(chosen < 0, chosen + depth, chosen)
    lanes = np.arange(depth, dtype=np.int32).reshape(
        [-1 if i == axis else 1 for i in range(chosen.ndim + 1)]
    )
    off, on = (jnp.asarray(value) for value in values)
    return jnp.where(jnp.expand_dims(chosen, axis) == lanes, on, off)


def _top_k(node: Node) -> Result:
    x, k = node.logical(0), int(node.host(1).reshape(()))
    axis = _axis(node.integer("axis", -1), x.ndim)
    if not node.integer("largest", 1):
        values, places = jax.lax.top_k(-jnp.moveaxis(x, axis, -1), k)
        values = -values
    else:
        values, places = jax.lax.top_k(jnp.moveaxis(x, axis, -1), k)
    return jnp.moveaxis(values, -1, axis), jnp.moveaxis(places, -1, axis)


def _if(node: Node) -> Result:
    known = node.input(0)
    if isinstance(known, Tensor):
        raise UnsupportedError("which of its graphs runs depends on the data")
    branch = "then_branch" if bool(known.value.reshape(())) else "else_branch"
    return node.run(node.attributes[branch], [])


SHAPES: Mapping[str, Translation] = MappingProxyType(
    {
        "ArgMax": partial(_arg, function=jnp.argmax),
        "ArgMin": partial(_arg, function=jnp.argmin),
        "Concat": _concat,
        "CumSum": _cumulative,
        "DepthToSpace": _depth_to_space,
        "Einsum": _einsum,
        "Expand": _expand,
        "Flatten": _flatten,
        "Gather": _gather,
        "GatherElements": _gather_elements,
        "Gemm": _gemm,
        "If": _if,
        "LogSoftmax": partial(_softmax, function=jax.nn.log_softmax),
        "MatMul": _matmul,
        "MatMulInteger": _matmul_integer,
        "OneHot": _one_hot,
        "Pad": _pad,
        "ReduceL1": partial(_reduce, function=_norm1),
        "ReduceL2": partial(_reduce, function=_norm2),
        "ReduceLogSum": partial(_reduce, function=_log_sum),
        "ReduceLogSumExp": partial(_reduce, function=jax.nn.logsumexp),
        "ReduceMax": partial(_reduce, function=jnp.max),
        "ReduceMean": partial(_reduce, function=jnp.mean),
        "ReduceMin": partial(_reduce, function=jnp.min),
        "ReduceProd": partial(_reduce, function=jnp.prod),
        "ReduceSum": partial(_reduce, function=jnp.sum),
        "ReduceSumSquare": partial(_reduce, function=_sum_squares),
        "Reshape": _reshape,
        "Shape": _shape,
        "Size": lambda node: np.array(math.prod(node.input(0).shape), np.int64),
        "Slice": _slice,
        "Softmax": partial(_softmax, function=jax.nn.softmax),
        "SpaceToDepth": _space_to_depth,
        "Split": _split,
        "Squeeze": _squeeze,
        "Tile": _tile,
        "TopK": _top_k,
        "Transpose": _transpose,
        "Trilu": _trilu,
        "Unsqueeze": _unsqueeze,
    }
)
