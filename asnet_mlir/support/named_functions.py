# SPDX-License-Identifier: Apache-2.0
"""Functions of the user's own modules, named `module:function`."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable
from typing import Any

from asnet_mlir.errors import InputError, described

__all__ = ["import_function", "is_reference"]

_REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def is_reference(text: str) -> bool:
    """Whether `text` is written as `module:function`."""
    return _REFERENCE.fullmatch(text) is not None


def import_function(reference: str) -> Callable[..., Any]:
    """Import the module and return the function; modules of the current folder are found.

    Raises:
      InputError: the module can't be imported, or has no such function.
    """
    module_name, _, function_name = reference.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does
    with described(f"{reference}: can't import '{module_name}'"):
        module = importlib.import_module(module_name)
    function = getattr(module, function_name, None)
    if not callable(function):
        raise InputError(f"{reference}: '{module_name}' has no function '{function_name}'")
    return function
