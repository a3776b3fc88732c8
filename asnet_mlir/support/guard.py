# SPDX-License-Identifier: Apache-2.0
"""A bound on the processor time of a piece of this program."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

from asnet_mlir.errors import ToolError

__all__ = ["processor_time"]

#: How often a clock that other threads move as well is looked at again at the least.
_SHORTEST = 0.05


@contextlib.contextmanager
def processor_time(seconds: float, what: str) -> Iterator[None]:
    """Raise an error where the block takes more of this thread's processor time.

    Time in which the thread waits, for a process or a lock, does not count.  Signals, by which the
    bound works, reach the main thread only: in another one, or inside another bound, nothing is
    bounded.

    Args:
      seconds: the bound.
      what: what the block does, for the error: "reading mul.v".

    Raises:
      ToolError: the time is up.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGPROF) != signal.SIG_DFL:
        yield
        return
    end = time.thread_time() + seconds

    def look(number: int, frame: FrameType | None) -> None:
        left = end - time.thread_time()
        if left <= 0:
            raise ToolError(
                f"{what} took longer than {seconds:g} s of processor time; is it too large?"
            )
        signal.setitimer(signal.ITIMER_PROF, max(left, _SHORTEST))

    signal.signal(signal.SIGPROF, look)
    try:
        signal.setitimer(signal.ITIMER_PROF, seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
