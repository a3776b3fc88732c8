# SPDX-License-Identifier: Apache-2.0
"""Cores by name: of the library, a manifest, a Verilog file or a table."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asnet_mlir.cores.core import EXACT_CORES, Core, Instance
from asnet_mlir.cores.reading.code_wrapper import split_wrapper, wrapped
from asnet_mlir.cores.reading.core_toml import read_manifest
from asnet_mlir.cores.reading.from_verilog import core_from_verilog
from asnet_mlir.cores.reading.table import core_from_table, is_table
from asnet_mlir.cores.reading.units import instance_for
from asnet_mlir.cores.sources.source import user_path
from asnet_mlir.errors import InputError
from asnet_mlir.support.formats import parse_format
from asnet_mlir.support.resources import hdl_library_directory

__all__ = ["exact_instance", "library_core", "library_cores", "load_core", "parse_instance"]


def library_cores() -> dict[str, Core]:
    """Return the cores of the library by name, in alphabetical order."""
    manifests = sorted(hdl_library_directory().glob("*/core.toml"))
    cores = [read_manifest(manifest, in_library=True) for manifest in manifests]
    return {core.name: core for core in sorted(cores, key=lambda core: core.name)}


def library_core(name: str) -> Core | None:
    """Return a core of the library by its name, None if it has no such core."""
    manifest = hdl_library_directory() / name / "core.toml"
    if re.fullmatch(r"\w+", name) and manifest.is_file():
        return read_manifest(manifest, in_library=True)
    return None


def exact_instance(op: str, format: str) -> Instance | None:
    """Return the library's exact core for ops of a kind on operands of a format, by their names.

    None for integer ops that the library has none for: hardware has plain logic for them.
    """
    if op in EXACT_CORES:
        return load_core(EXACT_CORES[op]).instance()
    kind = parse_format(format)
    if op == "muli":
        values = {"N": kind.width, "SIGNED": int(kind.is_signed)}
        instance = load_core("imul").instance(values)
    elif op == "addi" and kind.width == 32:
        instance = load_core("accumulator").instance()
    else:
        return None
    return dataclasses.replace(instance, operands=format)


def load_core(name_or_path: str | Path) -> Core:
    """Return a core of the library by name, or the one that a `core.toml` or Verilog file holds.

    Raises:
      InputError: no such core or file, or a malformed manifest (the message names the key).
    """
    text = str(name_or_path)
    path = user_path(text)
    if path.suffix == ".toml" or (path / "core.toml").is_file():
        return read_manifest(path if path.suffix == ".toml" else path / "core.toml")
    if path.suffix in (".v", ".sv"):
        return core_from_verilog([path])
    if is_table(path):
        return core_from_table(path)
    if (found := library_core(text)) is not None:
        return found
    raise _unknown(text, path)


def _unknown(text: str, path: Path) -> InputError:
    """Return what is wrong with a name that names no core, and what was meant maybe."""
    members = _members(path)
    if members:
        return InputError(f"{text}: is a folder of cores; name one, like {path / members[0]}")
    members = _members(path.parent) if path.parent.parts else []
    if members:
        near = difflib.get_close_matches(path.name, members, n=1) or members[:1]
        return InputError(f"{text}: no such core; did you mean {path.parent / near[0]}?")
    names = sorted(path.parent.name for path in hdl_library_directory().glob("*/core.toml"))
    near = difflib.get_close_matches(text, names, n=1)
    return InputError(
        f"unknown core '{text}'"
        + (f"; did you mean '{near[0]}'?" if near else ";")
        + f" the library has {', '.join(names) or 'no cores'}"
        + " (or give a path to a core.toml, .v or .sv file, or a table: .npy, .csv, .h, .hex, ..)"
    )


def _members(folder: Path) -> list[str]:
    """Return the names of the cores that a folder has a folder for each of."""
    return sorted(manifest.parent.name for manifest in folder.glob("*/core.toml"))


def parse_instance(
    text: str,
    *,
    op: str | None = None,
    top: str | None = None,
    ports: Mapping[str, Any] | None = None,
) -> Instance:
    """Return the instance that `NAME_OR_PATH[:PARAMETER=INTEGER,...]` names.

    Several Verilog files of one core are joined by `+`: `rtl/mul.v+rtl/rows.v:C=2`.

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
    values, wrapper = split_wrapper(values)
    return wrapped(_instance_of(name, values, op, top, ports), wrapper)


def _files(name: str) -> list[str]:
    """Split `a.v+b.v`, the Verilog files of one core, unless a file is called that."""
    files = name.split("+")
    several = all(Path(file).suffix in (".v", ".sv") for file in files)
    return files if several and not user_path(name).exists() else [name]


def _instance_of(
    name: str,
    values: Mapping[str, Any],
    op: str | None,
    top: str | None,
    ports: Mapping[str, Any] | None,
) -> Instance:
    """Return the instance of a core by name or of a file, with parameters: `parse_instance`."""
    if is_table(name):
        return core_from_table(name, op, values).instance()
    if Path(name).suffix in (".v", ".sv"):
        # What a parameter decides may be the widths of the ports, so it is given at once.
        files = [user_path(file) for file in _files(name)]
        return core_from_verilog(files, top=top, op=op, ports=ports, parameters=values).instance()
    return instance_for(load_core(name), op, values)
