# SPDX-License-Identifier: Apache-2.0
"""Completion in shells, by argcomplete: `asnet completion SHELL` prints a script for it.

The shell runs `asnet` on every request; nothing here is imported otherwise.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from asnet_mlir.cli.arguments import Verbs, add_verb
from asnet_mlir.support.forms import FORMS

__all__ = ["add", "completed"]

_SHELLS = ("bash", "zsh", "fish")

_NETWORKS = ("classification_mnist", "convolutional_mnist", "convolutional_svhn", "resnet8_svhn")
_DATA = ("mnist", "svhn_synthetic", "fashion_mnist")
_WORDS = {
    "style": ("shared", "stream"),
    "cost": (
        *("none", "area", "cycles", "lut_time", "energy"),
        *("area_proxy", "delay_proxy", "energy_proxy"),
    ),
    "target": ("ecp5", "cyclonev", "xilinx7", "asic", "quartus", "vivado"),
    "level": ("float", "significand", "integer"),
    "align": ("right", "left"),
    "format": ("f32", "bf16", "f16"),
    "distribution": ("uniform", "normal", "typical"),
}


def add(verbs: Verbs) -> None:
    """Add the verb with its arguments."""
    command = add_verb(verbs, "completion", run, "a script by which a shell completes asnet")
    command.add_argument("shell", metavar="SHELL", choices=_SHELLS, help=" or ".join(_SHELLS))


def run(options: Any) -> None:
    """Print the script that makes a shell complete `asnet`."""
    import argcomplete

    print(argcomplete.shellcode(["asnet"], shell=options.shell))


def completed(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Return the parser; where a shell asks, answer and end instead."""
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        for action in _actions(parser):
            words = _words(action.dest)
            if words is not None:
                action.completer = words  # type: ignore[attr-defined]
        argcomplete.autocomplete(parser)
    return parser


def _actions(parser: argparse.ArgumentParser) -> Iterable[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _actions(inner)


def _words(destination: str) -> Callable[..., Sequence[str]] | None:
    """Return what completes an argument: words, and files where those are meant as well."""
    from argcomplete.completers import FilesCompleter

    def words(prefix: str, **_: Any) -> list[str]:
        known = _WORDS | {"emit": FORMS}
        return [word for word in known[destination] if word.startswith(prefix)]

    def words_and_files(prefix: str, **_: Any) -> list[str]:
        if destination in ("core", "design"):
            from asnet_mlir.cores import library_cores

            known: Iterable[str] = library_cores()
        elif destination == "data":
            known = (f"{name}:{part}" for name in _DATA for part in ("train", "test"))
        else:
            known = _NETWORKS
        files: list[str] = FilesCompleter()(prefix)
        return [*(word for word in known if word.startswith(prefix)), *files]

    if destination in ("model", "network", "data", "core", "design"):
        return words_and_files
    return words if destination == "emit" or destination in _WORDS else None
