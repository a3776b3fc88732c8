# SPDX-License-Identifier: Apache-2.0
"""Constants of a StableHLO module that are weights become arguments of `@main`, and the way back.

Native code then takes them as arguments instead of being compiled around them, hardware names their
memories, and the module's text stays readable.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from asnet_mlir.frontends.locations import scope_of
from asnet_mlir.frontends.weights import unique_name
from asnet_mlir.ir import walk
from asnet_mlir.network import Weight
from asnet_mlir.support.formats import BF16, format_of_element

__all__ = [
    "WEIGHT_ATTRIBUTE",
    "arguments_to_constants",
    "constants_to_arguments",
    "main_of",
    "numbers_of",
]

#: The attribute that names a weight, of `@main`'s arguments and of constants; the approx dialect
#: has it as well.
WEIGHT_ATTRIBUTE = "approx.weight"

#: Of integer constants that are weights.
_INTEGER_WIDTHS = (8, 16)


def main_of(module: Any) -> Any:
    """Return the function `@main` of a jaxlib MLIR module, or None."""
    for op in module.operation.regions[0].blocks[0].operations:
        name = op.operation.attributes["sym_name"] if "sym_name" in op.attributes else None
        if name is not None and name.value == "main" and op.operation.name == "func.func":
            return op
    return None


def arguments_to_constants(module: Any, weights: Sequence[Weight]) -> None:
    """Make the weights of a jaxlib MLIR module, `@main`'s arguments behind the input, constants.

    They keep their names.
    """
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import stablehlo

    with module.context, ir.Location.unknown():
        main = main_of(module)
        block = main.regions[0].blocks[0]
        arguments = list(block.arguments)[1:]
        with ir.InsertionPoint.at_block_begin(block):
            for weight, argument in zip(weights, arguments, strict=True):
                elements = ir.DenseElementsAttr.get(
                    np.asarray(weight.value, order="C"),  # one number stays one
                    signless=weight.format.is_signed or weight.format.is_float,
                )
                constant = stablehlo.constant(elements, loc=ir.Location.name(weight.name)).owner
                constant.attributes[WEIGHT_ATTRIBUTE] = ir.StringAttr.get(weight.name)
                argument.replace_all_uses_with(constant.result)
        for index in reversed(range(len(arguments))):
            block.erase_argument(1 + index)
        kind = main.attributes["function_type"].value
        main.attributes["function_type"] = ir.TypeAttr.get(
            ir.FunctionType.get([kind.inputs[0]], list(kind.results))
        )
        if "arg_attrs" in main.attributes:
            main.attributes["arg_attrs"] = ir.ArrayAttr.get([main.attributes["arg_attrs"][0]])


def constants_to_arguments(
    module: Any, weights: Sequence[Weight] = (), *, known: Sequence[Weight] | None = None
) -> list[Weight]:
    """Append an argument to `@main` for each constant that is a weight.

    Those are arrays of floats, and of integers of at most 16 bits (wider ones are indices more
    often than not), that are not one number throughout, and those that say a weight's name
    (`approx.weight`), whatever they hold.  The module is changed; calls must be inlined.  A
    constant with a NaN stays where it is.

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
    arguments: dict[tuple[str, tuple[int, ...], bytes], Any] = {}
    constants = [
        (op, value)
        for op in walk(main.operation)
        if op.name == "stablehlo.constant" and (value := _array(op)) is not None
    ]
    with module.context, ir.Location.unknown():
        for weight in known or ():
            arguments[_key(weight.value)] = _append(ir, main, block, weight)
            added.append(weight)
        for op, value in constants:
            key = _key(value)
            if key not in arguments:
                if known is not None:
                    continue
                added.append(Weight(unique_name(_name(op), taken), value))
                arguments[key] = _append(ir, main, block, added[-1])
            op.result.replace_all_uses_with(arguments[key])
            op.erase()
    return added


def _name(constant: Any) -> str:
    """Return what a constant is called: by itself, or by the layer of the first that reads it."""
    if WEIGHT_ATTRIBUTE in constant.attributes:
        return str(constant.attributes[WEIGHT_ATTRIBUTE].value)
    scopes = (scope_of(use.owner.location) for use in constant.result.uses)
    scope = next((scope for scope in scopes if scope), "")
    return f"{scope}/constant" if scope else "constant"


def _key(value: np.ndarray) -> tuple[str, tuple[int, ...], bytes]:
    return value.dtype.name, value.shape, value.tobytes()


def _append(ir: Any, main: Any, block: Any, weight: Weight) -> Any:
    format = weight.format
    element = format.element_type if format.is_signed else f"u{format.element_type}"
    kind = ir.RankedTensorType.get(weight.value.shape, ir.Type.parse(element))
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
    kind = ir.RankedTensorType(constant.result.type)
    format = format_of_element(str(kind.element_type))
    is_named = WEIGHT_ATTRIBUTE in constant.attributes
    if format is None or not (is_named or format.is_float or format.width in _INTEGER_WIDTHS):
        return None
    attribute = constant.attributes["value"]
    if not isinstance(attribute, ir.DenseElementsAttr) or (attribute.is_splat and not is_named):
        return None
    value = numbers_of(constant)
    return None if value is None or (format.is_float and np.isnan(value).any()) else value


def numbers_of(constant: Any) -> np.ndarray | None:
    """Return the array of a constant of a format's numbers that are not one throughout.

    None of bfloat16 that are not all finite.
    """
    from jaxlib.mlir import ir

    kind = ir.RankedTensorType(constant.results[0].type)
    format = format_of_element(str(kind.element_type))
    assert format is not None
    if format == BF16:
        return _bfloat16(str(constant.attributes["value"]), tuple(kind.shape))
    return np.array(constant.attributes["value"], format.dtype, order="C")


def _bfloat16(text: str, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return an attribute's value by its text: jaxlib has no arrays of bfloat16.

    None where it is not all finite numbers, which MLIR writes as bits among the others.
    """
    found = re.fullmatch(r'dense<(?:"0x([0-9A-F]*)"|(.*))> : .*', text, re.DOTALL)
    if found is None:
        return None
    if found[1] is not None:
        return np.frombuffer(bytes.fromhex(found[1]), BF16.dtype).reshape(shape)
    try:
        return np.array(json.loads(found[2]), np.float32).astype(BF16.dtype).reshape(shape)
    except ValueError:
        return None
