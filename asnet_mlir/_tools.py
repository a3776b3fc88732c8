"""Entry points that replace the Python process by a tool of the package."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import asnet_mlir

__all__ = ["asnet_opt", "asnet_opt_path"]


def asnet_opt_path() -> Path:
    """Return the path of the `asnet-opt` binary.

    Raises:
        FileNotFoundError: The package was installed without its binaries.
    """
    # An editable install has two package folders: the checkout and the one that CMake fills.
    for folder in asnet_mlir.__path__:
        path = Path(folder) / "bin" / "asnet-opt"
        if path.is_file():
            return path
    raise FileNotFoundError(
        "the package lacks its binary 'asnet-opt'; reinstall it: pip install -e . (see README.md)"
    )


def asnet_opt() -> NoReturn:
    """Run `asnet-opt` with this process's arguments."""
    path = str(asnet_opt_path())
    os.execv(path, [path, *sys.argv[1:]])
