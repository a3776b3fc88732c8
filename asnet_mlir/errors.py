# SPDX-License-Identifier: Apache-2.0
"""The one family of exceptions that the public API raises on purpose.

Every message is one line that says what is wrong, where, and what to do.  The command line prints
it without a trace: exit status 2 for `InputError`, 1 for every other `AsnetError`.
"""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

__all__ = [
    "AsnetError",
    "AsnetWarning",
    "InputError",
    "MismatchError",
    "ToolError",
    "ToolTimeoutError",
    "UnsupportedError",
    "described",
    "warn",
]

_PACKAGE = str(Path(__file__).parent)
# How Keras begins what a layer raises; colours are in it, too.
_WRAPPED = "Exception encountered when calling"
_COLOURS = re.compile("\x1b\\[[0-9;]*m")


class AsnetError(Exception):
    """Base of all errors raised on purpose."""

    exit_status = 1


class AsnetWarning(UserWarning):
    """What is computed is what was asked for, and most likely not what was meant."""


class InputError(AsnetError):
    """The user's input is wrong: a file, an option, a shape, a name."""

    exit_status = 2


class UnsupportedError(InputError):
    """The input is well formed but uses something that this version does not support."""


class ToolError(AsnetError):
    """An external tool is missing, failed, or exceeded its time or memory bound."""


class ToolTimeoutError(ToolError):
    """An external tool exceeded its time bound."""


class MismatchError(AsnetError):
    """Two results that must be equal bit for bit are not."""


@contextlib.contextmanager
def described(what: str, kind: type[AsnetError] = InputError) -> Iterator[None]:
    """Run code that is not ours, a user's or a framework's, which may raise whatever it likes.

    Raises:
      kind: it raised something; the message is `what`, the exception's type and its first line;
        behind a line of Keras that only names the layer, the one that says why.
    """
    try:
        yield
    except AsnetError:
        raise
    except Exception as error:
        text = _COLOURS.sub("", str(error))
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        count = 2 if text.startswith(_WRAPPED) else 1
        raise kind(": ".join([what, type(error).__name__, *lines[:count]])[:600]) from error


def warn(text: str) -> None:
    """Warn the user, at the line of theirs that called this package."""
    warnings.warn(text, AsnetWarning, skip_file_prefixes=(_PACKAGE,))
