# SPDX-License-Identifier: Apache-2.0
"""ATen ops that compute element by element, and those that make tensors of numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.frontends.onnx_graph import Result
from asnet_mlir.frontends.onnx_tensors import Constant, Tensor
from asnet_mlir.frontends.torch_call import Call, TorchTranslation

__all__ = ["TORCH_ELEMENTWISE"]


def _unary(function: Callable[[Any], Any]) -> TorchTranslation:
    def translate(call: Call) -> Result:
        x = call.tensor("self")
        return Tensor(function(x.array), x.order)

    return translate


def _of_float(function: Callable[[Any], Any]) -> TorchTranslation:
    return _unary(lambda x: function(_as_float(x)))


def _as_float(x: Any) -> Any:
    return x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.float32)


def _onnx(op: str, **numbers: tuple[str, float]) -> TorchTranslation:
    """Return an op of ONNX of one tensor; its attributes by ATen's arguments and their defaults."""

    def translate(call: Call) -> Result:
        own: dict[str, Any] = {key: float(call.get(*entry)) for key, entry in numbers.items()}
        return call.onnx(op, call.known("self"), **own)

    return translate


def _binary(function: Callable[[Any, Any], Any]) -> TorchTranslation:
    def translate(call: Call) -> Result:
        (a, b), order = call.aligned("self", "other")
        return Tensor(function(a, b), order)

    return translate


def _add(call: Call) -> Result:
    (a, b), order = call.aligned("self", "other")
    alpha = call.get("alpha", 1)
    return Tensor(a + (b if alpha == 1 else b * alpha), order)


def _subtract(call: Call) -> Result:
    (a, b), order = call.aligned("self", "other")
    a, b = (b, a) if call.op == "rsub" else (a, b)
    alpha = call.get("alpha", 1)
    return Tensor(a - (b if alpha == 1 else b * alpha), order)


def _divide(call: Call) -> Result:
    (a, b), order = call.aligned("self", "other")
    mode = call.get("rounding_mode") if call.op != "floor_divide" else "floor"
    if mode is None:
        return Tensor(jnp.true_divide(a, b), order)
    if mode == "floor":
        return Tensor(jnp.floor_divide(a, b), order)
    quotient = jnp.true_divide(a, b)
    kind = jnp.result_type(a, b)
    if jnp.issubdtype(kind, jnp.integer):
        a, b = jnp.broadcast_arrays(jnp.asarray(a, kind), jnp.asarray(b, kind))
        return Tensor(jax.lax.div(a, b), order)
    return Tensor(jnp.trunc(quotient), order)


def _power(call: Call) -> Result:
    (x, exponent), order = call.aligned("self", "exponent")
    if isinstance(exponent, float) and exponent.is_integer():
        exponent = int(exponent)
    if not isinstance(exponent, int | float):
        return Tensor(jnp.power(x, exponent), order)
    if exponent < 0 and not jnp.issubdtype(x.dtype, jnp.floating):
        raise InputError("integers to a negative power")
    if exponent == 0.5:
        return Tensor(jnp.sqrt(_as_float(x)), order)
    return Tensor(jnp.power(x, exponent), order)


def _where(call: Call) -> Result:
    arrays, order = call.aligned("condition", "self", "other")
    return Tensor(jnp.where(*arrays), order)


def _masked_fill(call: Call) -> Result:
    (x, mask, value), order = call.aligned("self", "mask", "value")
    return Tensor(jnp.where(mask, jnp.asarray(value, x.dtype), x), order)


def _clamp(call: Call) -> Result:
    names = ("min_val", "max_val") if call.op == "hardtanh" else ("min", "max")
    limits = {"clamp_min": ("min",), "clamp_max": ("max",)}.get(call.op, names)
    (x, *given), order = call.aligned("self", *limits)
    bounds = dict(zip(limits, given, strict=True))
    if call.op == "hardtanh":
        low, high = bounds.values()
        bounds = {"min": -1 if low is None else low, "max": 1 if high is None else high}
    for name, bound in bounds.items():
        if bound is not None:
            x = (jnp.maximum if name.startswith("min") else jnp.minimum)(x, bound)
    return Tensor(x, order)


def _gelu(call: Call) -> Result:
    return call.onnx("Gelu", call.known("self"), approximate=call.get("approximate", "none"))


def _elu(call: Call) -> Result:
    x = call.tensor("self")
    alpha, scale, inner = (float(call.get(n, 1.0)) for n in ("alpha", "scale", "input_scale"))
    a = x.array
    negative = jnp.expm1(jnp.minimum(a, 0) * inner) * alpha
    y = jnp.where(a > 0, a, negative)
    return Tensor(y if scale == 1 else y * scale, x.order)


def _softplus(call: Call) -> Result:
    x = call.tensor("self")
    beta, limit = float(call.get("beta", 1.0)), float(call.get("threshold", 20.0))
    a = x.array * beta if beta != 1 else x.array
    y = jnp.maximum(a, 0) + jnp.log1p(jnp.exp(-jnp.abs(a)))
    y = y / beta if beta != 1 else y
    return Tensor(jnp.where(a > limit, x.array, y), x.order)


def _shrink(call: Call) -> Result:
    x, limit = call.tensor("self"), float(call.get("lambd", 0.5))
    a = x.array
    kept = a if call.op == "hardshrink" else a - jnp.sign(a) * limit
    return Tensor(jnp.where(jnp.abs(a) > limit, kept, 0).astype(a.dtype), x.order)


def _threshold(call: Call) -> Result:
    x = call.tensor("self")
    kept = x.array > call.get("threshold", 0)
    return Tensor(jnp.where(kept, x.array, jnp.asarray(call.get("value", 0), x.array.dtype)),
                  x.order)  # fmt: skip


def _prelu(call: Call) -> Result:
    x, slope = call.tensor("self"), call.logical("weight")
    if slope.size > 1:
        slope = slope.reshape([-1 if axis == 1 else 1 for axis in x.order])
    else:
        slope = slope.reshape(())
    return Tensor(jnp.where(x.array > 0, x.array, slope * x.array), x.order)


def _glu(call: Call) -> Result:
    x = call.tensor("self")
    held = x.order.index(call.axis("dim", len(x.order), -1))
    a, b = jnp.split(x.array, 2, held)
    return Tensor(a * jax.nn.sigmoid(b), x.order)


def _addc(call: Call) -> Result:
    (x, a, b), order = call.aligned("self", "tensor1", "tensor2")
    part = a * b if call.op == "addcmul" else a / b
    value = call.get("value", 1)
    return Tensor(x + (part if value == 1 else part * value), order)


def _lerp(call: Call) -> Result:
    (a, b, weight), order = call.aligned("self", "end", "weight")
    return Tensor(a + weight * (b - a), order)


def _cast(call: Call) -> Result:
    x = call.tensor("self")
    if (call.op == "to" and call.overload == "other") or call.op == "type_as":
        kind = call.tensor("other").array.dtype
    else:
        kind = call.get("dtype")
    return Tensor(x.array if kind is None else x.array.astype(kind), x.order)


def _same(call: Call) -> Result:
    return call.known("self" if "self" in call.arguments else "input")


def _dropout(call: Call) -> Result:
    name = "input" if "input" in call.arguments else "self"
    call.refuse(not call.get("train"), "drops numbers at random; export the model in evaluation")
    x = call.known(name)
    return [x, call.constant(np.ones(x.shape, bool))] if call.op == "native_dropout" else x


def _filled(call: Call) -> Result:
    """Return a tensor of one number."""
    like = call.arguments.get("self")
    shape = call.get("size")
    if shape is None:
        shape = like.shape if isinstance(like, Tensor | Constant) else ()
    number = {"zeros": 0, "ones": 1, "empty": 0, "zero": 0}.get(
        call.op.removeprefix("new_").removesuffix("_like")
    )
    if number is None:
        number = call.arguments.get("fill_value", call.arguments.get("value", call.get("s", 0)))
    kind = call.get("dtype")
    if kind is None and isinstance(like, Tensor | Constant):
        kind = call.tensor("self").array.dtype
    if isinstance(number, Tensor | Constant):
        number = (number if isinstance(number, Tensor) else Tensor.plain(number.value)).logical
    elif kind is None:
        kind = {bool: np.bool_, int: np.int32}.get(type(number), np.float32)
        kind = np.float32 if call.op in ("zeros", "ones", "empty") else kind
    return Tensor.plain(jnp.full(shape, number, kind))


def _counted(call: Call) -> Result:
    start, end, step = call.get("start", 0), call.get("end"), call.get("step", 1)
    values = np.arange(start, end, step)
    kind = call.get("dtype")
    return Tensor.plain(jnp.asarray(values.astype(kind) if kind is not None else values))


def _linspace(call: Call) -> Result:
    kind = call.get("dtype", np.float32)
    return Tensor.plain(
        jnp.asarray(np.linspace(call.get("start"), call.get("end"), call.get("steps")), kind)
    )


def _eye(call: Call) -> Result:
    return Tensor.plain(jnp.eye(call.get("n"), call.get("m"), dtype=call.get("dtype", np.float32)))


def _random(call: Call) -> Result:
    raise UnsupportedError("gives random numbers")


_RANDOM = ("bernoulli", "exponential", "multinomial", "normal", "poisson", "rand", "rand_like",
           "randint", "randint_like", "randn", "randn_like", "randperm", "uniform")  # fmt: skip
_FLOAT_FUNCTIONS: Mapping[str, Callable[[Any], Any]] = {
    "acos": jnp.arccos,
    "asin": jnp.arcsin,
    "atan": jnp.arctan,
    "cos": jnp.cos,
    "cosh": jnp.cosh,
    "erf": jax.lax.erf,
    "exp": jnp.exp,
    "exp2": jnp.exp2,
    "expm1": jnp.expm1,
    "log": jnp.log,
    "log10": jnp.log10,
    "log1p": jnp.log1p,
    "log2": jnp.log2,
    "log_sigmoid": jax.nn.log_sigmoid,
    "reciprocal": lambda x: 1 / x,
    "rsqrt": jax.lax.rsqrt,
    "sigmoid": jax.nn.sigmoid,
    "silu": lambda x: x * jax.nn.sigmoid(x),
    "sin": jnp.sin,
    "sinh": jnp.sinh,
    "sqrt": jnp.sqrt,
    "tan": jnp.tan,
    "tanh": jnp.tanh,
}
_FUNCTIONS: Mapping[str, Callable[[Any], Any]] = {
    "abs": jnp.abs,
    "bitwise_not": jnp.bitwise_not,
    "ceil": jnp.ceil,
    "floor": jnp.floor,
    "isinf": jnp.isinf,
    "isnan": jnp.isnan,
    "logical_not": jnp.logical_not,
    "neg": jnp.negative,
    "relu": lambda x: jnp.maximum(x, 0),
    "relu6": lambda x: jnp.clip(x, 0, 6),
    "round": jnp.round,
    "sign": jnp.sign,
    "square": lambda x: x * x,
    "trunc": jnp.trunc,
}
_BINARY: Mapping[str, Callable[[Any, Any], Any]] = {
    "atan2": jnp.arctan2,
    "bitwise_and": jnp.bitwise_and,
    "bitwise_left_shift": jnp.left_shift,
    "bitwise_or": jnp.bitwise_or,
    "bitwise_right_shift": jnp.right_shift,
    "bitwise_xor": jnp.bitwise_xor,
    "eq": jnp.equal,
    "fmod": jnp.fmod,
    "ge": jnp.greater_equal,
    "greater": jnp.greater,
    "gt": jnp.greater,
    "le": jnp.less_equal,
    "less": jnp.less,
    "logical_and": jnp.logical_and,
    "logical_or": jnp.logical_or,
    "logical_xor": jnp.logical_xor,
    "lt": jnp.less,
    "maximum": jnp.maximum,
    "minimum": jnp.minimum,
    "mul": lambda a, b: a * b,
    "multiply": lambda a, b: a * b,
    "ne": jnp.not_equal,
    "remainder": jnp.remainder,
    "__and__": jnp.bitwise_and,
    "__or__": jnp.bitwise_or,
    "__xor__": jnp.bitwise_xor,
}
_FILLED = ("empty", "empty_like", "fill", "full", "full_like", "new_empty", "new_full", "new_ones",
           "new_zeros", "ones", "ones_like", "scalar_tensor", "zero", "zeros",
           "zeros_like")  # fmt: skip
_SAME = ("alias", "clone", "contiguous", "detach", "lift", "lift_fresh", "lift_fresh_copy")
_DROPOUT = ("alpha_dropout", "dropout", "feature_alpha_dropout", "feature_dropout",
            "native_dropout")  # fmt: skip

TORCH_ELEMENTWISE: Mapping[str, TorchTranslation] = MappingProxyType(
    {
        **{name: _of_float(function) for name, function in _FLOAT_FUNCTIONS.items()},
        **{name: _unary(function) for name, function in _FUNCTIONS.items()},
        **{name: _binary(function) for name, function in _BINARY.items()},
        **dict.fromkeys(_FILLED, _filled),
        **dict.fromkeys(_SAME, _same),
        **dict.fromkeys(_RANDOM, _random),
        **dict.fromkeys(_DROPOUT, _dropout),
        **dict.fromkeys(("to", "_to_copy", "type_as"), _cast),
        **dict.fromkeys(("clamp", "clamp_max", "clamp_min", "clip", "hardtanh"), _clamp),
        **dict.fromkeys(("div", "divide", "floor_divide", "true_divide"), _divide),
        **dict.fromkeys(("sub", "subtract", "rsub"), _subtract),
        **dict.fromkeys(("hardshrink", "softshrink"), _shrink),
        **dict.fromkeys(("addcmul", "addcdiv"), _addc),
        "add": _add,
        "arange": _counted,
        "celu": _onnx("Celu", alpha=("alpha", 1.0)),
        "elu": _elu,
        "eye": _eye,
        "gelu": _gelu,
        "glu": _glu,
        "hardsigmoid": _unary(lambda x: jnp.clip(x / 6 + 0.5, 0, 1)),
        "hardswish": _onnx("HardSwish"),
        "leaky_relu": _onnx("LeakyRelu", alpha=("negative_slope", 0.01)),
        "lerp": _lerp,
        "linspace": _linspace,
        "masked_fill": _masked_fill,
        "mish": _onnx("Mish"),
        "pow": _power,
        "prelu": _prelu,
        "selu": _onnx("Selu"),
        "softplus": _softplus,
        "threshold": _threshold,
        "where": _where,
    }
)
