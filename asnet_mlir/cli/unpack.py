# SPDX-License-Identifier: Apache-2.0
"""`asnet unpack`: a packed study as a folder, whose commands run there."""

from __future__ import annotations

from typing import Any

from asnet_mlir.cli.arguments import Verbs, add_verb
from asnet_mlir.cli.printing import print_json

__all__ = ["add"]


def add(verbs: Verbs) -> None:
    """Add the verb with its arguments."""
    command = add_verb(verbs, "unpack", run, "a packed study as a folder, evaluated anew on demand")
    command.add_argument("file", metavar="FILE.zip", help="what 'asnet pack' wrote")
    command.add_argument("-o", "--output", required=True, metavar="FOLDER", help="a new folder")
    command.add_argument(
        "--evaluate",
        action="store_true",
        help="evaluate exact networks and choices again; exit status 1 where a figure differs",
    )


def run(options: Any) -> int:
    """Carry the verb out."""
    from asnet_mlir.exploration.packing import STORE, unpack
    from asnet_mlir.exploration.repeat import repeat

    study = unpack(options.file, options.output)
    repeated = list(repeat(study.folder, STORE)) if options.evaluate else []
    if options.json:
        results = [
            {
                "label": one.record.label,
                "metric": one.record.metric.name,
                "stored": one.record.value,
                "now": one.value,
                "equal": one.equal,
            }
            for one in repeated
        ]
        print_json({"folder": str(study.folder), **study.index, "evaluated": results})
    else:
        print(
            f"{study.folder}: {len(study.index['files'])} files, made by asnet-mlir "
            f"{study.index['product']} on {study.index['made']}"
        )
        for one in repeated:
            metric = one.record.metric
            beside = "equal" if one.equal else f"now {metric.show(one.value)}: another figure"
            print(f"{one.record.label}: {metric.name} {metric.show(one.record.value)}, {beside}")
    return 0 if all(one.equal for one in repeated) else 1
