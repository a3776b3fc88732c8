"""Bounded subprocesses: argument lists only, time and memory limited, standard error kept."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from asnet_mlir.errors import ToolError

__all__ = ["run"]

_GIB = 1 << 30


def run(
    command: Sequence[str | os.PathLike[str]],
    *,
    purpose: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    input_text: str | None = None,
    timeout_seconds: float = 600.0,
    memory_bytes: int | None = 8 * _GIB,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run `command` to its end and return it with its standard output and error as text.

    Args:
      command: program and arguments; never passed through a shell.
      purpose: what the command is for, named in errors ("reading mul.v").
      env: variables added to this process's environment.
      timeout_seconds: wall-clock bound; the whole process group is killed at it.
      memory_bytes: bound on the address space (RLIMIT_AS); None for runtimes that reserve far
        more than they use (WebAssembly).
      check: raise when the exit status is not 0.

    Raises:
      ToolError: the program is missing, exceeded its time bound, or (with `check`) failed; the last
        lines of its standard error are kept in the message.
    """
    arguments = [os.fspath(part) for part in command]

    try:
        process = subprocess.Popen(
            arguments,
            cwd=cwd,
            env={**os.environ, **env} if env else None,
            stdin=subprocess.PIPE if input_text is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # so that a timeout ends grandchildren as well
        )
        if memory_bytes is not None:
            # Not in a preexec_fn: that runs Python in a fork of a process that has threads.
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(process.pid, resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    except FileNotFoundError:
        raise ToolError(f"{purpose}: '{arguments[0]}' is not installed; run 'make setup'") from None
    try:
        stdout, stderr = process.communicate(input_text, timeout=timeout_seconds)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise ToolError(
                f"{purpose}: {Path(arguments[0]).name} took longer than {timeout_seconds:g} s"
            ) from None
        raise
    if check and process.returncode != 0:
        tail = " | ".join((stderr.strip() or stdout.strip()).splitlines()[-5:])
        raise ToolError(
            f"{purpose}: {Path(arguments[0]).name} ended with status {process.returncode}: {tail}"
        )
    return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)
