# SPDX-License-Identifier: Apache-2.0
"""How many terms engines compute at once: as told, as a rate wants, or as a device has room for."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from asnet_mlir.errors import InputError
from asnet_mlir.hardware.integers.code_graph import Graph
from asnet_mlir.hardware.integers.datapath import Unit
from asnet_mlir.hardware.integers.design import Design, Lanes, build
from asnet_mlir.hardware.integers.weight_memories import WeightSources

__all__ = ["AS_IT_IS", "MOST_MHZ", "Sizing", "sized"]

#: The clock of rates where none is asked for, and the highest one that can be, in MHz.
_CLOCK_MHZ = 100.0
MOST_MHZ = 120.0
#: Rates closer together than this factor are the same to a search; cycles that any image takes.
_STEP = 1.03
_SLOWEST = 1 << 40


@dataclass(frozen=True)
class Sizing:
    """What is wanted of a design: lanes, a rate, or to fill a device.

    Attributes:
      lanes: `N` or `LAYER=N`; with a rate or a device those of single layers only.
      images_per_second: to be reached.
      misfit: says by how much an area does not fit; the fastest design that fits is wanted.
      dsp: products that no core computes are for the device's multipliers, else for soft logic.
      multipliers: that the device has, for `dsp`; terms beyond them are in logic.
      core_luts: of each bound core by its number, for the device.
      clock_mhz: that is asked for; 100 where it is None.
      weights_from: see `WeightSources`.
    """

    lanes: tuple[str, ...] = ()
    images_per_second: float | None = None
    clock_mhz: float | None = None
    weights_from: tuple[str, ...] = ()
    misfit: Callable[[Mapping[str, int]], str] | None = None
    dsp: bool = False
    multipliers: int | None = None
    core_luts: Mapping[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rate = self.images_per_second
        if rate is not None and not (math.isfinite(rate) and rate > 0):
            raise InputError(f"a rate of {rate} images a second; give a number above 0")
        if rate is not None and self.misfit is not None:
            raise InputError("give either a rate to reach or a device to fill, not both")
        chosen = rate is not None or self.misfit is not None
        if chosen and any(re.fullmatch("[0-9]+", text) for text in self.lanes):
            raise InputError("lanes of all layers are chosen; give those of single ones")

    @property
    def hertz(self) -> float:
        """The clock."""
        return 1e6 * (_CLOCK_MHZ if self.clock_mhz is None else self.clock_mhz)

    def counts(self, design: Design) -> dict[str, int]:
        """Return the area of a design with its cores."""
        cores = sum(count * self.core_luts[key] for key, count in design.counts.items())
        counts = design.area.counts(self.dsp)
        return counts | {"luts": counts["luts"] + cores}

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

    weights = WeightSources(sizing.weights_from)

    def at(cycles: int | None) -> Design:
        lanes = Lanes(sizing.lanes, cycles)
        design = build(graph, top, units, lanes, weights)
        if not sizing.dsp or sizing.multipliers is None:
            return design
        rows = _in_logic(design, sizing.multipliers)
        return build(graph, top, units, lanes, weights, rows) if rows else design

    if sizing.misfit is not None:
        return _filling(at, sizing, sizing.misfit)
    design = at(sizing.cycles)
    if sizing.cycles is not None and design.cycles > sizing.cycles:
        raise InputError(_too_fast(design, sizing))
    return design


def _in_logic(design: Design, multipliers: int) -> dict[str, int]:
    """Return how many terms of stages are in logic, where there are no more multipliers: those that
    take least logic for a multiplier."""
    excess, rows = design.area.dsps - multipliers, {}
    found = [
        (stage.name, stage.engine.term, stage.window.lanes * stage.window.pack)
        for stage in design.stages
        if stage.window is not None and stage.engine is not None and stage.engine.term.dsps
    ]
    for name, term, count in sorted(found, key=lambda one: one[1].soft / one[1].dsps):
        if excess > 0:
            rows[name] = min(count, -(-excess // term.dsps))
            excess -= rows[name] * term.dsps
    return rows


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


def _filling(
    at: Callable[[int], Design], sizing: Sizing, excess: Callable[[Mapping[str, int]], str]
) -> Design:
    """Return the fastest design that fits."""

    def too_large(design: Design) -> str:
        return excess(sizing.counts(design))

    best, fastest = at(_SLOWEST), at(0)
    if said := too_large(best):
        raise InputError(said)
    if not too_large(fastest):
        return fastest
    low, high = fastest.cycles, best.cycles
    while high > low * _STEP:
        middle = math.isqrt(low * high)
        design = at(middle)
        if too_large(design):
            low = middle
        else:
            best, high = design, min(middle, design.cycles)
    return best
