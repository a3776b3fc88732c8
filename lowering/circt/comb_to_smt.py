# SPDX-License-Identifier: Apache-2.0
"""Two Yosys netlists -> CIRCT `verif.lec` over `comb` -> `smt` -> SMT-LIB, in CIRCT's own process.

`python comb_to_smt.py JOBS.json RESULTS.json`.  Like `comb_to_arith.py`, which builds the cells, it
imports `circt`, and nothing of this project that needs MLIR.

A job is `{"inputs": [[NAME, WIDTH], ..], "left": SIDE, "right": SIDE}`, and asks whether the two
sides, functions of these inputs, can differ.  A side is `{"ports": .., "cells": ..}` in the format
of Yosys' `write_json`, with one output and without registers, and `"operands"`, which says of each
of its input ports `[INPUT, MASK]`: which input it gets, and which bits of it are kept.
A result is `{"smtlib": ..}` or `{"error": .., "cell": ..}`.  In the text, which declares the inputs
in their order, an assignment that satisfies the assertion is a counterexample.
"""

from __future__ import annotations

from typing import Any

from circt.dialects import comb, smt, verif
from circt.ir import Block, InsertionPoint, IntegerType, Location, Module
from circt.passmanager import PassManager
from comb_cells import NetlistError, constant
from comb_to_arith import CombBuilder, run_jobs

__all__: list[str] = []

# The conversions leave casts in pairs, which the canonicaliser removes.
_TO_SMT = "builtin.module(convert-hw-to-smt,convert-comb-to-smt,convert-verif-to-smt,canonicalize)"


def _side(block: Block, inputs: list[list[Any]], side: dict[str, Any]) -> None:
    """Build a side in a block whose arguments are the inputs."""
    number = {name: position for position, (name, _) in enumerate(inputs)}
    with InsertionPoint(block):
        values = {}
        for port, (name, mask) in side["operands"].items():
            value = block.arguments[number[name]]
            width = dict(map(tuple, inputs))[name]
            if mask != (1 << width) - 1:
                value = comb.AndOp([value, constant(mask, width)]).result
            values[port] = (side["ports"][port]["bits"], value)
        builder = CombBuilder(side["cells"], values)
        builder.build_all()
        (output,) = (p["bits"] for p in side["ports"].values() if p["direction"] == "output")
        verif.YieldOp([builder.gather(output)])


def _run_job(job: dict[str, Any]) -> dict[str, Any]:
    module = Module.create()
    types = [IntegerType.get_signless(width) for _, width in job["inputs"]]
    locations = [Location.unknown()] * len(types)
    try:
        with InsertionPoint(module.body):
            check = verif.LogicEquivalenceCheckingOp(None)
        for region, side in zip(check.regions, (job["left"], job["right"]), strict=True):
            block = Block.create_at_start(region, types, locations)
            _side(block, job["inputs"], side)
    except NetlistError as error:
        return {"error": str(error), "cell": error.cell}
    module.operation.verify()
    PassManager.parse(_TO_SMT).run(module.operation)
    return {"smtlib": smt.export_smtlib(module.operation)}


if __name__ == "__main__":
    run_jobs(_run_job, ("comb", "hw", "smt", "verif"))
