# SPDX-License-Identifier: Apache-2.0
"""`asnet cores list`: the library."""

from __future__ import annotations

from typing import Any

from asnet_mlir.cli.arguments import Verbs, add_verb
from asnet_mlir.cli.printing import print_json

__all__ = ["add"]


def add(verbs: Verbs) -> None:
    """Add the verb with its arguments."""
    add_verb(verbs, "list", run, "the library's cores")


def run(options: Any) -> None:
    """Carry the verb out."""
    from asnet_mlir.cores import library_cores
    from asnet_mlir.cores.simulation.simulation import port_widths

    cores = list(library_cores().values())
    widths = port_widths([core.instance() for core in cores])
    if options.json:
        print_json(
            {
                "cores": [
                    {
                        "name": core.name,
                        "level": core.level,
                        "op": core.op,
                        "format": core.format,
                        "widths": {"a": width.a, "b": width.b, "result": width.result},
                        "signed": core.signed,
                        "exact": core.exact,
                        "latency_cycles": core.latency_cycles,
                        "initiation_interval": core.initiation_interval,
                        "summary": core.summary,
                        "parameters": {
                            p.name: {"low": p.low, "high": p.high, "default": p.default}
                            for p in core.parameters
                        },
                    }
                    for core, width in zip(cores, widths, strict=True)
                ]
            }
        )
        return
    rows = [("core", "level", "op", "format", "widths", "latency", "", "parameters", "summary")]
    for core, width in zip(cores, widths, strict=True):
        rows.append(
            (
                core.name,
                core.level,
                core.op or "-",
                core.format or "-",
                f"{width.a} x {width.b} -> {width.result}",
                str(core.latency_cycles),
                "exact" if core.exact else "",
                ", ".join(f"{p.name} {p.legal}" for p in core.parameters),
                core.summary,
            )
        )
    columns = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [f"{cell:{size}}" for cell, size in zip(row, columns, strict=True)]
        print("  ".join(cells).rstrip())
