# SPDX-License-Identifier: Apache-2.0
"""`asnet prove`: cores are the exact ones on masked operands."""

from __future__ import annotations

from typing import Any

import asnet_mlir
from asnet_mlir.cli.arguments import Verbs, add_verb, bundle_arguments, integer, number
from asnet_mlir.cli.printing import print_json, warn_of_changes

__all__ = ["add"]


def add(verbs: Verbs) -> None:
    """Add the verb with its arguments."""
    command = add_verb(
        verbs,
        "prove",
        run,
        "that cores are the exact ones on masked operands, by CIRCT and z3",
        bundle_arguments(),
    )
    command.add_argument("design", metavar="DIR|CORE[:P=20]", help="a bundle or a core")
    command.add_argument(
        "--against", metavar="CORE", help="the exact core (default: fmul of fmul_trunc)"
    )
    command.add_argument(
        "--ignore", type=integer, metavar="N", help="low operand bits that count as 0 (default: P)"
    )
    command.add_argument(
        "--seconds", type=number, default=60.0, metavar="S", help="bound on each proof"
    )


def run(options: Any) -> int:
    """Carry the verb out; the status is 1 where something failed."""
    warn_of_changes(options.design, options.modified)
    result = asnet_mlir.prove(
        options.design,
        against=options.against,
        ignored=options.ignore,
        seconds=options.seconds,
        modified=options.modified,
    )
    if options.json:
        print_json(result.to_json())
        return 0 if result.proved else 1
    for link, places in zip(result.links, result.places, strict=True):
        one = link.claim
        where = f", {places} in the RTL" if places else ""
        print(
            f"{one.instance.label} (latency {one.latency}{where}) is {one.exact.core.name} of "
            f"a & {one.masks[0]:08x}, b & {one.masks[1]:08x}: {link.status} in {link.seconds:.3f} s"
        )
        if link.counterexample is not None:
            print(f"  {link.counterexample}")
        if link.reason:
            print(f"  {link.reason}")
    for label in result.unclaimed:
        print(f"{label}: claims to be no exact core behind masks")
    if result.not_covered:
        print(f"not covered: {result.not_covered}")
    return 0 if result.proved else 1
