# SPDX-License-Identifier: Apache-2.0
"""The outputs of layers: values between stages, a sample in each lane, as rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from asnet_mlir.errors import UnsupportedError
from asnet_mlir.evaluation.stages import Stage
from asnet_mlir.support.formats import NumberFormat, format_of_element

__all__ = ["LayerValue", "layer_values"]


@dataclass(frozen=True)
class LayerValue:
    """The value that a layer gives.

    Attributes:
      name: of the layer; `stage N` of one without a name.
      number: of the value.
      shape: of a sample.
      format: of its numbers; integers inside a network have no sign, and are read with one.
      batch: samples that lie one after the other in each lane.
    """

    name: str
    number: int
    shape: tuple[int, ...]
    format: NumberFormat
    batch: int

    def bytes(self, lanes: int) -> int:
        """Return the size of a block."""
        return math.prod(self.shape) * self.batch * lanes * self.format.storage_bytes

    def rows(self, blocks: np.ndarray, lanes: int) -> np.ndarray:
        """Return [samples, *shape] of the bytes of blocks as stages leave them."""
        values = blocks.view(self.format.dtype).reshape(-1, self.batch, *self.shape, lanes)
        rows = np.moveaxis(values, -1, 1).reshape(-1, *self.shape)
        return np.ascontiguousarray(rows)


def layer_values(
    stages: Iterable[Stage], batch: int, sizes: Mapping[int, int], lanes: int
) -> list[LayerValue]:
    """Return the last value of each layer, in the order of computation.

    Args:
      batch: for which the network was lowered.
      sizes: bytes of a block of each value, by number.

    Raises:
      UnsupportedError: a layer's value does not begin with the batch.
    """
    found: dict[str, LayerValue] = {}
    for position, stage in enumerate(stages):
        name = stage.layer or f"stage {position}"
        for number, (shape, element) in stage.output_kinds().items():
            format = format_of_element(element)
            if format is None:  # conditions
                continue
            if batch > 1 and shape[:1] != (batch,):
                raise UnsupportedError(
                    f"layer '{name}': gives {list(shape)}, which does not begin with the batch of "
                    f"{batch}; its samples can't be told apart"
                )
            sample = shape[1:] if shape[:1] == (batch,) else shape
            value = LayerValue(name, number, sample, format, batch)
            if value.bytes(lanes) == sizes[number]:
                found.pop(name, None)
                found[name] = value
    return list(found.values())
