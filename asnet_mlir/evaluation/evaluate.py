# SPDX-License-Identifier: Apache-2.0
"""Accuracy of one configuration."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asnet_mlir.binding import Binding
from asnet_mlir.cores import ensure_checked
from asnet_mlir.data import Dataset, load_data
from asnet_mlir.errors import InputError
from asnet_mlir.evaluation.accuracy import right_samples
from asnet_mlir.evaluation.contractions import parse_strategy
from asnet_mlir.evaluation.evaluator import CompiledNetwork, Evaluator
from asnet_mlir.evaluation.second_net import check_first_samples
from asnet_mlir.frontends import load_model
from asnet_mlir.worker import in_mlir_process

__all__ = ["Evaluation", "accuracy", "evaluate", "prepare_data"]


@dataclass(frozen=True)
class Contracted:
    """How a layer's sums of products of 8-bit codes are computed.

    Attributes:
      way: `lifted` or `rows`.
      passes: exact products of bytes for each product, of lifted ones.
      products: of a sample.
    """

    layer: str
    way: str
    passes: int | None
    products: int


@dataclass(frozen=True)
class Evaluation:
    """What one configuration reaches.

    Attributes:
      accuracy: 0..1, the share of samples whose largest output is their label's; the lowest index
        wins ties, and an output row with a NaN counts as wrong.
      seconds: of running the samples, compilation apart.
      compile_seconds: of compiling the configuration.
      contractions: how sums of products of 8-bit codes are computed, layer by layer.
    """

    binding: Binding
    accuracy: float
    samples: int
    seconds: float
    compile_seconds: float
    contractions: tuple[Contracted, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the evaluation as JSON values."""
        return {
            "accuracy": self.accuracy,
            "samples": self.samples,
            "seconds": self.seconds,
            "compile_seconds": self.compile_seconds,
            "binding": self.binding.to_json(),
            "contractions": [asdict(one) for one in self.contractions],
        }


def accuracy(outputs: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of rows of [n, classes] that `right_samples` counts as right."""
    return float(np.mean(right_samples(outputs, labels)))


def prepare_data(data: str | Path | Dataset | tuple[Any, Any], network: Any) -> Dataset:
    """Load `data` and fit it to the network's input, its format included, and classes.

    Raises:
      InputError: unknown data, samples of another shape or with NaNs, labels that are not output
        indices.
    """
    dataset = load_data(data, network.input_format).shaped(network.input_shape)
    dataset.require_numbers()
    if len(network.output_shape) != 1:
        raise InputError(
            f"{network.name}: accuracy needs one output a class, the output's shape is "
            f"{network.output_shape}"
        )
    classes = network.output_shape[0]
    if dataset.y.max() >= classes:
        first = int(np.argmax(dataset.y >= classes))
        raise InputError(
            f"{dataset.name}: the label of sample {first} is {dataset.y[first]}, the network has "
            f"the classes 0..{classes - 1}"
        )
    return dataset


@in_mlir_process(load=load_model)
def evaluate(
    model: Any,
    data: str | Path | Dataset | tuple[Any, Any],
    binding: Any = None,
    *,
    threads: int | None = None,
    strategy: str | None = None,
) -> Evaluation:
    """Compile `model` under `binding` and measure its accuracy on `data`.

    Args:
      model: whatever `load_model` takes.
      data: whatever `load_data` takes.
      binding: which instances compute which ops, whatever `Binding.of` takes; exact without.
      threads: see `Evaluator`.
      strategy: force how cores are computed (`parse_strategy`); all give the same bits.

    Raises:
      InputError, UnsupportedError: see `load_model`, `load_data`, `asnet_mlir.compile`.
    """
    forced, way = parse_strategy(strategy)
    network = load_model(model)
    dataset = prepare_data(data, network)
    binding = network.complete(binding)
    ensure_checked(binding.instances.values())
    begin = time.perf_counter()
    native = CompiledNetwork(network, strategy=forced, way=way, channels=binding.channels)
    evaluator = Evaluator(native, binding, threads=threads)
    compiled = time.perf_counter()
    outputs = evaluator.outputs(dataset.x)
    end = time.perf_counter()
    check_first_samples(native, dataset.x)
    return Evaluation(
        evaluator.binding,
        accuracy(outputs, dataset.y),
        len(dataset),
        end - compiled,
        compiled - begin,
        tuple(
            Contracted(layer, "rows" if one.passes is None else "lifted", one.passes, one.products)
            for layer, one in evaluator.contractions
        ),
    )
