# SPDX-License-Identifier: Apache-2.0
"""What the hardware of a configuration takes, predicted: cycles exactly, area from measured parts.

Cycles are those of the hardware's schedule.  It depends on which ops share a unit and on the
latencies of units, not on what they compute: configurations that agree in this are generated once.

Area is that of all units, each mapped alone between registers, and of what is around them.  What is
around shrinks with the units, by bits that a unit no longer gives to the adder behind it, and grows
with their number.  It is measured twice, for the exact network and for the configuration of all
variables' last choices, and taken as linear in the units' area between and beyond: two hardwares
are mapped whole, all others predicted.
"""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asnet_mlir.binding import Binding
from asnet_mlir.cores import Instance
from asnet_mlir.exploration.costs import unit_of
from asnet_mlir.exploration.space import Configuration, DesignSpace
from asnet_mlir.hardware import generate, synthesize
from asnet_mlir.hardware.bundle.core_files import unit_files
from asnet_mlir.network import Network
from asnet_mlir.support.cache import cached_text, code_version, content_hash

__all__ = ["HardwareCosts", "Style"]


@dataclass(frozen=True)
class Style:
    """How hardware is generated: `generate`'s options of these names."""

    style: str | None = None
    lanes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Built:
    """What is known of the hardware of a signature.

    Attributes:
      cycles: from an image to the next.
      counts: how often each unit is built, by its place among the signature's units.
    """

    cycles: int
    counts: dict[str, int]


class HardwareCosts:
    """The part of a cost model that gives `area`, `cycles` and `lut_time`."""

    def __init__(
        self,
        wanted: Sequence[str],
        network: Network,
        key: str,
        space: DesignSpace,
        bound: Binding | None,
        style: Style,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        """Prepare it; nothing is generated yet.

        Args:
          wanted: the costs that are given.
          network: without a binding of its own.
          key: hash of the network.
          bound: what holds where a configuration says nothing.
          progress: told of each step that takes long.
        """
        self._wanted, self._network, self._key = wanted, network, key
        self._space, self._bound, self._style = space, bound, style
        self._say = progress or (lambda text: None)
        self._built: dict[str, _Built] = {}

    def figures(self, configuration: Configuration) -> dict[str, float]:
        """See `CostPart`."""
        units, built = self._hardware(configuration)
        figures = {"cycles": float(built.cycles)}
        if set(self._wanted) != {"cycles"}:
            own = self._own(units, built)
            figures["area"] = round(own + self._around(own), 1)
            figures["lut_time"] = figures["area"] * built.cycles
        return {name: figures[name] for name in self._wanted}

    def _hardware(self, configuration: Configuration) -> tuple[list[Instance], _Built]:
        """Return a configuration's units, and what is known of the hardware."""
        binding = self._binding(configuration)
        signature, units = self._units(binding)
        if signature not in self._built:
            self._built[signature] = self._generate(signature, binding, units)
        return units, self._built[signature]

    def _binding(self, configuration: Configuration) -> Binding:
        binding = self._space.binding(configuration)
        return binding.over(self._bound) if self._bound else binding

    def _units(self, binding: Binding) -> tuple[str, list[Instance]]:
        """Return what decides the schedule, and the distinct units in order of appearance."""
        units: dict[str, Instance] = {}
        slots = []
        for layer in self._space.layers:
            for op in layer.ops:
                for format in layer.formats.get(op, ("f32",)):
                    unit = unit_of(binding, layer, op, format)
                    place = -1
                    if unit is not None:
                        units.setdefault(unit.content_hash, unit)
                        place = list(units).index(unit.content_hash)
                    slots.append((layer.name, op, format, place))
        facts = [(u.latency, u.core.initiation_interval, u.core.op) for u in units.values()]
        return json.dumps([slots, facts]), list(units.values())

    def _generate(self, signature: str, binding: Binding, units: Sequence[Instance]) -> _Built:
        """Generate the hardware of a signature's first configuration, once for all time."""

        def make() -> str:
            self._say(f"generating the hardware of {binding.label}")
            with tempfile.TemporaryDirectory(prefix="asnet-costs-") as name:
                manifest = self._write(binding, Path(name) / "bundle")
            cycles = manifest["predicted_cycles_per_sample"]
            return json.dumps({"cycles": cycles, "counts": _counts(manifest, units)})

        key = content_hash(_code(), self._key, signature, repr(self._style))
        found = json.loads(cached_text("hardware-costs", key, make))
        return _Built(int(found["cycles"]), found["counts"])

    def _write(self, binding: Binding, folder: Path) -> dict[str, Any]:
        style, lanes = self._style.style, self._style.lanes
        return generate(self._network, binding, output=folder, style=style, lanes=lanes)

    def _own(self, units: Sequence[Instance], built: _Built) -> int:
        """Return the LUTs of all units, each alone."""
        return sum(
            number * int(synthesize(units[int(place)], route=False, progress=self._say)["luts"])
            for place, number in built.counts.items()
        )

    def _around(self, own: int) -> float:
        """Return the LUTs around units that take so many together."""
        exact, rest = self._anchor(self._space.exact)
        if own == exact:
            return rest
        last = tuple(len(variable.choices) - 1 for variable in self._space.variables)
        other, other_rest = self._anchor(last)
        if other == exact:
            return rest
        return rest + (other_rest - rest) * (own - exact) / (other - exact)

    @functools.cache  # noqa: B019 (it lives as long as its study)
    def _anchor(self, configuration: Configuration) -> tuple[int, float]:
        """Return the LUTs of a configuration's units, and those around them, measured."""
        units, built = self._hardware(configuration)
        binding = self._binding(configuration)

        def make() -> str:
            with tempfile.TemporaryDirectory(prefix="asnet-costs-") as name:
                self._write(binding, Path(name) / "bundle")
                whole = synthesize(Path(name) / "bundle", route=False, progress=self._say)
            return str(whole["luts"])

        hashes = [rule.label + rule.instance.content_hash for rule in binding.rules]
        key = content_hash(_code(), self._key, repr(self._style), *hashes)
        whole = float(cached_text("hardware-luts", key, make))
        own = self._own(units, built)
        return own, whole - own


def _code() -> str:
    return code_version("hardware", "lowering", "cores")


def _counts(manifest: Mapping[str, Any], units: Sequence[Instance]) -> dict[str, int]:
    """Return how often each unit is built, by its place; JSON has texts for keys."""
    places = {(core.label or core.module): n for n, core in enumerate(map(unit_files, units))}
    found: dict[str, int] = {}
    for entry in manifest["instances"]:
        place = str(places[entry["core"]])
        found[place] = found.get(place, 0) + int(entry["count"])
    return found
