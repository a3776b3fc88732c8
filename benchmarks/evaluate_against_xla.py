"""One evaluation of 10,000 MNIST images under an approximate multiplier against exact `jax.jit`.

    make bench       (or: python benchmarks/evaluate_against_xla.py [--threads N] [--repeat R])

Both run the same network, classification_mnist, on the same data in this process, in turn, with the
same number of threads; compilation is not counted on either side.  What is quoted is the median of
the pairwise ratios; the spread of either side tells how noisy the machine was.  The result goes to
benchmarks/results/evaluate_against_xla.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeat", type=int, default=41)
    parser.add_argument("--bind", default="mulf=fmul_trunc:P=12")
    options = parser.parse_args()
    # XLA's thread pool has a thread per processor that the process may use, set before it starts.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    os.environ["JAX_PLATFORMS"] = "cpu"

    import jax
    import numpy as np

    from asnet_mlir.binding import Binding
    from asnet_mlir.evaluation import CompiledNetwork, Evaluator
    from asnet_mlir.evaluation.evaluate import prepare_data
    from asnet_mlir.frontends import load_model

    network = load_model("classification_mnist")
    x = prepare_data("mnist:test", network).x
    kernel, bias = (jax.numpy.asarray(weight.value) for weight in network.weights)
    xla = jax.jit(lambda batch: jax.nn.softmax(batch @ kernel + bias))
    device_x = jax.numpy.asarray(x)
    compiled = CompiledNetwork(network)
    evaluators = {
        label: Evaluator(compiled, binding, threads=options.threads)
        for label, binding in (
            ("exact", Binding()),
            (options.bind, Binding.parse([options.bind])),
        )
    }
    runs = {"jax.jit": lambda: np.asarray(xla(device_x).block_until_ready())}
    runs |= {name: lambda e=e: e.outputs(x) for name, e in evaluators.items()}

    difference = np.abs(runs["exact"]() - runs["jax.jit"]()).max()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()  # warm-up
    for _ in range(options.repeat):
        for name, run in runs.items():
            begin = time.perf_counter()
            run()
            times[name].append(1e3 * (time.perf_counter() - begin))
    rows = {}
    for name, values in times.items():
        quartiles = statistics.quantiles(values, n=4)
        ratios = [a / b for a, b in zip(values, times["jax.jit"], strict=True)]
        rows[name] = {
            "median_ms": round(statistics.median(values), 3),
            "quartiles_ms": [round(quartiles[0], 3), round(quartiles[2], 3)],
            "median_ratio_to_jax": round(statistics.median(ratios), 3),
        }
    report = {
        "samples": len(x),
        "threads": options.threads,
        "repeat": options.repeat,
        "machine": f"{platform.machine()}, {_processor()}",
        "largest_difference_of_exact_outputs": float(difference),
        "rows": rows,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "evaluate_against_xla.json").write_text(json.dumps(report, indent=2) + "\n")
    json.dump(report, sys.stdout, indent=2)
    print()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown processor"


if __name__ == "__main__":
    main()
