# SPDX-License-Identifier: Apache-2.0
"""StableHLO modules with other weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from asnet_mlir.frontends.calls import inline_calls
from asnet_mlir.frontends.constants import arguments_to_constants, main_of
from asnet_mlir.frontends.stablehlo import INLINE, run_passes
from asnet_mlir.frontends.stablehlo_file import parse_stablehlo
from asnet_mlir.network import Network, Weight
from asnet_mlir.training.reader import Straight

__all__ = ["inlined_module", "text_of", "with_added", "with_constants"]


def inlined_module(network: Network) -> Any:
    """Return a network's StableHLO as a jaxlib MLIR module without calls."""
    module = parse_stablehlo(network.name, network.stablehlo(network.fixed_batch or 1).encode())
    with module.context:
        run_passes(module.operation, INLINE)
        inline_calls(module)
    return module


def with_constants(module: Any, weights: Sequence[Weight]) -> str:
    """Return the text of a module whose weights are constants that keep their names.

    Args:
      module: jaxlib MLIR; `@main` takes the input and `weights`.  It is changed.
    """
    arguments_to_constants(module, weights)
    return str(module.operation.get_asm(enable_debug_info=True))


def with_added(
    network: Network,
    code: Straight,
    weights: Mapping[str, np.ndarray],
    added: Mapping[int, tuple[int, np.ndarray]],
) -> str:
    """Return the text of a network with other weights, and numbers added to some of its values.

    Args:
      network: not folded; `code` is what was read of it.
      weights: by name, those that change.
      added: by the value's number the dimension that the numbers belong to, and int32[n]; they
        become part of a bias where one is added to the value and to nothing else.
    """
    changed = dict(weights)
    values = {weight.name: weight.value for weight in network.weights}
    rest: dict[int, tuple[int, np.ndarray]] = {}
    for value, (axis, numbers) in added.items():
        if not numbers.any():
            continue
        bias = _bias(code, value, numbers.shape)
        if bias is None:
            rest[value] = axis, numbers
        else:
            changed[bias] = (changed.get(bias, values[bias]) + numbers).astype(np.int32)
    module = inlined_module(network)
    _add(module, rest)
    own = [replace(one, value=changed.get(one.name, one.value)) for one in network.weights]
    return with_constants(module, own)


def _bias(code: Straight, value: int, shape: tuple[int, ...]) -> str | None:
    """Return the name of the weight that is added to a value, and to no other one."""
    users = code.users.get(value, [])
    if len(users) != 1 or users[0].name != "add":
        return None
    other = next((one for one in users[0].operands if one != value), value)
    number = code.source(other, ("broadcast_in_dim",))
    if not 1 <= number <= len(code.weights) or len(code.users[number]) != 1:
        return None
    weight = code.weights[number - 1]
    is_only = len(code.users.get(other, [])) == 1
    return weight.name if is_only and weight.value.shape == shape else None


def _add(module: Any, added: Mapping[int, tuple[int, np.ndarray]]) -> None:
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import stablehlo

    with module.context, ir.Location.unknown():
        block = main_of(module).regions[0].blocks[0]
        values = list(block.arguments)
        for view in block.operations:
            values += list(view.operation.results)
        ops = [view.operation for view in block.operations]
        for number, (axis, numbers) in added.items():
            value = values[number]
            users = [(use.owner, use.operand_number) for use in value.uses]
            after = next(place for place, op in enumerate(ops) if value in list(op.results)) + 1
            with ir.InsertionPoint(ops[after]), value.owner.location:
                constant = stablehlo.constant(ir.DenseElementsAttr.get(numbers.astype(np.int32)))
                dims = ir.DenseI64ArrayAttr.get([axis])
                wide = stablehlo.broadcast_in_dim(value.type, constant, dims)
                total = stablehlo.add(value, wide)
            for user, operand in users:
                user.operands[operand] = total


def text_of(network: Network) -> str:
    """Return a network as one StableHLO text, weights included; `load_model` reads it."""
    own = network.unfolded or network
    return with_constants(inlined_module(own), own.weights)
