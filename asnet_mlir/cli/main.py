# SPDX-License-Identifier: Apache-2.0
"""The command line: `asnet VERB ...`, a file a verb.

Exit status 0: done; 1: a failure, a mismatch in `simulate` or `cores check` included; 2: bad input.
With `--json`, standard output holds one JSON object and nothing else.

Every verb's file adds its arguments and imports what it needs when it is run: `asnet --help` and
completion in a shell load no compiler, no NumPy and no framework.
"""

from __future__ import annotations

import argparse
import functools
import os
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import asnet_mlir
from asnet_mlir.cli import (
    cache,
    compare,
    compile,
    completion,
    cores,
    evaluate,
    explore,
    export,
    finetune,
    generate,
    pack,
    prove,
    quantize,
    report,
    run,
    simulate,
    synth,
    unpack,
)
from asnet_mlir.cli.arguments import Parser
from asnet_mlir.errors import AsnetError, AsnetWarning
from asnet_mlir.support import interrupts

__all__ = ["main", "make_parser", "spread"]

#: In the order in which `asnet --help` shows them.
_VERBS = (
    compile,
    evaluate,
    run,
    quantize,
    finetune,
    export,
    explore,
    report,
    compare,
    pack,
    unpack,
    generate,
    simulate,
    prove,
    synth,
    cores,
    cache,
    completion,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    # JAX probes for accelerators and says so; results are the same on any of them.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    home = Path(os.path.expanduser("~"))
    if not (home.is_dir() and os.access(home, os.W_OK)):
        import logging

        # Matplotlib tells of its own folder for settings; the cache has said what matters.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
    debug = "--debug" in (sys.argv[1:] if arguments is None else arguments)
    try:
        given = sys.argv[1:] if arguments is None else arguments
        options = completion.completed(make_parser()).parse_args(spread(given))
        with warnings.catch_warnings():
            warnings.simplefilter("default", AsnetWarning)
            warnings.showwarning = functools.partial(_show_warning, warnings.showwarning)
            return options.run(options) or 0
    except AsnetError as error:
        if debug:
            raise
        print(f"asnet: error: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt as error:
        return interrupts.answer(error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # a full disk, a folder without permission
        if debug:
            raise
        where = f"{error.filename}: " if error.filename is not None else ""
        print(f"asnet: error: {where}{error.strerror or error}", file=sys.stderr)
        return 1
    except Exception as error:
        if debug:
            raise
        text = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        print(f"asnet: internal error: {text} (--debug shows where)", file=sys.stderr)
        return 1


def _show_warning(
    usual: Callable[..., None],
    message: Warning | str,
    category: type[Warning],
    *place: Any,
    **options: Any,
) -> None:
    """Show our own warnings like errors, others as usual."""
    if issubclass(category, AsnetWarning):
        print(f"asnet: warning: {' '.join(str(message).split())}", file=sys.stderr)
    else:
        usual(message, category, *place, **options)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = Parser(
        prog="asnet",
        description="Trained networks to hardware with approximate arithmetic.",
    )
    parser.add_argument("--version", action="version", version=asnet_mlir.__version__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in _VERBS:
        verb.add(verbs)
    return parser


#: Options that take a list, and what a value of theirs looks like.
_LISTS = {
    "--bind": re.compile(r"[a-z]\w*(@.+)?=.", re.DOTALL),
    "--lanes": re.compile(r"(.+=)?[0-9]+", re.DOTALL),
    "--weights-from": re.compile(r"(.+=)?(rom|load|stream)", re.DOTALL),
    # No core of the library: its parameters stand behind a colon.
    "--port": re.compile(r"[a-z_]+(\.\w+)?=."),
    "--param": re.compile(r"[A-Za-z_]\w*=."),
}


def spread(arguments: Sequence[str]) -> list[str]:
    """Return a command line in which each value of a list has its option in front of it.

    argparse's own lists would take a MODEL behind them for one value more.
    """
    spread: list[str] = []
    option = ""
    for position, argument in enumerate(arguments):
        if argument == "--":
            return [*spread, *arguments[position:]]
        name = argument.partition("=")[0]
        if name in _LISTS:
            option = name
        elif option and arguments[position - 1] != option:
            if _LISTS[option].match(argument) and not Path(argument).exists():
                spread.append(option)
            else:
                option = ""
        spread.append(argument)
    return spread


if __name__ == "__main__":
    sys.exit(main())
