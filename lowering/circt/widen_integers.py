# SPDX-License-Identifier: Apache-2.0
"""Carry integers of odd widths in 32 or 64 bits.

A netlist is full of i26 and i57.  LLVM computes such vectors element by element; held in the lower
bits of i32 and i64 elements they are ordinary vector code, several times faster.

Invariant: the bits of a container above the value's width are 0.  i1 stays i1, which becomes a mask
register.  Runs in CIRCT's process, after `convert-comb-to-arith`.
"""

from __future__ import annotations

from collections.abc import Callable

from circt.dialects import arith, func
from circt.ir import (
    FunctionType,
    InsertionPoint,
    IntegerAttr,
    IntegerType,
    Operation,
    Type,
    Value,
)

__all__ = ["widen"]

_SIGNED_PREDICATES = (2, 3, 4, 5)
_SAME_IN_CONTAINER = {
    "arith.andi": arith.AndIOp,
    "arith.ori": arith.OrIOp,
    "arith.xori": arith.XOrIOp,
    "arith.shrui": arith.ShRUIOp,
    "arith.divui": arith.DivUIOp,
    "arith.remui": arith.RemUIOp,
    "arith.maxui": arith.MaxUIOp,
    "arith.minui": arith.MinUIOp,
}
_MASK_AFTER = {
    "arith.addi": arith.AddIOp,
    "arith.subi": arith.SubIOp,
    "arith.muli": arith.MulIOp,
    "arith.shli": arith.ShLIOp,
}
_SIGNED = {
    "arith.divsi": arith.DivSIOp,
    "arith.remsi": arith.RemSIOp,
    "arith.maxsi": arith.MaxSIOp,
    "arith.minsi": arith.MinSIOp,
}


class _NotCovered(Exception):
    pass


def _container(width: int) -> int:
    return width if width == 1 or width > 64 else 32 if width <= 32 else 64


def _constant(value: int, width: int) -> Value:
    kind = IntegerType.get_signless(width)
    if width < 64 or value < 1 << 63:
        value -= (value >> (width - 1)) << width
        return arith.ConstantOp(kind, IntegerAttr.get(kind, value)).result
    return arith.ConstantOp(kind, IntegerAttr.get(kind, value - (1 << 64))).result


def _masked(value: Value, width: int) -> Value:
    have = IntegerType(value.type).width
    if width == have:
        return value
    return arith.AndIOp(value, _constant((1 << width) - 1, have)).result


def _signed(value: Value, width: int) -> Value:
    """Return the container with the sign of its value in its upper bits."""
    have = IntegerType(value.type).width
    if width == have:
        return value
    distance = _constant(have - width, have)
    return arith.ShRSIOp(arith.ShLIOp(value, distance).result, distance).result


def _resized(value: Value, width: int, extend: Callable[..., Operation]) -> Value:
    have = IntegerType(value.type).width
    if have == width:
        return value
    kind = IntegerType.get_signless(width)
    return (extend if width > have else arith.TruncIOp)(kind, value).result


def widen(function: func.FuncOp) -> func.FuncOp:
    """Replace a function of one block of `arith` by one on containers; return the function to use.

    The old function is returned where it holds an operation that is not known here.
    """
    symbol = function.name.value
    types = function.type
    wide = func.FuncOp(
        symbol,
        FunctionType.get(types.inputs, types.results),
        visibility="private",
        ip=InsertionPoint(function),
    )
    try:
        with InsertionPoint(wide.add_entry_block()):
            _rewrite(function, wide)
    except _NotCovered:
        wide.erase()
        return function
    function.erase()
    return wide


def _width(kind: Type) -> int | None:
    return IntegerType(kind).width if isinstance(kind, IntegerType) else None


def _rewrite(function: func.FuncOp, wide: func.FuncOp) -> None:
    values: dict[Value, Value] = {}
    for old, new in zip(function.arguments, wide.arguments, strict=True):
        width = _width(old.type)
        values[old] = new if width is None else _resized(new, _container(width), arith.ExtUIOp)
    for operation in function.entry_block.operations:
        if operation.name == "func.return":
            results = []
            for old in operation.operands:
                width = _width(old.type)
                new = values[old]
                results.append(new if width is None else _resized(new, width, arith.ExtUIOp))
            func.ReturnOp(results)
        else:
            values[operation.results[0]] = _rewrite_one(operation, values)


def _rewrite_one(  # noqa: C901 (a branch for each kind of op)
    operation: Operation, values: dict[Value, Value]
) -> Value:
    operation = operation.operation
    name = operation.name
    old = list(operation.operands)
    new = [values[value] for value in old]
    width = _width(operation.results[0].type)
    if name == "arith.constant":
        attribute = operation.attributes["value"]
        if width is None or width > 64:
            return arith.ConstantOp(operation.results[0].type, attribute).result
        number = IntegerAttr(attribute).value & ((1 << width) - 1)
        return _constant(number, _container(width))
    if name == "arith.bitcast":
        return arith.BitcastOp(operation.results[0].type, new[0]).result
    if name == "arith.cmpf":
        return arith.CmpFOp(operation.attributes["predicate"], *new).result
    if name == "arith.select":
        return arith.SelectOp(*new).result
    if width is None or any(_width(value.type) is None for value in old):
        raise _NotCovered(name)
    from_width = _width(old[0].type) or 0
    if name == "func.call":  # a ROM's function, on the widths that it is declared with
        arguments = [
            _resized(value, _width(was.type) or 0, arith.ExtUIOp)
            for was, value in zip(old, new, strict=True)
        ]
        callee = operation.attributes["callee"]
        word = func.CallOp([operation.results[0].type], callee, arguments).result
        return _resized(word, _container(width), arith.ExtUIOp)
    if name in _SAME_IN_CONTAINER:
        return _SAME_IN_CONTAINER[name](*new).result
    if name in _MASK_AFTER:
        return _masked(_MASK_AFTER[name](*new).result, width)
    if name in _SIGNED:
        return _masked(_SIGNED[name](*(_signed(value, width) for value in new)).result, width)
    if name == "arith.shrsi":
        return _masked(arith.ShRSIOp(_signed(new[0], width), new[1]).result, width)
    if name == "arith.cmpi":
        predicate = operation.attributes["predicate"]
        if IntegerAttr(predicate).value in _SIGNED_PREDICATES:
            new = [_signed(value, from_width) for value in new]
        return arith.CmpIOp(predicate, *new).result
    if name == "arith.extui":
        return _resized(new[0], _container(width), arith.ExtUIOp)
    if name == "arith.extsi":
        value = _resized(_signed(new[0], from_width), _container(width), arith.ExtSIOp)
        return _masked(value, width)
    if name == "arith.trunci":
        return _masked(_resized(new[0], _container(width), arith.ExtUIOp), width)
    raise _NotCovered(name)
