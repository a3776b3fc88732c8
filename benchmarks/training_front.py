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

#: Members of `mul8s_evolved`, of few passes, so that a step of training is quick.
MEMBERS = (20, 58, 35)
#: The layers that `asnet explore --strategy agn` lets go first.
_TOLERANT = ("block1_conv2", "block2_conv1", "block2_conv2", "block2_shortcut")
#: A member for the tolerant layers, and one for the others.
CONFIGURATIONS = ((58, 58), (35, 20))
DATA, IMAGES = "svhn_synthetic", 4000
OPTIONS: dict[str, Any] = {
    "centre": True,
    "epochs": 1,
    "rate": 3e-4,
    "schedule": "cosine",
    "scales": True,
}


def front(report: dict[str, Any], network: Network, keep: Callable[[], None]) -> None:
    """Train the configurations that the results lack."""
    core = {"op": "muli", "core": "mul8s_evolved", "parameters": {"M": list(MEMBERS)}}
    given = {"scope": "layer", "cores": [core]}
    found = asnet.explore(network, f"{DATA}:test:64", given, budget=1)
    energies = products(found)
    exact = energies.figures(found.space.exact)["energy_proxy"]
    report["exact"] = asnet.evaluate(network, f"{DATA}:test").accuracy
    done = report.setdefault("trained", [])
    for tolerant, other in CONFIGURATIONS:
        members = [
            tolerant if variable.layer in _TOLERANT else other for variable in found.space.variables
        ]
        configuration = tuple(1 + MEMBERS.index(member) for member in members)
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
