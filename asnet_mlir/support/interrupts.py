# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and SIGTERM that are neither lost nor fatal.

Python raises KeyboardInterrupt wherever the main thread happens to be.  Inside a native extension
that is being loaded that ends the process with a signal (an exception through C++ that expects
none), inside a finalizer it is printed and forgotten.  Here the interrupt waits until the thread is
somewhere else.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Interrupts", "answer", "let_go", "take_over"]

_RETRY_SECONDS = 0.02
#: Python's parts of packages whose native code calls back into Python.
_NATIVE = f"{os.sep}mlir{os.sep}"


class _State:
    """The last signal, whether one came at all, and whether it waits for a safe place."""

    number: int = signal.SIGINT
    noticed = waiting = False


def take_over() -> None:
    """Have SIGINT and SIGTERM raise KeyboardInterrupt where that is safe, for a whole command.

    One that is ignored (`nohup`, a shell's background job) stays so.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)
    sys.unraisablehook = _unraisable


def let_go() -> None:
    """Have SIGINT and SIGTERM do nothing from now on: the command is done but for its end."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    _cancel()


def answer(error: KeyboardInterrupt) -> int:
    """Say in one line that the command was interrupted; return its exit status, 130 or 143."""
    if signal.getsignal(signal.SIGINT) is _handle:
        let_go()
    was = "interrupted" if _State.number == signal.SIGINT else "terminated"
    print(f"asnet: {str(error) or was}", file=sys.stderr, flush=True)
    return 128 + _State.number


def _handle(number: int, frame: FrameType | None) -> None:
    _State.number, _State.noticed = number, True
    if not (_is_unsafe(frame) and _postpone()):
        raise KeyboardInterrupt


def _postpone() -> bool:
    """Have the signal come again; False where somebody else uses the timer."""
    if signal.getsignal(signal.SIGALRM) not in (signal.SIG_DFL, _retry):
        return False
    # A timer and no thread: whoever was interrupted may hold a lock that starting one takes.
    signal.signal(signal.SIGALRM, _retry)
    signal.setitimer(signal.ITIMER_REAL, _RETRY_SECONDS)
    _State.waiting = True
    return True


def _unraisable(lost: sys.UnraisableHookArgs) -> None:
    """Have an interrupt come again that hit a callback whose errors Python ignores."""
    if not (lost.exc_type is KeyboardInterrupt and _State.noticed and _postpone()):
        sys.__unraisablehook__(lost)


def _retry(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    if _State.waiting:
        _State.waiting = False
        _handle(_State.number, frame)


def _cancel() -> None:
    _State.noticed = _State.waiting = False
    if signal.getsignal(signal.SIGALRM) is _retry:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def _is_unsafe(frame: FrameType | None) -> bool:
    if frame is not None and frame.f_code.co_name == "__del__":
        return True
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith("<frozen importlib") or _NATIVE in name:
            return True
        frame = frame.f_back
    return False


class Interrupts:
    """Notices interrupts inside its `with` block, also those that Python loses.

    `check` raises an interrupt again that was lost in a callback whose errors are ignored (of the
    garbage collector, a finalizer, native code).  Handlers that somebody else set stay.
    """

    def __init__(self) -> None:
        self._before: Any = None

    def __enter__(self) -> Interrupts:
        _State.noticed = _State.waiting
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, _handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None
        if kind is None:
            self.check()

    def check(self) -> None:
        """Raise the interrupt that came meanwhile.

        Raises:
          KeyboardInterrupt: Ctrl-C was pressed since the block began.
        """
        if _State.noticed:
            _cancel()
            raise KeyboardInterrupt
