# SPDX-License-Identifier: Apache-2.0
"""Constants of a StableHLO module that are weights: they become arguments of `@main`.

Native code then takes them as arguments instead of being compiled around them, hardware names their
memories, and the module's text stays readable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from asnet_mlir.frontends.locations import scope_of
from asnet_mlir.frontends.weights import unique_name
from asnet_mlir.ir import walk
from asnet_mlir.network import Weight

__all__ = ["constants_to_arguments", "main_of"]


def main_of(module: Any) -> Any:
    """Return the function `@main` of a jaxlib MLIR module, or None."""
    for op in module.operation.regions[0].blocks[0].operations:
        name = op.operation.attributes["sym_name"] if "sym_name" in op.attributes else None
        if name is not None and name.value == "main" and op.operation.name == "func.func":
            return op
    return None


def constants_to_arguments(
    module: Any, weights: Sequence[Weight] = (), *, known: Sequence[Weight] | None = None
) -> list[Weight]:
    """Append an argument to `@main` for each float32 constant that is not one number throughout.

    The module is changed; calls must be inlined.  A constant with a NaN stays where it is.

    Args:
      weights: those that `@main` takes already; names are made different from theirs.
      known: append exactly these, found by their values: so that the module for another batch size
        takes the same arguments.  Other constants stay.

    Returns:
      The weights appended, in order; named by the scope of the constant's first user.
    """
    from jaxlib.mlir import ir

    main = main_of(module)
    block = main.regions[0].blocks[0]
    taken = {weight.name for weight in weights}
    added: list[Weight] = []
    arguments: dict[tuple[tuple[int, ...], bytes], Any] = {}
    constants = [
        (op, value)
        for op in walk(main.operation)
        if op.name == "stablehlo.constant" and (value := _array(op)) is not None
    ]
    with module.context, ir.Location.unknown():
        for weight in known or ():
            key = (weight.value.shape, weight.value.tobytes())
            arguments[key] = _append(ir, main, block, weight)
            added.append(weight)
        for op, value in constants:
            key = (value.shape, value.tobytes())
            if key not in arguments:
                if known is not None:
                    continue
                scopes = (scope_of(use.owner.location) for use in op.result.uses)
                scope = next((scope for scope in scopes if scope), "")
                name = unique_name(f"{scope}/constant" if scope else "constant", taken)
                added.append(Weight(name, value))
                arguments[key] = _append(ir, main, block, added[-1])
            op.result.replace_all_uses_with(arguments[key])
            op.erase()
    return added


def _append(ir: Any, main: Any, block: Any, weight: Weight) -> Any:
    kind = ir.RankedTensorType.get(weight.value.shape, ir.F32Type.get())
    argument = block.add_argument(kind, ir.Location.name(weight.name))
    old = main.attributes["function_type"].value
    new = ir.FunctionType.get([*old.inputs, kind], list(old.results))
    main.attributes["function_type"] = ir.TypeAttr.get(new)
    if "arg_attrs" in main.attributes:
        main.attributes["arg_attrs"] = ir.ArrayAttr.get(
            [*main.attributes["arg_attrs"], ir.DictAttr.get({})]
        )
    return argument


def _array(constant: Any) -> np.ndarray | None:
    """Return a constant's value if it is worth an argument."""
    from jaxlib.mlir import ir

    # The type first: jaxlib raises when it meets an attribute of complex numbers.
    if not isinstance(ir.RankedTensorType(constant.result.type).element_type, ir.F32Type):
        return None
    attribute = constant.attributes["value"]
    if not isinstance(attribute, ir.DenseFPElementsAttr) or attribute.is_splat:
        return None
    value = np.array(attribute, np.float32, order="C")
    return None if np.isnan(value).any() else value
