"""Verilog to a netlist of word-level cells, read by Yosys in a process of its own.

`elaborate` gives flat or hierarchical netlists of instances; `remove_registers` proves that a flat
one is a feed-forward pipeline of a certain depth and turns its registers into wires.
"""

from __future__ import annotations

import dataclasses
import functools
import graphlib
import importlib.metadata
import itertools
import json
import pickle
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from asnet_mlir import processes
from asnet_mlir.cache import cached_text, code_version, content_hash
from asnet_mlir.cores import rom, unseen
from asnet_mlir.cores.core import (
    FORMAT_WIDTHS,
    Core,
    Instance,
    Source,
    dependencies,
    include_folders,
    without_comments,
)
from asnet_mlir.cores.gates import BITWISE, LATCHES, split_bitwise
from asnet_mlir.cores.guard import processor_time
from asnet_mlir.cores.ports import OUTPUT_ROLES
from asnet_mlir.errors import AsnetError, InputError, ToolError, UnsupportedError

__all__ = [
    "Instantiation",
    "ModuleInterface",
    "Netlist",
    "PortInterface",
    "check_stateful",
    "check_structure",
    "check_systemverilog",
    "elaborate",
    "instantiations",
    "measure_latency",
    "read_interface",
    "remove_registers",
    "unroll",
]

_WORKER = Path(__file__).with_name("yosys_worker.py")
_MEMORY_BYTES = 4 << 30
_CPU_SECONDS = 15.0  # for one reader on one core; two readers are tried at most after a blow-up
#: For what is done here with a netlist.
_OWN_CPU_SECONDS = 30.0
_MAX_NETLIST_BYTES = 256 << 20

_PLAIN_REGISTERS = {"$dff": "CLK", "$_DFF_P_": "C", "$_DFF_N_": "C"}
_REGISTERS = re.compile(r"\$(a|s|al)?dff|\$_[A-Z]*DFF|\$ff$|\$_FF_")
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

Reader = Literal["yosys", "slang"]


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


@dataclass(frozen=True)
class Netlist:
    """Modules in the format of Yosys' `write_json`; `source_names` maps its file names to ours.

    `reader` read the sources: Yosys' own reader, or its plugin slang where that refused.
    `conflicts` are nets of the top that several things drive, some of them no cells.
    """

    top: str
    modules: Mapping[str, Any]
    source_names: Mapping[str, str]
    reader: Reader = "yosys"
    conflicts: tuple[str, ...] = ()

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
    """What to read, and what to do with it then.

    `top` is None where the whole of the sources is looked at.  `tie` are the inputs of the top
    module that are constants, `keep` the only outputs that anybody looks at.
    """

    sources: tuple[Source, ...]
    includes: tuple[Path, ...]
    body: tuple[str, ...]
    top: str | None = None
    parameters: tuple[tuple[str, int], ...] = ()
    tie: tuple[tuple[str, int], ...] = ()
    keep: tuple[str, ...] = ()
    flatten: bool = True


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
        _version(),
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
    with processor_time(_OWN_CPU_SECONDS, f"{sources[0].path}: looking at its modules"):
        return _read_interface(sources, top, includes, parameters)


def _read_interface(
    sources: tuple[Source, ...],
    top: str | None,
    includes: tuple[Path, ...],
    parameters: Sequence[tuple[str, int]],
) -> ModuleInterface:
    result = _run([_Job(sources, includes, ("proc -norom",))])[0]
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
        result = _run([_Job(sources, includes, ("proc -norom",), top, tuple(parameters))])[0]
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
            raise UnsupportedError(_INTERFACE_PORT.format(place=place, port=name, module=top))
    for name in (top, *module["ports"], *parameters):
        # Yosys keeps the backslash of a name that without it would be a number or a task.
        if name.startswith("\\"):
            raise UnsupportedError(
                f"{place}: the name {name} begins with neither a letter nor an underscore; not all "
                "tools read such names: rename it"
            )


_INTERFACE_PORT = (
    "{place}: port {port} of {module} is an interface; only plain ports are supported: "
    "wrap it in a module that has them"
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
            number = _signed(value)
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
    job = _Job(added, includes, body, "asnet_probe")
    result = _run([job], readers=_slang_readers(job))[0]
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
            if _REGISTERS.match(cell["type"]):
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


def elaborate(
    instances: Sequence[Instance], *, flatten: bool = True, simplify: bool = True
) -> list[Netlist | AsnetError]:
    """Return the netlist of each instance, or the error that reading it gave.

    With `flatten` the netlist has one module without instances, whose enable, inactive reset and
    constant inputs are folded into it and whose ports without a role are gone; without it the
    hierarchy is kept (what the structural proof looks at) and every port is there.  Without
    `simplify` a flat netlist has the operations of the Verilog as they are written.
    """
    simplifications = (
        "opt_expr -fine",
        "opt_merge",
        "opt_muxtree",
        "opt_reduce",
        "opt_expr -fine",
    )
    jobs = []
    for instance in instances:
        core = instance.core
        tied = dict(core.ports.tied)
        if core.is_stateful and core.ports.reset:
            del tied[core.ports.reset]
        # One round of what shrinks logic, not `opt -full`: its -undriven and -mux_undef hide
        # undriven nets, opt_dff would turn the multiplexers before a pipeline's registers into
        # enables and synchronous resets, and repeating the passes to a fixed point takes ten times
        # as long.
        fold = ("opt_expr -fine", "opt_dff -nodffe -nosdff") if tied else ()
        body = (
            (
                "proc -norom -noopt",  # what it folds would hide readers from @drivers
                "flatten",
                "@drivers",
                "opt_expr -keepdc",
                "@ports",
                "opt_clean",
                "memory -nordff -nomap",
                f"memory_map -rom-only {rom.SMALL_ROMS}",
                *fold,
                *(simplifications if simplify else ()),
                "opt_clean",
            )
            if flatten
            else ("proc -norom", "opt_expr -fine", "opt_clean")
        )
        jobs.append(
            _Job(
                core.sources,
                core.includes,
                body,
                core.module,
                instance.parameters,
                tuple(tied.items()),
                core.ports.outputs,
                flatten,
            )
        )
    # What is included is no part of a job, but of the core's hash.
    keys = [
        (instance.core.sources_hash, job) for instance, job in zip(instances, jobs, strict=True)
    ]
    results = [_recent.get(key) for key in keys]
    missing = [position for position, result in enumerate(results) if result is None]
    for position, result in zip(missing, _run([jobs[p] for p in missing]), strict=True):
        results[position] = result
        if isinstance(result, Netlist):
            _recent.put(keys[position], result)
    return [result for result in results if result is not None]


class _Recent:
    """The last netlists that were made, up to a number of bytes.

    A check, the derivation of a model and the widths of ports each look at the same ones.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._bytes = 0
        self._entries: dict[Any, bytes] = {}  # the oldest first
        self._lock = threading.Lock()

    def get(self, key: Any) -> Netlist | AsnetError | None:
        """Return a netlist of its own for the caller, or None."""
        data = self._entries.get(key)
        return None if data is None else pickle.loads(data)

    def put(self, key: Any, netlist: Netlist) -> None:
        """Keep a netlist."""
        data = pickle.dumps(netlist)
        with self._lock:
            self._bytes += len(data) - len(self._entries.pop(key, b""))
            self._entries[key] = data
            while self._bytes > self._most:
                self._bytes -= len(self._entries.pop(next(iter(self._entries))))


_recent = _Recent(64 << 20)


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
    result = _run([_Job(tuple(sources), (), ("proc -norom",))], ["systemverilog"])[0]
    if isinstance(result, AsnetError):
        raise result
    return [
        Instantiation(
            parent,
            name,
            cell["type"],
            tuple(
                sorted(
                    (key, _signed(value) if len(value) == 32 else int(value, 2))
                    for key, value in cell["parameters"].items()
                    if isinstance(value, str) and value and set(value) <= set("01")
                )
            ),
        )
        for parent, module in result.modules.items()
        for name, cell in module["cells"].items()
        if not cell["type"].startswith("$")
    ]


def measure_latency(instance: Instance) -> int:
    """Return the number of registers on every path from the operands to the result.

    Raises:
      AsnetError: the netlist cannot be read, or is no feed-forward pipeline.
    """
    return int(_about(instance, lambda netlist: str(remove_registers(netlist, instance)[1])))


def check_stateful(instance: Instance) -> None:
    """Check the netlist of a core with a handshake or a fixed latency; see `check_structure`."""

    def checked(netlist: Netlist) -> str:
        check_structure(netlist, instance)
        return "checked"

    _about(instance, checked)


def check_systemverilog(instance: Instance) -> None:
    """Check that a core can be read as SystemVerilog, as what bundles are made of is.

    Raises:
      UnsupportedError: it cannot, as where `logic` or `bit` are names in Verilog-2005.
    """
    core = instance.core
    if all(source.path.suffix != ".v" for source in core.sources):
        return
    key = content_hash(_version(), "systemverilog", core.sources_hash)

    def make() -> str:
        job = _Job(core.sources, core.includes, (), core.module, instance.parameters)
        result = _run([job], readers=("systemverilog", "slang"))[0]
        if isinstance(result, AsnetError):
            raise UnsupportedError(
                f"{result}; this is Verilog-2005 but no SystemVerilog, which bundles are written "
                "in: rename what has the name of a keyword"
            )
        return "SystemVerilog"

    cached_text("latencies", key, make)


def _about(instance: Instance, say: Callable[[Netlist], str]) -> str:
    """Return what is said about an instance's netlist, from the cache if it was before."""
    core = instance.core
    contract = [core.ports.to_json(), core.format, core.is_stateful, instance.parameters]
    names = [str(source.path) for source in core.sources]
    key = content_hash(_version(), core.sources_hash, json.dumps([names, contract]))

    def make() -> str:
        netlist = elaborate([instance])[0]
        if isinstance(netlist, AsnetError):
            raise netlist
        return say(netlist)

    return cached_text("latencies", key, make)


@functools.cache
def _version() -> str:
    return content_hash(code_version("cores"), importlib.metadata.version("pyosys"))


def _run(jobs: Sequence[_Job], readers: Sequence[str] | None = None) -> list[Netlist | AsnetError]:
    """Run all jobs in as few processes as errors allow, each with the first reader that takes it.

    `.v` files are read as Verilog-2005 first, where `logic` or `bit` are names like any other, then
    as SystemVerilog, then by slang.
    """
    states = []
    for job in jobs:
        old = any(source.path.suffix == ".v" for source in job.sources)
        own = ("verilog", "systemverilog") if old else ("systemverilog",)
        states.append(_State(job, list(readers or (*own, *_slang_readers(job)))))
    with tempfile.TemporaryDirectory(prefix="asnet-yosys-") as name:
        folder = Path(name)
        while any(state.result is None for state in states):
            _run_pending(folder, [state for state in states if state.result is None])
    return [state.result for state in states if state.result is not None]


def _slang_readers(job: _Job) -> tuple[str, ...]:
    """Return slang's languages: a `.v` may be Verilog-2005 only, where `bit` is a name."""
    old = any(source.path.suffix == ".v" for source in job.sources)
    return ("slang", "slang-2005") if old else ("slang",)


@dataclass
class _State:
    """A job on its way: readers still to try, what the others said, and the result."""

    job: _Job
    readers: list[str]
    errors: list[tuple[str, AsnetError]] = dataclasses.field(default_factory=list)
    result: Netlist | AsnetError | None = None
    copies: _Copies | None = None

    def fail(self, error: AsnetError) -> None:
        """Note what the current reader said, and go to the next one or give up."""
        self.errors.append((self.readers.pop(0), error))
        if isinstance(error, ToolError):
            # Another way to read it with the same program would blow up again.
            self.readers = [r for r in self.readers if r == "slang" and self.errors[-1][0] != r]
        if self.readers:
            return
        located = [e for reader, e in self.errors if reader == "slang" and _has_line(e)]
        own = [e for reader, e in self.errors if not reader.startswith("slang")]
        blown = [e for e in own if isinstance(e, ToolError)]
        self.result = (located or blown or own[-1:] or [error])[0]


@dataclass(frozen=True)
class _Copies:
    """Sources under names that need no quoting: by language, and the user's names by ours."""

    folder: Path
    includes: tuple[str, ...]
    files: tuple[Path, ...]
    names: Mapping[str, str]


def _run_pending(folder: Path, states: Sequence[_State]) -> None:
    groups: dict[Any, list[_State]] = {}
    for state in states:
        key = (state.job.sources, state.job.includes, state.readers[0])
        groups.setdefault(key, []).append(state)
    run = Path(tempfile.mkdtemp(dir=folder))
    request = []
    order: list[tuple[_State, Path, str]] = []
    for number, ((sources, includes, reader), members) in enumerate(groups.items()):
        copies = _copy_sources(run / f"s{number}", sources, includes)
        name = f"group{number}"
        entries = []
        for state in members:
            state.copies = copies
            output = run / f"{len(order)}.json"
            order.append((state, output, name))
            entries.append({"output": str(output), "script": _script(state.job, copies, reader)})
        read = [] if reader.startswith("slang") else _read_commands(copies, reader)
        blown = any(isinstance(e, ToolError) for state in members for _, e in state.errors)
        seconds = _CPU_SECONDS / 5 if blown else _CPU_SECONDS  # a second look only for the reason
        request.append({"name": name, "read": read, "jobs": entries, "cpu_seconds": seconds})
    (run / "jobs.json").write_text(json.dumps(request))
    where = states[0].job.sources[0].path
    failure: AsnetError | None = None
    log = ""
    try:
        done = processes.run(
            [sys.executable, "-P", _WORKER, run / "jobs.json"],
            purpose=f"reading {where} with Yosys",
            cwd=run,
            # Processor time is bounded for each job; this is for a process that only waits.
            timeout_seconds=60.0 + 60.0 * len(order),
            memory_bytes=_MEMORY_BYTES,
            check=False,
        )
        log = done.stdout + "\n" + done.stderr
    except ToolError as timeout:
        failure, status = timeout, 0
    else:
        status = done.returncode
    for state, output, name in order:
        names = state.copies.names if state.copies else {}
        if not output.is_file():
            # The first job without output is the one that ended the process; the jobs after it are
            # run again.  Where reading ended it, all jobs of the group would fail alike.
            error = failure or _blow_up(state.job, status, log)
            error = error or _map_error(log, state.job.sources, names)
            failed_reading = f"@@read {name}" in log and f"@@job {output}" not in log
            for other, _, group in order:
                if other is state or (failed_reading and group == name):
                    other.fail(error)
            return
        if output.stat().st_size > _MAX_NETLIST_BYTES:
            state.result = UnsupportedError(
                f"{state.job.sources[0].path}: the netlist has more than "
                f"{_MAX_NETLIST_BYTES >> 20} MiB; the core is too large"
            )
            continue
        modules = json.loads(output.read_text())["modules"]
        tops = [n for n, m in modules.items() if int(m["attributes"].get("top", "0"), 2)]
        kind: Reader = "slang" if state.readers[0].startswith("slang") else "yosys"
        said = log.partition(f"@@job {output}")[2].partition("@@job")[0]
        conflicts = re.findall(r"^@@conflict (\S+)", said, re.MULTILINE)
        top = tops[0] if tops else ""
        state.result = Netlist(top, modules, names, kind, tuple(dict.fromkeys(conflicts)))


def _copy_sources(folder: Path, sources: tuple[Source, ...], includes: tuple[Path, ...]) -> _Copies:
    """Write sources under names without spaces."""
    folder.mkdir()
    names: dict[str, str] = {}
    folders = []
    for number, parent in enumerate(include_folders(sources, includes)):
        link = folder / f"include{number}"
        link.symlink_to(parent.resolve())
        folders.append(str(link))
        # Slang names files from where it runs.
        names |= {str(link): str(parent), f"{folder.name}/{link.name}": str(parent)}
    files = []
    for number, source in enumerate(sources):
        path = folder / f"f{number}{'.v' if source.path.suffix == '.v' else '.sv'}"
        path.write_text(source.text, encoding="utf-8")
        files.append(path)
        names |= {str(path): str(source.path), f"{folder.name}/{path.name}": str(source.path)}
    return _Copies(folder, tuple(folders), tuple(files), names)


def _read_commands(copies: _Copies, reader: str) -> list[str]:
    """Return Yosys' commands, one for each run of files of one language."""
    includes = " ".join(f"-I{folder}" for folder in copies.includes)
    commands = []
    for old, files in itertools.groupby(
        copies.files, lambda path: reader == "verilog" and path.suffix == ".v"
    ):
        language = "" if old else "-sv "
        commands.append(f"read_verilog {language}{includes} {' '.join(map(str, files))}")
    return commands


def _script(job: _Job, copies: _Copies, reader: str) -> list[Any]:
    ports = {"tie": dict(job.tie), "keep": list(job.keep)}
    body = [ports if step == "@ports" else step for step in job.body]
    if reader.startswith("slang"):
        old = ["--std 1364-2005"] if reader == "slang-2005" else []
        words = ["read_slang", *old, *(f"-I{folder}" for folder in copies.includes)]
        if job.top is not None:
            words += ["--top", job.top]
        if not job.flatten:
            words.append("--keep-hierarchy")
        words += [f"-G {name}={value}" for name, value in job.parameters]
        return [" ".join([*words, *map(str, copies.files)]), *body]
    if job.top is None:
        return body
    # Yosys reads no minus sign here.
    values = "".join(
        f" -chparam {name} {value if value >= 0 else f"32'sh{value & 0xFFFFFFFF:08x}"}"
        for name, value in job.parameters
    )
    return [f"hierarchy -check -top {job.top}{values}", *body]


def _has_line(error: AsnetError) -> bool:
    return bool(re.match(r".*?:\d+: ", str(error)))


def _blow_up(job: _Job, status: int, log: str) -> ToolError | None:
    """Return an error for a process that was ended, or ended itself, without a message."""
    where = job.sources[0].path
    if status == -signal.SIGPROF:
        return ToolError(
            f"{where}: reading it with Yosys took longer than {_CPU_SECONDS:g} s of processor time;"
            " a loop, a width or the core itself is too large"
        )
    # What the allocator, Python and the C library say, whichever met the limit.
    if any(text in log for text in ("bad_alloc", "MemoryError", "cannot allocate memory")):
        return ToolError(
            f"{where}: reading it with Yosys took more than {_MEMORY_BYTES >> 30} GiB of memory;"
            " a loop, a width or the core itself is too large"
        )
    if status == -signal.SIGSEGV:
        return ToolError(f"{where}: Yosys crashed on it; is something nested too deeply?")
    return None


def _map_error(log: str, sources: tuple[Source, ...], names: Mapping[str, str]) -> AsnetError:
    """Return the first error of Yosys or slang as one line that names the user's files."""
    lines = [line for line in log.splitlines() if "ERROR" in line]
    if not lines:
        tail = " | ".join(log.strip().splitlines()[-3:])
        return ToolError(f"{sources[0].path}: Yosys ended without a netlist: {tail}")
    text = next((line for line in lines if re.match(r".*?:\d+: ERROR: ", line)), lines[-1])
    for copy, name in names.items():
        text = re.sub(rf"(?<![\w./]){re.escape(copy)}\b", name.replace("\\", r"\\"), text)
    text = re.sub(r"\\(\S+?)(?=['\s]|$)", r"\1", text).replace("`", "'")
    match = re.match(r"(.*?:\d+): ERROR: (.*)", text)
    if match and "user-defined primitive" in match[2]:
        return UnsupportedError(
            f"{match[1]}: user-defined primitives (primitive .. endprimitive) are not supported; "
            "write them as modules"
        )
    port = re.search(r"module '(\S+)' has unconnected interface port '(\S+)'", text)
    if match and port:
        return UnsupportedError(
            _INTERFACE_PORT.format(place=match[1], port=port[2], module=port[1])
        )
    # What slang would do with an option of its own is no help here.
    text = re.sub(r",? (set|use) '--[^']*' [^;]*$| \[-W[\w-]+\]$", "", text)
    match = re.match(r"(.*?:\d+): ERROR: (.*)", text)
    if match:
        return InputError(f"{match[1]}: {match[2].rstrip('!.')}")
    message = text.split("ERROR:", 1)[1].strip().rstrip("!.")
    return InputError(f"{sources[0].path}: {message}")


def _bounded[T](look: Callable[[Netlist, Instance], T]) -> Callable[[Netlist, Instance], T]:
    """Bound the processor time of a function of a netlist and its instance."""

    @functools.wraps(look)
    def bounded(netlist: Netlist, instance: Instance) -> T:
        what = f"{instance.core.sources[0].path}: looking at its netlist"
        with processor_time(_OWN_CPU_SECONDS, what):
            return look(netlist, instance)

    return bounded


@_bounded
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
    measured = depths.pop() if depths else _declared(instance)

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


@_bounded
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


def _declared(instance: Instance) -> int:
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
    width = FORMAT_WIDTHS[core.format] if core.format else None
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
    if kind in _PLAIN_REGISTERS or (core.is_stateful and _REGISTERS.match(kind)):
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
    if _REGISTERS.match(kind) or kind.startswith("$fsm"):
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


@_bounded
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
        if self._core.is_stateful and _REGISTERS.match(cell["type"]):
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


def _signed(bits: str) -> int:
    value = int(bits, 2)
    return value - (1 << len(bits)) if len(bits) == 32 and bits[0] == "1" else value
