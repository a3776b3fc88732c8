# SPDX-License-Identifier: Apache-2.0
"""What every benchmark says of the machine and of its samples."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def describe() -> dict[str, Any]:
    """Return processor, cores in use, and the load that other work put on them."""
    name = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            name = line.partition(":")[2].strip()
            break
    return {
        "machine": f"{platform.machine()}, {name}",
        "cores": len(os.sched_getaffinity(0)),
        "load_average_at_start": round(os.getloadavg()[0], 2),
    }


def beside_xla(
    description: str | None, networks: Iterable[str], repeat: int
) -> argparse.ArgumentParser:
    """Return the options of a benchmark that runs networks here and by XLA."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeat", type=int, default=repeat)
    parser.add_argument("--network", action="append", choices=tuple(networks))
    return parser


def restrict(options: argparse.Namespace) -> dict[str, Any]:
    """Keep this process to as many threads as the options say; return what a report begins with."""
    report = describe()
    # XLA's thread pool has a thread per processor that the process may use, set before it starts.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    os.environ["JAX_PLATFORMS"] = "cpu"
    return report | {"threads": options.threads, "repeat": options.repeat}


def operands(kinds: Sequence[Any], pairs: int) -> list[Any]:
    """Return the operands of a core: moderate numbers, all integers of a dtype."""
    import numpy as np

    rng = np.random.default_rng(0)
    return [
        rng.uniform(-2, 2, pairs).astype(kind)
        if kind == np.float32
        else rng.integers(0, np.iinfo(kind).max, pairs, kind, endpoint=True)
        for kind in kinds[:2]
    ]


def spread(values: Sequence[float], digits: int = 3) -> dict[str, Any]:
    """Return median and quartiles."""
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
    return {"median": round(middle, digits), "quartiles": [round(low, digits), round(high, digits)]}


def save(name: str, report: dict[str, Any]) -> None:
    """Write a report to `results/NAME.json` and print it."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n")
    json.dump(report, sys.stdout, indent=2)
    print()
