# SPDX-License-Identifier: Apache-2.0
"""`asnet report`: the results in a store as a page."""

from __future__ import annotations

from typing import Any

import asnet_mlir
from asnet_mlir.cli.arguments import Verbs, add_verb
from asnet_mlir.cli.printing import print_json
from asnet_mlir.errors import InputError

__all__ = ["add"]


def add(verbs: Verbs) -> None:
    """Add the verb with its arguments."""
    command = add_verb(verbs, "report", run, "the results in a store as a page that opens anywhere")
    command.add_argument("store", metavar="STORE", help="what 'asnet explore --store' wrote")
    command.add_argument("-o", "--output", metavar="FILE.html", help="the page")
    command.add_argument("--png", metavar="FOLDER", help="the drawings as pictures")
    command.add_argument(
        "--quantized",
        action="append",
        default=[],
        metavar="FILE.json",
        help="what 'asnet quantize --json' printed: the page shows its layers; may be repeated",
    )


def run(options: Any) -> None:
    """Carry the verb out."""
    if options.output is None and options.png is None:
        raise InputError("report needs -o FILE.html, --png FOLDER, or both")
    written = asnet_mlir.report(
        options.store, options.output, png=options.png, quantized=options.quantized
    )
    if options.json:
        print_json({"files": [str(path) for path in written]})
        return
    for path in written:
        print(path)
