# SPDX-License-Identifier: Apache-2.0
"""Where a network's outputs are among the values of what was read of it."""

from __future__ import annotations

from asnet_mlir.errors import UnsupportedError
from asnet_mlir.support.parts import Parts
from asnet_mlir.training.operations import DTYPES
from asnet_mlir.training.reader import Straight

__all__ = ["before_shares", "last_codes", "output_values"]

#: What no numbers at the end of a network are computed by.
_LAYERS = ("convolution", "dot_general", "gather")


def output_values(code: Straight, parts: Parts) -> dict[str, int]:
    """Return by its name the value that each part of the network's row is made of.

    Its shape may be another one, of as many numbers.

    Raises:
      UnsupportedError: the row is made otherwise than `pack_main` makes it.
    """
    row = code.producers.get(code.output)
    if row is None or row.name != "concatenate" or len(row.operands) != len(parts):
        raise UnsupportedError(f"{code.name}: its row of outputs is not made of {parts} at its end")
    found = {}
    for part, operand in zip(parts, row.operands, strict=True):
        value = operand
        while DTYPES[code.types[value].element] != part.format.dtype:
            op = code.producers.get(value)
            if op is None or op.name not in ("convert", "bitcast_convert"):
                raise UnsupportedError(f"{code.name}: its output '{part.name}' is no {part.format}")
            (value,) = op.operands
        found[part.name] = code.source(value, ("reshape",))
    return found


def before_shares(code: Straight, value: int) -> int | None:
    """Return what a value's last operations take the softmax or the sigmoid of."""
    top = code.producers.get(value)
    if top is not None and top.name == "logistic":
        return top.operands[0]
    if top is None or top.name != "divide":
        return None
    numerator = code.producers.get(top.operands[0])
    total = code.producers.get(code.source(top.operands[1], ("broadcast_in_dim", "reshape")))
    if numerator is None or numerator.name != "exponential" or total is None:
        return None
    is_sum = total.name == "reduce" and total.operands[0] == top.operands[0]
    return numerator.operands[0] if is_sum else None


def last_codes(code: Straight, value: int) -> int | None:
    """Return the codes of which a value's last floats are computed; None where it has no such."""
    while (op := code.producers.get(value)) is not None:
        if op.name == "convert" and not code.types[op.operands[0]].element.startswith("f"):
            codes = code.source(op.operands[0], ("convert",))
            return codes if codes and code.types[codes].shape[:1] == (code.batch,) else None
        if not op.operands or op.name in _LAYERS:
            return None
        value = op.operands[0]
    return None
