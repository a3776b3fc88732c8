# SPDX-License-Identifier: Apache-2.0
"""ONNX ops on images: convolutions, pools, normalisations, resizing; computed as [n, .., c]."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.frontends.onnx_graph import Node, Result, Translation
from asnet_mlir.frontends.onnx_tensors import Tensor, channels_last

__all__ = ["WINDOWS"]

_LETTERS = "DHW"


@dataclass(frozen=True)
class _Window:
    """A window that moves over an image; a number for each spatial dimension."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]

    @property
    def extents(self) -> tuple[int, ...]:
        """What it covers, holes included."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))


def _image(node: Node) -> Any:
    """Return the first input as [n, .., c]."""
    x = node.tensor(0)
    if not 3 <= len(x.order) <= 5:
        raise UnsupportedError(
            f"works on {list(x.shape)}; images of 1 to 3 dimensions are supported"
        )
    return x.ordered(channels_last(len(x.order)))


def _as_image(array: Any) -> Tensor:
    return Tensor(array, channels_last(array.ndim))


def _numbers(node: Node, name: str, count: int) -> tuple[int, ...]:
    found = node.integers(name, [1] * count)
    if len(found) != count or min(found) < 1:
        raise InputError(f"{name} is {found} for {count} dimensions")
    return tuple(found)


def _window(node: Node, kernel: Sequence[int], sizes: Sequence[int]) -> _Window:
    count = len(sizes)
    if len(kernel) != count or min(kernel, default=1) < 1:
        raise InputError(f"a kernel of {list(kernel)} for {count} dimensions")
    strides, dilations = _numbers(node, "strides", count), _numbers(node, "dilations", count)
    pads = node.integers("pads", [0] * 2 * count)
    if len(pads) != 2 * count:
        raise InputError(f"{len(pads)} pads for {count} dimensions")
    window = _Window(
        tuple(kernel), strides, dilations, tuple(zip(pads, pads[count:], strict=False))
    )
    automatic = node.text("auto_pad", "NOTSET")
    if automatic == "NOTSET":
        return window
    if automatic == "VALID":
        return _Window(window.kernel, strides, dilations, ((0, 0),) * count)
    if automatic not in ("SAME_UPPER", "SAME_LOWER"):
        raise InputError(f"auto_pad is '{automatic}'")
    same = []
    for n, extent, stride in zip(sizes, window.extents, strides, strict=True):
        total = max((-(-n // stride) - 1) * stride + extent - n, 0)
        less = total // 2
        same.append((less, total - less) if automatic == "SAME_UPPER" else (total - less, less))
    return _Window(window.kernel, strides, dilations, tuple(same))


def _layouts(rank: int) -> tuple[str, str, str]:
    letters = _LETTERS[-(rank - 2) :]
    return f"N{letters}C", f"{letters}IO", f"N{letters}C"


def _kernel_sizes(node: Node) -> tuple[int, ...]:
    shape = node.input(1).shape
    given = node.integers("kernel_shape", shape[2:])
    if tuple(given) != tuple(shape[2:]):
        raise InputError(f"kernel_shape is {given} for weights {list(shape)}")
    return tuple(given)


def _conv(node: Node) -> Result:
    x, groups = _image(node), node.integer("group", 1)
    rank = x.ndim
    shape = node.input(1).shape
    if len(shape) != rank or groups < 1 or shape[1] * groups != x.shape[-1] or shape[0] % groups:
        raise InputError(
            f"weights {list(shape)} in {groups} groups for {x.shape[-1]} channels of {rank - 2} "
            "dimensions"
        )
    window = _window(node, _kernel_sizes(node), x.shape[1:-1])
    kernel = node.turned(1, "kernel", lambda w: w.transpose(*range(2, rank), 1, 0))
    y = lax.conv_general_dilated(
        x, kernel, window.strides, window.pads, rhs_dilation=window.dilations,
        dimension_numbers=_layouts(rank), feature_group_count=groups,
    )  # fmt: skip
    return _as_image(_biased(node, y))


def _biased(node: Node, y: Any) -> Any:
    return y + node.logical(2) if node.has(2) else y


def _conv_transpose(node: Node) -> Result:
    x, groups = _image(node), node.integer("group", 1)
    rank = x.ndim
    count = rank - 2
    inputs, outputs = node.input(1).shape[:2]
    if len(node.input(1).shape) != rank or inputs != x.shape[-1] or groups < 1 or inputs % groups:
        raise InputError(
            f"weights {list(node.input(1).shape)} in {groups} groups for {x.shape[-1]} channels"
        )
    kernel_sizes = _kernel_sizes(node)
    strides, dilations = _numbers(node, "strides", count), _numbers(node, "dilations", count)
    pads = _transposed_pads(node, x.shape[1:-1], kernel_sizes, strides, dilations)

    def turn(w: Any) -> Any:
        # [c, o / g, ..] to [.., c / g, o], mirrored.
        w = w.reshape(groups, inputs // groups, outputs, *kernel_sizes)
        w = w.transpose(*range(3, rank + 1), 1, 0, 2)[(slice(None, None, -1),) * count]
        return w.reshape(*kernel_sizes, inputs // groups, groups * outputs)

    y = lax.conv_general_dilated(
        x, node.turned(1, f"mirrored in {groups}", turn), (1,) * count, pads, lhs_dilation=strides,
        rhs_dilation=dilations, dimension_numbers=_layouts(rank), feature_group_count=groups,
    )  # fmt: skip
    return _as_image(_biased(node, y))


def _transposed_pads(
    node: Node, sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int],
    dilations: Sequence[int],
) -> list[tuple[int, int]]:  # fmt: skip
    """Return what the dilated input is padded by."""
    count = len(sizes)
    extra = node.integers("output_padding", [0] * count)
    given = node.integers("pads", [0] * 2 * count)
    wanted = node.integers("output_shape", [])[-count:]
    automatic = node.text("auto_pad", "NOTSET")
    if automatic.startswith("SAME") and not wanted:
        wanted = [n * s for n, s in zip(sizes, strides, strict=True)]
    result = []
    for i in range(count):
        extent = (kernel[i] - 1) * dilations[i] + 1
        before, after = given[i], given[i + count]
        if automatic == "VALID":
            before = after = 0
        if wanted:
            total = strides[i] * (sizes[i] - 1) + extra[i] + extent - wanted[i]
            less = max(total, 0) // 2
            # Of an odd sum the larger part comes last with SAME_UPPER and first otherwise.
            before, after = (
                (less, total - less)
                if automatic == "SAME_UPPER" or total < 0
                else (total - less, less)
            )
        result.append((extent - 1 - before, extent - 1 - after + extra[i]))
    return result


def _pool_window(node: Node, x: Any) -> tuple[_Window, list[tuple[int, int]]]:
    """Return the window of a pool and its pads with what rounding up adds."""
    window = _window(node, node.integers("kernel_shape"), x.shape[1:-1])
    pads = []
    for n, extent, stride, (low, high) in zip(
        x.shape[1:-1], window.extents, window.strides, window.pads, strict=True
    ):
        rest = n + low + high - extent
        if rest < 0 and not node.integer("ceil_mode"):
            raise InputError(f"a window of {extent} on {n} numbers, padded by {low + high}")
        more = (-rest) % stride if node.integer("ceil_mode") else 0
        if more and (rest + more) // stride * stride >= n + low:
            more -= stride  # a window that begins in the padding is left out
        pads.append((low, high + max(more, 0)))
    return window, pads


def _reduced(x: Any, start: Any, function: Any, window: _Window, pads: Sequence[Any]) -> Any:
    return lax.reduce_window(
        x, start, function, (1, *window.kernel, 1), (1, *window.strides, 1),
        ((0, 0), *pads, (0, 0)), window_dilation=(1, *window.dilations, 1),
    )  # fmt: skip


def _max_pool(node: Node) -> Result:
    x = _image(node)
    window, pads = _pool_window(node, x)
    is_float = jnp.issubdtype(x.dtype, jnp.floating)
    least = -np.inf if is_float else np.iinfo(x.dtype).min
    return _as_image(_reduced(x, np.array(least, x.dtype), lax.max, window, pads))


def _average_pool(node: Node) -> Result:
    x = _image(node)
    window, pads = _pool_window(node, x)
    total = _reduced(x, np.zeros((), x.dtype), lax.add, window, pads)
    return _as_image(total / jnp.asarray(_counts(node, x.shape[1:-1], window, pads), x.dtype))


def _counts(
    node: Node, sizes: Sequence[int], window: _Window, pads: Sequence[tuple[int, int]]
) -> np.ndarray | float:
    """Return how many numbers each window averages, [.., 1], or one where all are the same."""
    whole = np.ones(())
    for n, k, dilation, stride, own, all_pads in zip(
        sizes, window.kernel, window.dilations, window.strides, window.pads, pads, strict=True
    ):
        low, high = own
        counted = np.zeros(low + n + all_pads[1])
        counted[low : low + n] = 1
        if node.integer("count_include_pad"):
            counted[: low + n + high] = 1
        starts = np.arange(0, len(counted) - (k - 1) * dilation, stride)
        along = sum(counted[starts + j * dilation] for j in range(k))
        whole = np.multiply.outer(whole, along)
    return float(whole.max()) if (whole == whole.max()).all() else whole[..., None]


def _lp_pool(node: Node) -> Result:
    x, p = _image(node), node.integer("p", 2)
    window, pads = _pool_window(node, x)
    powers = jnp.abs(x) if p == 1 else jnp.power(jnp.abs(x), p)
    total = _reduced(powers, np.zeros((), x.dtype), lax.add, window, pads)
    return _as_image(_root(total, p))


def _root(x: Any, p: int) -> Any:
    return x if p == 1 else jnp.sqrt(x) if p == 2 else jnp.power(x, 1 / p)


def _global(node: Node, function: Callable[..., Any]) -> Result:
    x = _image(node)
    return _as_image(function(x, axis=tuple(range(1, x.ndim - 1)), keepdims=True))


def _batch_normalization(node: Node) -> Result:
    if node.integer("training_mode"):
        raise UnsupportedError("normalises by statistics of the batch (training_mode)")
    x = node.tensor(0)
    scale, offset, mean, variance = (node.logical(index) for index in range(1, 5))
    epsilon = jnp.asarray(node.number("epsilon", 1e-5), x.array.dtype)
    factor = scale * lax.rsqrt(variance + epsilon)
    rest = offset - mean * factor
    if len(x.order) < 2:
        raise InputError(f"normalises {list(x.shape)}")
    shape = [-1 if axis == 1 else 1 for axis in x.order]
    return Tensor(x.array * factor.reshape(shape) + rest.reshape(shape), x.order)


def _normalized(x: Any, axes: Sequence[int], epsilon: float) -> tuple[Any, Any, Any]:
    """Return what is left of x, its mean, and what it was multiplied by."""
    mean = jnp.mean(x, tuple(axes), keepdims=True)
    centred = x - mean
    variance = jnp.mean(centred * centred, tuple(axes), keepdims=True)
    inverse = lax.rsqrt(variance + jnp.asarray(epsilon, x.dtype))
    return centred * inverse, mean, inverse


def _instance_normalization(node: Node) -> Result:
    x = _image(node)
    y, _, _ = _normalized(x, range(1, x.ndim - 1), node.number("epsilon", 1e-5))
    return _as_image(y * node.logical(1) + node.logical(2))


def _group_normalization(node: Node) -> Result:
    x, groups = _image(node), node.integer("num_groups", 1)
    *outer, channels = x.shape
    if groups < 1 or channels % groups:
        raise InputError(f"{channels} channels in {groups} groups")
    split = x.reshape(*outer, groups, channels // groups)
    axes = [*range(1, x.ndim - 1), x.ndim]
    y, _, _ = _normalized(split, axes, node.number("epsilon", 1e-5))
    scale, offset = node.logical(1), node.logical(2)
    if node.version < 21:  # a number a group
        return _as_image((y * scale[:, None] + offset[:, None]).reshape(x.shape))
    return _as_image(y.reshape(x.shape) * scale + offset)


def _layer_normalization(node: Node) -> Result:
    x = node.logical(0)
    axis = node.integer("axis", -1) % x.ndim
    y, mean, inverse = _normalized(x, range(axis, x.ndim), node.number("epsilon", 1e-5))
    y = y * node.logical(1)
    return (y + node.logical(2) if node.has(2) else y), mean, inverse


def _local_response(node: Node) -> Result:
    x, size = _image(node), node.integer("size")
    low = (size - 1) // 2
    window = _Window((size,), (1,), (1,), ((low, size - 1 - low),))
    shape = (1,) * (x.ndim - 1) + window.kernel
    pads = ((0, 0),) * (x.ndim - 1) + window.pads
    total = lax.reduce_window(x * x, np.zeros((), x.dtype), lax.add, shape, (1,) * x.ndim, pads)
    alpha, beta, bias = (node.number(*e) for e in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)))
    base = jnp.asarray(bias, x.dtype) + jnp.asarray(alpha / size, x.dtype) * total
    if beta == 0.75:  # 1 / (b^(1/2) b^(1/4)), which all back ends have
        root = lax.rsqrt(base)
        return _as_image(x * root * jnp.sqrt(root))
    return _as_image(x * jnp.power(base, -beta))


def _lp_normalization(node: Node) -> Result:
    x = node.tensor(0)
    p, axis = node.integer("p", 2), node.integer("axis", -1) % len(x.order)
    power = jnp.abs(x.array) if p == 1 else x.array * x.array
    norm = _root(jnp.sum(power, x.order.index(axis), keepdims=True), p)
    return Tensor(jnp.where(norm == 0, 0, x.array / norm), x.order)


def _resize(node: Node) -> Result:
    x = node.tensor(0)
    rank = len(x.order)
    axes = [axis % rank for axis in node.integers("axes", range(rank))]
    if node.integer("antialias") or node.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise UnsupportedError("antialias and keep_aspect_ratio_policy are not supported")
    if node.has(3):
        sizes = node.host(3).reshape(-1).tolist()
        scales = [size / x.shape[axis] for size, axis in zip(sizes, axes, strict=True)]
    else:
        scales = node.host(2).reshape(-1).astype(np.float64).tolist()
        sizes = [math.floor(x.shape[a] * s) for a, s in zip(axes, scales, strict=True)]
    array = x.array
    for axis, size, scale in zip(axes, sizes, scales, strict=True):
        if size != x.shape[axis] or scale != 1:
            array = _resized(node, array, x.order.index(axis), size, scale)
    return Tensor(array, x.order)


def _resized(node: Node, array: Any, axis: int, size: int, scale: float) -> Any:
    """Resize one dimension."""
    n, mode = array.shape[axis], node.text("mode", "nearest")
    places = _places(node.text("coordinate_transformation_mode", "half_pixel"), n, size, scale)
    if mode == "nearest":
        chosen = np.clip(_nearest(node, places), 0, n - 1)
        factor = size // n
        if size == factor * n and (chosen == np.arange(size) // factor).all():
            return jnp.repeat(array, factor, axis)
        return jnp.take(array, chosen, axis)
    if mode not in ("linear", "cubic"):
        raise InputError(f"mode is '{mode}'")
    matrix = _interpolation(node, places, n, cubic=mode == "cubic").astype(np.float32)
    kernel = jnp.asarray(matrix, array.dtype)
    return jnp.moveaxis(jnp.tensordot(array, kernel, (axis, 0)), -1, axis)


def _places(mode: str, n: int, size: int, scale: float) -> np.ndarray:
    """Return which place of the input each number of the output is of."""
    x = np.arange(size, dtype=np.float64)
    if mode == "asymmetric":
        return x / scale
    if mode == "align_corners":
        return x * (n - 1) / (n * scale - 1) if n * scale > 1 else np.zeros(size)
    if mode == "pytorch_half_pixel":
        return (x + 0.5) / scale - 0.5 if size > 1 else np.zeros(1)
    if mode == "half_pixel_symmetric":
        centre = n / 2 * (1 - size / (n * scale))
        return centre + (x + 0.5) / scale - 0.5
    if mode == "half_pixel":
        return (x + 0.5) / scale - 0.5
    raise UnsupportedError(f"coordinate_transformation_mode {mode} is not supported")


def _nearest(node: Node, places: np.ndarray) -> np.ndarray:
    functions: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
        "round_prefer_floor": lambda x: np.ceil(x - 0.5),
        "round_prefer_ceil": lambda x: np.floor(x + 0.5),
        "floor": np.floor,
        "ceil": np.ceil,
    }
    mode = node.text("nearest_mode", "round_prefer_floor")
    if mode not in functions:
        raise InputError(f"nearest_mode is '{mode}'")
    return functions[mode](places).astype(np.int64)


def _interpolation(node: Node, places: np.ndarray, n: int, *, cubic: bool) -> np.ndarray:
    """Return the matrix [n, size] of what each number of the output takes of the input."""
    a = node.number("cubic_coeff_a", -0.75)
    start = np.floor(places)
    matrix = np.zeros((n, len(places)))
    for tap in range(-1, 3) if cubic else range(2):
        distance = np.abs(places - start - tap)
        if cubic:
            near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
            far = ((distance - 5) * distance + 8) * a * distance - 4 * a
            share = np.where(distance <= 1, near, np.where(distance < 2, far, 0))
        else:
            share = np.maximum(1 - distance, 0)
        at = (start + tap).astype(np.int64)
        if node.integer("exclude_outside"):
            share = np.where((at >= 0) & (at < n), share, 0)
        np.add.at(matrix, (np.clip(at, 0, n - 1), np.arange(len(places))), share)
    return matrix / matrix.sum(0) if node.integer("exclude_outside") else matrix


WINDOWS: Mapping[str, Translation] = MappingProxyType(
    {
        "AveragePool": _average_pool,
        "BatchNormalization": _batch_normalization,
        "Conv": _conv,
        "ConvTranspose": _conv_transpose,
        "GlobalAveragePool": partial(_global, function=jnp.mean),
        "GlobalMaxPool": partial(_global, function=jnp.max),
        "GroupNormalization": _group_normalization,
        "InstanceNormalization": _instance_normalization,
        "LRN": _local_response,
        "LayerNormalization": _layer_normalization,
        "LpNormalization": _lp_normalization,
        "LpPool": _lp_pool,
        "MaxPool": _max_pool,
        "Resize": _resize,
    }
)
