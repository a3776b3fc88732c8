# SPDX-License-Identifier: Apache-2.0
"""Circuits of cores: what evolution starts from where a user's Verilog is the exact function."""

from __future__ import annotations

from asnet_mlir.cores.circuits import aig
from asnet_mlir.cores.core import Instance
from asnet_mlir.cores.models.derive import gates_of
from asnet_mlir.errors import InputError
from asnet_mlir.evolution.circuit import Builder, Circuit

__all__ = ["circuit_of"]


def circuit_of(instance: Instance) -> Circuit:
    """Return the gates of an integer core, its registers as wires; three ANDs of an XOR are one.

    Raises:
      InputError: the core is none of integers, has state, or a result that its operands do not
        decide.
      AsnetError: as `gates_of`.
    """
    if instance.core.is_float:
        raise InputError(
            f"{instance.label}: computes {instance.core.format}; evolution takes integer circuits "
            "(--level integer for a significand's unit)"
        )
    graph, a, b, result = gates_of(instance)
    builder = Builder((len(a), len(b)))
    literals = dict(zip([0, *a, *b], [0, *builder.operands[0], *builder.operands[1]], strict=True))
    for literal in graph.inputs_of(result):
        if literal not in literals:
            raise InputError(f"{instance.label}: the operands do not decide the result")
    stack = [literal & ~1 for literal in result]
    while stack:
        literal = stack[-1]
        if literal in literals:
            stack.pop()
            continue
        is_xor, x, y = _gate(graph, literal)
        waiting = [one & ~1 for one in (x, y) if one & ~1 not in literals]
        if waiting:
            stack += waiting
            continue
        stack.pop()
        left, right = literals[x & ~1] ^ x & 1, literals[y & ~1] ^ y & 1
        literals[literal] = (builder.differ if is_xor else builder.conjunction)(left, right)
    return builder.finish([literals[literal & ~1] ^ literal & 1 for literal in result])


def _gate(graph: aig.Graph, literal: int) -> tuple[bool, int, int]:
    """Return whether a gate is an XOR, and the operands."""
    pair = graph.gate(literal)
    assert pair is not None
    x, y = pair
    if x & 1 and y & 1:
        # not (p and q) and not (not p and not q)
        left, right = graph.gate(x), graph.gate(y)
        if left and right and {p ^ 1 for p in left} == set(right) and left[0] >> 1 != left[1] >> 1:
            return True, left[0], left[1]
    return False, x, y
