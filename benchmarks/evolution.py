# SPDX-License-Identifier: Apache-2.0
"""Candidates a second of the evolution of 8 x 8 multipliers, one thread, all 65,536 operand pairs.

    python benchmarks/evolution.py [--candidates N] [--repeats N]

WMED is under a histogram of operands that are normally distributed, of a deviation of 24.
Processor seconds, so that other work on the machine counts little; the median of the repeats.
Prints a table for docs/decisions/0024-evolution.md.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import numpy as np

from asnet_mlir.cores.metrics.subject import Histogram
from asnet_mlir.evolution import _evolve
from asnet_mlir.evolution.goal import Goal, parse_bounds
from asnet_mlir.evolution.problem import Problem, Task, arrays
from asnet_mlir.evolution.starts import starts

_CASES = (
    ("MAE<=4096", 48, 0.25, "avx512"),
    ("WCE<=8192", 36, 1.0, "avx512"),
    ("MRE<=0.3", 24, 0.001, "avx512"),
    ("WMED<=64", 24, 1.0, "avx512"),
    ("MAE<=4096", 48, 0.25, "avx2"),
    ("WCE<=8192", 36, 1.0, "avx2"),
    ("MRE<=0.3", 24, 0.001, "avx2"),
    ("WMED<=64", 24, 1.0, "avx2"),
    ("MAE<=4096", 48, 0.25, "baseline"),
)


def histogram() -> Histogram:
    """Return magnitudes of normally distributed operands."""
    a, b = (grid.ravel() for grid in np.mgrid[0:256, 0:256])
    return Histogram(a, b, np.exp(-(a**2 + b**2) / (2 * 24.0**2)))


def main() -> int:
    """Measure every case and print a row for it."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--candidates", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    circuits = starts("muli", (8, 8), 16, False)
    print("| bound on | kernels | candidates/s | decided by evaluation | gates each |")
    print("|---|---|---|---|---|")
    for bound, points, least, isa in _CASES:
        try:
            given_pairs = histogram() if bound.startswith("WMED") else None
            problem = Problem(Task(circuits[0], False, "muli"), given_pairs, isa=isa)
        except ValueError:
            print(f"| {bound.partition('<')[0]} | {isa} | this processor has it not | | |")
            continue
        goal = Goal(parse_bounds([bound]), points, least).for_search()
        given = [arrays(circuit) for circuit in circuits]
        rows = []
        for repeat in range(options.repeats):
            start = time.process_time()
            _, counts = _evolve.search(problem.handle, goal, given, repeat, options.candidates)
            seconds = time.process_time() - start
            candidates, measured, _, gates, _, _ = counts
            rows.append((candidates / seconds, measured / seconds, gates / max(1, measured)))
        made, decided, gates_each = (
            statistics.median(column) for column in zip(*rows, strict=True)
        )
        metric = bound.partition("<")[0]
        print(f"| {metric} | {isa} | {made:,.0f} | {decided:,.0f} | {gates_each:.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
