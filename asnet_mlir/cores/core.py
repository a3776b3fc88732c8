"""Cores and instances: a Verilog module with its contract, and the same with parameters fixed.

A core is described by a `core.toml` beside its Verilog (the library's cores are) or, for Verilog
that a user brings, by what Yosys reads from the module itself.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from asnet_mlir.cache import cached_text, code_version, content_hash
from asnet_mlir.cores.ports import PORT_ROLES, Ports
from asnet_mlir.errors import AsnetError, InputError, ToolError, UnsupportedError
from asnet_mlir.resources import hdl_library_directory

if TYPE_CHECKING:
    from asnet_mlir.cores.netlist import ModuleInterface, PortInterface

__all__ = [
    "FORMAT_WIDTHS",
    "INTEGER_OPS",
    "OPS",
    "Core",
    "Instance",
    "Parameter",
    "Ports",
    "Source",
    "UNIT_OPS",
    "Unit",
    "checked_parameter",
    "TABLE_SUFFIXES",
    "core_from_verilog",
    "is_table",
    "library_cores",
    "load_core",
    "parse_instance",
]

#: The floating-point operations a core can stand for; operands and result are of `Core.format`.
OPS = ("addf", "subf", "mulf", "divf", "maxf", "minf")

#: The integer operations a core can be compared with, on integers of the ports' widths.
INTEGER_OPS = ("addi", "subi", "muli", "divi")

#: Bits of each floating-point format's operands and results.
FORMAT_WIDTHS = {"f32": 32, "bf16": 16, "f16": 16}

#: Files that are taken for tables of results (`table.py`), by what they hold.
TABLE_SUFFIXES = {
    ".npy": "numpy",
    ".csv": "text",
    ".tsv": "text",
    ".txt": "text",
    ".dat": "text",
    ".h": "c",
    ".hpp": "c",
    ".inc": "c",
    ".hex": "readmemh",
    ".mem": "readmemh",
    ".memh": "readmemh",
}

Align = Literal["right", "left"]
Level = Literal["float", "significand", "integer"]

_MAX_SOURCE_BYTES = 64 << 20
_MAX_PORT_BITS = 64
_MANIFEST_KEYS = {
    "name",
    "module",
    "op",
    "format",
    "sources",
    "latency_cycles",
    "initiation_interval",
    "exact",
    "special_values",
    "summary",
    "ports",
    "parameters",
    "origin",
    "level",
    "align",
    "includes",
    "signed",
}


@dataclass(frozen=True)
class Source:
    """One Verilog file: where it lies and its text (UTF-8 without BOM, lines ended by LF)."""

    path: Path
    text: str

    def __repr__(self) -> str:
        return f"Source({str(self.path)!r})"


@dataclass(frozen=True)
class Parameter:
    """An integer parameter of a module.

    Legal values are `values` where they are listed, else `low`, `low + step`, .. up to `high`; the
    bounds are None where no range is declared.  `declared` is the module's own default where the
    user gave another.
    """

    name: str
    default: int
    low: int | None = None
    high: int | None = None
    summary: str = ""
    step: int = 1
    values: tuple[int, ...] | None = None
    declared: int | None = None

    @property
    def bounded(self) -> bool:
        """Whether legal values are declared."""
        return self.values is not None or self.high is not None

    def allows(self, value: int) -> bool:
        """Return whether `value` is legal."""
        if self.values is not None:
            return value in self.values
        if (self.low is not None and value < self.low) or (
            self.high is not None and value > self.high
        ):
            return False
        return self.step == 1 or self.low is None or (value - self.low) % self.step == 0

    @property
    def legal(self) -> str:
        """The legal values in words: `0..22`, `8..32 in steps of 8`, `4, 6 or 8`."""
        if self.values is not None:
            *most, last = map(str, self.values)
            return f"{', '.join(most)} or {last}" if most else last
        low = "" if self.low is None else self.low
        high = "" if self.high is None else self.high
        return f"{low}..{high}" + (f" in steps of {self.step}" if self.step != 1 else "")


@dataclass(frozen=True)
class Unit:
    """The circuit inside a significand core, on unsigned integers.

    `align` says where the significand goes in a unit that is wider: "right" extends it with zeros
    at the top, "left" at the bottom.
    """

    core: Core
    align: Align = "right"


@dataclass(frozen=True)
class Core:
    """A Verilog module and its contract.

    Attributes:
      op: one of `OPS`, one of `INTEGER_OPS`, or None for an integer function that is not compared
        with any operation.
      format: a key of `FORMAT_WIDTHS` for floating-point cores; None: operands and result are
        integers of the ports' widths.
      latency_cycles: clock cycles from operands to result, or the name of the parameter that gives
        them; for a handshake, the most that it may take.
      latency_offset: cycles on top of the parameter that `latency_cycles` names.
      latency_is_measured: the latency is what the Verilog shows, at any parameters;
        `latency_cycles` is what it shows at the default ones.
      initiation_interval: cycles for which operands are held; above 1 for an iterative core.
      signed: integer operands are two's complement.
      unit: the integer circuit inside, for a significand core.
      includes: folders for included files besides those of the sources.
    """

    name: str
    module: str
    op: str | None
    format: str | None
    sources: tuple[Source, ...]
    ports: Ports
    parameters: tuple[Parameter, ...] = ()
    latency_cycles: int | str = 0
    initiation_interval: int = 1
    exact: bool = False
    special_values: str = ""
    summary: str = ""
    license: str = ""
    reference: str = ""
    path: Path | None = field(default=None, compare=False)
    in_library: bool = False
    signed: bool = False
    unit: Unit | None = None
    includes: tuple[Path, ...] = ()
    latency_offset: int = 0
    latency_is_measured: bool = False

    def __repr__(self) -> str:
        return f"Core({self.name!r})"

    @property
    def is_float(self) -> bool:
        """Whether operands and result are floating-point numbers (of `format`)."""
        return self.format is not None

    @property
    def has_handshake(self) -> bool:
        """Whether the core says itself when its result is valid."""
        return self.ports.start is not None

    @property
    def is_stateful(self) -> bool:
        """Whether the core is no feed-forward pipeline, so that its model is a simulation."""
        return self.has_handshake or self.initiation_interval > 1

    @property
    def level(self) -> Level:
        """What the user brought: a floating-point core, a significand unit, an integer core."""
        return "significand" if self.unit else "float" if self.is_float else "integer"

    @property
    def include_folders(self) -> tuple[Path, ...]:
        """Where included files are looked for: beside the sources, then `includes`."""
        return include_folders(self.sources, self.includes)

    def instance(self, parameters: Mapping[str, int] | None = None) -> Instance:
        """Return this core with `parameters` (defaults elsewhere) fixed.

        Raises:
          InputError: unknown parameter, not an integer, or outside its legal range.
        """
        known = {parameter.name: parameter for parameter in self.parameters}
        values = {parameter.name: parameter.default for parameter in self.parameters}
        for name, value in (parameters or {}).items():
            if name not in known:
                raise InputError(
                    f"{self.name}: unknown parameter '{name}'; "
                    + (f"it has {', '.join(known)}" if known else "it has none")
                )
            values[name] = checked_parameter(self.name, known[name], value)
        return Instance(self, tuple(values.items()), frozenset(parameters or ()))

    @functools.cached_property
    def sources_hash(self) -> str:
        """Hash of the Verilog that the core is made of, included and read files with it."""
        # What is in a file that a memory is read from counts, not where it lies.
        texts = [_DATA_FILE.sub(_without_folder, source.text) for source in self.sources]
        # The language follows the suffix.
        suffixes = " ".join(source.path.suffix for source in self.sources)
        included = dependencies(self.sources, self.include_folders)
        return content_hash(self.module, suffixes, *texts, *included)


@dataclass(frozen=True)
class Instance:
    """A core with every parameter fixed.

    `given` are the parameters that were asked for by name; it makes no instance another one.
    """

    core: Core
    parameters: tuple[tuple[str, int], ...]
    given: frozenset[str] = field(default=frozenset(), compare=False)

    def __repr__(self) -> str:
        return f"Instance({self.label!r})"

    @property
    def depths(self) -> tuple[int, ...]:
        """The values of the parameter that gives its latency, unless that one was given."""
        name = self.core.latency_cycles
        if not isinstance(name, str):
            return ()
        parameter = next(p for p in self.core.parameters if p.name == name)
        changed = parameter.declared not in (None, parameter.default)
        if name in self.given or changed or parameter.low is None or parameter.high is None:
            return ()
        return tuple(filter(parameter.allows, range(parameter.low, parameter.high + 1)))

    def at_depth(self, depth: int) -> Instance:
        """Return it with another value of the parameter that gives its latency."""
        values = {**dict(self.parameters), str(self.core.latency_cycles): depth}
        return dataclasses.replace(self.core.instance(values), given=self.given)

    def without_given_defaults(self) -> Instance:
        """Return it as if parameters at their defaults had not been given.

        For descriptions that state every parameter.
        """
        defaults = {(parameter.name, parameter.default) for parameter in self.core.parameters}
        changed = {name for name, value in self.parameters if (name, value) not in defaults}
        return dataclasses.replace(self, given=self.given & changed)

    @property
    def latency(self) -> int:
        """Clock cycles from operands to result: declared, or measured where nothing is."""
        core = self.core
        if isinstance(core.latency_cycles, str):
            return dict(self.parameters)[core.latency_cycles] + core.latency_offset
        defaults = {parameter.name: parameter.default for parameter in core.parameters}
        if not core.latency_is_measured or dict(self.parameters) == defaults:
            return core.latency_cycles
        return _measured_latency(self)

    @property
    def interval(self) -> int:
        """Clock cycles between two starts."""
        return self.core.initiation_interval

    @property
    def unit_latency(self) -> int:
        """Clock cycles from operands to result of its unit in hardware.

        An iterative core has an adapter there (`asnet_mlir/hardware/iterative.py`), which gives the
        result always after the same time: with a handshake, in a register; without one, when
        operands have also waited for the cycle in which the core takes them.
        """
        if self.core.has_handshake:
            return self.latency + 1
        return self.latency + (self.interval + 1 if self.interval > 1 else 0)

    @property
    def unit_interval(self) -> int:
        """Clock cycles between two starts of its unit in hardware.

        With a handshake, the next start may come in the cycle after the one in which it is done.
        """
        return self.latency + 1 if self.core.has_handshake else self.interval

    @functools.cached_property
    def content_hash(self) -> str:
        """Hash of all that decides what the instance computes and when."""
        core = self.core
        # A latency that is measured follows from the rest.
        latency = None if core.latency_is_measured else self.latency
        unit = [core.unit.align, core.unit.core.instance().content_hash] if core.unit else None
        contract = [core.op, core.format, latency, self.interval, core.exact, core.signed, unit]
        ports = core.ports.to_json()
        return content_hash(core.sources_hash, json.dumps([contract, ports, self.parameters]))

    @property
    def label(self) -> str:
        """Name with the parameters that differ from their defaults: `fmul_trunc:P=20`.

        Where all are at their defaults only the name is left, so that `parse_instance(label)` gives
        the instance back for every library core.
        """
        core = self.core
        own = dict(self.parameters)
        values = own if core.unit is None else self.all_parameters
        unit = () if core.unit is None else core.unit.core.parameters
        defaults = {
            parameter.name: parameter.default if parameter.declared is None else parameter.declared
            for parameter in (*unit, *core.parameters)
        }
        parts = [f"{name}={value}" for name, value in values.items() if defaults[name] != value]
        return core.name + (":" + ",".join(parts) if parts else "")

    @property
    def all_parameters(self) -> dict[str, int]:
        """The parameters, with those of a significand unit that are fixed inside its wrapper."""
        unit = self.core.unit
        fixed = {p.name: p.default for p in unit.core.parameters} if unit else {}
        return fixed | dict(self.parameters)

    def to_json(self) -> dict[str, Any]:
        """Return what names the instance in a binding, a report or a bundle, as JSON values."""
        core = self.core
        return {
            "core": core.name if core.in_library or core.path is None else str(core.path),
            "sources": [] if core.in_library else [str(source.path) for source in core.sources],
            "module": core.module,
            "op": core.op,
            "format": core.format,
            "parameters": dict(self.parameters),
            "latency_cycles": self.latency,
            "initiation_interval": self.interval,
            "content_hash": self.content_hash,
        }


def library_cores() -> dict[str, Core]:
    """Return the cores of the library by name, in alphabetical order."""
    manifests = sorted(hdl_library_directory().glob("*/core.toml"))
    cores = [_read_manifest(manifest, in_library=True) for manifest in manifests]
    return {core.name: core for core in sorted(cores, key=lambda core: core.name)}


def load_core(name_or_path: str | Path) -> Core:
    """Return a core of the library by name, or the one that a `core.toml` or Verilog file holds.

    Raises:
      InputError: no such core or file, or a malformed manifest (the message names the key).
    """
    text = str(name_or_path)
    path = user_path(text)
    if path.suffix == ".toml" or (path / "core.toml").is_file():
        return _read_manifest(path if path.suffix == ".toml" else path / "core.toml")
    if path.suffix in (".v", ".sv"):
        return core_from_verilog([path])
    if is_table(path):
        from asnet_mlir.cores.table import core_from_table  # makes cores in turn

        return core_from_table(path)
    manifest = hdl_library_directory() / text / "core.toml"
    if re.fullmatch(r"\w+", text) and manifest.is_file():
        return _read_manifest(manifest, in_library=True)
    names = sorted(path.parent.name for path in hdl_library_directory().glob("*/core.toml"))
    near = difflib.get_close_matches(text, names, n=1)
    raise InputError(
        f"unknown core '{text}'"
        + (f"; did you mean '{near[0]}'?" if near else ";")
        + f" the library has {', '.join(names) or 'no cores'}"
        + " (or give a path to a core.toml, .v or .sv file, or a table: .npy, .csv, .h, .hex, ..)"
    )


def is_table(name: str | Path) -> bool:
    """Return whether a file's name is that of a table."""
    return Path(name).suffix.lower() in TABLE_SUFFIXES


def parse_instance(
    text: str,
    *,
    op: str | None = None,
    top: str | None = None,
    ports: Mapping[str, Any] | None = None,
) -> Instance:
    """Return the instance that `NAME_OR_PATH[:PARAMETER=INTEGER,...]` names.

    `op`, `top` and `ports` are for a path to Verilog without a manifest, as in `core_from_verilog`.

    Raises:
      InputError: see `load_core`, `core_from_verilog` and `Core.instance`; or a malformed text.
    """
    name, colon, tail = text.rpartition(":")
    if not colon or ("=" not in tail and Path(text).exists()):
        name, tail = text, ""
    elif not tail:
        raise InputError(f"'{text}': nothing after ':'; write NAME:PARAMETER=INTEGER,...")
    values: dict[str, Any] = {}
    for part in tail.split(",") if tail else ():
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not key:
            raise InputError(f"'{text}': '{part}' is not PARAMETER=INTEGER")
        if key in values:
            raise InputError(f"'{text}': parameter '{key}' is given twice")
        values[key] = value
    if is_table(name):
        from asnet_mlir.cores.table import core_from_table  # makes cores in turn

        return core_from_table(name, op, values).instance()
    if Path(name).suffix in (".v", ".sv"):
        # What a parameter decides may be the widths of the ports, so it is given at once.
        files = [user_path(name)]
        return core_from_verilog(files, top=top, op=op, ports=ports, parameters=values).instance()
    from asnet_mlir.cores.units import instance_for  # wraps cores in turn

    return instance_for(load_core(name), op, values)


def core_from_verilog(
    files: Sequence[str | Path],
    top: str | None = None,
    op: str | None = None,
    ports: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
    latency: int | str | None = None,
    *,
    interval: int = 1,
    includes: Sequence[str | Path] = (),
    level: Level | None = None,
    align: Align = "right",
    format: str = "f32",
    signed: bool | None = None,
) -> Core:
    """Return the core that Verilog files without a `core.toml` hold.

    Args:
      files: Verilog or SystemVerilog sources, packages in any order.
      top: module; by default the only one that no other instantiates.
      op: what the core stands for (one of `OPS` or `INTEGER_OPS`), or None for a function on
        integers.
      ports: names by role (`PORT_ROLES`), `reset_active` ("low" or "high"), and `constant`, the
        values of further inputs by their names (`constant.NAME` says one).  What is missing is
        taken from the module where its ports leave no choice: the clock is what clocks registers;
        enable, reset and a handshake go by their usual names; the inputs that are left are the
        operands in the order of their names (`a` before `b`), else of their declaration; the result
        is the output that has the width and, where several have, the name of one.
      parameters: values that become the defaults.
      latency: clock cycles, or the name of the parameter that gives them; by default measured, by
        structure or, for a core with a state, by simulation.
      interval: cycles for which an iterative core without a handshake wants its operands held.
      includes: folders for included files besides those of `files`.
      level: "float": ports are of `format`; "significand": an unsigned integer circuit that the
        library's floating-point wrapper takes for its significands; "integer".  By default a core
        for a floating-point op is a significand one where its ports' widths are a unit's and not
        the format's.
      align: for a significand core, see `Unit`.
      format: of a floating-point op, a key of `FORMAT_WIDTHS`.
      signed: whether operands are two's complement; by default as the ports are declared.

    Raises:
      InputError: a missing file, Verilog that is not read, an ambiguous top or port, a port of the
        wrong width or direction, an unknown parameter, a latency that is not the structure's.
      UnsupportedError: what this version takes no core with.
    """
    from asnet_mlir.cores import netlist  # reads cores in turn
    from asnet_mlir.cores.port_choice import choose_ports

    _check_request(files, op, latency, interval, level, align, format)
    folders = tuple(_include_folder(folder) for folder in includes)
    given = tuple(_read_source(Path(name)) for name in files)
    sources, module = _read_module(_in_order(given), top, folders)
    values = dict(module.parameters)
    own, others = _split_parameters(module, parameters or {}, op, level)
    if any(values[name] != value for name, value in own.items()):
        module = netlist.read_interface(sources, module.name, includes=folders, parameters=own)
    if isinstance(latency, str) and latency not in values:
        raise InputError(f"{module.name}: latency is given by '{latency}', which is no parameter")
    candidates = choose_ports(module, ports or {}, op, level, format)
    chosen = candidates[0]
    found = _find_level(module, chosen, op, level, format, signed)
    widths = {port.name: port for port in module.ports}
    core = Core(
        name=module.name,
        module=module.name,
        op=UNIT_OPS.get(op or "", op) if found == "significand" else op,
        format=format if found == "float" else None,
        sources=sources,
        ports=chosen,
        parameters=tuple(
            Parameter(name, own.get(name, value), declared=value) for name, value in values.items()
        ),
        latency_cycles=0 if latency is None else latency,
        initiation_interval=interval,
        path=given[0].path,
        signed=(
            found != "float" and widths[chosen.a].signed and widths[chosen.b].signed
            if signed is None
            else signed
        ),
        includes=folders,
        latency_is_measured=latency is None,
    )
    core = _settle(core, candidates, latency)
    if found == "significand":
        from asnet_mlir.cores import significand  # wraps cores in turn

        core = significand.wrap(core, str(op), cast(Any, format), align)
        changed = dict(core.instance(others).parameters)
        core = dataclasses.replace(
            core,
            parameters=tuple(
                dataclasses.replace(p, default=changed[p.name], declared=p.default)
                if p.name in others
                else p
                for p in core.parameters
            ),
        )
    return core


def _read_module(
    given: tuple[Source, ...], top: str | None, folders: tuple[Path, ...]
) -> tuple[tuple[Source, ...], ModuleInterface]:
    """Return a module's interface and the sources that it is read from, without testbenches.

    What is not below it goes as well where the sources cannot be read with it.
    """
    from asnet_mlir.cores import netlist, verilog_text  # both read sources

    verilog_text.check_macros(given, dependencies(given, include_folders(given, folders)))
    sources = verilog_text.without_testbenches(given, top)
    try:
        placed = _with_data_files(sources, folders)
        return placed, netlist.read_interface(placed, top, includes=folders)
    except ToolError:
        raise
    except AsnetError as error:
        below = verilog_text.only_below(sources, top)
        if below == sources:
            raise
        try:
            placed = _with_data_files(below, folders)
            return placed, netlist.read_interface(placed, top, includes=folders)
        except AsnetError:
            raise error from None


#: What a circuit computes on integers inside the wrapper for an operation on floats.
UNIT_OPS = {"mulf": "muli", "addf": "addi", "subf": "addi"}


def _check_request(
    files: Sequence[str | Path],
    op: str | None,
    latency: int | str | None,
    interval: int,
    level: str | None,
    align: str,
    format: str,
) -> None:
    """Check the arguments of `core_from_verilog` that need no file."""
    if isinstance(files, str | Path) or not files:
        raise InputError("give a list of Verilog files" if files else "no Verilog files given")
    known = (*OPS, *INTEGER_OPS)
    if op is not None and op not in known:
        raise InputError(f"unknown operation '{op}'; one of {', '.join(known)}")
    for name, value, legal in (
        ("level", level, (None, "float", "significand", "integer")),
        ("align", align, ("right", "left")),
        ("format", format, tuple(FORMAT_WIDTHS)),
    ):
        if value not in legal:
            raise InputError(f"{name} is '{value}'; one of {', '.join(filter(None, legal))}")
    if level in ("float", "significand") and op not in OPS:
        raise InputError(
            f"a {level} core needs a floating-point operation; one of {', '.join(OPS)}"
        )
    if level == "integer" and op in OPS:
        raise InputError(f"an integer core can't compute '{op}'; one of {', '.join(INTEGER_OPS)}")
    if not isinstance(interval, int) or isinstance(interval, bool) or interval < 1:
        raise InputError(f"the initiation interval is {interval!r}; it must be an integer >= 1")
    if isinstance(latency, bool) or (isinstance(latency, int) and latency < 0):
        raise InputError(f"the latency is {latency!r}; it must be an integer >= 0")


def _split_parameters(
    module: ModuleInterface, given: Mapping[str, Any], op: str | None, level: str | None
) -> tuple[dict[str, int], dict[str, int]]:
    """Return the values for the module's parameters, and those for the wrapper around it."""
    defaults = dict(module.parameters)
    own, others = {}, {}
    for name, value in given.items():
        number = checked_parameter(module.name, Parameter(name, 0), value)
        if name in defaults:
            own[name] = number
        elif op in UNIT_OPS and level != "float":
            others[name] = number
        else:
            has = f"it has {', '.join(defaults)}" if defaults else "it has none"
            raise InputError(f"{module.name}: unknown parameter '{name}'; {has}")
    return own, others


def _settle(core: Core, candidates: Sequence[Ports], latency: int | str | None) -> Core:
    """Return the core with the first of the candidates' ports that the structure allows.

    Its latency is measured, or compared with the declared one.
    """
    from asnet_mlir.cores import netlist

    for position, ports in enumerate(candidates):
        trial = dataclasses.replace(core, ports=ports)
        if trial.is_stateful:
            if ports.clock is None:
                raise InputError(
                    f"{core.name}: an iterative core needs a clock, but none of its ports clocks "
                    "registers; name it with --port clock=NAME (ports= in Python)"
                )
            netlist.check_stateful(trial.instance())
            if latency is None:
                trial = dataclasses.replace(
                    trial, latency_cycles=_measured_latency(trial.instance())
                )
            return trial
        try:
            measured = netlist.measure_latency(trial.instance())
        except InputError:
            if position + 1 < len(candidates):
                continue  # the next one names a handshake
            raise
        if latency is None:
            return dataclasses.replace(trial, latency_cycles=measured)
        if trial.instance().latency != measured:
            raise InputError(
                f"{core.name}: declares a latency of {trial.instance().latency} cycles, but its "
                f"structure has {measured}; correct the latency or leave it out"
            )
        return trial
    raise AssertionError("there is at least one candidate")


def _measured_latency(instance: Instance) -> int:
    """Return what the Verilog shows: by structure, for cores with a state by simulation."""
    from asnet_mlir.cores import netlist

    if not instance.core.is_stateful:
        return netlist.measure_latency(instance)
    from asnet_mlir.cores import simulation  # reads cores in turn

    key = content_hash("simulated", instance.content_hash, code_version("cores"))
    return int(cached_text("latencies", key, lambda: str(simulation.measure_latency(instance)[1])))


def _find_level(
    module: ModuleInterface,
    ports: Ports,
    op: str | None,
    level: Level | None,
    format: str,
    signed: bool | None,
) -> Level:
    """Return what kind of core the widths of the ports make; refuse those that fit none."""
    found = {port.name: port for port in module.ports}
    a, b, result = (found[name] for name in (ports.a, ports.b, ports.result))
    for port in (a, b, result):
        if port.width > _MAX_PORT_BITS:
            raise UnsupportedError(
                f"{module.name}: port {port.name} has {port.width} bits; at most {_MAX_PORT_BITS} "
                f"are supported ({module.location})"
            )
    if op not in OPS:
        return "integer"
    width = FORMAT_WIDTHS[format]
    wrong = [port for port in (a, b, result) if port.width != width]
    is_signed = a.signed or b.signed if signed is None else signed
    if level is None and wrong and op in UNIT_OPS and not is_signed:
        shapes = (2 * a.width,) if op == "mulf" else (a.width, a.width + 1)
        if a.width == b.width and result.width in shapes:
            return "significand"
    if level == "significand":
        return level
    if wrong:
        raise InputError(
            f"{module.name}: port {wrong[0].name} has {wrong[0].width} bits, "
            f"{format} needs {width} ({module.location}); "
            + _what_fits((a, b, result), op, level, is_signed)
        )
    return "float"


def _what_fits(
    ports: Sequence[PortInterface], op: str, level: Level | None, is_signed: bool
) -> str:
    """Say what a core for an operation on floats may be that ports of these widths are none of."""
    have = ", ".join(f"{port.name}[{port.width}]" for port in ports)
    says = []
    widths = {port.width for port in ports}
    formats = [name for name, width in FORMAT_WIDTHS.items() if widths == {width}]
    if formats:
        says.append(f"these are the widths of --format {' or '.join(formats)}")
    if op in UNIT_OPS and level != "float":
        shape = "N x N -> 2N" if op == "mulf" else "N + N -> N or N+1"
        says.append(f"a significand unit for {op} is unsigned and has {shape} bits, not {have}")
        if is_signed:
            says[-1] += " declared signed (--no-signed if they are not)"
    elif op not in UNIT_OPS:
        says.append(f"no significand unit computes {op}")
    integer = UNIT_OPS.get(op, "divi" if op == "divf" else "")
    if integer:
        says.append(f"an integer circuit alone is described by --op {integer}")
    return "; ".join(says)


_PACKAGE = re.compile(r"\bpackage\s+(?:automatic\s+|static\s+)?([A-Za-z_]\w*)\s*;")
_USES = re.compile(r"\b([A-Za-z_]\w*)\s*::")


def _in_order(sources: tuple[Source, ...]) -> tuple[Source, ...]:
    """Put files after those that hold packages they use; otherwise the order stays."""
    if len({source.path for source in sources}) != len(sources):
        raise InputError(f"{sources[0].path}: a file is given twice")
    texts = [without_comments(source.text) for source in sources]
    home = {name: i for i, text in enumerate(texts) for name in _PACKAGE.findall(text)}
    order: list[int] = []
    open_files: set[int] = set()

    def visit(index: int) -> None:
        if index in order or index in open_files:
            return
        open_files.add(index)
        for name in dict.fromkeys(_USES.findall(texts[index])):
            if name in home:
                visit(home[name])
        order.append(index)

    for index in range(len(sources)):
        visit(index)
    return tuple(sources[index] for index in order)


_DATA_FILE = re.compile(r'(\$readmem[hb]\s*\(\s*")([^"\n]+)"')


def _without_testbenches(
    sources: tuple[Source, ...], manifest: Mapping[str, Any]
) -> tuple[Source, ...]:
    from asnet_mlir.cores import verilog_text  # looks at sources

    return verilog_text.without_testbenches(sources, str(manifest.get("module")))


def _without_folder(match: re.Match[str]) -> str:
    return f'{match[1]}{Path(match[2]).name}"'


def data_files(core: Core) -> list[str]:
    """Return the files that a core's memories are read from, as its text names them."""
    return [
        match[2]
        for source in core.sources
        for match in _DATA_FILE.finditer(without_comments(source.text))
    ]


def _with_data_files(sources: tuple[Source, ...], includes: Sequence[Path]) -> tuple[Source, ...]:
    """Return sources whose tables in files are named by absolute paths.

    What a name is relative to differs between simulators.
    """
    from asnet_mlir.cores import verilog_text  # looks at sources

    folders = include_folders(sources, includes)

    def placed(source: Source) -> Source:
        code = without_comments(source.text)
        text, end = "", 0
        for match in _DATA_FILE.finditer(code):
            found = [folder / match[2] for folder in folders if (folder / match[2]).is_file()]
            if not found:
                line = code.count("\n", 0, match.start()) + 1
                raise InputError(
                    f"{source.path}:{line}: the file '{match[2]}' is not beside the sources"
                )
            place = f"{source.path}:{code.count(chr(10), 0, match.start()) + 1}"
            verilog_text.check_memory_file(found[0], 16 if "memh" in match[1] else 2, place)
            text += source.text[end : match.start(2)] + str(found[0].resolve())
            end = match.end(2)
        return dataclasses.replace(source, text=text + source.text[end:]) if end else source

    return tuple(placed(source) for source in sources)


def _include_folder(name: str | Path) -> Path:
    path = user_path(name)
    if not path.is_dir():
        raise InputError(f"{path}: the include folder is not there")
    return path.resolve()


_COMMENTS = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)


def without_comments(text: str) -> str:
    """Return Verilog with blanks for comments, so that positions stay what they are."""
    return _COMMENTS.sub(lambda m: m[0] if m[0][0] == '"' else re.sub(r"[^\n]", " ", m[0]), text)


def checked_parameter(core: str, parameter: Parameter, value: object) -> int:
    """Return `value` as a legal integer of `parameter`."""
    if isinstance(value, str) and value.isascii():
        try:
            value = int(value, 0)
        except ValueError:
            pass
    try:
        if isinstance(value, bool | str):
            raise TypeError
        number = value.__index__()  # type: ignore[attr-defined]  # numpy's integers as well
    except (AttributeError, TypeError):
        raise InputError(f"{core}: {parameter.name} = {value!r} is not an integer") from None
    if not parameter.allows(number):
        raise InputError(f"{core}: {parameter.name} = {number} is not in {parameter.legal}")
    if not -(1 << 31) <= number < 1 << 31:
        raise InputError(f"{core}: {parameter.name} = {number} does not fit in 32 bits")
    return int(number)


def user_path(name: str | Path) -> Path:
    """Return a path as the user wrote it, `~` expanded where that means somebody."""
    try:
        path = Path(name).expanduser()
    except RuntimeError as error:
        raise InputError(f"{name}: {error}") from None
    if "\0" in str(path) or any(len(part.encode()) > 255 for part in path.parts):
        raise InputError(f"'{str(name)[:60]}': no name that a file can have")
    return path


def _read_source(path: Path) -> Source:
    path = user_path(path)
    try:
        if path.stat().st_size > _MAX_SOURCE_BYTES:
            raise InputError(f"{path}: more than {_MAX_SOURCE_BYTES >> 20} MiB of Verilog")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if b"\0" in data:
        raise InputError(f"{path}: is not text in UTF-8")
    text = data.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    return Source(path.resolve(), text)


def include_folders(sources: Sequence[Source], includes: Sequence[Path]) -> tuple[Path, ...]:
    """Return where included files are looked for: beside the sources, then in `includes`."""
    folders = [source.path.parent for source in sources]
    return tuple(f for f in dict.fromkeys([*folders, *includes]) if f.is_dir())


def dependencies(sources: Sequence[Source], folders: Sequence[Path]) -> list[str]:
    """Return the texts of the files that sources include, or read into memories, recursively."""
    pattern = re.compile(r'`include\s+"([^"\n]+)"|\$readmem[hb]\s*\(\s*"([^"\n]+)"')
    texts: list[str] = []
    seen: set[Path] = set()
    pending = [source.text for source in sources]
    while pending:
        for match in pattern.finditer(pending.pop()):
            name = match[1] or match[2]
            for folder in folders:
                path = folder / name
                if path.is_file() and path not in seen:
                    seen.add(path)
                    texts.append(_read_source(path).text)
                    pending.append(texts[-1])
                    break
    return texts


def _read_manifest(path: Path, *, in_library: bool = False) -> Core:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8 text") from None
    return _parse_manifest(path.resolve(), text, in_library)


@functools.lru_cache(maxsize=256)
def _parse_manifest_cached(
    path: Path, text: str, in_library: bool, sources: tuple[Source, ...]
) -> Core:
    table = tomllib.loads(text)

    def get(section: Mapping[str, Any], key: str, kind: type, default: Any = None) -> Any:
        name = key if section is table else f"{prefix}.{key}"
        if key not in section:
            if default is None:
                raise InputError(f"{path}: key '{name}' is missing")
            return default
        value = section[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise InputError(
                f"{path}: key '{name}' must be {_KIND_NAMES[kind]}, not {type(value).__name__}"
            )
        return value

    prefix = ""
    for key in table.keys() - _MANIFEST_KEYS:
        near = difflib.get_close_matches(key, _MANIFEST_KEYS, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise InputError(f"{path}: unknown key '{key}'{hint}")
    name = get(table, "name", str)
    op = get(table, "op", str, "") or None
    if op is not None and op not in (*OPS, *INTEGER_OPS):
        raise InputError(f"{path}: key 'op' is '{op}'; one of {', '.join((*OPS, *INTEGER_OPS))}")
    number_format = get(table, "format", str, "f32" if op in OPS else "") or None
    if number_format is not None and number_format not in FORMAT_WIDTHS:
        raise InputError(
            f"{path}: key 'format' is '{number_format}'; one of {', '.join(FORMAT_WIDTHS)}"
        )
    if (number_format is not None) != (op in OPS):
        raise InputError(f"{path}: key 'format' is for the operations {', '.join(OPS)}")
    usual = "float" if op in OPS else "integer"
    level, align = get(table, "level", str, usual), get(table, "align", str, "right")
    if level not in (("float", "significand") if op in OPS else ("integer",)):
        raise InputError(f"{path}: key 'level' is '{level}', which does not go with op '{op}'")
    if align not in ("right", "left"):
        raise InputError(f"{path}: key 'align' is '{align}'; right or left")
    includes = []
    for folder in get(table, "includes", list, []):
        if not isinstance(folder, str) or not (path.parent / folder).is_dir():
            raise InputError(f"{path}: key 'includes' names '{folder}', which is no folder here")
        includes.append((path.parent / folder).resolve())
    port_table = get(table, "ports", dict)
    prefix = "ports"
    for key in port_table.keys() - {*PORT_ROLES, "reset_active", "constant", "unspecified"}:
        raise InputError(f"{path}: unknown key 'ports.{key}'")
    roles = {
        role: get(port_table, role, str, None if role in ("a", "b", "result") else "") or None
        for role in PORT_ROLES
    }
    active = get(port_table, "reset_active", str, "high")
    if active not in ("low", "high") or ("reset_active" in port_table and not roles["reset"]):
        raise InputError(
            f"{path}: key 'ports.reset_active' must be low or high, beside ports.reset"
        )
    constant = get(port_table, "constant", dict, {})
    prefix = "ports.constant"
    held = tuple((key, get(constant, key, int)) for key in constant)
    if any(value < 0 for _, value in held):
        raise InputError(f"{path}: key 'ports.constant' must hold integers >= 0")
    left_open = get(port_table, "unspecified", dict, {})
    prefix = "ports.unspecified"
    unspecified = tuple((key, get(left_open, key, int)) for key in left_open)
    if any(value < 0 or key not in ("a", "b") for key, value in unspecified):
        raise InputError(f"{path}: key 'ports.unspecified' must hold values of a or b, like b = 0")
    ports = Ports(
        **cast(Any, roles),
        reset_active_low=active == "low",
        constant=held,
        unspecified=unspecified,
    )
    if problem := ports.problem():
        raise InputError(f"{path}: key 'ports': {problem}")
    named = [*ports.roles.values(), *constant]
    for port in named:
        if named.count(port) > 1:
            raise InputError(f"{path}: key 'ports' gives port '{port}' two roles")
    parameters = []
    prefix = "parameters"
    for key, entry in get(table, "parameters", dict, {}).items():
        prefix = f"parameters.{key}"
        if not isinstance(entry, dict):
            raise InputError(f"{path}: key '{prefix}' must be a table")
        for other in entry.keys() - {"low", "high", "step", "values", "default", "summary"}:
            raise InputError(f"{path}: unknown key '{prefix}.{other}'")
        default, step = get(entry, "default", int), get(entry, "step", int, 1)
        values = get(entry, "values", list, []) or None
        if values is not None:
            if entry.keys() & {"low", "high", "step"}:
                raise InputError(f"{path}: key '{prefix}' has values or low and high, not both")
            if not all(isinstance(value, int) and not isinstance(value, bool) for value in values):
                raise InputError(f"{path}: key '{prefix}.values' must be integers")
            low, high = min(values), max(values)
        else:
            low, high = get(entry, "low", int), get(entry, "high", int)
        if step < 1:
            raise InputError(f"{path}: key '{prefix}.step' must be at least 1")
        parameter = Parameter(
            key,
            default,
            low,
            high,
            get(entry, "summary", str, ""),
            step,
            tuple(values) if values else None,
        )
        if not parameter.allows(default):
            raise InputError(
                f"{path}: key '{prefix}.default' = {default} is not in {parameter.legal}"
            )
        parameters.append(parameter)
    latency = table.get("latency_cycles")
    if isinstance(latency, str):
        if latency not in {parameter.name for parameter in parameters}:
            raise InputError(f"{path}: key 'latency_cycles' names '{latency}', no parameter")
    elif not isinstance(latency, int) or isinstance(latency, bool) or latency < 0:
        raise InputError(
            f"{path}: key 'latency_cycles' must be an integer >= 0 or a parameter's name"
        )
    prefix = ""
    interval = get(table, "initiation_interval", int, 1)
    if interval < 1:
        raise InputError(f"{path}: key 'initiation_interval' = {interval}; it must be at least 1")
    stateful = interval > 1 or ports.start is not None
    if (latency != 0 or stateful) and ports.clock is None:
        why = "iterative" if stateful else "clocked: it has a latency"
        raise InputError(f"{path}: key 'ports.clock' is missing, but the core is {why}")
    signed = get(table, "signed", bool, False)
    prefix = "origin"
    origin = get(table, "origin", dict, {})
    prefix = ""
    is_unit = level == "significand"
    core = Core(
        name=name,
        module=get(table, "module", str),
        op=UNIT_OPS.get(op or "", op) if is_unit else op,
        format=None if is_unit else number_format,
        sources=_with_data_files(_without_testbenches(sources, table), includes),
        ports=ports,
        parameters=tuple(parameters),
        latency_cycles=latency,
        initiation_interval=interval,
        exact=get(table, "exact", bool, False),
        special_values=get(table, "special_values", str, ""),
        summary=get(table, "summary", str, ""),
        license=str(origin.get("license", "")),
        reference=str(origin.get("reference", "")),
        path=path,
        in_library=in_library and not is_unit,
        signed=signed,
        includes=tuple(includes),
    )
    if not is_unit:
        return core
    from asnet_mlir.cores import significand  # wraps cores in turn

    wrapped = significand.wrap(core, str(op), cast(Any, number_format), cast(Any, align))
    return dataclasses.replace(wrapped, name=name, in_library=in_library)


_KIND_NAMES = {
    str: "a string",
    int: "an integer",
    bool: "true or false",
    dict: "a table",
    list: "an array",
}


def _parse_manifest(path: Path, text: str, in_library: bool) -> Core:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not valid TOML: {error}") from None
    names = table.get("sources")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"{path}: key 'sources' must be an array of file names")
    sources = []
    for name in names:
        source = path.parent / name
        if not source.is_file():
            raise InputError(f"{path}: key 'sources' names '{name}', which is not there")
        sources.append(_read_source(source))
    return _parse_manifest_cached(path, text, in_library, tuple(sources))
