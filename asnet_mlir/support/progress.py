# SPDX-License-Identifier: Apache-2.0
"""A line of progress for people, on standard error."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from typing import TextIO

__all__ = ["ProgressLine", "duration"]

_PLAIN_SECONDS = 10.0
_TERMINAL_SECONDS = 0.1


class ProgressLine:
    """One line that is written over on a terminal, else a line every ten seconds."""

    def __init__(
        self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Show on `stream`, by default standard error."""
        self._stream = stream or sys.stderr
        self._clock = clock
        self._terminal = self._stream.isatty()
        self._shown: float | None = None if self._terminal else clock()
        self._open = False

    def show(self, text: str, last: bool = False) -> None:
        """Show a text, if the last one is long enough ago; on a terminal the `last` one always."""
        now = self._clock()
        every = _TERMINAL_SECONDS if self._terminal else _PLAIN_SECONDS
        if self._shown is not None and now - self._shown < every and not (last and self._terminal):
            return
        self._shown = now
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            self._stream.write("\r" + text[:width].ljust(width))
            self._open = True
        else:
            self._stream.write(text + "\n")
        self._stream.flush()

    def note(self, text: str) -> None:
        """Write a line that stays."""
        self.close()
        self._stream.write(text + "\n")
        self._stream.flush()

    def close(self) -> None:
        """End the line on a terminal."""
        if self._open:
            self._stream.write("\n")
            self._stream.flush()
            self._open = False


def duration(seconds: float) -> str:
    """Return a time for people: `7 s`, `12 min`, `3 h 05 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"
