# SPDX-License-Identifier: Apache-2.0
"""The long check: `python -m asnet_mlir.cores.checks.deep [CORE ..] [--vectors N]`.

Prints a table.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from asnet_mlir.cores.checks.check import CheckReport, check
from asnet_mlir.cores.core import Core, Instance
from asnet_mlir.cores.reading.library import library_cores, load_core
from asnet_mlir.cores.simulation.family import make_family
from asnet_mlir.cores.simulation.simulation import port_widths
from asnet_mlir.errors import InputError

__all__ = ["deep_check", "main"]


def deep_check(core: Core, vectors: int = 10_000_000, seed: int = 1) -> list[CheckReport]:
    """Check a core with every parameter, one at a time, at both ends and the middle of its range.

    Of values that are listed: the first, the one in the middle and the last.

    Args:
      core: what to check.
      vectors: random operand pairs for each instance.
      seed: of the random operands.

    Returns:
      A report on each instance; status "refused" where the module cannot be used with a value
      beside the others' defaults.
    """
    instances: dict[str, Instance] = {}
    refused: list[CheckReport] = []
    choices: list[dict[str, int]] = [{}]
    for parameter in core.parameters:
        if parameter.values is not None:
            legal: Sequence[int] = parameter.values
        elif parameter.low is not None and parameter.high is not None:
            legal = range(parameter.low, parameter.high + 1, parameter.step)
        else:
            continue
        picked = (legal[0], legal[(len(legal) - 1) // 2], legal[-1])
        choices += [{parameter.name: value} for value in picked]
    for values in choices:
        instance = core.instance(values)
        try:
            make_family([instance], port_widths([instance])[0])
        except InputError as error:
            if not values:
                raise
            # A module may refuse a value beside the other parameters' defaults, or have ports that
            # are too wide then.
            refused.append(
                CheckReport(instance.label, "refused", None, 0, seed, (), 0, {}, (str(error),))
            )
        else:
            instances[instance.content_hash] = instance
    return check(list(instances.values()), random_vectors=vectors, seed=seed) + refused


def main(arguments: list[str] | None = None) -> int:
    """Check cores of the library (all by default); return 1 where one fails."""
    parser = argparse.ArgumentParser(
        prog="python -m asnet_mlir.cores.checks.deep", description=__doc__
    )
    parser.add_argument("cores", nargs="*", help="names or paths (default: the whole library)")
    parser.add_argument("--vectors", type=int, default=10_000_000, help="random pairs an instance")
    options = parser.parse_args(arguments)
    cores = [load_core(name) for name in options.cores] or list(library_cores().values())
    failed = False
    print(
        f"{'instance':28} {'status':6} {'strategy':9} {'verilator':>10} {'cxxrtl':>10} "
        f"{'max rel. error':>14}"
    )
    for core in cores:
        start = time.monotonic()
        for report in deep_check(core, options.vectors):
            error = report.metrics.get("max_relative_error")
            tried = [*report.simulator_vectors.values(), 0, 0]
            print(
                f"{report.label:28} {report.status:6} {report.strategy or '-':9} "
                f"{tried[0]:10} {tried[1]:10} {'-' if error is None else f'{error:.3g}':>14}",
                flush=True,
            )
            for failure in report.failures:
                print(f"  {failure}")
            failed |= report.status == "fail"
        print(f"  ({core.name}: {time.monotonic() - start:.0f} s)")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
