# SPDX-License-Identifier: Apache-2.0
"""Python programs that start quickly: forks of a process that has imported what they need.

Yosys and CIRCT run in processes of their own (an error of Yosys ends its process; CIRCT and MLIR do
not live in one), many times for one core, and importing them takes longer than most of their jobs.
So one process for each set of imports waits for jobs, and each job is a fork of it.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Fork", "Program", "start"]

_SERVER = Path(__file__).with_name("fork_server.py")
_SECONDS_TO_END = 5.0


@dataclass(frozen=True)
class Program:
    """A Python file to be run as a program.

    Attributes:
      script: the file.
      imports: the modules that are there already when it starts.
      siblings: it imports files that are beside it.
    """

    script: Path
    imports: tuple[str, ...]
    siblings: bool = False


class Fork:
    """A running program, with what is used of `subprocess.Popen`.

    Attributes:
      pid: its number, and that of its process group.
      returncode: its exit status, minus the signal that ended it; None while it runs.
    """

    def __init__(self, output: int, error: int, status: int) -> None:
        # The program's number and its wait status; both are whole, as a pipe writes them.
        self._pipes = {output: bytearray(), error: bytearray(), status: bytearray()}
        self._texts = [self._pipes[output], self._pipes[error]]
        self._status = self._pipes[status]
        self.returncode: int | None = None
        self._status += os.read(status, 8)
        self.pid = int.from_bytes(self._status, "little")

    @property
    def has_begun(self) -> bool:
        """Whether the server lived long enough to start it."""
        return bool(self._status)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for the end and return standard output and error.

        Raises:
          subprocess.TimeoutExpired: it still runs; another call goes on.
        """
        end = None if timeout is None else time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            for pipe in self._pipes:
                selector.register(pipe, selectors.EVENT_READ)
            while self._pipes:
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    raise subprocess.TimeoutExpired("", timeout or 0.0)
                for key, _ in selector.select(left):
                    data = os.read(key.fd, 1 << 16)
                    self._pipes[key.fd] += data
                    if not data:
                        selector.unregister(key.fd)
                        del self._pipes[key.fd]
                        os.close(key.fd)
        ended = int.from_bytes(self._status[8:], "little") if len(self._status) > 8 else 9
        self.returncode = os.waitstatus_to_exitcode(ended)  # without a word: the server was ended
        out, err = (text.decode("utf-8", "replace") for text in self._texts)
        return out, err


class _Server:
    """A process that has imported some modules; ended with this one, or when nobody holds it."""

    def __init__(self, imports: Sequence[str]) -> None:
        # Messages, not a stream: threads, and forks of this process, may send at the same time.
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_SERVER), str(theirs.fileno()), *imports],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        self._owner = os.getpid()
        atexit.register(self.close)

    def start(self, request: dict[str, Any]) -> Fork:
        """Start a program.

        Raises:
          OSError: the server is not there any more.
        """
        with contextlib.ExitStack() as ours:
            pipes = [os.pipe() for _ in range(3)]
            for _, write in pipes:
                ours.callback(os.close, write)
            try:
                memory = os.memfd_create("request")
                ours.callback(os.close, memory)
                os.write(memory, json.dumps(request).encode())
                theirs = [memory, *(write for _, write in pipes)]
                socket.send_fds(self._socket, [b"."], theirs)
            except OSError:
                for read, _ in pipes:
                    os.close(read)
                raise
        fork = Fork(*(read for read, _ in pipes))
        if not fork.has_begun:
            fork.communicate()
            raise BrokenPipeError("the server ended")
        return fork

    def close(self) -> None:
        """Have the process end, and wait until it has."""
        atexit.unregister(self.close)
        self._socket.close()
        if self._owner == os.getpid():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_SECONDS_TO_END)


_servers: dict[tuple[str, ...], _Server] = {}
_lock = threading.Lock()


@contextlib.contextmanager
def _serving(imports: tuple[str, ...]) -> Iterator[_Server]:
    with _lock:
        if imports not in _servers:
            _servers[imports] = _Server(imports)
        server = _servers[imports]
    try:
        yield server
    except OSError:
        with _lock:
            if _servers.get(imports) is server:
                del _servers[imports]
        server.close()
        raise


def start(
    program: Program,
    arguments: Sequence[str],
    *,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    memory_bytes: int | None = None,
) -> Fork:
    """Start a program; its standard input is empty.

    Args:
      env: variables added to this process's environment.
      memory_bytes: bound on the address space, for it alone.

    Raises:
      OSError: the process that it would be a fork of can't be started, or ended twice.
    """
    request = {
        "script": str(program.script.resolve()),
        "arguments": list(arguments),
        "siblings": program.siblings,
        "cwd": os.fspath(cwd or Path.cwd()),
        "env": {**os.environ, **(env or {})},
        "memory_bytes": memory_bytes,
    }
    with contextlib.suppress(OSError), _serving(program.imports) as server:
        return server.start(request)
    with _serving(program.imports) as server:
        return server.start(request)
