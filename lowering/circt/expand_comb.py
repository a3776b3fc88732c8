# SPDX-License-Identifier: Apache-2.0
"""Expand what CIRCT's canonicaliser makes of plain logic and `convert-comb-to-arith` leaves alone.

* The exclusive or of all bits becomes `comb.parity`, bits in the opposite order `comb.reverse`;
* a chain of multiplexers on one index (a `case`) an array and its element (`hw.array_get`).

Runs in CIRCT's process, between `canonicalize` and `convert-comb-to-arith`, on one block.
"""

from __future__ import annotations

from circt.dialects import comb, func, hw
from circt.ir import ArrayAttr, InsertionPoint, IntegerAttr, IntegerType, Operation, Value

__all__ = ["expand", "extract", "parity"]


def _int(width: int) -> IntegerType:
    return IntegerType.get_signless(width)


def _width(value: Value) -> int:
    return IntegerType(value.type).width


def extract(value: Value, low: int, width: int) -> Value:
    """Return `width` bits of a value."""
    if low == 0 and width == _width(value):
        return value
    return comb.ExtractOp(_int(width), value, IntegerAttr.get(_int(32), low)).result


def parity(value: Value) -> Value:
    """Return the exclusive or of a value's bits."""
    # Folding halves keeps the width of vectors; arith has no population count.
    width = _width(value)
    step = 1 << max(width - 1, 0).bit_length() >> 1
    while step:
        if step < width:
            distance = hw.ConstantOp(IntegerAttr.get(_int(width), step)).result
            value = comb.XorOp([value, comb.ShrUOp(value, distance).result]).result
        step >>= 1
    return extract(value, 0, 1)


def _element(elements: list[Value], index: Value) -> Value:
    """Choose by the bits of an index, lowest first; beyond the end is the last element."""
    for position in range(_width(index)):
        if len(elements) == 1:
            break
        bit = extract(index, position, 1)
        pairs = [elements[k : k + 2] for k in range(0, len(elements), 2)]
        elements = [
            pair[0] if len(pair) == 1 or pair[0] == pair[1] else _mux(bit, pair[1], pair[0])
            for pair in pairs
        ]
    return elements[0]


def _mux(condition: Value, true: Value, false: Value) -> Value:
    return comb.MuxOp(condition, true, false).result


def expand(function: func.FuncOp) -> None:
    """Replace arrays, parities and reversals in the function's block; others are left alone."""
    arrays: dict[Value, list[Value]] = {}  # lowest index first
    replaced: list[Operation] = []
    for view in list(function.entry_block.operations):
        operation = view.operation
        operands = list(operation.operands)
        name = operation.name
        with InsertionPoint(operation):
            if name == "hw.array_create":
                arrays[operation.results[0]] = operands[::-1]
            elif name == "hw.aggregate_constant":
                numbers = [IntegerAttr(item) for item in ArrayAttr(operation.attributes["fields"])]
                arrays[operation.results[0]] = [
                    hw.ConstantOp(number).result for number in reversed(numbers)
                ]
            elif name == "hw.array_concat":
                parts = [arrays[operand] for operand in reversed(operands)]
                arrays[operation.results[0]] = [item for part in parts for item in part]
            elif name == "hw.array_slice":
                count = hw.ArrayType(operation.results[0].type).size
                items = arrays[operands[0]]
                arrays[operation.results[0]] = [
                    _element(items[k : len(items) - count + k + 1], operands[1])
                    for k in range(count)
                ]
            elif name == "hw.array_get":
                value = _element(arrays[operands[0]], operands[1])
                operation.results[0].replace_all_uses_with(value)
            elif name == "comb.parity":
                operation.results[0].replace_all_uses_with(parity(operands[0]))
            elif name == "comb.reverse":
                bits = [extract(operands[0], k, 1) for k in range(_width(operands[0]))]
                value = comb.ConcatOp(bits).result if len(bits) > 1 else operands[0]
                operation.results[0].replace_all_uses_with(value)
            else:
                continue
        replaced.append(operation)
    for operation in reversed(replaced):
        operation.erase()
