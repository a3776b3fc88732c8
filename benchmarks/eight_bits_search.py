# SPDX-License-Identifier: Apache-2.0
"""A search by layers over twenty 8-bit multipliers: energy saved at a bounded loss of accuracy.

    python benchmarks/eight_bits_search.py MODEL DATA [--calibration DATA] [--channels N] ..

MODEL is a network on signed codes of 8 bits (`asnet quantize`).  For each strategy: evaluations
times images, seconds (cores checked and synthesized before), and the energy of the multiplications
that the best configuration within 0.6 and within 1 point of the exact network saves, beside that of
the best single core for all layers.  The energy is the proxy of `asnet explore --cost
energy_proxy`, of the products alone.  With --calibration: accuracies of every single core as it is,
with tuned weights, and with a control variate.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import host

import asnet_mlir as asnet
from asnet_mlir.compensation import add_control_variate, tune_weights
from asnet_mlir.exploration.costs import CostModel, measure_costs
from asnet_mlir.exploration.results import Exploration, Result
from asnet_mlir.exploration.store import Store

#: Evolved circuits of 8 x 8 bits, and members of four families; unsigned ones see magnitudes.
CORES: list[dict[str, Any]] = [
    {
        "op": "muli",
        "core": "mul8s_evolved",
        "parameters": {"M": [1, 10, 16, 21, 25, 27, 30, 33, 34, 35, 38]},
    },
    {
        "op": "muli",
        "core": "truncated",
        "parameters": {"N": 8, "CUT": [5, 6, 7], "CORRECTION": 1, "SIGNED": 1},
    },
    {
        "op": "muli",
        "core": "drum",
        "parameters": {"N": 8, "K": [3, 4, 5], "SIGN_MAGNITUDE": 8},
    },
    {"op": "muli", "core": "mitchell", "parameters": {"N": 8, "SIGN_MAGNITUDE": 8}},
    {"op": "muli", "core": "kulkarni", "parameters": {"N": 8, "SIGN_MAGNITUDE": 8}},
    {"op": "muli", "core": "mul8u_evolved", "parameters": {"M": 10, "SIGN_MAGNITUDE": 8}},
]
LOSSES = (0.006, 0.01)


def products(found: Exploration) -> CostModel:
    """Return the costs of the multiplications of a study alone."""
    layers = tuple(
        replace(layer, ops={op: n for op, n in layer.ops.items() if op == "muli"})
        for layer in found.space.layers
    )
    with Store(None) as store:
        return measure_costs("energy_proxy", replace(found.space, layers=layers), store)


def best(found: Exploration, energies: CostModel, loss: float) -> dict[str, Any]:
    """Return the configuration of least energy within a loss, and what it saves."""
    exact = found.results[0]

    def energy(result: Result) -> float:
        return energies.figures(result.configuration)["energy_proxy"]

    within = [r for r in found.results if r.accuracy >= exact.accuracy - loss - 1e-9]
    chosen = min(within, key=energy)
    return {
        "saved": round(1 - energy(chosen) / energy(exact), 4),
        "accuracy": chosen.accuracy,
        "binding": chosen.binding.label,
    }


def search(options: argparse.Namespace, strategy: str, tuned: bool = False) -> dict[str, Any]:
    """Run a strategy by layers, or all single cores (`uniform`), with weights tuned for each."""
    uniform = strategy == "uniform"
    constraints: dict[str, Any] = {"cores": CORES, "scope": "network" if uniform else "layer"}
    if options.channels and not uniform:
        constraints["channels"] = options.channels
    bound = None if uniform else f"accuracy>={options.bound:.6f}"
    begin = time.perf_counter()
    found = asnet.explore(
        options.model,
        options.data,
        constraints,
        strategy="exhaustive" if uniform else strategy,
        budget=None if uniform else options.budget,
        cost="energy_proxy",
        choose=bound,
        tune_weights=options.calibration if tuned else None,
    )
    seconds = time.perf_counter() - begin
    if uniform and not tuned:
        options.bound = found.results[0].accuracy - LOSSES[0]
    energies = products(found)
    return {
        "exact": found.results[0].accuracy,
        "variables": len(found.space.variables),
        "evaluations": len(found.results),
        "images": found.samples,
        "seconds": round(seconds, 1),
        **{f"within {100 * loss:.1f} points": best(found, energies, loss) for loss in LOSSES},
    }


def compensated(options: argparse.Namespace, cores: list[str]) -> dict[str, Any]:
    """Return the accuracies of single cores as they are, tuned, and with a control variate."""
    network = asnet.load_model(options.model)
    report = {}
    for core in cores:
        tuned = tune_weights(network, core, options.calibration).network
        variate = add_control_variate(network, core, options.calibration).network
        report[core] = {
            name: asnet.evaluate(one, options.data, core).accuracy
            for name, one in (("plain", network), ("tuned", tuned), ("variate", variate))
        }
    return report


def main() -> None:
    """Run all and write results/NAME.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--calibration")
    parser.add_argument("--name", default="eight_bits_search", help="of the file of results")
    parser.add_argument("--budget", type=int, default=1000)
    parser.add_argument("--channels", type=int, default=0)
    parser.add_argument("--strategies", nargs="+", default=["greedy", "nsga2"])
    options = parser.parse_args()
    report: dict[str, Any] = {
        **host.describe(),
        "model": Path(options.model).name,
        "data": options.data,
    }
    # The first study checks and synthesizes the cores; it is run again for its time.
    search(options, "uniform")
    for strategy in ("uniform", *options.strategies):
        report[strategy] = search(options, strategy)
    if options.calibration:
        for strategy in ("uniform", *options.strategies):
            report[f"{strategy}, tuned weights"] = search(options, strategy, tuned=True)
        with_labels = asnet.explore(options.model, options.data, {"cores": CORES}, budget=1)
        choices = with_labels.space.variables[0].choices
        labels = [f"muli={choice.label}" for choice in choices if choice is not None]
        report["compensation"] = compensated(options, labels)
    host.save(options.name, report)


if __name__ == "__main__":
    main()
