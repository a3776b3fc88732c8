# SPDX-License-Identifier: Apache-2.0
"""Derived models against Verilator on random Verilog: mixed widths and signs, every operator.

`ASNET_FUZZ_FUNCTIONS=60 ASNET_FUZZ_SEED=1` tries more (`make deep` does).
"""

from __future__ import annotations

import collections
import os
from pathlib import Path

import numpy as np
import pytest
from random_verilog import random_module

from asnet_mlir.cores import core_from_verilog
from asnet_mlir.cores.checks.check import check
from asnet_mlir.cores.models.derive import convert
from asnet_mlir.cores.models.kernel import compile_elementwise
from asnet_mlir.cores.verilog.elaborate import elaborate
from asnet_mlir.cores.verilog.netlist import Netlist

FUNCTIONS = int(os.environ.get("ASNET_FUZZ_FUNCTIONS", "20"))
# So few have every operator with this seed.
SEED = int(os.environ.get("ASNET_FUZZ_SEED", "6"))
WORD_CELLS = (
    "add sub mul div mod neg not and or xor xnor logic_not logic_and logic_or reduce_and reduce_or "
    "reduce_xor eq ne lt le gt ge shl sshl shr sshr mux pmux shiftx"
)


@pytest.mark.parametrize("seed", [SEED])
def test_random_functions(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "random.v"
    path.write_text(random_module(FUNCTIONS, seed))
    core = core_from_verilog([path], ports={"a": "a", "b": "b", "result": "result"})
    instances = [core.instance({"K": number}) for number in range(FUNCTIONS)]
    for report in check(instances, random_vectors=20_000, seed=seed):
        assert report.strategy == "word"
        assert report.passed, f"seed {seed}, {report.label}: {report.failures}"
    seen: collections.Counter[str] = collections.Counter()
    for netlist in elaborate(instances):
        assert isinstance(netlist, Netlist)
        seen.update({cell["type"] for cell in netlist.module["cells"].values()})
    missing = [kind for kind in WORD_CELLS.split() if not seen[f"${kind}"]]
    assert not missing, f"the generator makes no {missing}; choose another seed"


GATES = "AND NAND OR NOR XOR XNOR ANDNOT ORNOT MUX NMUX AOI3 OAI3 AOI4 OAI4 NOT BUF"


def test_gates() -> None:
    # Gates come out of other tools' netlists; Verilog's own primitives arrive as word-level cells.
    nets = {"A": [2], "B": [4], "C": [3], "D": [5], "S": [3]}
    pins = dict.fromkeys(GATES.split(), "AB") | {
        "NOT": "A",
        "BUF": "A",
        "MUX": "ABS",
        "NMUX": "ABS",
    }
    pins |= {"AOI3": "ABC", "OAI3": "ABC", "AOI4": "ABCD", "OAI4": "ABCD"}
    module = {
        "ports": {
            "a": {"direction": "input", "bits": [2, 3]},
            "b": {"direction": "input", "bits": [4, 5]},
            "result": {"direction": "output", "bits": [10 + k for k in range(16)]},
        },
        "cells": {
            f"g{position}": {
                "type": f"$_{gate}_",
                "parameters": {},
                "port_directions": {**dict.fromkeys(pins[gate], "input"), "Y": "output"},
                "connections": {**{pin: nets[pin] for pin in pins[gate]}, "Y": [10 + position]},
            }
            for position, gate in enumerate(GATES.split())
        },
    }
    (answer,) = convert([{"symbol": "f", "format": None, "module": module}])
    text = answer["text"]
    va, vb = (side.ravel().astype(np.uint8) for side in np.meshgrid(range(4), range(4)))
    result = compile_elementwise({"f": text})("f", va, vb)
    a, b, c, d = va & 1, vb & 1, va >> 1 & 1, vb >> 1 & 1
    mux = np.where(c, b, a)
    expected = [
        a & b, 1 - (a & b), a | b, 1 - (a | b), a ^ b, 1 - (a ^ b), a & (1 - b), a | (1 - b),
        mux, 1 - mux, 1 - (a & b | c), 1 - ((a | b) & c), 1 - (a & b | c & d),
        1 - ((a | b) & (c | d)), 1 - a, a,
    ]  # fmt: skip
    for position, want in enumerate(expected):
        np.testing.assert_array_equal(result >> position & 1, want, f"gate {position}")
