# SPDX-License-Identifier: Apache-2.0
"""`asnet compare`: configurations beside each other, as a table for a paper."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import asnet_mlir
from asnet_mlir.cli.arguments import Verbs, add_verb, integer
from asnet_mlir.cli.printing import print_json, show_step, write_new

__all__ = ["add"]

_BY_SUFFIX = {".csv": "csv", ".md": "markdown", ".tex": "latex", ".txt": "text"}


def add(verbs: Verbs) -> None:
    """Add the verb with its arguments."""
    command = add_verb(
        verbs, "compare", run, "accuracy and hardware of bundles and stored studies, as a table"
    )
    command.add_argument(
        "places",
        nargs="+",
        metavar="DIR|STORE",
        help="what 'asnet generate' and 'asnet explore --store' wrote",
    )
    command.add_argument("--format", metavar="F", help="text (default), csv, markdown or latex")
    command.add_argument(
        "-o", "--output", metavar="FILE", help="where the table goes; .csv, .md and .tex say how"
    )
    command.add_argument(
        "--seeds", type=integer, default=1, metavar="N", help="place N times: clocks' median, range"
    )
    command.add_argument("--no-route", action="store_true", help="map only: no clock")
    command.add_argument(
        "--simulate", type=integer, default=0, metavar="N", help="samples, for latencies"
    )
    command.add_argument("--data", metavar="DATA", help="of --simulate")


def run(options: Any) -> None:
    """Carry the verb out."""
    from asnet_mlir.reports.compare import table
    from asnet_mlir.reports.table_formats import FORMATS, formatted

    suffix = Path(options.output or "").suffix
    kind = options.format or _BY_SUFFIX.get(suffix, "text")
    if kind not in FORMATS:
        formatted([], [], kind)  # says which there are
    rows = asnet_mlir.compare(
        options.places,
        seeds=options.seeds,
        route=not options.no_route,
        samples=options.simulate,
        data=options.data,
        progress=show_step if sys.stderr.isatty() else None,
    )
    if options.json:
        print_json({"rows": [row.to_json() for row in rows]})
        return
    text = formatted(*table(rows), kind)
    if options.output:
        write_new(options.output, text)
    else:
        print(text, end="")
