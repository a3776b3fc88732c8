# SPDX-License-Identifier: Apache-2.0
"""A multiplier evolved for a network's own operands against the best general-purpose one.

    make evolved-for-network    (python benchmarks/evolved_for_network.py [--budget 12m] [-o DIR])

Quantizes convolutional_mnist, evolves signed 8 x 8 multipliers whose error is weighted by the
operands of its multiplications (WMED), and puts each into all of them, as every one of the shipped
fronts and families.  On validation images of the training set the circuit of least energy (by its
proxy) that keeps the accuracy within some loss of the exact multiplier's is chosen, of both kinds;
accuracies are those of the test set.  Results: evolved_for_network.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import Any

import host

import asnet_mlir as asnet
from asnet_mlir.exploration.results import Exploration, Result

NETWORK, CALIBRATION = "convolutional_mnist", "mnist:train[0:512]"
VALIDATION, TEST = "mnist:train[50000:60000]", "mnist:test"
GENERAL: list[dict[str, Any]] = [
    {"op": "muli", "core": "mul8s_evolved", "parameters": {"M": list(range(64))}},
    {
        "op": "muli",
        "core": "mul8u_evolved",
        "parameters": {"M": list(range(75)), "SIGN_MAGNITUDE": 8},
    },
    {
        "op": "muli",
        "core": "truncated",
        "parameters": {"N": 8, "CUT": [4, 5, 6, 7], "CORRECTION": [0, 1], "SIGNED": 1},
    },
    {"op": "muli", "core": "drum", "parameters": {"N": 8, "K": [3, 4, 5, 6], "SIGN_MAGNITUDE": 8}},
    {"op": "muli", "core": "mitchell", "parameters": {"N": 8, "SIGN_MAGNITUDE": 8}},
    {"op": "muli", "core": "kulkarni", "parameters": {"N": 8, "SIGN_MAGNITUDE": 8}},
]
LOSSES = (0.001, 0.0025, 0.005, 0.01)


def evolved(folder: Path, network: Path, budget: str) -> list[dict[str, Any]]:
    """Return the cores of a front that `asnet cores evolve` makes, or goes on with."""
    command = ["asnet", "cores", "evolve", "--op", "muli", "--width", "8", "--signed"]
    command += ["--bound", "WMED<=300", "--least", "1", "--points", "14", "--weights", str(network)]
    command += ["--data", CALIBRATION, "--budget", budget, "-o", str(folder)]
    subprocess.run(command, check=True)
    return [{"op": "muli", "core": str(path)} for path in sorted(folder.glob("*.v"))]


def study(network: Path, cores: list[dict[str, Any]]) -> Exploration:
    """Return every core in all products, by accuracy on validation images and energy."""
    constraints = {"cores": cores, "scope": "network"}
    return asnet.explore(
        network, VALIDATION, constraints, strategy="exhaustive", cost="energy_proxy"
    )


def best(found: Exploration, least: float) -> Result:
    """Return the configuration of least energy of those that keep an accuracy."""
    return min(
        (result for result in found.results if result.accuracy >= least),
        key=lambda result: result.costs["energy_proxy"],
    )


def compare(network: Path, general: Exploration, own: Exploration) -> list[dict[str, Any]]:
    """Return, for each loss, the energies of both best circuits and their accuracies."""
    exact = general.results[0]
    rows = []
    for loss in LOSSES:
        row: dict[str, Any] = {"loss": loss}
        for name, found in (("general", general), ("evolved", own)):
            chosen = best(found, exact.accuracy - loss)
            row[name] = {
                "binding": chosen.binding.label,
                "energy": round(chosen.costs["energy_proxy"] / exact.costs["energy_proxy"], 4),
                "validation": chosen.accuracy,
                "test": asnet.evaluate(network, TEST, chosen.binding).accuracy,
            }
        row["ratio"] = round(row["evolved"]["energy"] / row["general"]["energy"], 3)
        rows.append(row)
    return rows


def main() -> None:
    """Run all and write results/evolved_for_network.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budget", default="12m", help="of evolution")
    parser.add_argument("-o", "--output", type=Path, default=Path("build/evolved_for_network"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    network = options.output / "net8.mlir"
    command = [
        "asnet",
        "quantize",
        NETWORK,
        "--data",
        CALIBRATION,
        "--no-alone",
        "-o",
        str(network),
    ]
    subprocess.run(command, check=True)
    cores = evolved(options.output / "front", network, options.budget)
    rows = compare(network, study(network, GENERAL), study(network, cores))
    host.save("evolved_for_network", {**host.describe(), "rows": rows})
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
