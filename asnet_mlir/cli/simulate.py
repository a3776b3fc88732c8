# SPDX-License-Identifier: Apache-2.0
"""`asnet simulate`: a bundle against the software."""

from __future__ import annotations

import sys
from typing import Any

import asnet_mlir
from asnet_mlir.cli.arguments import DATA, Verbs, add_verb, bundle_arguments, integer
from asnet_mlir.cli.printing import print_json, warn_of_changes

__all__ = ["add"]


def add(verbs: Verbs) -> None:
    """Add the verb with its arguments."""
    command = add_verb(
        verbs,
        "simulate",
        run,
        "run a bundle in Verilator and compare every word",
        bundle_arguments(),
    )
    command.add_argument("bundle", metavar="DIR", help="what 'asnet generate' wrote")
    command.add_argument("--data", required=True, metavar="DATA", help=DATA)
    command.add_argument("-n", "--samples", type=int, metavar="N", help="the first N samples")
    command.add_argument(
        "--layers",
        action="store_true",
        help="compare what every layer computes: says where the first difference is",
    )
    command.add_argument("--trace", metavar="FILE.vcd", help="a waveform of the first sample")
    command.add_argument(
        "--trace-cycles", type=integer, metavar="N", help="its bound (default: 20000)"
    )
    command.add_argument(
        "--stall-seed",
        type=integer,
        default=0,
        metavar="N",
        help="pause both streams at random, by this seed",
    )
    command.add_argument(
        "--reset-cycle",
        type=integer,
        default=0,
        metavar="N",
        help="reset in this cycle, then send all samples again",
    )


def run(options: Any) -> int:
    """Carry the verb out; the status is 1 where something failed."""
    from asnet_mlir.support.progress import ProgressLine

    warn_of_changes(options.bundle, options.modified)
    quiet = options.json and not sys.stderr.isatty()
    line = ProgressLine()
    try:
        result = asnet_mlir.simulate(
            options.bundle,
            options.data,
            samples=options.samples,
            layers=options.layers,
            trace=options.trace,
            trace_cycles=options.trace_cycles,
            stall_seed=options.stall_seed,
            reset_cycle=options.reset_cycle,
            modified=options.modified,
            progress=None if quiet else line.show,
        )
    finally:
        line.close()
    if options.json:
        print_json(result.to_json())
    else:
        _print_result(result, options.trace)
    return 0 if result.equal else 1


def _print_result(result: Any, trace: str | None) -> None:
    """Say what was simulated and where the first difference is."""
    for text in result.differences:
        print(text)
    print(f"{result.samples} images simulated, {result.mismatches} mismatching words")
    if result.vectors:
        print(
            f"{result.vectors} vectors of the bundle, {result.vector_mismatches} mismatching words"
        )
    print(f"{result.cycles_per_sample} cycles per image, latency {result.latency_cycles} cycles")
    for layer in result.layers:
        print(
            f"  {layer['layer']}: {layer['utilisation']:.4f} of its multipliers' cycles used, "
            f"of {layer['utilisation_bound']:.4f} that the design allows"
        )
    for layer in result.compared:
        print(
            f"  {layer['layer']}: {layer['words']} words per image compared, "
            f"{layer['mismatches']} mismatches"
        )
    first = result.first_difference
    if first is not None:
        step = f" (step {first['step']} of {first['steps']})" if first["steps"] > 1 else ""
        print(
            f"first difference: image {first['image']}, layer '{first['layer']}'{step}, index "
            f"{first['index']} {tuple(first['coordinates'])}: hardware {first['hardware']:08x}, "
            f"software {first['software']:08x}"
        )
    if result.traced_cycles:
        print(f"{result.traced_cycles} cycles in {trace}")
