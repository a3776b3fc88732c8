# SPDX-License-Identifier: Apache-2.0
"""Registers beside the blocks of an ECP5 become those inside of them.

MULT18X18D has registers at its factors and at its product, DP16KD behind its words. Yosys leaves
them unused and puts flip-flops of the fabric there: a path to or from a multiplier then has its
delay of 3.9 ns and the wires to wherever it is, one behind a memory 5.8 ns and the wires. nextpnr
knows the blocks' registers and their delays, so that the netlist between them is all there is to
change. Reset values and enables are no question: flip-flops that have one stay where they are, and
what the others hold before the first clock is 0, as in the blocks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

__all__ = ["use_block_registers"]

_Cell = dict[str, Any]
_Bit = int | str  # a net, or a constant
_FACTOR_BITS, _PRODUCT_BITS, _WORD_BITS = 18, 36, 18


def use_block_registers(netlist: Mapping[str, Any]) -> int:
    """Move flip-flops into the multipliers and memories that they are alone beside.

    Args:
      netlist: as Yosys' `write_json` gives it, its top module flat, of ECP5's cells; is changed.

    Returns:
      How many flip-flops are gone.
    """
    modules = netlist["modules"].values()
    return sum(_Module(one).pack() for one in modules if "top" in one["attributes"])


class _Module:
    def __init__(self, module: dict[str, Any]) -> None:
        self._cells: dict[str, _Cell] = module["cells"]
        self._driver: dict[_Bit, str] = {}
        # What reads a net: a cell and its port; ports of the module are there under ''.
        self._readers: dict[_Bit, list[tuple[str, str]]] = defaultdict(list)
        for name, cell in self._cells.items():
            for port, bits in cell["connections"].items():
                for bit in bits:
                    if cell["port_directions"][port] == "output":
                        self._driver[bit] = name
                    else:
                        self._readers[bit].append((name, port))
        for port, found in module["ports"].items():
            for bit in found["bits"]:
                self._readers[bit].append(("", port))

    def pack(self) -> int:
        before = len(self._cells)
        for name, cell in list(self._cells.items()):
            if cell["type"] == "MULT18X18D":
                self._factors(name, cell)
                self._product(name, cell)
            elif cell["type"] == "DP16KD":
                for side in "AB":
                    self._word(name, cell, side)
        return before - len(self._cells)

    def _factors(self, name: str, cell: _Cell) -> None:
        """Use the registers of both factors, which nextpnr has delays of together only."""
        ports = [f"{side}{i}" for side in "AB" for i in range(_FACTOR_BITS)]
        given = {port: cell["connections"][port][0] for port in ports}
        nets = {bit for bit in given.values() if isinstance(bit, int)}
        found = {bit: self._driver.get(bit, "") for bit in nets}
        own = {(name, port) for port in ports}
        if not nets or not all(
            self._is_plain(ff) and set(self._readers[bit]) <= own for bit, ff in found.items()
        ):
            return
        clocks = {self._cells[ff]["connections"]["CLK"][0] for ff in found.values()}
        if not self._clocked(cell, clocks, "REG_INPUTA", "REG_INPUTB"):
            return
        for port, bit in given.items():
            if isinstance(bit, int):
                before = self._cells[found[bit]]["connections"]["DI"][0]
                cell["connections"][port] = [before]
                self._readers[before].append((name, port))
        self._remove(set(found.values()))

    def _product(self, name: str, cell: _Cell) -> None:
        ports = [f"P{i}" for i in range(_PRODUCT_BITS)]
        behind = self._behind(cell, ports)
        clocks = {self._cells[ff]["connections"]["CLK"][0] for ff in behind.values()}
        if behind and self._clocked(cell, clocks, "REG_OUTPUT"):
            self._taken_over(name, cell, behind)

    def _word(self, name: str, cell: _Cell, side: str) -> None:
        """Use the register behind a port; a word of 36 bits is of both and left alone."""
        widths = [int(cell["parameters"][f"DATA_WIDTH_{one}"], 2) for one in "AB"]
        connections = cell["connections"]
        enabled = connections[f"OCE{side}"] == ["1"] and connections[f"RST{side}"] == ["0"]
        if max(widths) > _WORD_BITS or not enabled:
            return
        behind = self._behind(cell, [f"DO{side}{i}" for i in range(_WORD_BITS)])
        clocks = {self._cells[ff]["connections"]["CLK"][0] for ff in behind.values()}
        own = connections[f"CLK{side}"][0]
        if behind and clocks == {own} and cell["parameters"][f"CLK{side}MUX"] == f"CLK{side}":
            cell["parameters"][f"REGMODE_{side}"] = "OUTREG"
            self._taken_over(name, cell, behind)

    def _behind(self, cell: _Cell, ports: list[str]) -> dict[str, str]:
        """Return the flip-flop behind each of a block's outputs that are used; none, if one of them
        leads to anything else."""
        behind = {}
        for port in ports:
            readers = self._readers[cell["connections"][port][0]]
            if readers:
                reader, input_port = readers[0]
                if len(readers) > 1 or input_port != "DI" or not self._is_plain(reader):
                    return {}
                behind[port] = reader
        return behind

    def _taken_over(self, name: str, cell: _Cell, behind: Mapping[str, str]) -> None:
        """Let a block's outputs drive what the flip-flops behind them do."""
        for port, ff in behind.items():
            after = self._cells[ff]["connections"]["Q"]
            cell["connections"][port] = after
            self._driver[after[0]] = name
        self._remove(set(behind.values()))

    def _is_plain(self, name: str) -> bool:
        """Whether a cell is a flip-flop that only delays."""
        cell = self._cells.get(name)
        if cell is None or cell["type"] != "TRELLIS_FF":
            return False
        parameters, connections = cell["parameters"], cell["connections"]
        # Yosys writes strings of digits with a space behind them.
        enabled = parameters.get("CEMUX", "1").strip() == "1" or connections.get("CE") == ["1"]
        never_reset = connections.get("LSR", ["0"]) == ["0"]
        starts_at_zero = parameters.get("REGSET", "RESET") == "RESET"
        rises = parameters.get("CLKMUX", "CLK") == "CLK"
        return enabled and never_reset and starts_at_zero and rises

    def _clocked(self, cell: _Cell, clocks: set[_Bit], *registers: str) -> bool:
        """Give a multiplier's registers their clock, if it is the only one."""
        connections = cell["connections"]
        clocks = clocks | set(connections.get("CLK0", []))
        if len(clocks) != 1:
            return False
        for port, bit in (("CLK0", next(iter(clocks))), ("CE0", "1"), ("RST0", "0")):
            connections[port] = [bit]
            cell["port_directions"][port] = "input"
        for register in registers:
            for what in ("CLK", "CE", "RST"):
                cell["parameters"][f"{register}_{what}"] = f"{what}0"
        cell["parameters"]["GSR"] = "DISABLED"
        return True

    def _remove(self, names: set[str]) -> None:
        for name in names:
            for port, bits in self._cells.pop(name)["connections"].items():
                for bit in bits:
                    if (name, port) in self._readers[bit]:
                        self._readers[bit].remove((name, port))
