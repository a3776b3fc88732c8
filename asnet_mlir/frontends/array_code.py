# SPDX-License-Identifier: Apache-2.0
"""A function of linalg on tensors, computed by numpy: an array operation for each op of a body.

What is computed once need not be compiled, which takes a thousand times as long as to compute it.
All ops here have bits that numpy's are equal to: exact ones of integers, correctly rounded ones of
float32.  A sum is taken term by term, in the order of its loops, for all its outputs at once.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from asnet_mlir.errors import UnsupportedError
from asnet_mlir.native.jit import assert_default_rounding

__all__ = ["compute_arrays"]

#: Ops that one linalg op may take one after the other, in a sum of many terms.
_MOST_STEPS = 100_000

_DTYPES: Mapping[str, Any] = {
    "f32": np.float32,
    "i1": np.bool_,
    "i8": np.int8,
    "i16": np.int16,
    "i32": np.int32,
    "i64": np.int64,
    "index": np.int64,
}
_Arrays = dict[Any, np.ndarray]


def compute_arrays(function: Any, arguments: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the results of a function of one block on tensors, of the approx dialect and unbound.

    Raises:
      UnsupportedError: it has an op or a type that is not computed here; nothing was computed.
    """
    block = function.regions[0].blocks[0]
    for op in block:
        _check(op)
    assert_default_rounding()
    values: _Arrays = dict(zip(block.arguments, arguments, strict=True))
    with np.errstate(all="ignore"):
        for op in block:
            operation = op.operation
            if operation.name == "func.return":
                return [values[operand] for operand in operation.operands]
            if operation.name == "linalg.generic":
                values[operation.results[0]] = _Generic(op, values).compute()
            elif operation.name == "tensor.pad":
                widths, fill = _padding(operation)
                padded = np.pad(values[operation.operands[0]], widths, constant_values=values[fill])
                values[operation.results[0]] = padded
            else:
                values[operation.results[0]] = _compute(operation, values)
    raise UnsupportedError("a function without results")


def _check(op: Any) -> None:
    """Refuse what is not computed here."""
    operation = op.operation
    name = operation.name
    kinds = [str(getattr(value.type, "element_type", value.type)) for value in operation.results]
    if not all(kind in _DTYPES for kind in kinds):
        raise UnsupportedError(f"{name} of {', '.join(kinds)}")
    if name == "linalg.generic":
        if len(operation.results) != 1:
            raise UnsupportedError("linalg.generic of several results")
        generic = _Generic(op, {})
        body = operation.regions[0].blocks[0]
        for inner in body:
            _check(inner)
        steps = len(list(body)) * int(np.prod([generic.ranges[d] for d in generic.reduced] or [1]))
        if generic.reduced and steps > _MOST_STEPS:
            raise UnsupportedError("a sum of many terms")
    elif name == "tensor.pad":
        _padding(operation)
    elif name in ("tensor.extract_slice", "tensor.insert_slice"):
        _slices(operation)
    elif name not in _OPS and name not in ("func.return", "linalg.yield", "linalg.index"):
        raise UnsupportedError(name)


def _compute(op: Any, values: _Arrays) -> np.ndarray:
    return _OPS[op.name](op, *(values[operand] for operand in op.operands))


class _Generic:
    """A `linalg.generic` of one result."""

    def __init__(self, op: Any, values: _Arrays) -> None:
        self._op = op.operation
        self._values = values
        attributes = op.attributes
        self._maps = [entry.value for entry in attributes["indexing_maps"]]
        iterators = [str(entry) for entry in attributes["iterator_types"]]
        self.ranges = self._find_ranges(len(iterators))
        self.reduced = [d for d, kind in enumerate(iterators) if "reduction" in kind]

    def _find_ranges(self, loops: int) -> list[int]:
        from mlir import ir

        ranges: dict[int, int] = {}
        for operand, map in zip(self._op.operands, self._maps, strict=True):
            for result, size in zip(map.results, getattr(operand.type, "shape", ()), strict=True):
                if isinstance(result, ir.AffineDimExpr):
                    ranges[result.position] = size
        if len(ranges) != loops:
            raise UnsupportedError("a loop whose length no operand has")
        return [ranges[d] for d in range(loops)]

    def compute(self) -> np.ndarray:
        *inputs, init = (self._values[operand] for operand in self._op.operands)
        *input_maps, output_map = self._maps
        body = self._op.regions[0].blocks[0]
        *arguments, accumulator = body.arguments
        result = init.copy()
        sums: np.ndarray | None = None
        for indices in self._points():
            inside = dict(self._values)
            for argument, array, map in zip(arguments, inputs, input_maps, strict=True):
                inside[argument] = _signless(array[_at(map, indices)])
            inside[accumulator] = init[_at(output_map, indices)] if sums is None else sums
            sums = self._body(body, inside, indices)
            place = _at(output_map, indices)
        if sums is not None:
            result[place] = sums
        return result

    def _points(self) -> Iterator[list[np.ndarray]]:
        """Yield the indices of all loops, those of sums fixed: all terms, the last loop fastest."""
        parallel = [size if d not in self.reduced else 1 for d, size in enumerate(self.ranges)]
        grid = list(np.ogrid[tuple(slice(size) for size in parallel)])
        for point in itertools.product(*(range(self.ranges[d]) for d in self.reduced)):
            for dimension, index in zip(self.reduced, point, strict=True):
                grid[dimension] = np.full((1,) * len(parallel), index)
            yield grid

    def _body(self, body: Any, values: _Arrays, indices: list[np.ndarray]) -> np.ndarray:
        for op in body:
            operation = op.operation
            if operation.name == "linalg.yield":
                return values[operation.operands[0]]
            if operation.name == "linalg.index":
                values[operation.results[0]] = indices[operation.attributes["dim"].value]
            else:
                values[operation.results[0]] = _compute(operation, values)
        raise UnsupportedError("a body without a result")


def _at(map: Any, indices: list[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Return where an affine map leads from the indices of all loops."""
    return tuple(_index(result, indices) for result in map.results)


def _index(expression: Any, indices: list[np.ndarray]) -> np.ndarray:
    from mlir import ir

    if isinstance(expression, ir.AffineDimExpr):
        return indices[expression.position]
    if isinstance(expression, ir.AffineConstantExpr):
        return np.asarray(expression.value)
    for kind, combine in ((ir.AffineAddExpr, operator.add), (ir.AffineMulExpr, operator.mul)):
        if isinstance(expression, kind):
            return combine(_index(expression.lhs, indices), _index(expression.rhs, indices))
    raise UnsupportedError("an index that divides")


def _dtype(op: Any) -> Any:
    kind = op.results[0].type
    return _DTYPES[str(getattr(kind, "element_type", kind))]


def _constant(op: Any) -> np.ndarray:
    from mlir import ir

    value = op.attributes["value"]
    if isinstance(value, ir.DenseElementsAttr):
        return np.array(value).astype(_dtype(op))
    return np.asarray(value.value).astype(_dtype(op))


def _reshaped(op: Any, x: np.ndarray) -> np.ndarray:
    return x.reshape(op.results[0].type.shape)


def _static(op: Any, name: str) -> list[int]:
    numbers = list(op.attributes[name])
    if any(number < 0 for number in numbers):  # stands for an operand, or has no meaning here
        raise UnsupportedError(f"{op.name} of sizes that are not constants")
    return numbers


def _padding(op: Any) -> tuple[list[tuple[int, int]], Any]:
    """Return how much a `tensor.pad` adds before and behind each dimension, and its value."""
    block = op.regions[0].blocks[0]
    (end,) = block.operations
    fill = end.operands[0]
    if fill in list(block.arguments):
        raise UnsupportedError("tensor.pad of values by their places")
    return list(zip(_static(op, "static_low"), _static(op, "static_high"), strict=True)), fill


def _slices(op: Any) -> tuple[slice, ...]:
    """Return the part of a tensor that a slice takes or changes."""
    offsets, sizes, strides = (
        _static(op, f"static_{name}") for name in ("offsets", "sizes", "strides")
    )
    return tuple(
        slice(start, start + size * step, step)
        for start, size, step in zip(offsets, sizes, strides, strict=True)
    )


def _extracted(op: Any, x: np.ndarray) -> np.ndarray:
    return x[_slices(op)].reshape(op.results[0].type.shape)


def _inserted(op: Any, part: np.ndarray, x: np.ndarray) -> np.ndarray:
    result = x.copy()
    place = result[_slices(op)]
    place[...] = part.reshape(place.shape)
    return result


def _signless(x: np.ndarray) -> np.ndarray:
    """Return numbers as ops take them: numpy would make 64 bits of unsigned and signed ones."""
    return x.view(f"i{x.itemsize}") if x.dtype.kind == "u" else x


def _unsigned(x: np.ndarray) -> np.ndarray:
    return x.view(f"u{x.itemsize}") if x.dtype != np.bool_ else x


_Function = Callable[..., np.ndarray]
_COMPARE: tuple[_Function, ...] = (np.equal, np.not_equal, np.less, np.less_equal)
_COMPARE += (np.greater, np.greater_equal)


def _compare_integers(op: Any, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    predicate = op.attributes["predicate"].value  # eq, ne, signed ones, unsigned ones
    if predicate < 6:
        return _COMPARE[predicate](a, b)
    return _COMPARE[predicate - 4](_unsigned(a), _unsigned(b))


_ORDERED = (np.equal, np.greater, np.greater_equal, np.less, np.less_equal, np.not_equal)


def _compare_floats(op: Any, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    predicate = op.attributes["predicate"].value  # false, ordered, ord, unordered, uno, true
    is_nan = np.isnan(a) | np.isnan(b)
    if predicate in (0, 15):
        return np.full(is_nan.shape, predicate == 15)
    if predicate in (7, 14):
        return is_nan == (predicate == 14)
    if predicate < 7:
        return _ORDERED[predicate - 1](a, b) & ~is_nan
    return _ORDERED[predicate - 8](a, b) | is_nan


def _plain(function: _Function) -> _Function:
    return lambda op, *operands: function(*operands)


def _unsigned_shift(op: Any, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.right_shift(_unsigned(a), _unsigned(b)).view(a.dtype)


def _converted(op: Any, x: np.ndarray) -> np.ndarray:
    return np.asarray(x).astype(_dtype(op))


def _zero_extended(op: Any, x: np.ndarray) -> np.ndarray:
    return _unsigned(x).astype(_dtype(op))


def _to_float(op: Any, x: np.ndarray) -> np.ndarray:
    return (-x.astype(np.int8) if x.dtype == np.bool_ else x).astype(np.float32)


def _sign_extended(op: Any, x: np.ndarray) -> np.ndarray:
    return (-x.astype(np.int8) if x.dtype == np.bool_ else x).astype(_dtype(op))


def _truncated(op: Any, x: np.ndarray) -> np.ndarray:
    return (x & 1).astype(np.bool_) if _dtype(op) is np.bool_ else x.astype(_dtype(op))


_OPS: Mapping[str, _Function] = {
    "approx.addf": _plain(np.add),
    "approx.subf": _plain(np.subtract),
    "approx.mulf": _plain(np.multiply),
    "approx.divf": _plain(np.divide),
    "arith.negf": _plain(np.negative),
    "arith.addi": _plain(np.add),
    "arith.subi": _plain(np.subtract),
    "arith.muli": _plain(np.multiply),
    "arith.maxsi": _plain(np.maximum),
    "arith.minsi": _plain(np.minimum),
    "arith.andi": _plain(np.bitwise_and),
    "arith.ori": _plain(np.bitwise_or),
    "arith.xori": _plain(np.bitwise_xor),
    "arith.shli": _plain(np.left_shift),
    "arith.shrsi": _plain(np.right_shift),
    "arith.shrui": _unsigned_shift,
    "arith.cmpi": _compare_integers,
    "arith.cmpf": _compare_floats,
    "arith.select": _plain(np.where),
    "arith.bitcast": lambda op, x: np.ascontiguousarray(x).view(_dtype(op)).reshape(x.shape),
    "arith.extui": _zero_extended,
    "arith.extsi": _sign_extended,
    "arith.trunci": _truncated,
    "arith.sitofp": _to_float,
    "arith.index_cast": _converted,
    "arith.constant": _constant,
    "tensor.empty": lambda op: np.empty(op.results[0].type.shape, _dtype(op)),
    "tensor.extract_slice": _extracted,
    "tensor.insert_slice": _inserted,
    "tensor.expand_shape": _reshaped,
    "tensor.collapse_shape": _reshaped,
}
