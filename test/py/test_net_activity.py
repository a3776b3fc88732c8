# SPDX-License-Identifier: Apache-2.0
"""How often the pins of mapped cores change, and the power that OpenSTA makes of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_liberty import leaking, liberty

from asnet_mlir.cores import Instance, core_from_verilog, parse_instance
from asnet_mlir.errors import InputError
from asnet_mlir.exploration import energy
from asnet_mlir.hardware import synthesize
from asnet_mlir.hardware.bundle.core_files import core_files
from asnet_mlir.hardware.synthesis import synth
from asnet_mlir.hardware.synthesis.net_activity import (
    Activity,
    UnknownActivityError,
    functions_of,
    pin_activities,
)

needs_opensta = pytest.mark.skipif(
    shutil.which("sta") is None, reason="OpenSTA is not installed (Debian: opensta)"
)


def conjunction(folder: Path) -> Instance:
    source = folder / "conjunction.v"
    source.write_text(
        "module conjunction(input [3:0] a, input [3:0] b, output [7:0] y);\n"
        "  assign y = {4'd0, a & b};\nendmodule\n"
    )
    return core_from_verilog([source], op="muli").instance()


def mapped(unit: Instance, library: Path) -> tuple[Path, str]:
    """Return the folder and the top module of a mapped unit."""
    design = synth._core_design(core_files(unit))
    return synth._mapped(design, "asic", False, library.read_bytes(), synth.silent), design.top


def activities(
    unit: Instance, a: np.ndarray, b: np.ndarray, folder: Path
) -> dict[tuple[str, str], Activity]:
    library = liberty(folder)
    place, top = mapped(unit, library)
    module = functions_of(place / "gates.v", top, library.read_bytes(), folder)
    inputs = {}
    for role, words in (("a", a), ("b", b)):
        ports = [port for port in module["ports"] if port.partition("[")[0] == role]
        for port in ports:
            index = int(port.partition("[")[2].rstrip("]") or 0)
            inputs[port] = (words >> index & 1).astype(bool)
    return pin_activities(module, inputs)


def test_pins_change_as_often_as_operands_make_them(tmp_path):
    """Bit 0 of a changes in every cycle, bit 1 in half of them, of bits 2 and 3 nothing is seen."""
    a = np.array([[0, 3, 2, 1] * 8])
    b = np.full(a.shape, 3)
    found = activities(conjunction(tmp_path), a, b, tmp_path)
    # Their registers lose half of one cycle's changes at the beginning.
    assert found["", "a[0]"].changes == 1.0 and found["", "a[0]"].duty == 0.5
    assert 0.5 <= found["", "a[1]"].changes < 0.53
    assert found["", "b[0]"] == (0.0, 1.0) and found["", "a[3]"] == (0.0, 0.0)
    results = sorted(
        value.changes for (instance, pin), value in found.items() if instance and pin == "Q"
    )
    # a_q, b_q and result of bit 0 and 1: those of b and of bits 2 and 3 rest.
    assert results[-2:] == [1.0, 1.0] and all(0.5 <= one < 0.54 for one in results[-4:-2])
    assert not any(results[:-4])
    assert not any(pin == "C" for _, pin in found)  # the clock's


@pytest.mark.parametrize("text", ["imul:N=6,SIGNED=1", "mul8u_evolved:M=40", "drum:N=8,K=3"])
def test_results_change_as_the_model_s_do(text, tmp_path):
    """The registers of the result, of the mapped gates and of the model, on random operands."""
    unit = parse_instance(text, op="muli")
    bits = unit.all_parameters.get("N", 8)
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 1 << bits, (2, 4, 50))
    from asnet_mlir.cores.models.derive import gates_of

    graph, a_bits, b_bits, outputs = gates_of(unit)
    known = {literal >> 1: a >> place & 1 for place, literal in enumerate(a_bits)}
    known |= {literal >> 1: b >> place & 1 for place, literal in enumerate(b_bits)}
    known[0] = np.zeros(a.shape, int)
    for variable, (left, right) in graph.gates_of(outputs):
        known[variable] = (known[left >> 1] ^ (left & 1)) & (known[right >> 1] ^ (right & 1))
    expected = [known[literal >> 1] ^ (literal & 1) for literal in outputs]
    # Two registers on the way: the last two of a stream are not seen at the output.
    seen = [wave[:, :-2] for wave in expected]
    changes = sorted(float((wave[:, 1:] != wave[:, :-1]).mean()) for wave in seen)

    library = liberty(tmp_path)
    place, top = mapped(unit, library)
    module = functions_of(place / "gates.v", top, library.read_bytes(), tmp_path)
    found = activities(unit, a, b, tmp_path)
    by_net = {}
    for instance, pins in module["instances"].items():
        for pin in pins:
            (bit,) = module["netnames"][f"{instance}.{pin}"]["bits"]
            by_net.setdefault(bit, found.get((instance, pin), Activity(0.0, 0.0)))
    ports = [port for port in module["ports"] if port.startswith("result")]
    given = [by_net.get(module["ports"][port]["bits"][0], Activity(0, 0)) for port in ports]
    assert sorted(one.changes for one in given) == pytest.approx(changes)


def test_a_pipeline_changes_as_what_it_computes(tmp_path):
    """Two more registers delay the result and change none of its activity."""
    source = tmp_path / "piped.v"
    source.write_text(
        "module piped(input clk, input [3:0] a, input [3:0] b, output reg [7:0] y);\n"
        "  reg [7:0] q; always @(posedge clk) begin q <= a * b; y <= q; end\nendmodule\n"
    )
    unit = core_from_verilog([source], op="muli", latency=2).instance()
    a, b = np.random.default_rng(4).integers(0, 16, (2, 3, 40))
    found = activities(unit, a, b, tmp_path)
    product = (a * b)[:, :-4]
    expected = [float((w[:, 1:] != w[:, :-1]).mean()) for w in (product >> k & 1 for k in range(8))]
    registers = [value.changes for (_, pin), value in found.items() if pin == "Q"]
    for one in expected:
        assert min(abs(one - other) for other in registers) < 1e-9


def test_what_operands_do_not_determine():
    """Registers in a loop, cells of other kinds, other ports."""
    register = {"type": "$_DFF_P_", "connections": {"C": [2], "D": [3], "Q": [4]}}
    inverter = {"type": "$_NOT_", "connections": {"A": [4], "Y": [3]}}
    module = {
        "ports": {"clk": {"direction": "input", "bits": [2]}},
        "netnames": {},
        "instances": {},
        "cells": {"register": register, "inverter": inverter},
    }
    nothing = {"a": np.zeros((1, 4), bool)}
    with pytest.raises(UnknownActivityError, match="gates or registers in a loop"):
        pin_activities(module, nothing)
    register["type"] = "$_DLATCH_P_"
    with pytest.raises(UnknownActivityError, match="a cell of type"):
        pin_activities(module, nothing)
    module["ports"]["start"] = {"direction": "input", "bits": [9]}
    with pytest.raises(UnknownActivityError, match="port start has no values"):
        pin_activities(module, nothing)


def test_each_operand_s_bits_are_its_ports(tmp_path):
    """Of a bit 0 changes always and bit 1 never, of b bit 3 half of the times."""
    unit, library = conjunction(tmp_path), liberty(tmp_path)
    design = synth._core_design(core_files(unit))
    place, _ = mapped(unit, library)
    a, b = np.array([[4, 5, 4, 5, 4]]), np.array([[8, 8, 0, 0, 8]])
    found = synth._of_operands(place, design, library.read_bytes(), (a, b))
    changes = {pin: found["", pin].changes for pin in ("a[0]", "a[1]", "a[2]", "b[0]", "b[3]")}
    assert changes == {"a[0]": 1.0, "a[1]": 0.0, "a[2]": 0.0, "b[0]": 0.0, "b[3]": 0.5}
    assert found["", "a[2]"].duty == 1.0


def test_power_by_operands_is_of_cores(tmp_path):
    words = np.zeros((1, 4), int)
    unit = conjunction(tmp_path)
    with pytest.raises(InputError, match="target ecp5 has no power by activity"):
        synthesize(unit, activity=(words, words))
    library = liberty(tmp_path)
    for others in ((words, words[:, 1:]), (words[0], words[0]), (words[:, :1],) * 2, (words,)):
        with pytest.raises(InputError, match=r"operands are two arrays of one shape, \[streams"):
            synthesize(unit, target="asic", liberty=library, activity=others)


@needs_opensta
def test_all_pins_alike_are_one_activity(tmp_path):
    """Power by pins is that of every net, where all change alike; a core that rests takes less."""
    library = leaking(liberty(tmp_path))
    unit = parse_instance("drum:N=8,K=3", op="muli")
    place, top = mapped(unit, library)
    module = functions_of(place / "gates.v", top, library.read_bytes(), tmp_path)
    (clock,) = module["ports"]["clk"]["bits"]
    alike = {
        (instance, pin): Activity(0.25, 0.5)
        for instance, pins in module["instances"].items()
        for pin in pins
        if module["netnames"][f"{instance}.{pin}"]["bits"] != [clock]
    }
    alike |= {("", port): Activity(0.25, 0.5) for port in module["ports"] if port[0] in "ab"}
    by_pin, by_net = (
        synth._power(place / "gates.v", top, library.read_bytes(), activity, 100.0)
        for activity in (alike, 0.25)
    )
    assert by_pin["switching"] == pytest.approx(by_net["switching"], rel=1e-4)
    assert by_pin["internal"] == pytest.approx(by_net["internal"], rel=1e-4)

    a, b = np.random.default_rng(1).integers(0, 256, (2, 4, 64))
    results = {
        name: synthesize(unit, target="asic", liberty=library, activity=operands)
        for name, operands in {"random": (a, b), "rest": (a * 0, b), "small": (a & 3, b)}.items()
    }
    watts = {name: result["power_watts"]["switching"] for name, result in results.items()}
    assert 0 < watts["rest"] < watts["small"] < watts["random"]
    changes = {name: result["activity"] for name, result in results.items()}
    assert changes["rest"] < changes["small"] < changes["random"]


@needs_opensta
def test_a_core_whose_gates_say_nothing_counts_as_if_random(tmp_path):
    """One with a table, which is no gates."""
    library = leaking(liberty(tmp_path))
    source = tmp_path / "tabled.v"
    source.write_text(
        "module tabled(input [7:0] a, input [7:0] b, output [15:0] y);\n"
        "  reg [7:0] squares[0:255]; integer i;\n"
        "  initial for (i = 0; i < 256; i = i + 1) squares[i] = (i * i) >> 8;\n"
        "  assign y = squares[a] + (a & b);\nendmodule\n"
    )
    unit = core_from_verilog([source], op="muli").instance()
    operands = tuple(np.random.default_rng(2).integers(0, 16, (2, 2, 32)))
    with pytest.raises(UnknownActivityError, match=r"tabled.*has no gates to look at"):
        synthesize(unit, target="asic", liberty=library, activity=operands)
    as_if_random = energy.cycle_energy(unit, library, 0.5)
    assert energy.cycle_energy(unit, library, operands) == as_if_random > 0
