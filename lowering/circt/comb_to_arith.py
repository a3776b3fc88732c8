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

`comb_cells.py` says what each cell computes.  Nets that Verilog leaves undefined (`x`, an index out
of range) read as 0, as in Verilator.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import circt
from circt.dialects import arith, comb, func
from circt.ir import (
    Context,
    F32Type,
    FunctionType,
    InsertionPoint,
    IntegerAttr,
    IntegerType,
    Location,
    Module,
    Value,
)
from circt.passmanager import PassManager
from comb_cells import Cell, NetlistError, build_cell, constant, int_type, replicate  # beside it
from expand_comb import expand, extract
from widen_integers import widen

from asnet_mlir.support.formats import F32

__all__ = ["CombBuilder", "build_function", "run_jobs"]

#: Processor time for one job.
_CPU_SECONDS = 60.0

_SIMPLIFY = "builtin.module(canonicalize,cse)"
_CONVERT = "builtin.module(convert-comb-to-arith,canonicalize,cse)"


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
                    parts.append(replicate(extract(value, low, 1), end - start))
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
                cell = Cell(name, self._cells[name], self.gather)
                self._define(cell.bits["Y"], build_cell(cell))
                done.add(name)
                stack.pop()


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
        return [F32Type.get() if is_float(name) else int_type(len(group[name])) for name in group]

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
                as_bits = arith.BitcastOp(int_type(32), argument).result
                nan = arith.ConstantOp(int_type(32), F32.canonical_nan).result
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
            kind = FunctionType.get([int_type(len(bits["A"]))], [int_type(len(bits["Y"]))])
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
