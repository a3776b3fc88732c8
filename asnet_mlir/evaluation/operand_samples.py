# SPDX-License-Identifier: Apache-2.0
"""Operands that a network's operations meet, as samples for a core's metrics."""

from __future__ import annotations

from typing import Any

import numpy as np

from asnet_mlir.cores.metrics.subject import Histogram
from asnet_mlir.errors import InputError
from asnet_mlir.evaluation.recorded_operands import record_operands
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

    Raises:
      InputError: as `operand_samples`.
    """
    samples = operand_samples(model, data, "mulf", layer, seed=seed)
    codes = []
    for values, width in zip((samples.a, samples.b), widths, strict=True):
        finite = np.where(np.isfinite(values), values, 0).astype(np.float64)
        largest = float(np.abs(finite).max()) or 1.0
        scaled = np.rint(finite / largest * ((1 << width - signed) - 1)).astype(np.int64)
        codes.append(scaled if signed else np.abs(scaled))
    pairs, counts = np.unique(np.stack(codes), axis=1, return_counts=True)
    return Histogram(pairs[0], pairs[1], counts, name=f"codes of {samples.name}")
