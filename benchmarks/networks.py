# SPDX-License-Identifier: Apache-2.0
"""Float networks (`float_networks.py`) against exact `jax.jit`: times, memory, difference.

    make networks    (or: python benchmarks/networks.py [--network NAME ..] [--threads N] [--again])
    python benchmarks/networks.py --page      docs/networks.md and its plot of the last results

Each way runs in a process of its own, with a cache of its own that is empty at the start: a
process's peak memory is that way's.  A way runs `--repeat` times on `--samples` images; its times
are the least, on the clock and of the processor (of all threads: other work on the machine changes
it less).  Results: networks.json.  What is there already, of the same options, is not measured
again, so that a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import host
import networks_hardware
from float_networks import NETWORKS, SAMPLES

WAYS: dict[str, str | None] = {"jax.jit": None, "exact": "", "P = 12": "mulf=fmul_trunc:P=12"}
PAGE = Path(__file__).parent.parent / "docs" / "networks.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", action="append", choices=NETWORKS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--way", choices=WAYS, help="run it here, print its figures")
    parser.add_argument("--outputs", type=Path, help="where such a run leaves its outputs")
    parser.add_argument("--again", action="store_true", help="measure what is there already, too")
    parser.add_argument("--page", action="store_true", help="write the page only")
    options = parser.parse_args()
    if options.way:
        print(json.dumps(run(options.network[0], options)))
        return
    results = host.RESULTS / "networks.json"
    report = json.loads(results.read_text()) if results.exists() else {"networks": {}}
    for name in [] if options.page else options.network or NETWORKS:
        how = {
            "threads": options.threads,
            "samples": SAMPLES.get(name, options.samples),
            "repeat": options.repeat,
        }
        entry = report["networks"].get(name)
        if entry and "error" not in entry and entry["how"] == how and not options.again:
            continue
        machine = host.describe()
        report["networks"][name] = measure(name, how) | {"how": how} | machine
        host.save("networks", report)
    write_page(report["networks"])


def measure(name: str, how: Mapping[str, int]) -> dict[str, Any]:
    """Return the figures of every way of a network, each from a process of its own."""
    import numpy as np

    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        outputs = {}
        for number, way in enumerate(WAYS):
            path = Path(folder) / f"{number}.npy"
            environment = {**os.environ, "ASNET_CACHE_DIR": f"{folder}/cache{number}"}
            command = [sys.executable, __file__, "--network", name, "--way", way]
            command += ["--outputs", str(path)]
            for key, value in how.items():
                command += [f"--{key}", str(value)]
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode:
                print(f"{name}, {way}: {done.stderr}", file=sys.stderr)
                return {"error": done.stderr.strip().splitlines()[-1]}
            found[way] = json.loads(done.stdout.splitlines()[-1])
            outputs[way] = np.load(path)
    theirs = found["jax.jit"]
    for way in WAYS:
        for key in ("seconds", "processor_seconds"):
            ratio = round(found[way][key] / theirs[key], 3)
            found[way]["ratio" if key == "seconds" else "processor_ratio"] = ratio
        found[way]["memory_ratio"] = round(found[way]["peak_mb"] / theirs["peak_mb"], 2)
    reach = np.ptp(outputs["jax.jit"])
    difference = np.abs(outputs["exact"] - outputs["jax.jit"]).max() / reach
    return {"ways": found, "largest_difference_of_range": float(f"{difference:.2g}")}


def run(name: str, options: Any) -> dict[str, Any]:
    """Run one way of a network in this process; return its figures."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    os.environ |= {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    import numpy as np

    subject = NETWORKS[name]()
    x = np.random.default_rng(0).random((options.samples, *subject.shape), dtype=np.float32)
    binding = WAYS[options.way]
    begin = time.perf_counter()
    if binding is None:
        compute, figures = xla(subject, x)
    else:
        compute, figures = evaluator(subject, x, binding, options.threads)
    outputs = compute()
    figures["load_compile_run_seconds"] = round(time.perf_counter() - begin, 1)
    times, processor = [], []
    for _ in range(options.repeat):
        begin, used = time.perf_counter(), time.process_time()
        compute()
        times.append(time.perf_counter() - begin)
        processor.append(time.process_time() - used)
    figures["processor_seconds"] = round(min(processor), 4)
    np.save(options.outputs, outputs)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    return figures | {"seconds": round(min(times), 4), "peak_mb": peak}


def xla(subject: Any, x: Any) -> tuple[Any, dict[str, Any]]:
    """Return what computes a batch by XLA, its weights inside, and no figures."""
    import jax
    import numpy as np

    compiled = jax.jit(subject.function)
    given = jax.device_put(x)
    return lambda: np.asarray(compiled(given).block_until_ready()), {}


def evaluator(subject: Any, x: Any, binding: str, threads: int) -> tuple[Any, dict[str, Any]]:
    """Return what computes a batch here, and the times to load and to compile it."""
    from asnet_mlir.binding import Binding
    from asnet_mlir.evaluation import CompiledNetwork, Evaluator

    begin, used = time.perf_counter(), time.process_time()
    network = subject.load()
    loaded = time.perf_counter()
    compiled = CompiledNetwork(network)
    made = Evaluator(compiled, Binding.parse([binding] if binding else []), threads=threads)
    figures = {
        "load_seconds": round(loaded - begin, 1),
        "compile_seconds": round(time.perf_counter() - loaded, 1),
        "load_compile_processor_seconds": round(time.process_time() - used, 1),
        "stages": len(compiled.stages),
        "compiled_stages": compiled.native_stages,
    }
    return lambda: made.outputs(x), figures


def write_page(networks: dict[str, Any]) -> None:
    """Write docs/networks.md and its plot."""
    lines = [
        "# Float networks",
        "",
        "Made by `make networks` (`benchmarks/networks.py`, which says what is measured, of the "
        "networks of `benchmarks/float_networks.py`).",
        "",
        "Ratios are to exact `jax.jit` on the clock and, in brackets, in processor time; below 1 "
        "is quicker.  Memory is the peak of a process with Python, framework and network.  Load "
        "and compile are from an empty cache, on the clock and together in processor time; layers "
        "that are equal but for names are compiled once.",
        "",
        "| network | load, compile s (processor) | layers, compiled | exact | P = 12 "
        "| memory MB, ratio | largest difference of the output's range | load of the machine |",
        "|---|---|---|---|---|---|---|---|",
    ]
    measured = {name: entry for name, entry in networks.items() if "error" not in entry}
    for name, entry in measured.items():
        exact, masked = entry["ways"]["exact"], entry["ways"]["P = 12"]
        cells = [
            name,
            f"{exact['load_seconds']}, {exact['compile_seconds']} "
            f"({exact['load_compile_processor_seconds']})",
            f"{exact['stages']}, {exact['compiled_stages']}",
            f"{exact['ratio']} ({exact['processor_ratio']})",
            f"{masked['ratio']} ({masked['processor_ratio']})",
            f"{exact['peak_mb']}, {exact['memory_ratio']}",
            f"{entry['largest_difference_of_range']:.1g}",
            entry["load_average_at_start"],
        ]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    first = next(iter(networks.values()))
    how = first["how"]
    used = {name: entry["how"]["samples"] for name, entry in measured.items()}
    others = [f"{n} of {name}" for name, n in used.items() if n != how["samples"]]
    failed = [f"{name}: {e['error']}" for name, e in networks.items() if "error" in e]
    lines += [
        *(["", *failed] if failed else []),
        "",
        f"{first['machine']}, {how['threads']} threads, "
        f"{', '.join([f'{how["samples"]} samples', *others])}, the least of {how['repeat']} runs.",
        "",
        "![Time against exact jax.jit](networks.png)",
    ]
    lines += networks_hardware.section()
    PAGE.write_text("\n".join(lines) + "\n")
    plot(measured)


def plot(networks: dict[str, Any]) -> None:
    """Draw every network's ratios of processor time beside the one that is XLA's."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 0.5 * len(networks) + 1.2))
    for shift, way in ((-0.2, "exact"), (0.2, "P = 12")):
        ratios = [entry["ways"][way]["processor_ratio"] for entry in networks.values()]
        places = [number + shift for number in range(len(networks))]
        axes.barh(places, ratios, 0.38, label=way)
    axes.set_yticks(range(len(networks)), list(networks))
    axes.invert_yaxis()
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("processor time / that of exact jax.jit")
    axes.legend()
    figure.tight_layout()
    figure.savefig(PAGE.with_suffix(".png"), dpi=110)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
