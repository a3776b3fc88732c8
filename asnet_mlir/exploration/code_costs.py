# SPDX-License-Identifier: Apache-2.0
"""What hardware on integer codes takes, predicted: cycles exactly, area from the parts of its text.

Each layer has an engine of its own, so that layers add up: one in which cores are bound takes as
much more than the exact one as it does where it is the only one.  Cycles are those of the slowest
layer.  So the exact hardware is generated, and for each layer one for all cores of the same widths
and latencies; nothing is mapped but the cores, each alone.  The area around them is what
`asnet generate --predict-area` says (`hardware.integers`), products of codes that no core computes
in soft logic.
"""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from asnet_mlir.binding import Binding, split_channels
from asnet_mlir.cores import Instance
from asnet_mlir.exploration.hardware_costs import Generator, PredictedCosts
from asnet_mlir.exploration.space import Configuration, DesignSpace
from asnet_mlir.hardware.bundle.core_files import unit_files
from asnet_mlir.hardware.synthesis.area import core_luts

__all__ = ["CodeHardwareCosts"]


@dataclass(frozen=True)
class _Built:
    """What is known of a hardware.

    Attributes:
      cycles: from an image to the next.
      around: LUTs without its cores.
      counts: how often each core is built, by its label.
    """

    cycles: int
    around: float
    counts: dict[str, int]


class CodeHardwareCosts(PredictedCosts[_Built]):
    """Of networks of integer codes."""

    def __init__(
        self,
        wanted: Sequence[str],
        generator: Generator,
        space: DesignSpace,
        bound: Binding | None,
    ) -> None:
        """See `PredictedCosts`."""
        super().__init__(wanted, generator, space, bound)
        layers: dict[str, list[int]] = defaultdict(list)
        for place, variable in enumerate(space.variables):
            layers[split_channels(variable.layer or "")[0]].append(place)
        #: Places of the variables of each layer.
        self._layers = tuple(map(tuple, layers.values()))

    def figures(self, configuration: Configuration) -> dict[str, float]:
        """See `CostPart`."""
        exact = self._of(self._space.exact)
        areas, cycles = [exact[0]], [exact[1]]
        for places in self._layers:
            if any(configuration[place] for place in places):
                alone = [0] * len(configuration)
                for place in places:
                    alone[place] = configuration[place]
                area, own_cycles = self._of(tuple(alone))
                areas.append(area - exact[0])
                cycles.append(own_cycles)
        figures = {"area": round(sum(areas), 1), "cycles": float(max(cycles))}
        figures["lut_time"] = figures["area"] * figures["cycles"]
        if "latency" in self._wanted:
            signature = self._signature(configuration)
            figures["latency"] = float(self._latency(signature, self._binding(configuration)))
        return {name: figures[name] for name in self._wanted}

    @functools.cache  # noqa: B019 (it lives as long as its study)
    def _of(self, configuration: Configuration) -> tuple[float, int]:
        """Return area and cycles of a hardware in which one layer at most has cores to choose."""
        built = self._hardware(self._signature(configuration), configuration)
        area = built.around
        for label, number in built.counts.items():
            area += number * self._luts(self._named(configuration)[label])
        return area, built.cycles

    @functools.cache  # noqa: B019
    def _luts(self, instance: Instance) -> int:
        return core_luts(unit_files(instance), self._generator.progress)

    def _named(self, configuration: Configuration) -> dict[str, Instance]:
        """Return a hardware's cores by what stands for them: their places, or else their labels."""
        found = {one.label: one for one in self._binding(configuration).instances.values()}
        return found | {f"#{n}": one for n, one in enumerate(self._chosen(configuration))}

    def _chosen(self, configuration: Configuration) -> list[Instance]:
        """Return the distinct cores that variables choose, in their order."""
        chosen = [
            variable.choices[choice]
            for variable, choice in zip(self._space.variables, configuration, strict=True)
        ]
        return list({one.content_hash: one for one in chosen if one is not None}.values())

    def _signature(self, configuration: Configuration) -> str:
        """Return what decides cycles and what is around the cores.

        Where other rules hold beside the configuration these may have the same cores: then it is
        the cores themselves.
        """
        cores = [one.content_hash for one in self._chosen(configuration)]
        slots: list[Any] = []
        for variable, choice in zip(self._space.variables, configuration, strict=True):
            one = variable.choices[choice]
            if one is not None:
                unit = unit_files(one)
                facts = unit.latency, unit.interval, *unit.widths
                slots.append([variable.label, cores.index(one.content_hash), *facts])
        beside = self._bound.rules if self._bound else ()
        if beside:
            slots += [*cores, *(rule.label + rule.instance.content_hash for rule in beside)]
        return json.dumps(slots)

    def _hardware(self, signature: str, configuration: Configuration) -> _Built:
        """Return what is known of a signature's hardware: of its first configuration's."""
        if signature not in self._built:
            self._built[signature] = self._generate(signature, configuration)
        return self._built[signature]

    def _generate(self, signature: str, configuration: Configuration) -> _Built:
        """Generate the hardware of a signature's first configuration, once for all time."""

        def make() -> str:
            manifest = self._generator.manifest(self._binding(configuration))
            counts: dict[str, int] = {}
            places = {one.label: f"#{n}" for n, one in enumerate(self._chosen(configuration))}
            for entry in manifest["instances"]:
                name = places.get(entry["core"], entry["core"])
                counts[name] = counts.get(name, 0) + int(entry["count"])
            around = manifest["predicted_area"]["soft"]["luts"]
            return json.dumps([manifest["predicted_cycles_per_sample"], around, counts])

        cycles, around, counts = json.loads(self._cached("code-hardware-costs", signature, make))
        return _Built(cycles, around, counts)
