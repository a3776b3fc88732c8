# SPDX-License-Identifier: Apache-2.0
"""`asnet report`: the results in a store as a page."""

from __future__ import annotations

from typing import Any

import asnet_mlir
from asnet_mlir.cli.arguments import Verbs, add_verb, integer, number
from asnet_mlir.cli.printing import print_json
from asnet_mlir.errors import InputError

__all__ = ["add"]


def add(verbs: Verbs) -> None:
    """Add the verb with its arguments."""
    command = add_verb(verbs, "report", run, "the results in a store as a page that opens anywhere")
    command.add_argument(
        "store", nargs="+", metavar="STORE", help="what 'asnet explore --store' wrote, or several"
    )
    command.add_argument("-o", "--output", metavar="FILE.html", help="the page")
    command.add_argument(
        "--watch",
        type=integer,
        nargs="?",
        const=5,
        metavar="SECONDS",
        help="write the page anew every 5 (or N) seconds while a study runs; browsers reload it",
    )
    command.add_argument("--png", metavar="FOLDER", help="the drawings as pictures")
    command.add_argument("--figures", metavar="FOLDER", help="the drawings for a paper")
    command.add_argument("--format", default="pdf", metavar="F", help="pdf (default), svg or png")
    command.add_argument(
        "--width", type=number, default=3.4, metavar="INCHES", help="of a drawing (default: 3.4)"
    )
    command.add_argument(
        "--font", type=number, default=8.0, metavar="POINTS", help="of its text (default: 8)"
    )
    command.add_argument("--title", action="store_true", help="give it a title")
    command.add_argument(
        "--quantized",
        action="append",
        default=[],
        metavar="FILE.json",
        help="what 'asnet quantize --json' printed: the page shows its layers; may be repeated",
    )


def run(options: Any) -> None:
    """Carry the verb out."""
    from asnet_mlir.reports.figures import Look

    if options.output is None and options.png is None and options.figures is None:
        raise InputError("report needs -o FILE.html, --png FOLDER or --figures FOLDER")
    if options.watch is not None:
        _watch(options)
        return
    look = Look(options.format, options.width, options.font, options.title)
    written = asnet_mlir.report(
        options.store,
        options.output,
        png=options.png,
        quantized=options.quantized,
        figures=options.figures,
        look=look,
    )
    if options.json:
        print_json({"files": [str(path) for path in written]})
        return
    for path in written:
        print(path)


def _watch(options: Any) -> None:
    """Keep a page up to date until no study runs, or Ctrl-C."""
    from asnet_mlir.reports.report import watch

    if options.output is None or options.png or options.figures:
        raise InputError("--watch goes with -o FILE.html alone")
    try:
        watch(options.store, options.output, seconds=options.watch, quantized=options.quantized)
    finally:
        if options.json:
            print_json({"files": [options.output]})
        else:
            print(options.output)
