# SPDX-License-Identifier: Apache-2.0
"""The truncating cores are the exact ones on masked operands: proofs for every P."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

from asnet_mlir.cores.models.derive import derive_models
from asnet_mlir.cores.proofs.statements import Proof, run
from asnet_mlir.cores.reading.library import library_cores, load_core
from asnet_mlir.errors import InputError

__all__ = ["main", "prove_truncating"]


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
    instances = {f"p{value}": core.combinational({"P": value}) for value in chosen}
    instances["exact"] = exact.combinational()
    models = derive_models(instances, "word")
    jobs = []
    for value in chosen:
        mask = 0xFFFFFFFF ^ ((1 << value) - 1)
        text = models[f"p{value}"].text
        jobs.append((text, [models["exact"].text], (mask, mask), seconds))
    return dict(zip(chosen, run("equal", jobs), strict=True))


def main(arguments: list[str] | None = None) -> int:
    """Prove truncating cores for every P and print a table; return 1 where a proof is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m asnet_mlir.cores.models.truncating",
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
