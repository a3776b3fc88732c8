# SPDX-License-Identifier: Apache-2.0
"""`asnet pack`: a result store with all that its results need, as one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asnet_mlir.cli.arguments import Verbs, add_verb
from asnet_mlir.cli.printing import print_json

__all__ = ["add"]


def add(verbs: Verbs) -> None:
    """Add the verb with its arguments."""
    command = add_verb(verbs, "pack", run, "a study with all that it needs, as one file")
    command.add_argument("store", metavar="STORE", help="what 'asnet explore --store' wrote")
    command.add_argument(
        "-o", "--output", required=True, metavar="FILE.zip", help="the packed study"
    )
    command.add_argument(
        "--with-data", action="store_true", help="pack data sets that are .npz files, too"
    )


def run(options: Any) -> None:
    """Carry the verb out."""
    from asnet_mlir.exploration.packing import pack

    index = pack(options.store, options.output, with_data=options.with_data)
    if options.json:
        print_json(index)
        return
    size = Path(options.output).stat().st_size
    print(f"{options.output}: {len(index['files'])} files, {size:,} bytes")
    for data in index["data"]:
        if data["name"] not in index["files"]:
            print(f"not packed: the data {data['name']}, {data['samples']:,} samples")
