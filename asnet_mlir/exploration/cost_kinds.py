# SPDX-License-Identifier: Apache-2.0
"""What a configuration may cost: names, units and titles, the same wherever they appear."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from asnet_mlir.errors import InputError

__all__ = [
    "COSTS",
    "Cost",
    "CostKind",
    "cost_kind",
    "cost_names",
    "figures_of",
    "giving",
    "own_name",
]


@dataclass(frozen=True)
class CostKind:
    """A cost: its unit, a title for an axis, and which `--cost` give it, the quickest first."""

    unit: str
    title: str
    given_by: tuple[str, ...]


COSTS: Mapping[str, CostKind] = {
    "area": CostKind("LUT4", "area of the hardware", ("area", "lut_time")),
    "cycles": CostKind("cycles", "clock cycles an image", ("cycles", "area", "lut_time")),
    "latency": CostKind("cycles", "clock cycles from an image to its answer", ("latency",)),
    "lut_time": CostKind("LUT4 cycles", "area x cycles an image", ("lut_time", "area")),
    "energy": CostKind("nJ", "energy of the arithmetic an image", ("energy",)),
    "area_proxy": CostKind("LUT4", "area of the units alone", ("area_proxy", "energy_proxy")),
    "delay_proxy": CostKind("ns", "delay of all operations", ("delay_proxy", "energy_proxy")),
    "energy_proxy": CostKind("LUT4 ns", "area x delay of all operations", ("energy_proxy",)),
}
"""Proxies come from units alone (`exploration.costs`), the others from the hardware that a
configuration generates (`exploration.hardware_costs`) and from switching activity
(`exploration.energy`)."""

#: `none`, names joined by commas, of which the first is minimized, or a function of a binding.
Cost = str | Callable[[Any], float]


def cost_names(cost: Cost) -> tuple[str, ...]:
    """Return what `--cost` asks for, what is minimized first; nothing for `none`.

    Raises:
      InputError: there is no such cost.
    """
    if not isinstance(cost, str):
        return (own_name(cost),)
    names = tuple(part.strip() for part in cost.split(","))
    if names == ("none",):
        return ()
    for name in names:
        if name not in COSTS:
            known = ", ".join(COSTS)
            raise InputError(f"unknown cost '{name}'; costs are {known} and none")
    return names


def own_name(cost: Callable[[Any], float]) -> str:
    """Return the name of a cost that is a function.

    Raises:
      InputError: it is that of a cost that there is already, or no name.
    """
    name = getattr(cost, "__name__", "")
    if not name.isidentifier() or name in COSTS:
        raise InputError(f"a function that is a cost needs a name of its own, not '{name}'")
    return name


def figures_of(cost: Cost) -> tuple[str, ...]:
    """Return all costs that are known where `cost` is asked for."""
    names = cost_names(cost)
    return tuple(
        dict.fromkeys([*names, *(k for k, kind in COSTS.items() if set(kind.given_by) & {*names})])
    )


def giving(name: str, cost: Cost) -> str:
    """Return the `--cost` that gives one more figure than `cost` does, for a message."""
    names = cost_names(cost)
    return ",".join([*names, COSTS[name].given_by[0]]) if names else COSTS[name].given_by[0]


def cost_kind(name: str) -> CostKind:
    """Return a cost by its name; one of the user's own has no unit."""
    return COSTS.get(name, CostKind("", name, (name,)))
