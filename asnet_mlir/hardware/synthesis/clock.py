# SPDX-License-Identifier: Apache-2.0
"""The fewest pipeline stages with which cores reach a clock."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from asnet_mlir.binding import Binding
from asnet_mlir.cores import Instance
from asnet_mlir.cores.core import EXACT_CORES
from asnet_mlir.errors import InputError
from asnet_mlir.hardware.schedule.registers import FEWEST, MOST, Registers

__all__ = ["Choice", "check_clock", "choose", "registers"]

# So many depths are tried one by one; of more, those that bisection asks for.
_FEW = 10
# By so much a placement may be worse than the best one of the same netlist.
_SPREAD = 1.25
# By so much a core is quicker alone than among others in a network's hardware, at most.
_MARGIN = 1.1

# Where a word goes from a memory through the choice of operands in one cycle, ECP5 reaches 101 MHz.
_DIRECT_MHZ = 90.0


@dataclass(frozen=True)
class Choice:
    """Instances that reach a clock.

    Attributes:
      binding: the rules, with other depths.
      exact: the cores of ops without a rule, by kind.
      entries: of each instance by content hash, for the manifest: `fmax_mhz`, None where it has no
        path between registers; and where its depth was chosen, `chosen`, the parameter's value.
    """

    binding: Binding
    exact: Mapping[str, Instance]
    entries: Mapping[str, dict[str, Any]]


def check_clock(clock_mhz: float) -> None:
    """Check that a clock is one.

    Raises:
      InputError: it is not.
    """
    if isinstance(clock_mhz, bool) or not math.isfinite(clock_mhz) or clock_mhz <= 0:
        raise InputError(f"a clock of {clock_mhz} MHz; give a number above 0")


def registers(clock_mhz: float | None) -> Registers:
    """Return which registers hardware has around its cores for a clock on ECP5."""
    return FEWEST if clock_mhz is None or clock_mhz <= _DIRECT_MHZ else MOST


def choose(
    binding: Binding,
    instances: Iterable[Instance],
    clock_mhz: float,
    synthesize: Callable[[Instance], Mapping[str, Any]],
) -> Choice:
    """Choose the depths of a network's cores.

    Args:
      binding: the rules.
      instances: those that the hardware has, of ops without a rule too.
      clock_mhz: the clock that each must reach alone, between registers: with a tenth to spare,
        which the hardware around it takes, where it has a depth for that.
      synthesize: gives `fmax_mhz` of an instance.

    Raises:
      InputError: a core does not reach it: which, and what it does reach.
    """
    chooser = _Chooser(clock_mhz, synthesize)
    rules = tuple(replace(rule, instance=chooser.at_clock(rule.instance)) for rule in binding.rules)
    bound = {instance.content_hash for instance in binding.instances.values()}
    exact = {
        instance.core.op or "": chooser.at_clock(instance)
        for instance in instances
        if instance.content_hash not in bound
    }
    # An op without a rule may have a core that a rule names for others.
    for instance in binding.instances.values():
        op = instance.core.op or ""
        if instance.depths and instance.core.name == EXACT_CORES.get(op):
            exact.setdefault(op, chooser.at_clock(instance))
    return Choice(Binding(rules), exact, chooser.entries)


@dataclass
class _Chooser:
    clock_mhz: float
    synthesize: Callable[[Instance], Mapping[str, Any]]
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)
    known: dict[str, float | None] = field(default_factory=dict)

    def fmax(self, instance: Instance) -> float | None:
        key = instance.content_hash
        if key not in self.known:
            self.known[key] = self.synthesize(instance)["fmax_mhz"]
        return self.known[key]

    def reaches(self, instance: Instance, margin: float = 1.0) -> bool:
        fmax = self.fmax(instance)
        return fmax is None or fmax >= self.clock_mhz * margin

    def at_clock(self, instance: Instance) -> Instance:
        depths = instance.depths
        found = self.search(instance, depths) if depths else instance
        if found is None:
            tried = [instance.at_depth(depth) for depth in depths]
            tried = [one for one in tried[:-1] if one.content_hash in self.known] + tried[-1:]
            found = max(tried, key=lambda one: self.fmax(one) or 0.0)
        if not self.reaches(found):
            name = str(instance.core.latency_cycles)
            depth = ""
            if depths:
                depth = f" at most, with {name}={dict(found.parameters)[name]}"
            elif name in instance.given:
                depth = f" with the {name}={dict(found.parameters)[name]} that the binding gives"
            raise InputError(
                f"{instance.label}: the core alone reaches {self.fmax(found)} MHz{depth}, not "
                f"{self.clock_mhz:g}; lower --clock-mhz or bind another core"
            )
        entry = self.entries.setdefault(found.content_hash, {})
        entry["fmax_mhz"] = self.fmax(found)
        if depths:
            name = str(instance.core.latency_cycles)
            entry["chosen"] = {name: dict(found.parameters)[name]}
        return found

    def search(self, instance: Instance, depths: tuple[int, ...]) -> Instance | None:
        """Return the shallowest one found that reaches the clock with the margin.

        What takes t between registers takes t / n, at best, in n stages: depths that cannot reach
        the clock by that are not tried.
        """
        first = instance.at_depth(depths[0])
        if self.reaches(first, _MARGIN):
            return first
        stages = self.clock_mhz * _MARGIN / ((self.fmax(first) or 0.0) * _SPREAD or math.inf)
        options = [
            option for option in map(instance.at_depth, depths[1:]) if option.latency + 1 >= stages
        ]
        if len(options) > _FEW and self.reaches(options[-1], _MARGIN):
            low, high = -1, len(options) - 1
            while high - low > 1:
                middle = (low + high) // 2
                if self.reaches(options[middle], _MARGIN):
                    high = middle
                else:
                    low = middle
            return options[high]
        # The clock does not grow evenly: another depth than the last one may still reach it.
        return next((option for option in options if self.reaches(option, _MARGIN)), None)
