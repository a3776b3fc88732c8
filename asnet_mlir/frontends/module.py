"""What every front end does with its StableHLO module: calls inlined, constants become weights."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from asnet_mlir.frontends.constants import constants_to_arguments, main_of
from asnet_mlir.frontends.locations import named_text, shorten_locations
from asnet_mlir.frontends.network import Weight
from asnet_mlir.frontends.stablehlo import INLINE, linalg_from_stablehlo, run_passes

__all__ = ["WEIGHT_ATTRIBUTE", "LoweredModule", "lower_module"]

#: The attribute of `@main`'s arguments that names the weight; the approx dialect has it as well.
WEIGHT_ATTRIBUTE = "approx.weight"


class LoweredModule:
    """A StableHLO module `@main(input, *weights)`.

    Attributes:
      constants: the weights that were constants; the last arguments of `@main`.
      stablehlo: its text, with the names in locations; arguments carry `approx.weight`.
    """

    def __init__(self, module: Any, constants: tuple[Weight, ...]) -> None:
        self._module = module
        self.constants = constants
        self.stablehlo = named_text(module)

    @cached_property
    def linalg(self) -> str:
        """The text of the module as linalg on tensors, with locations.

        Raises:
          UnsupportedError: see `linalg_from_stablehlo`.
        """
        return linalg_from_stablehlo(self._module)


def lower_module(
    module: Any, weights: Sequence[Weight], *, known: Sequence[Weight] | None = None
) -> LoweredModule:
    """Prepare a jaxlib MLIR module of StableHLO whose `@main` takes the input and `weights`.

    Args:
      module: is not changed.
      known: see `constants_to_arguments`.
    """
    from jaxlib.mlir import ir

    with module.context:
        copy = module.operation.clone()
        run_passes(copy, INLINE)
        shorten_locations(copy)
        constants = constants_to_arguments(copy, weights, known=known)
        main = main_of(copy)
        names = [weight.name for weight in (*weights, *constants)]
        old = main.attributes.get("arg_attrs")
        attributes = []
        for index in range(len(names) + 1):
            own = {item.name: item.attr for item in old[index]} if old is not None else {}
            if index:
                own[WEIGHT_ATTRIBUTE] = ir.StringAttr.get(names[index - 1])
            attributes.append(ir.DictAttr.get(own))
        main.attributes["arg_attrs"] = ir.ArrayAttr.get(attributes)
        return LoweredModule(copy, tuple(constants))
