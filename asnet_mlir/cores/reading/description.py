# SPDX-License-Identifier: Apache-2.0
"""Cores as bindings and constraints describe them: a name, or Verilog files with their contract."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asnet_mlir.cores.core import Instance
from asnet_mlir.cores.reading.code_wrapper import split_wrapper, wrapped
from asnet_mlir.cores.reading.from_verilog import core_from_verilog
from asnet_mlir.cores.reading.library import load_core, parse_instance
from asnet_mlir.cores.reading.table import core_from_table, is_table
from asnet_mlir.cores.reading.units import instance_for
from asnet_mlir.errors import InputError

__all__ = ["DESCRIPTION_KEYS", "describe", "instance_from_description", "relative_to"]

#: The keys that are for cores of Verilog files only.
DESCRIPTION_KEYS = (
    "top",
    "ports",
    "level",
    "align",
    "format",
    "includes",
    "latency",
    "interval",
    "signed",
)

_VERILOG = (".v", ".sv")
#: Those of the keys that a table has as well, and an integer core that becomes a unit.
_OF_TABLES = ("level", "align", "format", "signed")
_OF_UNITS = ("align", "format")


def describe(instance: Instance) -> dict[str, Any]:
    """Return the keys from which `instance_from_description` makes an equal instance.

    For a core of Verilog files they say everything: the files alone may not tell which operand is
    which, or what clocks them.
    """
    core = instance.core
    if core.inner is not None:
        return {**describe(core.inner.instance()), "parameters": instance.all_parameters}
    if not core.in_library and core.path is not None and is_table(core.path):
        align = {"align": core.unit.align} if core.unit else {}
        kind = {} if core.format in (None, "f32") else {"format": core.format}
        return {"core": str(core.path), **align, **kind, "parameters": instance.all_parameters}
    inner = core.unit.core if core.unit else core
    if core.in_library or core.path is None or core.path.suffix not in _VERILOG:
        # A manifest of a significand core says of itself how its unit lies; one of an integer core,
        # which became a unit, does not.
        unit = core.unit
        if unit and not unit.core.in_library and core.name != core.module:
            unit = None
        named = unit.core if unit else core
        reference = named.name if named.in_library or core.path is None else str(core.path)
        align = {"align": unit.align} if unit else {}
        parameters = instance.all_parameters if unit else dict(instance.parameters)
        return {"core": reference, **align, "parameters": parameters}
    files = [str(source.path) for source in inner.sources]
    value: dict[str, Any] = {"core": files if len(files) > 1 else files[0], "top": inner.module}
    value["ports"] = inner.ports.to_json()
    value["level"] = core.level
    if core.unit:
        value["align"] = core.unit.align
    if core.format not in (None, "f32"):
        value["format"] = core.format
    if core.includes:
        value["includes"] = [str(folder) for folder in core.includes]
    if not inner.latency_is_measured:
        value["latency"] = inner.latency_cycles
    if inner.initiation_interval != 1:
        value["interval"] = inner.initiation_interval
    if core.signed:
        value["signed"] = True
    return {**value, "parameters": instance.all_parameters}


def relative_to(description: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return what `describe` returned with paths as seen from a folder."""

    def seen(value: str | list[str]) -> str | list[str]:
        if isinstance(value, list):
            return [str(seen(one)) for one in value]
        return os.path.relpath(value, folder.resolve()) if os.path.isabs(value) else value

    places = {key: seen(description[key]) for key in ("core", "includes") if key in description}
    return {**description, **places}


def instance_from_description(
    description: Mapping[str, Any],
    op: str | None,
    parameters: Mapping[str, int],
    folder: Path | None = None,
) -> Instance:
    """Return the instance that JSON keys describe; their types are taken as checked.

    Args:
      description: `core` (a name, a path, or a list of Verilog files) and `DESCRIPTION_KEYS`.
      op: what it must compute.
      parameters: values of parameters; defaults elsewhere.
      folder: what relative paths are relative to, by default the working directory.

    Raises:
      InputError: see `core_from_verilog` and `Core.instance`; or a key that is for Verilog files.
    """
    parameters, wrapper = split_wrapper(parameters)
    if wrapper:
        return wrapped(instance_from_description(description, op, parameters, folder), wrapper)
    reference = description["core"]
    files = reference if isinstance(reference, list) else [reference]

    def placed(name: str) -> Path:
        path = Path(name)
        return folder / path if folder is not None and not name.startswith("~") else path

    if isinstance(reference, list) or Path(reference).suffix in _VERILOG:
        for index, name in enumerate(files):
            if Path(name).suffix not in _VERILOG:
                raise InputError(f"core[{index}]: '{name}' is no .v or .sv file")
        given = {key: description[key] for key in DESCRIPTION_KEYS if key in description}
        given["includes"] = [placed(name) for name in given.get("includes", ())]
        core = core_from_verilog(
            [placed(name) for name in files], op=op, parameters=parameters, **given
        )
        return core.instance()
    table = is_table(reference)
    allowed = _OF_TABLES if table else _OF_UNITS
    for key in DESCRIPTION_KEYS:
        if key in description and key not in allowed:
            raise InputError(f"{key}: is for cores that are Verilog files")
    if table:
        given = {key: description[key] for key in _OF_TABLES if key in description}
        return core_from_table(placed(reference), op, parameters, **given).instance()
    if Path(reference).suffix == ".toml" or (folder is not None and (folder / reference).is_dir()):
        base = load_core(placed(reference)).instance()
    else:
        base = parse_instance(reference)
    if base != base.core.instance() and parameters:
        raise InputError("parameters belong into 'parameters', not into 'core'")
    given = {key: description[key] for key in _OF_UNITS if key in description}
    if given and base.core.op == op:
        raise InputError(f"{next(iter(given))}: is for cores that are Verilog files, and for units")
    return instance_for(base.core, op, parameters or dict(base.parameters), **given)
