# SPDX-License-Identifier: Apache-2.0
"""A unit of the design: the files and ports of a core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from asnet_mlir.cores.ports import LIBRARY_PORTS, Ports

__all__ = ["CoreFiles", "attachment"]


@dataclass(frozen=True)
class CoreFiles:
    """A core with its parameters fixed, as the bundle needs it.

    Attributes:
      op: op kind (`mulf`).
      module: its top module.
      sources: file name and text of each Verilog source.
      parameters: parameters of the module.
      latency: clock cycles from operands to result.
      canonical_nan: its only NaN result is the canonical one; otherwise the machine forces it.
      ports: by role; a reset only where the core needs one in operation.
      widths: bits of `a`, `b` and `result`; those of a network's cores are 32.
      tied: the inputs among them that are held at a value, each with its width and the value.
      label: what the manifest calls it.
      interval: cycles for which operands are held.
      settled, late: ports of the adapter of an iterative core: 1 once it can be started after a
        reset; 1 where the core took longer than its latency.
      license: SPDX identifier; empty where its author states none.
      reference: where it comes from, or empty.
      data: files that its memories are read from, by the names that its sources have for them.
    """

    op: str
    module: str
    sources: tuple[tuple[str, str], ...]
    parameters: Mapping[str, int] = field(default_factory=dict)
    latency: int = 0
    canonical_nan: bool = False
    ports: Ports = LIBRARY_PORTS
    widths: tuple[int, int, int] = (32, 32, 32)
    tied: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    label: str = ""
    interval: int = 1
    settled: str | None = None
    late: str | None = None
    license: str = ""
    reference: str = ""
    data: tuple[tuple[str, str], ...] = ()


def attachment(
    core: CoreFiles, module: str, renamed: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return how asnet-hw-opt attaches a core whose module is called `module` in the bundle: what
    `CorePorts` of lowering/circt reads, in whose process nothing of this package is.

    `renamed` are the identifiers of the core that have another name there.
    """
    names = renamed or {}
    ports = core.ports
    roles = {
        "reset": ports.reset,
        "start": ports.start,
        "settled": core.settled,
        "late": core.late,
    }
    return {
        "a": names.get(ports.a, ports.a),
        "b": names.get(ports.b, ports.b),
        "result": names.get(ports.result, ports.result),
        "clock": names.get(ports.clock, ports.clock) if ports.clock else None,
        "module": module,
        "parameters": {names.get(key, key): value for key, value in core.parameters.items()},
        "canonical_nan": core.canonical_nan,
        "tied": [[names.get(name, name), *entry] for name, entry in core.tied.items()],
        **{role: names.get(port, port) for role, port in roles.items() if port},
    }
