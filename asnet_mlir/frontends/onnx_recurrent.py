# SPDX-License-Identifier: Apache-2.0
"""ONNX's recurrent layers: RNN, GRU and LSTM."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import jax.numpy as jnp

from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.frontends.onnx_elementwise import activation
from asnet_mlir.frontends.onnx_graph import Node, Result, Translation

__all__ = ["RECURRENT"]

_Function = Callable[[Any], Any]
#: Of a direction: gates as weights have them, activations, states beside the output.
_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
_DEFAULTS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}


def _recurrent(node: Node) -> Result:
    """Return Y, Y_h and, of an LSTM, Y_c."""
    turned = node.integer("layout")
    x = node.logical(0)
    x = x.swapaxes(0, 1) if turned else x
    steps, batch, _ = x.shape
    hidden = node.input(2).shape[-1]
    if node.integer("hidden_size", hidden) != hidden:
        raise InputError(f"hidden_size is {node.integer('hidden_size')} for weights of {hidden}")
    if node.has(4) and not (node.host(4) == steps).all():
        raise UnsupportedError("sequences of several lengths are not supported")
    ways = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}
    direction = node.text("direction", "forward")
    if direction not in ways:
        raise InputError(f"direction is '{direction}'")
    outputs, finals = [], []
    for index, backwards in enumerate(ways[direction]):
        state = [_start(node, place, index, (batch, hidden), x.dtype)
                 for place in ((5, 6) if node.op == "LSTM" else (5,))]  # fmt: skip
        step = _step(node, index, len(ways[direction]), hidden)
        places = range(steps - 1, -1, -1) if backwards else range(steps)
        rows: list[Any] = [None] * steps
        projected = _projected(node, index, x)
        for place in places:
            state = step(projected[place], state)
            rows[place] = state[0]
        outputs.append(jnp.stack(rows))
        finals.append(state)
    y = jnp.stack(outputs, 1)  # [steps, directions, batch, hidden]
    last = [jnp.stack(parts) for parts in zip(*finals, strict=True)]
    if turned:
        return [y.transpose(2, 0, 1, 3), *(part.swapaxes(0, 1) for part in last)]
    return [y, *last]


def _start(node: Node, place: int, index: int, shape: tuple[int, int], dtype: Any) -> Any:
    if not node.has(place):
        return jnp.zeros(shape, dtype)
    given = node.logical(place)
    return jnp.broadcast_to(given[:, index] if node.integer("layout") else given[index], shape)


def _part(node: Node, place: int, index: int, what: str, turn: _Function = lambda a: a) -> Any:
    """Return one direction's part of an input, as a weight of its own."""
    return node.turned(place, f"{what} {index}", lambda array: turn(array[index]))


def _projected(node: Node, index: int, x: Any) -> Any:
    """Return what the inputs of all steps give, biases included: [steps, batch, gates hidden]."""
    y = x @ _part(node, 1, index, "kernel", lambda w: w.T)
    if not node.has(3):
        return y
    return y + _part(node, 3, index, "bias", lambda b: b[: b.shape[0] // 2])


def _step(
    node: Node, index: int, directions: int, hidden: int
) -> Callable[[Any, Sequence[Any]], list[Any]]:
    count = len(_DEFAULTS[node.op])
    names = [
        name.decode() if isinstance(name, bytes) else str(name)
        for name in node.attributes.get("activations", _DEFAULTS[node.op] * directions)
    ]
    if len(names) != count * directions:
        raise InputError(f"{len(names)} activations for {directions} directions")
    alphas, betas = (list(node.attributes.get(f"activation_{n}", ())) for n in ("alpha", "beta"))
    functions = []
    for place, name in enumerate(names):
        own = [values[place] if place < len(values) else None for values in (alphas, betas)]
        functions.append(activation(name, *own))
    functions = functions[count * index : count * (index + 1)]
    kernel = _part(node, 2, index, "recurrent kernel", lambda r: r.T)
    if kernel.shape[1] != hidden * _GATES[node.op]:
        raise InputError(f"recurrent weights of {kernel.shape[1]} columns for {hidden} states")
    bias = None
    if node.has(3):
        bias = _part(node, 3, index, "recurrent bias", lambda b: b[b.shape[0] // 2 :])
    limit = node.attributes.get("clip")

    def clipped(value: Any) -> Any:
        return value if limit is None else jnp.clip(value, -limit, limit)

    if node.op == "GRU":
        linear = bool(node.integer("linear_before_reset"))
        return partial(_gru, kernel, bias, [_after(clipped, f) for f in functions], linear)
    if node.op == "RNN":
        function = _after(clipped, functions[0])
        return lambda x, state: [function(x + _product(state[0], kernel, bias))]
    if node.integer("input_forget"):
        raise UnsupportedError("input_forget is not supported")
    peepholes = None
    if node.has(7):
        whole = _part(node, 7, index, "peepholes")
        peepholes = [whole[i * hidden : (i + 1) * hidden] for i in range(3)]
    return partial(_lstm, kernel, bias, [_after(clipped, f) for f in functions], peepholes)


def _after(first: _Function, second: _Function) -> _Function:
    return lambda value: second(first(value))


def _product(state: Any, kernel: Any, bias: Any) -> Any:
    y = state @ kernel
    return y if bias is None else y + bias


def _gru(
    kernel: Any, bias: Any, functions: Sequence[_Function], linear: bool, x: Any,
    state: Sequence[Any],
) -> list[Any]:  # fmt: skip
    (h,) = state
    size = h.shape[-1]
    gate, candidate = functions
    if linear:
        whole = _product(h, kernel, bias)
        z, r = (gate(x[:, i * size : (i + 1) * size] + whole[:, i * size : (i + 1) * size])
                for i in (0, 1))  # fmt: skip
        proposed = candidate(x[:, 2 * size :] + r * whole[:, 2 * size :])
    else:
        two = _product(h, kernel[:, : 2 * size], None if bias is None else bias[: 2 * size])
        z, r = (gate(x[:, i * size : (i + 1) * size] + two[:, i * size : (i + 1) * size])
                for i in (0, 1))  # fmt: skip
        rest = _product(r * h, kernel[:, 2 * size :], None if bias is None else bias[2 * size :])
        proposed = candidate(x[:, 2 * size :] + rest)
    return [(1 - z) * proposed + z * h]


def _lstm(
    kernel: Any, bias: Any, functions: Sequence[_Function], peepholes: Sequence[Any] | None,
    x: Any, state: Sequence[Any],
) -> list[Any]:  # fmt: skip
    h, c = state
    size = h.shape[-1]
    gate, cell, output = functions
    whole = x + _product(h, kernel, bias)
    i, o, f, g = (whole[:, k * size : (k + 1) * size] for k in range(4))
    if peepholes is not None:
        i, f = i + peepholes[0] * c, f + peepholes[2] * c
    new = gate(f) * c + gate(i) * cell(g)
    if peepholes is not None:
        o = o + peepholes[1] * new
    return [gate(o) * output(new), new]


RECURRENT: Mapping[str, Translation] = MappingProxyType(dict.fromkeys(_GATES, _recurrent))
