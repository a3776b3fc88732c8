# SPDX-License-Identifier: Apache-2.0
"""Read-only memories in netlists: cells of their own, and as functions of models.

Yosys would map a memory that is never written to a tree of multiplexers, one for each word, which
for 65,536 words takes minutes.  A larger one stays a memory: each of its read ports becomes a cell
`$rom` from address `A` to word `Y`, and its model a load from a constant array.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = [
    "ROM_CELL",
    "SMALL_ROMS",
    "definition",
    "is_rom",
    "name_functions",
    "split_read_ports",
    "words",
]

ROM_CELL = "$rom"

#: Yosys' selection of memories that are logic: few words, which gates say better.
SMALL_ROMS = "t:$mem_v2 r:ABITS<9 %i"


def is_rom(cell: Mapping[str, Any]) -> bool:
    """Return whether a cell of Yosys is a memory that is never written nor read by a clock."""
    if cell["type"] != "$mem_v2":
        return False
    parameters = cell["parameters"]
    return not int(parameters["WR_PORTS"], 2) and "1" not in parameters["RD_CLK_ENABLE"]


def split_read_ports(cells: Mapping[str, Any]) -> dict[str, Any]:
    """Return cells with a `$rom` for each read port of each memory that is never written."""
    result: dict[str, Any] = {}
    for name, cell in cells.items():
        if not is_rom(cell):
            result[name] = cell
            continue
        parameters, connections = cell["parameters"], cell["connections"]
        ports, a, y = (int(parameters[key], 2) for key in ("RD_PORTS", "ABITS", "WIDTH"))
        for port in range(ports):
            result[f"{name}@{port}"] = {
                "type": ROM_CELL,
                "attributes": cell.get("attributes", {}),
                "parameters": {key: parameters[key] for key in ("INIT", "SIZE", "OFFSET")},
                "port_directions": {"A": "input", "Y": "output"},
                "connections": {
                    "A": connections["RD_ADDR"][port * a : (port + 1) * a],
                    "Y": connections["RD_DATA"][port * y : (port + 1) * y],
                },
            }
    return result


def words(cell: Mapping[str, Any]) -> np.ndarray:
    """Return a `$rom`'s word at each address, (2^len(A),), uint64.

    What Verilog leaves undefined (`x`, an address out of range) is 0, as in Verilator.
    """
    width, parameters = len(cell["connections"]["Y"]), cell["parameters"]
    size, offset = int(parameters["SIZE"], 2), int(parameters["OFFSET"], 2)
    text = parameters["INIT"].rjust(size * width, "0")
    bits = np.frombuffer(text.encode("ascii"), np.uint8) == ord("1")
    weights = np.uint64(1) << np.arange(width, dtype=np.uint64)[::-1]
    stored = (bits.reshape(size, width) * weights).sum(axis=1, dtype=np.uint64)[::-1]
    found = np.zeros(1 << len(cell["connections"]["A"]), np.uint64)
    end = min(found.size, offset + size)
    found[offset:end] = stored[: max(0, end - offset)]
    return found


def name_functions(module: Mapping[str, Any], prefix: str) -> tuple[dict[str, Any], str]:
    """Name a function for each ROM of a flat module, `PREFIX_rom0`, ..; return it and their text.

    The contents are in the text and no more in the module.  The text is empty without ROMs.
    """
    cells = dict(module["cells"])
    text = ""
    for number, name in enumerate(n for n, cell in cells.items() if cell["type"] == ROM_CELL):
        cell, symbol = cells[name], f"{prefix}_rom{number}"
        text += definition(symbol, words(cell), len(cell["connections"]["Y"]))
        cells[name] = {**cell, "parameters": {"FUNCTION": symbol}}
    return {**module, "cells": cells}, text


def definition(symbol: str, contents: Sequence[int] | np.ndarray, width: int) -> str:
    """Return `@symbol`, a function from an address to a word of `width` bits, and its array."""
    values = np.asarray(contents, np.uint64)
    address = values.size.bit_length() - 1
    stored = max(8, 1 << (width - 1).bit_length())
    data = values.astype(f"<u{stored // 8}").tobytes().hex().upper()
    shape = f"memref<{values.size}xi{stored}>"
    lines = [
        f'memref.global "private" constant @{symbol}_words : {shape} = dense<"0x{data}">',
        f"func.func private @{symbol}(%a: i{address}) -> i{width} {{",
        f"  %words = memref.get_global @{symbol}_words : {shape}",
        f"  %at = arith.index_castui %a : i{address} to index",
        f"  %stored = memref.load %words[%at] : {shape}",
    ]
    if stored == width:
        lines.append(f"  return %stored : i{width}")
    else:
        lines += [
            f"  %word = arith.trunci %stored : i{stored} to i{width}",
            f"  return %word : i{width}",
        ]
    return "\n".join([*lines, "}", ""])
