# SPDX-License-Identifier: Apache-2.0
"""Model texts as terms: parsed, evaluated exactly on arrays, and built as bit-vector terms for z3.

The texts are `func.func private @f(%a, %b) -> r` with one block of integer `arith`, as
`lowering/circt/comb_to_arith.py` writes them; f32 operands and results are read as their bits.

`arith` has undefined results where Verilog has none: a shift by the width or more is poison, a
division by zero (or of the least number by -1) undefined behaviour.  Evaluation says where a result
rests on one; a term has a fresh variable in its place, so that no proof can rely on any value, and
`Terms.undefined` collects the divisions, which a proof must exclude.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.ir import new_context

__all__ = ["Function", "Node", "Terms", "build_terms", "evaluate", "known_zeros", "parse"]

_BINARY = {
    *("arith.addi", "arith.subi", "arith.muli", "arith.andi", "arith.ori", "arith.xori"),
    *("arith.shli", "arith.shrui", "arith.shrsi"),
    *("arith.divui", "arith.divsi", "arith.remui", "arith.remsi"),
    *("arith.maxui", "arith.maxsi", "arith.minui", "arith.minsi"),
}
_CASTS = {"arith.extui", "arith.extsi", "arith.trunci", "arith.bitcast"}
_PREDICATES = ("eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge")
_UNORDERED = 14


@dataclass(frozen=True)
class Node:
    """One value: `op` without its dialect, indices of its operands, bits.

    `value` is a constant's bits, the position of an argument, or a comparison's predicate.
    """

    op: str
    operands: tuple[int, ...]
    width: int
    value: int | str = 0


@dataclass(frozen=True)
class Function:
    """A parsed model; nodes are in an order in which operands come first, arguments being 0 and 1.

    `is_float` tells for (a, b, result) whether its bits are those of an f32.
    """

    symbol: str
    nodes: tuple[Node, ...]
    result: int
    is_float: tuple[bool, bool, bool]

    @property
    def widths(self) -> tuple[int, int, int]:
        """Bits of a, b and the result."""
        return self.nodes[0].width, self.nodes[1].width, self.nodes[self.result].width


def parse(text: str) -> Function:
    """Return the function that a model text holds.

    Raises:
      InputError: no such function, or not the text of one.
      UnsupportedError: an operation or type that has no meaning here (a native model's, say).
    """
    from mlir import ir

    with new_context() as context, ir.Location.unknown():
        context.allow_unregistered_dialects = True  # an unknown operation is named below
        try:
            module = ir.Module.parse(text)
        except ir.MLIRError as error:
            raise InputError(f"the model is not MLIR: {' '.join(str(error).split())}") from None
        functions = list(module.body.operations)
        if len(functions) != 1 or functions[0].operation.name != "func.func":
            raise InputError("the model must be one func.func")
        function = functions[0]
        blocks = list(function.regions[0].blocks)
        if len(blocks) != 1 or len(blocks[0].arguments) != 2:
            raise InputError("the model must have one block and two operands")
        return _read_block(ir, function.name.value, blocks[0])


def _read_block(ir: Any, symbol: str, block: Any) -> Function:
    f32 = ir.F32Type.get()

    def width_of(kind: Any) -> int:
        if kind == f32:
            return 32
        if isinstance(kind, ir.IntegerType):
            return kind.width
        raise UnsupportedError(f"{symbol}: type {kind} has no meaning as bits")

    nodes = [
        Node("argument", (), width_of(argument.type), position)
        for position, argument in enumerate(block.arguments)
    ]
    index = {argument: position for position, argument in enumerate(block.arguments)}
    for wrapper in block.operations:
        operation = wrapper.operation
        operands = tuple(index[value] for value in operation.operands)
        if operation.name == "func.return":
            if len(operands) != 1:
                raise InputError(f"{symbol}: a model has one result")
            floats = [v.type == f32 for v in (*block.arguments, operation.operands[0])]
            return Function(symbol, tuple(nodes), operands[0], (floats[0], floats[1], floats[2]))
        if len(operation.results) != 1:
            raise UnsupportedError(f"{symbol}: operation {operation.name} is not supported")
        width = width_of(operation.results[0].type)
        nodes.append(_read_operation(symbol, operation, operands, width, nodes))
        index[operation.results[0]] = len(nodes) - 1
    raise InputError(f"{symbol}: the model has no return")


def _read_operation(
    symbol: str, operation: Any, operands: tuple[int, ...], width: int, nodes: list[Node]
) -> Node:
    name = operation.name
    short = name.removeprefix("arith.")
    attributes = operation.attributes
    if "overflowFlags" in attributes and "none" not in str(attributes["overflowFlags"]):
        raise UnsupportedError(f"{symbol}: {name} with {attributes['overflowFlags']}")
    if "isExact" in attributes:
        raise UnsupportedError(f"{symbol}: {name} exact is not supported")
    if name == "arith.constant":
        return Node("constant", (), width, _constant_bits(symbol, str(attributes["value"]), width))
    if name in _BINARY:
        return Node(short, operands, width)
    if name in _CASTS:
        return Node(short, operands, width)
    if name == "arith.select" and nodes[operands[0]].width == 1:
        return Node("select", operands, width)
    if name == "arith.cmpi":
        predicate = int(str(attributes["predicate"]).split(":")[0])
        return Node("cmpi", operands, 1, _PREDICATES[predicate])
    if name == "arith.cmpf":
        # `x uno x` is how a model asks whether an operand is NaN; others need float terms.
        predicate = int(str(attributes["predicate"]).split(":")[0])
        if predicate == _UNORDERED and operands[0] == operands[1] and _is_f32(operation):
            return Node("isnan", operands[:1], 1)
    raise UnsupportedError(f"{symbol}: operation {name} is not supported in a proof")


def _is_f32(operation: Any) -> bool:
    return str(operation.operands[0].type) == "f32"


def _constant_bits(symbol: str, text: str, width: int) -> int:
    if text in ("true", "false"):
        return int(text == "true")
    number, _, kind = text.partition(" : ")
    if kind == "f32":
        if number.startswith("0x"):
            return int(number, 16)
        return int(np.float32(float(number)).view(np.uint32))
    try:
        return int(number) & ((1 << width) - 1)
    except ValueError:
        raise UnsupportedError(f"{symbol}: constant {text} is not supported in a proof") from None


# ---- Evaluation


def evaluate(
    function: Function, a: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the results for arrays of operand bits, and where they rest on an undefined value.

    Args:
      a, b: 1-D arrays of one length: unsigned integers, or Python integers as objects.

    Returns:
      Result bits (uint64, or objects for results wider than 64 bits) and a boolean array, None
      where every result is defined.
    """
    values, undefined = evaluate_nodes(function, a, b)
    return values[function.result], undefined[function.result]


def evaluate_nodes(
    function: Function, a: np.ndarray, b: np.ndarray
) -> tuple[list[np.ndarray], list[np.ndarray | None]]:
    """Return the bits of every node and where each is undefined, as `evaluate` does."""
    values: list[np.ndarray] = []
    undefined: list[np.ndarray | None] = []
    nodes = function.nodes
    for node in nodes:
        operands = [values[k] for k in node.operands]
        widths = [nodes[k].width for k in node.operands]
        big = node.width > 64 or any(width > 64 for width in widths)
        operands = [_as(value, big) for value in operands]
        poison = _merge(undefined[k] for k in node.operands)
        extra: np.ndarray | None = None
        if node.op == "argument":
            value = _as(np.asarray((a, b)[int(node.value)]), node.width > 64)
            value = value & _ones(node.width, big)
        elif node.op == "constant":
            value = np.full(a.shape, node.value, object if big else np.uint64)
        elif node.op == "select":
            condition = operands[0].astype(bool)
            value = np.where(condition, operands[1], operands[2])
            poison = undefined[node.operands[0]]
            if any(undefined[k] is not None for k in node.operands[1:]):
                none = np.zeros(a.shape, bool)
                yes, no = (undefined[k] for k in node.operands[1:])
                taken = np.where(
                    condition, none if yes is None else yes, none if no is None else no
                )
                poison = taken if poison is None else poison | taken
        else:
            value, extra = _operate(node, operands, widths, big)
        value = _as(value, node.width > 64)
        values.append(value)
        undefined.append(_merge((poison, extra if extra is not None and extra.any() else None)))
    return values, undefined


def _as(values: np.ndarray, big: bool) -> np.ndarray:
    if big:
        return values if values.dtype == object else values.astype(object)
    return values if values.dtype == np.uint64 else values.astype(np.uint64)


def _ones(width: int, big: bool) -> Any:
    return (1 << width) - 1 if big else np.uint64((1 << width) - 1)


def _merge(masks: Any) -> np.ndarray | None:
    result: np.ndarray | None = None
    for mask in masks:
        if mask is not None:
            result = mask if result is None else result | mask
    return result


def _operate(  # noqa: C901 (a branch for each kind of op)
    node: Node, operands: list[np.ndarray], widths: list[int], big: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the value of one operation and where it is undefined."""
    ones = _ones(node.width, big)
    have = widths[0]
    x = operands[0]
    y = operands[1] if len(operands) > 1 else x

    def number(value: int) -> Any:
        return value if big else np.uint64(value)

    def signed(value: np.ndarray) -> np.ndarray:
        if big:
            half = 1 << (have - 1)
            return (value ^ half) - half
        distance = np.int64(64 - have)
        return (value << np.uint64(64 - have)).view(np.int64) >> distance

    def bits(value: np.ndarray) -> np.ndarray:
        return value & ones if big else value.astype(np.int64).view(np.uint64) & ones

    op = node.op
    if op in ("andi", "ori", "xori"):
        return {"andi": x & y, "ori": x | y, "xori": x ^ y}[op], None
    if op in ("addi", "subi", "muli"):
        with np.errstate(over="ignore"):
            value = x + y if op == "addi" else x - y if op == "subi" else x * y
        return value & ones, None
    if op in ("shli", "shrui", "shrsi"):
        beyond = np.asarray(y >= number(have), bool)
        amount = np.where(beyond, number(0), y)
        if op == "shli":
            value = (x << amount) & ones
        elif op == "shrui":
            value = x >> amount
        else:
            value = bits(signed(x) >> (amount if big else amount.astype(np.int64)))
        return np.where(beyond, number(0), value), beyond
    if op in ("divui", "remui", "divsi", "remsi"):
        zero = np.asarray(y == number(0), bool)
        if op in ("divsi", "remsi"):
            least = x == number(1 << (have - 1))
            zero = zero | np.asarray(least & (y == ones), bool)
        divisor = np.where(zero, number(1), y)
        dividend = np.where(zero, number(0), x)
        if op in ("divui", "remui"):
            return (dividend // divisor if op == "divui" else dividend % divisor), zero
        left, right = signed(dividend), signed(divisor)
        quotient = abs(left) // abs(right) * np.where((left < 0) == (right < 0), 1, -1)
        return bits(quotient if op == "divsi" else left - quotient * right), zero
    if op in ("maxui", "minui"):
        return np.where((x >= y) == (op == "maxui"), x, y), None
    if op in ("maxsi", "minsi"):
        return np.where((signed(x) >= signed(y)) == (op == "maxsi"), x, y), None
    if op == "cmpi":
        kind = str(node.value)
        if kind[0] == "s":
            x, y = signed(x), signed(y)
        relation = {"eq": "eq", "ne": "ne"}.get(kind, kind[1:])
        truth = {
            "eq": lambda: x == y,
            "ne": lambda: x != y,
            "lt": lambda: x < y,
            "le": lambda: x <= y,
            "gt": lambda: x > y,
            "ge": lambda: x >= y,
        }[relation]()
        return np.asarray(truth, bool).astype(object if big else np.uint64), None
    if op in ("extui", "bitcast"):
        return x, None
    if op == "trunci":
        return x & ones, None
    if op == "extsi":
        return bits(signed(x)), None
    if op == "isnan":
        return ((x & np.uint64(0x7FFFFFFF)) > np.uint64(0x7F800000)).astype(np.uint64), None
    raise UnsupportedError(f"operation {op} is not supported in a proof")


# ---- What is known without a solver


def known_zeros(function: Function, masks: tuple[int, int] | None = None) -> list[int]:
    """Return for each node a mask of bits that are 0 whatever the operands are.

    Args:
      masks: the bits of a and b that may be set.
    """
    known: list[int] = []
    nodes = function.nodes
    for node in nodes:
        ones = (1 << node.width) - 1
        zeros = [known[k] for k in node.operands]
        op, value = node.op, 0
        if op == "argument":
            value = ~masks[int(node.value)] if masks is not None else 0
        elif op == "constant":
            value = ~int(node.value)
        elif op == "andi":
            value = zeros[0] | zeros[1]
        elif op in ("ori", "xori"):
            value = zeros[0] & zeros[1]
        elif op == "select":
            value = zeros[1] & zeros[2]
        elif op in ("addi", "muli"):
            tops = [
                _top(zero, nodes[k].width) for zero, k in zip(zeros, node.operands, strict=True)
            ]
            lows = [_low(zero) for zero in zeros]
            top = max(tops) + 1 if op == "addi" else sum(tops)
            low = min(lows) if op == "addi" else sum(lows)
            value = ones & ~((1 << min(top, node.width)) - 1) | ((1 << min(low, node.width)) - 1)
        elif op in ("shli", "shrui"):
            amount = nodes[node.operands[1]]
            if amount.op == "constant" and int(amount.value) < node.width:
                by = int(amount.value)
                if op == "shli":
                    value = zeros[0] << by | ((1 << by) - 1)
                else:
                    value = zeros[0] >> by | ones & ~(ones >> by)
        elif op == "extui":
            value = zeros[0] | ones & ~((1 << nodes[node.operands[0]].width) - 1)
        elif op in ("trunci", "bitcast"):
            value = zeros[0]
        elif op in ("divui", "remui", "minui"):
            value = ones & ~((1 << _top(zeros[0], node.width)) - 1)
        known.append(value & ones)
    return known


def _top(zeros: int, width: int) -> int:
    """Return how many bits a value needs at most."""
    return (((1 << width) - 1) & ~zeros).bit_length()


def _low(zeros: int) -> int:
    """Return how many of a value's lowest bits are 0 at least."""
    return ((zeros + 1) & ~zeros).bit_length() - 1


# ---- Terms


@dataclass
class Terms:
    """The z3 terms of a function's nodes, and the condition under which it is undefined."""

    values: list[Any]
    undefined: list[Any]
    fresh: list[Any]


def build_terms(function: Function, arguments: Sequence[Any], *, prefix: str) -> Terms:
    """Build the terms of all nodes over bit-vector terms for the arguments.

    Args:
      arguments: terms of a and b.
      prefix: of fresh variables' names.
    """
    import z3

    terms = Terms([], [], [])
    for index, node in enumerate(function.nodes):
        operands = [terms.values[k] for k in node.operands]
        name = f"{prefix}!{index}"
        terms.values.append(_term(z3, node, operands, arguments, terms, name))
    return terms


def _term(  # noqa: C901 (likewise)
    z3: Any, node: Node, operands: list[Any], arguments: Sequence[Any], terms: Terms, name: str
) -> Any:
    op, width = node.op, node.width

    def fresh() -> Any:
        variable = z3.BitVec(f"undefined!{name}", width)
        terms.fresh.append(variable)
        return variable

    def bit(condition: Any) -> Any:
        return z3.If(condition, z3.BitVecVal(1, 1), z3.BitVecVal(0, 1))

    if op == "argument":
        return arguments[int(node.value)]
    if op == "constant":
        return z3.BitVecVal(int(node.value), width)
    x = operands[0]
    have = x.size()
    if op == "select":
        return z3.If(x == z3.BitVecVal(1, 1), operands[1], operands[2])
    if op == "extui":
        return z3.ZeroExt(width - have, x)
    if op == "extsi":
        return z3.SignExt(width - have, x)
    if op == "trunci":
        return z3.Extract(width - 1, 0, x)
    if op == "bitcast":
        return x
    if op == "isnan":
        limit = z3.BitVecVal(0x7F800000, 32)
        return bit(z3.UGT(x & z3.BitVecVal(0x7FFFFFFF, 32), limit))
    y = operands[1]
    if op in ("shli", "shrui", "shrsi"):
        value = x << y if op == "shli" else z3.LShR(x, y) if op == "shrui" else x >> y
        if z3.is_bv_value(y) and y.as_long() < have:
            return value
        if have == 1:  # 1 as a limit does not exceed the width of the amount
            return z3.If(y == 0, value, fresh())
        return z3.If(z3.ULT(y, z3.BitVecVal(have, have)), value, fresh())
    if op in ("divui", "divsi", "remui", "remsi"):
        bad = y == 0
        if op in ("divsi", "remsi"):
            least = z3.BitVecVal(1 << (have - 1), have)
            bad = z3.Or(bad, z3.And(x == least, y == z3.BitVecVal(-1, have)))
        terms.undefined.append(bad)
        return {
            "divui": lambda: z3.UDiv(x, y),
            "divsi": lambda: x / y,
            "remui": lambda: z3.URem(x, y),
            "remsi": lambda: z3.SRem(x, y),
        }[op]()
    if op == "cmpi":
        relations = {
            "eq": lambda: x == y,
            "ne": lambda: x != y,
            "slt": lambda: x < y,
            "sle": lambda: x <= y,
            "sgt": lambda: x > y,
            "sge": lambda: x >= y,
            "ult": lambda: z3.ULT(x, y),
            "ule": lambda: z3.ULE(x, y),
            "ugt": lambda: z3.UGT(x, y),
            "uge": lambda: z3.UGE(x, y),
        }
        return bit(relations[str(node.value)]())
    choices = {
        "addi": lambda: x + y,
        "subi": lambda: x - y,
        "muli": lambda: x * y,
        "andi": lambda: x & y,
        "ori": lambda: x | y,
        "xori": lambda: x ^ y,
        "maxui": lambda: z3.If(z3.UGE(x, y), x, y),
        "minui": lambda: z3.If(z3.ULE(x, y), x, y),
        "maxsi": lambda: z3.If(x >= y, x, y),
        "minsi": lambda: z3.If(x <= y, x, y),
    }
    return choices[op]()
