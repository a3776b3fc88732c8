"""Entry points of the package's programs: kept small, since they run before anything else."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import asnet_mlir
from asnet_mlir import interrupts

__all__ = ["asnet", "asnet_opt", "asnet_opt_path"]


def asnet() -> NoReturn:
    """Run the command line `asnet`."""
    interrupts.take_over()
    _use_utf8()
    try:
        from asnet_mlir.cli import main

        status = main()
        interrupts.let_go()
    except KeyboardInterrupt as error:  # outside of `main`
        status = interrupts.answer(error)
    sys.exit(status)


def _use_utf8() -> None:
    """Start again where Python takes names of files for ASCII or another 8-bit encoding.

    Names are then passed on as they are, and this program's texts are written as what they are.
    """
    if sys.getfilesystemencoding().lower().replace("-", "") != "utf8":
        os.environ["PYTHONUTF8"] = "1"  # for processes that this one starts
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


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
