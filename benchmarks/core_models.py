# SPDX-License-Identifier: Apache-2.0
"""Speed of models: evaluations a second in one thread, beside a Verilator model in a C++ loop.

    make bench       (or: python benchmarks/core_models.py [--repeat R])

Each model runs on arrays of 16,384 pairs, which stay in the second-level cache, in turn with the
others; quoted are the median and the best of the repetitions, whose distance tells how noisy the
machine was.  Registration (import, derivation, check, cache) is timed in processes of their own,
with an empty cache and again with a full one.  The result goes to
benchmarks/results/core_models.json.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import host

from asnet_mlir.cores.models.model import Strategy

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "examples" / "cores"
PAIRS = 1 << 14


class Case(NamedTuple):
    """A model; `strategy` is forced, `target` in millions of pairs a second."""

    label: str
    core: str | Path
    op: str | None
    strategy: Strategy | None
    target: int | None


CASES = [
    Case("fmul, IEEE subnormals, word", "fmul:LATENCY=0", None, "word", 200),
    Case("fmul, IEEE subnormals, gates", "fmul:LATENCY=0", None, "bitslice", None),
    Case("fmul, subnormals flushed, word", "fmul:LATENCY=0,FLUSH=1", None, "word", None),
    Case("fadd, gates", "fadd:LATENCY=0", None, "bitslice", None),
    Case("a user's, subnormals flushed, word", EXAMPLES / "fmul_flush.v", "mulf", "word", 500),
    Case("fmul_trunc P=12, proved native", "fmul_trunc:LATENCY=0,P=12", None, "native", 5000),
    Case("24 x 24 gates inside f32", EXAMPLES / "mul24_gates.v", "mulf", None, 300),
    Case("8 x 8 gates", EXAMPLES / "mul8_pruned.v", "muli", None, 2000),
    Case("DRUM 16 x 16, k = 6", "drum:N=16,K=6", None, None, None),
]

_REGISTER = """
import sys, time, json
from asnet_mlir.cores import check, parse_instance
start = time.perf_counter()
report = check([parse_instance(sys.argv[1])])[0]
print(json.dumps([time.perf_counter() - start, report.status]))
"""


def _instance(core: str | Path, op: str | None) -> Any:
    from asnet_mlir.cores import core_from_verilog, parse_instance

    if isinstance(core, Path):
        return core_from_verilog([core], op=op).instance()
    return parse_instance(core)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=301)
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    result = {"cpu": platform.processor() or platform.machine(), "pairs": PAIRS, "threads": 1}
    result |= {"models": models(options.repeat), "registration": registration()}
    path = host.RESULTS / "core_models.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(f"wrote {path.relative_to(HERE.parent)}")


def models(repeat: int) -> list[dict[str, Any]]:
    """Return for each case how fast its model is, and how fast Verilator's in a loop."""
    from asnet_mlir.cores.models.kernel import compile_elementwise

    compile_elementwise({"w": "func.func private @w(%a: f32, %b: f32) -> f32 { return %a : f32 }"})
    runs: dict[str, Callable[[], Any]] = {}
    rows = [_prepare(case, runs) for case in CASES]
    times: dict[str, list[float]] = {name: [] for name in runs}
    for repetition in range(repeat):
        for name, run in runs.items():
            if "Verilator" in name and repetition % 30:
                continue
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    for row in rows:
        own = times[row["model"]]
        other = times[f"{row['model']} (Verilator)"]
        row["millions_per_second"] = round(PAIRS / statistics.median(own) / 1e6)
        row["best_millions_per_second"] = round(PAIRS / min(own) / 1e6)
        row["verilator_millions_per_second"] = round(PAIRS / statistics.median(other) / 1e6, 1)
        row["ratio_to_verilator"] = round(statistics.median(other) / statistics.median(own), 1)
        print(json.dumps(row))
    return rows


def _prepare(case: Case, runs: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    """Add both ways to compute a case to `runs`; return what is known of it already."""
    import numpy as np

    from asnet_mlir.cores import derive_models
    from asnet_mlir.cores.models.kernel import compile_elementwise
    from asnet_mlir.cores.simulation import simulation

    instance = _instance(case.core, case.op)
    model = derive_models({"f": instance}, case.strategy)["f"]
    start = time.perf_counter()
    kernel = compile_elementwise({"f": model})
    dtypes = kernel.dtypes("f")
    kernel("f", *(np.zeros(1, kind) for kind in dtypes[:2]))
    seconds = time.perf_counter() - start
    a, b = host.operands(dtypes, PAIRS)
    modelled, result = np.empty(PAIRS, dtypes[2]), np.empty(PAIRS, dtypes[2])
    library = ctypes.CDLL(str(simulation.block_library(instance)))

    def simulate() -> None:
        pointers = (ctypes.c_void_p(array.ctypes.data) for array in (a, b, result))
        library.asnet_block(*pointers, ctypes.c_int64(PAIRS))

    runs[case.label] = kernel.prepared("f", a, b, modelled)
    runs[f"{case.label} (Verilator)"] = simulate
    simulate()
    runs[case.label]()
    return {
        "model": case.label,
        "strategy": model.strategy,
        "compile_seconds": round(seconds, 2),
        "target_millions_per_second": case.target,
        "equal_to_verilator": np.array_equal(modelled.view(np.uint8), result.view(np.uint8)),
    }


def registration() -> dict[str, Any]:
    """Return how long it takes to check a core, with an empty cache and again."""
    found = {}
    for core in (
        "fmul",
        "drum:N=16,K=6",
        str(EXAMPLES / "mul8_pruned.v"),
        str(EXAMPLES / "mul24_gates.v"),
    ):
        with tempfile.TemporaryDirectory() as cache:
            environment = os.environ | {"ASNET_CACHE_DIR": cache}
            seconds = []
            for _ in range(2):
                done = subprocess.run(
                    [sys.executable, "-c", _REGISTER, core],
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=True,
                )
                value, status = json.loads(done.stdout)
                seconds.append(round(value, 2))
        name = Path(core).name
        found[name] = {"status": status, "cold_seconds": seconds[0], "cached_seconds": seconds[1]}
        print(json.dumps({name: found[name]}))
    return found


if __name__ == "__main__":
    main()
