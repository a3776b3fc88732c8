# SPDX-License-Identifier: Apache-2.0
"""Circuits of a library by number: what is written for each, and cores that differ by it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from asnet_mlir.cores.core import Instance
from asnet_mlir.cores.proofs.miter import Subject
from asnet_mlir.cores.reading.library import library_cores, load_core, parse_instance
from asnet_mlir.cores.sources.by_number import circuit_sources
from asnet_mlir.cores.verilog.elaborate import elaborate
from asnet_mlir.cores.verilog.netlist import Netlist
from asnet_mlir.cores.verilog.structure import remove_registers
from asnet_mlir.errors import InputError

_EXACT = {"array": {}}
_MANIFEST = """
name = "few"
module = "few"
op = "muli"
sources = ["few.sv"]
latency_cycles = 0
ports = { a = "a_i", b = "b_i", result = "result_o" }
members = { parameter = "M", index = "index.json", module = "few" }
[parameters.M]
low = 0
high = 9
default = 0
"""
_NETLIST = """
module and2(input [1:0] a, input [1:0] b, output [3:0] p);
  assign p = {2'b0, a & b};
endmodule
"""


def _folder(path: Path, circuits: list[object], bits: int = 4) -> Path:
    """Write a core of these circuits."""
    (path / "netlists").mkdir()
    (path / "netlists" / "and2.v.gz").write_bytes(gzip.compress(_NETLIST.encode()))
    members = [{"circuit": circuit} for circuit in circuits]
    (path / "index.json").write_text(json.dumps({"bits": bits, "members": members}))
    text, _ = circuit_sources(_EXACT, bits, "few", path, ("M", 0))
    (path / "few.sv").write_text(text)
    (path / "core.toml").write_text(_MANIFEST)
    return path / "core.toml"


def _results(instance: Instance, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    (flat,) = elaborate([instance])
    assert isinstance(flat, Netlist), flat
    subject = Subject(remove_registers(flat, instance)[0], "muli", signed=False)
    return subject.evaluate(a, b).astype(np.int64)


def test_each_kind_of_circuit(tmp_path: Path) -> None:
    circuits: list[object] = [
        _EXACT,
        {"array": {"columns": 3, "constant": 10}},
        {"array": {"a": 1, "b": 2}},
        {"digit": 2, "blocks": [[None, {"netlist": "and2"}], [_EXACT, {"array": {"columns": 1}}]]},
        {"array": {"columns": 8}},
    ]
    core = load_core(_folder(tmp_path, circuits))
    a, b = (side.ravel() for side in np.mgrid[0:16, 0:16])
    found = [_results(core.instance({"M": m}), a, b) for m in range(len(circuits))]
    low = sum((a >> i & 1) * (b >> j & 1) << (i + j) for i in range(3) for j in range(3 - i))
    top = (a >> 2) * (b >> 2) - ((a >> 2) * (b >> 2) & 1 & a >> 2 & b >> 2)
    blocks = (((a & 3) & (b >> 2)) << 2) + ((a >> 2) * (b & 3) << 2) + (top << 4)
    expected = [a * b, a * b - low + 10, (a & 14) * (b & 12), blocks, 0 * a]
    for number, (one, two) in enumerate(zip(found, expected, strict=True)):
        assert (one == two).all(), number


def test_a_member_is_a_core_of_its_own_text(tmp_path: Path) -> None:
    core = load_core(_folder(tmp_path, [_EXACT, {"array": {"columns": 2}}]))
    instances = [core.instance(), core.instance({"M": 1})]
    assert [instance.label for instance in instances] == ["few", "few:M=1"]
    assert instances[0].core.sources == core.sources
    assert instances[0].content_hash != instances[1].content_hash
    # From an instance to another one, as a search goes.
    assert instances[1].core.instance({"M": 0}) == instances[0]
    assert instances[0].core.instance({"M": 1}) == instances[1]


@pytest.mark.parametrize(
    ("circuit", "message"),
    [
        ({"array": {}, "netlist": "x"}, "no circuit"),
        ({"netlist": "missing"}, r"missing\.v\.gz: cannot be read"),
        ({"digit": 3, "blocks": []}, "malformed circuit"),
        ({"array": {"columns": "many"}}, "malformed circuit"),
    ],
)
def test_malformed_circuits(tmp_path: Path, circuit: object, message: str) -> None:
    core = load_core(_folder(tmp_path, [_EXACT, circuit]))
    with pytest.raises(InputError, match=message):
        core.instance({"M": 1})
    with pytest.raises(InputError, match="has no circuit for M=2"):
        core.instance({"M": 2})


def test_manifests_of_members_are_checked(tmp_path: Path) -> None:
    path = _folder(tmp_path, [_EXACT])
    for old, new, message in (
        ('parameter = "M"', 'parameter = "K"', "names 'K', no parameter"),
        ('index = "index.json"', 'index = "none.json"', "names 'none.json', which is not there"),
        ('module = "few" }', 'module = "other" }', "is 'other', but no source has this name"),
    ):
        path.write_text(_MANIFEST.replace(old, new))
        with pytest.raises(InputError, match=message):
            load_core(path)


def test_the_shipped_files_are_the_default_members() -> None:
    for name in ("mul24_library", "fmul_library"):
        core = library_cores()[name]
        assert core.members is not None
        assert core.instance().core.sources == core.sources
        highest = max(p.high or 0 for p in core.parameters if p.name == "M")
        assert len(json.loads(core.members.index.read_text())["members"]) == highest + 1


def test_the_float_core_uses_the_integer_one() -> None:
    one = parse_instance("fmul_library:M=2").core.sources
    other = parse_instance("mul24_library:M=2").core.sources
    assert set(other) <= set(one)
