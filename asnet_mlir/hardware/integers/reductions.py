# SPDX-License-Identifier: Apache-2.0
"""What a loop nest reduces, and the bounds of its sums."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asnet_mlir.errors import UnsupportedError
from asnet_mlir.hardware.integers.code_graph import Generic
from asnet_mlir.hardware.integers.loop_windows import Window
from asnet_mlir.hardware.integers.scalars import Body, Interval, Scalar, full_range

__all__ = ["Reduction", "code_factor", "reduction", "sum_bounds"]


@dataclass(frozen=True)
class Reduction:
    """What a node reduces.

    Attributes:
      op: of the sum; None where nothing is reduced.
      term: what is reduced, on the node's operands.
      start: of the sum.
    """

    op: Scalar | None
    term: Body
    start: int


def reduction(node: Generic) -> Reduction:
    """Return how a node reduces.

    Raises:
      UnsupportedError: its body is no `op(value so far, term)`.
    """
    body = node.body
    if node.start is None:
        return Reduction(None, body, 0)
    assert node.start.constant is not None
    starts = np.unique(node.start.constant)
    so_far = [
        place
        for place, op in enumerate(body.ops)
        if op.name == "arg" and op.number == len(node.operands)
    ]
    op = body.ops[body.result]
    names = ("addi", "maxi", "mini", "maxsi", "minsi", "maxui", "minui")
    if op.name not in names or len(so_far) != 1 or len(starts) != 1 or so_far[0] not in op.operands:
        raise UnsupportedError(
            f"hardware of codes adds up, or takes the greatest or the least (layer '{node.layer}')"
        )
    others = [place for place in op.operands if place != so_far[0]]
    return Reduction(op, Body(body.ops, others[0]), int(starts[0]))


def sum_bounds(found: Reduction, term: Interval, node: Generic, window: Window) -> Interval:
    """Return the bounds of sums, partial ones in any order included."""
    assert found.op is not None
    op, whole = found.op, full_range(found.op.bits)
    if op.instance is not None or op.unsigned:
        return whole
    if op.name != "addi":
        return Interval(min(term.low, found.start), max(term.high, found.start))
    low, high = _exact_sums(found, node, window) or (
        min(term.low, 0) * window.depth * window.pack,
        max(term.high, 0) * window.depth * window.pack,
    )
    low, high = min(low, 0) + min(found.start, 0), max(high, 0) + max(found.start, 0)
    return Interval(low, high) if whole.low <= low and high <= whole.high else whole


def code_factor(found: Reduction, node: Generic, window: Window) -> Scalar | None:
    """Return the code of terms that are exact products of a code and a weight, or None."""
    ops = found.term.ops
    place = found.term.result
    while ops[place].name in ("extsi", "trunci"):
        place = ops[place].operands[0]
    op = ops[place]
    if op.name != "muli" or op.instance is not None or op.unsigned or len(window.weights) != 1:
        return None
    factors = []
    for operand in op.operands:
        while ops[operand].name == "extsi":
            operand = ops[operand].operands[0]
        factors.append(ops[operand])
    if any(factor.name != "arg" for factor in factors):
        return None
    codes = [f for f in factors if node.operands[f.number][0].constant is None]
    return codes[0] if len(codes) == 1 else None


def _exact_sums(found: Reduction, node: Generic, window: Window) -> tuple[int, int] | None:
    """Return the bounds of sums of exact products with weights, which are known."""
    code = code_factor(found, node, window)
    if code is None:
        return None
    x = full_range(code.bits)
    words = window.weights[0].reshape(-1, window.depth, window.weight_lanes, window.pack)
    high = np.where(words > 0, words * x.high, words * x.low).sum(axis=(1, 3))
    low = np.where(words > 0, words * x.low, words * x.high).sum(axis=(1, 3))
    return int(low.min()), int(high.max())
