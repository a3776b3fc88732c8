# SPDX-License-Identifier: Apache-2.0
"""`asnet cores prove`: the worst-case error of an integer core."""

from __future__ import annotations

import re
from typing import Any

from asnet_mlir.cli.arguments import Verbs, add_verb, integer
from asnet_mlir.cli.cores_arguments import core_arguments, instances_of
from asnet_mlir.cli.printing import print_json
from asnet_mlir.errors import InputError

__all__ = ["add"]

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def add(verbs: Verbs) -> None:
    """Add the verb with its arguments."""
    command = add_verb(
        verbs, "prove", run, "prove the worst-case error of an integer core", core_arguments()
    )
    command.add_argument(
        "--wce", type=integer, metavar="N", help="prove that no error is above N; else find it"
    )
    command.add_argument(
        "--by",
        metavar="METHOD",
        help="algebra, exhaustion, intervals, abc or z3; by default the first of these, but z3, "
        "that decides",
    )
    command.add_argument(
        "--time-limit", default="10m", metavar="T", help="like 90s, 10m or 1h (default: 10m)"
    )


def run(options: Any) -> int:
    """Carry the verb out; the status is 1 where something was not proved."""
    from asnet_mlir.cores.metrics.worst_case import prove_error

    for name in ("each", "strategy"):
        if getattr(options, name):
            raise InputError(f"--{name} is no argument of 'cores prove'")
    proofs = [
        prove_error(instance, options.wce, method=options.by, seconds=_seconds(options.time_limit))
        for instance in instances_of(options)
    ]
    if options.json:
        values = [proof.to_json() for proof in proofs]
        print_json(values[0] if len(values) == 1 else {"proofs": values})
    else:
        print("\n".join(proof.summary() for proof in proofs))
    return 0 if all(proof.status == "proved" for proof in proofs) else 1


def _seconds(text: str) -> float:
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smh]?)", text, re.ASCII)
    if found is None or not float(found[1]):
        raise InputError(f"--time-limit '{text}': give a time like 90s, 10m or 1h")
    return float(found[1]) * _UNITS[found[2]]
