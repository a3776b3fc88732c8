"""Proofs over model texts: that two are equal, and that one is an exact operation behind masks.

A proof is over all operands, every NaN among them being 0x7FC00000 as a core sees it; two NaN
results are equal (`docs/semantics.md`).  `docs/decisions/0006-proofs.md` says what can be proved in
what time.  `python -m asnet_mlir.cores.prove` proves the library's truncating cores for every P.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from asnet_mlir.cores import solver
from asnet_mlir.cores.core import Core, Instance, library_cores, load_core
from asnet_mlir.errors import InputError

__all__ = [
    "Proof",
    "insensitive_masks",
    "main",
    "prove_equal",
    "prove_native",
    "prove_truncating",
]


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
    return _run("equal", [(text_1, [text_2], masks, seconds)])[0]


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
    from asnet_mlir.cores import prove_worker, smt
    from asnet_mlir.cores.operands import random_operands

    if isinstance(kernel, str):
        return prove_worker.sensitive_masks(smt.parse(kernel))
    if pairs is None:
        pairs = random_operands("f32" if width == 32 else None, width, width, 8192, 1)
    return prove_worker.insensitive(kernel, pairs[0], pairs[1], (width, width))


def prove_native(
    instance: Instance, word_text: str, *, seconds: float = 20.0
) -> tuple[int, int] | None:
    """Return the masks behind which the exact operation is the instance; None where unproved.

    The reference is the word-level model of the library's exact core.  The masks keep the exponent
    and bit 22, so that a native operation needs no canonical NaN (as `model.native_masks`).

    Args:
      instance: a core of one of the floating-point operations, f32.
      word_text: its model of strategy "word".

    Raises:
      ToolError: see `prove_equal`.
    """
    core = instance.core
    if core.op is None or core.format != "f32":
        return None
    texts = _reference_texts(core.op)
    if not texts:
        return None
    proof = _run("native", [(word_text, texts, None, seconds)])[0]
    return proof.masks if proof.proved else None


def prove_truncating(
    core_name: str, values: Iterable[int] | None = None, *, seconds: float = 20.0
) -> dict[int, Proof]:
    """Prove that `fmul_trunc`, say, is the exact core `fmul` on operands without low bits.

    Args:
      core_name: a library core with parameter P, the number of low bits ignored.
      values: of P; by default every legal one.
      seconds: bound on each proof.

    Returns:
      The proof of each value.

    Raises:
      InputError: no such core, or not one of that kind.
      ToolError: see `prove_equal`.
    """
    from asnet_mlir.cores.model import derive_models

    core = load_core(core_name)
    parameter = next((p for p in core.parameters if p.name == "P"), None)
    library = library_cores()
    exact = library.get(core.name.removesuffix("_trunc"))
    if parameter is None or exact is None or exact is core or not exact.exact:
        raise InputError(f"{core.name}: is no core that ignores its operands' P low bits")
    if values is None:
        if parameter.low is None or parameter.high is None:
            raise InputError(f"{core.name}: P has no range; give values")
        values = range(parameter.low, parameter.high + 1)
    chosen = list(values)
    instances = {f"p{value}": _combinational(core, {"P": value}) for value in chosen}
    instances["exact"] = _combinational(exact)
    models = derive_models(instances, "word")
    jobs = []
    for value in chosen:
        mask = 0xFFFFFFFF ^ ((1 << value) - 1)
        text = models[f"p{value}"].text
        jobs.append((text, [models["exact"].text], (mask, mask), seconds))
    return dict(zip(chosen, _run("equal", jobs), strict=True))


def _combinational(core: Core, parameters: dict[str, int] | None = None) -> Instance:
    values = dict(parameters or {})
    if isinstance(core.latency_cycles, str):
        values[core.latency_cycles] = 0
    return core.instance(values)


def _reference_texts(op: str) -> list[str]:
    """Return the word-level models of the library's exact f32 cores of an operation."""
    from asnet_mlir.cores.model import derive_models

    cores = {
        name: _combinational(core)
        for name, core in library_cores().items()
        if core.exact and core.op == op and core.format == "f32"
    }
    return [model.text for model in derive_models(cores, "word").values()] if cores else []


_Job = tuple[str, Sequence[str], tuple[int, int] | None, float]


def _run(kind: str, jobs: Sequence[_Job]) -> list[Proof]:
    """Run jobs one after the other in one process; those that it does not reach are "unknown"."""
    request = {
        "kind": kind,
        "jobs": [
            {"text": text, "references": list(references), "masks": masks, "seconds": seconds}
            for text, references, masks, seconds in jobs
        ],
    }
    found, reason = solver.answers(
        ["-m", "asnet_mlir.cores.prove_worker"],
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


def main(arguments: list[str] | None = None) -> int:
    """Prove truncating cores for every P and print a table; return 1 where a proof is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m asnet_mlir.cores.prove",
        description="Prove that truncating cores are the exact ones on masked operands.",
    )
    parser.add_argument("cores", nargs="*", default=["fmul_trunc", "fdiv_trunc", "fadd_trunc"])
    missing = False
    for name in parser.parse_args(arguments).cores:
        for value, proof in prove_truncating(name).items():
            print(f"{name}:P={value:<3} {proof.status:8} {proof.seconds:6.2f} s  {proof.method}")
            missing |= not proof.proved
    return int(missing)


if __name__ == "__main__":
    sys.exit(main())
