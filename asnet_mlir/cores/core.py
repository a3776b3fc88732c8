# SPDX-License-Identifier: Apache-2.0
"""Cores and instances: a Verilog module with its contract, and the same with parameters fixed.

A core is described by a `core.toml` beside its Verilog (the library's cores are) or, for Verilog
that a user brings, by what Yosys reads from the module itself.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from asnet_mlir.cores.ports import Ports
from asnet_mlir.cores.sources.by_number import Members
from asnet_mlir.cores.sources.memory_files import DATA_FILE, without_folder
from asnet_mlir.cores.sources.source import Source, dependencies, include_folders
from asnet_mlir.errors import AsnetError, InputError
from asnet_mlir.support.cache import content_hash
from asnet_mlir.support.formats import FLOAT_OPS, OP_KINDS

__all__ = [
    "Core",
    "Instance",
    "Parameter",
    "UNIT_OPS",
    "Unit",
    "checked_parameter",
]

Align = Literal["right", "left"]
Level = Literal["float", "significand", "integer"]


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
      op: a key of `OP_KINDS`, or None for an integer function that is not compared with any
        operation.
      format: a key of `FLOAT_FORMATS` for floating-point cores; None: operands and result are
        integers of the ports' widths.
      latency_cycles: clock cycles from operands to result, or the name of the parameter that gives
        them; for a handshake, the most that it may take.
      latency_offset: cycles on top of the parameter that `latency_cycles` names.
      latency_is_measured: the latency is what the Verilog shows, at any parameters;
        `latency_cycles` is what it shows at the default ones.
      initiation_interval: cycles for which operands are held; above 1 for an iterative core.
      signed: integer operands are two's complement.
      signed_by: the parameter that says so, where one does; `signed` is then what its value says.
      unit: the integer circuit inside, for a significand core.
      inner: the core inside one for codes of another width or sign (`reading.code_wrapper`), its
        parameters at their values.
      includes: folders for included files besides those of the sources.
      members: circuits of which a parameter chooses one, where the sources depend on it; those of
        the core are the default member's.
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
    signed_by: str | None = None
    unit: Unit | None = None
    includes: tuple[Path, ...] = ()
    latency_offset: int = 0
    latency_is_measured: bool = False
    members: Members | None = None
    inner: Core | None = None

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
    def inside(self) -> Core | None:
        """The core inside a generated one, whose parameters are fixed there."""
        return self.unit.core if self.unit else self.inner

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
        core = self
        if self.signed_by is not None and self.signed != bool(values[self.signed_by]):
            core = dataclasses.replace(self, signed=not self.signed)
        if self.members is not None:
            sources = self.members.sources(values[self.members.parameter])
            core = dataclasses.replace(core, sources=sources)
        return Instance(core, tuple(values.items()), frozenset(parameters or ()))

    def combinational(self, parameters: Mapping[str, int] | None = None) -> Instance:
        """Return the instance of no latency, where a parameter gives that."""
        values = dict(parameters or {})
        if isinstance(self.latency_cycles, str):
            values[self.latency_cycles] = 0
        return self.instance(values)

    @functools.cached_property
    def sources_hash(self) -> str:
        """Hash of the Verilog that the core is made of, included and read files with it."""
        # What is in a file that a memory is read from counts, not where it lies.
        texts = [DATA_FILE.sub(without_folder, source.text) for source in self.sources]
        # The language follows the suffix.
        suffixes = " ".join(source.path.suffix for source in self.sources)
        included = dependencies(self.sources, self.include_folders)
        return content_hash(self.module, suffixes, *texts, *included)


@dataclass(frozen=True)
class Instance:
    """A core with every parameter fixed.

    `given` are the parameters that were asked for by name; it makes no instance another one.
    `measured` is the latency that the Verilog shows, where it has been looked at
    (`cores.simulation.latency.with_latency`) and neither the core nor a parameter states it;
    `operands` is the format of integer operands, `i8` or `u8`, where the Verilog has been looked at
    (`cores.simulation.operand_format.with_operand_format`).
    """

    core: Core
    parameters: tuple[tuple[str, int], ...]
    given: frozenset[str] = field(default=frozenset(), compare=False)
    measured: int | None = field(default=None, compare=False)
    operands: str | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return f"Instance({self.label!r})"

    @property
    def format(self) -> str | None:
        """The format of the operands; None of integers where the Verilog has not been looked at."""
        return self.core.format or self.operands

    def computes_on(self, format: str) -> bool:
        """Return whether operands of a format are its own.

        Sums and differences modulo 2^N are the same of operands with and without a sign.
        """
        own = self.format
        if own is None or own == format:
            return True
        return self.core.op in ("addi", "subi") and own[1:] == format[1:] and format[0] in "iu"

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
    def known_latency(self) -> int | None:
        """Clock cycles from operands to result: declared or measured; None where neither."""
        core = self.core
        if isinstance(core.latency_cycles, str):
            return dict(self.parameters)[core.latency_cycles] + core.latency_offset
        defaults = {parameter.name: parameter.default for parameter in core.parameters}
        if not core.latency_is_measured or dict(self.parameters) == defaults:
            return core.latency_cycles
        return self.measured

    @property
    def latency(self) -> int:
        """Clock cycles from operands to result.

        Raises:
          AsnetError: nobody has measured it (`cores.simulation.latency.with_latency`).
        """
        if self.known_latency is None:
            raise AsnetError(f"{self.label}: its latency has not been measured")
        return self.known_latency

    @property
    def interval(self) -> int:
        """Clock cycles between two starts."""
        return self.core.initiation_interval

    @property
    def unit_latency(self) -> int:
        """Clock cycles from operands to result of its unit in hardware.

        An iterative core has an adapter there (`asnet_mlir/hardware/bundle/iterative.py`), which
        gives the result always after the same time: with a handshake, in a register; without one,
        when operands have also waited for the cycle in which the core takes them.
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
        return self._named(self.core.name)

    @property
    def reference(self) -> str:
        """Its label with the files of a core outside the library: `rtl/mul.v:C=2`.

        So `parse_instance` finds it, if its files alone tell what they hold.  Paths are relative to
        the working directory where they are inside of it.
        """
        core = self.core
        named = core.unit.core if core.unit else core.inner or core
        if core.in_library or named.in_library or core.path is None:
            return self.label
        files = [core.path]
        if core.path.suffix in (".v", ".sv"):
            files = [source.path for source in named.sources]
        return self._named("+".join(map(_from_here, files)))

    def _named(self, name: str) -> str:
        """Return a name with the parameters that differ from their defaults."""
        core = self.core
        own = dict(self.parameters)
        values = own if core.inside is None else self.all_parameters
        inside = () if core.inside is None else core.inside.parameters
        defaults = {
            parameter.name: parameter.default if parameter.declared is None else parameter.declared
            for parameter in (*inside, *core.parameters)
        }
        parts = [f"{name}={value}" for name, value in values.items() if defaults[name] != value]
        return name + (":" + ",".join(parts) if parts else "")

    @property
    def all_parameters(self) -> dict[str, int]:
        """The parameters, with those of a core that are fixed inside its wrapper."""
        inside = self.core.inside
        fixed = {p.name: p.default for p in inside.parameters} if inside else {}
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


def _from_here(path: Path) -> str:
    """Return a path relative to the working directory where it is inside of it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


#: What a circuit computes on integers inside the wrapper for an operation on floats.
UNIT_OPS = {"mulf": "muli", "addf": "addi", "subf": "addi"}


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


#: Instances of the exact library cores that hardware binds to ops without a rule.
EXACT_CORES = {op: f"f{OP_KINDS[op].stem}" for op in FLOAT_OPS}
