# SPDX-License-Identifier: Apache-2.0
"""Proofs over model texts: that two are equal, and that one is an exact operation behind masks.

A proof is over all operands, every NaN among them being 0x7FC00000 as a core sees it; two NaN
results are equal (`docs/semantics.md`).  `docs/decisions/0006-proofs.md` says what can be proved in
what time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from asnet_mlir.cores.circuits import terms as smt
from asnet_mlir.cores.operands import random_operands
from asnet_mlir.cores.proofs import prove_worker, solver

__all__ = ["Proof", "insensitive_masks", "prove_equal", "prove_native", "run"]

Status = Literal["proved", "refuted", "unknown"]
Kernel = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Proof:
    """What came of a proof.

    `counterexample` holds bits of a and b for which the two differ, each evaluated exactly; None
    unless "refuted" (and then where the types differ already).  `method` is what decided it, or why
    nothing could: "simulation", "sweeping", "sweeping, abstract products", "z3", ...
    """

    status: Status
    counterexample: tuple[int, int] | None
    seconds: float
    method: str
    masks: tuple[int, int] | None = None

    @property
    def proved(self) -> bool:
        """Whether the two are equal for all operands."""
        return self.status == "proved"


def prove_equal(
    text_1: str,
    text_2: str,
    *,
    masks: tuple[int, int] | None = None,
    seconds: float = 20.0,
) -> Proof:
    """Prove that `text_1(a, b)` is `text_2(a & masks[0], b & masks[1])` for all operands.

    Args:
      text_1, text_2: one `func.func` of integer `arith` each, as `Model.text` of strategy "word".
      masks: bits of a and b that text_2 sees; all of them by default.
      seconds: bound on the time, start-up apart.  Memory is bounded as well.

    Raises:
      ToolError: a tool is missing or broke; out of time or memory is "unknown", not an error.
    """
    return run("equal", [(text_1, [text_2], masks, seconds)])[0]


def insensitive_masks(
    kernel: str | Kernel, width: int = 32, *, pairs: tuple[np.ndarray, np.ndarray] | None = None
) -> tuple[int, int]:
    """Return masks that clear the operand bits whose flipping never changed a result tried.

    A candidate for a proof, not one: the bits kept matter, those cleared may.

    Args:
      kernel: a model text, or a function from arrays of operand bits to result bits.
      width: bits of each operand (of a kernel).
      pairs: operands to try on a kernel; by default random ones.
    """
    if isinstance(kernel, str):
        return prove_worker.sensitive_masks(smt.parse(kernel))
    if pairs is None:
        pairs = random_operands("f32" if width == 32 else None, width, width, 8192, 1)
    return prove_worker.insensitive(kernel, pairs[0], pairs[1], (width, width))


def prove_native(
    word_text: str, references: Sequence[str], *, seconds: float = 20.0
) -> tuple[int, int] | None:
    """Return the masks behind which an exact operation is the model; None where unproved.

    The masks keep the exponent and bit 22, so that a native operation needs no canonical NaN (as
    `models.native.native_masks`).

    Args:
      word_text: the model, on f32, of strategy "word".
      references: word-level models of exact cores of the operation.

    Raises:
      ToolError: see `prove_equal`.
    """
    if not references:
        return None
    proof = run("native", [(word_text, references, None, seconds)])[0]
    return proof.masks if proof.proved else None


_Job = tuple[str, Sequence[str], tuple[int, int] | None, float]


def run(kind: str, jobs: Sequence[_Job]) -> list[Proof]:
    """Run jobs one after the other in one process; those that it does not reach are "unknown"."""
    request = {
        "kind": kind,
        "jobs": [
            {"text": text, "references": list(references), "masks": masks, "seconds": seconds}
            for text, references, masks, seconds in jobs
        ],
    }
    found, reason = solver.answers(
        ["-m", "asnet_mlir.cores.proofs.prove_worker"],
        request,
        [job[3] for job in jobs],
        "proving models equal",
    )
    proofs = []
    for number in range(len(jobs)):
        if number >= len(found):
            proofs.append(Proof("unknown", None, jobs[number][3], reason))
            continue
        answer = found[number]
        pair, masks = answer["counterexample"], answer.get("masks")
        proofs.append(
            Proof(
                status=answer["status"],
                counterexample=(pair[0], pair[1]) if pair else None,
                seconds=answer["seconds"],
                method=answer["method"],
                masks=(masks[0], masks[1]) if masks else None,
            )
        )
    return proofs
