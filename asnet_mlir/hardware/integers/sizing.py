# SPDX-License-Identifier: Apache-2.0
"""How many terms engines compute at once: as told, or as a rate wants."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from asnet_mlir.errors import InputError
from asnet_mlir.hardware.integers.code_graph import Graph
from asnet_mlir.hardware.integers.datapath import Unit
from asnet_mlir.hardware.integers.design import Design, Lanes, build
from asnet_mlir.hardware.integers.weight_memories import WeightSources

__all__ = ["AS_IT_IS", "MOST_MHZ", "Sizing", "sized"]

#: The clock of rates where none is asked for, and the highest one that can be, in MHz.
_CLOCK_MHZ = 100.0
MOST_MHZ = 120.0


@dataclass(frozen=True)
class Sizing:
    """What is wanted of a design: lanes, or a rate.

    Attributes:
      lanes: `N` or `LAYER=N`; with a rate those of single layers only.
      images_per_second: to be reached.
      clock_mhz: that is asked for; 100 where it is None.
      weights_from: see `WeightSources`.
    """

    lanes: tuple[str, ...] = ()
    images_per_second: float | None = None
    clock_mhz: float | None = None
    weights_from: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        rate = self.images_per_second
        if rate is not None and not (math.isfinite(rate) and rate > 0):
            raise InputError(f"a rate of {rate} images a second; give a number above 0")
        if rate is not None and any(re.fullmatch("[0-9]+", text) for text in self.lanes):
            raise InputError("the rate gives the lanes of all layers; give those of single ones")

    @property
    def hertz(self) -> float:
        """The clock."""
        return 1e6 * (_CLOCK_MHZ if self.clock_mhz is None else self.clock_mhz)

    @property
    def cycles(self) -> int | None:
        """Cycles of an image at the rate."""
        if self.images_per_second is None:
            return None
        return int(self.hertz / self.images_per_second)


#: Lanes as they are where nothing is said.
AS_IT_IS = Sizing()


def sized(graph: Graph, top: str, units: Mapping[int, Unit], sizing: Sizing) -> Design:
    """Build the design of a graph, as it is wanted.

    Raises:
      InputError: no lanes reach the rate, or the least design is too large for the device.
      UnsupportedError: see `build`.
    """

    design = build(
        graph,
        top,
        units,
        Lanes(sizing.lanes, sizing.cycles),
        WeightSources(sizing.weights_from),
    )
    if sizing.cycles is not None and design.cycles > sizing.cycles:
        raise InputError(_too_fast(design, sizing))
    return design


def _too_fast(design: Design, sizing: Sizing) -> str:
    slowest = max(design.stages, key=lambda stage: stage.cycles)
    what = f"layer '{slowest.layer}' takes at least {slowest.cycles}"
    if design.input_words > slowest.cycles:
        what = f"an image has {design.input_words} codes, of which one comes in a cycle"
    return (
        f"{sizing.images_per_second:g} images/s at {sizing.hertz / 1e6:g} MHz are "
        f"{sizing.cycles} cycles an image: {what}; at most "
        f"{math.floor(sizing.hertz / design.cycles)} images/s can be reached"
    )
