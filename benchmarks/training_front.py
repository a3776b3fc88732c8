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

#: Members of `mul8s_evolved`, for all products.
MEMBERS = (58,)
DATA, IMAGES = "svhn_synthetic", 4000
OPTIONS: dict[str, Any] = {
    "centre": True,
    "epochs": 2,
    "rate": 1e-3,
    "schedule": "cosine",
    "scales": True,
}


def front(report: dict[str, Any], network: Network, keep: Callable[[], None]) -> None:
    """Train the configurations that the results lack."""
    core = {"op": "muli", "core": "mul8s_evolved", "parameters": {"M": list(MEMBERS)}}
    found = asnet.explore(network, f"{DATA}:test:64", {"cores": [core]}, budget=1)
    energies = products(found)
    exact = energies.figures(found.space.exact)["energy_proxy"]
    report["exact"] = asnet.evaluate(network, f"{DATA}:test").accuracy
    done = report.setdefault("trained", [])
    for place in range(len(MEMBERS)):
        configuration = (1 + place,)
        binding = found.space.label(configuration)
        if any(one["binding"] == binding for one in done):
            continue
        energy = energies.figures(configuration)["energy_proxy"]
        done.append({"saved": round(1 - energy / exact, 4), **trained(network, binding)})
        keep()
        print(done[-1], flush=True)


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
