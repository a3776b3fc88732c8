# SPDX-License-Identifier: Apache-2.0
"""Where the binaries of the package are."""

from __future__ import annotations

from pathlib import Path

import asnet_mlir

__all__ = ["asnet_opt_path"]


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
