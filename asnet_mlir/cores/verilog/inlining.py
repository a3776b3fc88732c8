# SPDX-License-Identifier: Apache-2.0
"""Hierarchies in which no instance waits for itself.

A module through which operands go in and results come out (a conversion of signs around a
multiplier) reads what depends on its own outputs, though no net depends on itself.  Such instances
are replaced by their cells, so that the rest can be evaluated module by module.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["without_circles"]

_Cells = dict[str, Any]


def without_circles(modules: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a module, in the format of `write_json`, without the instances that are in circles."""
    module = modules[name]
    cells: _Cells = dict(module["cells"])
    ports = dict(module["ports"])
    while (instance := _in_circle(cells, modules)) is not None:
        cells, alias = _inlined(cells, instance, modules[cells[instance]["type"]])
        ports = {
            port: {**entry, "bits": [_resolved(alias, bit) for bit in entry["bits"]]}
            for port, entry in ports.items()
        }
    return {**module, "cells": cells, "ports": ports}


def _bits(cell: Mapping[str, Any], direction: str) -> list[Any]:
    directions = cell["port_directions"]
    return [
        bit
        for port, bits in cell["connections"].items()
        if directions[port] == direction
        for bit in bits
    ]


def _in_circle(cells: _Cells, modules: Mapping[str, Any]) -> str | None:
    """Return an instance that reads what depends on its outputs."""
    makers = {bit: name for name, cell in cells.items() for bit in _bits(cell, "output")}
    done: set[str] = set()
    for root in cells:
        path: list[str] = []
        stack = [(root, False)]
        while stack:
            name, leaves = stack.pop()
            if leaves:
                path.pop()
                done.add(name)
            elif name in path:
                circle = path[path.index(name) :]
                found = next((one for one in circle if cells[one]["type"] in modules), None)
                if found is not None:
                    return found
            elif name not in done:
                path.append(name)
                stack.append((name, True))
                read = dict.fromkeys(_bits(cells[name], "input"))
                stack += [(makers[bit], False) for bit in read if bit in makers]
    return None


def _inlined(
    cells: _Cells, instance: str, module: Mapping[str, Any]
) -> tuple[_Cells, dict[Any, Any]]:
    """Return cells with an instance replaced by its module's, and other names of nets."""
    outer = cells[instance]["connections"]
    inner = {
        bit: net
        for port, entry in module["ports"].items()
        if entry["direction"] == "input" and port in outer
        for bit, net in zip(entry["bits"], outer[port], strict=True)
    }

    def renamed(bit: Any) -> Any:
        return bit if isinstance(bit, str) else inner.get(bit, (instance, bit))

    alias = {
        net: renamed(bit)
        for port, entry in module["ports"].items()
        if entry["direction"] == "output" and port in outer
        for bit, net in zip(entry["bits"], outer[port], strict=True)
    }
    found = {name: cell for name, cell in cells.items() if name != instance}
    for name, cell in module["cells"].items():
        connections = {port: list(map(renamed, bits)) for port, bits in cell["connections"].items()}
        found[f"{instance}.{name}"] = {**cell, "connections": connections}
    return {
        name: {
            **cell,
            "connections": {
                port: [_resolved(alias, bit) for bit in bits]
                for port, bits in cell["connections"].items()
            },
        }
        for name, cell in found.items()
    }, alias


def _resolved(alias: Mapping[Any, Any], bit: Any) -> Any:
    while bit in alias:
        bit = alias[bit]
    return bit
