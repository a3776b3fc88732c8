"""Cores and instances: a Verilog module with its contract, and the same with parameters fixed.

A core is described by a `core.toml` beside its Verilog (the library's cores are) or, for Verilog
that a user brings, by what Yosys reads from the module itself.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asnet_mlir.cache import content_hash
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.resources import hdl_library_directory

__all__ = [
    "OPS",
    "Core",
    "Instance",
    "Parameter",
    "Ports",
    "Source",
    "core_from_verilog",
    "library_cores",
    "load_core",
    "parse_instance",
]

#: The floating-point operations a core can stand for; both operands and the result are f32.
OPS = ("addf", "subf", "mulf", "divf", "maxf", "minf")

#: Bits of each format's operands and results.
FORMAT_WIDTHS = {"f32": 32}

_MAX_SOURCE_BYTES = 64 << 20
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
}


@dataclass(frozen=True)
class Source:
    """One Verilog file: where it lies and its text (UTF-8 without BOM, lines ended by LF)."""

    path: Path
    text: str


@dataclass(frozen=True)
class Parameter:
    """An integer parameter of a module; `low`/`high` are None where no range is declared."""

    name: str
    default: int
    low: int | None = None
    high: int | None = None
    summary: str = ""


@dataclass(frozen=True)
class Ports:
    """Names of a core's ports; `clock` is None for a purely combinational core."""

    a: str
    b: str
    result: str
    clock: str | None = None


@dataclass(frozen=True)
class Core:
    """A Verilog module and its contract.

    `op` is one of `OPS`, or None for a function on integers of the ports' widths.  `latency_cycles`
    is a number of clock cycles, or the name of the parameter that gives it.
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
            values[name] = _checked(self.name, known[name], value)
        return Instance(self, tuple(values.items()))

    @functools.cached_property
    def sources_hash(self) -> str:
        """Hash of the Verilog that the core is made of, included and read files with it."""
        texts = [source.text for source in self.sources]
        return content_hash(self.module, *texts, *_dependencies(self.sources))


@dataclass(frozen=True)
class Instance:
    """A core with every parameter fixed."""

    core: Core
    parameters: tuple[tuple[str, int], ...]

    @property
    def latency(self) -> int:
        """Declared clock cycles from operands to result."""
        cycles = self.core.latency_cycles
        return dict(self.parameters)[cycles] if isinstance(cycles, str) else cycles

    @property
    def interval(self) -> int:
        """Clock cycles between two starts."""
        return self.core.initiation_interval

    @functools.cached_property
    def content_hash(self) -> str:
        """Hash of all that decides what the instance computes and when."""
        core = self.core
        contract = [core.op, core.format, self.latency, self.interval, core.exact]
        ports = [core.ports.a, core.ports.b, core.ports.result, core.ports.clock]
        return content_hash(core.sources_hash, json.dumps([contract, ports, self.parameters]))

    @property
    def label(self) -> str:
        """Name with the parameters that differ from their defaults: `fmul_trunc:P=20`.

        Where all are at their defaults only the name is left, so that `parse_instance(label)` gives
        the instance back for every library core.
        """
        defaults = {parameter.name: parameter.default for parameter in self.core.parameters}
        parts = [f"{name}={value}" for name, value in self.parameters if defaults[name] != value]
        return self.core.name + (":" + ",".join(parts) if parts else "")

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
    path = _user_path(text)
    if path.suffix == ".toml" or (path / "core.toml").is_file():
        return _read_manifest(path if path.suffix == ".toml" else path / "core.toml")
    if path.suffix in (".v", ".sv"):
        return core_from_verilog([path])
    manifest = hdl_library_directory() / text / "core.toml"
    if re.fullmatch(r"\w+", text) and manifest.is_file():
        return _read_manifest(manifest, in_library=True)
    names = sorted(path.parent.name for path in hdl_library_directory().glob("*/core.toml"))
    near = difflib.get_close_matches(text, names, n=1)
    raise InputError(
        f"unknown core '{text}'"
        + (f"; did you mean '{near[0]}'?" if near else ";")
        + f" the library has {', '.join(names) or 'no cores'}"
        + " (or give a path to a core.toml, .v or .sv file)"
    )


def parse_instance(
    text: str,
    *,
    op: str | None = None,
    top: str | None = None,
    ports: Mapping[str, str] | None = None,
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
    if Path(name).suffix in (".v", ".sv"):
        core = core_from_verilog([_user_path(name)], top=top, op=op, ports=ports)
    else:
        core = load_core(name)
        if op is not None and core.op != op:
            raise InputError(f"{core.name}: computes {core.op}, not {op}")
    return core.instance(values)


def core_from_verilog(
    files: Sequence[str | Path],
    top: str | None = None,
    op: str | None = None,
    ports: Mapping[str, str] | None = None,
    parameters: Mapping[str, int] | None = None,
    latency: int | str | None = None,
) -> Core:
    """Return the core that Verilog files without a `core.toml` hold.

    Args:
      files: Verilog or SystemVerilog sources.
      top: module; by default the only one that no other instantiates.
      op: what the core stands for (one of `OPS`), or None for a function on integers.
      ports: names for `a`, `b`, `result` and `clock`; the missing ones are taken from the module
        where its ports leave no choice: two inputs of the operands' width in their order of
        declaration, one output, one 1-bit input that clocks registers.
      parameters: values that become the defaults.
      latency: clock cycles, or the name of the parameter that gives them; by default as measured
        by structure with the default parameters.

    Raises:
      InputError: a missing file, Verilog that Yosys does not read, an ambiguous top or port, a port
        of the wrong width or direction, an unknown parameter.
    """
    from asnet_mlir.cores import netlist  # reads cores in turn

    if not files:
        raise InputError("no Verilog files given")
    if op is not None and op not in OPS:
        raise InputError(f"unknown operation '{op}'; one of {', '.join(OPS)}")
    sources = tuple(_read_source(Path(name)) for name in files)
    module = netlist.read_interface(sources, top)
    chosen = _choose_ports(module, dict(ports or {}), op)
    defaults = dict(module.parameters)
    core = Core(
        name=module.name,
        module=module.name,
        op=op,
        format="f32" if op else None,
        sources=sources,
        ports=chosen,
        parameters=tuple(Parameter(name, value) for name, value in defaults.items()),
        latency_cycles=0 if latency is None else latency,
        path=sources[0].path,
    )
    if isinstance(latency, str) and latency not in defaults:
        raise InputError(f"{core.name}: latency is given by '{latency}', which is no parameter")
    fixed = dict(core.instance(parameters).parameters)
    measured = core.latency_cycles
    core = _replaced(core, tuple(Parameter(name, value) for name, value in fixed.items()), measured)
    if latency is None and chosen.clock is not None:
        core = _replaced(core, core.parameters, netlist.measure_latency(core.instance()))
    return core


def _replaced(core: Core, parameters: tuple[Parameter, ...], latency: int | str) -> Core:
    import dataclasses

    return dataclasses.replace(core, parameters=parameters, latency_cycles=latency)


def _choose_ports(module: Any, given: dict[str, str], op: str | None) -> Ports:
    """Fill in the ports that `given` leaves out where the module leaves no choice."""
    where = module.name
    unknown = set(given) - {"a", "b", "result", "clock"}
    if unknown:
        raise InputError(f"{where}: unknown port role '{min(unknown)}'; a, b, result or clock")
    directions = {port.name: port.direction for port in module.ports}
    for role, name in given.items():
        if name not in directions:
            raise InputError(f"{where}: no port '{name}'; it has {', '.join(directions)}")
        wanted = "output" if role == "result" else "input"
        if directions[name] != wanted:
            raise InputError(f"{where}: port {name} is an {directions[name]}, not an {wanted}")
    for port in module.ports:
        if port.direction == "inout":
            raise UnsupportedError(f"{where}: inout port {port.name} is not supported")
    listing = ", ".join(f"{port.direction} {port.name}[{port.width}]" for port in module.ports)
    how = f"name them with ports a=.., b=.., result=.. (it has {listing})"
    free = [port for port in module.ports if port.name not in given.values()]
    width = FORMAT_WIDTHS["f32"] if op else None
    chosen = dict(given)
    if "result" not in chosen:
        outputs = [port for port in free if port.direction == "output"]
        if len(outputs) != 1:
            raise InputError(f"{where}: {len(outputs)} outputs could be the result; {how}")
        chosen["result"] = outputs[0].name
    inputs = [port for port in free if port.direction == "input"]
    if "clock" not in chosen:
        clocks = [port for port in inputs if port.width == 1 and port.clocks_registers]
        if len(clocks) > 1:
            raise InputError(f"{where}: {len(clocks)} inputs could be the clock; {how}, clock=..")
        if clocks:
            chosen["clock"] = clocks[0].name
            inputs.remove(clocks[0])
    missing = [role for role in ("a", "b") if role not in chosen]
    if len(inputs) != len(missing):
        raise InputError(f"{where}: {len(inputs)} inputs could be {' and '.join(missing)}; {how}")
    if len(missing) == 2 and inputs[0].width != inputs[1].width:
        raise InputError(f"{where}: the inputs differ in width, so a and b are ambiguous; {how}")
    chosen.update({role: port.name for role, port in zip(missing, inputs, strict=True)})
    if len({chosen["a"], chosen["b"], chosen.get("clock")}) != 3:
        raise InputError(f"{where}: one port is named for two roles; {how}")
    widths = {port.name: port.width for port in module.ports}
    for role in ("a", "b", "result"):
        if width is not None and widths[chosen[role]] != width:
            raise InputError(
                f"{where}: port {chosen[role]} has {widths[chosen[role]]} bits, "
                f"f32 needs {width} ({module.location})"
            )
    return Ports(chosen["a"], chosen["b"], chosen["result"], chosen.get("clock"))


def _checked(core: str, parameter: Parameter, value: object) -> int:
    """Return `value` as a legal integer of `parameter`."""
    if isinstance(value, str):
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
    low, high = parameter.low, parameter.high
    if (low is not None and number < low) or (high is not None and number > high):
        raise InputError(f"{core}: {parameter.name} = {number} is not in {low}..{high}")
    if not -(1 << 31) <= number < 1 << 31:
        raise InputError(f"{core}: {parameter.name} = {number} does not fit in 32 bits")
    return int(number)


def _user_path(name: str | Path) -> Path:
    """Return a path as the user wrote it, `~` expanded where that means somebody."""
    try:
        path = Path(name).expanduser()
    except RuntimeError as error:
        raise InputError(f"{name}: {error}") from None
    if "\0" in str(path) or any(len(part.encode()) > 255 for part in path.parts):
        raise InputError(f"'{str(name)[:60]}': no name that a file can have")
    return path


def _read_source(path: Path) -> Source:
    path = _user_path(path)
    try:
        if path.stat().st_size > _MAX_SOURCE_BYTES:
            raise InputError(f"{path}: more than {_MAX_SOURCE_BYTES >> 20} MiB of Verilog")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    text = data.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    return Source(path.resolve(), text)


def _dependencies(sources: Sequence[Source]) -> list[str]:
    """Return the texts of the files that sources include, or read into memories, recursively."""
    pattern = re.compile(r'`include\s+"([^"\n]+)"|\$readmem[hb]\s*\(\s*"([^"\n]+)"')
    folders = list(dict.fromkeys(source.path.parent for source in sources))
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
    if op is not None and op not in OPS:
        raise InputError(f"{path}: key 'op' is '{op}'; one of {', '.join(OPS)}")
    number_format = get(table, "format", str, "f32" if op else "") or None
    if number_format is not None and number_format not in FORMAT_WIDTHS:
        raise InputError(
            f"{path}: key 'format' is '{number_format}'; one of {', '.join(FORMAT_WIDTHS)}"
        )
    port_table = get(table, "ports", dict)
    prefix = "ports"
    for key in port_table.keys() - {"clock", "a", "b", "result"}:
        raise InputError(f"{path}: unknown key 'ports.{key}'")
    ports = Ports(
        a=get(port_table, "a", str),
        b=get(port_table, "b", str),
        result=get(port_table, "result", str),
        clock=get(port_table, "clock", str, "") or None,
    )
    named = [name for name in (ports.a, ports.b, ports.result, ports.clock) if name]
    for port in named:
        if named.count(port) > 1:
            raise InputError(f"{path}: key 'ports' gives port '{port}' two roles")
    parameters = []
    prefix = "parameters"
    for key, entry in get(table, "parameters", dict, {}).items():
        prefix = f"parameters.{key}"
        if not isinstance(entry, dict):
            raise InputError(f"{path}: key '{prefix}' must be a table")
        for other in entry.keys() - {"low", "high", "default", "summary"}:
            raise InputError(f"{path}: unknown key '{prefix}.{other}'")
        low, high, default = (get(entry, k, int) for k in ("low", "high", "default"))
        if not low <= default <= high:
            raise InputError(f"{path}: key '{prefix}.default' = {default} is not in {low}..{high}")
        parameters.append(Parameter(key, default, low, high, get(entry, "summary", str, "")))
    latency = table.get("latency_cycles")
    if isinstance(latency, str):
        if latency not in {parameter.name for parameter in parameters}:
            raise InputError(f"{path}: key 'latency_cycles' names '{latency}', no parameter")
    elif not isinstance(latency, int) or isinstance(latency, bool) or latency < 0:
        raise InputError(
            f"{path}: key 'latency_cycles' must be an integer >= 0 or a parameter's name"
        )
    interval = get(table, "initiation_interval", int, 1)
    if interval != 1:
        raise UnsupportedError(
            f"{path}: key 'initiation_interval' = {interval}; only fully pipelined cores (1) work"
        )
    if latency != 0 and ports.clock is None:
        raise InputError(f"{path}: key 'ports.clock' is missing, but the core has a latency")
    prefix = "origin"
    origin = get(table, "origin", dict, {})
    return Core(
        name=name,
        module=get(table, "module", str),
        op=op,
        format=number_format,
        sources=sources,
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
        in_library=in_library,
    )


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
