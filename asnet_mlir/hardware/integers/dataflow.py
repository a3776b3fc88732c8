# SPDX-License-Identifier: Apache-2.0
"""How many codes wait where a tensor has several readers, so that no engine waits for another for
ever.

A node that reads two branches of a fork takes a code of each, one branch being behind the other.
An engine gives output n once so many codes of its input are in (`Step.needed`); what a branch must
hold is the greatest distance between what the other branch needs for an output of the node that
joins them and what this one needs for it. All functions are known, so with that nothing waits for
ever; what engines hold while all of them work at their pace comes on top, for the speed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from asnet_mlir.hardware.integers.code_graph import Tensor

__all__ = ["Step", "queue_depths"]

#: Codes that keep a branch busy while the other one's pipelines fill.
_SLACK = 64


class Step:
    """What a stage takes and gives.

    Attributes:
      inputs: the tensors that it reads.
      output: the tensor that it gives.
      needed: of each input int64[outputs], how many of its codes output n wants.
      ahead: codes of its input that it holds while it works at its pace.
    """

    def __init__(
        self,
        inputs: Sequence[Tensor],
        output: Tensor,
        needed: Sequence[np.ndarray],
        ahead: int = 0,
    ) -> None:
        self.inputs, self.output, self.needed = list(inputs), output, list(needed)
        self.ahead = ahead


def queue_depths(steps: Sequence[Step], fork: Tensor, readers: Sequence[int]) -> list[int]:
    """Return how many codes the queue of each reader of a tensor must hold.

    Args:
      steps: of the whole design, in order.
      fork: the tensor.
      readers: which steps read it, by a branch each; a step that reads it twice is there twice.
    """
    branches: list[dict[Tensor, np.ndarray]] = [{} for _ in readers]
    held: list[dict[Tensor, int]] = [{} for _ in readers]
    depths = [2] * len(readers)
    for number, step in enumerate(steps):
        arriving = _arriving(step, number, fork, readers, branches)
        total = [np.max(list(ways.values()), axis=0) for ways in arriving if ways]
        if not total:
            continue
        whole = np.max(total, axis=0)
        for branch in range(len(readers)):
            if any(branch in ways for ways in arriving):
                held[branch][step.output] = _held(step, fork, held[branch])
        for branch in range(len(readers)):
            mine = [ways[branch] for ways in arriving if branch in ways]
            if not mine:
                continue
            own = np.max(mine, axis=0)
            branches[branch][step.output] = own
            behind = int((whole - own).max(initial=0))
            if behind:
                behind += max(one.get(step.output, 0) for one in held)
                depths[branch] = max(depths[branch], behind + _SLACK)
    return depths


def _held(step: Step, fork: Tensor, before: Mapping[Tensor, int]) -> int:
    """Return how many of the fork's codes are in a branch up to here while all of it works."""
    own = max(step.ahead * fork.size // tensor.size for tensor in step.inputs)
    return own + max(before.get(tensor, 0) for tensor in step.inputs)


def _arriving(
    step: Step,
    number: int,
    fork: Tensor,
    readers: Sequence[int],
    branches: Sequence[Mapping[Tensor, np.ndarray]],
) -> list[dict[int, np.ndarray]]:
    """Return of each input by branch how many of the fork's codes each output wants."""
    own = [branch for branch, reader in enumerate(readers) if reader == number]
    result: list[dict[int, np.ndarray]] = []
    for tensor, needed in zip(step.inputs, step.needed, strict=True):
        ways: dict[int, np.ndarray] = {}
        if tensor is fork:
            ways[own.pop(0)] = needed
        for branch, known in enumerate(branches):
            if tensor in known:
                padded = np.concatenate([[0], known[tensor]])
                ways[branch] = padded[needed]
        result.append(ways)
    return result
