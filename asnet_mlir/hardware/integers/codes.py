# SPDX-License-Identifier: Apache-2.0
"""The part of a network that computes codes of codes: what hardware of integers does.

A network that `quantize` made ends in numbers of f32 and often in a softmax of them; its hardware
gives the codes that these come from, whose order is that of the numbers.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.ir import main_function, module_from_text
from asnet_mlir.network import Form, Lowering, Network
from asnet_mlir.support.formats import NumberFormat, parse_format

__all__ = ["codes_of", "is_on_codes"]

#: What carries codes.
_CODE_BITS = (8, 16)


def is_on_codes(network: Network) -> bool:
    """Whether a network computes on codes that it takes: it has hardware of integers then.

    Not so one that takes bytes or words and makes floats of them first.
    """
    if network.input_format.is_float or network.input_format.width not in _CODE_BITS:
        return False
    if not network.output_format.is_float or network.is_approx:
        return True
    with module_from_text(network.lower(1)) as module:
        return any(not _is_argument(value) for value in _codes(main_function(module)))


def codes_of(network: Network) -> Network:
    """Return a network up to the codes that its output comes from: itself if it gives codes.

    Raises:
      UnsupportedError: its output comes from several tensors of codes.
    """
    if not network.output_format.is_float:
        return network
    if network.is_approx:
        raise UnsupportedError(
            f"{network.name}: hardware of codes ends where f32 begins, which a bound network does "
            "not say; give the quantized network and its binding"
        )
    shape, format = _frontier(network)
    lowering = _Cut(network.lowering)
    return dataclasses.replace(
        network,
        output_shape=shape,
        output_format=format,
        lowering=lowering,
        unfolded=None,
        outputs=None,
    )


@dataclass(frozen=True)
class _Cut:
    """The lowering of a network up to its last codes."""

    whole: Lowering
    computes: ClassVar[bool] = False

    @property
    def fixed_batch(self) -> int | None:
        return self.whole.fixed_batch

    def text(self, form: Form, batch: int) -> str:
        if form != "linalg":
            raise InputError("the codes of a network have the form linalg")
        with module_from_text(self.whole.text("linalg", batch)) as module:
            main = main_function(module)
            _return(main, _last_codes(main))
            _with_types(main)
            return str(module)

    def compute(self, x: np.ndarray) -> np.ndarray:
        raise UnsupportedError("a part of a network comes from no framework")


def _frontier(network: Network) -> tuple[tuple[int, ...], NumberFormat]:
    """Return shape and format of the last codes."""
    with module_from_text(network.lower(1)) as module:
        value = _last_codes(main_function(module))
        bits = value.type.element_type.width
        is_unsigned = any(
            inner.operation.name == "arith.extui"
            for use in value.uses
            for inner in _of_argument(use)
        )
        return tuple(value.type.shape)[1:], parse_format(f"{'u' if is_unsigned else 'i'}{bits}")


def _of_argument(use: Any) -> list[Any]:
    """Return the ops that take an operand's elements in an op's body."""
    if not use.owner.regions or not len(use.owner.regions[0].blocks):
        return []
    argument = use.owner.regions[0].blocks[0].arguments[use.operand_number]
    return [inner.owner for inner in argument.uses]


def _last_codes(main: Any) -> Any:
    """Return the only tensor of codes from which all that `@main` returns comes."""
    found = _codes(main)
    if len(found) != 1:
        raise UnsupportedError(
            f"hardware of codes gives one tensor of codes; the output comes from {len(found)}"
        )
    return found[0]


def _is_argument(value: Any) -> bool:
    from mlir import ir

    return isinstance(value.owner, ir.Block)


def _codes(main: Any) -> list[Any]:
    """Return the last tensors of codes on all ways to what `@main` returns."""
    from mlir import ir

    block = main.regions[0].blocks[0]
    weights = set(list(block.arguments)[1:])
    found: list[Any] = []
    seen: set[Any] = set()
    waiting = list(list(block.operations)[-1].operands)
    while waiting:
        value = waiting.pop()
        if value in seen or value in weights or not isinstance(value.type, ir.ShapedType):
            continue
        seen.add(value)
        element = value.type.element_type
        if isinstance(element, ir.IntegerType) and ir.IntegerType(element).width in _CODE_BITS:
            if _is_argument(value) or value.owner.name not in ("tensor.empty", "arith.constant"):
                found.append(value)
            continue
        if not _is_argument(value):
            waiting += list(value.owner.operands)
    return found


def _return(main: Any, value: Any) -> None:
    """Return `value`, and remove what nothing needs any more."""
    operations = list(main.regions[0].blocks[0].operations)
    operations[-1].operation.operands[0] = value
    for op in reversed(operations[:-1]):
        if not any(True for result in op.operation.results for _ in result.uses):
            op.operation.erase()


def _with_types(main: Any) -> None:
    """State the function's type as its block has it."""
    from mlir import ir

    block = main.regions[0].blocks[0]
    returned = list(block.operations)[-1].operands[0].type
    kind = ir.FunctionType.get([argument.type for argument in block.arguments], [returned])
    main.attributes["function_type"] = ir.TypeAttr.get(kind)
    if "res_attrs" in main.attributes:
        del main.attributes["res_attrs"]
