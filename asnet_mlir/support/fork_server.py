# SPDX-License-Identifier: Apache-2.0
"""A process that runs Python programs in forks of itself: `python fork_server.py SOCKET MODULE..`.

The modules are imported once, so that a program which needs them starts in milliseconds.  It
imports nothing of this package.  `forks.py` is the other end of the socket (its descriptor is
SOCKET): each message brings four descriptors, of a JSON request `{"script": FILE, "arguments":
[TEXT, ..], "siblings": BOOLEAN, "cwd": FOLDER, "env": {NAME: TEXT, ..}, "memory_bytes": N | null}`,
of the program's standard output and error, and of a pipe into which go its number, once it leads a
session of its own, and its wait status, when it has ended: two words of 8 bytes.

When the other end is closed, the programs that still run are ended, and so is this process.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import json
import os
import resource
import select
import signal
import socket
import sys
import traceback
from types import CodeType, ModuleType
from typing import Any


def main() -> None:
    """Serve the socket named on the command line until its other end is closed."""
    control = socket.socket(fileno=int(sys.argv[1]))
    for name in sys.argv[2:]:
        with contextlib.suppress(ImportError):  # the program says what is missing
            importlib.import_module(name)
    wake, alarm = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(alarm, warn_on_full_buffer=False)
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(wake, select.POLLIN)
    running: dict[int, int] = {}  # by a program's number, the pipe that is told of its end
    while True:
        for ready, _ in poll.poll():
            if ready == wake:
                os.read(wake, 1 << 16)
                _report(running)
                continue
            _, given, _, _ = socket.recv_fds(control, 1, 4)
            if not given:
                for pid in running:
                    with contextlib.suppress(ProcessLookupError):  # it has no session yet
                        os.killpg(pid, signal.SIGKILL)
                return
            _program(given[0])  # read and compiled here, for the next time as well
            pid = os.fork()
            if not pid:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _become_program(*given)
            *others, running[pid] = given
            for descriptor in others:
                os.close(descriptor)


def _report(running: dict[int, int]) -> None:
    """Report the programs that have ended."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            status = running.pop(ended[0])
            with contextlib.suppress(BrokenPipeError):  # nobody waits any more
                os.write(status, ended[1].to_bytes(8, "little"))
            os.close(status)


def _program(request: int) -> tuple[dict[str, Any], CodeType | None]:
    """Return a request and its script as code, None where there is none to be read."""
    wanted = json.loads(os.pread(request, os.fstat(request).st_size, 0))
    try:
        return wanted, _compiled(wanted["script"], os.stat(wanted["script"]).st_mtime_ns)
    except (OSError, SyntaxError):
        return wanted, None


@functools.cache
def _compiled(script: str, _modified: int) -> CodeType:
    with open(script, "rb") as file:
        return compile(file.read(), script, "exec")


def _become_program(request: int, output: int, error: int, status: int) -> None:
    """Run a script as `python SCRIPT ARGUMENTS` would, to its end and that of this process."""
    code: Any = 1
    try:
        os.setsid()
        wanted, program = _program(request)
        for descriptor, number in ((output, 1), (error, 2)):
            os.dup2(descriptor, number)
        # Anew: those that there are take what was behind the descriptors for what is there now.
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
        sys.stderr = os.fdopen(
            2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False
        )
        os.write(status, os.getpid().to_bytes(8, "little"))
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        if wanted["memory_bytes"] is not None:
            resource.setrlimit(resource.RLIMIT_AS, (wanted["memory_bytes"],) * 2)
        os.chdir(wanted["cwd"])
        os.environ.clear()
        os.environ.update(wanted["env"])
        script = wanted["script"]
        sys.argv = [script, *wanted["arguments"]]
        if wanted["siblings"]:
            sys.path.insert(0, os.path.dirname(script))
        module = ModuleType("__main__")
        module.__file__ = script
        sys.modules["__main__"] = module
        if program is None:
            with open(script, encoding="utf-8") as file:  # says what is wrong with it
                program = compile(file.read(), script, "exec")
        exec(program, module.__dict__)
        code = 0
    except SystemExit as end:
        code = 0 if end.code is None else end.code
        if not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        ctypes.CDLL(None).fflush(None)  # what libraries in C wrote
        os._exit(code & 0xFF)


if __name__ == "__main__":
    main()
