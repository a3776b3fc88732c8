# SPDX-License-Identifier: Apache-2.0
"""Where the programs of the package are."""

from __future__ import annotations

import os
from pathlib import Path

import asnet_mlir
from asnet_mlir.support.forks import Program
from asnet_mlir.support.resources import lowering_directory

__all__ = ["asnet_opt_path", "circt_program", "yosys_program"]

_YOSYS_COMMANDS = Path(__file__).with_name("yosys_commands.py")
_CIRCT = ("circt.passmanager", *(f"circt.dialects.{name}" for name in ("arith", "comb", "hw")))


def yosys_program(script: Path = _YOSYS_COMMANDS) -> Program:
    """Return a program that has Yosys, whose errors end it; by default, it runs commands."""
    return Program(script, ("pyosys.libyosys",))


def circt_program(name: str) -> Program:
    """Return a program of CIRCT's process, a file of `lowering/circt`."""
    return Program(lowering_directory() / "circt" / name, _CIRCT, siblings=True)


def asnet_opt_path() -> Path:
    """Return the path of `asnet-opt`: `ASNET_OPT`, a build of one's own, or the package's.

    Raises:
      FileNotFoundError: the package was installed without its binaries.
    """
    if own := os.environ.get("ASNET_OPT"):
        return Path(own)
    # An editable install has two package folders: the checkout and the one that CMake fills.
    for folder in asnet_mlir.__path__:
        path = Path(folder) / "bin" / "asnet-opt"
        if path.is_file():
            return path
    raise FileNotFoundError(
        "the package lacks its binary 'asnet-opt'; reinstall it: pip install -e . (see README.md)"
    )
