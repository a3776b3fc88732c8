# SPDX-License-Identifier: Apache-2.0
"""Latency by structure, and whether a core can be taken at all."""

from __future__ import annotations

import json
from collections.abc import Callable

from asnet_mlir.cores.core import Instance
from asnet_mlir.cores.verilog.elaborate import elaborate
from asnet_mlir.cores.verilog.netlist import Netlist
from asnet_mlir.cores.verilog.structure import check_structure, remove_registers
from asnet_mlir.cores.verilog.yosys import Job, reader_version, run_jobs
from asnet_mlir.errors import AsnetError, UnsupportedError
from asnet_mlir.support.cache import cached_text, content_hash

__all__ = ["check_stateful", "check_systemverilog", "measure_latency"]


def measure_latency(instance: Instance) -> int:
    """Return the number of registers on every path from the operands to the result.

    Raises:
      AsnetError: the netlist cannot be read, or is no feed-forward pipeline.
    """
    return int(_about(instance, lambda netlist: str(remove_registers(netlist, instance)[1])))


def check_stateful(instance: Instance) -> None:
    """Check the netlist of a core with a handshake or a fixed latency; see `check_structure`."""

    def checked(netlist: Netlist) -> str:
        check_structure(netlist, instance)
        return "checked"

    _about(instance, checked)


def check_systemverilog(instance: Instance) -> None:
    """Check that a core can be read as SystemVerilog, as what bundles are made of is.

    Raises:
      UnsupportedError: it cannot, as where `logic` or `bit` are names in Verilog-2005.
    """
    core = instance.core
    if all(source.path.suffix != ".v" for source in core.sources):
        return
    key = content_hash(reader_version(), "systemverilog", core.sources_hash)

    def make() -> str:
        job = Job(core.sources, core.includes, (), core.module, instance.parameters)
        result = run_jobs([job], readers=("systemverilog", "slang"))[0]
        if isinstance(result, AsnetError):
            raise UnsupportedError(
                f"{result}; this is Verilog-2005 but no SystemVerilog, which bundles are written "
                "in: rename what has the name of a keyword"
            )
        return "SystemVerilog"

    cached_text("latencies", key, make)


def _about(instance: Instance, say: Callable[[Netlist], str]) -> str:
    """Return what is said about an instance's netlist, from the cache if it was before."""
    core = instance.core
    contract = [core.ports.to_json(), core.format, core.is_stateful, instance.parameters]
    names = [str(source.path) for source in core.sources]
    key = content_hash(reader_version(), core.sources_hash, json.dumps([names, contract]))

    def make() -> str:
        netlist = elaborate([instance])[0]
        if isinstance(netlist, AsnetError):
            raise netlist
        return say(netlist)

    return cached_text("latencies", key, make)
