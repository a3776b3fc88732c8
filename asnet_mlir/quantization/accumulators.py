# SPDX-License-Identifier: Apache-2.0
"""Weights whose sums of products 32 bits hold, whatever the activations are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asnet_mlir.quantized import Quantization
from asnet_mlir.quantized.products import folded_bias, greatest_sums

__all__ = ["Weights", "quantize_weights"]

_LIMIT = (1 << 31) - 1
#: The bits of the bias of a channel that has nothing else.
_BIAS_BITS = 20


@dataclass(frozen=True)
class Weights:
    """A layer's weights as codes.

    Attributes:
      codes: of the kernel, in its shape.
      bias: int32[channels].
      is_limited: whether 32 bits of a sum, not the range of the weights, decided a scale.
    """

    codes: np.ndarray
    bias: np.ndarray
    quantization: Quantization
    is_limited: bool


def quantize_weights(
    kernel: np.ndarray, bias: np.ndarray, x: Quantization, weights: Quantization
) -> Weights:
    """Return a layer's weights as codes whose sums can't leave 32 bits.

    Where the scales of `weights` would let them, larger ones are taken: a bit of the codes is then
    of less use.

    Args:
      kernel: float64[.., channels].
      bias: float64[channels].
    """
    weights = _finer_without_weights(kernel, bias, x, weights)
    is_limited = False
    while True:
        unit = x.single_scale * weights.scale
        # What no 32 bits hold is found here, and saturates nowhere.
        offsets = np.rint(bias / unit)
        codes = weights.codes(kernel)
        exact = np.clip(offsets, -(1 << 40), 1 << 40).astype(np.int64)
        total = folded_bias(codes, x, weights, exact)
        sums = greatest_sums(codes, x, total, weights.zero_point)
        if (sums <= _LIMIT).all():
            return Weights(codes, exact.astype(np.int32), weights, is_limited)
        is_limited = True
        over = np.maximum(sums / _LIMIT, 1.0)
        factor = np.where(over > 1, over * 1.01, 1.0)
        factor = factor if weights.is_per_channel else factor.max(keepdims=True)
        middle = np.rint(weights.zero_point / factor).astype(np.int64)
        weights = weights.replace(
            scale=weights.scale * factor,
            zero_point=weights.zero_point if weights.signed else middle,
        )


def _finer_without_weights(
    kernel: np.ndarray, bias: np.ndarray, x: Quantization, weights: Quantization
) -> Quantization:
    """Return scales by which the bias of a channel whose weights are all 0 has enough bits."""
    if not weights.is_per_channel:
        return weights
    is_empty = ~kernel.any(axis=tuple(range(kernel.ndim - 1))) & (bias != 0)
    finer = np.abs(bias) / (x.single_scale * (1 << _BIAS_BITS))
    return weights.replace(scale=np.where(is_empty, finer, weights.scale))
