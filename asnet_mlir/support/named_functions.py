# SPDX-License-Identifier: Apache-2.0
"""The user's own modules: functions named `module:function`, and files."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any

from asnet_mlir.errors import InputError, described

__all__ = ["import_file", "import_function", "is_reference"]

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


def import_file(path: Path) -> ModuleType:
    """Run a file of Python and return the module; modules of its folder are found.

    Raises:
      InputError: there is no such file, or it raised something.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)  # as `python FILE.py` does
    spec = util.spec_from_file_location(f"asnet_own_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path}: is no file of Python, NAME.py")
    module = util.module_from_spec(spec)
    sys.modules[spec.name] = module  # what a class of it looks itself up in
    with described(f"{path}: can't be run"):
        spec.loader.exec_module(module)
    return module
