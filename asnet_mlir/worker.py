# SPDX-License-Identifier: Apache-2.0
"""MLIR in a process of its own, for processes that can't hold it.

TensorFlow and CIRCT bring symbols that the loader merges with MLIR's: where one of them was
imported first, importing MLIR ends the process (docs/decisions/0009-front-ends-and-processes.md).
The public verbs, marked by `in_mlir_process`, then run in a worker: arguments and results go
through a socket, large arrays through files in shared memory, and functions among the arguments (a
network's lowering by its framework, a progress report) are called back where they came from.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib
import inspect
import io
import itertools
import mmap
import os
import pickle
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from asnet_mlir import dialects
from asnet_mlir.errors import AsnetError, AsnetWarning, ToolError, warn

__all__ = ["in_mlir_process", "main", "run_apart"]

_MODULE = "asnet_mlir.worker_main"
_SHARED_MEMORY = Path("/dev/shm")
_LARGE_BYTES = 1 << 16
_STDERR_LINES = 5


def in_mlir_process[**P, R](
    *, load: Callable[[Any], Any] | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Mark a public function as one that needs MLIR; a worker runs it where this process can't.

    Args:
      load: makes a `Network` of a `model` argument that is an object of a framework, here, where
        that lives.

    Raises:
      ToolError: the worker ended twice in a row; the end of its standard error is kept.
    """

    def marked(verb: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(verb)

        @functools.wraps(verb)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if dialects.can_load():
                return verb(*args, **kwargs)
            bound = signature.bind(*args, **kwargs)
            model = bound.arguments.get("model")
            if load is not None and model is not None and not isinstance(model, str | Path):
                bound.arguments["model"] = load(model)
            try:
                result: R = _worker(_WORKERS, attempts=2).call(
                    verb.__module__, verb.__qualname__, bound.args, dict(bound.kwargs)
                )
            except _DiedError as died:
                raise ToolError(
                    f"the process that runs MLIR for this one ended twice, {died}"
                ) from None
            return result

        return call

    return marked


def run_apart[R](function: Callable[..., R], *args: Any, purpose: str) -> R:
    """Call a function that can be imported in a process of its own, kept for the next call.

    Args:
      purpose: what it is for, named in errors ("running the network by XLA").

    Raises:
      ToolError: the process died; the end of its standard error is kept.
    """
    helper = _worker(_HELPERS, attempts=1)
    try:
        result: R = helper.call(function.__module__, function.__qualname__, args, {})
    except _DiedError as died:
        raise ToolError(f"{purpose}: the process that did it ended {died}") from None
    return result


# Messages


class _Pickler(pickle.Pickler):
    """Pickles functions that the other side can't import as calls back."""

    def __init__(self, file: Any, exported: dict[int, Callable[..., Any]], **options: Any) -> None:
        super().__init__(file, **options)
        self._exported = exported

    def reducer_override(self, value: Any) -> Any:
        if not isinstance(value, types.FunctionType | types.MethodType | functools.partial):
            return NotImplemented
        if isinstance(value, types.FunctionType) and _is_importable(value):
            return NotImplemented
        self._exported[id(value)] = value
        return _Callback, (id(value),)


def _is_importable(function: types.FunctionType) -> bool:
    if function.__module__ == "__main__":
        return False
    found: Any = sys.modules.get(function.__module__)
    for name in function.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is function


class _Callback:
    """A function of the process at the channel's other end."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _CHANNEL.get().request("callback", self.number, args, kwargs)


class _Current:
    """The channel on which this thread is being served, for callbacks that its messages bring."""

    def __init__(self) -> None:
        self._stack: list[Channel] = []

    def get(self) -> Channel:
        if not self._stack:
            raise AsnetError("a function of another process was called after its verb had ended")
        return self._stack[-1]

    @contextlib.contextmanager
    def use(self, channel: Channel) -> Iterator[None]:
        self._stack.append(channel)
        try:
            yield
        finally:
            self._stack.pop()


_CHANNEL = _Current()


class Channel:
    """One end of a conversation: either side may ask the other while it is being asked.

    Only one thread at a time speaks; `request` waits for its turn.
    """

    def __init__(self, connection: Connection, folders: Sequence[Path]) -> None:
        """Speak through `connection`; large arrays lie in a folder until they are read.

        Args:
          folders: the first that has room is taken; a container's shared memory may be small.
        """
        self._connection = connection
        self._folders = tuple(folders)
        self._names = (f"{os.getpid()}-{number}" for number in itertools.count())
        self._exported: dict[int, Callable[..., Any]] = {}
        self._lock = threading.RLock()
        self._depth = 0

    def request(self, kind: str, *content: Any) -> Any:
        """Ask the other side and return its answer; its requests meanwhile are served.

        Raises:
          EOFError, OSError: the other side has ended.
          AsnetError: what the other side raised (any other exception as RuntimeError).
        """
        with self._lock, _CHANNEL.use(self):
            self._depth += 1
            try:
                self._send(kind, content)
                return self._wait()
            finally:
                self._depth -= 1
                if not self._depth and kind == "call":
                    self._exported.clear()  # nobody asks for them any more

    def serve(self) -> None:
        """Answer requests until the other side ends."""
        with _CHANNEL.use(self), contextlib.suppress(EOFError, ConnectionResetError):
            self._wait()

    def _wait(self) -> Any:
        while True:
            kind, content = self._receive()
            if kind == "result":
                return content[0]
            if kind == "error":
                raise content[0]
            try:
                answer = ("result", (self._run(kind, *content),))
            except Exception as error:
                answer = ("error", (_portable(error),))
            try:
                self._send(*answer)
            except (pickle.PicklingError, TypeError, AttributeError) as error:
                self._send("error", (RuntimeError(f"the result can't be sent: {error}"),))

    def _run(self, kind: str, *content: Any) -> Any:
        if kind == "callback":
            number, args, kwargs = content
            return self._exported[number](*args, **kwargs)
        if kind == "warning":
            warn(*content)
            return None
        folder, module, name, args, kwargs = content
        os.chdir(folder)  # relative paths are the caller's
        function: Any = importlib.import_module(module)
        for part in name.split("."):
            function = getattr(function, part)
        return function(*args, **kwargs)

    def _send(self, kind: str, content: tuple[Any, ...]) -> None:
        files: list[tuple[str, int]] = []

        def keep(buffer: pickle.PickleBuffer) -> bool:
            raw = buffer.raw()
            if raw.nbytes < _LARGE_BYTES:
                return True  # within the message
            path = self._room(raw.nbytes) / next(self._names)
            with open(path, "wb") as file:
                file.write(raw)
            files.append((str(path), raw.nbytes))
            return False

        message = io.BytesIO()
        pickler = _Pickler(message, self._exported, protocol=5, buffer_callback=keep)
        pickler.dump((kind, content))
        self._connection.send_bytes(pickle.dumps(files))
        self._connection.send_bytes(message.getbuffer())

    def _room(self, size: int) -> Path:
        for folder in self._folders:
            if shutil.disk_usage(folder).free > size:
                return folder
        return self._folders[-1]  # where writing will say what is wrong

    def _receive(self) -> tuple[str, tuple[Any, ...]]:
        files = pickle.loads(self._connection.recv_bytes())
        message = self._connection.recv_bytes()
        buffers = []
        for path, size in files:
            with open(path, "rb") as file:
                # Private pages: the receiver may write to what it was given.
                buffers.append(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY))
            os.unlink(path)
        kind, content = pickle.loads(message, buffers=buffers)
        return kind, content


def _portable(error: Exception) -> Exception:
    """Return `error`, or where the other side could not make it, a RuntimeError that tells it."""
    try:
        pickle.loads(pickle.dumps(error))
        return error
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")


# The process that asks


class _DiedError(Exception):
    """The other process ended; says how, and the end of its standard error."""


class _Worker:
    """The worker process, started when it is first needed and again when it has died."""

    def __init__(self, attempts: int) -> None:
        self._attempts = attempts
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.RLock()
        self.owner = os.getpid()

    def call(self, module: str, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        with self._lock:
            for attempt in range(self._attempts):
                self._start()
                try:
                    return self._channel.request(
                        "call", os.getcwd(), module, name, tuple(args), kwargs
                    )
                except (EOFError, ConnectionError, BrokenPipeError):
                    status, text = self._stop()
                    if attempt == self._attempts - 1:
                        raise _DiedError(f"{status}: {text}") from None
                except Exception:
                    raise
                except BaseException:
                    self._stop()  # Ctrl-C: the worker is in the middle of something
                    raise
                finally:
                    self._forward_errors()
        raise AssertionError("not reached")

    def _start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self._stop()
        shared = [_SHARED_MEMORY] if os.access(_SHARED_MEMORY, os.W_OK) else []
        self._folders = [
            Path(tempfile.mkdtemp(prefix="asnet-worker-", dir=place)) for place in (*shared, None)
        ]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
        self._shown = 0
        ours, theirs = socket.socketpair()
        with theirs:
            # What the caller may import, the worker may: a function as `module:function`.
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p or "." for p in sys.path)}
            self._process = subprocess.Popen(
                [sys.executable, "-m", _MODULE, str(theirs.fileno()), *map(str, self._folders)],
                stdin=subprocess.DEVNULL,
                stdout=self._errors,
                stderr=self._errors,
                pass_fds=[theirs.fileno()],
                env=environment,
                start_new_session=True,  # Ctrl-C is for the caller, which ends the worker
            )
        self._connection = Connection(ours.detach())
        self._channel = Channel(self._connection, self._folders)

    def _stop(self) -> tuple[str, str]:
        """End the process; return how it ended and the end of its standard error."""
        if self._process is None:
            return "never started", ""
        self._connection.close()
        try:
            # It ends by itself when the connection is closed, unless it computes.
            status = self._process.wait(0.2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        self._errors.close()
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
        self._process = None
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        # What ends XLA and TensorFlow is said before a trace of their stack.
        fatal = [line for line in lines if re.match(r"F\d{4} ", line)]
        return how, " | ".join((fatal or lines)[-_STDERR_LINES:]) or "no message"

    def _forward_errors(self) -> None:
        """Show what the worker wrote to its standard error, as if it had been written here."""
        if self._process is None:
            return
        text = os.pread(self._errors.fileno(), 1 << 20, self._shown)
        self._shown += len(text)
        if text:
            sys.stderr.write(text.decode(errors="replace"))

    def close(self) -> None:
        if self.owner == os.getpid():
            self._stop()


_WORKERS: list[_Worker] = []
_HELPERS: list[_Worker] = []


def _worker(started: list[_Worker], attempts: int) -> _Worker:
    # A fork has its parent's list, but not its parent's worker.
    if not started or started[-1].owner != os.getpid():
        started.append(_Worker(attempts))
        atexit.register(started[-1].close)
    return started[-1]


# The process that answers


def main(arguments: Sequence[str]) -> int:
    """Serve the process at the other end of a socket until it ends."""
    dialects.load()
    folders = [Path(name) for name in arguments[1:]]
    channel = Channel(Connection(int(arguments[0])), folders)
    warnings.simplefilter("always", AsnetWarning)  # who asked decides what becomes of it
    warnings.showwarning = functools.partial(_hand_on, channel, warnings.showwarning)
    channel.serve()
    for folder in folders:
        # Where the caller was killed, nobody else does.
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _hand_on(
    channel: Channel,
    usual: Callable[..., None],
    message: Warning | str,
    category: type[Warning],
    *place: Any,
    **options: Any,
) -> None:
    """Warn the user, who is at the other end; show warnings of others as usual."""
    if issubclass(category, AsnetWarning):
        channel.request("warning", str(message))
    else:
        usual(message, category, *place, **options)
