# SPDX-License-Identifier: Apache-2.0
"""The front of a network whose configurations are trained: energy saved against accuracy."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from eight_bits_search import products

import asnet_mlir as asnet
from asnet_mlir.network import Network
from asnet_mlir.training import finetune

#: Of few passes, so that a step of training is quick.
CORES = {"op": "muli", "core": "mul8s_evolved", "parameters": {"M": [20, 61, 35]}}
CONSTRAINTS: dict[str, Any] = {"scope": "layer", "cores": [CORES]}
#: Configurations that are trained: the first of the search that save so much.
SAVED = (0.6, 0.7)
DATA, IMAGES = "svhn_synthetic", 5000
OPTIONS: dict[str, Any] = {"epochs": 3, "rate": 1e-3, "schedule": "cosine", "scales": True}


def front(report: dict[str, Any], network: Network, keep: Callable[[], None]) -> None:
    """Search configurations, and train those that the results lack."""
    if "search" not in report:
        report["search"] = search(network)
        report["exact"] = asnet.evaluate(network, f"{DATA}:test").accuracy
        keep()
    done = report.setdefault("trained", [])
    for least in SAVED:
        one = next((one for one in report["search"] if one["saved"] >= least), None)
        if one is None or any(other["binding"] == one["binding"] for other in done):
            continue
        done.append({"saved": one["saved"], **trained(network, one["binding"])})
        keep()
        print(done[-1], flush=True)


def search(network: Network) -> list[dict[str, Any]]:
    """Return the configurations that noise leads to, by the energy of products that they save."""
    found = asnet.explore(
        network,
        f"{DATA}:train:500",
        CONSTRAINTS,
        strategy="agn",
        cost="energy_proxy",
    )
    energies = products(found)
    exact = energies.figures(found.space.exact)["energy_proxy"]
    rows = [
        {
            "saved": round(1 - energies.figures(one.configuration)["energy_proxy"] / exact, 4),
            "validation": one.accuracy,
            "binding": one.binding.label,
        }
        for one in found.results
    ]
    return sorted(rows, key=lambda row: row["saved"])


def trained(network: Network, binding: str) -> dict[str, Any]:
    """Return accuracies on the test data before and after training."""
    begin = time.process_time()
    rules = binding.split()
    found = finetune(network, f"{DATA}:train:{IMAGES}", rules, **OPTIONS)
    seconds = time.process_time() - begin
    return {
        "binding": binding,
        "untrained": asnet.evaluate(network, f"{DATA}:test", rules).accuracy,
        "trained": asnet.evaluate(found.network, f"{DATA}:test", rules).accuracy,
        "epochs": [one.accuracy for one in found.epochs],
        "processor seconds": round(seconds, 1),
    }
