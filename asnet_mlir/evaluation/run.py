# SPDX-License-Identifier: Apache-2.0
"""A network's outputs and its layers', as they are: codes where it computes on integers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asnet_mlir.binding import Binding
from asnet_mlir.cores import ensure_checked
from asnet_mlir.data import Dataset, Samples, load_samples
from asnet_mlir.evaluation.contractions import parse_strategy
from asnet_mlir.evaluation.evaluator import CompiledNetwork, Evaluator
from asnet_mlir.frontends import load_model
from asnet_mlir.worker import in_mlir_process

__all__ = ["Outputs", "run"]


@dataclass(frozen=True)
class Outputs:
    """What a network gives for samples.

    Attributes:
      outputs: [n, *output_shape] of the network's output format.
      labels: int64[n], where the data has them.
      layers: [n, ...] of each layer by its name, where they were asked for; see
        `Evaluator.layer_outputs`.
      binding: under which they were computed.
    """

    outputs: np.ndarray
    labels: np.ndarray | None
    layers: dict[str, np.ndarray]
    binding: Binding


@in_mlir_process(load=load_model)
def run(
    model: Any,
    data: str | Path | Dataset | Samples | np.ndarray | tuple[Any, Any],
    binding: Any = None,
    *,
    layers: bool = False,
    threads: int | None = None,
    strategy: str | None = None,
) -> Outputs:
    """Compile `model` under `binding` and return its outputs for `data`.

    Args:
      model: whatever `load_model` takes.
      data: whatever `load_samples` takes; labels are not needed.
      binding: which instances compute which ops, whatever `Binding.of` takes; exact without.
      layers: return every layer's output as well.
      threads: see `Evaluator`.
      strategy: see `evaluate`.

    Raises:
      InputError, UnsupportedError: see `load_model`, `load_samples`, `asnet_mlir.compile`.
    """
    forced, way = parse_strategy(strategy)
    network = load_model(model)
    samples, labels = load_samples(data, network.input_format)
    samples = samples.shaped(network.input_shape)
    samples.require_numbers()
    binding = network.complete(binding)
    ensure_checked(binding.instances.values())
    native = CompiledNetwork(network, strategy=forced, way=way, channels=binding.channels)
    evaluator = Evaluator(native, binding, threads=threads)
    if layers:
        outputs, found = evaluator.layer_outputs(samples.x)
        return Outputs(outputs, labels, found, evaluator.binding)
    return Outputs(evaluator.outputs(samples.x), labels, {}, evaluator.binding)
