"""Ctrl-C that is not lost."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Interrupts"]


class Interrupts:
    """Notices SIGINT inside its `with` block.

    Python raises KeyboardInterrupt wherever the main thread happens to be.  Where that is a
    callback whose errors are ignored (of the garbage collector, a finalizer, native code) the
    interrupt is printed and forgotten; `check` raises it again.  Handlers that somebody else set
    stay.
    """

    def __init__(self) -> None:
        self._noticed = False
        self._before: Any = None

    def __enter__(self) -> Interrupts:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._handle)
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

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._noticed = True
        signal.default_int_handler(number, frame)

    def check(self) -> None:
        """Raise the interrupt that came meanwhile.

        Raises:
          KeyboardInterrupt: Ctrl-C was pressed since the block began.
        """
        if self._noticed:
            self._noticed = False
            raise KeyboardInterrupt
