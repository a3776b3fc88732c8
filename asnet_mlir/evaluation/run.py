# SPDX-License-Identifier: Apache-2.0
"""A network's outputs and its layers', as they are: codes where it computes on integers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asnet_mlir.binding import Binding
from asnet_mlir.cores import ensure_checked
from asnet_mlir.data import Dataset, Samples
from asnet_mlir.evaluation.contractions import parse_strategy
from asnet_mlir.evaluation.evaluate import prepare_data
from asnet_mlir.evaluation.evaluator import CompiledNetwork, Evaluator
from asnet_mlir.frontends import load_model
from asnet_mlir.support.parts import Parts
from asnet_mlir.worker import in_mlir_process

__all__ = ["Outputs", "run"]


@dataclass(frozen=True)
class Outputs:
    """What a network gives for samples.

    Attributes:
      outputs: [n, *output_shape] of the network's output format; of several outputs, a row of all.
      labels: int64[n], where the data has them; of several outputs see `Dataset.y`.
      layers: [n, ...] of each layer by its name, where they were asked for; see
        `Evaluator.layer_outputs`.
      binding: under which they were computed.
      parts: what a row of `outputs` holds, where the network has several outputs.
    """

    outputs: np.ndarray
    labels: np.ndarray | None
    layers: dict[str, np.ndarray]
    binding: Binding
    parts: Parts | None = None

    @property
    def named(self) -> dict[str, np.ndarray]:
        """Each output, [n, ...], by its name; `outputs` of a network that has one."""
        return self.parts.unpack(self.outputs) if self.parts else {"outputs": self.outputs}


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
      data: whatever `load_named` takes; labels are not needed.
      binding: which instances compute which ops, whatever `Binding.of` takes; exact without.
      layers: return every layer's output as well.
      threads: see `Evaluator`.
      strategy: see `evaluate`.

    Raises:
      InputError, UnsupportedError: see `load_model`, `load_named`, `asnet_mlir.compile`.
    """
    forced, way = parse_strategy(strategy)
    network = load_model(model)
    dataset = prepare_data(data, network)
    binding = network.complete(binding)
    ensure_checked(binding.instances.values())
    native = CompiledNetwork(network, strategy=forced, way=way, channels=binding.channels)
    evaluator = Evaluator(native, binding, threads=threads)
    found: dict[str, np.ndarray] = {}
    if layers:
        outputs, found = evaluator.layer_outputs(dataset.x)
    else:
        outputs = evaluator.outputs(dataset.x)
    return Outputs(outputs, dataset.y, found, evaluator.binding, network.outputs)
