# SPDX-License-Identifier: Apache-2.0
"""ONNX ops that compute element by element, in whatever order of dimensions their inputs are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial, reduce
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.frontends.onnx_graph import Known, Node, Result, Translation
from asnet_mlir.frontends.onnx_tensors import Tensor

__all__ = ["ELEMENTWISE", "activation"]


def _unary(function: Callable[[Any], Any]) -> Translation:
    def translate(node: Node) -> Result:
        x = node.tensor(0)
        return Tensor(function(x.array), x.order)

    return translate


def _nary(function: Callable[[Any, Any], Any]) -> Translation:
    def translate(node: Node) -> Result:
        arrays, order = node.aligned()
        return Tensor(reduce(function, arrays), order)

    return translate


def _mean(node: Node) -> Result:
    arrays, order = node.aligned()
    return Tensor(sum(arrays[1:], arrays[0]) / jnp.asarray(len(arrays), arrays[0].dtype), order)


def _divide(a: Any, b: Any) -> Any:
    return (
        a / b if jnp.issubdtype(a.dtype, jnp.floating) else jax.lax.div(*jnp.broadcast_arrays(a, b))
    )


def _power(node: Node) -> Result:
    exponent = node.input(1)
    if not isinstance(exponent, Tensor) and exponent.value.size == 1:
        x, number = node.tensor(0), exponent.value.reshape(()).item()
        whole = int(number) if float(number).is_integer() else number
        return Tensor(jnp.power(x.array, whole).astype(x.array.dtype), x.order)
    (x, y), order = node.aligned()
    return Tensor(jnp.power(x, y.astype(x.dtype)), order)


def _modulo(node: Node) -> Result:
    (a, b), order = node.aligned()
    function = jnp.fmod if node.integer("fmod") else jnp.mod
    return Tensor(function(a, b), order)


def _where(node: Node) -> Result:
    arrays, order = node.aligned()
    return Tensor(jnp.where(*arrays), order)


def _clip(node: Node) -> Result:
    x = node.tensor(0)
    array = x.array
    for index, function in ((1, jnp.maximum), (2, jnp.minimum)):
        if node.has(index):
            array = function(array, node.logical(index).reshape(()))
    return Tensor(array, x.order)


def _prelu(node: Node) -> Result:
    (x, slope), order = node.aligned()
    return Tensor(jnp.where(x < 0, x * slope, x), order)


def _leaky(x: Any, slope: float) -> Any:
    return jnp.where(x >= 0, x, _like(slope, x) * x)


def _like(number: float, x: Any) -> Any:
    return jnp.asarray(number, x.dtype)


def _elu(x: Any, alpha: float) -> Any:
    return jnp.where(x > 0, x, _like(alpha, x) * jnp.expm1(jnp.minimum(x, 0)))


def _celu(x: Any, alpha: float) -> Any:
    a = _like(alpha, x)
    return jnp.where(x > 0, x, a * jnp.expm1(jnp.minimum(x, 0) / a))


def _selu(x: Any, alpha: float, gamma: float) -> Any:
    return _like(gamma, x) * _elu(x, alpha)


def _hard_sigmoid(x: Any, alpha: float, beta: float) -> Any:
    return jnp.clip(_like(alpha, x) * x + _like(beta, x), 0, 1)


def _thresholded(x: Any, alpha: float) -> Any:
    return jnp.where(x > alpha, x, 0)


def _softplus(x: Any) -> Any:
    return jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


def _softsign(x: Any) -> Any:
    return x / (1 + jnp.abs(x))


def _shrink(node: Node) -> Result:
    x, bias, limit = node.tensor(0), node.number("bias", 0.0), node.number("lambd", 0.5)
    a = x.array
    moved = jnp.where(a < -limit, a + _like(bias, a), jnp.where(a > limit, a - _like(bias, a), 0))
    return Tensor(moved.astype(a.dtype), x.order)


def _gelu(node: Node) -> Result:
    x, kind = node.tensor(0), node.text("approximate", "none")
    if kind not in ("none", "tanh"):
        raise InputError(f"approximate is '{kind}', must be none or tanh")
    return Tensor(jax.nn.gelu(x.array, approximate=kind == "tanh"), x.order)


def _hard_swish(x: Any) -> Any:
    return x * _hard_sigmoid(x, 1 / 6, 0.5)


def _swish(node: Node) -> Result:
    x = node.tensor(0)
    return Tensor(
        x.array * jax.nn.sigmoid(_like(node.number("alpha", 1.0), x.array) * x.array), x.order
    )


#: Functions of one array, with the numbers they take: attributes and their defaults.
_PARAMETRIC: Mapping[str, tuple[Callable[..., Any], tuple[tuple[str, float], ...]]] = {
    "Celu": (_celu, (("alpha", 1.0),)),
    "Elu": (_elu, (("alpha", 1.0),)),
    "HardSigmoid": (_hard_sigmoid, (("alpha", 0.2), ("beta", 0.5))),
    "LeakyRelu": (_leaky, (("alpha", 0.01),)),
    "Selu": (_selu, (("alpha", 1.67326319217681884765625), ("gamma", 1.05070102214813232421875))),
    "ThresholdedRelu": (_thresholded, (("alpha", 1.0),)),
}
_PLAIN: Mapping[str, Callable[[Any], Any]] = {
    "Relu": lambda x: jnp.maximum(x, 0),
    "Sigmoid": jax.nn.sigmoid,
    "Softplus": _softplus,
    "Softsign": _softsign,
    "Tanh": jnp.tanh,
}


def _parametric(node: Node, name: str) -> Result:
    x = node.tensor(0)
    function, parameters = _PARAMETRIC[name]
    return Tensor(function(x.array, *(node.number(*entry) for entry in parameters)), x.order)


def activation(name: str, alpha: float | None, beta: float | None) -> Callable[[Any], Any]:
    """Return an activation of a recurrent layer.

    Raises:
      UnsupportedError: there is none of that name.
    """
    if name == "Affine":
        return lambda x: _like(1.0 if alpha is None else alpha, x) * x + _like(beta or 0.0, x)
    if name == "ScaledTanh":
        return lambda x: (
            _like(1.0 if alpha is None else alpha, x)
            * jnp.tanh(_like(1.0 if beta is None else beta, x) * x)
        )
    plain = {key.lower(): function for key, function in _PLAIN.items()}.get(name.lower())
    if plain is not None:
        return plain
    parametric = {key.lower(): entry for key, entry in _PARAMETRIC.items()}.get(name.lower())
    if parametric is None:
        raise UnsupportedError(f"the activation {name} is not supported")
    function, parameters = parametric
    given = [
        default if own is None else own
        for own, (_, default) in zip((alpha, beta), parameters, strict=False)
    ]
    return lambda x: function(x, *given)


def _cast(node: Node) -> Result:
    import onnx

    if node.op == "CastLike":
        target = node.tensor(1).array.dtype
    else:
        target = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(node.integer("to")))
    x = node.tensor(0)
    narrow = {"int64": "int32", "uint64": "uint32", "float64": "float32"}.get(target.name, target)
    if np.dtype(narrow).name not in _CAST:
        raise UnsupportedError(f"casts to {np.dtype(narrow)} are not supported")
    return Tensor(x.array.astype(narrow), x.order)


def _is_infinite(node: Node) -> Result:
    x = node.tensor(0)
    found = jnp.isinf(x.array)
    if not node.integer("detect_negative", 1):
        found = found & (x.array > 0)
    if not node.integer("detect_positive", 1):
        found = found & (x.array < 0)
    return Tensor(found, x.order)


def _shift(node: Node) -> Result:
    (a, b), order = node.aligned()
    signed = jnp.issubdtype(a.dtype, jnp.signedinteger)
    right = jax.lax.shift_right_arithmetic if signed else jax.lax.shift_right_logical
    function = jax.lax.shift_left if node.text("direction", "") == "LEFT" else right
    return Tensor(function(*jnp.broadcast_arrays(a, b)), order)


def _quantize(node: Node) -> Result:
    (x, scale, zero, dtype), order = _scaled(node)
    info = jnp.iinfo(dtype)
    codes = jnp.round(x / scale).astype(jnp.float32) + zero.astype(jnp.float32)
    return Tensor(jnp.clip(codes, info.min, info.max).astype(dtype), order)


def _dequantize(node: Node) -> Result:
    (x, scale, zero, _), order = _scaled(node)
    return Tensor((x.astype(jnp.int32) - zero.astype(jnp.int32)).astype(scale.dtype) * scale, order)


def _scaled(node: Node) -> tuple[tuple[Any, Any, Any, Any], tuple[int, ...]]:
    """Return a tensor, its scales and zero points beside it, and the type of its codes."""
    import onnx

    x, scale = node.tensor(0), node.host(1)
    if node.integer("block_size"):
        raise UnsupportedError("scales of blocks are not supported")
    zero = node.host(2) if node.has(2) else None
    dtype = np.dtype(np.uint8) if zero is None else zero.dtype
    if zero is None and node.integer("output_dtype"):
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(node.integer("output_dtype")))
    if dtype.name not in _CODES or (node.op[0] == "D" and x.array.dtype.name not in _CODES):
        raise UnsupportedError(f"codes of {dtype} are not supported")
    if zero is None:
        zero = np.zeros(scale.shape, dtype)
    shape = [1] * len(x.order)
    if scale.size > 1:
        axis = node.integer("axis", 1) % len(x.order)
        shape[x.order.index(axis)] = -1
    elif not shape:
        shape = []
    return (
        x.array,
        jnp.asarray(scale.reshape(shape)),
        jnp.asarray(zero.reshape(shape)),
        dtype,
    ), x.order


def _first(node: Node) -> Known:
    return node.input(0)


def _dropout(node: Node) -> Result:
    if node.has(2) and bool(node.host(2).any()) and node.has(1) and bool(node.host(1).any()):
        raise UnsupportedError("drops numbers at random (training_mode)")
    if len([name for name in node.outputs if name]) > 1:
        return node.input(0), Tensor.plain(jnp.ones(node.tensor(0).shape, bool))
    return node.input(0)


_CAST = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "float16", "bfloat16",
         "float32")  # fmt: skip
_CODES = ("int8", "uint8", "int16", "uint16", "int32")

ELEMENTWISE: Mapping[str, Translation] = MappingProxyType(
    {
        **{name: _unary(function) for name, function in _PLAIN.items()},
        **{name: partial(_parametric, name=name) for name in _PARAMETRIC},
        "Abs": _unary(jnp.abs),
        "Add": _nary(jnp.add),
        "And": _nary(jnp.logical_and),
        "Atan": _unary(jnp.arctan),
        "BitShift": _shift,
        "BitwiseAnd": _nary(jnp.bitwise_and),
        "BitwiseNot": _unary(jnp.bitwise_not),
        "BitwiseOr": _nary(jnp.bitwise_or),
        "BitwiseXor": _nary(jnp.bitwise_xor),
        "Cast": _cast,
        "CastLike": _cast,
        "Ceil": _unary(jnp.ceil),
        "Clip": _clip,
        "Cos": _unary(jnp.cos),
        "DequantizeLinear": _dequantize,
        "Div": _nary(_divide),
        "Dropout": _dropout,
        "Equal": _nary(jnp.equal),
        "Erf": _unary(jax.lax.erf),
        "Exp": _unary(jnp.exp),
        "Floor": _unary(jnp.floor),
        "Gelu": _gelu,
        "Greater": _nary(jnp.greater),
        "GreaterOrEqual": _nary(jnp.greater_equal),
        "HardSwish": _unary(_hard_swish),
        "Identity": _first,
        "IsInf": _is_infinite,
        "IsNaN": _unary(jnp.isnan),
        "Less": _nary(jnp.less),
        "LessOrEqual": _nary(jnp.less_equal),
        "Log": _unary(jnp.log),
        "Max": _nary(jnp.maximum),
        "Mean": _mean,
        "Min": _nary(jnp.minimum),
        "Mish": _unary(lambda x: x * jnp.tanh(_softplus(x))),
        "Mod": _modulo,
        "Mul": _nary(jnp.multiply),
        "Neg": _unary(jnp.negative),
        "Not": _unary(jnp.logical_not),
        "Or": _nary(jnp.logical_or),
        "PRelu": _prelu,
        "Pow": _power,
        "QuantizeLinear": _quantize,
        "Reciprocal": _unary(lambda x: 1 / x),
        "Round": _unary(jnp.round),
        "Shrink": _shrink,
        "Sign": _unary(jnp.sign),
        "Sin": _unary(jnp.sin),
        "Sqrt": _unary(jnp.sqrt),
        "Sub": _nary(jnp.subtract),
        "Sum": _nary(jnp.add),
        "Swish": _swish,
        "Tan": _unary(jnp.tan),
        "Where": _where,
        "Xor": _nary(jnp.logical_xor),
    }
)
