# SPDX-License-Identifier: Apache-2.0
"""What a module looks like from outside: ports, parameters, clocks."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asnet_mlir.cores.sources.source import Source, dependencies, include_folders, without_comments
from asnet_mlir.cores.verilog.netlist import Netlist, Reader
from asnet_mlir.cores.verilog.structure import OWN_CPU_SECONDS, REGISTERS
from asnet_mlir.cores.verilog.yosys import (
    INTERFACE_PORT,
    Job,
    reader_version,
    run_jobs,
    signed_value,
    slang_readers,
)
from asnet_mlir.errors import AsnetError, InputError, UnsupportedError
from asnet_mlir.support.cache import cached_text, content_hash
from asnet_mlir.support.guard import processor_time

__all__ = ["Instantiation", "ModuleInterface", "PortInterface", "instantiations", "read_interface"]


@dataclass(frozen=True)
class PortInterface:
    """A port as Yosys sees it; `clocks_registers` tells whether it is the clock of any register."""

    name: str
    direction: str
    width: int
    clocks_registers: bool
    signed: bool = False


@dataclass(frozen=True)
class ModuleInterface:
    """A module's name, ports in order of declaration, parameters with defaults, and file:line.

    Only parameters that are integers are listed; others stay at what the Verilog says.
    """

    name: str
    ports: tuple[PortInterface, ...]
    parameters: tuple[tuple[str, int], ...]
    location: str
    reader: Reader = "yosys"


def read_interface(
    sources: tuple[Source, ...],
    top: str | None = None,
    *,
    includes: tuple[Path, ...] = (),
    parameters: Mapping[str, int] | None = None,
) -> ModuleInterface:
    """Return the interface of module `top`, or of the only module that no other instantiates.

    Args:
      sources: the files, packages before what uses them.
      top: the module's name.
      includes: folders for included files besides those of the sources.
      parameters: values at which the ports are looked at, by default the module's own.

    Raises:
      InputError: the sources cannot be read, there is no such module, or several could be it.
    """
    names = [str(source.path) for source in sources]
    fixed = sorted((parameters or {}).items())
    key = content_hash(
        reader_version(),
        json.dumps([names, [str(folder) for folder in includes], top, fixed]),
        *(source.text for source in sources),
        *dependencies(sources, include_folders(sources, includes)),
    )
    text = cached_text(
        "interfaces",
        key,
        lambda: json.dumps(dataclasses.asdict(_bounded_interface(sources, top, includes, fixed))),
    )
    value = json.loads(text)
    value["ports"] = tuple(PortInterface(**port) for port in value["ports"])
    value["parameters"] = tuple((name, number) for name, number in value["parameters"])
    return ModuleInterface(**value)


def _bounded_interface(
    sources: tuple[Source, ...],
    top: str | None,
    includes: tuple[Path, ...],
    parameters: Sequence[tuple[str, int]],
) -> ModuleInterface:
    with processor_time(OWN_CPU_SECONDS, f"{sources[0].path}: looking at its modules"):
        return _read_interface(sources, top, includes, parameters)


def _read_interface(
    sources: tuple[Source, ...],
    top: str | None,
    includes: tuple[Path, ...],
    parameters: Sequence[tuple[str, int]],
) -> ModuleInterface:
    result = run_jobs([Job(sources, includes, ("proc -norom",))])[0]
    if isinstance(result, AsnetError):
        raise result
    names = {
        name
        for name, module in result.modules.items()
        if not name.startswith("$") and "is_interface" not in module["attributes"]
    }
    if top is None:
        top = _only_root(sources, result.modules, names)
    # Slang dissolves what other modules instantiate, and says nothing about parameters.
    is_slang = result.reader == "slang"
    if is_slang and any(re.search(rf"\bmodule\s+{re.escape(top)}\b", s.text) for s in sources):
        defaults = _slang_parameters(sources, includes, top)
    elif top in names:
        defaults = _integer_parameters(result.modules[top])
    else:
        raise InputError(
            f"{sources[0].path}: no module '{top}'; it has {', '.join(sorted(names)) or 'none'}"
        )
    known = [name for name, _ in defaults]
    for name, _ in parameters:
        if name not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise InputError(f"{top}: unknown parameter '{name}'; {has}")
    if parameters or top not in names:
        result = run_jobs([Job(sources, includes, ("proc -norom",), top, tuple(parameters))])[0]
        if isinstance(result, AsnetError):
            raise result
        module = result.module
    else:
        module = result.modules[top]
    _check_names(result, module, top, known)
    clock_bits = _clock_bits(result.modules, module)
    ports = [
        PortInterface(
            name=name,
            direction=port["direction"],
            width=len(port["bits"]),
            clocks_registers=port["bits"][0] in clock_bits,
            signed=bool(port.get("signed")),
        )
        for name, port in module["ports"].items()
        if port["bits"]
    ]
    if result.reader == "slang":
        ports = _declared_order(sources, result, module, ports)
    return ModuleInterface(
        name=top,
        ports=tuple(ports),
        parameters=tuple(defaults),
        location=result.location(module),
        reader=result.reader,
    )


def _check_names(
    netlist: Netlist, module: Mapping[str, Any], top: str, parameters: Iterable[str]
) -> None:
    """Refuse interfaces as ports, and names that not all tools have for what they name."""
    place = netlist.location(module)
    for name in module["ports"]:
        if "is_interface" in module["netnames"].get(name, {}).get("attributes", {}):
            raise UnsupportedError(INTERFACE_PORT.format(place=place, port=name, module=top))
    for name in (top, *module["ports"], *parameters):
        # Yosys keeps the backslash of a name that without it would be a number or a task.
        if name.startswith("\\"):
            raise UnsupportedError(
                f"{place}: the name {name} begins with neither a letter nor an underscore; not all "
                "tools read such names: rename it"
            )


def _only_root(
    sources: tuple[Source, ...], modules: Mapping[str, Any], names: Iterable[str]
) -> str:
    where = sources[0].path
    used = {cell["type"] for module in modules.values() for cell in module["cells"].values()}
    used |= {modules[name]["attributes"].get("hdlname", name) for name in used if name in modules}
    roots = [name for name in names if name not in used]
    if not roots:
        raise InputError(
            f"{where}: no top module; modules instantiate each other"
            if modules
            else f"{where}: there is no module in it"
        )
    if len(roots) > 1:
        raise InputError(
            f"{where}: several modules could be the top: {', '.join(sorted(roots))};"
            " name one (--top)"
        )
    return roots[0]


def _integer_parameters(module: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Return what Yosys lists with a value of bits; texts and reals look different there."""
    parameters = []
    for name, value in module.get("parameter_default_values", {}).items():
        if isinstance(value, str) and re.fullmatch(r"[01]{1,64}", value):
            number = signed_value(value)
            if -(1 << 31) <= number < 1 << 31:
                parameters.append((name, number))
    return parameters


def _slang_parameters(
    sources: tuple[Source, ...], includes: tuple[Path, ...], top: str
) -> list[tuple[str, int]]:
    """Return a module's integer parameters with their defaults.

    The names are taken from the text; a module around it that looks at them from above gives the
    values.  Where that fails no parameter is offered.
    """
    names = []
    for source in sources:
        text = without_comments(source.text)
        match = re.search(rf"\bmodule\s+(?:automatic\s+|static\s+)?{re.escape(top)}\b", text)
        if match is None:
            continue
        header = text[match.end() :]
        opening = re.match(r"(?:\s*import\b[^;]*;)*\s*#\s*\(", header)
        if opening is None:
            continue
        items = _split_list(header[opening.end() :])
        kind = ""
        for item in items:
            declaration = re.match(
                r"\s*(parameter\b|localparam\b|)(.*?)([A-Za-z_]\w*)\s*(\[[^]]*\]\s*)?=(.*)",
                item,
                re.DOTALL,
            )
            if declaration is None:
                continue
            kind = declaration[1] + declaration[2] if declaration[1] else kind or declaration[2]
            is_number = not re.search(r"\b(localparam|type|string|real|shortreal|realtime)\b", kind)
            if is_number and not re.match(r'\s*(".*|[\d_]+\.\d.*|\d+e-?\d+)', declaration[5]):
                names.append(declaration[3])
        break
    if not names:
        return []
    ports = ", ".join(f"output wire [63:0] p{index}" for index in range(len(names)))
    reads = " ".join(f"assign p{index} = asnet_top.{name};" for index, name in enumerate(names))
    probe = f"module asnet_probe({ports}); {top} asnet_top(); {reads} endmodule\n"
    added = (*sources, Source(sources[-1].path.with_name("asnet_probe.sv"), probe))
    body = ("proc -norom", "opt_expr", "opt_clean")
    job = Job(added, includes, body, "asnet_probe")
    result = run_jobs([job], readers=slang_readers(job))[0]
    if isinstance(result, AsnetError):
        return []
    found = []
    for index, name in enumerate(names):
        bits = result.module["ports"][f"p{index}"]["bits"]
        if all(bit in ("0", "1") for bit in bits):
            number = int("".join(reversed(bits)), 2)
            number -= (number >> 63) << 64
            if 1 << 31 <= number < 1 << 32:
                number -= 1 << 32  # an unsigned parameter of 32 bits; the bits are what counts
            if -(1 << 31) <= number < 1 << 31:
                found.append((name, number))
    return found


def _split_list(text: str) -> list[str]:
    """Return the parts of a list between commas, up to the bracket that ends it."""
    parts, depth, start = [], 0, 0
    for match in re.finditer(r'"(?:\\.|[^"\\\n])*"|[][(){},]', text):
        mark = match[0]
        if mark in "([{":
            depth += 1
        elif mark in ")]}" and depth:
            depth -= 1
        elif mark in (",", ")") and not depth:
            parts.append(text[start : match.start()])
            start = match.end()
            if mark == ")":
                break
    return parts


def _declared_order(
    sources: tuple[Source, ...],
    netlist: Netlist,
    module: Mapping[str, Any],
    ports: Sequence[PortInterface],
) -> list[PortInterface]:
    """Sort ports by where they are declared, and read from there which are signed."""
    texts = {str(source.path): source.text for source in sources}
    found = []
    for port in ports:
        where = module["netnames"].get(port.name, {}).get("attributes", {}).get("src", "")
        match = re.match(r"(.*):(\d+)\.(\d+)", where)
        if match is None:
            found.append(((1 << 30, 0), port))
            continue
        line, column = int(match[2]), int(match[3])
        text = texts.get(netlist.source_names.get(match[1], match[1]), "")
        before = "".join(text.splitlines(keepends=True)[: line - 1])
        before += "".join(text.splitlines()[line - 1 : line])[: column - 1]
        declaration = re.split(r"\b(?:input|output|inout)\b", without_comments(before))[-1]
        signed = re.search(r"\bsigned\b", declaration) or (
            re.search(r"\b(int|integer|shortint|longint|byte)\b", declaration)
            and not re.search(r"\bunsigned\b", declaration)
        )
        found.append(((line, column), dataclasses.replace(port, signed=bool(signed))))
    return [port for _, port in sorted(found, key=lambda item: item[0])]


def _clock_bits(modules: Mapping[str, Any], module: Mapping[str, Any]) -> set[Any]:
    """Return the nets of a module that clock registers, in it or below.

    What is known of a module goes to those that instantiate it until nothing is new: a module that
    instantiates itself twice would make a walk from the top one of 2^depth steps.
    """
    known: dict[str, set[Any]] = {}
    users: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    top = ""
    for name, each in modules.items():
        bits = known[name] = set()
        if each is module:
            top = name
        for cell in each["cells"].values():
            connections = cell["connections"]
            if REGISTERS.match(cell["type"]):
                bits.update(connections.get("CLK", connections.get("C", ())))
            elif cell["type"].startswith("$mem"):
                bits.update(connections.get("WR_CLK", ()))
            if cell["type"] in modules:
                users.setdefault(cell["type"], []).append((name, connections))
    pending = [name for name, bits in known.items() if bits]
    while pending:
        child = pending.pop()
        clocked = [
            (port, f"${number}", position)
            for number, (port, entry) in enumerate(modules[child]["ports"].items(), 1)
            for position, bit in enumerate(entry["bits"])
            if bit in known[child]
        ]
        for parent, connections in users.get(child, ()):
            found = set()
            for port, by_order, position in clocked:
                bits = connections.get(port, connections.get(by_order, ()))
                found.update(bits[position : position + 1])
            if not found <= known[parent]:
                known[parent] |= found
                pending.append(parent)
    return known[top]


@dataclass(frozen=True)
class Instantiation:
    """An instance of a module as Verilog has it: where, and the integer parameters it gives."""

    parent: str
    name: str
    module: str
    parameters: tuple[tuple[str, int], ...]


def instantiations(sources: Sequence[Source]) -> list[Instantiation]:
    """Return what the modules of sources instantiate, as it is written: nothing is elaborated.

    Raises:
      InputError: the sources cannot be read.
    """
    result = run_jobs([Job(tuple(sources), (), ("proc -norom",))], ["systemverilog"])[0]
    if isinstance(result, AsnetError):
        raise result
    return [
        Instantiation(
            parent,
            name,
            cell["type"],
            tuple(
                sorted(
                    (key, signed_value(value) if len(value) == 32 else int(value, 2))
                    for key, value in cell["parameters"].items()
                    if isinstance(value, str) and value and set(value) <= set("01")
                )
            ),
        )
        for parent, module in result.modules.items()
        for name, cell in module["cells"].items()
        if not cell["type"].startswith("$")
    ]
