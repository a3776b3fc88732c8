# SPDX-License-Identifier: Apache-2.0
"""Solvers run in a process of their own, which can be bounded and may end at any time."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asnet_mlir.errors import ToolError
from asnet_mlir.support import processes

__all__ = ["answers"]

_MEMORY_BYTES = 6 << 30
_START_SECONDS = 20.0


def answers(
    worker: Sequence[str | Path], request: Any, seconds: Sequence[float], purpose: str
) -> tuple[list[dict[str, Any]], str]:
    """Run a solver's jobs one after the other.

    Args:
      worker: arguments of Python that run it; the file of the request follows them.
      request: what it reads, as JSON values.
      seconds: bound on each job.
      purpose: what the jobs are for, named in errors.

    Returns:
      The answers that came, in the order of the jobs (the worker prints each as a line), and why
      there are no more: it took too long, or ended by itself, for want of memory for example.

    Raises:
      ToolError: the worker failed before the first answer, but not for want of memory.
    """
    with tempfile.TemporaryDirectory(prefix="asnet-solver-") as name:
        path = Path(name) / "request.json"
        path.write_text(json.dumps(request), encoding="utf-8")
        try:
            done = processes.run(
                [sys.executable, *worker, path],
                purpose=purpose,
                timeout_seconds=_START_SECONDS + sum(seconds) + 10.0 * len(seconds),
                memory_bytes=_MEMORY_BYTES,
                check=False,
            )
        except ToolError as error:
            return [], str(error)
    lines, reason = done.stdout.splitlines(), ""
    if done.returncode:
        tail = done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}"]
        reason = f"the solver ended by itself: {tail[0]}"
        if not lines and "emory" not in reason and done.returncode > 0:
            raise ToolError(f"{purpose}: {tail[0]}")
    return [json.loads(line) for line in lines], reason
