# SPDX-License-Identifier: Apache-2.0
"""What the hardware of a configuration takes, predicted: cycles exactly, area from measured parts.

Cycles are those of the hardware's schedule.  It depends on which ops share a unit and on the
latencies of units, not on what they compute: configurations that agree in this are generated once.
The latency, which in a stream follows from how engines wait for each other, is that of one image in
the simulation of this one hardware.

Area is that of all units, each mapped alone between registers, and of what is around them.  What is
around shrinks with the units, by bits that a unit no longer gives to the adder behind it, and grows
with their number: how much depends on the core.  So it is measured for the exact network and for
each core, in the configuration of all variables' last choices that have it, and taken as linear in
the units' area between and beyond; where units of several cores are built, as a mean of them.  Of
more cores than a few only the configuration of all last choices is measured.
"""

from __future__ import annotations

import functools
import json
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asnet_mlir.binding import Binding
from asnet_mlir.cores import Instance
from asnet_mlir.data import Dataset
from asnet_mlir.errors import AsnetError
from asnet_mlir.exploration.costs import unit_of
from asnet_mlir.exploration.space import Configuration, DesignSpace
from asnet_mlir.hardware import generate, simulate, synthesize
from asnet_mlir.hardware.bundle.core_files import unit_files
from asnet_mlir.network import Network
from asnet_mlir.support.cache import cached_text, code_version, content_hash

__all__ = ["Generator", "HardwareCosts", "PredictedCosts", "Style", "hardware_version"]


#: Of how many cores hardware is mapped whole, one configuration each.
_MOST_CORES = 4


@dataclass(frozen=True)
class Style:
    """How hardware is generated: `generate`'s options of these names."""

    style: str | None = None
    lanes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Generator:
    """Generates hardware of a network, and simulates it.

    Attributes:
      network: without a binding of its own.
      key: hash of the network.
      sample: one of the data, for the latency.
      progress: told of each step that takes long.
    """

    network: Network
    key: str
    style: Style
    sample: Dataset
    progress: Callable[[str], None] = lambda text: None

    def write(self, binding: Binding, folder: Path) -> dict[str, Any]:
        """Write a bundle; return its manifest."""
        style, lanes = self.style.style, self.style.lanes
        return generate(self.network, binding, output=folder, style=style, lanes=lanes)

    def manifest(self, binding: Binding) -> dict[str, Any]:
        """Return the manifest of what is generated."""
        self.progress(f"generating the hardware of {binding.label or 'the exact network'}")
        with tempfile.TemporaryDirectory(prefix="asnet-costs-") as name:
            return self.write(binding, Path(name) / "bundle")

    def latency(self, binding: Binding, signature: str) -> int:
        """Return the clock cycles from a sample's first word in to its last one out.

        Args:
          signature: of all that have this latency; they are simulated once for all time.
        """

        def make() -> str:
            self.progress(f"simulating the hardware of {binding.label or 'the exact network'}")
            with tempfile.TemporaryDirectory(prefix="asnet-costs-") as name:
                folder = Path(name) / "bundle"
                self.write(binding, folder)
                found = simulate(folder, self.sample, samples=1)
            if not found.equal:
                name = binding.label or "the exact network"
                raise AsnetError(
                    f"the hardware of {name} differs from the software: {found.differences[0]}"
                )
            return str(found.latency_cycles)

        key = content_hash(hardware_version(), self.key, signature, repr(self.style))
        return int(cached_text("hardware-latencies", key, make))


@dataclass(frozen=True)
class _Built:
    """What is known of the hardware of a signature.

    Attributes:
      cycles: from an image to the next.
      counts: how often each unit is built, by its place among the signature's units.
    """

    cycles: int
    counts: dict[str, int]


class PredictedCosts[Built](ABC):
    """The part of a cost model that gives `area`, `cycles`, `latency` and `lut_time`."""

    def __init__(
        self,
        wanted: Sequence[str],
        generator: Generator,
        space: DesignSpace,
        bound: Binding | None,
    ) -> None:
        """Prepare it; nothing is generated yet.

        Args:
          wanted: the costs that are given.
          bound: what holds where a configuration says nothing.
        """
        self._wanted, self._generator = wanted, generator
        self._space, self._bound = space, bound
        self._built: dict[str, Built] = {}
        self._latencies: dict[str, int] = {}

    @abstractmethod
    def figures(self, configuration: Configuration) -> dict[str, float]:
        """See `CostPart`."""

    def _binding(self, configuration: Configuration) -> Binding:
        binding = self._space.binding(configuration)
        return binding.over(self._bound) if self._bound else binding

    def _latency(self, signature: str, binding: Binding) -> int:
        if signature not in self._latencies:
            self._latencies[signature] = self._generator.latency(binding, signature)
        return self._latencies[signature]

    def _cached(self, kind: str, signature: str, make: Callable[[], str]) -> str:
        """Return what is known of a signature's hardware, once for all time."""
        generator = self._generator
        key = content_hash(hardware_version(), generator.key, signature, repr(generator.style))
        return cached_text(kind, key, make)


class HardwareCosts(PredictedCosts[_Built]):
    """Of networks of floats."""

    def figures(self, configuration: Configuration) -> dict[str, float]:
        """See `CostPart`."""
        binding = self._binding(configuration)
        signature, units = self._units(binding)
        built = self._hardware(signature, binding, units)
        figures = {"cycles": float(built.cycles)}
        if "latency" in self._wanted:
            figures["latency"] = float(self._latency(signature, binding))
        if {"area", "lut_time"} & {*self._wanted}:
            own = self._own(units, built)
            figures["area"] = round(own + self._around(units, built, own), 1)
            figures["lut_time"] = figures["area"] * built.cycles
        return {name: figures[name] for name in self._wanted}

    def _hardware(self, signature: str, binding: Binding, units: Sequence[Instance]) -> _Built:
        """Return what is known of the hardware of a signature."""
        if signature not in self._built:
            self._built[signature] = self._generate(signature, binding, units)
        return self._built[signature]

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
            manifest = self._generator.manifest(binding)
            cycles = manifest["predicted_cycles_per_sample"]
            return json.dumps({"cycles": cycles, "counts": _counts(manifest, units)})

        found = json.loads(self._cached("hardware-costs", signature, make))
        return _Built(int(found["cycles"]), found["counts"])

    def _own(self, units: Sequence[Instance], built: _Built) -> int:
        """Return the LUTs of all units, each alone."""
        say = self._generator.progress
        return sum(
            number * int(synthesize(units[int(place)], route=False, progress=say)["luts"])
            for place, number in built.counts.items()
        )

    def _around(self, units: Sequence[Instance], built: _Built, own: int) -> float:
        """Return the LUTs around units that take `own` together."""
        exact, rest = self._anchor(self._space.exact)
        if own == exact:
            return rest
        chosen = {
            instance.content_hash: instance
            for variable in self._space.variables
            for instance in variable.choices
            if instance is not None
        }
        counts = {
            units[int(place)].content_hash: number
            for place, number in built.counts.items()
            if units[int(place)].content_hash in chosen
        }
        total = sum(counts.values())
        slope = sum(n * self._slope(_core(chosen[key])) for key, n in counts.items())
        return rest + (slope / total if total else 0.0) * (own - exact)

    @functools.cache  # noqa: B019 (it lives as long as its study)
    def _slope(self, core: str) -> float:
        """Return by how much what is around units grows for each LUT of theirs."""
        exact, rest = self._anchor(self._space.exact)
        own, own_rest = self._anchor(self._last_of(core))
        return (own_rest - rest) / (own - exact) if own != exact else 0.0

    def _last_of(self, core: str) -> Configuration:
        """Return the last choices of a core; of one of many cores, those of all."""
        cores = [
            ["" if choice is None else _core(choice) for choice in variable.choices]
            for variable in self._space.variables
        ]
        if len({name for names in cores for name in names if name}) > _MOST_CORES:
            return tuple(len(names) - 1 for names in cores)
        return tuple(
            max((place for place, name in enumerate(names) if name == core), default=0)
            for names in cores
        )

    @functools.cache  # noqa: B019 (it lives as long as its study)
    def _anchor(self, configuration: Configuration) -> tuple[int, float]:
        """Return the LUTs of a configuration's units, and those around them, measured."""
        binding = self._binding(configuration)
        signature, units = self._units(binding)
        built, generator = self._hardware(signature, binding, units), self._generator

        def make() -> str:
            with tempfile.TemporaryDirectory(prefix="asnet-costs-") as name:
                generator.write(binding, Path(name) / "bundle")
                whole = synthesize(Path(name) / "bundle", route=False, progress=generator.progress)
            return str(whole["luts"])

        hashes = [rule.label + rule.instance.content_hash for rule in binding.rules]
        key = content_hash(hardware_version(), generator.key, repr(generator.style), *hashes)
        whole = float(cached_text("hardware-luts", key, make))
        own = self._own(units, built)
        return own, whole - own


def _core(instance: Instance) -> str:
    """Return what is the same of all instances of a core, whatever their parameters."""
    return instance.reference.partition(":")[0]


def hardware_version() -> str:
    """Return what stands for all code that hardware depends on."""
    return code_version("hardware", "lowering", "cores")


def _counts(manifest: Mapping[str, Any], units: Sequence[Instance]) -> dict[str, int]:
    """Return how often each unit is built, by its place; JSON has texts for keys."""
    places = {(core.label or core.module): n for n, core in enumerate(map(unit_files, units))}
    found: dict[str, int] = {}
    for entry in manifest["instances"]:
        place = str(places[entry["core"]])
        found[place] = found.get(place, 0) + int(entry["count"])
    return found
