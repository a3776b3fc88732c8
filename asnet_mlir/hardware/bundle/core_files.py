# SPDX-License-Identifier: Apache-2.0
"""From an instance to the files of its unit."""

from __future__ import annotations

import dataclasses
import re
import tempfile
from pathlib import Path

from asnet_mlir.cores import Core, Instance, native_masks
from asnet_mlir.cores.simulation.latency import with_latency
from asnet_mlir.cores.verilog.interface import read_interface
from asnet_mlir.cores.verilog.structural_latency import check_systemverilog
from asnet_mlir.errors import UnsupportedError
from asnet_mlir.hardware.bundle import core_data, iterative
from asnet_mlir.hardware.bundle import systemverilog as verilog
from asnet_mlir.hardware.bundle.unit import CoreFiles
from asnet_mlir.support import verilator

__all__ = ["core_files", "unit_files"]


def unit_files(instance: Instance) -> CoreFiles:
    """Return an instance as hardware has it: an iterative core in its adapter."""
    instance = with_latency(instance)
    files = core_files(instance)
    if not instance.core.is_stateful:
        return files
    return iterative.adapted(files, instance.unit_latency, instance.unit_interval)


def core_files(instance: Instance) -> CoreFiles:
    """Return the files of an instance as they are, without an adapter."""
    instance = with_latency(instance)
    core = instance.core
    # Before the language: a data file that is missing is no matter of keywords.
    sources, data = _sources(core)
    check_systemverilog(instance)
    widths = _widths(instance) if core.ports.tied or core.format != "f32" else {}
    ports, tied = core.ports, core.ports.tied
    if core.is_stateful:
        tied.pop(ports.reset or "", None)
    else:
        ports = dataclasses.replace(ports, reset=None)
    return CoreFiles(
        op=core.op or "",
        module=core.module,
        sources=sources,
        data=data,
        parameters=dict(instance.parameters),
        latency=instance.latency,
        # An exact core behind masks gives the exact core's NaN.
        canonical_nan=native_masks(instance) is not None,
        ports=ports,
        widths=(32, 32, 32)
        if core.format == "f32"
        else (widths[ports.a], widths[ports.b], widths[ports.result]),
        tied={name: (widths[name], value) for name, value in tied.items()},
        label=instance.label,
        interval=instance.interval,
        license=core.license,
        reference=core.reference,
    )


def _widths(instance: Instance) -> dict[str, int]:
    """Return the bits of each port."""
    core = instance.core
    interface = read_interface(
        core.sources,
        core.module,
        includes=core.includes,
        parameters=dict(instance.parameters),
    )
    return {port.name: port.width for port in interface.ports}


def _sources(core: Core) -> tuple[tuple[core_data.File, ...], tuple[core_data.File, ...]]:
    """Return name and text of each of a core's files, such that they can stand beside others.

    The second ones are what its memories are read from.

    Macros would reach from one core into the next, and included files would be missing: a core that
    has such things becomes one file without them, of all its files in the order they are read.
    """
    path = core.sources[0].path
    files = [
        (re.sub(r"[^\w.-]", "_", source.path.name, flags=re.ASCII), source.text)
        for source in core.sources
    ]
    several = len(files) > 1
    if any(
        verilog.directives(text) or (several and "`default_nettype" in text) for _, text in files
    ):
        with tempfile.TemporaryDirectory(prefix="asnet-verilog-") as name:
            # A suffix says the language: names that are keywords of the other one stay names.
            suffixes = [".v" if s.path.suffix == ".v" else ".sv" for s in core.sources]
            names = [f"f{number}{suffix}" for number, suffix in enumerate(suffixes)]
            for copy, (_, text) in zip(names, files, strict=True):
                (Path(name) / copy).write_text(text, encoding="utf-8")
            text = verilator.preprocess(
                names,
                includes=core.include_folders,
                cwd=Path(name),
                purpose=f"expanding the macros of {path}",
            )
        files = [(files[0][0], text)]
        left = verilog.directives(text)
        if left:
            raise UnsupportedError(
                f"{path}: {core.name} uses {min(left)}, whose effect would reach other cores of a "
                "bundle; remove it"
            )
    return core_data.placed(core, files)
