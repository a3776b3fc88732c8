# SPDX-License-Identifier: Apache-2.0
"""StableHLO's operations in JAX, each with a derivative: integers as well.

A tensor is two: the numbers as the network defines them, and, where derivatives are wanted, the
same as float32.  The latter go through the operation as it is on real numbers, where a shift is a
product and rounding is nothing, and are then pinned to the exact values: only their derivatives
differ from zero.  So gradients pass straight through rounding, and are 0 where a clamp saturates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from asnet_mlir.errors import UnsupportedError
from asnet_mlir.training.jax_products import pin
from asnet_mlir.training.reader import Operation, Type

__all__ = ["DTYPES", "Number", "apply"]

#: By StableHLO's names.
DTYPES: dict[str, Any] = {
    "i1": jnp.bool_,
    **{f"i{bits}": jnp.dtype(f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"ui{bits}": jnp.dtype(f"uint{bits}") for bits in (8, 16, 32, 64)},
    "f32": jnp.float32,
    "f16": jnp.float16,
    "bf16": jnp.bfloat16,
}


@dataclass(frozen=True)
class Number:
    """A tensor.

    Attributes:
      exact: of the network's type.
      real: of integers the same as float32, with a derivative; None where there is none.
    """

    exact: Any
    real: Any = None

    @property
    def is_float(self) -> bool:
        """Whether its own type has derivatives."""
        return bool(jnp.issubdtype(self.exact.dtype, jnp.floating))

    @property
    def varies(self) -> bool:
        """Whether it may have a derivative."""
        return self.is_float or self.real is not None

    def as_real(self) -> Any:
        """Return the numbers as float32."""
        if self.is_float:
            return self.exact
        if self.real is not None:
            return self.real
        return lax.stop_gradient(lax.convert_element_type(self.exact, jnp.float32))


def apply(op: Operation, operands: list[Number], type: Type) -> Number:
    """Return the result of an operation that is no product of codes.

    Raises:
      UnsupportedError: it is not known here.
    """
    if op.name in _MOVES:
        return _moved(_MOVES[op.name], op, operands, type)
    if op.name in _CASTS:
        return _CASTS[op.name](op, operands, type)
    found = _ELEMENTWISE.get(op.name)
    if found is None:
        raise UnsupportedError(f"{op.place}: has no form in JAX here")
    exact, real = found
    values = [operand.exact for operand in operands]
    if operands[-1].is_float and op.name != "select":
        return Number(exact(*values))
    result = exact(*values)
    if real is None or not any(operand.varies for operand in operands):
        return Number(result)
    if jnp.issubdtype(result.dtype, jnp.floating):
        return Number(exact(values[0], *(operand.as_real() for operand in operands[1:])))
    shadows = [operand.as_real() for operand in operands]
    if op.name == "select":
        shadows[0] = values[0]
    elif op.name in _SHIFTS:
        shadows[1] = values[1]
    return Number(result, pin(real(*shadows), result))


def _shifted(sign: int) -> Callable[[Any, Any], Any]:
    def real(x: Any, places: Any) -> Any:
        return x * lax.exp2(sign * lax.convert_element_type(places, jnp.float32))

    return real


def _clamp(low: Any, x: Any, high: Any) -> Any:
    return lax.clamp(low, x, high)


_SHIFTS = ("shift_left", "shift_right_arithmetic", "shift_right_logical")

#: The operation, and what it is on real numbers; None where that has no use.
_ELEMENTWISE: dict[str, tuple[Callable[..., Any], Callable[..., Any] | None]] = {
    "abs": (lax.abs, lax.abs),
    "add": (lax.add, lax.add),
    "and": (lax.bitwise_and, None),
    "cbrt": (lax.cbrt, None),
    "ceil": (lax.ceil, None),
    "clamp": (_clamp, _clamp),
    "cosine": (lax.cos, None),
    "divide": (lax.div, lax.div),
    "exponential": (lax.exp, None),
    "exponential_minus_one": (lax.expm1, None),
    "log": (lax.log, None),
    "log_plus_one": (lax.log1p, None),
    "logistic": (jax.nn.sigmoid, None),
    "maximum": (lax.max, lax.max),
    "minimum": (lax.min, lax.min),
    "multiply": (lax.mul, lax.mul),
    "negate": (lax.neg, lax.neg),
    "not": (lax.bitwise_not, None),
    "or": (lax.bitwise_or, None),
    "power": (lax.pow, None),
    "remainder": (lax.rem, None),
    "rsqrt": (lax.rsqrt, None),
    "select": (lax.select, lax.select),
    "shift_left": (lax.shift_left, _shifted(1)),
    "shift_right_arithmetic": (lax.shift_right_arithmetic, _shifted(-1)),
    "shift_right_logical": (lax.shift_right_logical, _shifted(-1)),
    "sign": (lax.sign, None),
    "sine": (lax.sin, None),
    "sqrt": (lax.sqrt, None),
    "subtract": (lax.sub, lax.sub),
    "tan": (lax.tan, None),
    "tanh": (lax.tanh, None),
    "xor": (lax.bitwise_xor, None),
    "chlo.erf": (lax.erf, None),
    "chlo.square": (lax.square, lax.square),
}


# What puts numbers elsewhere, or joins them.


def _moved(move: Callable[..., Any], op: Operation, operands: list[Number], type: Type) -> Number:
    exact = move(op, type, *(operand.exact for operand in operands))
    if jnp.issubdtype(exact.dtype, jnp.floating) or not any(one.varies for one in operands):
        return Number(exact)
    return Number(exact, pin(move(op, type, *(one.as_real() for one in operands)), exact))


def _broadcast(op: Operation, type: Type, x: Any) -> Any:
    return lax.broadcast_in_dim(x, type.shape, op.attributes.get("broadcast_dimensions", ()))


def _reshape(op: Operation, type: Type, x: Any) -> Any:
    return lax.reshape(x, type.shape)


def _transpose(op: Operation, type: Type, x: Any) -> Any:
    return lax.transpose(x, op.attributes["permutation"])


def _slice(op: Operation, type: Type, x: Any) -> Any:
    own = op.attributes
    return lax.slice(x, own["start_indices"], own["limit_indices"], own["strides"])


def _reverse(op: Operation, type: Type, x: Any) -> Any:
    return lax.rev(x, op.attributes["dimensions"])


def _pad(op: Operation, type: Type, x: Any, value: Any) -> Any:
    own = op.attributes
    edges = zip(
        own["edge_padding_low"], own["edge_padding_high"], own["interior_padding"], strict=True
    )
    return lax.pad(x, value, list(edges))


def _concatenate(op: Operation, type: Type, *parts: Any) -> Any:
    return lax.concatenate(parts, op.attributes["dimension"])


#: Reductions: the operation on two, over dimensions, and where it begins.
_REDUCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "add": (lax.add, jnp.sum),
    "maximum": (lax.max, jnp.max),
    "minimum": (lax.min, jnp.min),
    "multiply": (lax.mul, jnp.prod),
    "and": (lax.bitwise_and, jnp.bitwise_and.reduce),
    "or": (lax.bitwise_or, jnp.bitwise_or.reduce),
}


def _reduction(op: Operation) -> tuple[Callable[..., Any], Callable[..., Any]]:
    found = _REDUCTIONS.get(op.attributes["body"])
    if found is None:
        raise UnsupportedError(f"{op.place}: this reduction has no form in JAX here")
    return found


def _reduce(op: Operation, type: Type, x: Any, start: Any) -> Any:
    both, over = _reduction(op)
    kind = {"dtype": x.dtype} if over in (jnp.sum, jnp.prod) else {}
    return both(over(x, axis=op.attributes["dimensions"], **kind), start)


def _reduce_window(op: Operation, type: Type, x: Any, start: Any) -> Any:
    both, _ = _reduction(op)
    own, rank = op.attributes, x.ndim
    ones = (1,) * rank
    pads = own.get("padding", ((0, 0),) * rank)
    x = lax.pad(
        x,
        start,
        [
            (low, high, base - 1)
            for (low, high), base in zip(pads, own.get("base_dilations", ones), strict=True)
        ],
    )
    return _windows(
        x,
        both,
        own["window_dimensions"],
        own.get("window_strides", ones),
        own.get("window_dilations", ones),
    )


def _windows(
    x: Any,
    both: Callable[..., Any],
    size: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
) -> Any:
    """Join the numbers under windows, one dimension after the other: slices have derivatives."""
    for axis, (n, step, dilation) in enumerate(zip(size, strides, dilations, strict=True)):
        count = (x.shape[axis] - (n - 1) * dilation - 1) // step + 1
        parts = [
            lax.slice_in_dim(x, p * dilation, p * dilation + (count - 1) * step + 1, step, axis)
            for p in range(n)
        ]
        total = parts[0]
        for part in parts[1:]:
            total = both(total, part)
        x = total
    return x


_MOVES: dict[str, Callable[..., Any]] = {
    "broadcast_in_dim": _broadcast,
    "concatenate": _concatenate,
    "pad": _pad,
    "reduce": _reduce,
    "reduce_window": _reduce_window,
    "reshape": _reshape,
    "reverse": _reverse,
    "slice": _slice,
    "transpose": _transpose,
}


# What changes the type, or rounds.


def _constant(op: Operation, operands: list[Number], type: Type) -> Number:
    value = np.broadcast_to(op.attributes["value"], type.shape)
    return Number(jnp.asarray(value, DTYPES[type.element]))


def _iota(op: Operation, operands: list[Number], type: Type) -> Number:
    axis = op.attributes["iota_dimension"]
    return Number(lax.broadcasted_iota(DTYPES[type.element], type.shape, axis))


def _convert(op: Operation, operands: list[Number], type: Type) -> Number:
    (x,), to = operands, DTYPES[type.element]
    if jnp.issubdtype(to, jnp.floating):
        return Number(lax.convert_element_type(x.as_real(), to))
    exact = lax.convert_element_type(x.exact, to)
    if to == jnp.bool_ or not x.varies:
        return Number(exact)
    return Number(exact, pin(lax.convert_element_type(x.as_real(), jnp.float32), exact))


def _bitcast(op: Operation, operands: list[Number], type: Type) -> Number:
    """Take bits for those of a number of the same width, as rows of several formats do."""
    value, to = operands[0].exact, DTYPES[type.element]
    if value.dtype.itemsize != jnp.dtype(to).itemsize or jnp.bool_ in (value.dtype, to):
        raise UnsupportedError(f"{op.place}: bits of another width have no form in JAX here")
    return Number(lax.bitcast_convert_type(value, to))


def _rounded(function: Callable[[Any], Any]) -> Callable[..., Number]:
    def rounded(op: Operation, operands: list[Number], type: Type) -> Number:
        (x,) = operands
        return Number(pin(x.exact, function(x.exact)))

    return rounded


def _compare(op: Operation, operands: list[Number], type: Type) -> Number:
    functions = {
        "EQ": lax.eq,
        "NE": lax.ne,
        "GT": lax.gt,
        "GE": lax.ge,
        "LT": lax.lt,
        "LE": lax.le,
    }
    x, y = (operand.exact for operand in operands)
    return Number(functions[op.attributes["comparison_direction"]](x, y))


def _gather(op: Operation, operands: list[Number], type: Type) -> Number:
    """Look up parts of a table; those of one dimension are functions of codes, with slopes."""
    table, index = operands
    own = op.attributes
    if table.exact.ndim != 1 or own["slice_sizes"] != (1,) or own["offset"]:
        return _rows_of(op, table, index.exact)
    places, positions = index.exact, index.as_real()
    if own["index_vector_dim"] < places.ndim:
        places, positions = (
            lax.squeeze(v, (own["index_vector_dim"],)) for v in (places, positions)
        )
    places = jnp.clip(lax.convert_element_type(places, jnp.int32), 0, len(table.exact) - 1)
    exact = jnp.take(table.exact, places)
    if index.real is None:
        return Number(exact)
    rises: Any = jnp.gradient(lax.stop_gradient(table.as_real()))
    real = pin(positions * jnp.take(rises, places), exact)
    return Number(real) if table.is_float else Number(exact, real)


def _rows_of(op: Operation, table: Number, index: Any) -> Number:
    """Return slices of a table, of which only the table has a derivative."""
    own = op.attributes
    if own["operand_batching"] or own["index_batching"]:
        raise UnsupportedError(f"{op.place}: gathers of batches have no form in JAX here")
    if own["index_vector_dim"] == index.ndim:
        index = index[..., None]
    index = jnp.moveaxis(index, own["index_vector_dim"], -1)
    numbers = lax.GatherDimensionNumbers(own["offset"], own["collapsed"], own["start_index_map"])

    def taken(values: Any) -> Any:
        mode = lax.GatherScatterMode.CLIP
        return lax.gather(values, index, numbers, own["slice_sizes"], mode=mode)

    exact = taken(table.exact)
    return Number(exact) if table.real is None else Number(exact, pin(taken(table.real), exact))


_CASTS: dict[str, Callable[..., Number]] = {
    "bitcast_convert": _bitcast,
    "compare": _compare,
    "constant": _constant,
    "convert": _convert,
    "floor": _rounded(lax.floor),
    "gather": _gather,
    "iota": _iota,
    "round_nearest_afz": _rounded(lambda x: lax.round(x, lax.RoundingMethod.AWAY_FROM_ZERO)),
    "round_nearest_even": _rounded(lambda x: lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN)),
}
