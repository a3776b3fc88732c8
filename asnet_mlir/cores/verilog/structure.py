# SPDX-License-Identifier: Apache-2.0
"""The structure of a netlist: registers taken out or unrolled, what no core may have."""

from __future__ import annotations

import dataclasses
import functools
import graphlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from asnet_mlir.cores.circuits import rom, unseen
from asnet_mlir.cores.circuits.gates import BITWISE, LATCHES, split_bitwise
from asnet_mlir.cores.core import (
    Core,
    Instance,
)
from asnet_mlir.cores.ports import OUTPUT_ROLES
from asnet_mlir.cores.verilog.netlist import Netlist
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.support.formats import FLOAT_FORMATS
from asnet_mlir.support.guard import processor_time

__all__ = [
    "OWN_CPU_SECONDS",
    "REGISTERS",
    "bounded_time",
    "check_structure",
    "declared_latency",
    "remove_registers",
    "unroll",
]

#: For what is done here with a netlist.
OWN_CPU_SECONDS = 30.0
_PLAIN_REGISTERS = {"$dff": "CLK", "$_DFF_P_": "C", "$_DFF_N_": "C"}
REGISTERS = re.compile(r"\$(a|s|al)?dff|\$_[A-Z]*DFF|\$ff$|\$_FF_")
_LATCHES = re.compile(r"\$(a?dlatch|_DLATCH|dlatchsr|sr$|_SR_)")
# What takes an area, and LLVM a time, that grows with the square of the width.
_MAX_BITS = {"$mul": 512, "$div": 256, "$mod": 256, "$divfloor": 256, "$modfloor": 256, "$pow": 128}
_MAX_BITS_ELSEWHERE = 8192
#: Registers on a path from operands to result.
_MAX_DEPTH = 256

_HOW_STATEFUL = (
    "name its start and done ports, or give its initiation interval "
    "(--port start=NAME --port done=NAME or busy=NAME; --interval N)"
)


def bounded_time[T](look: Callable[[Netlist, Instance], T]) -> Callable[[Netlist, Instance], T]:
    """Bound the processor time of a function of a netlist and its instance."""

    @functools.wraps(look)
    def bounded(netlist: Netlist, instance: Instance) -> T:
        what = f"{instance.core.sources[0].path}: looking at its netlist"
        with processor_time(OWN_CPU_SECONDS, what):
            return look(netlist, instance)

    return bounded


@bounded_time
def remove_registers(netlist: Netlist, instance: Instance) -> tuple[Netlist, int]:
    """Return a flat netlist with its pipeline registers as wires, and the pipeline's depth.

    Every path from an operand to the result must pass the same number of plain flip-flops on the
    rising edge of the clock port.  Multi-driver, undriven and combinationally looped nets, latches,
    written memories, feedback, and enables or resets that are no ports are refused.

    Raises:
      InputError: the netlist or its ports do not fit the contract; the message names file:line.
    """
    ports = _check_ports(netlist, instance)
    core = instance.core
    module = netlist.module
    clock = ports.get("clock", [None])[0]
    sources = {bit: 0 for role in ("a", "b") for bit in ports[role]}  # bit -> depth
    cells = _driving_cells(netlist)
    driver = _drivers(netlist, core, cells, set(sources), clock)
    alias: dict[int, Any] = {}
    for cell in cells.values():
        if cell["type"] in _PLAIN_REGISTERS:
            alias.update(zip(cell["connections"]["Q"], cell["connections"]["D"], strict=True))
    depth = _Depths(netlist, core, cells, driver, sources, clock)
    found = [depth.of(bit) for bit in ports["result"]]
    depths = {cycles for cycles in found if cycles is not None}
    _check_defined(netlist, instance, ports)
    if len(depths) > 1:
        raise UnsupportedError(
            f"{netlist.location(module)}: {core.name} is not a feed-forward pipeline: bits of "
            f"{instance.core.ports.result} are {min(depths)} and {max(depths)} registers deep"
        )
    if not depths and core.ports.tied:
        held = ", ".join(f"{name} at {value}" for name, value in core.ports.tied.items())
        raise InputError(
            f"{netlist.location(module)}: {core.name}: no operand reaches "
            f"{core.ports.result} with {held}; is a port active at the other level?"
        )
    open_ended = {entry.name for entry in core.parameters if not entry.bounded}
    if not depths and open_ended.intersection(name for name, _ in instance.parameters):
        values = ", ".join(f"{name}={value}" for name, value in instance.parameters)
        raise InputError(
            f"{netlist.location(module)}: {core.name}: no operand reaches {core.ports.result}, "
            f"which is constant, with {values}; is a parameter out of range?"
        )
    measured = depths.pop() if depths else declared_latency(instance)

    def resolve(bit: Any) -> Any:
        while bit in alias:
            bit = alias[bit]
        return bit

    combinational: dict[str, Any] = {}
    for name, cell in cells.items():
        if cell["type"] not in _PLAIN_REGISTERS:
            connections = {
                port: [resolve(bit) for bit in bits] for port, bits in cell["connections"].items()
            }
            combinational[name] = {**cell, "connections": connections}
    resolved = {
        role: [resolve(bit) for bit in bits] for role, bits in ports.items() if role != "clock"
    }
    combinational = unseen.settle(
        split_bitwise(combinational),
        [bit for role, bits in resolved.items() if role != "result" for bit in bits],
        resolved["result"],
        lambda cell: f"{netlist.location(cell)}: {core.name}".lstrip(": "),
        [(resolved[role], value) for role, value in core.ports.unspecified],
    )
    flat = {
        "ports": {
            role: {"direction": "output" if role == "result" else "input", "bits": bits}
            for role, bits in resolved.items()
        },
        "cells": split_bitwise(combinational),
        "attributes": module["attributes"],
    }
    return Netlist(netlist.top, {netlist.top: flat}, netlist.source_names, netlist.reader), measured


@bounded_time
def unroll(netlist: Netlist, instance: Instance) -> dict[str, Any]:
    """Return a flat pipeline as a circuit over time: its result in one cycle, of earlier operands.

    A register's output is its input in the cycle before, and a cell is there once for each cycle in
    which its value counts.  Nothing is assumed about how deep which path is; what a result depends
    on besides its own operands shows as further inputs.

    Returns:
      `ports` and `cells` in the format of `write_json`; inputs are called `a@N` and `b@N`, the
      operands N cycles before the result.

    Raises:
      InputError: the netlist or its ports do not fit the contract, see `remove_registers`.
      UnsupportedError: it has feedback, or more than 256 registers on a path.
    """
    if unseen.has_undefined(netlist.module["cells"]):
        remove_registers(netlist, instance)  # refuses it where what is undefined can be seen
        settled = {**netlist.module, "cells": unseen.replaced(netlist.module["cells"])}
        netlist = dataclasses.replace(netlist, modules={netlist.top: settled})
    ports = _check_ports(netlist, instance)
    clock = ports.get("clock", [None])[0]
    inputs = {bit: (role, k) for role in ("a", "b") for k, bit in enumerate(ports[role])}
    cells = _driving_cells(netlist)
    driver = _drivers(netlist, instance.core, cells, set(inputs), clock)
    numbers: dict[tuple[int, int], int] = {}
    words: dict[str, list[Any]] = {}
    built: dict[str, Any] = {}

    def number(bit: Any, cycles: int) -> Any:
        return bit if isinstance(bit, str) else numbers.setdefault((bit, cycles), len(numbers) + 2)

    aliases: dict[int, Any] = {}
    pending = [(bit, 0) for bit in ports["result"] if not isinstance(bit, str)]
    seen = set(pending)
    while pending:
        bit, cycles = pending.pop()
        if bit in inputs:
            role, _ = inputs[bit]
            words.setdefault(f"{role}@{cycles}", [number(b, cycles) for b in ports[role]])
            continue
        if bit not in driver:
            raise InputError(
                f"{netlist.location(netlist.module)}: {instance.core.name}: a net is not driven"
            )
        name, _, position = driver[bit]
        cell = cells[name]
        if cell["type"] in _PLAIN_REGISTERS:
            if cycles >= _MAX_DEPTH:
                raise UnsupportedError(
                    f"{netlist.location(cell)}: {instance.core.name} is not a feed-forward "
                    f"pipeline of at most {_MAX_DEPTH} registers"
                )
            before = cell["connections"]["D"][position]
            aliases[number(bit, cycles)] = number(before, cycles + 1)
            wanted = [(before, cycles + 1)]
        else:
            # Every net of the cell, so that it can be built.
            built[f"{name}@{cycles}"] = {
                **cell,
                "connections": {
                    port: [number(b, cycles) for b in bits]
                    for port, bits in cell["connections"].items()
                },
            }
            wanted = [
                (b, cycles)
                for port, bits in cell["connections"].items()
                if cell["port_directions"][port] == "input"
                for b in bits
            ]
        for entry in wanted:
            if not isinstance(entry[0], str) and entry not in seen:
                seen.add(entry)
                pending.append(entry)

    def resolve(bit: Any) -> Any:
        while bit in aliases:
            bit = aliases[bit]
        return bit

    for cell in built.values():
        cell["connections"] = {
            port: [resolve(bit) for bit in bits] for port, bits in cell["connections"].items()
        }
    built = split_bitwise(built)
    _check_order(netlist, instance, built)
    result = [resolve(number(bit, 0)) for bit in ports["result"]]
    found: dict[str, Any] = {
        name: {"direction": "input", "bits": bits} for name, bits in sorted(words.items())
    }
    found["result"] = {"direction": "output", "bits": result}
    return {"ports": found, "cells": built}


def _check_order(netlist: Netlist, instance: Instance, cells: Mapping[str, Any]) -> None:
    """Check that no cell's output comes back to it without a register on the way."""
    directions = {name: cell["port_directions"] for name, cell in cells.items()}
    maker = {
        bit: name
        for name, cell in cells.items()
        for port, bits in cell["connections"].items()
        if directions[name][port] == "output"
        for bit in bits
        if not isinstance(bit, str)
    }
    order = graphlib.TopologicalSorter(
        {
            name: {
                maker[bit]
                for port, bits in cell["connections"].items()
                if directions[name][port] == "input"
                for bit in bits
                if bit in maker
            }
            for name, cell in cells.items()
        }
    )
    try:
        order.prepare()
    except graphlib.CycleError:
        raise InputError(
            f"{netlist.location(netlist.module)}: {instance.core.name}: has a combinational loop"
        ) from None


def declared_latency(instance: Instance) -> int:
    # A result that no operand reaches has any latency; one that is measured is measured here.
    return 0 if instance.core.latency_is_measured else instance.latency


def _check_ports(netlist: Netlist, instance: Instance) -> dict[str, list[Any]]:
    """Return the bits of the contract's ports by role."""
    core = instance.core
    module = netlist.module
    where = netlist.location(module) or str(core.sources[0].path)
    tied = dict(core.ports.tied)
    if core.is_stateful:
        tied.pop(core.ports.reset or "", None)
    width = FLOAT_FORMATS[core.format].width if core.format else None
    found = {}
    roles = {role: name for role, name in core.ports.roles.items() if name not in tied}
    for role, name in roles.items():
        port = module["ports"].get(name)
        if port is None:
            raise InputError(
                f"{where}: {core.name}: no port '{name}' ({role});"
                f" the module has {', '.join(module['ports'])}"
            )
        wanted = "output" if role in OUTPUT_ROLES else "input"
        if port["direction"] != wanted:
            raise InputError(
                f"{where}: {core.name}: port {name} is an {port['direction']}, expected an {wanted}"
            )
        expected = width if role in ("a", "b", "result") else 1
        if expected is not None and len(port["bits"]) != expected:
            raise InputError(
                f"{where}: {core.name}: port {name} has {len(port['bits'])} bits, "
                f"expected {expected}"
            )
        found[role] = port["bits"]
    for name in tied:
        port = module["ports"].get(name)
        if port is not None:
            raise InputError(
                f"{where}: {core.name}: port {name} is an {port['direction']}, expected an input"
            )
        if name not in module["netnames"]:
            raise InputError(f"{where}: {core.name}: no port '{name}', which shall have a value")
    for name, port in module["ports"].items():
        if name not in roles.values() and port["bits"]:
            raise UnsupportedError(
                f"{where}: {core.name}: {port['direction']} port {name} has no role;"
                " name one, or the value that it is held at (--port constant.NAME=VALUE)"
            )
    return found


def _check_cell(netlist: Netlist, core: Core, cell: Mapping[str, Any], clock: Any) -> None:
    kind = cell["type"]
    where = f"{netlist.location(cell)}: {core.name}".lstrip(": ")
    if kind in LATCHES:
        return  # whether what it holds can be seen is decided later (`unseen.py`)
    if _LATCHES.match(kind):
        raise InputError(f"{where}: a latch is inferred; assign the signal on every path")
    if kind in ("$tribuf", "$_TBUF_"):
        raise UnsupportedError(f"{where}: drives z (a tri-state driver); not supported")
    if kind.startswith("$mem"):
        name = str(cell["parameters"].get("MEMID", "")).lstrip("\\")
        raise UnsupportedError(
            f"{where}: memory {name} is written; memories are not supported, registers are"
        )
    if kind in _PLAIN_REGISTERS or (core.is_stateful and REGISTERS.match(kind)):
        falling = (
            re.match(r"\$_[A-Z]*DFF[A-Z]*_N", kind)
            or int(cell["parameters"].get("CLK_POLARITY", "1"), 2) != 1
        )
        edge = cell["connections"].get("CLK", cell["connections"].get("C", [None]))[0]
        if edge != clock or clock is None:
            raise UnsupportedError(
                f"{where} is not a feed-forward pipeline: a register is not clocked by the clock "
                "port itself; this is not supported yet"
            )
        if falling:
            raise UnsupportedError(
                f"{where}: a register uses the falling edge of the clock; not supported yet"
            )
        return
    if REGISTERS.match(kind) or kind.startswith("$fsm"):
        raise UnsupportedError(
            f"{where} is not a feed-forward pipeline: a register has an enable or a reset that is "
            "no port; name the ports enable and reset (--port enable=NAME, --port reset=NAME), or "
            f"{_HOW_STATEFUL}"
        )
    if not kind.startswith("$"):
        raise InputError(f"{where}: module '{kind}' is not defined")
    if kind == rom.ROM_CELL:
        return
    bits = max((len(bits) for bits in cell["connections"].values()), default=0)
    limit = _MAX_BITS.get(kind, _MAX_BITS_ELSEWHERE)
    if bits > limit:
        raise UnsupportedError(
            f"{where}: '{kind[1:]}' on {bits} bits; at most {limit} are supported"
        )


@bounded_time
def check_structure(netlist: Netlist, instance: Instance) -> None:
    """Check the netlist of a core with a state: ports, registers, and every net that is used.

    Raises:
      InputError: as for `remove_registers`, but enables, resets and feedback are allowed.
    """
    core = instance.core
    ports = _check_ports(netlist, instance)
    clock = ports.get("clock", [None])[0]
    cells = _driving_cells(netlist)
    inputs = [bit for role in ports if role not in OUTPUT_ROLES for bit in ports[role]]
    driver = _drivers(netlist, core, cells, set(inputs), clock)
    roots = [bit for role in OUTPUT_ROLES for bit in ports.get(role, ())]
    _check_defined(netlist, instance, ports)
    # Registers cut the paths: below, a register's inputs are new roots.
    walk = _Depths(netlist, core, cells, driver, dict.fromkeys(inputs, 0), clock)
    seen: set[str] = set()
    pending = list(roots)
    while pending:
        walk.visit(pending.pop())
        for name in walk.registers - seen:
            seen.add(name)
            cell = cells[name]
            for port, direction in cell["port_directions"].items():
                if direction == "input" and port not in ("CLK", "C"):
                    pending += [bit for bit in cell["connections"][port] if bit != clock]
    # Neither the outputs nor the registers' next values may depend on what a latch holds.
    registers = {name: cells[name] for name in seen}
    state, following = (
        [
            bit
            for cell in registers.values()
            for port, way in cell["port_directions"].items()
            if way == direction
            for bit in cell["connections"][port]
            if bit != clock
        ]
        for direction in ("output", "input")
    )
    logic = {
        name: cell
        for name, cell in cells.items()
        if name not in seen and cell["type"] not in ("$div", "$mod")
    }
    if unseen.has_undefined(logic):
        quotients = [
            bit
            for cell in cells.values()
            if cell["type"] in ("$div", "$mod")
            for bit in cell["connections"]["Y"]
        ]
        unseen.settle(
            split_bitwise(logic),
            [*inputs, *state, *quotients],
            [*roots, *following],
            lambda cell: f"{netlist.location(cell)}: {core.name}".lstrip(": "),
        )


def _driving_cells(netlist: Netlist) -> dict[str, Any]:
    # Assertions, prints and scope notes drive nothing.
    return rom.split_read_ports(
        {
            name: cell
            for name, cell in netlist.module["cells"].items()
            if "output" in cell.get("port_directions", {"": "output"}).values()
        }
    )


def _drivers(
    netlist: Netlist, core: Core, cells: Mapping[str, Any], inputs: set[Any], clock: Any
) -> dict[int, tuple[str, str, int]]:
    """Check every cell, and return what drives each net: cell, port and position in it."""
    driver: dict[int, tuple[str, str, int]] = {}
    for name, cell in cells.items():
        _check_cell(netlist, core, cell, clock)
        for port, direction in cell["port_directions"].items():
            if direction == "output":
                for position, bit in enumerate(cell["connections"][port]):
                    if bit in driver or bit in inputs or bit == clock:
                        raise InputError(
                            f"{netlist.location(cell)}: {core.name}: a net has several drivers"
                        )
                    if isinstance(bit, int):
                        driver[bit] = (name, port, position)
    if netlist.conflicts:
        # Two wires joined: Yosys keeps one of them and says so.
        raise InputError(
            f"{netlist.location(netlist.module)}: {core.name}: net {netlist.conflicts[0]} has "
            "several drivers"
        )
    return driver


def _check_defined(
    netlist: Netlist, instance: Instance, ports: Mapping[str, Sequence[Any]]
) -> None:
    names = instance.core.ports.roles
    for role in OUTPUT_ROLES:
        for position, bit in enumerate(ports.get(role, ())):
            if bit in ("x", "z"):
                raise InputError(
                    f"{netlist.location(netlist.module)}: {instance.core.name}: bit {position} of "
                    f"{names[role]} is undefined ({bit})"
                )


class _Depths:
    """Number of registers between the operands and a net, found without recursion."""

    def __init__(
        self,
        netlist: Netlist,
        core: Core,
        cells: Mapping[str, Any],
        driver: Mapping[int, tuple[str, str, int]],
        sources: Mapping[int, int],
        clock: Any,
    ) -> None:
        self._netlist = netlist
        self._core = core
        self._cells = cells
        self._driver = driver
        self._clock = clock
        #: In a core with a state: the registers that were met, whose inputs nobody walked.
        self.registers: set[str] = set()
        self._known: dict[Any, int | None] = dict(sources)

    def of(self, bit: Any) -> int | None:
        """Return the depth of a net; None where no operand reaches it.

        Registers at different depths that meet are refused.
        """
        self.visit(bit)
        return None if isinstance(bit, str) else self._known[bit]

    def visit(self, bit: Any) -> None:
        """Walk from a net to the operands.

        The walk is an explicit stack: a chain of a thousand gates is deeper than Python's calls.
        """
        stack = [bit]
        open_bits: dict[Any, None] = {}
        while stack:
            net = stack[-1]
            if isinstance(net, str) or net in self._known:
                stack.pop()
                continue
            needed = self._fan_in(net)
            if net not in open_bits:
                open_bits[net] = None
                waiting = [n for n in needed if not isinstance(n, str) and n not in self._known]
                for other in waiting:
                    if other in open_bits:
                        self._report_loop(other, open_bits)
                stack.extend(waiting)
                continue
            depths = {self._known.get(n) for n in needed if not isinstance(n, str)} - {None}
            cell = self._cells[self._driver[net][0]]
            if len(depths) > 1 and not self._core.is_stateful:
                low, high = min(depths), max(depths)  # type: ignore[type-var]
                raise UnsupportedError(
                    f"{self._netlist.location(cell)}: {self._core.name} is not a feed-forward "
                    f"pipeline of one depth: operands arrive here {low} and {high} registers deep; "
                    "this is not supported yet"
                )
            depth = min(depths, default=None)  # type: ignore[type-var]
            if depth is not None and cell["type"] in _PLAIN_REGISTERS:
                depth += 1
            self._known[net] = depth
            del open_bits[net]
            stack.pop()

    def _fan_in(self, net: Any) -> list[Any]:
        if net == self._clock:
            raise UnsupportedError(
                f"{self._core.name}: the clock is used as data; not supported yet"
            )
        if net not in self._driver:
            names = [
                name
                for name, entry in self._netlist.module["netnames"].items()
                if net in entry["bits"]
            ]
            entry = self._netlist.module["netnames"].get(names[0], {}) if names else {}
            raise InputError(
                f"{self._netlist.location(entry)}: {self._core.name}: net {(names or ['?'])[0]} "
                "is used but never driven"
            )
        name, _, position = self._driver[net]
        cell = self._cells[name]
        connections = cell["connections"]
        if self._core.is_stateful and REGISTERS.match(cell["type"]):
            self.registers.add(name)
            return []
        if cell["type"] in _PLAIN_REGISTERS:
            return [connections["D"][position]]
        if cell["type"] in LATCHES:
            opens = [bit for port in LATCHES[cell["type"]] for bit in connections[port]]
            return [*opens, connections["D"][position]]
        if cell["type"] in BITWISE:
            # Bit by bit, because a vector may carry bits of different pipeline stages.
            bits: list[Any] = list(connections["S"]) if cell["type"] == "$mux" else []
            for port in BITWISE[cell["type"]]:
                operand = connections[port]
                if position < len(operand):
                    bits.append(operand[position])
                elif int(cell["parameters"].get(f"{port}_SIGNED", "0"), 2):
                    bits.append(operand[-1])
            return bits
        return [
            bit
            for port, direction in cell["port_directions"].items()
            if direction == "input"
            for bit in connections[port]
        ]

    def _report_loop(self, net: Any, path: Iterable[Any]) -> None:
        chain = list(path)
        loop = [self._cells[self._driver[n][0]] for n in chain[chain.index(net) :]]
        where = self._netlist.location(loop[0])
        if any(cell["type"] in _PLAIN_REGISTERS for cell in loop):
            raise UnsupportedError(
                f"{where}: {self._core.name} is not a feed-forward pipeline: a register feeds "
                f"itself; name its enable if it has one, or {_HOW_STATEFUL}"
            )
        hint = ""
        if self._netlist.reader == "slang":  # Yosys refuses latches in always_comb
            hint = " (a signal that always_comb assigns on some paths only is one, too)"
        raise InputError(f"{where}: {self._core.name}: a combinational loop passes here{hint}")
