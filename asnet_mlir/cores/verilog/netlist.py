# SPDX-License-Identifier: Apache-2.0
"""Netlists in the format of Yosys' `write_json`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Netlist", "ordered_cells"]

Reader = Literal["yosys", "slang"]


@dataclass(frozen=True)
class Netlist:
    """Modules in the format of Yosys' `write_json`; `source_names` maps its file names to ours.

    `reader` read the sources: Yosys' own reader, or its plugin slang where that refused.
    `conflicts` are nets of the top that several things drive, some of them no cells.
    """

    top: str
    modules: Mapping[str, Any]
    source_names: Mapping[str, str]
    reader: Reader = "yosys"
    conflicts: tuple[str, ...] = ()

    @property
    def module(self) -> Any:
        """The top module."""
        return self.modules[self.top]

    def location(self, item: Mapping[str, Any]) -> str:
        """Return `file:line` of a cell, net or module, or '' where Yosys has none."""
        source = str(item.get("attributes", {}).get("src", "")).split("|")[0]
        match = re.match(r"(.*):(\d+)\.\d+", source)
        return f"{self.source_names.get(match[1], match[1])}:{match[2]}" if match else ""


def ordered_cells(cells: Mapping[str, Any]) -> list[str]:
    """Return cells after those that they read."""
    makers = {
        bit: name
        for name, cell in cells.items()
        for port, bits in cell["connections"].items()
        if cell["port_directions"][port] == "output"
        for bit in bits
    }
    order: dict[str, None] = {}
    for root in cells:
        stack = [root]
        opened = set()
        while stack:
            name = stack[-1]
            waiting = (
                []
                if name in opened
                else [
                    makers[bit]
                    for port, bits in cells[name]["connections"].items()
                    if cells[name]["port_directions"][port] == "input"
                    for bit in bits
                    if bit in makers and makers[bit] not in order
                ]
            )
            opened.add(name)
            if waiting:
                stack.extend(dict.fromkeys(waiting))
            else:
                order.setdefault(stack.pop())
    return list(order)
