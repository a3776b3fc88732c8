# SPDX-License-Identifier: Apache-2.0
"""What the values of a float network are on samples: their ranges, and numbers drawn from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asnet_mlir.data import Samples
from asnet_mlir.errors import InputError
from asnet_mlir.quantization.graph import Graph

__all__ = ["Observed", "check_samples", "observe"]

#: Numbers that are drawn of each value.
_DRAWN = 1 << 17


@dataclass(frozen=True)
class Observed:
    """The numbers of a value.

    Attributes:
      low, high: the least and the greatest.
      drawn: float32[n], some of them.
    """

    low: float
    high: float
    drawn: np.ndarray


def check_samples(samples: Samples) -> None:
    """Refuse samples that say nothing about the ranges of a network's values.

    Raises:
      InputError: there is one sample, a NaN or an infinity among them, or they are all the same.
    """
    samples.require_numbers()
    if not np.isfinite(samples.x).all():
        raise InputError(f"{samples.name}: holds an infinity; ranges must be finite")
    if len(samples) < 2:
        raise InputError(
            f"{samples.name}: one sample does not show the ranges of a network's values; take some "
            "hundreds"
        )
    if (samples.x == samples.x[:1]).all():
        raise InputError(
            f"{samples.name}: all {len(samples)} samples are the same, which does not show the "
            "ranges of a network's values"
        )


def observe(graph: Graph, values: Sequence[int], x: np.ndarray) -> dict[int, Observed]:
    """Run a network and return what some of its values are.

    Args:
      x: [n, *input_shape], of the network's format.

    Raises:
      InputError: a value is not finite.
    """
    rng = np.random.default_rng(0)
    parts: dict[int, list[Observed]] = {value: [] for value in values}
    for arrays in graph.run(values, x):
        for value, array in zip(values, arrays, strict=True):
            if not np.isfinite(array).all():
                op = graph.producer(value)
                where = f" at {graph.describe(op)}" if op is not None else ""
                raise InputError(
                    f"{graph.network.name}: gives infinities or NaNs on the calibration data{where}"
                )
            flat = array.reshape(-1)
            share = max(1, _DRAWN * len(arrays[0]) // len(x))
            drawn = flat if flat.size <= share else flat[rng.integers(0, flat.size, share)]
            parts[value].append(Observed(float(flat.min()), float(flat.max()), drawn.copy()))
    return {
        value: Observed(
            min(part.low for part in own),
            max(part.high for part in own),
            np.concatenate([part.drawn for part in own]),
        )
        for value, own in parts.items()
    }
