# SPDX-License-Identifier: Apache-2.0
"""The design space of one network: what may be chosen where."""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from asnet_mlir.binding import Binding, Rule, is_within, place_of
from asnet_mlir.cores import Instance, exact_instance
from asnet_mlir.cores.reading.code_wrapper import wrapper_for
from asnet_mlir.errors import InputError
from asnet_mlir.exploration.constraints import Constraints
from asnet_mlir.exploration.layers import Layer

__all__ = ["Configuration", "DesignSpace", "Variable"]

#: One index into its variable's choices each, 0 the exact operation.
Configuration = tuple[int, ...]


@dataclass(frozen=True)
class Variable:
    """One choice to be made: what computes ops of kind `op`, in `layer` or everywhere (None)."""

    op: str
    layer: str | None
    choices: tuple[Instance | None, ...]

    @property
    def label(self) -> str:
        """As on the command line: `mulf@dense`."""
        return place_of(self.op, self.layer)


@dataclass(frozen=True)
class DesignSpace:
    """All configurations that constraints span on a network.

    Attributes:
      variables: in the order of the network's layers, so that configurations which differ in the
        last ones share all results of the layers before.
      layers: of the network.
    """

    variables: tuple[Variable, ...]
    layers: tuple[Layer, ...]
    scope: str = "network"
    _exact_inside: Mapping[int, tuple[int, ...]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, constraints: Constraints, layers: Sequence[Layer]) -> DesignSpace:
        """Apply constraints to a network.

        Raises:
          InputError: nothing that the constraints name occurs in a named layer (scope `layer`), or
            in the network; a layer that there is not.
        """
        layers = tuple(layers)
        kinds = list(dict.fromkeys(op for layer in layers for op in layer.ops))
        if not set(constraints.choices) & set(kinds):
            raise InputError(
                f"constraints: no {' or '.join(constraints.choices)} in the network; it has "
                + (", ".join(kinds) or "no arithmetic")
            )
        _check_formats(constraints, layers)
        if constraints.scope == "network":
            variables = [Variable(op, None, c) for op, c in constraints.choices.items()]
        else:
            _check_layers(constraints, layers)
            variables = [
                Variable(op, layer.name, choices)
                for layer in layers
                if layer.name
                for op in constraints.choices
                if op in layer.ops and len(choices := _choices_in(constraints, op, layer)) > 1
            ]
            if not variables:
                raise InputError(
                    "constraints: scope 'layer', but the network names no layers with "
                    f"{' or '.join(constraints.choices)}; use the scope 'network'"
                )
        outer = {
            index: tuple(
                other
                for other, scope in enumerate(variables)
                if other != index
                and scope.op == inner.op
                and is_within(inner.layer or "", scope.layer)
            )
            for index, inner in enumerate(variables)
        }
        nested = {index: scopes for index, scopes in outer.items() if scopes}
        for index in nested:
            inner = variables[index]
            if _exact_core(inner, layers) is None:
                raise InputError(
                    f"constraints: {inner.label} is inside of another layer with {inner.op}, of "
                    "which the library has no exact core; leave one of the two out with 'layers'"
                )
        return cls(tuple(variables), layers, constraints.scope, nested)

    @property
    def exact(self) -> Configuration:
        """The configuration without approximation."""
        return (0,) * len(self.variables)

    @cached_property
    def size(self) -> int:
        """The number of configurations."""
        return math.prod(len(variable.choices) for variable in self.variables)

    def configurations(self) -> Iterator[Configuration]:
        """Yield the Cartesian product, the exact configuration first and the last layer fastest."""
        # Not itertools.product over anything lazy: it would hold all of it.
        return itertools.product(*(range(len(v.choices)) for v in self.variables))

    def axes(self) -> Iterator[Configuration]:
        """Yield the configurations with at most one variable approximated, the exact one first.

        With the scope `network` these are the paper's figures: each core's parameter swept with
        all else exact.
        """
        yield self.exact
        for position, variable in enumerate(self.variables):
            for index in range(1, len(variable.choices)):
                yield self.exact[:position] + (index,) + self.exact[position + 1 :]

    def binding(self, configuration: Configuration) -> Binding:
        """Return the rules of a configuration."""
        rules = []
        for position, (variable, index) in enumerate(
            zip(self.variables, configuration, strict=True)
        ):
            instance = variable.choices[index]
            if instance is None and any(
                configuration[scope] for scope in self._exact_inside.get(position, ())
            ):
                # Its rule would be that of the layer around it; the exact core has the same bits.
                instance = _exact_core(variable, self.layers)
            if instance is not None:
                rules.append(Rule(variable.op, instance, variable.layer))
        return Binding(tuple(rules))

    def label(self, configuration: Configuration) -> str:
        """Return a configuration in one line, as `--bind` takes it.

        Where all layers with ops of a kind have one core, it is said once: `mulf=mul.v:C=2`.
        """
        rules = self.binding(configuration).rules
        parts: dict[str, None] = {}
        for rule in rules:
            own = [other for other in rules if other.op == rule.op]
            having = {layer.name for layer in self.layers if rule.op in layer.ops}
            is_one = len({other.instance.content_hash for other in own}) == 1
            if is_one and {other.layer for other in own} == having:
                parts[f"{rule.op}={rule.instance.reference}"] = None
            else:
                parts[rule.label] = None
        return " ".join(parts) or "exact"

    def steps(self, configuration: Configuration) -> float:
        """How far along the lists of choices it is: 0 exact, 1 for each variable at its end."""
        return sum(
            index / (len(variable.choices) - 1)
            for variable, index in zip(self.variables, configuration, strict=True)
            if index
        )


def _exact_core(variable: Variable, layers: Sequence[Layer]) -> Instance | None:
    """Return the exact core of a variable's ops, None where the library has none."""
    formats = (
        f
        for layer in layers
        if layer.name == variable.layer
        for f in layer.formats.get(variable.op, ())
    )
    return exact_instance(variable.op, next(formats, "f32"))


def _choices_in(constraints: Constraints, op: str, layer: Layer) -> tuple[Instance | None, ...]:
    """Return what ops of a kind may be bound to in a layer."""

    def allowed(instance: Instance | None) -> bool:
        if instance is None:
            return True
        only = constraints.layers.get((op, instance.content_hash))
        here = only is None or any(is_within(layer.name, name) for name in only)
        return here and layer.takes(instance)

    return tuple(choice for choice in constraints.choices[op] if allowed(choice))


def _check_formats(constraints: Constraints, layers: Sequence[Layer]) -> None:
    """Refuse instances that no layer's operands are for."""
    for op, choices in constraints.choices.items():
        formats = tuple(dict.fromkeys(f for layer in layers for f in layer.formats.get(op, ())))
        for instance in choices:
            if instance is None or not formats or Layer("", {op: 1}, {op: formats}).takes(instance):
                continue
            hint = wrapper_for(instance, formats[0])
            raise InputError(
                f"constraints: {instance.label} computes on {instance.format}, but {op} is on "
                f"{' and '.join(formats)} in the network" + (f"; {hint}" if hint else "")
            )


def _check_layers(constraints: Constraints, layers: Sequence[Layer]) -> None:
    """Refuse constraints on layers that the network does not have."""
    for (op, _), names in constraints.layers.items():
        having = [layer.name for layer in layers if layer.name and op in layer.ops]
        for name in names:
            if any(is_within(layer, name) for layer in having):
                continue
            near = difflib.get_close_matches(name, having, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ";"
            raise InputError(
                f"constraints: no layer '{name}' with {op} in the network{hint} layers with {op}: "
                + (", ".join(having) or "none has a name")
            )
