# SPDX-License-Identifier: Apache-2.0
"""Significand cores: an unsigned multiplier or adder inside the library's floating-point wrapper.

`wrap` gives an ordinary floating-point core whose sources are the unit's, the wrapper's (in
`hdl_lib/common`) and one generated module that connects them.  What it computes where the unit is
not exact is defined in `docs/significand.md`: the rounded value of the number that the unit gives.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Literal

from asnet_mlir.cores.core import (
    UNIT_OPS,
    Align,
    Core,
    Instance,
    Parameter,
    Ports,
    Unit,
)
from asnet_mlir.cores.sources.source import Source
from asnet_mlir.cores.sources.text import verilog_name
from asnet_mlir.cores.verilog.elaborate import elaborate
from asnet_mlir.errors import AsnetError, InputError, UnsupportedError
from asnet_mlir.support.formats import FLOAT_FORMATS
from asnet_mlir.support.resources import hdl_library_directory

__all__ = ["exponent_width", "wrap"]

FormatName = Literal["f32", "bf16", "f16"]
_CUTS = {"mulf": 5, "addf": 6, "subf": 6}
_UNIT_BITS = range(2, 33)
_COMMON = ("asnet_clz.sv", "asnet_delay.sv", "asnet_pipe_reg.sv", "asnet_sig_pack.sv")
_FILES = {
    "mulf": ("asnet_sig_mul_front.sv", *_COMMON),
    "addf": ("asnet_sig_add_front.sv", "asnet_sig_add_back.sv", *_COMMON),
}
_FILES["subf"] = _FILES["addf"]
_LATENCY_SUMMARY = "pipeline registers of the wrapper, besides those of the unit"


def exponent_width(format: FormatName) -> int:
    """Return the bits in which the wrapper computes exponents, two's complement.

    They hold the sum of two exponents, and what units of up to 32 bits and a shift by up to 64
    positions add to it: -188..430 with 8 exponent bits, -76..89 with 5.
    """
    exponent = FLOAT_FORMATS[format].exponent_bits
    return exponent + (2 if exponent >= 8 else 3)


def wrap(
    unit: Core,
    op: str,
    format: FormatName = "f32",
    align: Align = "right",
    *,
    latency: int = 0,
) -> Core:
    """Return the floating-point core that has `unit` as its multiplier or adder of significands.

    Args:
      unit: an unsigned integer core, N x N -> 2N bits for a multiplication, N + N -> N or N+1 bits
        for an addition, N in 2..32; combinational or a pipeline.
      op: "mulf", "addf" or "subf".
      format: of operands and result.
      align: where a significand goes in a unit that is wider: "right" extends it with zeros at the
        top, "left" at the bottom.
      latency: registers of the wrapper: the default of its parameter `LATENCY`, which adds to the
        unit's latency.  Where a parameter gives the latency of the unit, that parameter gives the
        core's, and the registers of the wrapper are fixed at this number.

    The unit's parameters become the core's, except those on which the widths of its ports, or
    whether it is signed, depend: they stay as they are in `unit`.

    Raises:
      InputError: the unit's ports do not fit, it is signed, or a name of its modules is taken.
      UnsupportedError: an operation without wrapper, or an iterative unit.
    """
    _check_request(unit, op, format, align, latency)
    widths, free = _widths(unit)
    bits, result = _check_widths(unit, op, widths)
    taken = {name for source in unit.sources for name in _modules(source.text)}
    texts = {source.text for source in unit.sources}
    # A unit may be made of the library's modules itself.
    library = tuple(s for s in map(_library_source, _FILES[op]) if s.text not in texts)
    for source in library:
        for name in _modules(source.text):
            if name in taken:
                raise InputError(
                    f"{unit.sources[0].path}: {unit.name}: module '{name}' has the name of one of "
                    "the significand wrapper's; rename it"
                )
    top = f"{unit.module}_{op}_{format}" if unit.module.isidentifier() else f"unit_{op}_{format}"
    top = _unused(top, taken)
    names = {parameter.name for parameter in free}
    own_latency = not isinstance(unit.latency_cycles, str)
    latency_name = _unused("LATENCY", names)
    module = _TopModule(
        top, unit, op, format, align, bits, result, free, widths, latency, latency_name
    )
    parameters = tuple(free)
    if own_latency:
        parameters += (Parameter(latency_name, latency, 0, _CUTS[op], _LATENCY_SUMMARY),)
    return Core(
        name=top,
        module=top,
        op=op,
        format=format,
        sources=(
            *unit.sources,
            *library,
            Source(unit.sources[0].path.with_name(f"{top}.sv"), module.text()),
        ),
        ports=module.ports,
        parameters=parameters,
        latency_cycles=latency_name if own_latency else unit.latency_cycles,
        latency_offset=int(unit.latency_cycles) if own_latency else latency + unit.latency_offset,
        special_values="subnormals: ieee, in and out; nan: canonical; zero operands: zero result"
        if op == "mulf"
        else "subnormals: ieee, in and out; nan: canonical; 0 + 0: zero",
        summary=f"{op} in {format}, significands by {unit.name} ({bits} bits, align {align})",
        license=unit.license,
        reference=unit.reference,
        path=unit.path,
        unit=Unit(unit, align),
        includes=unit.includes,
    )


def _check_request(unit: Core, op: str, format: str, align: str, latency: int) -> None:
    where = f"{unit.sources[0].path}: {unit.name}"
    if op not in UNIT_OPS:
        raise UnsupportedError(
            f"{where}: no significand wrapper for '{op}'; one of {', '.join(UNIT_OPS)}"
        )
    if format not in FLOAT_FORMATS:
        raise InputError(f"{where}: unknown format '{format}'; one of {', '.join(FLOAT_FORMATS)}")
    if align not in ("right", "left"):
        raise InputError(f"{where}: align is '{align}'; right or left")
    if not 0 <= latency <= _CUTS[op]:
        raise InputError(f"{where}: the wrapper's latency is {latency}, not in 0..{_CUTS[op]}")
    if unit.is_float:
        raise InputError(f"{where}: computes {unit.op} in {unit.format}; a unit takes integers")
    if unit.op is not None and unit.op != UNIT_OPS[op]:
        raise InputError(f"{where}: computes {unit.op}; {op} needs a unit for {UNIT_OPS[op]}")
    if unit.signed:
        raise InputError(
            f"{where}: its operands are signed; a significand unit takes unsigned ones"
        )
    if unit.is_stateful:
        raise UnsupportedError(
            f"{where}: is iterative; a significand unit is combinational or a pipeline"
        )


def _widths(unit: Core) -> tuple[dict[str, int], list[Parameter]]:
    """Return the bits of the unit's ports, and the parameters that do not change them."""
    instances = [unit.instance()]
    varied = []
    for parameter in unit.parameters:
        default = parameter.default
        others = [default + 1, default - 1, parameter.low, parameter.high]
        if parameter.values is not None:
            others += parameter.values
        other = next((v for v in others if v not in (None, default) and parameter.allows(v)), None)
        if other is not None:
            varied.append(parameter)
            values = {p.name: p.default for p in unit.parameters} | {parameter.name: other}
            # Not `Core.instance`, whose ranges a neighbour of the default satisfies already.
            instances.append(Instance(unit, tuple(values.items())))
    results = elaborate(instances, flatten=False)
    found: list[dict[str, int] | None] = []
    for result in results:
        if isinstance(result, AsnetError):
            found.append(None)  # no legal value, which says nothing about the widths
            continue
        ports = result.module["ports"]
        found.append({name: len(port["bits"]) for name, port in ports.items()})
    first = results[0]
    if isinstance(first, AsnetError) or found[0] is None:
        raise first if isinstance(first, AsnetError) else InputError(f"{unit.name}: has no ports")
    fixed = {p.name for p, w in zip(varied, found[1:], strict=True) if w not in (None, found[0])}
    fixed.add(unit.signed_by or "")  # a unit is unsigned
    return found[0], [p for p in unit.parameters if p.name not in fixed]


def _check_widths(unit: Core, op: str, widths: dict[str, int]) -> tuple[int, int]:
    """Return N and the width of the result."""
    ports = unit.ports
    where = f"{unit.sources[0].path}: {unit.name}"
    for name in (ports.a, ports.b, ports.result):
        if name not in widths:
            raise InputError(f"{where}: no port '{name}'; it has {', '.join(widths)}")
    a, b, result = widths[ports.a], widths[ports.b], widths[ports.result]
    legal = (2 * a,) if op == "mulf" else (a, a + 1)
    if a != b or a not in _UNIT_BITS or result not in legal:
        shape = "N x N -> 2N" if op == "mulf" else "N + N -> N or N+1"
        raise InputError(
            f"{where}: ports {ports.a}, {ports.b}, {ports.result} have {a}, {b}, {result} bits; a "
            f"significand unit for {op} has {shape} bits, N in 2..32"
        )
    return a, result


#: Names of the generated module's ports and signals, where parameters leave them free.
_SIGNALS = (
    *("clk_i", "a_i", "b_i", "result_o", "word_a", "word_b", "answer", "sign", "flags"),
    *("limit", "exp", "subtract", "zero_sign"),
)


@dataclass
class _TopModule:
    """The generated module around a significand unit.

    Attributes:
      bits, result: bits of the unit's operands and of its result.
      free: parameters of the unit that are the module's as well.
      widths: bits of the unit's ports.
      latency: clock cycles that the module adds, by default where they are a parameter.
    """

    top: str
    unit: Core
    op: str
    format: FormatName
    align: Align
    bits: int
    result: int
    free: list[Parameter]
    widths: dict[str, int]
    latency: int
    latency_name: str

    def __post_init__(self) -> None:
        taken = {parameter.name for parameter in self.free} | {self.latency_name}
        names = {}
        for name in _SIGNALS:
            names[name] = _unused(name, taken)
            taken |= {names[name], f"{names[name]}_late"}
        self._n = SimpleNamespace(**names)
        # What is held at a value goes through: whoever uses the core holds it.
        self._tied: dict[str, str] = {}
        for port in self.unit.ports.tied:
            self._tied[port] = _unused(port if port.isidentifier() else "tied", taken)
            taken.add(self._tied[port])
        shape = FLOAT_FORMATS[self.format]
        self._e, self._f = shape.exponent_bits, shape.fraction_bits
        self._exponent = exponent_width(self.format)
        self._own_latency = not isinstance(self.unit.latency_cycles, str)
        registers = self.latency_name if self._own_latency else str(self.latency)
        self._cuts = f".Cuts({_CUTS[self.op]}), .Latency({registers})"

    @property
    def ports(self) -> Ports:
        """The module's ports by role."""
        n, ports = self._n, self.unit.ports
        return Ports(
            a=n.a_i,
            b=n.b_i,
            result=n.result_o,
            clock=n.clk_i,
            enable=self._tied.get(ports.enable or ""),
            reset=self._tied.get(ports.reset or ""),
            reset_active_low=ports.reset_active_low,
            constant=tuple((self._tied[port], value) for port, value in ports.constant),
        )

    def text(self) -> str:
        """Return the module as SystemVerilog."""
        body = self._multiplier() if self.op == "mulf" else self._adder()
        return "\n".join([*self._head(), *body, "endmodule", ""])

    def _head(self) -> list[str]:
        """Return everything in front of what the operation needs."""
        n, name, last = self._n, self.latency_name, self._e + self._f
        parameters = [f"  parameter int {p.name} = {p.default}" for p in self.free]
        if self._own_latency:
            parameters.append(f"  parameter int unsigned {name} = {self.latency}")
        tied = self._tied.items()
        lines = [
            f"// {self.op} in {self.format} with the significand unit {self.unit.module}; "
            "generated by asnet-mlir.",
            f"module {self.top}" + (" #(" if parameters else " ("),
        ]
        if parameters:
            lines += [",\n".join(parameters), ") ("]
        lines += [
            f"  input  logic {n.clk_i},",
            f"  input  logic [{last}:0] {n.a_i},",
            f"  input  logic [{last}:0] {n.b_i},",
            *(f"  input  logic [{self.widths.get(port, 1) - 1}:0] {own}," for port, own in tied),
            f"  output logic [{last}:0] {n.result_o}",
            ");",
            f"  logic [{self.bits - 1}:0] {n.word_a}, {n.word_b};",
            f"  logic [{self.result - 1}:0] {n.answer};",
            f"  logic {n.sign}, {n.sign}_late;",
            f"  logic [2:0] {n.flags}, {n.flags}_late;",
        ]
        if self._own_latency:
            lines += [
                f"  if ({name} > {_CUTS[self.op]}) begin : gen_bad_latency",
                f'    $error("{self.top}: {name} must be in 0..{_CUTS[self.op]}");',
                "  end",
            ]
        return lines

    def _unit(self) -> str:
        """Return the instantiation of the unit."""
        n, unit = self._n, self.unit
        names = {parameter.name for parameter in self.free}
        fixed = [p for p in unit.parameters if p.name not in names]
        values = [f".{verilog_name(p.name)}({p.name})" for p in self.free]
        values += [f".{verilog_name(p.name)}({p.default})" for p in fixed]
        connections = [
            f".{verilog_name(unit.ports.a)}({n.word_a})",
            f".{verilog_name(unit.ports.b)}({n.word_b})",
            f".{verilog_name(unit.ports.result)}({n.answer})",
        ]
        if unit.ports.clock:
            connections.append(f".{verilog_name(unit.ports.clock)}({n.clk_i})")
        connections += [f".{verilog_name(port)}({own})" for port, own in self._tied.items()]
        return (
            f"  {verilog_name(unit.module)} "
            + (f"#({', '.join(values)}) " if values else "")
            + "u_unit (\n    "
            + ",\n    ".join(connections)
            + ");"
        )

    def _delay(self, width: int) -> str:
        """Return the beginning of what waits beside the unit."""
        cycles = str(self.unit.latency_cycles)
        if not self._own_latency:
            cycles += f" + {self.unit.latency_offset}"
        return f"  asnet_delay #(.Width({width}), .Cycles({cycles})) u_delay ("

    def _multiplier(self) -> list[str]:
        n, e, f, exponent, cuts = self._n, self._e, self._f, self._exponent, self._cuts
        side = f"{n.limit}, {n.sign}, {n.flags}"
        late = f"{n.limit}_late, {n.sign}_late, {n.flags}_late"
        return [
            f"  logic [{exponent - 1}:0] {n.limit}, {n.limit}_late;",
            f"  asnet_sig_mul_front #(.E({e}), .F({f}), .N({self.bits}),",
            f"    .Left(1'b{int(self.align == 'left')}), .ExpWidth({exponent}), {cuts})",
            f"  u_front (.clk_i({n.clk_i}), .a_i({n.a_i}), .b_i({n.b_i}), .unit_a_o({n.word_a}),",
            f"    .unit_b_o({n.word_b}), .limit_o({n.limit}), .sign_o({n.sign}), "
            f".flags_o({n.flags}));",
            self._unit(),
            self._delay(exponent + 4),
            f"    .clk_i({n.clk_i}), .d_i({{{side}}}), .q_o({{{late}}}));",
            f"  asnet_sig_pack #(.E({e}), .F({f}), .Width({self.result}), .ExpWidth({exponent}),",
            f"    .Below(1'b1), .FirstCut(2), {cuts})",
            f"  u_back (.clk_i({n.clk_i}), .word_i({n.answer}), .limit_i({n.limit}_late),",
            f"    .sign_i({n.sign}_late), .zero_sign_i({n.sign}_late), .flags_i({n.flags}_late),",
            f"    .result_o({n.result_o}));",
        ]

    def _adder(self) -> list[str]:
        n, e, f, exponent, cuts = self._n, self._e, self._f, self._exponent, self._cuts
        room = min(self.bits, self.result - 1)  # a carry must fit into the result
        used = room if self.align == "left" else min(room, f + 4)
        waiting = (n.exp, n.subtract, n.sign, n.zero_sign, n.flags)
        side, late = ", ".join(waiting), ", ".join(f"{name}_late" for name in waiting)
        return [
            f"  logic [{e - 1}:0] {n.exp}, {n.exp}_late;",
            f"  logic {n.subtract}, {n.zero_sign}, {n.subtract}_late, {n.zero_sign}_late;",
            f"  asnet_sig_add_front #(.E({e}), .F({f}), .N({self.bits}), .W({used}),",
            f"    .Subtract(1'b{int(self.op == 'subf')}), {cuts})",
            f"  u_front (.clk_i({n.clk_i}), .a_i({n.a_i}), .b_i({n.b_i}), .unit_a_o({n.word_a}),",
            f"    .unit_b_o({n.word_b}), .exp_o({n.exp}), .subtract_o({n.subtract}), "
            f".sign_o({n.sign}),",
            f"    .zero_sign_o({n.zero_sign}), .flags_o({n.flags}));",
            self._unit(),
            self._delay(e + 6),
            f"    .clk_i({n.clk_i}), .d_i({{{side}}}),",
            f"    .q_o({{{late}}}));",
            f"  asnet_sig_add_back #(.E({e}), .F({f}), .N({self.bits}), .W({used}), "
            f".R({self.result}),",
            f"    .ExpWidth({exponent}), {cuts})",
            f"  u_back (.clk_i({n.clk_i}), .sum_i({n.answer}), .exp_i({n.exp}_late),",
            f"    .subtract_i({n.subtract}_late), .sign_i({n.sign}_late),",
            f"    .zero_sign_i({n.zero_sign}_late), .flags_i({n.flags}_late), "
            f".result_o({n.result_o}));",
        ]


def _modules(text: str) -> list[str]:
    """Return the names of the modules that a text defines; comments may add some."""
    return re.findall(r"^\s*(?:macro)?module\s+(?:automatic\s+|static\s+)?\\?(\w+)", text, re.M)


def _library_source(name: str) -> Source:
    path = hdl_library_directory() / "common" / name
    return Source(path.resolve(), path.read_text(encoding="utf-8"))


def _unused(name: str, taken: set[str]) -> str:
    """Return `name`, with underscores behind it as long as it is taken."""
    while name in taken:
        name += "_"
    return name
