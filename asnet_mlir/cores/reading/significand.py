"""Significand cores: an unsigned multiplier or adder inside the library's floating-point wrapper.

`wrap` gives an ordinary floating-point core whose sources are the unit's, the wrapper's (in
`hdl_lib/common`) and one generated module that connects them.  What it computes where the unit is
not exact is defined in `docs/significand.md`: the rounded value of the number that the unit gives.
"""

from __future__ import annotations

import re
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

    The unit's parameters become the core's, except those on which the widths of its ports depend:
    they stay as they are in `unit`.

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
    text, ports = _top_module(
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
            Source(unit.sources[0].path.with_name(f"{top}.sv"), text),
        ),
        ports=ports,
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


def _top_module(
    top: str,
    unit: Core,
    op: str,
    format: FormatName,
    align: Align,
    bits: int,
    result: int,
    free: list[Parameter],
    widths: dict[str, int],
    latency: int,
    latency_name: str,
) -> tuple[str, Ports]:
    """Return the text of the generated module and its ports."""
    taken = {parameter.name for parameter in free} | {latency_name}
    shape = FLOAT_FORMATS[format]
    e, f, exponent = shape.exponent_bits, shape.fraction_bits, exponent_width(format)
    last = e + f
    names = []
    for name in (
        *("clk_i", "a_i", "b_i", "result_o", "word_a", "word_b", "answer", "sign", "flags"),
        *("limit", "exp", "subtract", "zero_sign"),
    ):
        names.append(_unused(name, taken))
        taken |= {names[-1], f"{names[-1]}_late"}
    clk, a, b, out, word_a, word_b, answer, sign, flags, limit, exp, subtract, zero_sign = names
    own_latency = not isinstance(unit.latency_cycles, str)
    registers = latency_name if own_latency else str(latency)
    unit_latency = (
        str(unit.latency_cycles)
        if own_latency
        else f"{unit.latency_cycles} + {unit.latency_offset}"
    )
    head = [f"  parameter int {p.name} = {p.default}" for p in free]
    if own_latency:
        head.append(f"  parameter int unsigned {latency_name} = {latency}")
    fixed = [p for p in unit.parameters if p.name not in {q.name for q in free}]
    values = [f".{_name(p.name)}({p.name})" for p in free]
    values += [f".{_name(p.name)}({p.default})" for p in fixed]
    connections = [
        f".{_name(unit.ports.a)}({word_a})",
        f".{_name(unit.ports.b)}({word_b})",
        f".{_name(unit.ports.result)}({answer})",
    ]
    if unit.ports.clock:
        connections.append(f".{_name(unit.ports.clock)}({clk})")
    # What is held at a value goes through: whoever uses the core holds it.
    tied = {}
    for port in unit.ports.tied:
        tied[port] = _unused(port if port.isidentifier() else "tied", taken)
        taken.add(tied[port])
        connections.append(f".{_name(port)}({tied[port]})")
    unit_text = (
        f"  {_name(unit.module)} {f'#({", ".join(values)}) ' if values else ''}u_unit (\n    "
        + ",\n    ".join(connections)
        + ");"
    )
    cuts = f".Cuts({_CUTS[op]}), .Latency({registers})"
    lines = [
        f"// {op} in {format} with the significand unit {unit.module}; generated by asnet-mlir.",
        f"module {top}" + (" #(" if head else " ("),
    ]
    if head:
        lines += [",\n".join(head), ") ("]
    lines += [
        f"  input  logic {clk},",
        f"  input  logic [{last}:0] {a},",
        f"  input  logic [{last}:0] {b},",
        *(f"  input  logic [{widths.get(port, 1) - 1}:0] {name}," for port, name in tied.items()),
        f"  output logic [{last}:0] {out}",
        ");",
        f"  logic [{bits - 1}:0] {word_a}, {word_b};",
        f"  logic [{result - 1}:0] {answer};",
        f"  logic {sign}, {sign}_late;",
        f"  logic [2:0] {flags}, {flags}_late;",
    ]
    if own_latency:
        lines += [
            f"  if ({latency_name} > {_CUTS[op]}) begin : gen_bad_latency",
            f'    $error("{top}: {latency_name} must be in 0..{_CUTS[op]}");',
            "  end",
        ]
    if op == "mulf":
        side = f"{limit}, {sign}, {flags}"
        late = f"{limit}_late, {sign}_late, {flags}_late"
        lines += [
            f"  logic [{exponent - 1}:0] {limit}, {limit}_late;",
            f"  asnet_sig_mul_front #(.E({e}), .F({f}), .N({bits}),",
            f"    .Left(1'b{int(align == 'left')}), .ExpWidth({exponent}), {cuts})",
            f"  u_front (.clk_i({clk}), .a_i({a}), .b_i({b}), .unit_a_o({word_a}),",
            f"    .unit_b_o({word_b}), .limit_o({limit}), .sign_o({sign}), .flags_o({flags}));",
            unit_text,
            f"  asnet_delay #(.Width({exponent + 4}), .Cycles({unit_latency})) u_delay (",
            f"    .clk_i({clk}), .d_i({{{side}}}), .q_o({{{late}}}));",
            f"  asnet_sig_pack #(.E({e}), .F({f}), .Width({result}), .ExpWidth({exponent}),",
            f"    .Below(1'b1), .FirstCut(2), {cuts})",
            f"  u_back (.clk_i({clk}), .word_i({answer}), .limit_i({limit}_late),",
            f"    .sign_i({sign}_late), .zero_sign_i({sign}_late), .flags_i({flags}_late),",
            f"    .result_o({out}));",
        ]
    else:
        room = min(bits, result - 1)  # a carry must fit into the result
        used = room if align == "left" else min(room, f + 4)
        side = f"{exp}, {subtract}, {sign}, {zero_sign}, {flags}"
        late = f"{exp}_late, {subtract}_late, {sign}_late, {zero_sign}_late, {flags}_late"
        lines += [
            f"  logic [{e - 1}:0] {exp}, {exp}_late;",
            f"  logic {subtract}, {zero_sign}, {subtract}_late, {zero_sign}_late;",
            f"  asnet_sig_add_front #(.E({e}), .F({f}), .N({bits}), .W({used}),",
            f"    .Subtract(1'b{int(op == 'subf')}), {cuts})",
            f"  u_front (.clk_i({clk}), .a_i({a}), .b_i({b}), .unit_a_o({word_a}),",
            f"    .unit_b_o({word_b}), .exp_o({exp}), .subtract_o({subtract}), .sign_o({sign}),",
            f"    .zero_sign_o({zero_sign}), .flags_o({flags}));",
            unit_text,
            f"  asnet_delay #(.Width({e + 6}), .Cycles({unit_latency})) u_delay (",
            f"    .clk_i({clk}), .d_i({{{side}}}),",
            f"    .q_o({{{late}}}));",
            f"  asnet_sig_add_back #(.E({e}), .F({f}), .N({bits}), .W({used}), .R({result}),",
            f"    .ExpWidth({exponent}), {cuts})",
            f"  u_back (.clk_i({clk}), .sum_i({answer}), .exp_i({exp}_late),",
            f"    .subtract_i({subtract}_late), .sign_i({sign}_late),",
            f"    .zero_sign_i({zero_sign}_late), .flags_i({flags}_late), .result_o({out}));",
        ]
    lines += ["endmodule", ""]
    ports = Ports(
        a=a,
        b=b,
        result=out,
        clock=clk,
        enable=tied.get(unit.ports.enable or ""),
        reset=tied.get(unit.ports.reset or ""),
        reset_active_low=unit.ports.reset_active_low,
        constant=tuple((tied[port], value) for port, value in unit.ports.constant),
    )
    return "\n".join(lines), ports


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


def _name(name: str) -> str:
    """Return a name as Verilog writes it: escaped unless it is a plain identifier."""
    return name if re.fullmatch(r"[A-Za-z_]\w*", name, re.A) else f"\\{name} "
