# SPDX-License-Identifier: Apache-2.0
"""What a configuration costs, from the synthesis of its instances.

Every instance is synthesized alone, between registers, for Lattice ECP5 with multipliers in soft
logic.  Ops without a rule cost what the library's exact core of their kind costs, as in hardware;
of integer ops, products and sums of 32 bits have one; the others are plain logic and cost nothing.

- `area`, in LUT4.  Of an instance: the LUTs that Yosys maps it to.  Of a configuration: the sum
  over its distinct instances, since hardware has one unit of each.
- `delay`, in ns.  Of an instance: (latency + 1) / Fmax after place and route, from register to
  register; the latency of an iterative core is that of its slowest operands.  Of a configuration:
  the sum over all ops, a sample's arithmetic one op after the other.
- `energy`, in LUT ns.  Of an instance: area x delay.  Of a configuration: the sum over all ops.

The energy is a proxy, good for comparing configurations of one network: an op's energy is taken to
grow with the logic that switches and the time for which it does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from asnet_mlir.binding import Binding
from asnet_mlir.cores import Instance, exact_instance
from asnet_mlir.errors import InputError
from asnet_mlir.evaluation.evaluator import default_threads
from asnet_mlir.exploration.criterion import COSTS
from asnet_mlir.exploration.layers import Layer
from asnet_mlir.exploration.provenance import provenance
from asnet_mlir.exploration.space import Configuration, DesignSpace
from asnet_mlir.exploration.store import InstanceCost, Store
from asnet_mlir.hardware import synthesize

__all__ = ["TARGET", "CostModel", "check_cost", "exact_instances", "measure_costs"]

TARGET = "ecp5"


def check_cost(cost: str) -> str:
    """Return `cost` when there is such a cost.

    Raises:
      InputError: there is not.
    """
    if cost not in (*COSTS, "none"):
        raise InputError(f"unknown cost '{cost}'; costs are {', '.join(COSTS)} and none")
    return cost


class CostModel:
    """Costs of the configurations of a design space."""

    def __init__(
        self,
        cost: str,
        space: DesignSpace,
        instances: Mapping[str, InstanceCost],
        bound: Binding | None = None,
    ) -> None:
        """Prepare the sums.

        Args:
          cost: which figure is minimized, or `none`: none is known.
          instances: measured figures by content hash; empty for `none`.
          bound: what the network's file binds where a configuration does not.
        """
        self.cost = cost
        self._space = space
        exact = exact_instances(space.layers)
        variables = {(v.op, v.layer): index for index, v in enumerate(space.variables)}
        #: Per op kind and layer: operations, the variable that decides, figures of its choices.
        self._slots: list[tuple[int, int | None, list[InstanceCost]]] = []
        for layer in space.layers if cost != "none" else ():
            for op, count in layer.ops.items():
                variable = variables.get((op, layer.name if space.scope == "layer" else None))
                choices = (None,) if variable is None else space.variables[variable].choices
                format = _format(layer, op)
                rule = bound.rule_for(op, layer.name, format) if bound else None
                own = exact.get((op, format)) if rule is None else rule.instance
                if own is not None:
                    # Ops of other formats than a choice computes on stay as they are.
                    used = [c if c is not None and layer.takes(c) else own for c in choices]
                    figures = [instances[i.content_hash] for i in used]
                    self._slots.append((count, variable, figures))

    def figures(self, configuration: Configuration) -> dict[str, float]:
        """Return the configuration's costs, those that are known."""
        if self.cost == "none":
            return {}
        units: dict[str, float] = {}
        delay = energy = 0.0
        for count, variable, choices in self._slots:
            figure = choices[0 if variable is None else configuration[variable]]
            units[figure.content_hash] = figure.area or 0.0
            delay += count * (figure.delay or 0.0)
            energy += count * (figure.area or 0.0) * (figure.delay or 0.0)
        known = {"area": sum(units.values()), "delay": round(delay, 3), "energy": round(energy, 3)}
        return known if self.cost == "energy" else {self.cost: known[self.cost]}

    def minimized(self, configuration: Configuration) -> float:
        """Return what a search minimizes: without costs the steps not yet taken along the lists."""
        if self.cost == "none":
            return len(self._space.variables) - self._space.steps(configuration)
        return self.figures(configuration)[self.cost]


def exact_instances(layers: Sequence[Layer]) -> dict[tuple[str, str], Instance]:
    """Return the exact core of each op kind and format of a network that the library has.

    Exact subtractions share the adder.
    """
    kinds = {(op, _format(layer, op)) for layer in layers for op in layer.ops}
    found = {
        (op, format): exact_instance("addf" if op == "subf" else op, format)
        for op, format in sorted(kinds)
    }
    return {kind: instance for kind, instance in found.items() if instance is not None}


def _format(layer: Layer, op: str) -> str:
    """Return the format of most ops of a kind in a layer."""
    return next(iter(layer.formats.get(op, ())), "f32")


def measure_costs(
    cost: str,
    space: DesignSpace,
    store: Store,
    progress: Callable[[int, int, str], None] | None = None,
    bound: Binding | None = None,
) -> CostModel:
    """Synthesize what a design space's costs are made of; results are cached by content.

    Args:
      cost: `area`, `delay`, `energy` or `none`.
      store: where the figures go.
      progress: called with (done, total, label of an instance).
      bound: what the network's file binds.

    Raises:
      ToolError: Yosys or nextpnr failed.
    """
    if cost == "none":
        return CostModel(cost, space, {})
    wanted = {
        instance.content_hash: instance
        for instance in (
            *exact_instances(space.layers).values(),
            *(choice for variable in space.variables for choice in variable.choices),
            *(bound.instances.values() if bound else ()),
        )
        if instance is not None
    }
    figures: dict[str, InstanceCost] = {}
    # Tools are processes of their own: threads only wait for them.
    with ThreadPoolExecutor(default_threads()) as pool:
        pending = [pool.submit(_measure, instance, cost) for instance in wanted.values()]
        try:
            for done in as_completed(pending):
                figure = done.result()
                figures[figure.content_hash] = figure
                store.add_cost(figure)
                store.archive.note("synthesis", figure.content_hash, provenance())
                if progress:
                    progress(len(figures), len(wanted), figure.label)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return CostModel(cost, space, figures, bound)


def _measure(instance: Instance, cost: str) -> InstanceCost:
    area = delay = None
    if cost in ("area", "energy"):
        area = float(synthesize(instance, target=TARGET, route=False)["luts"])
    if cost in ("delay", "energy"):
        clock = synthesize(instance, target=TARGET)["fmax_mhz"]
        # Without a clock there is no path between registers: a core of constants or wires.
        delay = 0.0 if clock is None else round((instance.latency + 1) * 1000 / clock, 3)
    return InstanceCost(
        instance.content_hash, TARGET, instance.core.op or "", instance.reference, area, delay
    )
