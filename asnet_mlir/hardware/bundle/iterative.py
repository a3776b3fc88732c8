# SPDX-License-Identifier: Apache-2.0
"""Adapters of iterative cores: modules that give each result after the same number of cycles.

A schedule is fixed when hardware is generated, so what an engine or the sequential machine uses is
a unit that takes operands, keeps them for `interval` cycles, and has the result `latency` cycles
after the first of these.  The adapter drives the core exactly as the simulation does from which its
software model comes (`cores/simulation/family.py`):

- A core with a handshake gets `start` in the first cycle of its operands and, where it says when it
  is ready, up to the cycle in which it is: for each operand on its own where it has ports for that.
  What it gives with the first `done` behind that (or in the first cycle in which it is no longer
  busy) is kept in a register, so that a core whose time depends on the operands has the time of the
  slowest ones.  Where it takes longer than that, `late_o` says so.  A core without a reset goes on
  after one, what is asked for with it; `settled_o` tells when it cannot be busy any more.
- A core without a handshake takes operands every `interval` cycles since it began, and no schedule
  knows when that is.  A counter goes along with it: operands wait in registers for the first of
  these cycles, the result is kept from its own one on.
- A reset lasts one cycle longer than that of the hardware, two at least.
"""

from __future__ import annotations

import dataclasses

from asnet_mlir.cores.ports import Ports
from asnet_mlir.hardware.bundle.unit import CoreFiles

__all__ = ["adapted"]

_NAMES = ("clk_i", "rst_i", "start_i", "a_i", "b_i", "result_o", "late_o", "settled_o")
_INNER = (
    *("reset", "a", "b", "result", "done", "waiting", "left", "phase", "u_core"),
    *("busy", "seen", "taken", "ask", "ask_b", "asks", "asks_b", "ready", "ready_b"),
)


def adapted(core: CoreFiles, latency: int, interval: int) -> CoreFiles:
    """Return the adapter of an iterative core of 32-bit operands.

    Args:
      core: as it is.
      latency, interval: of the adapter (`Instance.unit_latency` and `unit_interval`).
    """
    taken = {*core.parameters, core.module}
    names = {}
    for name in (*_NAMES, *_INNER):
        names[name] = name
        while names[name] in taken:
            names[name] += "_"
    module, own = f"{core.module}_adapter", core.ports
    text = _text(core, module, names, latency)
    return dataclasses.replace(
        core,
        module=module,
        sources=(*core.sources, (f"{module}.sv", text)),
        latency=latency,
        interval=interval,
        ports=Ports(
            a=names["a_i"],
            b=names["b_i"],
            result=names["result_o"],
            clock=names["clk_i"],
            reset=names["rst_i"] if own.reset or own.start else None,
            start=names["start_i"] if own.start else None,
        ),
        tied={},
        settled=names["settled_o"] if own.start and not own.reset else None,
        late=names["late_o"] if own.start else None,
    )


def _text(core: CoreFiles, module: str, names: dict[str, str], latency: int) -> str:
    """Return the adapter's SystemVerilog."""
    n, ports = names, core.ports
    is_handshake = ports.start is not None
    own = latency - 1 if is_handshake else latency - core.interval - 1
    declared = [f"  input  logic        {n['clk_i']}"]
    if ports.reset or is_handshake:
        declared.append(f"  input  logic        {n['rst_i']}")
    if is_handshake:
        declared.append(f"  input  logic        {n['start_i']}")
    declared += [f"  input  logic [31:0] {n['a_i']}", f"  input  logic [31:0] {n['b_i']}"]
    declared.append(f"  output logic [31:0] {n['result_o']}")
    if is_handshake:
        if not ports.reset:
            declared.append(f"  output logic        {n['settled_o']}")
        declared.append(f"  output logic        {n['late_o']}")
    parameters = [f"  parameter int {key} = {value}" for key, value in core.parameters.items()]
    clk, rst, reset = n["clk_i"], n["rst_i"], n["reset"]
    connections = {ports.clock or "": clk}
    connections |= {name: f"{width}'d{value}" for name, (width, value) in core.tied.items()}
    if ports.reset:
        connections[ports.reset] = f"~{reset}[1]" if ports.reset_active_low else f"{reset}[1]"
    if ports.start:
        connections[ports.start] = n["ask"]
    for port, net in (
        (ports.start_b, "ask_b"),
        (ports.done, "done"),
        (ports.busy, "busy"),
        (ports.ready, "ready"),
        (ports.ready_b, "ready_b"),
    ):
        if port:
            connections[port] = n[net]
    inner = ("a_i", "b_i") if is_handshake else ("a", "b")
    connections |= {
        ports.a: n[inner[0]],
        ports.b: n[inner[1]],
        ports.result: n["result"],
    }
    how = "a handshake" if is_handshake else f"operands for {core.interval} cycles"
    lines = [
        f"// Iterative core {core.module} ({how}) with the result always after {latency} cycles;",
        "// generated, as a schedule needs one latency for all operands.",
        f"module {module} #(" if parameters else f"module {module} (",
    ]
    if parameters:
        lines += [",\n".join(parameters), ") ("]
    lines += [",\n".join(declared), ");", f"  logic [31:0] {n['result']};"]
    if ports.reset:
        lines += [
            f"  logic [1:0] {reset};",
            f"  always_ff @(posedge {clk}) {reset} <= {{{reset}[0] | {rst}, {rst}}};",
        ]
    if is_handshake:
        lines += _handshake(core, names, own)
    else:
        lines += _phases(core, names, own)
    given = ", ".join(f".{key}({key})" for key in core.parameters)
    wires = ",\n    ".join(f".{port}({net})" for port, net in connections.items() if port)
    lines += [f"  {core.module} {f'#({given}) ' if given else ''}{n['u_core']} (", f"    {wires}"]
    return "\n".join([*lines, "  );", "endmodule", ""])


def _handshake(core: CoreFiles, n: dict[str, str], own: int) -> list[str]:
    """A result is kept from the first `done` on; `left` counts the cycles that it may take."""
    ports = core.ports
    width = (own + 1).bit_length()
    left, waiting, clk = n["left"], n["waiting"], n["clk_i"]
    # Without a reset, the core may have been started in the last cycle before this one's reset.
    after_reset = 0 if ports.reset else own + 1
    lines = [f"  logic [{width - 1}:0] {left};", f"  logic {waiting}, {n['done']};"]
    taken, late, asking = n["start_i"], waiting, _asking(core, n)
    if ports.ready or ports.ready_b:
        asks = [n[name] for name in ("asks", "asks_b")[: 1 + bool(ports.start_b)]]
        lines += asking
        taken, late = n["taken"], f"({' || '.join([waiting, *asks])})"
    else:
        lines.append(f"  logic {n['ask']};\n  assign {n['ask']} = {n['start_i']};")
        if ports.start_b:
            lines.append(f"  logic {n['ask_b']};\n  assign {n['ask_b']} = {n['start_i']};")
    if ports.busy:
        lines += [
            f"  logic {n['busy']}, {n['seen']};",
            f"  assign {n['done']} = {n['seen']} && !{n['busy']};",
            f"  always_ff @(posedge {clk})",
            f"    {n['seen']} <= {n['busy']} || ({n['seen']} && !{taken});",
        ]
    lines += [
        f"  always_ff @(posedge {clk}) begin",
        f"    if ({n['rst_i']}) {left} <= {width}'d{after_reset};",
        f"    else if ({n['start_i']}) {left} <= {width}'d{own};",
        f"    else if ({left} != {width}'d0) {left} <= {left} - {width}'d1;",
        f"    if ({n['rst_i']}) {waiting} <= 1'b0;",
        f"    else if ({taken}) {waiting} <= 1'b1;",
        f"    else if ({n['done']}) {waiting} <= 1'b0;",
        f"    if ({waiting} && {n['done']}) {n['result_o']} <= {n['result']};",
        "  end",
        f"  assign {n['late_o']} = {late} && {left} == {width}'d0;",
    ]
    if not ports.reset:
        lines.append(f"  assign {n['settled_o']} = {left} == {width}'d0;")
    return lines


def _asking(core: CoreFiles, n: dict[str, str]) -> list[str]:
    """`asks` is 1 while operands are held that the core has not taken yet; `taken` when it has."""
    ports = core.ports
    pairs = [("ask", "asks", "ready" if ports.ready else "")]
    if ports.start_b:
        # One `ready` may be that of both operands.
        pairs.append(("ask_b", "asks_b", "ready_b" if ports.ready_b else pairs[0][2]))
    lines = [f"  logic {n['taken']};"]
    lines += [f"  logic {n[name]};" for name in ("ready", "ready_b") if getattr(ports, name)]
    open_asks = []
    for ask, asks, ready in pairs:
        # A core without a reset would wait for its second operand for ever: go on asking.
        clear = f" && !{n['rst_i']}" if ports.reset else ""
        initial = "" if ports.reset else " = 1'b0"
        lines += [f"  logic {n[ask]};", f"  logic {n[asks]}{initial};"]
        open_ask = f"({n[ask]} && !{n[ready]})" if ready else "1'b0"
        lines += [
            f"  assign {n[ask]} = {n['start_i']} || {n[asks]};",
            f"  always_ff @(posedge {n['clk_i']}) {n[asks]} <= {open_ask}{clear};",
        ]
        open_asks.append(open_ask)
    asked = " || ".join(n[ask] for ask, _, _ in pairs)
    lines.append(f"  assign {n['taken']} = ({asked}) && !({' || '.join(open_asks)});")
    return lines


def _phases(core: CoreFiles, n: dict[str, str], own: int) -> list[str]:
    """`phase` counts the cycles since the core took operands."""
    ports = core.ports
    interval, phase, clk = core.interval, n["phase"], n["clk_i"]
    width = (interval - 1).bit_length()
    following = f"{phase} == {width}'d{interval - 1} ? {width}'d0 : {phase} + {width}'d1"
    step = f"{phase} <= {following};"
    # Without a reset like the core's own state, which begins at power-on too.
    initial = "" if ports.reset else f" = {width}'d0"
    if ports.reset:
        step = f"if ({n['reset']}[1]) {phase} <= {width}'d0; else {step}"
    return [
        f"  logic [{width - 1}:0] {phase}{initial};",
        f"  logic [31:0] {n['a']}, {n['b']};",
        f"  always_ff @(posedge {clk}) begin",
        f"    {step}",
        f"    if ({phase} == {width}'d{interval - 1}) begin",
        f"      {n['a']} <= {n['a_i']};",
        f"      {n['b']} <= {n['b_i']};",
        "    end",
        f"    if ({phase} == {width}'d{own % interval}) {n['result_o']} <= {n['result']};",
        "  end",
    ]
