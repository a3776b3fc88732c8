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
MEMBERS = (20, 58)
#: Layers of which `asnet explore --strategy agn` lets go last.
SENSITIVE = ("conv", "block1_conv1", "block3_conv1")
#: The member of all layers but these, theirs, images and epochs.
CONFIGURATIONS = ((58, 58, 4000, 2), (58, 20, 4000, 2), (58, 20, 12000, 2))
DATA = "svhn_synthetic"
OPTIONS: dict[str, Any] = {
    "centre": True,
    "rate": 1e-3,
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
    for member, sensitive, images, epochs in CONFIGURATIONS:
        members = [
            sensitive if variable.layer in SENSITIVE else member
            for variable in found.space.variables
        ]
        configuration = tuple(1 + MEMBERS.index(one) for one in members)
        binding = found.space.label(configuration)
        if any(one["binding"] == binding and one["images"] == images for one in done):
            continue
        energy = energies.figures(configuration)["energy_proxy"]
        figures = trained(network, binding, images, epochs)
        done.append({"saved": round(1 - energy / exact, 4), **figures})
        keep()
        print(done[-1], flush=True)


def trained(network: Network, binding: str, images: int, epochs: int) -> dict[str, Any]:
    """Return accuracies on the test data before and after training."""
    begin = time.process_time()
    rules = binding.split()
    found = finetune(network, f"{DATA}:train:{images}", rules, epochs=epochs, **OPTIONS)
    seconds = time.process_time() - begin
    return {
        "binding": binding,
        "images": images,
        "untrained": asnet.evaluate(network, f"{DATA}:test", rules).accuracy,
        "trained": asnet.evaluate(found.network, f"{DATA}:test", rules).accuracy,
        "epochs": [one.accuracy for one in found.epochs],
        "processor seconds": round(seconds, 1),
    }
