# SPDX-License-Identifier: Apache-2.0
"""A core from Verilog without a manifest: what the module itself says."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from asnet_mlir.cores.core import (
    UNIT_OPS,
    Align,
    Core,
    Level,
    Parameter,
    checked_parameter,
)
from asnet_mlir.cores.ports import Ports
from asnet_mlir.cores.reading import significand
from asnet_mlir.cores.reading.port_choice import choose_ports
from asnet_mlir.cores.simulation.latency import measured_latency
from asnet_mlir.cores.sources import text as verilog_text
from asnet_mlir.cores.sources.memory_files import with_placed_files
from asnet_mlir.cores.sources.source import (
    Source,
    dependencies,
    in_order,
    include_folder,
    include_folders,
    read_source,
)
from asnet_mlir.cores.verilog.interface import ModuleInterface, PortInterface, read_interface
from asnet_mlir.cores.verilog.structural_latency import check_stateful, measure_latency
from asnet_mlir.errors import AsnetError, InputError, ToolError, UnsupportedError
from asnet_mlir.support.formats import FLOAT_FORMATS, FLOAT_OPS, INTEGER_OPS, OP_KINDS

__all__ = ["core_from_verilog", "measured_latency"]

_MAX_PORT_BITS = 64


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
      op: what the core stands for (a key of `OP_KINDS`), or None for a function on
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
      format: of a floating-point op, a key of `FLOAT_FORMATS`.
      signed: whether operands are two's complement; by default as the ports are declared.

    Raises:
      InputError: a missing file, Verilog that is not read, an ambiguous top or port, a port of the
        wrong width or direction, an unknown parameter, a latency that is not the structure's.
      UnsupportedError: what this version takes no core with.
    """
    _check_request(files, op, latency, interval, level, align, format)
    folders = tuple(include_folder(folder) for folder in includes)
    given = tuple(read_source(Path(name)) for name in files)
    sources, module = _read_module(in_order(given), top, folders)
    values = dict(module.parameters)
    own, others = _split_parameters(module, parameters or {}, op, level)
    if any(values[name] != value for name, value in own.items()):
        module = read_interface(sources, module.name, includes=folders, parameters=own)
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
    verilog_text.check_macros(given, dependencies(given, include_folders(given, folders)))
    sources = verilog_text.without_testbenches(given, top)
    try:
        placed = with_placed_files(sources, folders)
        return placed, read_interface(placed, top, includes=folders)
    except ToolError:
        raise
    except AsnetError as error:
        below = verilog_text.only_below(sources, top)
        if below == sources:
            raise
        try:
            placed = with_placed_files(below, folders)
            return placed, read_interface(placed, top, includes=folders)
        except AsnetError:
            raise error from None


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
    known = OP_KINDS
    if op is not None and op not in known:
        raise InputError(f"unknown operation '{op}'; one of {', '.join(known)}")
    for name, value, legal in (
        ("level", level, (None, "float", "significand", "integer")),
        ("align", align, ("right", "left")),
        ("format", format, tuple(FLOAT_FORMATS)),
    ):
        if value not in legal:
            raise InputError(f"{name} is '{value}'; one of {', '.join(filter(None, legal))}")
    if level in ("float", "significand") and op not in FLOAT_OPS:
        raise InputError(
            f"a {level} core needs a floating-point operation; one of {', '.join(FLOAT_OPS)}"
        )
    if level == "integer" and op in FLOAT_OPS:
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
    for position, ports in enumerate(candidates):
        trial = dataclasses.replace(core, ports=ports)
        if trial.is_stateful:
            if ports.clock is None:
                raise InputError(
                    f"{core.name}: an iterative core needs a clock, but none of its ports clocks "
                    "registers; name it with --port clock=NAME (ports= in Python)"
                )
            check_stateful(trial.instance())
            if latency is None:
                trial = dataclasses.replace(
                    trial, latency_cycles=measured_latency(trial.instance())
                )
            return trial
        try:
            measured = measure_latency(trial.instance())
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
    if op not in FLOAT_OPS:
        return "integer"
    width = FLOAT_FORMATS[format].width
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
    formats = [name for name, kind in FLOAT_FORMATS.items() if widths == {kind.width}]
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
