# SPDX-License-Identifier: Apache-2.0
"""Operands that a network's operations meet, as samples for a core's metrics."""

from __future__ import annotations

from typing import Any

import numpy as np

from asnet_mlir.binding import Binding, is_within
from asnet_mlir.cores.metrics.subject import Histogram
from asnet_mlir.errors import InputError
from asnet_mlir.evaluation.evaluate import prepare_data
from asnet_mlir.evaluation.recorded_operands import record_operands
from asnet_mlir.evaluation.weighted_sums import (
    WeightedSum,
    activations,
    as_approx,
    find_sums,
    pairs,
)
from asnet_mlir.frontends import load_model
from asnet_mlir.network import Network
from asnet_mlir.support.formats import FLOAT_OPS

__all__ = ["operand_codes", "operand_samples"]


def operand_samples(
    model: Any, data: Any, op: str, layer: str | None = None, samples: int = 1 << 20, seed: int = 0
) -> Histogram:
    """Return operand pairs that the ops of a kind see in a network, drawn from a run over `data`.

    Args:
      model, data: as for `evaluate`; every op is exact.
      op: the ops' kind, one of `FLOAT_OPS`.
      layer: the ops' layer; by default all.
      samples: pairs at most; all where fewer occur.
      seed: of the draw.

    Raises:
      InputError: an unknown op or layer, or a network without such an op.
    """
    if op not in FLOAT_OPS:
        raise InputError(f"networks compute floats, with {', '.join(FLOAT_OPS)}, not {op}")
    a, b = record_operands(model, data, op, layer, samples=samples, seed=seed)
    network = model if isinstance(model, str) else getattr(model, "name", "network")
    place = f"{network}, layer {layer}" if layer else network
    name = f"{op} of {place} on {data if isinstance(data, str) else data.name}"
    return Histogram(a.view(np.float32), b.view(np.float32), name=name)


#: Samples whose codes are counted.
_SAMPLES = 256


def _integer_sums(network: Network, layer: str | None) -> list[WeightedSum]:
    """Return the sums of products of codes and weights in a layer, or everywhere."""
    if network.input_format.is_float:
        return []
    found = find_sums(as_approx(network, Binding()))
    inside = [one for one in found if is_within(one.layer, layer)]
    if found and not inside:
        having = ", ".join(dict.fromkeys(one.layer for one in found))
        raise InputError(f"layer '{layer}' has no muli; layers with muli: {having}")
    return inside


def _own_codes(
    network: Network,
    data: Any,
    sums: list[WeightedSum],
    widths: tuple[int, int],
    signed: bool,
    layer: str | None,
) -> Histogram:
    """Return the pairs of codes and weights that sums multiply, each pair once."""
    dataset = prepare_data(data, network)
    plain = as_approx(network, Binding())
    arrays = {weight.name: weight.value for weight in network.weights}
    counts: dict[tuple[int, int], float] = {}
    for one in sums:
        codes = activations(plain, one, dataset.x[:_SAMPLES])
        met = pairs(one, codes, one.part(arrays[one.weight]))
        low = int(one.operands.range[0])
        for a, b in np.argwhere(met):
            numbers = (int(a) + low, int(b) + low)
            key = numbers if signed else (abs(numbers[0]), abs(numbers[1]))
            counts[key] = counts.get(key, 0.0) + float(met[a, b])
    a, b = np.array(list(counts), np.int64).T
    for what, values, width in (("a code", a, widths[0]), ("a weight", b, widths[1])):
        low, high = (-(1 << width - 1), (1 << width - 1) - 1) if signed else (0, (1 << width) - 1)
        beyond = values[(values < low) | (values > high)]
        if beyond.size:
            raise InputError(
                f"{network.name}: {what} is {beyond[0]}, which {width} bits do not hold"
            )
    place = f"{network.name}, layer {layer}" if layer else network.name
    return Histogram(
        a, b, np.array(list(counts.values())), name=f"codes of {place} on {dataset.name}"
    )


def operand_codes(
    model: Any,
    data: Any,
    widths: tuple[int, int],
    signed: bool,
    layer: str | None = None,
    seed: int = 0,
) -> Histogram:
    """Return the operands of a network's multiplications as integer codes, each pair once.

    Codes are symmetric (zero is 0, the largest magnitude of an operand is its largest code, as in
    Jacob et al., CVPR 2018, without a zero point); unsigned ones are magnitudes, as a multiplier
    of signs and magnitudes sees them.

    Args:
      model, data, layer, seed: as for `operand_samples`.
      widths: bits of the codes of each operand.

    A network on integer codes gives its own codes, counted over the first samples of the data
    (`weighted_sums.pairs`): weights are b, and an unsigned circuit sees magnitudes.

    Raises:
      InputError: as `operand_samples`; codes of more bits than the circuit has.
    """
    network = load_model(model)
    if sums := _integer_sums(network, layer):
        return _own_codes(network, data, sums, widths, signed, layer)
    samples = operand_samples(model, data, "mulf", layer, seed=seed)
    codes = []
    for values, width in zip((samples.a, samples.b), widths, strict=True):
        finite = np.where(np.isfinite(values), values, 0).astype(np.float64)
        largest = float(np.abs(finite).max()) or 1.0
        scaled = np.rint(finite / largest * ((1 << width - signed) - 1)).astype(np.int64)
        codes.append(scaled if signed else np.abs(scaled))
    pairs, counts = np.unique(np.stack(codes), axis=1, return_counts=True)
    return Histogram(pairs[0], pairs[1], counts, name=f"codes of {samples.name}")
