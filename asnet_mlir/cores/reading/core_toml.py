# SPDX-License-Identifier: Apache-2.0
"""The manifest `core.toml` that describes a core beside its Verilog."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

from asnet_mlir.cores.core import (
    UNIT_OPS,
    Core,
    Parameter,
)
from asnet_mlir.cores.ports import PORT_ROLES, Ports
from asnet_mlir.cores.reading import significand
from asnet_mlir.cores.sources import text as verilog_text
from asnet_mlir.cores.sources.by_number import Members
from asnet_mlir.cores.sources.memory_files import with_placed_files
from asnet_mlir.cores.sources.source import Source, read_source
from asnet_mlir.errors import InputError
from asnet_mlir.support.cache import content_hash
from asnet_mlir.support.formats import FLOAT_FORMATS, FLOAT_OPS, OP_KINDS

__all__ = ["read_manifest"]

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
    "content",
    "members",
}


def _without_testbenches(
    sources: tuple[Source, ...], manifest: Mapping[str, Any]
) -> tuple[Source, ...]:
    return verilog_text.without_testbenches(sources, str(manifest.get("module")))


def read_manifest(path: Path, *, in_library: bool = False) -> Core:
    """Read the core that a `core.toml` describes.

    Raises:
      InputError: it can't be read, or says something that can't be meant; names file and key.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8 text") from None
    return _parse_manifest(path.resolve(), text, in_library)


@dataclass(frozen=True)
class _Table:
    """A table of a manifest; its errors name the file, and a key with the tables around it."""

    path: Path
    values: Mapping[str, Any]
    prefix: str = ""

    def inner(self, key: str, values: Mapping[str, Any]) -> _Table:
        """Return the table that a key holds."""
        return _Table(self.path, values, f"{self.prefix}{key}.")

    def get(self, key: str, kind: type, default: Any = None) -> Any:
        """Return the value of a key, or the default; without one the key must be there."""
        if key not in self.values:
            if default is None:
                raise InputError(f"{self.path}: key '{self.prefix}{key}' is missing")
            return default
        value = self.values[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.error(key, f"must be {_KIND_NAMES[kind]}, not {type(value).__name__}")
        return value

    def integers(self, key: str) -> tuple[tuple[str, int], ...]:
        """Return names and values of the table of integers that a key holds."""
        values = self.get(key, dict, {})
        inner = self.inner(key, values)
        return tuple((name, inner.get(name, int)) for name in values)

    def check_keys(self, known: Collection[str]) -> None:
        """Refuse keys that mean nothing here."""
        for key in self.values.keys() - known:
            near = difflib.get_close_matches(key, known, n=1) if not self.prefix else ()
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise InputError(f"{self.path}: unknown key '{self.prefix}{key}'{hint}")

    def error(self, key: str, text: str) -> InputError:
        """Return what is wrong with the value of a key."""
        return InputError(f"{self.path}: key '{self.prefix}{key}' {text}")


@functools.lru_cache(maxsize=256)
def _parse_manifest_cached(
    path: Path, text: str, in_library: bool, sources: tuple[Source, ...]
) -> Core:
    table = _Table(path, tomllib.loads(text))
    table.check_keys(_MANIFEST_KEYS)
    name = table.get("name", str)
    operation = _operation(table)
    includes = _includes(table)
    ports = _ports(table.inner("ports", table.get("ports", dict)))
    parameters = tuple(
        _parameter(table, key, entry) for key, entry in table.get("parameters", dict, {}).items()
    )
    latency, interval = _timing(table, ports, parameters)
    signed, signed_by = _signedness(table, parameters)
    origin = table.get("origin", dict, {})
    op, is_unit = operation.op, operation.level == "significand"
    core = Core(
        name=name,
        module=table.get("module", str),
        op=UNIT_OPS.get(op or "", op) if is_unit else op,
        format=None if is_unit else operation.format,
        sources=with_placed_files(_without_testbenches(sources, table.values), includes),
        ports=ports,
        parameters=parameters,
        latency_cycles=latency,
        initiation_interval=interval,
        exact=table.get("exact", bool, False),
        special_values=table.get("special_values", str, ""),
        summary=table.get("summary", str, ""),
        license=str(origin.get("license", "")),
        reference=str(origin.get("reference", "")),
        path=path,
        in_library=in_library and not is_unit,
        signed=signed,
        signed_by=signed_by,
        includes=includes,
        members=_members(table, parameters, sources),
    )
    if not is_unit:
        return core
    wrapped = significand.wrap(
        core, str(op), cast(Any, operation.format), cast(Any, operation.align)
    )
    return dataclasses.replace(wrapped, name=name, in_library=in_library)


class _Operation(NamedTuple):
    """What a core computes: op kind and format, None where it says none, level and alignment."""

    op: str | None
    format: str | None
    level: str
    align: str


def _operation(table: _Table) -> _Operation:
    op = table.get("op", str, "") or None
    if op is not None and op not in OP_KINDS:
        raise table.error("op", f"is '{op}'; one of {', '.join(OP_KINDS)}")
    number_format = table.get("format", str, "f32" if op in FLOAT_OPS else "") or None
    if number_format is not None and number_format not in FLOAT_FORMATS:
        raise table.error("format", f"is '{number_format}'; one of {', '.join(FLOAT_FORMATS)}")
    if (number_format is not None) != (op in FLOAT_OPS):
        raise table.error("format", f"is for the operations {', '.join(FLOAT_OPS)}")
    usual = "float" if op in FLOAT_OPS else "integer"
    level, align = table.get("level", str, usual), table.get("align", str, "right")
    if level not in (("float", "significand") if op in FLOAT_OPS else ("integer",)):
        raise table.error("level", f"is '{level}', which does not go with op '{op}'")
    if align not in ("right", "left"):
        raise table.error("align", f"is '{align}'; right or left")
    return _Operation(op, number_format, level, align)


def _includes(table: _Table) -> tuple[Path, ...]:
    """Return the folders in which included files are looked for."""
    folders = []
    for folder in table.get("includes", list, []):
        if not isinstance(folder, str) or not (table.path.parent / folder).is_dir():
            raise table.error("includes", f"names '{folder}', which is no folder here")
        folders.append((table.path.parent / folder).resolve())
    return tuple(folders)


def _members(
    table: _Table, parameters: Sequence[Parameter], sources: tuple[Source, ...]
) -> Members | None:
    """Return the circuits of which a parameter chooses one."""
    if "members" not in table.values:
        return None
    inner = table.inner("members", table.get("members", dict))
    inner.check_keys({"parameter", "index", "module"})
    name, index, module = (inner.get(key, str) for key in ("parameter", "index", "module"))
    if name not in {parameter.name for parameter in parameters}:
        raise inner.error("parameter", f"names '{name}', no parameter")
    path = (table.path.parent / index).resolve()
    if not path.is_file():
        raise inner.error("index", f"names '{index}', which is not there")
    if module not in {source.path.stem for source in sources}:
        raise inner.error("module", f"is '{module}', but no source has this name")
    return Members(name, path, module, sources)


def _ports(table: _Table) -> Ports:
    table.check_keys({*PORT_ROLES, "reset_active", "constant", "unspecified"})
    roles = {
        role: table.get(role, str, None if role in ("a", "b", "result") else "") or None
        for role in PORT_ROLES
    }
    active = table.get("reset_active", str, "high")
    if active not in ("low", "high") or ("reset_active" in table.values and not roles["reset"]):
        raise table.error("reset_active", "must be low or high, beside ports.reset")
    constant = table.integers("constant")
    if any(value < 0 for _, value in constant):
        raise table.error("constant", "must hold integers >= 0")
    unspecified = table.integers("unspecified")
    if any(value < 0 or key not in ("a", "b") for key, value in unspecified):
        raise table.error("unspecified", "must hold values of a or b, like b = 0")
    ports = Ports(
        **cast(Any, roles),
        reset_active_low=active == "low",
        constant=constant,
        unspecified=unspecified,
    )
    if problem := ports.problem():
        raise InputError(f"{table.path}: key 'ports': {problem}")
    named = [*ports.roles.values(), *dict(constant)]
    for port in named:
        if named.count(port) > 1:
            raise InputError(f"{table.path}: key 'ports' gives port '{port}' two roles")
    return ports


def _parameter(table: _Table, name: str, entry: Any) -> Parameter:
    if not isinstance(entry, dict):
        raise table.error(f"parameters.{name}", "must be a table")
    whole, table = f"parameters.{name}", table.inner(f"parameters.{name}", entry)
    table.check_keys({"low", "high", "step", "values", "default", "summary"})
    default, step = table.get("default", int), table.get("step", int, 1)
    values = table.get("values", list, []) or None
    if values is not None:
        if entry.keys() & {"low", "high", "step"}:
            raise InputError(f"{table.path}: key '{whole}' has values or low and high, not both")
        if not all(isinstance(value, int) and not isinstance(value, bool) for value in values):
            raise table.error("values", "must be integers")
        low, high = min(values), max(values)
    else:
        low, high = table.get("low", int), table.get("high", int)
    if step < 1:
        raise table.error("step", "must be at least 1")
    summary = table.get("summary", str, "")
    allowed = tuple(values) if values else None
    parameter = Parameter(name, default, low, high, summary, step, allowed)
    if not parameter.allows(default):
        raise InputError(
            f"{table.path}: key '{whole}.default' = {default} is not in {parameter.legal}"
        )
    return parameter


def _timing(
    table: _Table, ports: Ports, parameters: tuple[Parameter, ...]
) -> tuple[int | str, int]:
    """Return latency, in cycles or as a parameter's name, and initiation interval in cycles."""
    latency = table.values.get("latency_cycles")
    if isinstance(latency, str):
        if latency not in {parameter.name for parameter in parameters}:
            raise table.error("latency_cycles", f"names '{latency}', no parameter")
    elif not isinstance(latency, int) or isinstance(latency, bool) or latency < 0:
        raise table.error("latency_cycles", "must be an integer >= 0 or a parameter's name")
    interval = table.get("initiation_interval", int, 1)
    if interval < 1:
        raise table.error("initiation_interval", f"= {interval}; it must be at least 1")
    stateful = interval > 1 or ports.start is not None
    if (latency != 0 or stateful) and ports.clock is None:
        why = "iterative" if stateful else "clocked: it has a latency"
        raise InputError(f"{table.path}: key 'ports.clock' is missing, but the core is {why}")
    return latency, interval


def _signedness(table: _Table, parameters: tuple[Parameter, ...]) -> tuple[bool, str | None]:
    """Return whether operands are signed, and the parameter of 0 and 1 that says so, if any."""
    name = table.values.get("signed", False)
    if not isinstance(name, str):
        return table.get("signed", bool, False), None
    found = next((parameter for parameter in parameters if parameter.name == name), None)
    if found is None or (found.low, found.high) != (0, 1):
        raise table.error("signed", f"names '{name}', no parameter whose values are 0 and 1")
    return bool(found.default), name


_KIND_NAMES = {
    str: "a string",
    int: "an integer",
    bool: "true or false",
    dict: "a table",
    list: "an array",
}


@functools.lru_cache(maxsize=256)
def _named_sources(path: Path, text: str) -> tuple[tuple[str, ...], Any]:
    """Return the names of a manifest's sources, and the hash that it says they have, or None."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not valid TOML: {error}") from None
    names = table.get("sources")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"{path}: key 'sources' must be an array of file names")
    return tuple(names), table.get("content")


def _parse_manifest(path: Path, text: str, in_library: bool) -> Core:
    names, content = _named_sources(path, text)
    sources = []
    for name in names:
        source = path.parent / name
        if not source.is_file():
            raise InputError(f"{path}: key 'sources' names '{name}', which is not there")
        sources.append(read_source(source))
    found = content_hash(*(source.text for source in sources))
    if content not in (None, found):
        raise InputError(
            f"{path}: key 'content': {', '.join(names)} is not what was imported (its hash is "
            f"{found[:12]}, not {str(content)[:12]}); import it again under another name"
        )
    return _parse_manifest_cached(path, text, in_library, tuple(sources))
