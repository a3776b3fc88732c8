# SPDX-License-Identifier: Apache-2.0
"""A core instance elaborated by Yosys."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Sequence
from typing import Any

from asnet_mlir.cores.circuits import rom
from asnet_mlir.cores.core import Instance
from asnet_mlir.cores.verilog.netlist import Netlist
from asnet_mlir.cores.verilog.yosys import Job, run_jobs
from asnet_mlir.errors import AsnetError

__all__ = ["elaborate"]


def elaborate(
    instances: Sequence[Instance], *, flatten: bool = True, simplify: bool = True
) -> list[Netlist | AsnetError]:
    """Return the netlist of each instance, or the error that reading it gave.

    With `flatten` the netlist has one module without instances, whose enable, inactive reset and
    constant inputs are folded into it and whose ports without a role are gone; without it the
    hierarchy is kept (what the structural proof looks at) and every port is there.  Without
    `simplify` a flat netlist has the operations of the Verilog as they are written.
    """
    simplifications = (
        "opt_expr -fine",
        "opt_merge",
        "opt_muxtree",
        "opt_reduce",
        "opt_expr -fine",
    )
    jobs = []
    for instance in instances:
        core = instance.core
        tied = dict(core.ports.tied)
        if core.is_stateful and core.ports.reset:
            del tied[core.ports.reset]
        # One round of what shrinks logic, not `opt -full`: its -undriven and -mux_undef hide
        # undriven nets, opt_dff would turn the multiplexers before a pipeline's registers into
        # enables and synchronous resets, and repeating the passes to a fixed point takes ten times
        # as long.
        fold = ("opt_expr -fine", "opt_dff -nodffe -nosdff") if tied else ()
        body = (
            (
                "proc -norom -noopt",  # what it folds would hide readers from @drivers
                "flatten",
                "@drivers",
                "opt_expr -keepdc",
                "@ports",
                "opt_clean",
                "memory -nordff -nomap",
                f"memory_map -rom-only {rom.SMALL_ROMS}",
                *fold,
                *(simplifications if simplify else ()),
                "opt_clean",
            )
            if flatten
            else ("proc -norom", "opt_expr -fine", "opt_clean")
        )
        jobs.append(
            Job(
                core.sources,
                core.includes,
                body,
                core.module,
                instance.parameters,
                tuple(tied.items()),
                core.ports.outputs,
                flatten,
            )
        )
    # What is included is no part of a job, but of the core's hash.
    keys = [
        (instance.core.sources_hash, job) for instance, job in zip(instances, jobs, strict=True)
    ]
    results = [_recent.get(key) for key in keys]
    missing = [position for position, result in enumerate(results) if result is None]
    for position, result in zip(missing, run_jobs([jobs[p] for p in missing]), strict=True):
        results[position] = result
        if isinstance(result, Netlist):
            _recent.put(keys[position], result)
    return [result for result in results if result is not None]


class _Recent:
    """The last netlists that were made, up to a number of bytes.

    A check, the derivation of a model and the widths of ports each look at the same ones.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._bytes = 0
        self._entries: dict[Any, bytes] = {}  # the oldest first
        self._lock = threading.Lock()

    def get(self, key: Any) -> Netlist | AsnetError | None:
        """Return a netlist of its own for the caller, or None."""
        data = self._entries.get(key)
        return None if data is None else pickle.loads(data)

    def put(self, key: Any, netlist: Netlist) -> None:
        """Keep a netlist."""
        data = pickle.dumps(netlist)
        with self._lock:
            self._bytes += len(data) - len(self._entries.pop(key, b""))
            self._entries[key] = data
            while self._bytes > self._most:
                self._bytes -= len(self._entries.pop(next(iter(self._entries))))


_recent = _Recent(64 << 20)
