# SPDX-License-Identifier: Apache-2.0
"""Yosys netlist -> CIRCT `comb` -> MLIR `arith`, in CIRCT's own process.

`python comb_to_arith.py JOBS.json RESULTS.json`.  It imports `circt`, and of this project
the formats only, which need no MLIR: `circt` and `mlir` cannot live in one process.

A job is `{"symbol": .., "format": "f32" | null, "module": {"ports": .., "cells": ..}}`, where the
module is in the format of Yosys' `write_json`, without registers.  Its ports are the function's
operands and results in their order; with a format, `a`, `b` and `result` are floats.
A result is `{"text": ..}` (one `func.func private`) or `{"error": .., "cell": ..}`.

A cell `$rom` is a call of the function that its parameter `FUNCTION` names, from an address to a
word; whoever asked adds it.

What a cell computes follows Yosys' "Internal cell library" and IEEE 1364-2005, section 5:

* operands are extended to the width of the operation, with the sign where both are signed;
* a shift by the width or more gives zeros, or copies of the sign for `>>>` on signed operands;
* nets that Verilog leaves undefined (`x`, an index out of range) read as 0, as in Verilator;
* division by zero is undefined in Verilog and undefined behaviour in `arith`, so a division is
  accepted where a bit of the divisor is the constant 1, or where the attribute
  `zero_divisor_is_unseen` says that nothing depends on the result, which is 0 then.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import circt
from circt.dialects import arith, comb, func, hw
from circt.ir import (
    Context,
    F32Type,
    FlatSymbolRefAttr,
    FunctionType,
    InsertionPoint,
    IntegerAttr,
    IntegerType,
    Location,
    Module,
    Value,
)
from circt.passmanager import PassManager
from expand_comb import expand, extract, parity  # beside this file
from widen_integers import widen

from asnet_mlir.support.formats import F32

__all__ = ["CombBuilder", "NetlistError", "build_function", "constant", "run_jobs"]

#: Processor time for one job.
_CPU_SECONDS = 60.0

_SIMPLIFY = "builtin.module(canonicalize,cse)"
_CONVERT = "builtin.module(convert-comb-to-arith,canonicalize,cse)"

# comb.icmp predicates, unsigned; the signed ones are 4 lower.
_EQ, _NE, _ULT, _ULE, _UGT, _UGE = 0, 1, 6, 7, 8, 9


class NetlistError(Exception):
    """A cell that has no meaning here; `cell` is its name in the netlist."""

    def __init__(self, message: str, cell: str) -> None:
        super().__init__(message)
        self.cell = cell


def _width(value: Value) -> int:
    return IntegerType(value.type).width


def _int(width: int) -> IntegerType:
    return IntegerType.get_signless(width)


def constant(value: int, width: int) -> Value:
    # The attribute's constructor takes a signed 64-bit number, so wide constants are put together.
    if width <= 64:
        value &= (1 << width) - 1
        if value >> (width - 1):
            value -= 1 << width
        return hw.ConstantOp(IntegerAttr.get(_int(width), value)).result
    return comb.ConcatOp([constant(value >> 32, width - 32), constant(value, 32)]).result


def _replicate(bit: Value, times: int) -> Value:
    return bit if times == 1 else comb.ReplicateOp(_int(times), bit).result


def _resize(value: Value, width: int, signed: bool) -> Value:
    """Truncate, or extend with zeros or the sign."""
    have = _width(value)
    if width <= have:
        return extract(value, 0, width)
    top = (
        _replicate(extract(value, have - 1, 1), width - have)
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


def _shift(operation: Callable[[Value, Value], Any], value: Value, amount: Value) -> Value:
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


class CombBuilder:
    """Values of nets, and the cells built from them."""

    def __init__(self, cells: dict[str, Any], inputs: dict[str, tuple[list[Any], Value]]) -> None:
        self._cells = cells
        self._source: dict[Any, tuple[Value, int]] = {}
        for bits, value in inputs.values():
            self._define(bits, value)

    def _define(self, bits: list[Any], value: Value) -> None:
        for position, bit in enumerate(bits):
            self._source[bit] = (value, position)

    def gather(self, bits: list[Any]) -> Value:
        """Return the value whose bits, lowest first, are `bits`."""
        parts: list[Value] = []
        start = 0
        while start < len(bits):
            end = start + 1
            bit = bits[start]
            if isinstance(bit, str):
                while end < len(bits) and isinstance(bits[end], str):
                    end += 1
                number = sum((bits[k] == "1") << (k - start) for k in range(start, end))
                parts.append(constant(number, end - start))
            else:
                value, low = self._source[bit]
                while end < len(bits) and self._source.get(bits[end]) == (value, low + end - start):
                    end += 1
                if end == start + 1:
                    while end < len(bits) and bits[end] == bit:  # a sign, extended
                        end += 1
                    parts.append(_replicate(extract(value, low, 1), end - start))
                else:
                    parts.append(extract(value, low, end - start))
            start = end
        return parts[0] if len(parts) == 1 else comb.ConcatOp(parts[::-1]).result

    def build_all(self) -> None:
        """Build all cells, each after those that drive its inputs."""
        driver = {
            bit: name
            for name, cell in self._cells.items()
            for port, bits in cell["connections"].items()
            if cell["port_directions"][port] == "output"
            for bit in bits
            if not isinstance(bit, str)
        }
        done: set[str] = set()
        for root in self._cells:
            stack = [root]
            while stack:
                name = stack[-1]
                if name in done:
                    stack.pop()
                    continue
                waiting = [
                    driver[bit]
                    for port, bits in self._cells[name]["connections"].items()
                    if self._cells[name]["port_directions"][port] == "input"
                    for bit in bits
                    if bit in driver and driver[bit] not in done
                ]
                if waiting:
                    stack.extend(dict.fromkeys(waiting))  # in order: the text is reproducible
                    continue
                cell = self._cells[name]
                output = cell["connections"]["Y"]
                self._define(output, self._build(name, cell, len(output)))
                done.add(name)
                stack.pop()

    def _build(self, name: str, cell: dict[str, Any], width: int) -> Value:
        kind = cell["type"]
        parameters = cell["parameters"]
        bits = cell["connections"]

        def flag(key: str) -> bool:
            return bool(int(str(parameters.get(key, "0")), 2))

        def operand(port: str, to: int | None = None, signed: bool = False) -> Value:
            value = self.gather(bits[port])
            return value if to is None else _resize(value, to, signed)

        if kind.startswith("$_"):
            return self._gate(name, kind, operand)
        if kind == "$rom":
            if "FUNCTION" not in parameters:
                raise NetlistError("a ROM is not supported here", name)
            callee = FlatSymbolRefAttr.get(parameters["FUNCTION"])
            return func.CallOp([_int(width)], callee, [operand("A")]).result
        a_signed = flag("A_SIGNED")
        both = a_signed and (flag("B_SIGNED") or "B" not in bits)
        if kind in ("$pos", "$buf", "$not", "$neg"):
            value = operand("A", width, a_signed)
            if kind == "$neg":
                return comb.SubOp(constant(0, width), value).result
            return _not(value) if kind == "$not" else value
        if kind in ("$add", "$mul", "$and", "$or", "$xor", "$xnor", "$sub"):
            left, right = operand("A", width, both), operand("B", width, both)
            if kind == "$sub":
                return comb.SubOp(left, right).result
            operation = {
                "$add": comb.AddOp,
                "$mul": comb.MulOp,
                "$and": comb.AndOp,
                "$or": comb.OrOp,
                "$xor": comb.XorOp,
                "$xnor": comb.XorOp,
            }[kind]
            value = operation([left, right]).result
            return _not(value) if kind == "$xnor" else value
        if kind in ("$div", "$mod"):
            unseen = "zero_divisor_is_unseen" in cell.get("attributes", {})
            if "1" not in bits["B"] and not unseen:
                raise NetlistError("division by what may be zero is undefined in Verilog", name)
            wide = max(width, len(bits["A"]), len(bits["B"])) + both  # most negative / -1 fits
            left, right = operand("A", wide, both), operand("B", wide, both)
            operation = {
                ("$div", False): comb.DivUOp,
                ("$div", True): comb.DivSOp,
                ("$mod", False): comb.ModUOp,
                ("$mod", True): comb.ModSOp,
            }[kind, both]
            if not unseen:
                return _resize(operation(left, right).result, width, both)
            zero = _not(_is_true(right))
            value = operation(left, _mux(zero, constant(1, wide), right)).result
            return _resize(_mux(zero, constant(0, wide), value), width, both)
        predicate = {
            "$eq": _EQ,
            "$eqx": _EQ,
            "$ne": _NE,
            "$nex": _NE,
            "$lt": _ULT,
            "$le": _ULE,
            "$gt": _UGT,
            "$ge": _UGE,
        }.get(kind)
        if predicate is not None:
            wide = max(len(bits["A"]), len(bits["B"]))
            if both and predicate >= _ULT:
                predicate -= 4
            left, right = operand("A", wide, both), operand("B", wide, both)
            return _resize(_compare(predicate, left, right), width, signed=False)
        if kind in ("$shl", "$sshl", "$shr", "$sshr"):
            left_shift = kind in ("$shl", "$sshl")
            wide = width if left_shift else max(width, len(bits["A"]))
            operation = (
                comb.ShlOp
                if left_shift
                else comb.ShrSOp
                if kind == "$sshr" and a_signed
                else comb.ShrUOp
            )
            value = _shift(operation, operand("A", wide, a_signed), operand("B"))
            return _resize(value, width, signed=False)
        if kind in ("$shift", "$shiftx"):
            wide = max(width, len(bits["A"]))
            value = operand("A", wide, a_signed and kind == "$shift")
            amount = operand("B")
            right = _shift(comb.ShrUOp, value, amount)
            if flag("B_SIGNED"):
                have = _width(amount)
                opposite = comb.SubOp(constant(0, have), amount).result
                left = _shift(comb.ShlOp, value, opposite)
                right = _mux(extract(amount, have - 1, 1), left, right)
            return _resize(right, width, signed=False)
        if kind in ("$logic_not", "$logic_and", "$logic_or") or kind.startswith("$reduce_"):
            return _resize(self._truth(name, kind, operand), width, signed=False)
        if kind == "$mux":
            return _mux(operand("S"), operand("B"), operand("A"))
        if kind == "$bwmux":
            choice = operand("S")
            chosen = comb.AndOp([choice, operand("B")]).result
            return comb.OrOp([chosen, comb.AndOp([_not(choice), operand("A")]).result]).result
        if kind == "$pmux":
            value = operand("A")
            for position in reversed(range(len(bits["S"]))):  # the first that holds wins
                choice = self.gather([bits["S"][position]])
                slice_bits = bits["B"][position * width : (position + 1) * width]
                value = _mux(choice, self.gather(slice_bits), value)
            return value
        if kind == "$bmux":
            values = [
                self.gather(bits["A"][start : start + width])
                for start in range(0, len(bits["A"]), width)
            ]
            for choice_bit in bits["S"]:
                choice = self.gather([choice_bit])
                values = [
                    _mux(choice, odd, even)
                    for even, odd in zip(values[::2], values[1::2], strict=True)
                ]
            return values[0]
        raise NetlistError(f"cell {kind} is not supported", name)

    def _truth(self, name: str, kind: str, operand: Callable[..., Value]) -> Value:
        a = operand("A")
        if kind == "$logic_not":
            return _not(_is_true(a))
        if kind == "$logic_and":
            return comb.AndOp([_is_true(a), _is_true(operand("B"))]).result
        if kind == "$logic_or":
            return comb.OrOp([_is_true(a), _is_true(operand("B"))]).result
        if kind in ("$reduce_or", "$reduce_bool"):
            return _is_true(a)
        if kind == "$reduce_and":
            return _compare(_EQ, a, constant(-1, _width(a)))
        if kind == "$reduce_xor":
            return parity(a)
        if kind == "$reduce_xnor":
            return _not(parity(a))
        raise NetlistError(f"cell {kind} is not supported", name)

    def _gate(self, name: str, kind: str, operand: Callable[..., Value]) -> Value:
        def both(left: Value, right: Value) -> Value:
            return comb.AndOp([left, right]).result

        def either(left: Value, right: Value) -> Value:
            return comb.OrOp([left, right]).result

        a = operand("A")
        if kind in ("$_BUF_", "$_NOT_"):
            return a if kind == "$_BUF_" else _not(a)
        if kind not in _GATES:
            raise NetlistError(f"cell {kind} is not supported", name)
        b = operand("B")
        if kind in ("$_MUX_", "$_NMUX_"):
            value = _mux(operand("S"), b, a)
            return value if kind == "$_MUX_" else _not(value)
        if kind in ("$_XOR_", "$_XNOR_"):
            value = comb.XorOp([a, b]).result
            return value if kind == "$_XOR_" else _not(value)
        if kind == "$_AOI3_":
            return _not(either(both(a, b), operand("C")))
        if kind == "$_OAI3_":
            return _not(both(either(a, b), operand("C")))
        if kind == "$_AOI4_":
            return _not(either(both(a, b), both(operand("C"), operand("D"))))
        if kind == "$_OAI4_":
            return _not(both(either(a, b), either(operand("C"), operand("D"))))
        if kind in ("$_ANDNOT_", "$_ORNOT_"):
            return both(a, _not(b)) if kind == "$_ANDNOT_" else either(a, _not(b))
        value = both(a, b) if "AND" in kind else either(a, b)
        return _not(value) if kind in ("$_NAND_", "$_NOR_") else value


_GATES = {
    f"$_{gate}_"
    for gate in (
        [
            "AND",
            "NAND",
            "OR",
            "NOR",
            "XOR",
            "XNOR",
            "ANDNOT",
            "ORNOT",
            "MUX",
            "NMUX",
            "AOI3",
            "OAI3",
            "AOI4",
            "OAI4",
        ]
    )
}


def build_function(symbol: str, number_format: str | None, module: dict[str, Any]) -> None:
    """Build `func.func private @symbol(inputs) -> outputs` at the insertion point.

    With `number_format` "f32" the ports `a`, `b` and `result` are f32, and a NaN operand reads as
    0x7FC00000, whose bits a processor does not promise (x86 makes 0xFFC00000).  All others are
    integers of the ports' widths.
    """
    ports = module["ports"]
    inputs = {n: p["bits"] for n, p in ports.items() if p["direction"] == "input"}
    outputs = {n: p["bits"] for n, p in ports.items() if p["direction"] == "output"}

    def is_float(name: str) -> bool:
        return number_format == "f32" and name in ("a", "b", "result")

    def types(group: dict[str, list[Any]]) -> list[Any]:
        return [F32Type.get() if is_float(name) else _int(len(group[name])) for name in group]

    signature = FunctionType.get(types(inputs), types(outputs))
    function = func.FuncOp(symbol, signature, visibility="private")
    with InsertionPoint(function.add_entry_block()):
        values: dict[str, tuple[list[Any], Value]] = {}
        for name, argument in zip(inputs, function.arguments, strict=True):
            value: Value = argument
            if is_float(name):
                unordered = arith.CmpFOp(
                    IntegerAttr.get(IntegerType.get_signless(64), 14), argument, argument
                ).result
                as_bits = arith.BitcastOp(_int(32), argument).result
                nan = arith.ConstantOp(_int(32), F32.canonical_nan).result
                value = arith.SelectOp(unordered, nan, as_bits).result
            values[name] = (inputs[name], value)
        builder = CombBuilder(module["cells"], values)
        builder.build_all()
        results = []
        for name, bits in outputs.items():
            value = builder.gather(bits)
            if is_float(name):
                value = arith.BitcastOp(F32Type.get(), value).result
            results.append(value)
        func.ReturnOp(results)


def _declare_roms(cells: dict[str, Any]) -> None:
    for cell in cells.values():
        if cell["type"] == "$rom":
            bits = cell["connections"]
            kind = FunctionType.get([_int(len(bits["A"]))], [_int(len(bits["Y"]))])
            func.FuncOp(cell["parameters"]["FUNCTION"], kind, visibility="private")


def _run_job(job: dict[str, Any]) -> dict[str, str]:
    module = Module.create()
    try:
        with InsertionPoint(module.body):
            build_function(job["symbol"], job["format"], job["module"])
            _declare_roms(job["module"]["cells"])
    except NetlistError as error:
        return {"error": str(error), "cell": error.cell}
    PassManager.parse(_SIMPLIFY).run(module.operation)
    expand(module.body.operations[0])
    PassManager.parse(_CONVERT).run(module.operation)
    for operation in module.body.operations[0].entry_block.operations:
        if not operation.name.startswith(("arith.", "func.")):
            return {"error": f"CIRCT does not convert {operation.name} to arith", "cell": ""}
    with InsertionPoint(module.body):
        widen(module.body.operations[0])
    PassManager.parse(_SIMPLIFY).run(module.operation)
    return {"text": str(module.body.operations[0]) + "\n"}


def run_jobs(run: Callable[[dict[str, Any]], dict[str, str]], dialects: tuple[str, ...]) -> None:
    """Read the jobs of the command line's first file, write results to the second, in order."""
    jobs_path, results_path = sys.argv[1:]
    with open(jobs_path, encoding="utf-8") as file:
        jobs = json.load(file)
    # The wheel has no such module, and the bindings search the disk for it at every operation.
    sys.modules.setdefault("circt.dialects.builtin", ModuleType("circt.dialects.builtin"))
    context = Context()
    circt.register_dialects(context)
    for name in dialects:
        _ = context.dialects[name]  # loads it; building an op does not
    with context, Location.unknown():
        results = []
        for job in jobs:
            signal.setitimer(signal.ITIMER_PROF, _CPU_SECONDS)  # SIGPROF ends the process
            results.append(run(job))
    with open(results_path, "w", encoding="utf-8") as file:
        json.dump(results, file)


if __name__ == "__main__":
    run_jobs(_run_job, ("func", "arith", "comb", "hw"))
