# SPDX-License-Identifier: Apache-2.0
"""Carry chains on ECP5: what nextpnr puts around them, and does not where nothing reads a carry.

Yosys connects the carry out of every CCU2C, that of a chain's last one to a net without readers.
nextpnr makes a chain's end a cell of its own where it is connected, which leads the carry to the
fabric: two LUT4 a chain, and a longer way, for nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

__all__ = ["end_unread_carries", "luts_of_packing"]

_ENDS = 2  # LUT4 of a cell that leads a carry into a chain, or out of it
_WRITE_PORT = 2  # and of what writes a distributed memory of 16 words
_CONSTANTS = 2  # which drive 0 and 1


def end_unread_carries(netlist: Mapping[str, Any]) -> int:
    """Take the nets without readers from carry outputs.

    Args:
      netlist: as Yosys' `write_json` gives it, its top module flat, of ECP5's cells; is changed.

    Returns:
      How many carries end in their chain now.
    """
    ended = 0
    cells, readers = _top(netlist)
    for cell in cells:
        carries = cell["connections"].get("COUT", ())
        if cell["type"] == "CCU2C" and not any(readers[bit] for bit in carries):
            # nextpnr takes no cell whose port is missing or has no bits.
            cell["connections"]["COUT"] = ["x"]
            cell["port_directions"]["COUT"] = "output"
            ended += 1
    return ended


def luts_of_packing(netlist: Mapping[str, Any]) -> int:
    """Return how many LUT4 nextpnr takes for a netlist beyond those of its cells.

    A chain has a cell in front that its first carry comes from, constant or not; another cell
    leads each carry out that the fabric reads, or that ends a chain and is connected.  What writes
    a distributed memory takes two LUTs' places.
    """
    cells, readers = _top(netlist)
    chains = [cell["connections"] for cell in cells if cell["type"] == "CCU2C"]
    carries = {bit for chain in chains for bit in chain.get("COUT", ())} - {"x"}
    begun = carries | {"x"}
    ins = sum(begun.isdisjoint(chain.get("CIN", ["x"])) for chain in chains)
    outs = sum(readers[bit] != ["CIN"] for bit in carries)
    memories = sum(cell["type"] == "TRELLIS_DPR16X4" for cell in cells)
    return _ENDS * (ins + outs) + _WRITE_PORT * memories + _CONSTANTS


def _top(netlist: Mapping[str, Any]) -> tuple[list[dict[str, Any]], dict[int | str, list[str]]]:
    """Return the top module's cells, and the ports that read each net, the module's as ''."""
    (module,) = (one for one in netlist["modules"].values() if "top" in one["attributes"])
    cells = list(module["cells"].values())
    readers: dict[int | str, list[str]] = defaultdict(list)
    for port in module["ports"].values():
        if port["direction"] != "input":
            for bit in port["bits"]:
                readers[bit].append("")
    for cell in cells:
        for name, bits in cell["connections"].items():
            if cell["port_directions"][name] != "output":
                for bit in bits:
                    readers[bit].append(name)
    readers["x"] = []  # no net
    return cells, readers
