# SPDX-License-Identifier: Apache-2.0
"""Where the files that belong to the package lie, in a checkout and in an installed wheel."""

from __future__ import annotations

from pathlib import Path

__all__ = ["data_directory", "hdl_library_directory", "how_to_install", "lowering_directory"]

_PACKAGE = Path(__file__).resolve().parents[1]
#: Programs that no Python package brings, and Debian's packages that do.
_SYSTEM = {"g++": "g++", "make": "make", "sta": "opensta"}


def how_to_install(name: str) -> str:
    """Say what to do where a program or a Python package is missing."""
    if name in _SYSTEM:
        what = "a C++ compiler" if name == "g++" else "it"
        return f"install {what} (Debian's package {_SYSTEM[name]})"
    if (_PACKAGE.parent / "hdl_lib").is_dir():  # a checkout
        return "run 'make setup'"
    return "install asnet-mlir again: pip install --force-reinstall asnet-mlir"


def _find(name: str) -> Path:
    # A wheel carries the folder inside the package; a checkout (editable install) beside it.
    for candidate in (_PACKAGE / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"the package lacks its folder '{name}'; reinstall asnet-mlir")


def hdl_library_directory() -> Path:
    """Return the folder of the library cores (`hdl_lib`)."""
    return _find("hdl_lib")


def lowering_directory() -> Path:
    """Return the folder whose `circt/` part runs in CIRCT's own process (`lowering`)."""
    return _find("lowering")


def data_directory() -> Path:
    """Return the folder of shipped data sets and weights (`asnet_mlir/data`)."""
    return _PACKAGE / "data"
