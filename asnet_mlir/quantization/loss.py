# SPDX-License-Identifier: Apache-2.0
"""What quantization costs: signal to noise of each layer, and of each layer quantized alone."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asnet_mlir.frontends.xla import run_samples_by_xla
from asnet_mlir.quantization.graph import Graph, returning
from asnet_mlir.quantization.groups import Float, Group, Move
from asnet_mlir.quantization.quantize import Calibrated
from asnet_mlir.quantization.self_contained import module_of
from asnet_mlir.quantization.writing import Written, write_program
from asnet_mlir.quantized import Quantization, Value

__all__ = ["LayerLoss", "layer_losses", "values_of"]

#: Samples on which noise is measured.
_SAMPLES = 32


@dataclass(frozen=True)
class LayerLoss:
    """A layer of codes, and what it costs.

    Attributes:
      name, kind: of the layer.
      low, high: of its outputs in the float network, on the calibration data.
      scale, zero_point: of its outputs' codes.
      saturated: the share of outputs that no code reaches.
      snr: of its outputs, with all layers before it quantized; in dB.
      alone: of the network's last codes, this layer alone quantized; None where it was not asked
        for, in dB.
      weight_scales: the least and the greatest of its weights; None without weights.
      is_limited: whether sums of 32 bits made a scale of its weights larger.
    """

    name: str
    kind: str
    low: float
    high: float
    scale: float
    zero_point: int
    saturated: float
    snr: float
    alone: float | None
    weight_scales: tuple[float, float] | None
    is_limited: bool

    def to_json(self) -> dict[str, Any]:
        """Return the layer as JSON values; infinities, of no noise, as null."""
        values = dataclasses.asdict(self)
        return {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in values.items()
        }


def layer_losses(given: Calibrated, *, alone: bool = True) -> tuple[LayerLoss, ...]:
    """Measure what each layer loses, on the first calibration samples.

    Args:
      alone: quantize each layer by itself as well, which takes a network a layer.
    """
    groups = [group for group in given.groups if not group.is_float]
    x = given.x[:_SAMPLES]
    values = [group.output for group in groups]
    exact = _exact(given.graph, values, x)
    noisy = values_of(given, given.written, values, x)
    last = values[-1]
    return tuple(
        _loss(
            given,
            group,
            _snr(exact[group.output], noisy[group.output]),
            _alone(given, group, last, exact[last], x)
            if alone and not isinstance(group.detail, Move)
            else None,
        )
        for group in groups
    )


def _loss(given: Calibrated, group: Group, snr: float, alone: float | None) -> LayerLoss:
    observed, codes = given.observed[group.output], given.codes[group.output]
    ends = codes.numbers(np.array([codes.low, codes.high]))
    half = codes.single_scale / 2
    outside = (observed.drawn < ends[0] - half) | (observed.drawn > ends[1] + half)
    weights = given.written.weights.get(group.name)
    scales = weights.quantization.scale if weights is not None else None
    return LayerLoss(
        group.name,
        group.kind,
        observed.low,
        observed.high,
        codes.single_scale,
        codes.single_zero_point,
        float(np.mean(outside)),
        snr,
        alone,
        None if scales is None else (float(scales.min()), float(scales.max())),
        weights is not None and weights.is_limited,
    )


def _alone(given: Calibrated, group: Group, last: int, exact: np.ndarray, x: np.ndarray) -> float:
    groups = [
        own if own.name == group.name and own.output == group.output
        else dataclasses.replace(own, detail=Float())
        for own in given.groups
    ]  # fmt: skip
    written = write_program(given.graph, groups, given.codes, given.scheme, input=given.input)
    return _snr(exact, values_of(given, written, [last], x)[last])


def _exact(graph: Graph, values: Sequence[int], x: np.ndarray) -> dict[int, np.ndarray]:
    parts = list(graph.run(values, x))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return dict(zip(values, columns, strict=True))


def values_of(
    given: Calibrated, written: Written, values: Sequence[int], x: np.ndarray
) -> dict[int, np.ndarray]:
    """Return values of a network of codes as real numbers, by their numbers in the float one."""
    chosen = [written.values[value] for value in values]
    program = written.program
    text = returning(
        module_of(program, given.graph.batch), [_number(value, written) for value in chosen]
    )
    batches = _batches(x, given.input, given.graph.batch)
    results = run_samples_by_xla(
        program.name, text, batches, [weight.value for weight in program.weights]
    )
    arrays = [result.reshape(-1, *result.shape[2:])[: len(x)] for result in results]
    return {
        number: array if value.quantization is None else value.quantization.numbers(array)
        for number, value, array in zip(values, chosen, arrays, strict=True)
    }


def _number(value: Value, written: Written) -> int:
    """Return a value's number in its program: the results of operations follow the arguments."""
    name = value.tensor.ssa.removeprefix("%")
    return 0 if name == "input" else 1 + len(written.program.weights) + int(name)


def _batches(x: np.ndarray, input: Quantization | None, batch: int) -> np.ndarray:
    given = x if input is None else input.codes(x)
    fill = np.repeat(given[-1:], -len(given) % batch, axis=0)
    return np.concatenate([given, fill]).reshape(-1, batch, *x.shape[1:])


def _snr(exact: np.ndarray, noisy: np.ndarray) -> float:
    """Return the ratio of signal to noise in dB; infinite without noise."""
    signal = exact.astype(np.float64)
    noise = float(np.sum((noisy - signal) ** 2))
    power = float(np.sum(signal**2))
    if noise == 0:
        return math.inf
    return -math.inf if power == 0 else 10 * math.log10(power / noise)
