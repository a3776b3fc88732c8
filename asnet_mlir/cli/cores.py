# SPDX-License-Identifier: Apache-2.0
"""`asnet cores`: the verbs of cores."""

from __future__ import annotations

from asnet_mlir.cli import (
    cores_characterize,
    cores_check,
    cores_evolve,
    cores_import,
    cores_list,
    cores_prove,
)
from asnet_mlir.cli.arguments import Verbs

__all__ = ["add"]


def add(verbs: Verbs) -> None:
    """Add the verbs of `cores`."""
    text = "list, check, characterize, prove, evolve or import cores"
    cores = verbs.add_parser("cores", help=text, description=text)
    core_verbs = cores.add_subparsers(dest="core_verb", required=True, metavar="VERB")
    for verb in (
        cores_list,
        cores_check,
        cores_characterize,
        cores_prove,
        cores_evolve,
        cores_import,
    ):
        verb.add(core_verbs)
