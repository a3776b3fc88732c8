# SPDX-License-Identifier: Apache-2.0
"""What is true of the values that a loop carries, in every iteration.

A *claim* about a value is a `Tensor` whose fingerprints are new names: which elements are alike,
on which samples they depend, along which atoms one name stands for a function of the index.  It is
true of all iterations if it holds at the start and an iteration that is given claims returns what
they hold for.  `widened` finds such claims, from below.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from asnet_mlir.frontends import tensors
from asnet_mlir.frontends.tensors import Tensor

__all__ = ["widened"]

#: How often claims are made weaker.
_ROUNDS = 8


def widened(
    name: str, start: Sequence[Tensor], step: Callable[[list[Tensor]], list[Tensor]]
) -> tuple[list[Tensor], list[Tensor]] | None:
    """Return claims that hold in all iterations, and what an iteration makes of them.

    Args:
      name: of the loop, different from others'.
      start: the values before the first iteration.
      step: one iteration.

    Returns:
      None where none were found.
    """
    claims = [_claim(f"{name} {number}", value) for number, value in enumerate(start)]
    for _ in range(_ROUNDS):
        after = step(claims)
        wider = [
            _claim(f"{name} {number}", tensors.combine(0, [claim, value]))
            for number, (claim, value) in enumerate(zip(claims, after, strict=True))
        ]
        if all(_says(one) == _says(other) for one, other in zip(claims, wider, strict=True)):
            return claims, after
        claims = wider
    return None


def _claim(name: str, value: Tensor) -> Tensor:
    """Return what is told apart in a value, under names of its own."""
    prints = tensors.mix(tensors.tag(name), _classes(value.prints))
    return Tensor(value.dims, prints, value.lowest, value.highest, value.axes)


def _classes(prints: np.ndarray) -> np.ndarray:
    """Return for each element the number of its kind, in the order of their first elements."""
    _, first, kinds = np.unique(prints, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first))
    return order[kinds].reshape(prints.shape).astype(np.uint64)


def _says(claim: Tensor) -> tuple[object, ...]:
    shapes = np.broadcast_arrays(claim.prints, claim.lowest, claim.highest)
    return claim.dims, sorted(claim.axes), *(array.tobytes() for array in shapes)
