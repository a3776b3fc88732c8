# SPDX-License-Identifier: Apache-2.0
"""Integer cores for codes of another width or sign than their operands.

A network's ops have operands of one format, and a core computes those of its own format only.  Two
parameters, which no core has of itself, state how it is to see others:

* `SIGN_MAGNITUDE=W`: codes of W bits in two's complement, of which an unsigned multiplier gets the
  magnitudes; its product is given the sign.  The magnitude of the least code, 2^(W-1), is one of
  W bits, so that an unsigned core of W bits takes every code.
* `CODE_BITS=W`: codes of W bits, extended as the core reads its operands (by the sign, or by
  zeros) where it is wider, and their low bits where it is narrower: who states it says that the
  codes of the network fit.

The core becomes a generated module around its own, and from there on is one like any other: model,
checks and hardware come from the same text.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from asnet_mlir.cores.core import Instance, Parameter, checked_parameter
from asnet_mlir.cores.ports import Ports
from asnet_mlir.cores.simulation.latency import with_latency
from asnet_mlir.cores.simulation.simulation import port_widths
from asnet_mlir.cores.sources.source import Source
from asnet_mlir.cores.sources.text import verilog_name
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.support.resources import hdl_library_directory

__all__ = ["WRAPPER_PARAMETERS", "inner_module", "split_wrapper", "wrapped", "wrapper_for"]

SIGN_MAGNITUDE, CODE_BITS = "SIGN_MAGNITUDE", "CODE_BITS"
WRAPPER_PARAMETERS = (SIGN_MAGNITUDE, CODE_BITS)
#: Kinds of ops whose cores may be wrapped; sums are modulo 2^W.
_KINDS = ("muli", "addi", "subi")
_BITS = range(2, 33)


def split_wrapper(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return parameters apart: a core's own, and those of the wrapper around it."""
    own = {name: value for name, value in values.items() if name not in WRAPPER_PARAMETERS}
    return own, {name: values[name] for name in WRAPPER_PARAMETERS if name in values}


def inner_module(name: str) -> str:
    """Return the module inside of a generated one, by its name."""
    return re.sub(rf"_({'|'.join(_SUFFIXES.values())})[0-9]+$", "", name)


def wrapped(instance: Instance, given: Mapping[str, Any]) -> Instance:
    """Return `instance` with the wrapper that is asked for; without one, itself.

    Args:
      given: of `WRAPPER_PARAMETERS`, what was given.

    Raises:
      InputError: both parameters, a width that no code has, or a core that takes no wrapper.
      UnsupportedError: a core with a state.
    """
    if not given:
        return instance
    core, label = instance.core, instance.label
    if len(given) > 1:
        raise InputError(f"{label}: give one of {' and '.join(WRAPPER_PARAMETERS)}, not both")
    ((name, value),) = given.items()
    bits = checked_parameter(core.name, Parameter(name, 0, _BITS[0], _BITS[-1]), value)
    if core.op not in _KINDS:
        of = core.op or "a function that no --op names"
        raise InputError(f"{label}: {name} is for cores of {', '.join(_KINDS)}; it computes {of}")
    if name == SIGN_MAGNITUDE and (core.signed or core.op != "muli"):
        what = "its operands are signed" if core.signed else f"it computes {core.op}"
        raise InputError(f"{label}: {name} is for unsigned cores of muli; {what}")
    if core.is_stateful:
        raise UnsupportedError(f"{label}: is iterative; {name} is for other cores")
    widths = port_widths([instance])[0]
    if widths.a != widths.b:
        raise InputError(
            f"{label}: its operands have {widths.a} and {widths.b} bits; {name} is for two of one"
        )
    return _wrap(instance, name, bits, widths.a, widths.result)


def wrapper_for(instance: Instance, format: str) -> str:
    """Say what makes an instance fit operands of a format that is not its own; empty: nothing.

    Args:
      instance: its operands' format is known.
      format: by its name.
    """
    own = instance.format or ""
    if instance.core.op not in _KINDS or own[:1] not in ("i", "u") or format[0] not in "iu":
        return ""
    if own[0] == format[0] and int(own[1:]) < int(format[1:]) and instance.core.op == "muli":
        return f"{CODE_BITS}={format[1:]} gives it the low {own[1:]} bits, where all codes fit them"
    if own[0] == format[0] or instance.core.op != "muli":
        return f"{CODE_BITS}={format[1:]} gives it codes of {format[1:]} bits"
    if own[0] == "u":
        return f"{SIGN_MAGNITUDE}={format[1:]} gives it their magnitudes"
    return "codes without a sign need an unsigned core"


def _wrap(instance: Instance, name: str, bits: int, unit: int, result: int) -> Instance:
    core = instance.core
    fixed = dict(instance.parameters)
    inner = dataclasses.replace(
        core,
        parameters=tuple(
            dataclasses.replace(
                p,
                default=fixed[p.name],
                declared=p.default if p.declared is None else p.declared,
            )
            for p in core.parameters
        ),
    )
    latency = with_latency(instance).latency
    stem = core.module if core.module.isidentifier() else "unit"
    module = _Module(f"{stem}_{_SUFFIXES[name]}{bits}", instance, name, bits, unit, result, latency)
    path = core.sources[0].path.with_name(f"{module.name}.sv")
    sources = (*core.sources, *_delay(instance, latency), Source(path, module.text()))
    return dataclasses.replace(
        core,
        module=module.name,
        sources=sources,
        ports=Ports("a_i", "b_i", "result_o", clock="clk_i" if latency else None),
        parameters=(Parameter(name, bits, bits, bits, _SUMMARIES[name], declared=0),),
        latency_cycles=latency,
        latency_offset=0,
        latency_is_measured=False,
        exact=False,
        summary=f"{core.summary}; {_SUMMARIES[name]}".removeprefix("; "),
        signed=module.signed,
        signed_by=None,
        members=None,
        inner=inner,
    ).instance()


#: What the generated module's name ends in, before the bits of codes.
_SUFFIXES = {SIGN_MAGNITUDE: "magnitude", CODE_BITS: "codes"}
_SUMMARIES = {
    SIGN_MAGNITUDE: "bits of codes in two's complement, of which the core gets the magnitudes",
    CODE_BITS: "bits of codes that the core gets extended, or the low bits of",
}


def _delay(instance: Instance, latency: int) -> tuple[Source, ...]:
    """Return what carries the sign past a pipeline, unless the core has that source itself."""
    path = (hdl_library_directory() / "common" / "asnet_delay.sv").resolve()
    text = path.read_text(encoding="utf-8")
    known = {source.text for source in instance.core.sources}
    return (Source(path, text),) if latency and text not in known else ()


@dataclass(frozen=True)
class _Module:
    """The generated module.

    Attributes:
      parameter, bits: how codes are given, and their width.
      unit, result: bits of the core's operands and of its result.
      latency: clock cycles of the core.
    """

    name: str
    instance: Instance
    parameter: str
    bits: int
    unit: int
    result: int
    latency: int

    @property
    def signed(self) -> bool:
        """Whether the codes are two's complement; sums of a network are."""
        core = self.instance.core
        return core.signed or core.op != "muli" or self.parameter == SIGN_MAGNITUDE

    @property
    def _given(self) -> int:
        """The bits of the result: of a product all, of a sum as many as its operands have."""
        return 2 * self.bits if self.instance.core.op == "muli" else self.bits

    def text(self) -> str:
        """Return the module as SystemVerilog."""
        kind, last = "logic signed" if self.signed else "logic", self.bits - 1
        clock = ["  input  logic clk_i,"] if self.latency else []
        body = self._magnitudes() if self.parameter == SIGN_MAGNITUDE else self._codes()
        return "\n".join(
            [
                f"// {self.instance.label} for codes of {self.bits} bits; generated by asnet-mlir.",
                "//",
                f"// {self.parameter}: {_SUMMARIES[self.parameter]}.",
                f"// Latency:  {self.latency}.",
                f"module {self.name} #(",
                f"  parameter int unsigned {self.parameter} = {self.bits}",
                ") (",
                *clock,
                f"  input  {kind} [{last}:0] a_i,",
                f"  input  {kind} [{last}:0] b_i,",
                f"  output {kind} [{self._given - 1}:0] result_o",
                ");",
                f"  if ({self.parameter} != {self.bits}) begin : gen_other_width",
                f'    $error("{self.name}: this is the text for {self.bits} bits");',
                "  end",
                f"  logic [{self.unit - 1}:0] unit_a, unit_b;",
                f"  logic [{self.result - 1}:0] word;",
                *body,
                *self._unit(),
                "endmodule",
                "",
            ]
        )

    def _magnitudes(self) -> list[str]:
        last = self.bits - 1
        product = _resized("word", self.result, self._given, signed=False)
        late = "sign"
        delay = []
        if self.latency:
            late = "sign_late"
            delay = [
                "  logic sign_late;",
                f"  asnet_delay #(.Width(1), .Cycles({self.latency})) u_delay (",
                "    .clk_i(clk_i), .d_i(sign), .q_o(sign_late));",
            ]
        return [
            f"  logic [{last}:0] size_a, size_b;",
            f"  logic [{self._given - 1}:0] product;",
            "  logic sign;",
            f"  assign size_a = a_i[{last}] ? -a_i : a_i;",
            f"  assign size_b = b_i[{last}] ? -b_i : b_i;",
            f"  assign unit_a = {_resized('size_a', self.bits, self.unit, signed=False)};",
            f"  assign unit_b = {_resized('size_b', self.bits, self.unit, signed=False)};",
            f"  assign sign = a_i[{last}] ^ b_i[{last}];",
            *delay,
            f"  assign product = {product};",
            f"  assign result_o = {late} ? -product : product;",
        ]

    def _codes(self) -> list[str]:
        # A sum that a narrower adder gives has its operands' bits; its carry is none of them.
        core, used = self.instance.core, self.result
        if core.op != "muli":
            used = min(self.result, self.unit)
        word = "word" if used == self.result else f"word[{used - 1}:0]"
        given = _resized(word, used, self._given, signed=self.signed, part="word")
        return [
            f"  assign unit_a = {_resized('a_i', self.bits, self.unit, signed=self.signed)};",
            f"  assign unit_b = {_resized('b_i', self.bits, self.unit, signed=self.signed)};",
            f"  assign result_o = {given};",
        ]

    def _unit(self) -> list[str]:
        core, ports, zero = self.instance.core, self.instance.core.ports, "1'b0"
        values = ", ".join(
            f".{verilog_name(name)}({value})" for name, value in self.instance.parameters
        )
        connections = [
            f".{verilog_name(ports.a)}(unit_a)",
            f".{verilog_name(ports.b)}(unit_b)",
            f".{verilog_name(ports.result)}(word)",
        ]
        if ports.clock:  # which no register listens to where there is no latency
            connections.append(f".{verilog_name(ports.clock)}({'clk_i' if self.latency else zero})")
        connections += [f".{verilog_name(port)}({value})" for port, value in ports.tied.items()]
        head = f"  {verilog_name(core.module)} {f'#({values}) ' if values else ''}u_unit ("
        return [head, "    " + ",\n    ".join(connections) + ");"]


def _resized(word: str, have: int, want: int, *, signed: bool, part: str | None = None) -> str:
    """Return an expression: a word's low bits, or the word extended by its sign or by zeros."""
    name = part or word
    if want <= have:
        return word if want == have else f"{name}[{want - 1}:0]"
    top = f"{name}[{have - 1}]" if signed else "1'b0"
    return f"{{{{{want - have}{{{top}}}}}, {word}}}"
