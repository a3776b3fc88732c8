# SPDX-License-Identifier: Apache-2.0
"""How often each pin of a core that is mapped to gates changes, cycle by cycle.

The gates are evaluated on given operands, without delays, so that there are no glitches.  Registers
are delays of one cycle: a core whose registers are in a loop (an iterative one) has state that its
operands do not determine, and is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.support import processes
from asnet_mlir.support.tools import yosys_program

__all__ = ["Activity", "UnknownActivityError", "functions_of", "pin_activities"]

_GATES: dict[str, Callable[..., np.ndarray]] = {
    "$_NOT_": lambda a: ~a,
    "$_BUF_": lambda a: a,
    "$_AND_": lambda a, b: a & b,
    "$_OR_": lambda a, b: a | b,
    "$_XOR_": lambda a, b: a ^ b,
    "$_NAND_": lambda a, b: ~(a & b),
    "$_NOR_": lambda a, b: ~(a | b),
    "$_XNOR_": lambda a, b: ~(a ^ b),
    "$_ANDNOT_": lambda a, b: a & ~b,
    "$_ORNOT_": lambda a, b: a | ~b,
    "$_MUX_": lambda a, b, s: (b & s) | (a & ~s),
}
_REGISTER = "$_DFF_P_"
#: Operands' nets, the result's net, and the type of a gate or register.
_Gate = tuple[list[Any], Any, str]


class UnknownActivityError(InputError):
    """The operands do not determine what the nets do."""


class Activity(NamedTuple):
    """Changes of a pin in a cycle, and the share of cycles in which it is 1."""

    changes: float
    duty: float


def functions_of(netlist: Path, top: str, liberty: bytes, folder: Path) -> dict[str, Any]:
    """Return a netlist with the functions of its library's cells in their place.

    Args:
      netlist: Verilog of instances of the library's cells.
      folder: for the files in between.

    Returns:
      The top module in the format of Yosys' `write_json`, its cells Yosys' simple gates, with the
      pins of the library's cells by instance as `instances`.

    Raises:
      ToolError: Yosys failed.
    """
    (folder / "cells.lib").write_bytes(liberty)
    (folder / "mapped.v").write_bytes(netlist.read_bytes())
    commands = [
        "read_liberty -ignore_miss_func cells.lib",
        "read_verilog mapped.v",
        f"hierarchy -check -top {top}",
        "write_json instances.json",
        "flatten",
        "write_json functions.json",
    ]
    (folder / "commands.json").write_text(json.dumps(commands))
    processes.run_program(
        yosys_program(),
        ["commands.json"],
        purpose=f"reading the gates of {top} with Yosys",
        cwd=folder,
        timeout_seconds=600,
    )
    mapped, module = (
        json.loads((folder / f"{name}.json").read_text())["modules"][top]
        for name in ("instances", "functions")
    )
    pins = {name: list(cell["connections"]) for name, cell in mapped["cells"].items()}
    return {**module, "instances": pins}


def pin_activities(
    module: Mapping[str, Any], inputs: Mapping[str, np.ndarray], clock: str = "clk"
) -> dict[tuple[str, str], Activity]:
    """Return the activity of the pins of a netlist's instances, those of the clock left out.

    Args:
      module: as `functions_of` gives it.
      inputs: of each port of one bit, its values, booleans [streams, cycles].

    Returns:
      By instance and pin; what a port has stands under the instance "".

    Raises:
      UnknownActivityError: a loop, a cell that is no gate or register, or a port without values.
    """
    values, begins = _waves(module, inputs, clock)
    clocks = {bit for port, bit in _ports(module) if port == clock}
    names = {
        f"{one}.{pin}": (one, pin) for one, pins in module["instances"].items() for pin in pins
    }
    names |= {port: ("", port) for port in inputs}
    found: dict[tuple[str, str], Activity] = {}
    for name, key in names.items():
        (bit,) = module["netnames"][name]["bits"]
        if bit in clocks or bit not in values:
            continue
        wave = values[bit][:, begins[bit] :]
        changes = float((wave[:, 1:] != wave[:, :-1]).mean()) if wave.shape[1] > 1 else 0.0
        found[key] = Activity(changes, float(wave.mean()) if wave.size else 0.0)
    return found


def _ports(module: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return input ports, all of one bit, with their nets."""
    return [
        (name, port["bits"][0])
        for name, port in module["ports"].items()
        if port["direction"] == "input"
    ]


def _waves(
    module: Mapping[str, Any], inputs: Mapping[str, np.ndarray], clock: str
) -> tuple[dict[Any, np.ndarray], dict[Any, int]]:
    """Return each net's values, and the cycle from which on they come from given ones."""
    shape = next(iter(inputs.values())).shape
    values = {"0": np.zeros(shape, bool), "1": np.ones(shape, bool)}
    for name, bit in _ports(module):
        if name == clock:
            continue
        if name not in inputs:
            raise UnknownActivityError(f"port {name} has no values")
        values[bit] = inputs[name]
    begins = dict.fromkeys(values, 0)
    for operands, result, cell in _in_order(module["cells"], set(values)):
        begin = max(begins[bit] for bit in operands)
        if cell == _REGISTER:
            (before,) = (values[bit] for bit in operands)
            values[result] = np.concatenate([before[:, :1], before[:, :-1]], axis=1)
            begin += 1
        else:
            values[result] = _GATES[cell](*(values[bit] for bit in operands))
        begins[result] = begin
    return values, begins


def _in_order(cells: Mapping[str, Any], known: set[Any]) -> list[_Gate]:
    """Return operands' nets, result's net and type of each gate, each after what it reads."""
    waiting: dict[Any, list[_Gate]] = {}
    missing: dict[int, int] = {}
    ready: list[_Gate] = []
    order: list[_Gate] = []
    count = 0
    for cell in cells.values():
        kind, pins = cell["type"], {pin: bits[0] for pin, bits in cell["connections"].items()}
        if kind == "$scopeinfo":
            continue
        if kind != _REGISTER and kind not in _GATES:
            raise UnknownActivityError(f"a cell of type {kind}")
        result = pins.pop("Q" if kind == _REGISTER else "Y")
        pins.pop("C", None)
        gate: _Gate = [pins[pin] for pin in sorted(pins)], result, kind
        count += 1
        unknown = set(gate[0]) - known
        missing[id(gate)] = len(unknown)
        for bit in unknown:
            waiting.setdefault(bit, []).append(gate)
        if not unknown:
            ready.append(gate)
    while ready:
        gate = ready.pop()
        order.append(gate)
        for next_gate in waiting.pop(gate[1], ()):
            missing[id(next_gate)] -= 1
            if not missing[id(next_gate)]:
                ready.append(next_gate)
    if len(order) != count:
        raise UnknownActivityError("gates or registers in a loop")
    return order
