# SPDX-License-Identifier: Apache-2.0
"""A search by layers on convolutional_mnist, and what it gains over one multiplier for all layers.

    make layer-search        (or: python examples/layer_search.py [OUTPUT_FOLDER])

First every uniform binding: one multiplier, P = 0..22 ignored mantissa bits, in all layers.  Then
the searches `greedy` and `nsga2` choose a P for each layer.  The energy of a configuration is the
proxy of all its operations (docs/exploration.md).  Printed is, for each uniform binding, the
cheapest configuration by layers that is at least as accurate; a report with both fronts is written.

The synthesis of the multipliers takes some minutes the first time; it is cached.
"""

from __future__ import annotations

import sys
from pathlib import Path

import asnet_mlir

COST = "energy_proxy"
MODEL, DATA = "convolutional_mnist", "mnist:test"
HERE = Path(__file__).parent / MODEL
#: The bounds for which the greedy search is asked.
BOUNDS = (0.987, 0.986, 0.984, 0.98)


def main(output: Path) -> bool:
    output.mkdir(parents=True, exist_ok=True)
    store = output / "results.sqlite"
    bits = {"P": {"ParamLow": 0, "ParamHigh": 22}}
    multiplier = {"op": "mulf", "core": "fmul_trunc", "parameters": bits}
    uniform = asnet_mlir.explore(
        MODEL, DATA, {"scope": "network", "cores": [multiplier]}, store=store, cost=COST
    ).results
    layers = {"scope": "layer", "cores": [multiplier]}
    searched = []
    for bound in BOUNDS:
        searched += asnet_mlir.explore(
            *(MODEL, DATA, layers),
            store=store,
            strategy="greedy",
            cost=COST,
            choose=f"accuracy>={bound}",
        ).results
    searched += asnet_mlir.explore(
        MODEL, DATA, layers, store=store, strategy="nsga2", budget=400, seed=1, cost=COST
    ).results

    # Uniform bindings that another uniform one beats are no rivals.
    rivals = [
        result
        for result in uniform
        if not any(
            other.accuracy >= result.accuracy and other.costs[COST] < result.costs[COST]
            for other in uniform
        )
    ]
    dominates = True
    print(f"{'uniform':>12} {'accuracy':>9} {'energy':>12}   by layers, at least as accurate")
    for rival in sorted(rivals, key=lambda result: -result.accuracy):
        better = min(
            (result for result in searched if result.accuracy >= rival.accuracy),
            key=lambda result: result.costs[COST],
            default=None,
        )
        gain = 1 - better.costs[COST] / rival.costs[COST] if better else 0.0
        dominates &= better is not None and gain >= 0
        found = (
            f"{better.accuracy:.4f}, {better.costs[COST]:.4g}, {100 * gain:.1f} % less: "
            f"{better.binding.label}"
            if better
            else "none"
        )
        name = rival.binding.label.removeprefix("mulf=fmul_trunc:")
        print(f"{name:>12} {rival.accuracy:>9.4f} {rival.costs[COST]:>12.4g}   {found}")
    print(f"the front by layers dominates the uniform one: {'yes' if dominates else 'no'}")
    for path in asnet_mlir.report(store, output / "report.html", png=output):
        print(path)
    return dominates


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "layer-search-output")
    sys.exit(0 if main(folder) else 1)
