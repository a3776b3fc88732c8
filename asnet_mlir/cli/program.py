# SPDX-License-Identifier: Apache-2.0
"""Entry points of the package's programs: kept small, since they run before anything else."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from asnet_mlir.support import interrupts
from asnet_mlir.support.tools import asnet_opt_path

__all__ = ["asnet", "asnet_opt"]


def asnet() -> NoReturn:
    """Run the command line `asnet`."""
    interrupts.take_over()
    _use_utf8()
    try:
        from asnet_mlir.cli.main import main

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


def asnet_opt() -> NoReturn:
    """Run `asnet-opt` with this process's arguments."""
    path = str(asnet_opt_path())
    os.execv(path, [path, *sys.argv[1:]])
