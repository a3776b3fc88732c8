"""The long check: `python -m asnet_mlir.cores.deep [CORE ..] [--vectors N]` prints a table."""

from __future__ import annotations

import argparse
import sys
import time

from asnet_mlir.cores.check import CheckReport, check
from asnet_mlir.cores.core import Core, Instance, library_cores, load_core

__all__ = ["deep_check", "main"]


def deep_check(core: Core, vectors: int = 10_000_000, seed: int = 1) -> list[CheckReport]:
    """Check a core with every parameter, one at a time, at both ends and the middle of its range.

    Args:
      core: what to check.
      vectors: random operand pairs for each instance.
      seed: of the random operands.
    """
    instances: dict[str, Instance] = {}
    choices: list[dict[str, int]] = [{}]
    choices += [
        {parameter.name: value}
        for parameter in core.parameters
        if parameter.low is not None and parameter.high is not None
        for value in (parameter.low, (parameter.low + parameter.high) // 2, parameter.high)
    ]
    for values in choices:
        instance = core.instance(values)
        instances[instance.content_hash] = instance
    return check(list(instances.values()), random_vectors=vectors, seed=seed)


def main(arguments: list[str] | None = None) -> int:
    """Check cores of the library (all by default); return 1 where one fails."""
    parser = argparse.ArgumentParser(prog="python -m asnet_mlir.cores.deep", description=__doc__)
    parser.add_argument("cores", nargs="*", help="names or paths (default: the whole library)")
    parser.add_argument("--vectors", type=int, default=10_000_000, help="random pairs an instance")
    options = parser.parse_args(arguments)
    cores = [load_core(name) for name in options.cores] or list(library_cores().values())
    failed = False
    print(f"{'instance':28} {'status':6} {'strategy':8} {'vectors':>10} {'max rel. error':>14}")
    for core in cores:
        start = time.monotonic()
        for report in deep_check(core, options.vectors):
            error = report.metrics.get("max_relative_error")
            print(
                f"{report.label:28} {report.status:6} {report.strategy or '-':8} "
                f"{report.vectors:10} {'-' if error is None else f'{error:.3g}':>14}",
                flush=True,
            )
            for failure in report.failures:
                print(f"  {failure}")
            failed |= not report.passed
        print(f"  ({core.name}: {time.monotonic() - start:.0f} s)")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
