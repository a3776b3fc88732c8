# SPDX-License-Identifier: Apache-2.0
"""Which process runs a study, so that others know whether it still does."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asnet_mlir.support.cache import content_hash

__all__ = ["is_alive", "this_run"]


def this_run() -> dict[str, Any]:
    """Return what tells this process from all others, of other machines and earlier ones."""
    process = os.getpid()
    return {"machine": _machine(), "process": process, "started": _started(process)}


def is_alive(run: Mapping[str, Any]) -> bool | None:
    """Whether the process that `this_run` described still runs; None on another machine."""
    if run.get("machine") != _machine():
        return None
    started = _started(int(run["process"]))
    return started is not None and started == run.get("started")


def _machine() -> str:
    """Return what stands for this machine, without its name."""
    return content_hash(platform.node())[:16]


def _started(process: int) -> str | None:
    """Return when a process was started, in ticks of the machine's current run; None without it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        state, *facts = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return None if Path("/proc/self/stat").exists() else _answers(process)
    except ProcessLookupError:
        return None
    return None if state in "ZX" else f"{boot} {facts[18]}"  # `man 5 proc`: field 22


def _answers(process: int) -> str | None:
    """Where there is no /proc: whether a process of this number is there."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "?"
