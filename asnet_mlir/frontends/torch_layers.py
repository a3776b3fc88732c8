# SPDX-License-Identifier: Apache-2.0
"""ATen ops with weights or windows: convolutions, products, pools, normalisations, attention."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.frontends.onnx_graph import Known, Result
from asnet_mlir.frontends.onnx_tensors import Constant, Tensor
from asnet_mlir.frontends.torch_call import Call, TorchTranslation

__all__ = ["TORCH_LAYERS"]


def _convolution(call: Call) -> Result:
    x, w = call.known("input"), call.known("weight")
    count = len(w.shape) - 2
    inputs = [x, w] + ([call.known("bias")] if call.get("bias") is not None else [])
    own: dict[str, Any] = {
        "strides": call.numbers("stride", count, 1),
        "dilations": call.numbers("dilation", count, 1),
        "group": call.get("groups", 1),
    }
    padding = call.get("padding", 0)
    if isinstance(padding, str):
        modes = {"same": "SAME_UPPER", "valid": "VALID"}
        if padding not in modes:
            raise InputError(f"padding is '{padding}'")
        return call.onnx("Conv", *inputs, auto_pad=modes[padding], **own)
    pads = call.numbers("padding", count, 0) * 2
    if call.get("transposed") or call.op.startswith("conv_transpose"):
        extra = call.numbers("output_padding", count, 0)
        return call.onnx("ConvTranspose", *inputs, pads=pads, output_padding=extra, **own)
    return call.onnx("Conv", *inputs, pads=pads, **own)


def _linear(call: Call) -> Result:
    node = call.onnx_node(call.known("input"), call.known("weight"))
    y = node.logical(0) @ node.turned(1, "transposed", lambda w: w.T)
    return y + call.logical("bias") if call.get("bias") is not None else y


def _product(call: Call) -> Result:
    names = {"mm": ("self", "mat2"), "bmm": ("self", "mat2"), "mv": ("self", "vec"),
             "dot": ("self", "tensor")}.get(call.op, ("self", "other"))  # fmt: skip
    return jnp.matmul(*(call.logical(name) for name in names))


def _added_product(call: Call) -> Result:
    names = ("batch1", "batch2") if call.op == "baddbmm" else ("mat1", "mat2")
    y = jnp.matmul(*(call.logical(name) for name in names))
    alpha, beta = call.get("alpha", 1), call.get("beta", 1)
    y = y if alpha == 1 else y * alpha
    if beta == 0:
        return y
    added = call.logical("self")
    return y + (added if beta == 1 else added * beta)


def _einsum(call: Call) -> Result:
    parts = [p if isinstance(p, Tensor) else Tensor.plain(call.arrays.array(p))
             for p in call.get("tensors")]  # fmt: skip
    return jnp.einsum(call.get("equation"), *(part.logical for part in parts))


def _pool_window(call: Call, count: int) -> dict[str, Any]:
    kernel = call.numbers("kernel_size", count, 1)
    stride = call.get("stride") or kernel
    strides = list(stride) if isinstance(stride, list) else [stride]
    return {
        "kernel_shape": kernel,
        "strides": strides * count if len(strides) == 1 else strides,
        "pads": call.numbers("padding", count, 0) * 2,
        "ceil_mode": int(bool(call.get("ceil_mode", False))),
    }


def _dimensions(call: Call) -> int:
    """Return of how many dimensions an op of images is, by its name."""
    return int(re.findall(r"(\d)d", call.op)[0])


def _max_pool(call: Call) -> Result:
    count = _dimensions(call)
    dilations = call.numbers("dilation", count, 1)
    y = call.onnx("MaxPool", call.known("self"), dilations=dilations, **_pool_window(call, count))
    return [y] if call.op.endswith("indices") else y


def _average_pool(call: Call) -> Result:
    count = _dimensions(call)
    window, whole = _pool_window(call, count), call.get("divisor_override")
    include = int(bool(call.get("count_include_pad", True)) or whole is not None)
    if whole is not None and (window["ceil_mode"] and any(window["pads"])):
        raise UnsupportedError("divisor_override and ceil_mode together are not supported")
    y = call.onnx("AveragePool", call.known("self"), count_include_pad=include, **window)
    if whole is None:
        return y
    return Tensor(y.array * (math.prod(window["kernel_shape"]) / whole), y.order)


def _adaptive_pool(call: Call, is_max: bool) -> Result:
    """Return what windows of n / m numbers give, whose sizes differ by one where m divides not."""
    x, count = call.tensor("self"), _dimensions(call)
    sizes = x.shape[-count:]
    wanted = call.get("output_size")
    wanted = wanted if isinstance(wanted, list) else [wanted]
    wanted = [n if m is None else m for m, n in zip(wanted * (count // len(wanted)), sizes,
                                                    strict=True)]  # fmt: skip
    if all(m == 1 for m in wanted):
        y = call.onnx("GlobalMaxPool" if is_max else "GlobalAveragePool", x)
    elif all(n % m == 0 for n, m in zip(sizes, wanted, strict=True)):
        kernel = [n // m for n, m in zip(sizes, wanted, strict=True)]
        op = "MaxPool" if is_max else "AveragePool"
        y = call.onnx(op, x, kernel_shape=kernel, strides=kernel)
    elif is_max:
        raise UnsupportedError(f"{list(sizes)} to {wanted}, which don't divide them")
    else:
        y = _uneven_means(x, wanted)
    return [y] if "max" in call.op else y


def _uneven_means(x: Tensor, wanted: Sequence[int]) -> Tensor:
    array = x.array
    for place, m in enumerate(wanted):
        held = x.order.index(len(x.order) - len(wanted) + place)
        n = array.shape[held]
        shares = np.zeros((n, m), np.float32)
        for i in range(m):
            start, end = i * n // m, -(-(i + 1) * n // m)
            shares[start:end, i] = 1 / (end - start)
        array = jnp.moveaxis(jnp.tensordot(array, jnp.asarray(shares), (held, 0)), -1, held)
    return Tensor(array, x.order)


def _or_constant(call: Call, name: str, number: float, size: int) -> Known:
    """Return an argument, or numbers that change nothing where it is left out."""
    if call.get(name) is not None:
        return call.known(name)
    return call.constant(np.full(size, number, np.float32), f"{call.layer}.{name}")


def _batch_norm(call: Call) -> Result:
    training = call.get("training", call.get("use_input_stats", False))
    call.refuse(not training, "normalises by statistics of the batch; export the model in "
                "evaluation (model.eval())")  # fmt: skip
    x = call.known("input")
    scale, offset = (_or_constant(call, n, v, x.shape[1]) for n, v in (("weight", 1), ("bias", 0)))
    mean, variance = call.known("running_mean"), call.known("running_var")
    y = call.onnx("BatchNormalization", x, scale, offset, mean, variance,
                  epsilon=float(call.get("eps", 1e-5)))  # fmt: skip
    return [y] if call.op != "batch_norm" else y


def _instance_norm(call: Call) -> Result:
    if call.get("running_mean") is not None and not call.get("use_input_stats", True):
        return _batch_norm(call)
    x = call.known("input")
    scale, offset = (_or_constant(call, n, v, x.shape[1]) for n, v in (("weight", 1), ("bias", 0)))
    return call.onnx(
        "InstanceNormalization", x, scale, offset, epsilon=float(call.get("eps", 1e-5))
    )


def _layer_norm(call: Call) -> Result:
    x, shape = call.known("input"), call.get("normalized_shape")
    axis = len(x.shape) - len(shape)
    scale = _or_constant(call, "weight", 1, 1)
    inputs = [x, scale] + ([call.known("bias")] if call.get("bias") is not None else [])
    parts = call.onnx(
        "LayerNormalization", *inputs, axis=axis, epsilon=float(call.get("eps", 1e-5))
    )
    return parts[0] if call.op == "layer_norm" else parts


def _group_norm(call: Call) -> Result:
    x = call.known("input")
    channels, groups = x.shape[1], call.get("num_groups", call.get("group", 1))
    scale, offset = (_or_constant(call, n, v, channels) for n, v in (("weight", 1), ("bias", 0)))
    y = call.onnx("GroupNormalization", x, scale, offset, num_groups=groups,
                  epsilon=float(call.get("eps", 1e-5)))  # fmt: skip
    return [y] if call.op == "native_group_norm" else y


def _rms_norm(call: Call) -> Result:
    x = call.logical("input")
    axes = tuple(range(x.ndim - len(call.get("normalized_shape")), x.ndim))
    epsilon = call.get("eps")
    epsilon = jnp.finfo(x.dtype).eps if epsilon is None else epsilon
    y = x * jax.lax.rsqrt(jnp.mean(x * x, axes, keepdims=True) + jnp.asarray(epsilon, x.dtype))
    return y * call.logical("weight") if call.get("weight") is not None else y


def _attention(call: Call) -> Result:
    q, k, v = (call.logical(name) for name in ("query", "key", "value"))
    if call.get("dropout_p"):
        raise UnsupportedError("drops numbers at random; export the model in evaluation")
    if call.get("enable_gqa"):
        k, v = (jnp.repeat(part, q.shape[-3] // part.shape[-3], -3) for part in (k, v))
    scale = call.get("scale")
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    scores = jnp.matmul(q, jnp.swapaxes(k, -1, -2)) * scale
    lowest = jnp.asarray(-jnp.inf, scores.dtype)
    if call.get("is_causal"):
        seen = np.tri(*scores.shape[-2:], dtype=np.bool_)
        scores = jnp.where(jnp.asarray(seen), scores, lowest)
    if call.get("attn_mask") is not None:
        mask = call.logical("attn_mask")
        is_bool = mask.dtype == jnp.bool_
        scores = jnp.where(mask, scores, lowest) if is_bool else scores + mask
    y = jnp.matmul(jax.nn.softmax(scores, axis=-1), v)
    return y if call.op == "scaled_dot_product_attention" else [y]


def _resize(call: Call) -> Result:
    x = call.tensor("self" if "self" in call.arguments else "input")
    count = len(x.order) - 2
    mode = next(m for m in ("nearest", "linear", "cubic") if m in call.op)
    if call.op.startswith("_upsample") and "exact" not in call.op:
        raise UnsupportedError("antialiasing is not supported")
    sizes, scales = call.get("output_size"), call.get("scale_factors")
    if scales is None:
        letters = "dhw"[-count:]
        scales = [call.get(f"scales_{c}") or call.get("scales") for c in letters]
    if sizes is None:
        sizes = [math.floor(n * s) for n, s in zip(x.shape[2:], scales, strict=True)]
    if call.get("align_corners"):
        places = "align_corners"
    elif mode == "nearest" and "exact" not in call.op:
        places = "asymmetric"
    else:
        places = "half_pixel"
    own: dict[str, Any] = {"axes": list(range(2, count + 2)), "mode": mode,
                           "coordinate_transformation_mode": places}  # fmt: skip
    if mode == "nearest":
        own["nearest_mode"] = "round_prefer_ceil" if "exact" in call.op else "floor"
    if None in scales or call.get("align_corners"):
        return call.onnx("Resize", x, None, None, call.constant(np.array(sizes)), **own)
    # Where places are depends on the factor that was given, not on what the sizes make of it.
    return call.onnx("Resize", x, None, call.constant(np.array(scales)), **own)


#: Where PyTorch's gates are among ONNX's, which has an LSTM's as i, o, f, c and a GRU's as z, r, h.
_GATES = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2), "rnn": (0,)}


def _recurrent(call: Call) -> Result:
    """Return the outputs of all layers' last one, and the states of all."""
    kind = call.op.partition("_")[0]
    if "data" in call.arguments:
        raise UnsupportedError("sequences of several lengths are not supported")
    call.refuse(not (call.get("train") and call.get("dropout")), "drops numbers at random")
    x = call.tensor("input")
    x = x.transposed([1, 0, 2]) if call.get("batch_first") else x
    states = call.get("hx")
    states = states if isinstance(states, list) else [states]
    ways = 2 if call.get("bidirectional") else 1
    parameters, layers = call.get("params"), call.get("num_layers")
    each = len(parameters) // (layers * ways)
    finals: list[list[Any]] = [[] for _ in states]
    for layer in range(layers):
        own = parameters[layer * ways * each : (layer + 1) * ways * each]
        start = [_part(call, state, layer * ways, ways) for state in states]
        outputs = _recurrent_layer(call, kind, x, own, start, ways)
        x = _joined_ways(outputs[0])
        for final, part in zip(finals, outputs[1:], strict=True):
            final.append(part)
    y = x.transposed([1, 0, 2]) if call.get("batch_first") else x
    return [y, *(jnp.concatenate(parts) for parts in finals)]


def _joined_ways(y: Any) -> Tensor:
    """Return [steps, batch, ways hidden] of [steps, ways, batch, hidden]."""
    steps, ways, batch, hidden = y.shape
    return Tensor.plain(y.transpose(0, 2, 1, 3).reshape(steps, batch, ways * hidden))


def _part(call: Call, state: Known, start: int, count: int) -> Known | None:
    """Return the states of one layer; None where they are zeros."""
    if isinstance(state, Constant):
        value = state.value[start : start + count]
        return Constant(value, f"{state.name}_{start}") if value.any() else None
    return Tensor.plain(state.logical[start : start + count])


def _recurrent_layer(
    call: Call, kind: str, x: Tensor, parameters: Sequence[Any], states: Sequence[Any], ways: int
) -> Sequence[Any]:
    each = len(parameters) // ways
    if not all(isinstance(part, Constant) for part in parameters):
        raise UnsupportedError("weights that are computed are not supported")
    if each not in (2, 4):
        raise UnsupportedError("projections (proj_size) are not supported")

    def gathered(places: Sequence[int]) -> Constant:
        rows = [
            np.concatenate([_in_onnx_order(parameters[way * each + place].value, kind)
                            for place in places])
            for way in range(ways)
        ]  # fmt: skip
        return Constant(np.stack(rows), parameters[places[0]].name)

    w, r = gathered([0]), gathered([1])
    own: dict[str, Any] = {"hidden_size": r.shape[-1]}
    if ways == 2:
        own["direction"] = "bidirectional"
    if kind == "gru":
        own["linear_before_reset"] = 1
    if call.op == "rnn_relu":
        own["activations"] = [b"Relu"] * ways
    inputs = [x, w, r, gathered([2, 3]) if each == 4 else None, None, *states]
    return call.onnx(kind.upper(), *inputs, outputs=1 + len(states), **own)


def _in_onnx_order(array: np.ndarray, kind: str) -> np.ndarray:
    gates = np.split(array, len(_GATES[kind]))
    return np.concatenate([gates[place] for place in _GATES[kind]])


_CONVOLUTIONS = ("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d",
                 "conv_transpose3d", "convolution", "_convolution")  # fmt: skip
_UPSAMPLES = tuple(f"upsample_{how}" for how in (
    "nearest1d", "nearest2d", "nearest3d", "linear1d", "bilinear2d", "trilinear3d", "bicubic2d",
)) + tuple(f"_upsample_nearest_exact{n}d" for n in (1, 2, 3))  # fmt: skip

TORCH_LAYERS: Mapping[str, TorchTranslation] = MappingProxyType(
    {
        **dict.fromkeys(_CONVOLUTIONS, _convolution),
        **dict.fromkeys(("mm", "bmm", "matmul", "mv", "dot"), _product),
        **dict.fromkeys(("addmm", "baddbmm"), _added_product),
        **dict.fromkeys(("max_pool1d", "max_pool2d", "max_pool3d", "max_pool2d_with_indices",
                         "max_pool3d_with_indices"), _max_pool),
        **dict.fromkeys(("avg_pool1d", "avg_pool2d", "avg_pool3d"), _average_pool),
        **dict.fromkeys(("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d",
                         "_adaptive_avg_pool2d", "_adaptive_avg_pool3d"),
                        partial(_adaptive_pool, is_max=False)),
        **dict.fromkeys(("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d"),
                        partial(_adaptive_pool, is_max=True)),
        **dict.fromkeys(("batch_norm", "_native_batch_norm_legit_no_training",
                         "_batch_norm_no_update", "cudnn_batch_norm"), _batch_norm),
        **dict.fromkeys(("layer_norm", "native_layer_norm"), _layer_norm),
        **dict.fromkeys(("group_norm", "native_group_norm"), _group_norm),
        **dict.fromkeys(_UPSAMPLES, _resize),
        **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu"), _recurrent),
        **dict.fromkeys(("scaled_dot_product_attention",
                         "_scaled_dot_product_flash_attention_for_cpu"), _attention),
        "einsum": _einsum,
        "instance_norm": _instance_norm,
        "linear": _linear,
        "rms_norm": _rms_norm,
    }
)  # fmt: skip
