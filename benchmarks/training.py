# SPDX-License-Identifier: Apache-2.0
"""What training through cores gets back, and what a step of it costs.

    python benchmarks/training.py steps|recovery|front|picture [--seeds N] [--network NAME]

`recovery` trains networks of codes through cores that cost them more than 20 points, with each
estimator and each seed; `front` the configurations of ResNet-8 that save the most.  What is in the
results already is not made again, so that a run that was ended goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import host
import jax
import jax.numpy as jnp
import numpy as np

import asnet_mlir as asnet
from asnet_mlir.evaluation.evaluate import prepare_data
from asnet_mlir.network import Network
from asnet_mlir.training import ESTIMATORS, approximate, finetune

RESULTS = host.RESULTS / "training.json"
PICTURE = Path(__file__).parents[1] / "docs" / "training.png"
DATA = {"convolutional_mnist": "mnist", "resnet8_svhn": "svhn_synthetic"}
OPTIONS: dict[str, Any] = {"epochs": 5, "rate": 2e-3, "schedule": "cosine", "scales": True}
#: Cores of few and of many passes (docs/eight_bits.md).
STEPS = (
    "muli=perforated:N=8,SIGN_MAGNITUDE=8",
    "muli=truncated:N=8,CUT=7,CORRECTION=0,SIGNED=1",
    "muli=mul8s_evolved:M=15",
    "muli=mul8s_evolved:M=35",
)


@dataclass(frozen=True)
class Recovery:
    """A network, a core for all its products, the images that it is trained on, estimators."""

    network: str
    binding: str
    images: int
    estimators: tuple[str, ...] = tuple(ESTIMATORS)


RECOVERIES = (
    Recovery("convolutional_mnist", "muli=mul8s_evolved:M=35", 15000),
    Recovery("convolutional_mnist", "muli=mul8s_evolved:M=35", 30000, ("lre",)),
)


def main() -> None:
    """Carry the parts out that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("part", choices=["steps", "recovery", "picture"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--network", choices=list(DATA))
    options = parser.parse_args()
    report = json.loads(RESULTS.read_text()) if RESULTS.exists() else host.describe()
    if options.part == "steps":
        report["steps"] = [
            one for name in DATA if options.network in (None, name) for one in steps(name)
        ]
        host.save("training", report)
    elif options.part == "recovery":
        recover(report, options)
    picture(report)


def quantized(name: str) -> Network:
    """Return a network in 8 bits, as `asnet quantize NAME --data DATA:train --symmetric`."""
    return asnet.quantize(name, f"{DATA[name]}:train", symmetric=True)


def recover(report: dict[str, Any], options: argparse.Namespace) -> None:
    """Train what the results lack, one run at a time."""
    done = report.setdefault("recovery", [])
    networks: dict[str, Network] = {}
    for seed in range(options.seeds):
        for case in RECOVERIES:
            if options.network not in (None, case.network):
                continue
            for estimator in case.estimators:
                key = {**vars(case), "estimator": estimator, "seed": seed}
                del key["estimators"]
                if any(key.items() <= one.items() for one in done):
                    continue
                if case.network not in networks:
                    networks[case.network] = quantized(case.network)
                done.append(key | trained(networks[case.network], DATA[case.network], key))
                host.save("training", report)


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


def steps(name: str, batch: int = 64) -> list[dict[str, Any]]:
    """Return processor milliseconds of a step and of a forward pass, and beside the exact ones."""
    network = quantized(name)
    samples = prepare_data(f"{DATA[name]}:test:{batch}", network)
    rows: list[dict[str, Any]] = []
    for binding in (None, *STEPS):
        function = approximate(network, binding, estimator="lre")

        def loss(own: Any, x: Any, y: Any, f: Any = function) -> Any:
            chances = jax.nn.log_softmax(f.logits(x, own))
            return -jnp.take_along_axis(chances, y[:, None], axis=1).mean()

        step = jax.jit(jax.value_and_grad(loss))
        forward = jax.jit(function)
        row = {
            "network": name,
            "binding": binding or "exact",
            "step": milliseconds(lambda s=step, f=function: s(f.parameters, samples.x, samples.y)),
            "forward": milliseconds(lambda f=forward: f(samples.x)),
        }
        rows.append(row)
        for figure in ("step", "forward"):
            row[f"{figure} ratio"] = round(row[figure] / rows[0][figure], 2)
        print(row, flush=True)
    return rows


def milliseconds(call: Callable[[], Any], runs: int = 9) -> float:
    """Return the median of a call's processor time, compiled before."""
    jax.block_until_ready(call())
    taken = []
    for _ in range(runs):
        begin = time.process_time()
        jax.block_until_ready(call())
        taken.append(1e3 * (time.process_time() - begin))
    return round(median(taken), 2)


def picture(report: dict[str, Any]) -> None:
    """Draw the accuracy on the validation samples after each epoch: the median of the seeds."""
    from matplotlib.figure import Figure

    curves: dict[tuple[str, str, int], dict[str, list[list[float]]]] = {}
    for one in report.get("recovery", []):
        case = one["network"], one["binding"], one["images"]
        curves.setdefault(case, {}).setdefault(one["estimator"], []).append(one["epochs"])
    if not curves:
        return
    figure = Figure(figsize=(4.5 * len(curves), 3.4), layout="constrained")
    for axes, (case, own) in zip(
        np.atleast_1d(figure.subplots(1, len(curves))), curves.items(), strict=True
    ):
        for estimator, runs in own.items():
            axes.plot(100 * np.median(runs, axis=0), marker="o", label=estimator)
        axes.set(title=f"{case[0]}, {case[2]:,} images\n{case[1]}", xlabel="epoch", ylabel="%")
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(PICTURE, dpi=110)


if __name__ == "__main__":
    main()
