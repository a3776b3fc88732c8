# SPDX-License-Identifier: Apache-2.0
"""What training through cores gets back, what a step of it costs, and whether words are equal.

    python benchmarks/training.py steps|recovery|front|words|page [--seeds N]

`recovery` trains convolutional_mnist through a core that costs it more than 20 points, with each
estimator and each seed; `front` resnet8_svhn through cores that save most of the energy of its
multiplications.  `words` compares JAX, the evaluator and simulated hardware.  What is in the
results already is not made again, so that a run that was ended goes on.  Every part writes its
tables into docs/training.md.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import host
import jax
from training_front import front
from training_page import write
from training_words import words

import asnet_mlir as asnet
from asnet_mlir.evaluation.evaluate import prepare_data
from asnet_mlir.network import Network
from asnet_mlir.training import ESTIMATORS, approximate, finetune
from asnet_mlir.training.losses import cross_entropy

RESULTS = host.RESULTS / "training.json"
DATA = {"convolutional_mnist": "mnist", "resnet8_svhn": "svhn_synthetic"}
OPTIONS: dict[str, Any] = {"epochs": 5, "rate": 2e-3, "schedule": "cosine", "scales": True}
#: What is trained: a network, the core of all its products, and images.
RECOVERY = {
    "network": "convolutional_mnist",
    "binding": "muli=mul8s_evolved:M=35",
    "images": 15000,
}
#: Cores of rank 1, 3 and 5.
STEPS = (
    "muli=perforated:N=8,SIGN_MAGNITUDE=8",
    "muli=kulkarni:N=8,SIGN_MAGNITUDE=8",
    "muli=mul8s_evolved:M=15",
)


def main() -> None:
    """Carry the part out that the arguments name."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("part", choices=["steps", "recovery", "front", "words", "page"])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    report = json.loads(RESULTS.read_text()) if RESULTS.exists() else host.describe()

    def keep() -> None:
        host.save("training", report)

    if options.part == "steps":
        report["steps"] = [row for name in DATA for row in steps(quantized(name), DATA[name])]
    elif options.part == "recovery":
        recover(report.setdefault("recovery", []), options.seeds, keep)
    elif options.part == "front":
        front(report.setdefault("front", {}), quantized("resnet8_svhn"), keep)
    elif options.part == "words":
        words(report.setdefault("words", []), quantized("resnet8_svhn"), keep)
    keep()
    write(report)


def quantized(name: str) -> Network:
    """Return a network in 8 bits, as `asnet quantize NAME --data DATA:train --symmetric`."""
    return asnet.quantize(name, f"{DATA[name]}:train", symmetric=True)


def recover(done: list[dict[str, Any]], seeds: int, keep: Callable[[], None]) -> None:
    """Train what the results lack, one run at a time."""
    network = None
    for seed in range(seeds):
        for estimator in ESTIMATORS:
            key: dict[str, Any] = {**RECOVERY, "estimator": estimator, "seed": seed}
            if any(key.items() <= one.items() for one in done):
                continue
            network = network or quantized(key["network"])
            done.append(key | trained(network, DATA[key["network"]], key))
            keep()


def trained(network: Network, data: str, key: dict[str, Any]) -> dict[str, Any]:
    """Return the accuracies on the test data before and after, and after each epoch."""
    binding = key["binding"]
    begin = time.process_time()
    samples = f"{data}:train:{key['images']}"
    chosen = {name: key[name] for name in ("estimator", "seed")}
    found = finetune(network, samples, binding, **chosen, **OPTIONS)
    seconds = time.process_time() - begin

    def accuracy(of: Network, binding: str | None) -> float:
        return asnet.evaluate(of, f"{data}:test", binding).accuracy

    return {
        "exact": accuracy(network, None),
        "untrained": accuracy(network, binding),
        "trained": accuracy(found.network, binding),
        "epochs": [one.accuracy for one in found.epochs],
        "processor seconds": round(seconds, 1),
    }


def steps(network: Network, data: str, batch: int = 64) -> list[dict[str, Any]]:
    """Return processor milliseconds of a step and of a forward pass, and beside the exact ones."""
    samples = prepare_data(f"{data}:test:{batch}", network)
    rows: list[dict[str, Any]] = []
    for binding in (None, *STEPS):
        function = approximate(network, binding, estimator="lre")

        def loss(own: Any, x: Any, y: Any, f: Any = function) -> Any:
            return cross_entropy(f.logits(x, own), y)

        step = jax.jit(jax.value_and_grad(loss))
        forward = jax.jit(function)
        row = {
            "network": network.name.removesuffix("_quantized"),
            "binding": binding or "exact",
            "step": milliseconds(partial(step, function.parameters, samples.x, samples.y)),
            "forward": milliseconds(partial(forward, samples.x)),
        }
        rows.append(row)
        for figure in ("step", "forward"):
            row[f"{figure} ratio"] = round(row[figure] / rows[0][figure], 2)
        print(row, flush=True)
    return rows


def milliseconds(call: Callable[[], Any], runs: int = 7) -> float:
    """Return the median of a call's processor time, compiled before."""
    jax.block_until_ready(call())
    taken = []
    for _ in range(runs):
        begin = time.process_time()
        jax.block_until_ready(call())
        taken.append(1e3 * (time.process_time() - begin))
    return round(median(taken), 2)


if __name__ == "__main__":
    main()
