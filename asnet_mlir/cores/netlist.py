"""Verilog to a netlist of word-level cells, read by Yosys in a process of its own.

`elaborate` gives flat or hierarchical netlists of instances; `remove_registers` proves that a flat
one is a feed-forward pipeline of a certain depth and turns its registers into wires.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asnet_mlir import processes
from asnet_mlir.cores.core import FORMAT_WIDTHS, Instance, Source
from asnet_mlir.errors import AsnetError, InputError, ToolError, UnsupportedError

__all__ = [
    "ModuleInterface",
    "Netlist",
    "PortInterface",
    "elaborate",
    "measure_latency",
    "read_interface",
    "remove_registers",
]

_WORKER = Path(__file__).with_name("yosys_worker.py")
_MEMORY_BYTES = 8 << 30
_SECONDS_PER_JOB = 120.0

_PLAIN_REGISTERS = {"$dff": "CLK", "$_DFF_P_": "C", "$_DFF_N_": "C"}
_BITWISE = {"$and": "AB", "$or": "AB", "$xor": "AB", "$xnor": "AB", "$not": "A", "$mux": "AB"}


@dataclass(frozen=True)
class PortInterface:
    """A port as Yosys sees it; `clocks_registers` tells whether it is the clock of any register."""

    name: str
    direction: str
    width: int
    clocks_registers: bool


@dataclass(frozen=True)
class ModuleInterface:
    """A module's name, ports in order of declaration, parameters with defaults, and file:line."""

    name: str
    ports: tuple[PortInterface, ...]
    parameters: tuple[tuple[str, int], ...]
    location: str


@dataclass(frozen=True)
class Netlist:
    """Modules in the format of Yosys' `write_json`; `source_names` maps its file names to ours."""

    top: str
    modules: Mapping[str, Any]
    source_names: Mapping[str, str]

    @property
    def module(self) -> Any:
        """The top module."""
        return self.modules[self.top]

    def location(self, item: Mapping[str, Any]) -> str:
        """Return `file:line` of a cell, net or module, or '' where Yosys has none."""
        source = str(item.get("attributes", {}).get("src", "")).split("|")[0]
        match = re.match(r"(.*):(\d+)\.\d+", source)
        return f"{self.source_names.get(match[1], match[1])}:{match[2]}" if match else ""


@dataclass(frozen=True)
class _Job:
    sources: tuple[Source, ...]
    script: tuple[str, ...]


def read_interface(sources: tuple[Source, ...], top: str | None = None) -> ModuleInterface:
    """Return the interface of module `top`, or of the only module that no other instantiates.

    Raises:
      InputError: Yosys does not read the sources, there is no such module, or several could be it.
    """
    result = _run([_Job(sources, ("proc -norom",))])[0]
    if isinstance(result, AsnetError):
        raise result
    modules = result.modules
    names = {name: name for name in modules if not name.startswith("$")}
    if top is None:
        used = {cell["type"] for module in modules.values() for cell in module["cells"].values()}
        roots = [name for name in names if name not in used]
        if not roots:
            raise InputError(f"{sources[0].path}: no top module; modules instantiate each other")
        if len(roots) > 1:
            raise InputError(
                f"{sources[0].path}: several modules could be the top: {', '.join(sorted(roots))};"
                " name one (--top)"
            )
        top = roots[0]
    if top not in names:
        raise InputError(
            f"{sources[0].path}: no module '{top}'; it has {', '.join(sorted(names)) or 'none'}"
        )
    module = modules[top]
    clock_bits = _clock_bits(modules, top)
    parameters = []
    for name, value in module.get("parameter_default_values", {}).items():
        if isinstance(value, str) and re.fullmatch(r"[01]{1,64}", value):
            parameters.append((name, _signed(value)))
    return ModuleInterface(
        name=top,
        ports=tuple(
            PortInterface(name, port["direction"], len(port["bits"]), port["bits"][0] in clock_bits)
            for name, port in module["ports"].items()
            if port["bits"]
        ),
        parameters=tuple(parameters),
        location=result.location(module),
    )


def _clock_bits(modules: Mapping[str, Any], name: str, depth: int = 0) -> set[Any]:
    """Return the nets of a module that clock registers, in it or below."""
    bits: set[Any] = set()
    if depth > 64:
        return bits
    for cell in modules[name]["cells"].values():
        connections = cell["connections"]
        bits.update(connections.get("CLK", ()) if cell["type"].startswith("$") else ())
        child = modules.get(cell["type"])
        if child is not None:
            inner = _clock_bits(modules, cell["type"], depth + 1)
            for port, description in child["ports"].items():
                for position, bit in enumerate(description["bits"]):
                    if bit in inner and position < len(connections.get(port, ())):
                        bits.add(connections[port][position])
    return bits


def elaborate(instances: Sequence[Instance], *, flatten: bool = True) -> list[Netlist | AsnetError]:
    """Return the netlist of each instance, or the error that reading it gave.

    With `flatten` the netlist has one module without instances; without it the hierarchy is kept
    (what the structural proof looks at).
    """
    jobs = []
    for instance in instances:
        module = instance.core.module
        # Yosys reads no minus sign here.
        values = "".join(
            f" -chparam {name} {value if value >= 0 else f"32'sh{value & 0xFFFFFFFF:08x}"}"
            for name, value in instance.parameters
        )
        # One round of what shrinks logic, not `opt -full`: its -undriven and -mux_undef hide
        # undriven nets, opt_dff would turn the multiplexers before a pipeline's registers into
        # enables and synchronous resets, and repeating the passes to a fixed point takes ten times
        # as long.
        body = (
            (
                "proc -norom",
                "flatten",
                "opt_clean",
                "memory",
                "opt_expr -fine",
                "opt_merge",
                "opt_muxtree",
                "opt_reduce",
                "opt_expr -fine",
                "opt_clean",
            )
            if flatten
            else ("proc -norom", "opt_expr -fine", "opt_clean")
        )
        jobs.append(_Job(instance.core.sources, (f"hierarchy -check -top {module}{values}", *body)))
    return _run(jobs)


def measure_latency(instance: Instance) -> int:
    """Return the number of registers on every path from the operands to the result.

    Raises:
      AsnetError: the netlist cannot be read, or is no feed-forward pipeline.
    """
    netlist = elaborate([instance])[0]
    if isinstance(netlist, AsnetError):
        raise netlist
    return remove_registers(netlist, instance)[1]


def _run(jobs: Sequence[_Job]) -> list[Netlist | AsnetError]:
    """Run all jobs in as few processes as errors allow."""
    results: list[Netlist | AsnetError | None] = [None] * len(jobs)
    with tempfile.TemporaryDirectory(prefix="asnet-yosys-") as name:
        folder = Path(name)
        groups: dict[tuple[Source, ...], list[int]] = {}
        for index, job in enumerate(jobs):
            groups.setdefault(job.sources, []).append(index)
        copies = {
            sources: _copy_sources(folder / f"s{number}", sources)
            for number, sources in enumerate(groups)
        }
        while any(result is None for result in results):
            _run_pending(folder, jobs, groups, copies, results)
    return [result for result in results if result is not None]


def _run_pending(
    folder: Path,
    jobs: Sequence[_Job],
    groups: Mapping[tuple[Source, ...], list[int]],
    copies: Mapping[tuple[Source, ...], tuple[list[str], dict[str, str]]],
    results: list[Netlist | AsnetError | None],
) -> None:
    pending = {
        sources: [index for index in indices if results[index] is None]
        for sources, indices in groups.items()
    }
    order = [index for indices in pending.values() for index in indices]
    request = [
        {
            "read": copies[sources][0],
            "jobs": [
                {"output": str(folder / f"{index}.json"), "script": jobs[index].script}
                for index in indices
            ],
        }
        for sources, indices in pending.items()
        if indices
    ]
    (folder / "jobs.json").write_text(json.dumps(request))
    where = jobs[order[0]].sources[0].path
    failure: ToolError | None = None
    log = ""
    try:
        done = processes.run(
            [sys.executable, "-P", _WORKER, folder / "jobs.json"],
            purpose=f"reading {where} with Yosys",
            cwd=where.parent,
            timeout_seconds=_SECONDS_PER_JOB + 10.0 * len(order),
            memory_bytes=_MEMORY_BYTES,
            check=False,
        )
        log = done.stdout + "\n" + done.stderr
    except ToolError as error:
        failure = error
    for sources, indices in pending.items():
        for index in indices:
            output = folder / f"{index}.json"
            if not output.is_file():
                # The first job without output is the one that ended the process; the jobs after
                # it are run again, without it.
                results[index] = failure or _map_error(log, sources, copies[sources][1])
                return
            modules = json.loads(output.read_text())["modules"]
            top = next(
                (name for name, m in modules.items() if int(m["attributes"].get("top", "0"), 2)),
                "",
            )
            results[index] = Netlist(top, modules, copies[sources][1])


def _copy_sources(folder: Path, sources: tuple[Source, ...]) -> tuple[list[str], dict[str, str]]:
    """Write sources under names without spaces; return the read commands and names back."""
    folder.mkdir()
    names = {}
    includes = []
    for number, parent in enumerate(dict.fromkeys(source.path.parent for source in sources)):
        (folder / f"include{number}").symlink_to(parent)
        includes.append(f"-I{folder}/include{number}")
        names[f"{folder}/include{number}"] = str(parent)
    for number, source in enumerate(sources):
        path = folder / f"f{number}.sv"
        path.write_text(source.text, encoding="utf-8")
        names[str(path)] = str(source.path)
    files = " ".join(name for name in names if name.endswith(".sv"))
    return [f"read_verilog -sv {' '.join(includes)} {files}"], names


def _map_error(log: str, sources: tuple[Source, ...], names: Mapping[str, str]) -> AsnetError:
    """Return Yosys' error as one line that names the user's files."""
    lines = [line for line in log.splitlines() if "ERROR" in line]
    if not lines:
        tail = " | ".join(log.strip().splitlines()[-3:])
        return ToolError(f"{sources[0].path}: Yosys ended without a netlist: {tail}")
    text = lines[-1]
    for copy, name in names.items():
        text = text.replace(copy, name)
    text = re.sub(r"\\(\S+?)(?=['\s]|$)", r"\1", text).replace("`", "'")
    match = re.match(r"(.*?:\d+): ERROR: (.*)", text)
    if match:
        return InputError(f"{match[1]}: {match[2].rstrip('!.')}")
    message = text.split("ERROR:", 1)[1].strip().rstrip("!.")
    return InputError(f"{sources[0].path}: {message}")


def remove_registers(netlist: Netlist, instance: Instance) -> tuple[Netlist, int]:
    """Return a flat netlist with its pipeline registers as wires, and the pipeline's depth.

    Every path from an operand to the result must pass the same number of plain flip-flops on the
    rising edge of the clock port.  Multi-driver, undriven and combinationally looped nets, latches,
    registers with enable or reset and feedback are refused.

    Raises:
      InputError: the netlist or its ports do not fit the contract; the message names file:line.
    """
    ports = _check_ports(netlist, instance)
    core = instance.core.name
    module = netlist.module
    clock = ports.get("clock", [None])[0]
    driver: dict[int, tuple[str, str, int]] = {}
    sources: dict[int, int] = {}  # bit -> depth of the operands
    for role in ("a", "b"):
        sources.update(dict.fromkeys(ports[role], 0))
    # Assertions, prints and scope notes drive nothing.
    cells = {n: c for n, c in module["cells"].items() if "output" in c["port_directions"].values()}
    alias: dict[int, Any] = {}
    register_of: dict[int, str] = {}
    for name, cell in cells.items():
        _check_cell(netlist, core, cell, clock)
        for port, direction in cell["port_directions"].items():
            if direction == "output":
                for position, bit in enumerate(cell["connections"][port]):
                    if bit in driver or bit in sources or bit == clock:
                        raise InputError(
                            f"{netlist.location(cell)}: {core}: a net has several drivers"
                        )
                    if isinstance(bit, int):
                        driver[bit] = (name, port, position)
        if cell["type"] in _PLAIN_REGISTERS:
            for q, d in zip(cell["connections"]["Q"], cell["connections"]["D"], strict=True):
                alias[q] = d
                register_of[q] = name
    depth = _Depths(netlist, core, cells, driver, sources, clock)
    found = [depth.of(bit) for bit in ports["result"]]
    depths = {cycles for cycles in found if cycles is not None}
    for position, bit in enumerate(ports["result"]):
        if bit in ("x", "z"):
            raise InputError(
                f"{netlist.location(module)}: {core}: bit {position} of "
                f"{instance.core.ports.result} is undefined ({bit})"
            )
    if len(depths) > 1:
        raise UnsupportedError(
            f"{netlist.location(module)}: {core} is not a feed-forward pipeline: bits of "
            f"{instance.core.ports.result} are {min(depths)} and {max(depths)} registers deep"
        )
    measured = depths.pop() if depths else instance.latency

    def resolve(bit: Any) -> Any:
        while bit in alias:
            bit = alias[bit]
        return bit

    combinational = {}
    for name, cell in cells.items():
        if cell["type"] not in _PLAIN_REGISTERS:
            connections = {
                port: [resolve(bit) for bit in bits] for port, bits in cell["connections"].items()
            }
            combinational[name] = {**cell, "connections": connections}
    flat = {
        "ports": {
            role: {
                "direction": "output" if role == "result" else "input",
                "bits": [resolve(bit) for bit in bits],
            }
            for role, bits in ports.items()
            if role != "clock"
        },
        "cells": combinational,
        "attributes": module["attributes"],
    }
    return Netlist(netlist.top, {netlist.top: flat}, netlist.source_names), measured


def _check_ports(netlist: Netlist, instance: Instance) -> dict[str, list[Any]]:
    """Return the bits of the contract's ports by role."""
    core = instance.core
    module = netlist.module
    where = netlist.location(module) or str(core.sources[0].path)
    roles = {core.ports.a: "a", core.ports.b: "b", core.ports.result: "result"}
    if core.ports.clock is not None:
        roles[core.ports.clock] = "clock"
    width = FORMAT_WIDTHS[core.format] if core.format else None
    found = {}
    for name, role in roles.items():
        port = module["ports"].get(name)
        if port is None:
            raise InputError(
                f"{where}: {core.name}: no port '{name}' ({role});"
                f" the module has {', '.join(module['ports'])}"
            )
        wanted = "output" if role == "result" else "input"
        if port["direction"] != wanted:
            raise InputError(
                f"{where}: {core.name}: port {name} is an {port['direction']}, expected an {wanted}"
            )
        expected = 1 if role == "clock" else width
        if expected is not None and len(port["bits"]) != expected:
            raise InputError(
                f"{where}: {core.name}: port {name} has {len(port['bits'])} bits, "
                f"expected {expected}"
            )
        found[role] = port["bits"]
    for name, port in module["ports"].items():
        if name not in roles:
            raise UnsupportedError(
                f"{where}: {core.name}: {port['direction']} port {name} has no role;"
                " a core has a clock, two operands and one result"
            )
    return found


def _check_cell(netlist: Netlist, core: str, cell: Mapping[str, Any], clock: Any) -> None:
    kind = cell["type"]
    where = f"{netlist.location(cell)}: {core}".lstrip(": ")
    if kind in _PLAIN_REGISTERS:
        rising = kind != "$_DFF_N_" and int(cell["parameters"].get("CLK_POLARITY", "1"), 2) == 1
        edge = cell["connections"][_PLAIN_REGISTERS[kind]][0]
        if edge != clock or clock is None:
            raise UnsupportedError(
                f"{where} is not a feed-forward pipeline: a register is not clocked by the clock "
                "port itself; this is not supported yet"
            )
        if not rising:
            raise UnsupportedError(
                f"{where}: a register uses the falling edge of the clock; not supported yet"
            )
        return
    if re.match(r"\$(a?dlatch|_DLATCH|dlatchsr|sr$|_SR_)", kind):
        raise InputError(f"{where}: a latch is inferred; assign the signal on every path")
    if re.match(r"\$(a|s|al)?dff|\$_[A-Z]*DFF|\$mem|\$ff|\$_FF_|\$fsm", kind):
        raise UnsupportedError(
            f"{where} is not a feed-forward pipeline: registers with enable or reset, and memories "
            "that are written, are not supported yet"
        )
    if not kind.startswith("$"):
        raise InputError(f"{where}: module '{kind}' is not defined")


class _Depths:
    """Number of registers between the operands and a net, found without recursion."""

    def __init__(
        self,
        netlist: Netlist,
        core: str,
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
        self._known: dict[Any, int | None] = dict(sources)

    def of(self, bit: Any) -> int | None:
        """Return the depth of a net; None where no operand reaches it.

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
            if len(depths) > 1:
                low, high = min(depths), max(depths)  # type: ignore[type-var]
                raise UnsupportedError(
                    f"{self._netlist.location(cell)}: {self._core} is not a feed-forward pipeline "
                    f"of one depth: operands arrive here {low} and {high} registers deep; "
                    "this is not supported yet"
                )
            depth = depths.pop() if depths else None
            if depth is not None and cell["type"] in _PLAIN_REGISTERS:
                depth += 1
            self._known[net] = depth
            del open_bits[net]
            stack.pop()
        return None if isinstance(bit, str) else self._known[bit]

    def _fan_in(self, net: Any) -> list[Any]:
        if net == self._clock:
            raise UnsupportedError(f"{self._core}: the clock is used as data; not supported yet")
        if net not in self._driver:
            names = [
                name
                for name, entry in self._netlist.module["netnames"].items()
                if net in entry["bits"]
            ]
            entry = self._netlist.module["netnames"].get(names[0], {}) if names else {}
            raise InputError(
                f"{self._netlist.location(entry)}: {self._core}: net {(names or ['?'])[0]} is used "
                "but never driven"
            )
        name, _, position = self._driver[net]
        cell = self._cells[name]
        connections = cell["connections"]
        if cell["type"] in _PLAIN_REGISTERS:
            return [connections["D"][position]]
        if cell["type"] in _BITWISE:
            # Bit by bit, because a vector may carry bits of different pipeline stages.
            bits: list[Any] = list(connections.get("S", ()))
            for port in _BITWISE[cell["type"]]:
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
                f"{where}: {self._core} is not a feed-forward pipeline: a register feeds itself "
                "(feedback or an enable); this is not supported yet"
            )
        raise InputError(f"{where}: {self._core}: a combinational loop passes here")


def _signed(bits: str) -> int:
    value = int(bits, 2)
    return value - (1 << len(bits)) if len(bits) == 32 and bits[0] == "1" else value
