# SPDX-License-Identifier: Apache-2.0
"""A quantized network with all that is known of what it costs."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asnet_mlir.data import Dataset, Samples, load_samples
from asnet_mlir.evaluation import evaluate
from asnet_mlir.evaluation.evaluate import judge_of, prepare_data
from asnet_mlir.frontends import load_model
from asnet_mlir.network import Network
from asnet_mlir.quantization.loss import LayerLoss, layer_losses
from asnet_mlir.quantization.quantize import Calibrated, Data, network_of, quantize_network
from asnet_mlir.quantization.scheme import Scheme
from asnet_mlir.support.files import write_whole
from asnet_mlir.worker import in_mlir_process

__all__ = ["Outcome", "quantization_outcome"]


@dataclass(frozen=True)
class Outcome:
    """A quantized network and what it costs.

    Attributes:
      name: of the float network.
      text: the network of codes as StableHLO, weights included.
      scheme: by which it was made.
      samples: how many calibrated it.
      layers: those of codes, in the order of computation.
      floats: operations in floating point by their layer, in the order of computation.
      accuracy_float, accuracy: of the float network and of this one, and on how many samples; None
        without labels that are classes.
    """

    name: str
    text: str
    scheme: Scheme
    samples: int
    layers: tuple[LayerLoss, ...]
    floats: dict[str, tuple[str, ...]]
    accuracy_float: float | None
    accuracy: float | None
    tested: int

    @functools.cached_property
    def network(self) -> Network:
        """The network of codes, made in the process that asks for it."""
        return network_of(self.name, self.text)

    def save(self, path: str | Path) -> None:
        """Write the network as a `.mlir` file, which `load_model` reads."""
        write_whole(path, self.text)

    def to_json(self) -> dict[str, Any]:
        """Return everything but the network as JSON values."""
        return {
            "input": str(self.network.input_format),
            "output": str(self.network.output_format),
            "bits": self.scheme.bits,
            "weights": self.scheme.weights,
            "per_channel": self.scheme.per_channel,
            "symmetric": self.scheme.symmetric,
            "unsigned": self.scheme.unsigned,
            "method": self.scheme.method,
            "calibration_samples": self.samples,
            "accuracy_float": self.accuracy_float,
            "accuracy": self.accuracy,
            "test_samples": self.tested,
            "layers": [layer.to_json() for layer in self.layers],
            "float": {layer: list(ops) for layer, ops in self.floats.items()},
        }

    def table(self) -> str:
        """Return the layers and their figures as lines of text."""
        head = ("layer", "what", "range", "scale", "zero", "saturated", "SNR", "alone")
        rows = [head, *(_row(layer) for layer in self.layers)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        lines = []
        for row in rows:
            cells = [
                cell.ljust(width) if column < 2 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append("  ".join(cells).rstrip())
        for layer in self.layers:
            if layer.is_limited:
                lines.append(f"{layer.name}: scales of weights larger, so that 32 bits hold sums")
        for name, ops in self.floats.items():
            lines.append(f"in float: {name or 'no layer'}: {', '.join(ops)}")
        return "\n".join(lines)


@in_mlir_process(load=load_model)
def quantization_outcome(
    model: Any,
    data: Data,
    *,
    bits: int = 8,
    weights: int = 8,
    per_channel: bool = True,
    symmetric: bool = False,
    unsigned: bool = False,
    method: str = "minmax",
    first_last_float: bool = False,
    float_layers: Sequence[str] = (),
    softmax: str = "float",
    test: str | Path | Dataset | tuple[Any, Any] | None = None,
    alone: bool = True,
) -> Outcome:
    """Quantize a network and measure what that costs.

    Args:
      test: labelled data for the accuracies; by default `data`, where that has labels.
      alone: quantize each layer by itself as well, which takes a network a layer.

    The other arguments, and errors, are those of `quantize`.
    """
    network = load_model(model)
    scheme = Scheme(bits, weights, per_channel, symmetric, unsigned, method)
    given = quantize_network(
        network,
        data,
        scheme,
        first_last_float=first_last_float,
        floats=float_layers,
        softmax=softmax,
    )
    before = after = None
    tested = 0
    is_one = network.inputs is None and network.outputs is None
    if test is None and is_one and not isinstance(data, Samples | np.ndarray | Mapping):
        test = data if load_samples(data)[1] is not None else None
    if test is not None and _has_classes(network, test):
        found = [evaluate(own, test, metric="accuracy") for own in (network, given.network)]
        before, after = (evaluation.accuracy for evaluation in found)
        tested = found[0].samples
    return Outcome(
        given.graph.network.name,
        given.text,
        scheme,
        len(given.x),
        layer_losses(given, alone=alone),
        _floats(given),
        before,
        after,
        tested,
    )


def _has_classes(network: Network, test: Any) -> bool:
    """Whether data label one of several classes, which codes and floats are judged alike by."""
    if network.outputs is not None or len(network.output_shape) != 1 or network.output_shape[0] < 2:
        return False
    return judge_of(None, prepare_data(test, network), network).metric.name == "accuracy"


def _floats(given: Calibrated) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for group in given.groups:
        if group.is_float:
            for op in map(given.graph.op, group.ops):
                names = found.setdefault(op.layer, [])
                if op.name not in names:
                    names.append(op.name)
    return {layer: tuple(names) for layer, names in found.items()}


def _row(layer: LayerLoss) -> tuple[str, ...]:
    return (
        layer.name,
        layer.kind,
        f"{layer.low:.4g}..{layer.high:.4g}",
        f"{layer.scale:.4g}",
        str(layer.zero_point),
        f"{100 * layer.saturated:.2f} %",
        _decibels(layer.snr),
        "" if layer.alone is None else _decibels(layer.alone),
    )


def _decibels(value: float) -> str:
    return "exact" if value == math.inf else f"{value:.1f} dB"
