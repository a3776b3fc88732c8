# SPDX-License-Identifier: Apache-2.0
"""What elementwise operations of StableHLO compute, in float64: for functions as tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from asnet_mlir.quantization.graph import Graph, Op

__all__ = ["ELEMENTWISE", "function_of"]


def _compare(op: Op, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    from jaxlib.mlir.dialects import stablehlo

    direction = stablehlo.ComparisonDirectionAttr(op.mlir.attributes["comparison_direction"]).value
    return _COMPARISONS[direction](a, b)


def _logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _round_away(x: np.ndarray) -> np.ndarray:
    return np.sign(x) * np.floor(np.abs(x) + 0.5)


_COMPARISONS: dict[str, Callable[..., Any]] = {
    "EQ": np.equal,
    "NE": np.not_equal,
    "GE": np.greater_equal,
    "GT": np.greater,
    "LE": np.less_equal,
    "LT": np.less,
}

_PLAIN: dict[str, Callable[..., Any]] = {
    "abs": np.abs,
    "add": np.add,
    "and": np.logical_and,
    "cbrt": np.cbrt,
    "ceil": np.ceil,
    "clamp": lambda low, x, high: np.minimum(np.maximum(x, low), high),
    "convert": lambda x: x,
    "cosine": np.cos,
    "divide": np.divide,
    "exponential": np.exp,
    "exponential_minus_one": np.expm1,
    "floor": np.floor,
    "log": np.log,
    "log_plus_one": np.log1p,
    "logistic": _logistic,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "multiply": np.multiply,
    "negate": np.negative,
    "not": np.logical_not,
    "or": np.logical_or,
    "power": np.power,
    "round_nearest_afz": _round_away,
    "round_nearest_even": np.rint,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "select": np.where,
    "sign": np.sign,
    "sine": np.sin,
    "sqrt": np.sqrt,
    "subtract": np.subtract,
    "tan": np.tan,
    "tanh": np.tanh,
}

#: Operations that compute each element by itself.
ELEMENTWISE = frozenset({*_PLAIN, "compare"})


def function_of(
    graph: Graph, ops: tuple[int, ...], root: int, output: int
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function of one number that elementwise operations compute of the value `root`.

    Their other operands are constants that are one number throughout.
    """

    def function(x: np.ndarray) -> np.ndarray:
        values: dict[int, Any] = {root: np.asarray(x, np.float64)}

        def operand(value: int) -> Any:
            if value in values:
                return values[value]
            number = graph.constants[value].reshape(-1)[0]
            return number if number.dtype == np.bool_ else np.float64(number)

        with np.errstate(all="ignore"):
            for index in ops:
                op = graph.op(index)
                own = [operand(value) for value in op.operands]
                if op.name == "compare":
                    values[op.result] = _compare(op, *own)
                else:
                    values[op.result] = _PLAIN[op.name](*own)
        return np.asarray(values[output], np.float64)

    return function
