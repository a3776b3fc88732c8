# SPDX-License-Identifier: Apache-2.0
"""What a configuration costs: parts that each give some figures, put together.

Proxies come from its instances alone.  Every instance is synthesized alone, between registers, for
Lattice ECP5 with multipliers in soft logic.  Ops without a rule cost what the library's exact core
of their kind costs, as in hardware; of integer ops, products and sums of 32 bits have one; the
others are plain logic and cost nothing.

- `area_proxy`, in LUT4.  Of an instance: the LUTs that Yosys maps it to.  Of a configuration: the
  sum over its distinct instances.
- `delay_proxy`, in ns.  Of an instance: (latency + 1) / Fmax after place and route, from register
  to register, Fmax being the median of the seeds that it is placed with; the latency of an
  iterative core is that of its slowest operands.  Of a configuration: the sum over all ops, a
  sample's arithmetic one op after the other.
- `energy_proxy`, in LUT ns.  Of an instance: area x delay.  Of a configuration: the sum over all
  ops: an op's energy is taken to grow with the logic that switches and the time for which it does.

They compare configurations of one network quickly; nothing is built as they count.  What the
hardware takes is in `exploration.hardware_costs`, its energy in `exploration.energy`.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, Protocol

import numpy as np

from asnet_mlir.binding import Binding
from asnet_mlir.cores import Instance, exact_instance
from asnet_mlir.errors import InputError
from asnet_mlir.evaluation.evaluator import default_threads
from asnet_mlir.exploration.cost_kinds import Cost, cost_names, figures_of, own_name
from asnet_mlir.exploration.layers import Layer
from asnet_mlir.exploration.provenance import provenance
from asnet_mlir.exploration.space import Configuration, DesignSpace
from asnet_mlir.exploration.store import InstanceCost, Store
from asnet_mlir.hardware import synthesize

__all__ = [
    "HARDWARE",
    "TARGET",
    "CostModel",
    "CostPart",
    "Proxies",
    "exact_instances",
    "format_of",
    "measure_costs",
    "unit_of",
]

TARGET = "ecp5"
HARDWARE = ("area", "cycles", "latency", "lut_time")
"""Costs of the hardware that a configuration generates."""


class CostPart(Protocol):
    """Gives some of a configuration's costs."""

    def figures(self, configuration: Configuration) -> Mapping[str, float]:
        """Return costs by name."""
        ...


class Proxies:
    """Costs from instances alone."""

    def __init__(
        self,
        wanted: Sequence[str],
        space: DesignSpace,
        instances: Mapping[str, InstanceCost],
        bound: Binding | None = None,
        ranges: Mapping[str, tuple[float, float]] | None = None,
    ) -> None:
        """Prepare the sums.

        Args:
          wanted: the proxies that are given.
          instances: measured figures by content hash.
          bound: what the network's file binds where a configuration does not.
          ranges: of instances' delays over the seeds of their placement, by content hash.
        """
        self._wanted = wanted
        self._ranges = ranges or {}
        exact = exact_instances(space.layers)
        variables = {(v.op, v.layer): index for index, v in enumerate(space.variables)}
        #: Per op kind and layer: operations, the variable that decides, figures of its choices.
        self._slots: list[tuple[int, int | None, list[InstanceCost]]] = []
        self._places: list[tuple[str, str]] = []
        for layer in space.layers:
            for op, count in layer.ops.items():
                variable = variables.get((op, layer.name if space.scope == "layer" else None))
                choices = (None,) if variable is None else space.variables[variable].choices
                format = format_of(layer, op)
                rule = bound.rule_for(op, layer.name, format) if bound else None
                own = exact.get((op, format)) if rule is None else rule.instance
                if own is not None:
                    # Ops of other formats than a choice computes on stay as they are.
                    used = [c if c is not None and layer.takes(c) else own for c in choices]
                    figures = [instances[i.content_hash] for i in used]
                    self._slots.append((count, variable, figures))
                    self._places.append((layer.name, op))

    def figures(self, configuration: Configuration) -> dict[str, float]:
        """See `CostPart`."""
        units: dict[str, float] = {}
        delay = energy = 0.0
        for count, variable, choices in self._slots:
            figure = choices[0 if variable is None else configuration[variable]]
            units[figure.content_hash] = figure.area or 0.0
            delay += count * (figure.delay or 0.0)
            energy += count * (figure.area or 0.0) * (figure.delay or 0.0)
        known = {
            "area_proxy": sum(units.values()),
            "delay_proxy": round(delay, 3),
            "energy_proxy": round(energy, 3),
        }
        return {name: known[name] for name in self._wanted}

    def spreads(self, configuration: Configuration) -> dict[str, tuple[float, float]]:
        """Return the range of those costs that have delays in them, all units quick or all slow."""
        delays, energies = np.zeros(2), np.zeros(2)
        for count, variable, choices in self._slots:
            figure = choices[0 if variable is None else configuration[variable]]
            if figure.content_hash not in self._ranges:
                return {}
            delay = count * np.array(self._ranges[figure.content_hash])
            delays += delay
            energies += (figure.area or 0.0) * delay
        known = {"delay_proxy": delays, "energy_proxy": energies}
        return {
            name: (round(float(ends[0]), 3), round(float(ends[1]), 3))
            for name, ends in known.items()
            if name in self._wanted
        }

    def parts(self, configuration: Configuration) -> dict[tuple[str, str], float]:
        """Return the energy's proxy of each layer's ops of each kind; nothing where not wanted."""
        if "energy_proxy" not in self._wanted:
            return {}
        found = {}
        for place, (count, variable, choices) in zip(self._places, self._slots, strict=True):
            figure = choices[0 if variable is None else configuration[variable]]
            found[place] = count * (figure.area or 0.0) * (figure.delay or 0.0)
        return found


class CostModel:
    """Costs of the configurations of a design space."""

    def __init__(self, cost: Cost, space: DesignSpace, parts: Sequence[CostPart] = ()) -> None:
        """Put parts together.

        Args:
          cost: what was asked for.
          parts: give the figures; none for `none`.
        """
        self.cost = next(iter(cost_names(cost)), "none")
        self._space, self._parts = space, parts

    @functools.lru_cache(1 << 16)  # noqa: B019 (it lives as long as its study)
    def figures(self, configuration: Configuration) -> Mapping[str, float]:
        """Return the configuration's costs, those that are known."""
        return {k: v for part in self._parts for k, v in part.figures(configuration).items()}

    def spreads(self, configuration: Configuration) -> dict[str, tuple[float, float]]:
        """Return the range of costs over the seeds of synthesis, of those that have one."""
        found: dict[str, tuple[float, float]] = {}
        for part in self._parts:
            if isinstance(part, Proxies):
                found |= part.spreads(configuration)
        return found

    def minimized(self, configuration: Configuration) -> float:
        """Return what a search minimizes: without costs the steps not yet taken along the lists."""
        if self.cost == "none":
            return len(self._space.variables) - self._space.steps(configuration)
        return self.figures(configuration)[self.cost]

    def breakdown(self, configurations: Mapping[str, Configuration]) -> list[dict[str, Any]]:
        """Return what each layer's ops of each kind take, in per cent of the exact network's all.

        Args:
          configurations: by name.

        Returns:
          Rows: cost, layer, op, and a share for each name; of costs that are sums over operations.
        """
        rows = []
        for part in self._parts:
            parts_of = getattr(part, "parts", None)
            if parts_of is None:
                continue
            exact = parts_of(self._space.exact)
            total = sum(exact.values()) or 1.0
            name = "energy_proxy" if isinstance(part, Proxies) else "energy"
            found = {key: parts_of(configuration) for key, configuration in configurations.items()}
            for layer, op in exact:
                shares = {k: 100 * parts[layer, op] / total for k, parts in found.items()}
                rows.append({"cost": name, "layer": layer, "op": op, **shares})
        return rows


class _Own:
    """A cost that is the user's function of a binding."""

    def __init__(self, function: Callable[[Binding], float], space: DesignSpace) -> None:
        self._function, self._space = function, space
        self._name = own_name(function)

    def figures(self, configuration: Configuration) -> dict[str, float]:
        """See `CostPart`."""
        value = self._function(self._space.binding(configuration))
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            raise InputError(f"the cost {self._name} returned {value!r}, which is no number")
        if math.isnan(value):
            raise InputError(f"the cost {self._name} returned NaN")
        return {self._name: float(value)}


def exact_instances(layers: Sequence[Layer]) -> dict[tuple[str, str], Instance]:
    """Return the exact core of each op kind and format of a network that the library has.

    Exact subtractions share the adder.
    """
    kinds = {(op, format_of(layer, op)) for layer in layers for op in layer.ops}
    found = {
        (op, format): exact_instance("addf" if op == "subf" else op, format)
        for op, format in sorted(kinds)
    }
    return {kind: instance for kind, instance in found.items() if instance is not None}


def unit_of(binding: Binding, layer: Layer, op: str, format: str) -> Instance | None:
    """Return what computes ops of a kind and a format in a layer; None where it is plain logic."""
    rule = binding.rule_for(op, layer.name, format)
    return exact_instance("addf" if op == "subf" else op, format) if rule is None else rule.instance


def format_of(layer: Layer, op: str) -> str:
    """Return the format of most ops of a kind in a layer."""
    return next(iter(layer.formats.get(op, ())), "f32")


def measure_costs(
    cost: Cost,
    space: DesignSpace,
    store: Store,
    progress: Callable[[int, int, str], None] | None = None,
    bound: Binding | None = None,
    hardware: Callable[[Sequence[str]], CostPart] | None = None,
    energy: Callable[[], CostPart] | None = None,
    seeds: int = 1,
) -> CostModel:
    """Synthesize what a design space's costs are made of; results are cached by content.

    Args:
      cost: what is asked for (`exploration.cost_kinds`).
      store: where the figures go.
      progress: called with (done, total, label of an instance).
      bound: what the network's file binds.
      hardware: makes the part that gives those of `HARDWARE` that are wanted.
      energy: makes the part that gives the energy.
      seeds: with how many seeds instances are placed.

    Raises:
      InputError: an unknown cost.
      ToolError: Yosys or nextpnr failed.
    """
    names = figures_of(cost)
    parts: list[CostPart] = []
    proxies = [name for name in names if name.endswith("_proxy")]
    if proxies:
        wanted = _wanted(space, bound)
        figures, ranges = _synthesized(wanted, proxies, store, progress, seeds)
        parts.append(Proxies(proxies, space, figures, bound, ranges))
    if hardware is not None and (asked := [name for name in names if name in HARDWARE]):
        parts.append(hardware(asked))
    if energy is not None and "energy" in names:
        parts.append(energy())
    if not isinstance(cost, str):
        parts.append(_Own(cost, space))
    return CostModel(cost, space, parts)


def _wanted(space: DesignSpace, bound: Binding | None) -> list[Instance]:
    """Return the distinct instances of a space, exact ones and bound ones with them."""
    found = {
        instance.content_hash: instance
        for instance in (
            *exact_instances(space.layers).values(),
            *(choice for variable in space.variables for choice in variable.choices),
            *(bound.instances.values() if bound else ()),
        )
        if instance is not None
    }
    return list(found.values())


def _synthesized(
    wanted: Sequence[Instance],
    proxies: Sequence[str],
    store: Store,
    progress: Callable[[int, int, str], None] | None,
    seeds: int,
) -> tuple[dict[str, InstanceCost], dict[str, tuple[float, float]]]:
    """Return figures of instances, and with several seeds the ranges of their delays."""
    figures: dict[str, InstanceCost] = {}
    ranges: dict[str, tuple[float, float]] = {}
    # Tools are processes of their own: threads only wait for them.
    with ThreadPoolExecutor(default_threads()) as pool:
        pending = [pool.submit(_measure, instance, proxies, seeds) for instance in wanted]
        try:
            for done in as_completed(pending):
                figure, delays = done.result()
                figures[figure.content_hash] = figure
                if seeds > 1 and delays:
                    ranges[figure.content_hash] = min(delays), max(delays)
                store.add_cost(figure)
                store.archive.note("synthesis", figure.content_hash, provenance())
                if progress:
                    progress(len(figures), len(wanted), figure.label)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return figures, ranges


def _measure(
    instance: Instance, proxies: Sequence[str], seeds: int
) -> tuple[InstanceCost, list[float]]:
    """Return an instance's figures, and its delay with each seed."""
    area, delays = None, []
    if "area_proxy" in proxies:
        area = float(synthesize(instance, target=TARGET, route=False)["luts"])
    if "delay_proxy" in proxies:
        clocks = synthesize(instance, target=TARGET, seeds=seeds)["fmax_mhz_by_seed"].values()
        # Without a clock there is no path between registers: a core of constants or wires.
        delays = [
            0.0 if clock is None else round((instance.latency + 1) * 1000 / clock, 3)
            for clock in clocks
        ]
    delay = statistics.median(delays) if delays else None
    figure = InstanceCost(
        instance.content_hash, TARGET, instance.core.op or "", instance.reference, area, delay
    )
    return figure, delays
