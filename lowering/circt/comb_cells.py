# SPDX-License-Identifier: Apache-2.0
"""What the cells of a Yosys netlist compute, in CIRCT's `comb`.

It follows Yosys' "Internal cell library" and IEEE 1364-2005, section 5:

* operands are extended to the width of the operation, with the sign where both are signed;
* a shift by the width or more gives zeros, or copies of the sign for `>>>` on signed operands;
* division by zero is undefined in Verilog and undefined behaviour in `arith`, so a division is
  accepted where a bit of the divisor is the constant 1, or where the attribute
  `zero_divisor_is_unseen` says that nothing depends on the result, which is 0 then.

A cell `$rom` is a call of the function that its parameter `FUNCTION` names, from an address to a
word.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from circt.dialects import comb, func, hw
from circt.ir import FlatSymbolRefAttr, IntegerAttr, IntegerType, Value
from expand_comb import extract, parity  # beside this file

__all__ = ["Cell", "NetlistError", "build_cell", "constant", "int_type", "replicate"]

# comb.icmp predicates, unsigned; the signed ones are 4 lower.
_EQ, _NE, _ULT, _ULE, _UGT, _UGE = 0, 1, 6, 7, 8, 9


class NetlistError(Exception):
    """A cell that has no meaning here; `cell` is its name in the netlist."""

    def __init__(self, message: str, cell: str) -> None:
        super().__init__(message)
        self.cell = cell


def _width(value: Value) -> int:
    return IntegerType(value.type).width


def int_type(width: int) -> IntegerType:
    return IntegerType.get_signless(width)


def constant(value: int, width: int) -> Value:
    # The attribute's constructor takes a signed 64-bit number, so wide constants are put together.
    if width <= 64:
        value &= (1 << width) - 1
        if value >> (width - 1):
            value -= 1 << width
        return hw.ConstantOp(IntegerAttr.get(int_type(width), value)).result
    return comb.ConcatOp([constant(value >> 32, width - 32), constant(value, 32)]).result


def replicate(bit: Value, times: int) -> Value:
    return bit if times == 1 else comb.ReplicateOp(int_type(times), bit).result


def _resize(value: Value, width: int, signed: bool) -> Value:
    """Truncate, or extend with zeros or the sign."""
    have = _width(value)
    if width <= have:
        return extract(value, 0, width)
    top = (
        replicate(extract(value, have - 1, 1), width - have)
        if signed
        else constant(0, width - have)
    )
    return comb.ConcatOp([top, value]).result


def _compare(predicate: int, left: Value, right: Value) -> Value:
    kind = IntegerAttr.get(IntegerType.get_signless(64), predicate)
    return comb.ICmpOp(kind, left, right).result


def _mux(condition: Value, true: Value, false: Value) -> Value:
    return comb.MuxOp(condition, true, false).result


def _not(value: Value) -> Value:
    return comb.XorOp([value, constant(-1, _width(value))]).result


def _is_true(value: Value) -> Value:
    return value if _width(value) == 1 else _compare(_NE, value, constant(0, _width(value)))


def _shifted(operation: Callable[[Value, Value], Any], value: Value, amount: Value) -> Value:
    """Shift by an unsigned amount of any width; an amount beyond the width counts as the width."""
    width = _width(value)
    needed = width.bit_length()
    have = _width(amount)
    if have > needed:
        beyond = _is_true(extract(amount, needed, have - needed))
        low = extract(amount, 0, needed)
        amount = _mux(beyond, constant(width, needed), low)
    if needed > width:  # width 1: an amount of 1 is all that there is
        amount = _is_true(amount)
    return operation(value, _resize(amount, width, signed=False)).result


class Cell:
    """A cell of a netlist.

    Attributes:
      bits: of each port, the lowest first.
      width: bits of its output.
      gather: returns the value whose bits are those of a list.
      a_signed: whether the operand A is signed.
      signed: whether all operands are.
    """

    def __init__(
        self, name: str, cell: dict[str, Any], gather: Callable[[list[Any]], Value]
    ) -> None:
        self.name = name
        self.kind: str = cell["type"]
        self.bits: dict[str, list[Any]] = cell["connections"]
        self.parameters: dict[str, Any] = cell["parameters"]
        self.attributes: dict[str, Any] = cell.get("attributes", {})
        self.width = len(self.bits["Y"])
        self.gather = gather
        self.a_signed = self.flag("A_SIGNED")
        self.signed = self.a_signed and (self.flag("B_SIGNED") or "B" not in self.bits)

    def flag(self, parameter: str) -> bool:
        """Return a parameter that says yes or no."""
        return bool(int(str(self.parameters.get(parameter, "0")), 2))

    def operand(self, port: str, width: int | None = None, signed: bool = False) -> Value:
        """Return the value of an input, as it is or brought to a width."""
        value = self.gather(self.bits[port])
        return value if width is None else _resize(value, width, signed)

    def operands(self, width: int) -> tuple[Value, Value]:
        """Return A and B, each brought to a width, both with the sign or both without."""
        return self.operand("A", width, self.signed), self.operand("B", width, self.signed)

    def slices(self, port: str) -> list[list[Any]]:
        """Return the bits of an input cut into values of the output's width."""
        bits = self.bits[port]
        return [bits[start : start + self.width] for start in range(0, len(bits), self.width)]


def build_cell(cell: Cell) -> Value:
    """Build what a cell gives.

    Raises:
      NetlistError: it has no meaning here.
    """
    if cell.kind not in _CELLS:
        raise NetlistError(f"cell {cell.kind} is not supported", cell.name)
    return _CELLS[cell.kind](cell)


# -- words ---------------------------------------------------------------------------------------


def _rom(cell: Cell) -> Value:
    if "FUNCTION" not in cell.parameters:
        raise NetlistError("a ROM is not supported here", cell.name)
    callee = FlatSymbolRefAttr.get(cell.parameters["FUNCTION"])
    return func.CallOp([int_type(cell.width)], callee, [cell.operand("A")]).result


def _extended(cell: Cell) -> Value:
    return cell.operand("A", cell.width, cell.a_signed)


def _negation(cell: Cell) -> Value:
    value = _extended(cell)
    return comb.SubOp(constant(0, cell.width), value).result


def _variadic(operation: Callable[[list[Value]], Any]) -> Callable[[Cell], Value]:
    return lambda cell: operation(list(cell.operands(cell.width))).result


def _division(unsigned: Callable[..., Any], signed: Callable[..., Any]) -> Callable[[Cell], Value]:
    def build(cell: Cell) -> Value:
        unseen = "zero_divisor_is_unseen" in cell.attributes
        if "1" not in cell.bits["B"] and not unseen:
            raise NetlistError("division by what may be zero is undefined in Verilog", cell.name)
        # With one bit more, the most negative number divided by -1 fits.
        wide = max(cell.width, len(cell.bits["A"]), len(cell.bits["B"])) + cell.signed
        left, right = cell.operands(wide)
        operation = signed if cell.signed else unsigned
        if not unseen:
            return _resize(operation(left, right).result, cell.width, cell.signed)
        zero = _not(_is_true(right))
        value = operation(left, _mux(zero, constant(1, wide), right)).result
        return _resize(_mux(zero, constant(0, wide), value), cell.width, cell.signed)

    return build


def _comparison(unsigned: int) -> Callable[[Cell], Value]:
    def build(cell: Cell) -> Value:
        predicate = unsigned - 4 if cell.signed and unsigned >= _ULT else unsigned
        wide = max(len(cell.bits["A"]), len(cell.bits["B"]))
        return _resize(_compare(predicate, *cell.operands(wide)), cell.width, signed=False)

    return build


def _shift_left(cell: Cell) -> Value:
    return _shifted(comb.ShlOp, cell.operand("A", cell.width, cell.a_signed), cell.operand("B"))


def _shift_right(cell: Cell) -> Value:
    wide = max(cell.width, len(cell.bits["A"]))
    operation = comb.ShrSOp if cell.kind == "$sshr" and cell.a_signed else comb.ShrUOp
    value = _shifted(operation, cell.operand("A", wide, cell.a_signed), cell.operand("B"))
    return _resize(value, cell.width, signed=False)


def _shift_either(cell: Cell) -> Value:
    """To the left where the amount is negative."""
    wide = max(cell.width, len(cell.bits["A"]))
    value = cell.operand("A", wide, cell.a_signed and cell.kind == "$shift")
    amount = cell.operand("B")
    right = _shifted(comb.ShrUOp, value, amount)
    if cell.flag("B_SIGNED"):
        have = _width(amount)
        opposite = comb.SubOp(constant(0, have), amount).result
        left = _shifted(comb.ShlOp, value, opposite)
        right = _mux(extract(amount, have - 1, 1), left, right)
    return _resize(right, cell.width, signed=False)


def _truth(build: Callable[[Cell], Value]) -> Callable[[Cell], Value]:
    """A cell that gives one bit, with zeros above it."""
    return lambda cell: _resize(build(cell), cell.width, signed=False)


def _all_ones(cell: Cell) -> Value:
    a = cell.operand("A")
    return _compare(_EQ, a, constant(-1, _width(a)))


def _bitwise_mux(cell: Cell) -> Value:
    choice = cell.operand("S")
    chosen = _and(choice, cell.operand("B"))
    return _or(chosen, _and(_not(choice), cell.operand("A")))


def _priority_mux(cell: Cell) -> Value:
    value = cell.operand("A")
    # The first that holds wins.
    for bit, chosen in reversed(list(zip(cell.bits["S"], cell.slices("B"), strict=True))):
        choice = cell.gather([bit])
        value = _mux(choice, cell.gather(chosen), value)
    return value


def _indexed_mux(cell: Cell) -> Value:
    values = [cell.gather(bits) for bits in cell.slices("A")]
    for bit in cell.bits["S"]:
        choice = cell.gather([bit])
        values = [
            _mux(choice, odd, even) for even, odd in zip(values[::2], values[1::2], strict=True)
        ]
    return values[0]


# -- gates ---------------------------------------------------------------------------------------


def _and(left: Value, right: Value) -> Value:
    return comb.AndOp([left, right]).result


def _or(left: Value, right: Value) -> Value:
    return comb.OrOp([left, right]).result


def _xor(left: Value, right: Value) -> Value:
    return comb.XorOp([left, right]).result


def _mux_gate(cell: Cell) -> Value:
    a, b = cell.operand("A"), cell.operand("B")
    return _mux(cell.operand("S"), b, a)


def _gate(build: Callable[..., Value]) -> Callable[[Cell], Value]:
    """A gate of what `build` makes of a function that returns the operand of a port."""
    return lambda cell: build(cell.operand)


_GATES: dict[str, Callable[[Cell], Value]] = {
    "BUF": _gate(lambda o: o("A")),
    "NOT": _gate(lambda o: _not(o("A"))),
    "AND": _gate(lambda o: _and(o("A"), o("B"))),
    "NAND": _gate(lambda o: _not(_and(o("A"), o("B")))),
    "OR": _gate(lambda o: _or(o("A"), o("B"))),
    "NOR": _gate(lambda o: _not(_or(o("A"), o("B")))),
    "XOR": _gate(lambda o: _xor(o("A"), o("B"))),
    "XNOR": _gate(lambda o: _not(_xor(o("A"), o("B")))),
    "ANDNOT": _gate(lambda o: _and(o("A"), _not(o("B")))),
    "ORNOT": _gate(lambda o: _or(o("A"), _not(o("B")))),
    "MUX": _mux_gate,
    "NMUX": lambda cell: _not(_mux_gate(cell)),
    "AOI3": _gate(lambda o: _not(_or(_and(o("A"), o("B")), o("C")))),
    "OAI3": _gate(lambda o: _not(_and(_or(o("A"), o("B")), o("C")))),
    "AOI4": _gate(lambda o: _not(_or(_and(o("A"), o("B")), _and(o("C"), o("D"))))),
    "OAI4": _gate(lambda o: _not(_and(_or(o("A"), o("B")), _or(o("C"), o("D"))))),
}


_CELLS: dict[str, Callable[[Cell], Value]] = {
    **{f"$_{name}_": build for name, build in _GATES.items()},
    "$rom": _rom,
    "$pos": _extended,
    "$buf": _extended,
    "$not": lambda cell: _not(_extended(cell)),
    "$neg": _negation,
    "$add": _variadic(comb.AddOp),
    "$sub": lambda cell: comb.SubOp(*cell.operands(cell.width)).result,
    "$mul": _variadic(comb.MulOp),
    "$and": _variadic(comb.AndOp),
    "$or": _variadic(comb.OrOp),
    "$xor": _variadic(comb.XorOp),
    "$xnor": lambda cell: _not(_variadic(comb.XorOp)(cell)),
    "$div": _division(comb.DivUOp, comb.DivSOp),
    "$mod": _division(comb.ModUOp, comb.ModSOp),
    "$eq": _comparison(_EQ),
    "$eqx": _comparison(_EQ),
    "$ne": _comparison(_NE),
    "$nex": _comparison(_NE),
    "$lt": _comparison(_ULT),
    "$le": _comparison(_ULE),
    "$gt": _comparison(_UGT),
    "$ge": _comparison(_UGE),
    "$shl": _shift_left,
    "$sshl": _shift_left,
    "$shr": _shift_right,
    "$sshr": _shift_right,
    "$shift": _shift_either,
    "$shiftx": _shift_either,
    "$logic_not": _truth(lambda cell: _not(_is_true(cell.operand("A")))),
    "$logic_and": _truth(
        lambda cell: _and(_is_true(cell.operand("A")), _is_true(cell.operand("B")))
    ),
    "$logic_or": _truth(lambda cell: _or(_is_true(cell.operand("A")), _is_true(cell.operand("B")))),
    "$reduce_or": _truth(lambda cell: _is_true(cell.operand("A"))),
    "$reduce_bool": _truth(lambda cell: _is_true(cell.operand("A"))),
    "$reduce_and": _truth(_all_ones),
    "$reduce_xor": _truth(lambda cell: parity(cell.operand("A"))),
    "$reduce_xnor": _truth(lambda cell: _not(parity(cell.operand("A")))),
    "$mux": lambda cell: _mux(cell.operand("S"), cell.operand("B"), cell.operand("A")),
    "$bwmux": _bitwise_mux,
    "$pmux": _priority_mux,
    "$bmux": _indexed_mux,
}
