# SPDX-License-Identifier: Apache-2.0
"""ATen ops that move, choose, join and reduce numbers."""

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
from asnet_mlir.frontends.onnx_graph import Result
from asnet_mlir.frontends.onnx_tensors import Constant, Tensor
from asnet_mlir.frontends.torch_call import Call, TorchTranslation

__all__ = ["TORCH_SHAPES"]


def _whole(wanted: Sequence[int], given: Sequence[int]) -> list[int]:
    """Return what -1 stands for in a reshape."""
    shape, count = list(wanted), math.prod(given)
    if shape.count(-1) == 1:
        rest = -math.prod(shape)
        shape[shape.index(-1)] = count // rest if rest else 0
    if math.prod(shape) != count or any(size < 0 for size in shape):
        raise InputError(f"can't make {list(wanted)} of {list(given)}")
    return shape


def _reshape(call: Call) -> Result:
    x = call.tensor("self")
    if call.op == "view_as":
        return x.reshaped(call.known("other").shape)
    if call.get("size") is None and call.get("shape") is None:
        raise UnsupportedError("numbers that are looked at as others are not supported")
    return x.reshaped(_whole(call.get("size", call.get("shape")), x.shape))


def _flatten(call: Call) -> Result:
    x = call.tensor("self")
    rank = len(x.order)
    first, last = (call.axis(n, rank, d) for n, d in (("start_dim", 0), ("end_dim", -1)))
    shape = x.shape
    return x.reshaped([*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]])


def _unflatten(call: Call) -> Result:
    x = call.tensor("self")
    axis = call.axis("dim", len(x.order))
    sizes = _whole(call.get("sizes"), [x.shape[axis]])
    return x.reshaped([*x.shape[:axis], *sizes, *x.shape[axis + 1 :]])


def _axes(call: Call, rank: int, name: str = "dim") -> list[int]:
    """Return the dimensions that an argument names; all of them where it is left out."""
    found = call.get(name)
    if found is None or (isinstance(found, list) and not found):
        return list(range(rank))
    return [call.axis_of(axis, rank) for axis in (found if isinstance(found, list) else [found])]


def _squeeze(call: Call) -> Result:
    x = call.tensor("self")
    axes = [axis for axis in _axes(call, len(x.order)) if x.shape[axis] == 1]
    return call.onnx("Squeeze", x, call.constant(np.array(axes))) if axes else x


def _unsqueeze(call: Call) -> Result:
    x = call.tensor("self")
    axis = call.axis("dim", len(x.order) + 1)
    return call.onnx("Unsqueeze", x, call.constant(np.array([axis])))


def _permute(call: Call) -> Result:
    x = call.tensor("self")
    rank = len(x.order)
    turned = list(range(rank))
    if call.op == "permute":
        turned = [call.axis_of(axis, rank) for axis in call.get("dims")]
    elif call.op in ("t", "numpy_T"):
        turned.reverse()
    elif call.op == "movedim":
        pairs = [_axes(call, rank, name) for name in ("source", "destination")]
        rest = iter([axis for axis in turned if axis not in pairs[0]])
        places = dict(zip(pairs[1], pairs[0], strict=True))
        turned = [places[i] if i in places else next(rest) for i in range(rank)]
    else:
        names = ("dim0", "dim1") if "dim0" in call.arguments else ("axis0", "axis1")
        a, b = (call.axis(name, rank) for name in names)
        turned[a], turned[b] = turned[b], turned[a]
    if sorted(turned) != list(range(rank)):
        raise InputError(f"dimensions {turned} of {rank}")
    return x.transposed(turned)


def _expand(call: Call) -> Result:
    x = call.tensor("self")
    wanted = call.known("other").shape if call.op == "expand_as" else call.get("size")
    new = len(wanted) - len(x.order)
    shape = [x.shape[i - new] if size == -1 else size for i, size in enumerate(wanted)]
    return call.onnx("Expand", x, call.constant(np.array(shape)))


def _repeat(call: Call) -> Result:
    x, counts = call.tensor("self"), list(call.get("repeats", call.get("dims")))
    if call.op == "tile":
        counts = [1] * (len(x.order) - len(counts)) + counts
    x = x if len(counts) == len(x.order) else Tensor.plain(x.logical)
    shape = (1,) * (len(counts) - len(x.order)) + x.shape
    return call.onnx("Tile", x.reshaped(shape), call.constant(np.array(counts)))


def _joined(call: Call) -> Result:
    parts = list(call.get("tensors", ()))
    rank = max(len(part.shape) for part in parts)
    full = [part for part in parts if part.shape != (0,)]
    return call.onnx("Concat", *full, axis=call.axis("dim", rank, 0))


def _stack(call: Call) -> Result:
    parts = call.get("tensors")
    axis = call.axis("dim", len(parts[0].shape) + 1, 0)
    place = call.constant(np.array([axis]))
    wider = []
    for part in parts:
        tensor = part if isinstance(part, Tensor) else Tensor.plain(call.arrays.array(part))
        wider.append(call.onnx("Unsqueeze", tensor, place))
    return call.onnx("Concat", *wider, axis=axis)


def _split(call: Call) -> Result:
    x = call.tensor("self")
    axis = call.axis("dim", len(x.order), 0)
    n = x.shape[axis]
    sizes = call.get("split_sizes", call.get("split_size"))
    if call.op == "chunk":
        sizes = max(-(-n // call.get("chunks")), 1)
    if isinstance(sizes, int):
        sizes = [min(sizes, n - start) for start in range(0, max(n, 1), max(sizes, 1))]
    places = np.cumsum([0, *sizes]).tolist()
    if places[-1] != n:
        raise InputError(f"can't split {n} into {sizes}")
    return [_cut(x, axis, start, end) for start, end in pairwise(places)]


def _cut(x: Tensor, axis: int, start: int, end: int, step: int = 1) -> Tensor:
    held = x.order.index(axis)
    return Tensor(jax.lax.slice_in_dim(x.array, start, end, step, held), x.order)


def _select(call: Call) -> Result:
    x = call.tensor("self")
    axis = call.axis("dim", len(x.order))
    return _chosen(call, x, axis, call.get("index"))


def _chosen(call: Call, x: Tensor, axis: int, index: Any) -> Result:
    return call.onnx("Gather", x, call.constant(np.int64(index)), axis=axis)


def _unbind(call: Call) -> Result:
    x = call.tensor("self")
    axis = call.axis("dim", len(x.order), 0)
    return [_chosen(call, x, axis, index) for index in range(x.shape[axis])]


def _slice(call: Call) -> Result:
    x = call.tensor("self")
    axis = call.axis("dim", len(x.order), 0)
    places = slice(call.get("start"), call.get("end"), call.get("step", 1))
    start, end, step = places.indices(x.shape[axis])
    return _cut(x, axis, start, max(start, end), step)


def _narrow(call: Call) -> Result:
    x = call.tensor("self")
    axis, start = call.axis("dim", len(x.order)), call.get("start")
    start += x.shape[axis] if start < 0 else 0
    return _cut(x, axis, start, start + call.get("length"))


def _index_select(call: Call) -> Result:
    x = call.tensor("self")
    return call.onnx("Gather", x, call.known("index"), axis=call.axis("dim", len(x.order)))


def _embedding(call: Call) -> Result:
    return call.onnx("Gather", call.known("weight"), call.known("indices"))


def _index(call: Call) -> Result:
    x = call.logical("self")
    places: list[Any] = []
    for place in call.get("indices"):
        if place is None:
            places.append(slice(None))
        elif isinstance(place, Constant):
            places.append(place.value)
        else:
            found = place.logical
            if found.dtype == jnp.bool_:
                if isinstance(found, jax.core.Tracer):
                    raise UnsupportedError("which numbers it takes depends on the data")
                found = np.asarray(found)
            places.append(found)
    return x[tuple(places)]


def _put(call: Call) -> Result:
    """Return a tensor with some of a dimension replaced."""
    x, src = call.tensor("self"), call.tensor("src")
    axis = call.axis("dim", len(x.order), 0)
    if call.op == "select_scatter":
        start, step = call.get("index") % x.shape[axis], 1
        end = start + 1
        src = call.onnx("Unsqueeze", src, call.constant(np.array([axis])))
    else:
        places = slice(call.get("start"), call.get("end"), call.get("step", 1))
        start, end, step = places.indices(x.shape[axis])
    call.refuse(step == 1, "steps over numbers that stay")
    parts = [_cut(x, axis, 0, start), src, _cut(x, axis, max(start, end), x.shape[axis])]
    full = [part for part in parts if part.shape[axis]]
    return call.onnx("Concat", *full, axis=axis)


def _copy(call: Call) -> Result:
    """Return a tensor as another has it, in the first one's type and shape."""
    x, src = call.tensor("self"), call.logical("src")
    return jnp.broadcast_to(src, x.shape).astype(x.array.dtype)


def _gather(call: Call) -> Result:
    x = call.tensor("self")
    axis = call.axis("dim", len(x.order))
    return call.onnx("GatherElements", x, call.tensor("index"), axis=axis)


def _flip(call: Call) -> Result:
    x = call.tensor("self")
    axes = _axes(call, len(x.order), "dims")
    return Tensor(jnp.flip(x.array, [x.order.index(axis) for axis in axes]), x.order)


def _roll(call: Call) -> Result:
    x, shifts = call.tensor("self"), call.get("shifts")
    if not call.get("dims"):
        return jnp.roll(x.logical, shifts[0])
    axes = _axes(call, len(x.order), "dims")
    return Tensor(jnp.roll(x.array, shifts, [x.order.index(axis) for axis in axes]), x.order)


_PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def _pad(call: Call) -> Result:
    x = call.tensor("self")
    rank, amounts = len(x.order), call.get("pad", call.get("padding"))
    pads = [[0, 0] for _ in range(rank)]
    for index in range(len(amounts) // 2):
        pads[rank - 1 - index] = [amounts[2 * index], amounts[2 * index + 1]]
    named = {"reflection": "reflect", "replication": "replicate", "constant": "constant"}
    mode = named.get(call.op.partition("_")[0]) or call.get("mode", "constant")
    if mode not in _PAD_MODES:
        raise UnsupportedError(f"mode {mode} is not supported")
    order = call.constant(np.array([low for low, _ in pads] + [high for _, high in pads]))
    value = call.constant(np.asarray(call.get("value", 0)))
    return call.onnx("Pad", x, order, value, mode=_PAD_MODES[mode])


def _reduced(x: Tensor, axes: Sequence[int], keep: bool, function: Callable[..., Any]) -> Tensor:
    held = tuple(x.order.index(axis) for axis in axes)
    array = function(x.array, axis=held, keepdims=keep)
    if keep:
        return Tensor(array, x.order)
    kept = [axis for axis in x.order if axis not in axes]
    return Tensor(array, tuple(sorted(kept).index(axis) for axis in kept))


def _reduce(call: Call, function: Callable[..., Any]) -> Result:
    x = call.tensor("self")
    if call.get("dtype") is not None:
        x = Tensor(x.array.astype(call.get("dtype")), x.order)
    return _reduced(x, _axes(call, len(x.order)), bool(call.get("keepdim")), function)


def _extreme(call: Call, function: Callable[..., Any], place: Callable[..., Any]) -> Result:
    """Return the largest or smallest numbers, and where they are."""
    if call.overload == "other":
        (a, b), order = call.aligned("self", "other")
        return Tensor((jnp.maximum if call.op == "max" else jnp.minimum)(a, b), order)
    x = call.tensor("self")
    if call.overload == "default":
        return _reduced(x, range(len(x.order)), False, function)
    axis, keep = call.axis("dim", len(x.order)), bool(call.get("keepdim"))
    places = place(x.logical, axis=axis, keepdims=keep)
    return [_reduced(x, [axis], keep, function), places.astype(jnp.int32)]


def _arg(call: Call, function: Callable[..., Any]) -> Result:
    x = call.logical("self")
    if call.get("dim") is None:
        return function(x).astype(jnp.int32)
    axis = call.axis("dim", x.ndim)
    return function(x, axis=axis, keepdims=bool(call.get("keepdim"))).astype(jnp.int32)


def _spread(call: Call) -> Result:
    """Return variances, or standard deviations, and means where asked for."""
    x = call.tensor("self")
    axes, keep = _axes(call, len(x.order)), bool(call.get("keepdim"))
    correction = call.get("correction")
    if correction is None:
        correction = 1 if call.get("unbiased", True) else 0
    count = math.prod(x.shape[axis] for axis in axes)
    mean = _reduced(x, axes, True, jnp.mean)
    centred = Tensor(x.array - mean.array, x.order)
    total = _reduced(centred, axes, keep, lambda a, **options: jnp.sum(a * a, **options))
    variance = total.array / max(count - correction, 0)
    variance = jnp.sqrt(variance) if call.op.startswith("std") else variance
    result = Tensor(variance, total.order)
    if call.op.endswith("_mean"):
        return [result, _reduced(x, axes, keep, jnp.mean)]
    return result


def _norm(call: Call) -> Result:
    x, p = call.tensor("self"), call.get("ord", call.get("p", 2))

    def function(a: Any, **options: Any) -> Any:
        if p == math.inf:
            return jnp.max(jnp.abs(a), **options)
        if p == 1:
            return jnp.sum(jnp.abs(a), **options)
        if p == 2:
            return jnp.sqrt(jnp.sum(a * a, **options))
        raise UnsupportedError(f"the norm of order {p} is not supported")

    return _reduced(x, _axes(call, len(x.order)), bool(call.get("keepdim")), function)


def _log_sum_exp(call: Call) -> Result:
    x = call.tensor("self")
    axes, keep = _axes(call, len(x.order)), bool(call.get("keepdim"))
    return _reduced(x, axes, keep, jax.scipy.special.logsumexp)


def _softmax(call: Call, function: Callable[..., Any]) -> Result:
    x = call.tensor("self")
    axis = call.axis("dim", len(x.order))
    array = x.array if call.get("dtype") is None else x.array.astype(call.get("dtype"))
    return Tensor(function(array, axis=x.order.index(axis)), x.order)


def _cumulative(call: Call) -> Result:
    x = call.logical("self")
    if x.dtype == jnp.bool_:
        x = x.astype(jnp.int32)
    return jnp.cumsum(x, call.axis("dim", x.ndim), dtype=x.dtype)


def _top_k(call: Call) -> Result:
    x, k = call.logical("self"), call.get("k")
    axis = call.axis("dim", x.ndim, -1)
    ends = jnp.moveaxis(x, axis, -1)
    if call.get("largest", True):
        values, places = jax.lax.top_k(ends, k)
    else:
        values, places = jax.lax.top_k(-ends, k)
        values = -values
    return [jnp.moveaxis(values, -1, axis), jnp.moveaxis(places, -1, axis)]


def _triangle(call: Call, upper: bool) -> Result:
    x = call.logical("self")
    rows, columns = np.indices(x.shape[-2:])
    k = call.get("diagonal", 0)
    kept = columns - rows >= k if upper else columns - rows <= k
    return jnp.where(jnp.asarray(kept), x, jnp.zeros((), x.dtype))


def _pixel_shuffle(call: Call) -> Result:
    return call.onnx("DepthToSpace", call.tensor("self"), blocksize=call.get("upscale_factor"),
                     mode="CRD")  # fmt: skip


def _pixel_unshuffle(call: Call) -> Result:
    return call.onnx("SpaceToDepth", call.tensor("self"), blocksize=call.get("downscale_factor"),
                     mode="CRD")  # fmt: skip


def _channel_shuffle(call: Call) -> Result:
    x, groups = call.tensor("self"), call.get("groups")
    n, c, *sizes = x.shape
    parted = x.reshaped([n, groups, c // groups, *sizes])
    turned = parted.transposed([0, 2, 1, *range(3, len(sizes) + 3)])
    return turned.reshaped([n, c, *sizes])


def _one_hot(call: Call) -> Result:
    count = call.get("num_classes", -1)
    call.refuse(count > 0, "how many classes there are depends on the data")
    return jax.nn.one_hot(call.logical("self"), count, dtype=jnp.int32)


_REDUCTIONS: Mapping[str, Callable[..., Any]] = {
    "all": jnp.all,
    "amax": jnp.max,
    "amin": jnp.min,
    "any": jnp.any,
    "mean": jnp.mean,
    "prod": jnp.prod,
    "sum": jnp.sum,
}

TORCH_SHAPES: Mapping[str, TorchTranslation] = MappingProxyType(
    {
        **dict.fromkeys(("view", "reshape", "_unsafe_view", "view_as", "_reshape_alias"), _reshape),
        **dict.fromkeys(("permute", "transpose", "t", "numpy_T", "movedim", "swapaxes", "swapdims"),
                        _permute),
        **dict.fromkeys(("expand", "expand_as"), _expand),
        **dict.fromkeys(("slice_scatter", "select_scatter"), _put),
        **dict.fromkeys(("repeat", "tile"), _repeat),
        **dict.fromkeys(("cat", "concat", "concatenate"), _joined),
        **dict.fromkeys(("split", "split_with_sizes", "chunk"), _split),
        **dict.fromkeys(("pad", "constant_pad_nd", "reflection_pad1d", "reflection_pad2d",
                         "reflection_pad3d", "replication_pad1d", "replication_pad2d",
                         "replication_pad3d"), _pad),
        **dict.fromkeys(("var", "std", "var_mean", "std_mean"), _spread),
        **dict.fromkeys(("norm", "linalg_vector_norm"), _norm),
        **dict.fromkeys(("softmax", "_softmax", "_safe_softmax"),
                        partial(_softmax, function=jax.nn.softmax)),
        **dict.fromkeys(("log_softmax", "_log_softmax"),
                        partial(_softmax, function=jax.nn.log_softmax)),
        **{name: partial(_reduce, function=function) for name, function in _REDUCTIONS.items()},
        "argmax": partial(_arg, function=jnp.argmax),
        "argmin": partial(_arg, function=jnp.argmin),
        "channel_shuffle": _channel_shuffle,
        "native_channel_shuffle": _channel_shuffle,
        "copy": _copy,
        "cumsum": _cumulative,
        "embedding": _embedding,
        "flatten": _flatten,
        "flip": _flip,
        "gather": _gather,
        "index": _index,
        "index_select": _index_select,
        "logsumexp": _log_sum_exp,
        "max": partial(_extreme, function=jnp.max, place=jnp.argmax),
        "min": partial(_extreme, function=jnp.min, place=jnp.argmin),
        "narrow": _narrow,
        "one_hot": _one_hot,
        "pixel_shuffle": _pixel_shuffle,
        "pixel_unshuffle": _pixel_unshuffle,
        "roll": _roll,
        "select": _select,
        "slice": _slice,
        "squeeze": _squeeze,
        "stack": _stack,
        "topk": _top_k,
        "tril": partial(_triangle, upper=False),
        "triu": partial(_triangle, upper=True),
        "unbind": _unbind,
        "unflatten": _unflatten,
        "unsqueeze": _unsqueeze,
    }
)  # fmt: skip
