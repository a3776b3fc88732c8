# SPDX-License-Identifier: Apache-2.0
"""A unit of the design: the files and ports of a core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from asnet_mlir.cores.ports import LIBRARY_PORTS

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
      a, b, result, clock: port names; `clock` is None for a combinational core.
      widths: bits of `a`, `b` and `result`; those of a network's cores are 32.
      tied: inputs that are held at a value, each with its width and the value.
      label: what the manifest calls it.
      interval: cycles for which operands are held.
      reset, reset_active_low, start, done, busy, ready, start_b, ready_b: of an iterative core, as
        in `cores.Ports`.
      settled, late: of the adapter of one: 1 once it can be started after a reset; 1 where the core
        took longer than its latency.
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
    a: str = LIBRARY_PORTS.a
    b: str = LIBRARY_PORTS.b
    result: str = LIBRARY_PORTS.result
    clock: str | None = LIBRARY_PORTS.clock
    widths: tuple[int, int, int] = (32, 32, 32)
    tied: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    label: str = ""
    interval: int = 1
    reset: str | None = None
    reset_active_low: bool = False
    start: str | None = None
    done: str | None = None
    busy: str | None = None
    ready: str | None = None
    start_b: str | None = None
    ready_b: str | None = None
    settled: str | None = None
    late: str | None = None
    license: str = ""
    reference: str = ""
    data: tuple[tuple[str, str], ...] = ()


def attachment(
    core: CoreFiles, module: str, renamed: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return how `stages` attaches a core whose module is called `module` in the bundle.

    `renamed` are the identifiers of the core that have another name there.
    """
    names = renamed or {}
    roles = {role: getattr(core, role) for role in ("reset", "start", "settled", "late")}
    return {
        "a": names.get(core.a, core.a),
        "b": names.get(core.b, core.b),
        "result": names.get(core.result, core.result),
        "clock": names.get(core.clock, core.clock) if core.clock else None,
        "module": module,
        "parameters": {names.get(key, key): value for key, value in core.parameters.items()},
        "canonical_nan": core.canonical_nan,
        "tied": [[names.get(name, name), *entry] for name, entry in core.tied.items()],
        **{role: names.get(port, port) for role, port in roles.items() if port},
    }
