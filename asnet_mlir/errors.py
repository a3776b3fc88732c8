"""The one family of exceptions that the public API raises on purpose.

Every message is one line that says what is wrong, where, and what to do.  The command line prints
it without a trace: exit status 2 for `InputError`, 1 for every other `AsnetError`.
"""

__all__ = [
    "AsnetError",
    "AsnetWarning",
    "InputError",
    "MismatchError",
    "ToolError",
    "UnsupportedError",
]


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


class MismatchError(AsnetError):
    """Two results that must be equal bit for bit are not."""
