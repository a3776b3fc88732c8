# SPDX-License-Identifier: Apache-2.0
"""The shipped circuits: distinct, over the range that is claimed, their proofs repeatable."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from asnet_mlir.cores.metrics.worst_case import prove_error
from asnet_mlir.cores.proofs.miter import Subject
from asnet_mlir.cores.reading.library import parse_instance
from asnet_mlir.cores.sources.by_number import circuit_sources
from asnet_mlir.cores.verilog.elaborate import elaborate
from asnet_mlir.cores.verilog.netlist import Netlist
from asnet_mlir.cores.verilog.structure import remove_registers
from asnet_mlir.support.resources import hdl_library_directory

_FOLDER = hdl_library_directory() / "mul24_library"
_MEMBERS: list[dict[str, Any]] = json.loads((_FOLDER / "index.json").read_text())["members"]


def _of_origin(origin: str) -> int:
    return next(m for m, entry in enumerate(_MEMBERS) if entry["origin"] == origin)


def test_there_are_many_and_no_two_alike() -> None:
    assert len(_MEMBERS) >= 120
    for key in ("signature", "circuit", "name"):
        assert len({json.dumps(entry[key]) for entry in _MEMBERS}) == len(_MEMBERS), key


def test_errors_are_over_decades() -> None:
    errors = [entry["metrics"]["MRE"] for entry in _MEMBERS[1:]]
    assert _MEMBERS[0]["metrics"]["EP"] == 0.0
    assert 0 < min(errors) < 1e-9 and max(errors) > 0.1


def test_every_circuit_can_be_written() -> None:
    for entry in _MEMBERS:
        text, others = circuit_sources(entry["circuit"], 24, "mul24_library", _FOLDER)
        assert "endmodule" in text
        names = [source.path for source in others]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("origin", ["blocks, evolved", "broken array", "DRUM"])
def test_proofs_are_repeated(origin: str) -> None:
    m = _of_origin(origin)
    stated = _MEMBERS[m]["WCE"]
    assert stated["status"] == "proved" and stated["exact"]
    assert stated["command"] == f"asnet cores prove mul24_library:M={m} --wce {stated['bound']}"
    proof = prove_error(parse_instance(f"mul24_library:M={m}"), method="algebra")
    assert (proof.status, proof.bound) == ("proved", stated["bound"])


def test_no_result_is_beyond_its_proved_error() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 1 << 24, (2, 1 << 12), np.uint64)
    chosen = range(5, len(_MEMBERS), 40)
    instances = [parse_instance(f"mul24_library:M={m}") for m in chosen]
    for m, instance, flat in zip(chosen, instances, elaborate(instances), strict=True):
        assert isinstance(flat, Netlist)
        result = Subject(remove_registers(flat, instance)[0], "muli", False).evaluate(a, b)
        error = np.abs((result - a * b).astype(np.int64)).max()
        bound = _MEMBERS[m].get("WCE", {}).get("bound")
        assert bound is None or error <= bound, m
