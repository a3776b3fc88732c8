# SPDX-License-Identifier: Apache-2.0
"""What sweeps, compilation and memory take: the paper's figures and more, each in a fresh process.

    make bench       (or: python benchmarks/sweeps.py [--case NAME ..])

Cores are checked before (that is done once for a core, whatever network uses it); native code is
not there: every case starts with an empty cache of compiled stages.  Results: sweeps.json and
scaling.png.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import host

#: Folders of the cache that hold native code or results of the compiler.
_COMPILED = ("stages", "blocks", "transposers")


def both(low: int = 0, high: int = 22) -> dict[str, Any]:
    """Return the paper's design space: multiplier and divider that ignore `low`..`high` bits."""
    bits = {"P": {"ParamLow": low, "ParamHigh": high}}
    return {
        "cores": [
            {"op": "mulf", "core": "fmul_trunc", "parameters": bits},
            {"op": "divf", "core": "fdiv_trunc", "parameters": bits},
        ]
    }


def sweep(model: str, data: str, axes: bool) -> dict[str, Any]:
    """Run a sweep from an empty store; importing the framework is not counted."""
    import asnet_mlir as asnet
    from asnet_mlir.frontends import load_model

    network = load_model(model)
    network.lower(1)
    dataset = asnet.load_data(data)
    begin = time.perf_counter()
    found = asnet.explore(network, dataset, both(), only_axes=axes)
    return {
        "configurations": len(found.results),
        "samples": len(dataset),
        "seconds": round(time.perf_counter() - begin, 3),
    }


def compile_times() -> dict[str, Any]:
    """Seconds to compile each network: cold, and for a binding of another kind of core."""
    from asnet_mlir.binding import Binding
    from asnet_mlir.cores import ensure_checked
    from asnet_mlir.evaluation import CompiledNetwork, Evaluator
    from asnet_mlir.frontends import load_model

    first = Binding.parse(["mulf=fmul_trunc:P=12"])
    # Others of the same kinds of core need no compilation, these do.
    others = {
        "another parameter": ["mulf=fmul_trunc:P=13"],
        "one layer's multiplier": ["mulf=fmul_trunc:P=12", "mulf@LAYER=fmul:FLUSH=1"],
        "every multiplier": ["mulf=fmul:FLUSH=1"],
    }
    last = {
        "classification_mnist": "dense",
        "convolutional_mnist": "conv2",
        "convolutional_svhn": "conv2",
    }
    result: dict[str, Any] = {}
    for name, layer in last.items():
        network = load_model(name)
        network.lower(1)
        bindings = {
            label: Binding.parse([rule.replace("LAYER", layer) for rule in rules])
            for label, rules in others.items()
        }
        for binding in (first, *bindings.values()):
            ensure_checked(binding.instances.values())
        begin = time.perf_counter()
        compiled = CompiledNetwork(network)
        Evaluator(compiled, first)
        row = {"cold": round(time.perf_counter() - begin, 3)}
        for label, binding in bindings.items():
            begin = time.perf_counter()
            Evaluator(compiled, binding)
            row[label] = round(time.perf_counter() - begin, 3)
        result[name] = row
    return result


def scaling() -> dict[str, Any]:
    """Seconds against images and against configurations, convolutional_mnist."""
    from asnet_mlir.binding import Binding
    from asnet_mlir.data import load_data
    from asnet_mlir.evaluation import CompiledNetwork, Evaluator, Session

    data = load_data("mnist:test")
    compiled = CompiledNetwork("convolutional_mnist")
    binding = Binding.parse(["mulf=fmul_trunc:P=12"])
    evaluator = Evaluator(compiled, binding)
    images = []
    for count in range(1000, 10001, 1000):
        x = data.x[:count]
        times = []
        for _ in range(9):
            begin = time.perf_counter()
            evaluator.outputs(x)
            times.append(1e3 * (time.perf_counter() - begin))
        images.append({"images": count, "milliseconds": host.spread(times)})
    configurations = []
    session = Session(compiled, data)
    begin = time.perf_counter()
    for p in range(23):
        session.value(Binding.parse([f"mulf=fmul_trunc:P={p}"]))
        configurations.append(
            {"configurations": p + 1, "seconds": round(time.perf_counter() - begin, 4)}
        )
    return {"images": images, "configurations": configurations}


def memory() -> dict[str, Any]:
    """Mebibytes above the data, 10,000 images of the largest network, evaluation and session."""
    from asnet_mlir.binding import Binding
    from asnet_mlir.data import load_data
    from asnet_mlir.evaluation import CompiledNetwork, Evaluator, Session
    from asnet_mlir.evaluation.evaluate import prepare_data

    def resident(what: str) -> float:
        text = Path("/proc/self/status").read_text()
        return int(text.partition(f"Vm{what}:")[2].split()[0]) / 1024

    compiled = CompiledNetwork("convolutional_svhn")
    data = prepare_data(load_data("svhn_synthetic:test"), compiled.network)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what is resident now
    before = resident("RSS")
    Evaluator(compiled, Binding.parse(["mulf=fmul_trunc:P=12"])).outputs(data.x)
    evaluated = resident("HWM")
    session = Session(compiled, data)
    for layer in ("dense2", "dense1", "conv2", "conv1"):
        for p in (1, 2, 3, 4):
            session.outputs(Binding.parse([f"mulf@{layer}=fmul_trunc:P={p}"]))
    return {
        "samples": len(data),
        "evaluator_mib": round(evaluated - before, 1),
        "session_mib": round(resident("HWM") - before, 1),
    }


CASES: dict[str, Callable[[], dict[str, Any]]] = {
    "figure 3a": lambda: sweep("classification_mnist", "mnist:test", axes=True),
    "figure 4a": lambda: sweep("convolutional_svhn", "svhn_synthetic:test:3000", axes=True),
    "product": lambda: sweep("classification_mnist", "mnist:test", axes=False),
    "compile": compile_times,
    "scaling": scaling,
    "memory": memory,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", action="append", choices=CASES)
    parser.add_argument("--here", choices=CASES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print(json.dumps(CASES[options.here]()))
        return
    path = host.RESULTS / "sweeps.json"
    report = host.describe()
    cases = json.loads(path.read_text())["cases"] if options.case and path.is_file() else {}
    for name in options.case or CASES:
        cases[name] = in_fresh_process(name)
    report["cases"] = cases
    host.save("sweeps", report)
    plot_scaling(cases["scaling"])


def in_fresh_process(case: str) -> dict[str, Any]:
    """Run a case with everything cached but native code."""
    from asnet_mlir.support.cache import cache_directory

    warm_up_cores()
    with tempfile.TemporaryDirectory(prefix="asnet-bench-") as folder:
        for entry in cache_directory().iterdir():
            if entry.name not in _COMPILED:
                (Path(folder) / entry.name).symlink_to(entry)
        result = subprocess.run(
            [sys.executable, __file__, "--here", case],
            env={**os.environ, "ASNET_CACHE_DIR": folder, "JAX_PLATFORMS": "cpu"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return json.loads(result.stdout.splitlines()[-1])


def warm_up_cores() -> None:
    """Check the design space's cores and derive their models, once on a machine."""
    from asnet_mlir.cores import derive_models, ensure_checked
    from asnet_mlir.exploration import load_constraints

    instances = [i for choice in load_constraints(both()).choices.values() for i in choice if i]
    ensure_checked(instances)
    derive_models({f"core_{index}": instance for index, instance in enumerate(instances)})


def plot_scaling(result: dict[str, Any]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    images = [row["images"] for row in result["images"]]
    left.plot(images, [row["milliseconds"]["median"] for row in result["images"]], "o-")
    left.set(xlabel="images", ylabel="milliseconds, median of 9", title="one configuration")
    counts = [row["configurations"] for row in result["configurations"]]
    right.plot(counts, [row["seconds"] for row in result["configurations"]], "o-")
    right.set(xlabel="configurations", ylabel="seconds in all", title="10,000 images")
    for axis in (left, right):
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    figure.suptitle("convolutional_mnist, multiplier that ignores P mantissa bits")
    figure.savefig(host.RESULTS / "scaling.png", dpi=110)


if __name__ == "__main__":
    main()
