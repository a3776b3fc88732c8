# SPDX-License-Identifier: Apache-2.0
"""Bounded subprocesses: argument lists only, time and memory limited, standard error kept."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from asnet_mlir.errors import ToolError, ToolTimeoutError
from asnet_mlir.support import forks
from asnet_mlir.support.resources import how_to_install

__all__ = ["Group", "run", "run_program"]

_GIB = 1 << 30
#: Poll counts milliseconds in 31 bits: two weeks.
_LONGEST = 14 * 24 * 3600.0
_threads = threading.local()

type _Process = subprocess.Popen[str] | forks.Fork


class Group:
    """The processes of some threads: they end together where nobody wants their results any more.

    `ThreadPoolExecutor(.., initializer=group.join)` makes those of its threads a group.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[_Process] = set()
        self._ended = False

    def join(self) -> None:
        """Let `run` in this thread add its processes."""
        _threads.group = self

    def end(self) -> None:
        """End the processes, and those that may still begin."""
        with self._lock:
            self._ended = True
            for process in self._running:
                _kill(process)

    @contextlib.contextmanager
    def holding(self, process: _Process) -> Iterator[None]:
        """Have a process in the group for a while."""
        with self._lock:
            self._running.add(process)
            if self._ended:
                _kill(process)
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(process)


def _kill(process: _Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
            os.killpg(process.pid, signal.SIGKILL)


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
    watch: Callable[[str], bool] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `command` to its end and return it with its standard output and error as text.

    Args:
      command: program and arguments; never passed through a shell.
      purpose: what the command is for, named in errors ("reading mul.v").
      env: variables added to this process's environment.
      timeout_seconds: wall-clock bound, at most two weeks; the whole process group is killed at it.
      memory_bytes: bound on the address space (RLIMIT_AS); None for runtimes that reserve far
        more than they use (WebAssembly).
      check: raise when the exit status is not 0.
      watch: is given each line of standard error as it comes, by another thread; those for which it
        returns a true value are progress and are not kept.

    Raises:
      ToolError: the program is missing, exceeded its time bound, or (with `check`) failed; the last
        lines of its standard error are kept in the message.
    """
    arguments = [os.fspath(part) for part in command]
    timeout_seconds = min(timeout_seconds, _LONGEST)

    try:
        process = subprocess.Popen(
            arguments,
            cwd=cwd,
            env={**os.environ, **env} if env else None,
            stdin=subprocess.PIPE if input_text is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # so that a timeout ends grandchildren as well
        )
        if memory_bytes is not None:
            # Not in a preexec_fn: that runs Python in a fork of a process that has threads.
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(process.pid, resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    except FileNotFoundError:
        hint = how_to_install(Path(arguments[0]).name)
        raise ToolError(f"{purpose}: '{arguments[0]}' is not installed; {hint}") from None
    watcher = None if watch is None else _Watcher(process, watch)
    name = Path(arguments[0]).name
    stdout, stderr = _to_its_end(
        process, lambda: process.communicate(input_text, timeout=timeout_seconds), purpose, name
    )
    if watcher is not None:
        stderr = watcher.finish()
    if check:
        _check(process, stdout, stderr, purpose, name)
    return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)


def run_program(
    program: forks.Program,
    arguments: Sequence[str | os.PathLike[str]],
    *,
    purpose: str,
    cwd: Path | None = None,
    timeout_seconds: float = 600.0,
    memory_bytes: int | None = 8 * _GIB,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a Python file as `run` does, without the time that its imports take.

    Raises:
      ToolError: it can't be started, exceeded its time bound, or (with `check`) failed; the last
        lines of its standard error are kept in the message.
    """
    given = [os.fspath(part) for part in arguments]
    name = program.script.name
    try:
        process = forks.start(program, given, cwd=cwd, memory_bytes=memory_bytes)
    except OSError as error:
        raise ToolError(f"{purpose}: {name} can't be started: {error}") from None
    stdout, stderr = _to_its_end(
        process, lambda: process.communicate(min(timeout_seconds, _LONGEST)), purpose, name
    )
    if check:
        _check(process, stdout, stderr, purpose, name)
    return subprocess.CompletedProcess(given, process.returncode or 0, stdout, stderr)


def _to_its_end(
    process: _Process, communicate: Callable[[], tuple[str, str]], purpose: str, name: str
) -> tuple[str, str]:
    """Wait for a process and return what it wrote; on any error it is ended."""
    group: Group | None = getattr(_threads, "group", None)
    try:
        with group.holding(process) if group else contextlib.nullcontext():
            return communicate()
    except BaseException as error:
        _kill(process)
        process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise ToolTimeoutError(
                f"{purpose}: {name} took longer than {error.timeout:g} s"
            ) from None
        raise


def _check(process: _Process, stdout: str, stderr: str, purpose: str, name: str) -> None:
    if process.returncode != 0:
        tail = " | ".join((stderr.strip() or stdout.strip()).splitlines()[-5:])
        raise ToolError(f"{purpose}: {name} ended with status {process.returncode}: {tail}")


class _Watcher(threading.Thread):
    """Reads a process's standard error while it runs."""

    def __init__(self, process: subprocess.Popen[str], watch: Callable[[str], bool]) -> None:
        super().__init__(daemon=True)
        assert process.stderr is not None
        # `communicate` then leaves it alone.
        self._pipe, process.stderr = process.stderr, None
        self._watch = watch
        self._kept: list[str] = []
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        """Pass on lines until the end."""
        with self._pipe:
            for line in self._pipe:
                try:
                    is_progress = self._error is None and self._watch(line.rstrip("\n"))
                except Exception as error:
                    self._error, is_progress = error, True
                if not is_progress:
                    self._kept.append(line)

    def finish(self) -> str:
        """Return what was kept."""
        self.join()
        if self._error is not None:
            raise self._error
        return "".join(self._kept)
