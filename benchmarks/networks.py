# SPDX-License-Identifier: Apache-2.0
"""Float networks at ImageNet size against exact `jax.jit`: times, memory, difference.

    make networks    (or: python benchmarks/networks.py [--network NAME ..] [--threads N])
    python benchmarks/networks.py --page      docs/networks.md of the last results

Networks of `keras.applications` without trained weights (nothing is downloaded; normalizations get
random ones, and weights change no time). Each way runs in a process of its own, with a cache of its
own that is empty at the start: a process's peak memory is that way's. A way runs `--repeat` times
on `--samples` images; its time is the least. Results: networks.json, and docs/networks.md.
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
from pathlib import Path
from typing import Any

import host

#: Where there is a name: the class of `keras.applications`, and the side of its images.
NETWORKS = {
    "MobileNetV2": 224,
    "EfficientNetB0": 224,
    "NASNetMobile": 224,
    "DenseNet121": 224,
    "ResNet50": 224,
}
WAYS = {"jax.jit": None, "exact": "", "P = 12": "mulf=fmul_trunc:P=12"}
PAGE = Path(__file__).parent.parent / "docs" / "networks.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", action="append", choices=NETWORKS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--way", choices=WAYS, help="run it here, print its figures")
    parser.add_argument("--outputs", type=Path, help="where such a run leaves its outputs")
    parser.add_argument("--page", action="store_true", help="write the page only")
    options = parser.parse_args()
    if options.way:
        print(json.dumps(run(options.network[0], options)))
        return
    if not options.page:
        results = host.RESULTS / "networks.json"
        known = json.loads(results.read_text())["networks"] if results.exists() else {}
        report = host.describe()
        report |= {key: getattr(options, key) for key in ("threads", "samples", "repeat")}
        for name in options.network or NETWORKS:
            known[name] = measure(name, options)
            host.save("networks", report | {"networks": known})
    write_page(json.loads((host.RESULTS / "networks.json").read_text()))


def measure(name: str, options: Any) -> dict[str, Any]:
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
            for key in ("threads", "samples", "repeat"):
                command += [f"--{key}", str(getattr(options, key))]
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise SystemExit(f"{name}, {way}: {done.stderr}")
            found[way] = json.loads(done.stdout.splitlines()[-1])
            outputs[way] = np.load(path)
    theirs = found["jax.jit"]
    for way in WAYS:
        found[way]["ratio"] = round(found[way]["seconds"] / theirs["seconds"], 3)
        found[way]["memory_ratio"] = round(found[way]["peak_mb"] / theirs["peak_mb"], 2)
    reach = np.ptp(outputs["jax.jit"])
    difference = np.abs(outputs["exact"] - outputs["jax.jit"]).max() / reach
    return {"ways": found, "largest_difference_of_range": float(f"{difference:.2g}")}


def run(name: str, options: Any) -> dict[str, Any]:
    """Run one way of a network in this process; return its figures."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    os.environ |= {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    import numpy as np

    model, side = keras_model(name), NETWORKS[name]
    x = np.random.default_rng(0).random((options.samples, side, side, 3), dtype=np.float32)
    way = xla if WAYS[options.way] is None else evaluator
    begin = time.perf_counter()
    compute, figures = way(model, x, WAYS[options.way], options.threads)
    outputs = compute()
    figures["load_compile_run_seconds"] = round(time.perf_counter() - begin, 1)
    times = []
    for _ in range(options.repeat):
        begin = time.perf_counter()
        compute()
        times.append(time.perf_counter() - begin)
    np.save(options.outputs, outputs)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    return figures | {"seconds": round(min(times), 4), "peak_mb": peak}


def keras_model(name: str) -> Any:
    """Return a network of `keras.applications` with random weights, normalizations included."""
    import keras
    import numpy as np

    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name)(weights=None)
    rng = np.random.default_rng(0)
    for variable in model.weights:
        role = variable.path.rpartition("/")[2]
        if role in ("gamma", "moving_variance"):
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        elif role in ("beta", "moving_mean"):  # else values would shrink to nothing
            variable.assign(rng.uniform(-0.5, 0.5, variable.shape))
    return model


def xla(model: Any, x: Any, _binding: str, _threads: int) -> tuple[Any, dict[str, Any]]:
    """Return what computes a batch by XLA, its weights inside, and no figures."""
    import jax
    import numpy as np

    trainable = [variable.value for variable in model.trainable_variables]
    rest = [variable.value for variable in model.non_trainable_variables]
    compiled = jax.jit(lambda x: model.stateless_call(trainable, rest, x, training=False)[0])
    given = jax.device_put(x)
    return lambda: np.asarray(compiled(given).block_until_ready()), {}


def evaluator(model: Any, x: Any, binding: str, threads: int) -> tuple[Any, dict[str, Any]]:
    """Return what computes a batch here, and the times to load and to compile it."""
    from asnet_mlir.binding import Binding
    from asnet_mlir.evaluation import CompiledNetwork, Evaluator
    from asnet_mlir.frontends import load_model

    begin = time.perf_counter()
    network = load_model(model)
    loaded = time.perf_counter()
    compiled = CompiledNetwork(network)
    made = Evaluator(compiled, Binding.parse([binding] if binding else []), threads=threads)
    figures = {
        "load_seconds": round(loaded - begin, 1),
        "compile_seconds": round(time.perf_counter() - loaded, 1),
        "stages": len(compiled.stages),
        "compiled_stages": compiled.native_stages,
    }
    return lambda: made.outputs(x), figures


def write_page(report: dict[str, Any]) -> None:
    """Write docs/networks.md."""
    lines = [
        "# Float networks at ImageNet size",
        "",
        "Made by `make networks` (`benchmarks/networks.py`, which says what is measured).",
        f"{report['machine']}, {report['threads']} threads, {report['samples']} images of "
        f"224 x 224, the least time of {report['repeat']} runs; the machine's load was "
        f"{report['load_average_at_start']} at the start.",
        "",
        "Ratios are to exact `jax.jit`, below 1 is quicker. Memory is the peak of a process with "
        "Python, framework and network. Load and compile are from an empty cache; layers that are "
        "equal but for names are compiled once.",
        "",
        "| network | load s | compile s | layers, compiled | exact, ratio | P = 12, ratio "
        "| memory MB | memory, ratio | largest difference of the output's range |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, entry in report["networks"].items():
        exact, masked = entry["ways"]["exact"], entry["ways"]["P = 12"]
        cells = [
            name,
            exact["load_seconds"],
            exact["compile_seconds"],
            f"{exact['stages']}, {exact['compiled_stages']}",
            exact["ratio"],
            masked["ratio"],
            exact["peak_mb"],
            exact["memory_ratio"],
            f"{entry['largest_difference_of_range']:.1g}",
        ]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    PAGE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
