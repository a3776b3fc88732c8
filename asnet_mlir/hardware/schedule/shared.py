# SPDX-License-Identifier: Apache-2.0
"""The hardware forms of a bound network: text in, text out, each in a process of its own.

bound --asnet-opt--> scheduled --asnet-hw-opt--> microcode, hw, sv
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asnet_mlir.errors import InputError, ToolError
from asnet_mlir.hardware.schedule.registers import FEWEST, Registers
from asnet_mlir.support import processes
from asnet_mlir.support.resources import lowering_directory
from asnet_mlir.support.tools import asnet_opt_path, circt_program

__all__ = ["FORMS", "asnet_hw_opt", "emit", "hw_opt", "schedule"]

#: What `emit` can return.
FORMS = ("scheduled", "microcode", "hw", "sv")


def schedule(network: str, registers: Registers = FEWEST) -> str:
    """Return a bound network as scheduled affine loops, in the generic form for the next tool.

    Args:
      network: MLIR text on tensors: one function whose arguments carry `approx.role = "input"` or
        `approx.weight`, every approx op bound to an instance that `approx.library` declares.
      registers: those beyond what the machine needs.

    Raises:
      InputError: the network has something that the machine cannot do; the message names the
        operation, its location and its layer.
    """
    command: list[str | os.PathLike[str]] = [
        asnet_opt_path(),
        f"--asnet-schedule={registers.of_machine}",
        "--mlir-print-op-generic",
    ]
    result = processes.run(
        command, purpose="scheduling the network", input_text=network, check=False
    )
    if result.returncode:
        errors = [line for line in result.stderr.splitlines() if ": error: " in line]
        if not errors:
            tail = " | ".join(result.stderr.strip().splitlines()[-3:])
            raise ToolError(
                f"scheduling the network: asnet-opt ended with status {result.returncode}: {tail}"
            )
        raise InputError(f"scheduling the network: {errors[0].removeprefix('<stdin>:')}")
    return result.stdout


def hw_opt(
    scheduled: str,
    emit: str,
    name: str = "",
    cores: Mapping[int, Mapping[str, Any]] | None = None,
) -> str:
    """Run asnet-hw-opt on a scheduled network; see lowering/circt/hw_opt.py for what it emits.

    Args:
      cores: for each instance how its core is attached: keys of `CorePorts` there.
    """
    with tempfile.TemporaryDirectory(prefix="asnet-hw-") as folder:
        cores_file = Path(folder) / "cores.json"
        cores_file.write_text(
            json.dumps({str(key): dict(value) for key, value in (cores or {}).items()})
        )
        (Path(folder) / "scheduled.mlir").write_text(scheduled, encoding="utf-8")
        return processes.run_program(
            circt_program("hw_opt.py"),
            [
                f"{folder}/scheduled.mlir",
                f"--emit={emit}",
                f"--name={name}",
                f"--cores={cores_file}",
                "--verified",
            ],
            purpose="generating the machine with CIRCT",
        ).stdout


def emit(
    network: str,
    form: str,
    name: str = "",
    cores: Mapping[int, Mapping[str, Any]] | None = None,
    registers: Registers = FEWEST,
) -> str:
    """Return the text of one of `FORMS` for a bound network."""
    if form not in FORMS:
        raise InputError(f"unknown form '{form}'; forms are {', '.join(FORMS)}")
    if form == "scheduled":
        return schedule(network, registers)
    return hw_opt(schedule(network, registers), form, name, cores)


def asnet_hw_opt(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `asnet-hw-opt`: replace this process by the tool."""
    script = str(lowering_directory() / "circt" / "hw_opt.py")
    given = list(sys.argv[1:] if arguments is None else arguments)
    os.execv(sys.executable, [sys.executable, "-E", script, *given])
