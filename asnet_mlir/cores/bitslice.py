"""Bit-sliced models: gates computed for 512 operand pairs by each vector instruction.

A netlist of single gates is slow as vector code over words: every gate would keep one bit of each
lane busy.  Bit-sliced code holds one net of 512 pairs in a vector, a *plane*, so that a gate is one
instruction (E. Biham, A fast new DES implementation in software, FSE 1997).  Nets that words are
made of (exponents, adders, shifts) stay words.

`plan` divides a netlist into phases, words and gates by turns.  A word phase is a function of one
pair, from the operands and the gates computed so far; a gate phase is straight-line code on planes.
`compose` puts them together: for each block of 512 pairs a loop over the pairs writes the bytes
that the gates read, these are transposed into planes, and planes back into bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["BLOCK", "FEWEST_GATES", "Phase", "Plan", "compose", "plan", "word_jobs"]

#: Operand pairs in a block: the bits of a plane.
BLOCK = 512

_WIDEST_REDUCTION = 4

#: Fewer gates than this are not worth the transposition.
FEWEST_GATES = 128

_PLANE = "vector<16xi32>"
_BYTES = "vector<64xi8>"
_SCRATCH = f"memref<{BLOCK}xi8>"

_SINGLE = {
    *("$and", "$or", "$xor", "$xnor", "$not", "$buf", "$pos"),
    *("$logic_and", "$logic_or", "$logic_not", "$mux"),
}
_PRIMITIVES = {
    *("$_BUF_", "$_NOT_", "$_AND_", "$_NAND_", "$_OR_", "$_NOR_", "$_XOR_", "$_XNOR_"),
    *("$_ANDNOT_", "$_ORNOT_", "$_MUX_", "$_NMUX_", "$_AOI3_", "$_OAI3_", "$_AOI4_", "$_OAI4_"),
}
_MANY = {"$reduce_and": "and", "$reduce_or": "or", "$reduce_bool": "or", "$reduce_xor": "xor"}

Bit = int | str
Cells = Mapping[str, Any]


@dataclass(frozen=True)
class Phase:
    """Gates that are computed together, and the nets that cross their border."""

    gates: tuple[str, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """A netlist with ports `a`, `b`, `result`, divided into phases of gates with words between."""

    module: Mapping[str, Any]
    phases: tuple[Phase, ...]

    @property
    def gate_count(self) -> int:
        """Number of cells computed on planes."""
        return sum(len(phase.gates) for phase in self.phases)


def plan(module: Mapping[str, Any], fewest: int = FEWEST_GATES) -> Plan | None:
    """Return how a flat netlist without registers is divided; None where it has too few gates.

    Args:
      module: in the format of Yosys' `write_json`, with ports `a`, `b` and `result`.
      fewest: a phase with fewer gates than this is computed with the words.
    """
    cells = module["cells"]
    driver = _drivers(cells)
    gates = {name for name, cell in cells.items() if _is_gate(cell)}
    order = _topological(cells, driver)
    while len(gates) >= fewest:
        level = _levels(cells, driver, order, gates)
        counts: dict[int, int] = {}
        for name in gates:
            counts[level[name]] = counts.get(level[name], 0) + 1
        sparse = {name for name in gates if counts[level[name]] < fewest}
        if not sparse:
            return _divide(module, driver, order, gates, level)
        gates -= sparse
    return None


def _drivers(cells: Cells) -> dict[Bit, str]:
    return {
        bit: name
        for name, cell in cells.items()
        for port, bits in cell["connections"].items()
        if cell["port_directions"][port] == "output"
        for bit in bits
        if isinstance(bit, int)
    }


def _inputs(cell: Mapping[str, Any]) -> list[Bit]:
    return [
        bit
        for port, bits in cell["connections"].items()
        if cell["port_directions"][port] == "input"
        for bit in bits
    ]


def _is_gate(cell: Mapping[str, Any]) -> bool:
    kind, bits = cell["type"], cell["connections"]
    if kind in _SINGLE:
        return all(len(connected) == 1 for connected in bits.values())
    return kind in _PRIMITIVES or (
        kind in _MANY and len(bits["Y"]) == 1 and len(bits["A"]) <= _WIDEST_REDUCTION
    )


def _topological(cells: Cells, driver: Mapping[Bit, str]) -> list[str]:
    order: list[str] = []
    done: set[str] = set()
    for root in cells:
        stack = [root]
        while stack:
            name = stack[-1]
            if name in done:
                stack.pop()
                continue
            waiting = [
                driver[bit]
                for bit in _inputs(cells[name])
                if bit in driver and driver[bit] not in done
            ]
            if waiting:
                stack.extend(dict.fromkeys(waiting))
                continue
            done.add(name)
            order.append(name)
            stack.pop()
    return order


def _levels(
    cells: Cells, driver: Mapping[Bit, str], order: Sequence[str], gates: set[str]
) -> dict[str, int]:
    """Return each cell's phase: odd for gates, even for words, as early as its inputs allow."""
    level: dict[str, int] = {}
    for name in order:
        earliest = max((level[driver[b]] for b in _inputs(cells[name]) if b in driver), default=0)
        level[name] = earliest + (earliest % 2 != (name in gates))
    return level


def _divide(
    module: Mapping[str, Any],
    driver: Mapping[Bit, str],
    order: Sequence[str],
    gates: set[str],
    level: Mapping[str, int],
) -> Plan:
    cells = module["cells"]
    phases = []
    used_later: dict[int, set[int]] = {}
    for name in order:
        for bit in _inputs(cells[name]):
            if isinstance(bit, int):
                used_later.setdefault(bit, set()).add(level[name])
    for bit in module["ports"]["result"]["bits"]:
        if isinstance(bit, int):
            used_later.setdefault(bit, set()).add(-1)
    place = {bit: position for position, bit in enumerate(module["ports"]["result"]["bits"])}
    for number in sorted({level[name] for name in gates}):
        members = [name for name in order if name in gates and level[name] == number]
        inside = {bit for name in members for bit in cells[name]["connections"]["Y"]}
        # Neighbours in a word stay neighbours in a byte: nets are numbered along ports and wires.
        inputs = sorted(
            {
                bit
                for name in members
                for bit in _inputs(cells[name])
                if isinstance(bit, int) and bit not in inside
            }
        )
        outputs = [
            bit
            for name in members
            for bit in cells[name]["connections"]["Y"]
            if isinstance(bit, int) and used_later.get(bit, set()) - {number}
        ]
        outputs.sort(key=lambda bit: (place.get(bit, len(place)), bit))
        phases.append(Phase(tuple(members), tuple(inputs), tuple(outputs)))
    return Plan(module, tuple(phases))


def word_jobs(division: Plan, symbol: str, number_format: str | None) -> list[dict[str, Any]]:
    """Return the word phases as jobs for `model.convert`.

    Function `symbol_w<k>` takes the operands and the bytes that all gate phases before gave, and
    returns the bytes that gate phase k reads; the last one returns the result.
    """
    module = division.module
    jobs = []
    known: dict[str, list[Bit]] = {name: module["ports"][name]["bits"] for name in ("a", "b")}
    for number, phase in enumerate((*division.phases, None)):
        outputs = (
            {f"o{index}": bits for index, bits in enumerate(_bytes(phase.inputs))}
            if phase is not None
            else {"result": module["ports"]["result"]["bits"]}
        )
        ports = {
            **{name: {"direction": "input", "bits": bits} for name, bits in known.items()},
            **{name: {"direction": "output", "bits": bits} for name, bits in outputs.items()},
        }
        available = {bit for bits in known.values() for bit in bits if isinstance(bit, int)}
        cells = _fan_in(module["cells"], outputs.values(), available)
        jobs.append(
            {
                "symbol": f"{symbol}_w{number}",
                "format": number_format,
                "module": {"ports": ports, "cells": cells},
            }
        )
        if phase is not None:
            for index, bits in enumerate(_bytes(phase.outputs)):
                known[f"p{number}_{index}"] = bits
    return jobs


def _bytes(bits: Sequence[Bit]) -> list[list[Bit]]:
    """Cut nets into bytes, the last one filled up with zeros."""
    padded = [*bits, *["0"] * (-len(bits) % 8)]
    return [padded[start : start + 8] for start in range(0, len(padded), 8)]


def _fan_in(cells: Cells, outputs: Iterable[Sequence[Bit]], available: set[int]) -> dict[str, Any]:
    """Return the cells that compute `outputs` from the nets that are `available`."""
    driver = _drivers(cells)
    needed: dict[str, Any] = {}
    stack: list[Bit] = [bit for bits in outputs for bit in bits]
    seen: set[Bit] = set()
    while stack:
        bit = stack.pop()
        if bit in seen or bit in available or isinstance(bit, str):
            continue
        seen.add(bit)
        name = driver[bit]
        if name not in needed:
            needed[name] = cells[name]
            stack.extend(_inputs(cells[name]))
    return {name: cells[name] for name in cells if name in needed}


def compose(
    division: Plan,
    symbol: str,
    words: Sequence[str],
    operands: tuple[str, str, str],
    storage: tuple[str, str, str],
) -> str:
    """Return the functions of a bit-sliced model, `@symbol_block` among them.

    Args:
      division: the plan.
      symbol: prefix of all names.
      words: texts of the word phases' functions, in the order of `word_jobs`.
      operands: types of `a`, `b` and the result in those functions.
      storage: element types of the arrays; for integers at least as wide as `operands`: the upper
        bits of operands are ignored and those of results 0.
    """
    writer = _BlockWriter(symbol, operands, storage)
    writer.write(division)
    return "\n".join([*words, *writer.lines, ""])


class _BlockWriter:
    """MLIR's text of the function over arrays."""

    def __init__(
        self, symbol: str, operands: tuple[str, str, str], storage: tuple[str, str, str]
    ) -> None:
        self.lines: list[str] = []
        self._symbol = symbol
        self._operands = operands
        self._storage = storage
        self._count = 0

    def _value(self, expression: str) -> str:
        self._count += 1
        name = f"%v{self._count}"
        self.lines.append(f"      {name} = {expression}")
        return name

    def write(self, division: Plan) -> None:
        """Write `func.func private @symbol_block(%a, %b, %r)` over dynamic 1-D memrefs."""
        phases = division.phases
        inputs = [
            [f"%i{k}_{j}" for j in range(-(-len(p.inputs) // 8))] for k, p in enumerate(phases)
        ]
        outputs = [
            [f"%p{k}_{j}" for j in range(-(-len(p.outputs) // 8))] for k, p in enumerate(phases)
        ]
        arguments = ", ".join(
            f"%{name}: memref<?x{kind}>" for name, kind in zip("abr", self._storage, strict=True)
        )
        self.lines += [
            f"func.func private @{self._symbol}_block({arguments}) attributes {{no_inline}} {{",
            "  %c0 = arith.constant 0 : index",
            "  %c1 = arith.constant 1 : index",
            f"  %block = arith.constant {BLOCK} : index",
            f"  %ones = arith.constant dense<-1> : {_PLANE}",
            f"  %zeros = arith.constant dense<0> : {_PLANE}",
            f"  %empty = arith.constant dense<0> : {_BYTES}",
            *(f"  %at{start} = arith.constant {start} : index" for start in range(0, BLOCK, 64)),
        ]
        for step in (1, 2, 4):
            mask = sum(1 << k for k in range(32) if not k & step)
            mask -= (mask >> 31) << 32
            self.lines += [
                f"  %mask{step} = arith.constant dense<{mask}> : {_PLANE}",
                f"  %step{step} = arith.constant dense<{step}> : {_PLANE}",
            ]
        for name in (name for group in (*inputs, *outputs) for name in group):
            self.lines.append(f"  {name} = memref.alloca() {{alignment = 64}} : {_SCRATCH}")
            self.lines += [
                f"  vector.store %empty, {name}[%at{start}] : {_SCRATCH}, {_BYTES}"
                for start in range(0, BLOCK, 64)
            ]
        self.lines += [
            f"  %n = memref.dim %a, %c0 : memref<?x{self._storage[0]}>",
            "  scf.for %base = %c0 to %n step %block {",
            "      %left = arith.subi %n, %base : index",
            "      %count = arith.minui %left, %block : index",
        ]
        known: list[str] = []
        for number, phase in enumerate(phases):
            self._word_loop(number, known, inputs[number])
            planes: dict[Bit, str] = {}
            for name, bits in zip(inputs[number], _bytes(phase.inputs), strict=True):
                planes.update(zip(bits, self._transpose(self._load(name)), strict=True))
            for gate in phase.gates:
                self._gate(division.module["cells"][gate], planes)
            for name, bits in zip(outputs[number], _bytes(phase.outputs), strict=True):
                self._store(name, self._transpose([_plane_of(planes, bit) for bit in bits]))
            known += outputs[number]
        self._word_loop(len(phases), known, [])
        self.lines += ["  }", "  return", "}"]

    def _word_loop(self, number: int, known: Sequence[str], outputs: Sequence[str]) -> None:
        """Call word phase `number` on each pair; without `outputs` it is the last, into %r."""
        kinds = dict(zip("abr", zip(self._operands, self._storage, strict=True), strict=True))
        self.lines += [
            "      scf.for %i = %c0 to %count step %c1 {",
            "        %at = arith.addi %base, %i : index",
        ]
        for name in "ab":
            operand, storage = kinds[name]
            self.lines.append(f"        %{name}_s = memref.load %{name}[%at] : memref<?x{storage}>")
            self._convert(f"%{name}_v", f"%{name}_s", storage, operand)
        values = []
        for index, name in enumerate(known):
            values.append(f"%g{index}")
            self.lines.append(f"        %g{index} = memref.load {name}[%i] : {_SCRATCH}")
        results = ["i8"] * len(outputs) or [self._operands[2]]
        names = [f"%o{index}" for index in range(len(results))]
        types = ", ".join([*self._operands[:2], *["i8"] * len(known)])
        self.lines.append(
            f"        %o:{len(names)} = func.call @{self._symbol}_w{number}"
            f"({', '.join(['%a_v', '%b_v', *values])}) : ({types}) -> ({', '.join(results)})"
        )
        for index, name in enumerate(outputs):
            self.lines.append(f"        memref.store %o#{index}, {name}[%i] : {_SCRATCH}")
        if not outputs:
            operand, storage = kinds["r"]
            self._convert("%r_v", "%o#0", operand, storage)
            self.lines.append(f"        memref.store %r_v, %r[%at] : memref<?x{storage}>")
        self.lines.append("      }")

    def _convert(self, result: str, value: str, have: str, want: str) -> None:
        if have == want:
            operation = f"arith.bitcast {value} : {have} to {want}"
        elif int(have[1:]) > int(want[1:]):
            operation = f"arith.trunci {value} : {have} to {want}"
        else:
            operation = f"arith.extui {value} : {have} to {want}"
        self.lines.append(f"        {result} = {operation}")

    def _load(self, name: str) -> list[str]:
        return [
            self._value(
                f"vector.bitcast {loaded} : {_BYTES} to {_PLANE}",
            )
            for loaded in [
                self._value(f"vector.load {name}[%at{start}] : {_SCRATCH}, {_BYTES}")
                for start in range(0, BLOCK, 64)
            ]
        ]

    def _store(self, name: str, rows: Sequence[str]) -> None:
        for start, row in zip(range(0, BLOCK, 64), rows, strict=True):
            value = self._value(f"vector.bitcast {row} : {_PLANE} to {_BYTES}")
            self.lines.append(
                f"      vector.store {value}, {name}[%at{start}] : {_SCRATCH}, {_BYTES}"
            )

    def _transpose(self, rows: Sequence[str]) -> list[str]:
        """Transpose the 8 x 8 bits that eight vectors of bytes hold in each lane.

        Its own inverse (H. S. Warren, Hacker's Delight, 7-3).  Shifts act on 32 bits: what crosses
        from byte to byte is masked off.
        """
        rows = list(rows)
        for step in (4, 2, 1):
            for low in range(8):
                high = low | step
                if low == high:
                    continue
                shifted = self._value(f"arith.shrui {rows[low]}, %step{step} : {_PLANE}")
                mixed = self._value(f"arith.xori {shifted}, {rows[high]} : {_PLANE}")
                swap = self._value(f"arith.andi {mixed}, %mask{step} : {_PLANE}")
                rows[high] = self._value(f"arith.xori {rows[high]}, {swap} : {_PLANE}")
                back = self._value(f"arith.shli {swap}, %step{step} : {_PLANE}")
                rows[low] = self._value(f"arith.xori {rows[low]}, {back} : {_PLANE}")
        return rows

    def _binary(self, operation: str, left: str, right: str) -> str:
        return self._value(f"arith.{operation}i {left}, {right} : {_PLANE}")

    def _not(self, value: str) -> str:
        return self._binary("xor", value, "%ones")

    def _choose(self, choice: str, true: str, false: str) -> str:
        different = self._binary("xor", true, false)
        return self._binary("xor", false, self._binary("and", choice, different))

    def _gate(self, cell: Mapping[str, Any], planes: dict[Bit, str]) -> None:
        """Compute one gate, `Y` of one bit, on planes."""
        kind = cell["type"]
        operand = {
            port: [_plane_of(planes, bit) for bit in bits]
            for port, bits in cell["connections"].items()
            if cell["port_directions"][port] == "input"
        }
        first = {port: values[0] for port, values in operand.items()}
        planes[cell["connections"]["Y"][0]] = self._compute(kind, first, operand["A"])

    def _compute(self, kind: str, x: Mapping[str, str], many: Sequence[str]) -> str:
        def both(left: str, right: str) -> str:
            return self._binary("and", left, right)

        def either(left: str, right: str) -> str:
            return self._binary("or", left, right)

        if kind in _MANY:
            value = many[0]
            for other in many[1:]:
                value = self._binary(_MANY[kind], value, other)
            return value
        name = kind.strip("$_").removeprefix("logic_").upper()
        if name in ("BUF", "POS"):
            return x["A"]
        if name == "NOT":
            return self._not(x["A"])
        if name in ("AND", "OR", "XOR"):
            return self._binary(name.lower(), x["A"], x["B"])
        if name in ("NAND", "NOR", "XNOR"):
            return self._not(self._binary(name.lower().replace("n", "", 1), x["A"], x["B"]))
        if name in ("ANDNOT", "ORNOT"):
            return (both if name == "ANDNOT" else either)(x["A"], self._not(x["B"]))
        if name in ("MUX", "NMUX"):
            value = self._choose(x["S"], x["B"], x["A"])
            return value if name == "MUX" else self._not(value)
        if name == "AOI3":
            return self._not(either(both(x["A"], x["B"]), x["C"]))
        if name == "OAI3":
            return self._not(both(either(x["A"], x["B"]), x["C"]))
        if name == "AOI4":
            return self._not(either(both(x["A"], x["B"]), both(x["C"], x["D"])))
        return self._not(both(either(x["A"], x["B"]), either(x["C"], x["D"])))  # OAI4


def _plane_of(planes: Mapping[Bit, str], bit: Bit) -> str:
    """Return a net's plane; what Verilog leaves undefined is 0, as in the word-level model."""
    if isinstance(bit, str):
        return "%ones" if bit == "1" else "%zeros"
    return planes[bit]
