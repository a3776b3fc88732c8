"""The manifest `core.toml` that describes a core beside its Verilog."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from asnet_mlir.cores.core import (
    UNIT_OPS,
    Core,
    Parameter,
)
from asnet_mlir.cores.ports import PORT_ROLES, Ports
from asnet_mlir.cores.reading import significand
from asnet_mlir.cores.sources import text as verilog_text
from asnet_mlir.cores.sources.memory_files import with_placed_files
from asnet_mlir.cores.sources.source import Source, read_source
from asnet_mlir.errors import InputError
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
}


def _without_testbenches(
    sources: tuple[Source, ...], manifest: Mapping[str, Any]
) -> tuple[Source, ...]:
    return verilog_text.without_testbenches(sources, str(manifest.get("module")))


def read_manifest(path: Path, *, in_library: bool = False) -> Core:
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
    if op is not None and op not in OP_KINDS:
        raise InputError(f"{path}: key 'op' is '{op}'; one of {', '.join(OP_KINDS)}")
    number_format = get(table, "format", str, "f32" if op in FLOAT_OPS else "") or None
    if number_format is not None and number_format not in FLOAT_FORMATS:
        raise InputError(
            f"{path}: key 'format' is '{number_format}'; one of {', '.join(FLOAT_FORMATS)}"
        )
    if (number_format is not None) != (op in FLOAT_OPS):
        raise InputError(f"{path}: key 'format' is for the operations {', '.join(FLOAT_OPS)}")
    usual = "float" if op in FLOAT_OPS else "integer"
    level, align = get(table, "level", str, usual), get(table, "align", str, "right")
    if level not in (("float", "significand") if op in FLOAT_OPS else ("integer",)):
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
        sources=with_placed_files(_without_testbenches(sources, table), includes),
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
        sources.append(read_source(source))
    return _parse_manifest_cached(path, text, in_library, tuple(sources))
