# SPDX-License-Identifier: Apache-2.0
"""Where the binaries of the package are."""

from __future__ import annotations

import os
from pathlib import Path

import asnet_mlir

__all__ = ["asnet_opt_path"]


def asnet_opt_path() -> Path:
    """Return the path of `asnet-opt`: `ASNET_OPT`, a build of one's own, or the package's.

    Raises:
      FileNotFoundError: the package was installed without its binaries.
    """
    if own := os.environ.get("ASNET_OPT"):
        return Path(own)
    # An editable install has two package folders: the checkout and the one that CMake fills.
    for folder in asnet_mlir.__path__:
        path = Path(folder) / "bin" / "asnet-opt"
        if path.is_file():
            return path
    raise FileNotFoundError(
        "the package lacks its binary 'asnet-opt'; reinstall it: pip install -e . (see README.md)"
    )
