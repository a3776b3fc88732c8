# SPDX-License-Identifier: Apache-2.0
"""`asnet cores import`: a folder of circuits becomes a library of cores."""

from __future__ import annotations

import time
from typing import Any

from asnet_mlir.cli.arguments import Verbs, add_verb, integer
from asnet_mlir.cli.printing import print_json

__all__ = ["add"]


def add(verbs: Verbs) -> None:
    """Add the verb with its arguments."""
    command = add_verb(verbs, "import", run, "keep a folder of circuits as a library of cores")
    command.add_argument(
        "folder",
        metavar="DIR",
        help="Verilog files, each a circuit of integers by itself, in the layout of EvoApproxLib: "
        "with C models of the same name beside them, or not",
    )
    command.add_argument("--name", metavar="NAME", help="of the library; by default the folder's")
    command.add_argument(
        "--library",
        default="library",
        metavar="FOLDER",
        help="where libraries lie (default: library): cores are bound as FOLDER/NAME/CIRCUIT",
    )
    command.add_argument(
        "--op", metavar="OP", help="what all compute: muli, addi, ..; by default as each tells"
    )
    command.add_argument(
        "--jobs", type=integer, metavar="N", help="side by side; by default one for each processor"
    )


def run(options: Any) -> int:
    """Carry the verb out; the status is 1 where a circuit was not kept."""
    from asnet_mlir.cores.importing import import_circuits
    from asnet_mlir.support.progress import ProgressLine, duration

    line = ProgressLine()
    start = time.monotonic()
    done, of = 0, 0

    def told(number: int, count: int) -> None:
        nonlocal done, of
        done, of = number, count
        left = (time.monotonic() - start) / number * (count - number)
        line.show(f"{number} of {count} circuits, about {duration(left)} left", number == count)

    try:
        found = import_circuits(
            options.folder,
            options.name,
            library=options.library,
            op=options.op,
            jobs=options.jobs,
            progress=told,
        )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted after {done} of {of} circuits; the same command goes on"
        ) from None
    finally:
        line.close()
    if options.json:
        print_json(found.to_json())
    else:
        print(found.summary())
    return 1 if found.failed else 0
