# SPDX-License-Identifier: Apache-2.0
"""Whether every way to compute products of codes gives the same words, on whole test sets.

    make eight-bits-equality  (or: python benchmarks/eight_bits_equality.py [--network N])

For each built-in network in 8 bits and each core: outputs by lifted products, by rows and by the
core's model, for all test images.  And each core's product for all 65,536 pairs of codes, by its
model and by its simulated Verilog: since lifted products and rows are made from such a table, the
networks' words are those of the simulation, too; the first images are computed by simulation in
every product besides.

Results: eight_bits_equality.json, written after every core.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import host
from eight_bits import CORES, NETWORKS

#: Images by simulation in every product: it takes a microsecond for each.
SIMULATED_PRODUCTS = 20_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", action="append", choices=NETWORKS)
    options = parser.parse_args()
    path = host.RESULTS / "eight_bits_equality.json"
    known = json.loads(path.read_text())["networks"] if path.is_file() else {}
    report = {**host.describe(), "networks": known}
    for name in options.network or NETWORKS:
        for label, core in ({"exact": None} | CORES).items():
            if label in known.get(name, {}):
                continue
            known.setdefault(name, {})[label] = compare(name, core)
            host.save("eight_bits_equality", report)
            print(name, label, known[name][label], flush=True)
    wrong = [
        (name, label) for name, cores in known.items() for label, c in cores.items() if c["differ"]
    ]
    if wrong:
        raise SystemExit(f"words differ: {wrong}")


def compare(name: str, core: str | None) -> dict[str, Any]:
    """Return how many words and how many products differ between the ways."""
    import asnet_mlir
    from asnet_mlir.binding import Binding
    from asnet_mlir.evaluation import CompiledNetwork, Evaluator
    from asnet_mlir.evaluation.evaluate import prepare_data

    calibration, test = NETWORKS[name]
    network = asnet_mlir.quantize(name, calibration)
    x = prepare_data(test, network).x
    binding = Binding.parse([f"muli={core}"] if core else [])
    first = Evaluator(CompiledNetwork(network, way="rows"), binding)
    outputs = first.outputs(x)
    found: dict[str, Any] = {"images": len(x), "words": outputs.size, "differ": 0, "ways": ["rows"]}
    for way in ("lifted", "models"):
        evaluator = Evaluator(CompiledNetwork(network, way=way), binding)
        if way == "lifted" and not evaluator.contractions:
            continue  # of too high a rank
        found["ways"].append(way)
        found["differ"] += int((evaluator.outputs(x) != outputs).sum())
    if core is None:
        return found
    stages: list[Any] = [
        stage
        for strategy in (None, "simulated")
        for stage in CompiledNetwork(network, strategy=strategy, way="rows").bind(binding)
    ]
    tables = [stage.products[0].table for stage in stages if stage.products]
    half = len(tables) // 2
    found["products_differ"] = sum(
        int((a != b).sum()) for a, b in zip(tables[:half], tables[half:], strict=True)
    )
    images = max(1, min(len(x), SIMULATED_PRODUCTS // products_of(first)))
    simulated = Evaluator(
        CompiledNetwork(network, strategy="simulated", way="models"), binding
    ).outputs(x[:images])
    found["simulated_images"] = images
    found["differ"] += found["products_differ"] + int((simulated != outputs[:images]).sum())
    return found


def products_of(evaluator: Any) -> int:
    return sum(one.products for _, one in evaluator.contractions)


if __name__ == "__main__":
    main()
