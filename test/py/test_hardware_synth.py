# SPDX-License-Identifier: Apache-2.0
"""Area and clock: what synthesis reports, and what it must not lose."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_liberty import leaking, liberty

from asnet_mlir.cli import main as cli
from asnet_mlir.cores import load_core
from asnet_mlir.cores.ports import Ports
from asnet_mlir.errors import InputError, ToolError
from asnet_mlir.hardware.bundle.unit import CoreFiles
from asnet_mlir.hardware.bundle.write import write_bundle
from asnet_mlir.hardware.synthesis import synth, targets
from asnet_mlir.hardware.synthesis.synth import synthesize
from asnet_mlir.hardware.synthesis.targets import ecp5_device, leakage_power
from asnet_mlir.support import processes

KEYS = {"target", "luts", "ffs", "dsps", "brams", "fmax_mhz", "seconds"}

# A stand-in for an adder, so that what is synthesized is the machine.
XOR = CoreFiles(
    op="addf",
    module="xor_core",
    sources=(
        (
            "xor_core.sv",
            "module xor_core(input logic [31:0] a_i, b_i, output logic [31:0] result_o); "
            + "assign result_o = a_i ^ b_i; endmodule\n",
        ),
    ),
    ports=Ports("a_i", "b_i", "result_o"),
)

NETWORK = """
approx.library { approx.core 1 "addf" @xor_core {} latency 0 interval 1 }
func.func @main(%x: tensor<1x40xf32> {approx.role = "input"},
                %b: tensor<40xf32> {approx.weight = "bias"}) -> tensor<1x40xf32> {
  %e = tensor.empty() : tensor<1x40xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(n, j) -> (n, j)>, affine_map<(n, j) -> (j)>,
      affine_map<(n, j) -> (n, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%x, %b : tensor<1x40xf32>, tensor<40xf32>) outs(%e : tensor<1x40xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %s = approx.addf %a, %c {instance = 1} : f32
    linalg.yield %s : f32
  } -> tensor<1x40xf32>
  return %r : tensor<1x40xf32>
}
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synth") / "bundle"
    bias = np.random.default_rng(5).standard_normal(40).astype(np.float32)
    write_bundle(NETWORK, {"bias": bias}, {1: XOR}, folder, name="tiny")
    return folder


def core(name: str, **parameters: int) -> CoreFiles:
    instance = load_core(name).instance(parameters)
    return CoreFiles(
        op=instance.core.op or "",
        module=instance.core.module,
        sources=tuple((source.path.name, source.text) for source in instance.core.sources),
        parameters=dict(instance.parameters),
        latency=instance.latency,
        ports=instance.core.ports,
    )


def test_a_machine_is_small_and_quick(bundle: Path) -> None:
    result = synthesize(bundle)
    assert set(result) == KEYS | {"device", "fmax_mhz_by_seed"}
    assert result["device"] == "25k"
    assert result["target"] == "ecp5"
    # Control, addresses and memories around a core of 32 LUTs.
    assert 200 < result["luts"] < 1000
    assert result["dsps"] == 0
    assert result["brams"] >= 2  # RAM, weights; a short microcode is logic
    assert result["fmax_mhz"] > 90
    assert synthesize(bundle) == result  # from the cache: even `seconds` is that of the first


@pytest.mark.parametrize("target", ["ecp5", "cyclonev", "xilinx7", "asic"])
def test_a_lost_rom_is_an_error(bundle: Path, tmp_path: Path, target: str) -> None:
    folder = shutil.copytree(bundle, tmp_path / "bundle")
    rom = next((folder / "rtl").glob("*_rom.sv"))
    text = rom.read_text()
    guarded, count = re.subn(
        r"^ *initial \$readmemh.*$", r"`ifdef NEVER\n\g<0>\n`endif", text, flags=re.MULTILINE
    )
    assert count
    rom.write_text(guarded)
    with pytest.raises(ToolError, match=r"contents of rom/\w+_microcode.hex are not in"):
        synthesize(folder, target, liberty=liberty(tmp_path) if target == "asic" else None)


def test_other_weights_in_the_netlist_are_an_error() -> None:
    from asnet_mlir.hardware.synthesis.synth import _holds, _signs_and_exponents

    values = np.random.default_rng(6).standard_normal(64).astype(np.float32).view(np.uint32)
    rows = [f"{value:032b}" for value in values.tolist()]
    needed = _signs_and_exponents(32)
    assert needed == list(range(9))
    assert _signs_and_exponents(16, low=16) == needed
    assert _signs_and_exponents(16, low=0) == []
    assert _holds(rows, rows, needed)
    assert _holds([row[:20] for row in rows], rows, needed)  # the core ignores the rest
    flipped = "0" if rows[2][8] == "1" else "1"
    assert not _holds([*rows[:2], rows[2][:8] + flipped + rows[2][9:], *rows[3:]], rows, needed)
    assert not _holds([row[9:] for row in rows], rows, needed)  # no exponents
    assert not _holds(["x" * 32] * len(rows), rows, needed)


def test_truncation_saves_area(tmp_path: Path) -> None:
    coarse = synthesize(core("fmul_trunc", P=20), seeds=(1, 2))
    coarser = synthesize(core("fmul_trunc", P=22), route=False)
    assert coarser["luts"] < coarse["luts"]
    clocks = coarse["fmax_mhz_by_seed"]
    assert set(clocks) == {"1", "2"}
    assert coarse["fmax_mhz"] == pytest.approx(sum(clocks.values()) / 2, abs=0.01)
    gates = liberty(tmp_path)
    others = [("cyclonev", "luts", None), ("asic", "area", gates)]
    if os.environ.get("ASNET_DEEP"):  # reading its library takes 4 s each time
        others.append(("xilinx7", "luts", None))
    for target, key, library in others:
        coarse, coarser = (
            synthesize(core("fmul_trunc", P=p), target, liberty=library) for p in (20, 22)
        )
        assert coarser[key] < coarse[key], target
        assert coarse["fmax_mhz"] is None
        assert all(0.5 < result["delay_ns"] < 50 for result in (coarse, coarser)), target


def test_an_asic_keeps_its_memories_apart(bundle: Path, tmp_path: Path) -> None:
    memories = json.loads((bundle / "manifest.json").read_text())["memories"]
    result = synthesize(bundle, "asic", liberty=liberty(tmp_path))
    # Depths are powers of two. What is constant in a ROM is optimized away; Yosys may make small
    # ROMs of logic.
    bits = sum(memory["words"] * memory["width"] for memory in memories.values())
    assert bits / 2 < result["memory_bits"] < 2 * bits
    assert result["area"] > result["gates"] > 100
    assert result["luts"] is None


def test_leakage_is_the_sum_of_the_cells(bundle: Path, tmp_path: Path) -> None:
    library = liberty(tmp_path)
    for design in (bundle, core("fmul_trunc", P=20)):
        result = synthesize(design, "asic", liberty=leaking(library))
        assert result["leakage_power"] == pytest.approx(result["area"] / 10)
        assert result["leakage_power_unit"] == "1nW"
    # Where one cell's is not known, the sum is not known.
    for unknown in (library, leaking(library, but="NAND2")):
        result = synthesize(bundle, "asic", liberty=unknown)
        assert result["leakage_power"] is None and result["leakage_power_unit"] is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('leakage_power_unit : 1pW; cell ("A") { cell_leakage_power : 1.5e-2 ; }', (0.03, "1pW")),
        ("cell (A) { cell_leakage_power : 1; }", (None, None)),
        ('leakage_power_unit : "1nW"; test_cell () {} cell (A) { area : 1; }', (None, None)),
        (
            'leakage_power_unit : "1nW"; cell(B) { area : 1; } cell(A){ // cell_leakage_power : 9;'
            "\n pin(X) { } cell_leakage_power : 2; }",
            (4.0, "1nW"),
        ),
    ],
)
def test_leakage_of_liberty_texts(text: str, expected: tuple[float | None, str | None]) -> None:
    assert leakage_power(text, {"A": 2, "$mem_v2": 1}) == expected


def test_the_power_is_opensta_s(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if shutil.which("sta") is None:
        pytest.skip("OpenSTA is not installed (Debian: opensta)")
    library = leaking(liberty(tmp_path))
    design = core("fmul_trunc", P=20)
    power = {
        (activity, mhz): synthesize(
            design, "asic", liberty=library, activity=activity, clock_mhz=mhz
        )
        for activity, mhz in ((0.1, 100.0), (0.2, 100.0), (0.1, 200.0))
    }
    watts = {key: result["power_watts"] for key, result in power.items()}
    first = power[0.1, 100.0]
    # Its sum of the leakage is ours.
    assert watts[0.1, 100.0]["leakage"] == pytest.approx(first["leakage_power"] * 1e-9, rel=0.01)
    for more in ((0.2, 100.0), (0.1, 200.0)):
        assert watts[more]["switching"] == pytest.approx(
            2 * watts[0.1, 100.0]["switching"], rel=0.02
        )
    assert watts[0.1, 100.0]["total"] > watts[0.1, 100.0]["switching"] > 0
    silent = library.with_name("silent.lib")
    silent.write_text(library.read_text().replace("default_operating_conditions : typical;", ""))
    with pytest.raises(ToolError, match="no switching power: the library has no default_op"):
        synthesize(design, "asic", liberty=silent, activity=0.1)
    coarser = synthesize(core("fmul_trunc", P=22), "asic", liberty=library, activity=0.1)
    assert coarser["power_watts"]["total"] < watts[0.1, 100.0]["total"]
    arguments = ["synth", "fmul_trunc:P=22", "--target", "asic", "--liberty", str(library)]
    assert cli.main([*arguments, "--activity", "0.1"]) == 0
    assert re.search(r"power_total \S+e-\d+ W", capsys.readouterr().out)


def test_power_needs_opensta(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = liberty(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=r"needs OpenSTA's program 'sta' \(Debian's .* opensta\)"):
        synthesize(core("fmul_trunc", P=22), "asic", liberty=library, activity=0.1)


def test_an_opensta_that_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = liberty(tmp_path)
    sta = tmp_path / "sta"
    sta.write_text("#!/bin/sh\necho Error: no such pin\n")
    sta.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(ToolError, match="no figures: Error: no such pin"):
        synthesize(core("fmul_trunc", P=22), "asic", liberty=library, activity=0.1)


def test_what_was_interrupted_goes_on(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASNET_CACHE_DIR", str(tmp_path))
    steps: list[str] = []

    def interrupt(text: str) -> None:
        steps.append(text)
        if "seed 2" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesize(bundle, seeds=(1, 2), progress=interrupt)
    assert [text.split()[0] for text in steps] == ["mapping", "placing", "placing"]
    assert not list(tmp_path.rglob(".new-*"))
    again: list[str] = []
    result = synthesize(bundle, seeds=(1, 2), progress=again.append)
    assert again == ["placing and routing tiny with nextpnr, seed 2"]
    assert len(result["fmax_mhz_by_seed"]) == 2
    # More seeds place, and map nothing.
    synthesize(bundle, seeds=(1,), progress=lambda text: pytest.fail(text))
    # Another version of the code maps again, and places only what is another netlist.
    monkeypatch.setattr(synth, "code_version", lambda *_: "another version")
    again.clear()
    assert synthesize(bundle, seeds=(1, 2), progress=again.append) | {"seconds": 0} == result | {
        "seconds": 0
    }
    assert again == ["mapping tiny to ecp5 with Yosys"]


def test_too_large_a_design_says_by_how_much() -> None:
    small = {"luts": 10, "brams": 60, "dsps": 0}
    assert ecp5_device(small).name == "45k"
    assert ecp5_device(small, "85K").name == "85k"
    with pytest.raises(InputError, match=r"25k: 60 block RAMs .* 56 \(4 too many\); it fits 45k"):
        ecp5_device(small, "25k")
    large = {"luts": 100000, "brams": 0, "dsps": 0}
    with pytest.raises(InputError, match=r"85k: 100000 LUTs .* 83640 \(16360 .* largest device"):
        ecp5_device(large)
    # Between nine tenths and all of its LUTs: only for who names it.
    tight = {"luts": 24000, "brams": 0, "dsps": 0}
    assert (ecp5_device(tight).name, ecp5_device(tight, "25k").name) == ("45k", "25k")
    with pytest.raises(InputError, match="devices are 25k, 45k, 85k"):
        ecp5_device(small, "LFE5U")


def test_a_device_holds_what_is_placed(monkeypatch: pytest.MonkeyPatch) -> None:
    adder = core("fadd_trunc", P=12)
    mapped, placed = synthesize(adder, route=False)["luts"], synthesize(adder)["luts"]
    assert placed > mapped
    for luts in (placed - 1, placed):
        monkeypatch.setattr(targets, "_ECP5", (targets.Device("25k", luts, 56, 28),))
        if luts == placed:
            assert synthesize(adder, device="25k", route=False)["device"] == "25k"
        else:
            with pytest.raises(InputError, match=rf"{placed} LUTs .* {luts} \(1 too many\)"):
                synthesize(adder, device="25k", route=False)


def test_a_congested_design_has_a_pin_for_its_clock(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ASNET_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(synth, "_CONGESTED", 0)
    logs = []
    run = processes.run

    def heard(command: list[str], **options: Any) -> Any:
        found = run(command, **options)
        logs.append(found.stderr)
        return found

    monkeypatch.setattr(processes, "run", heard)
    assert synthesize(core("fadd_trunc", P=20))["fmax_mhz"] > 0
    assert any("Running router2" in log and "'clk$tr_io' constrained" in log for log in logs)


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        ("spartan", {}, "targets are ecp5, cyclonev, xilinx7, asic"),
        ("asic", {}, "give --liberty FILE.lib"),
        ("asic", {"liberty": "nowhere.lib"}, "nowhere.lib: can't be read: No such file"),
        ("asic", {"liberty": __file__}, "no liberty file"),
        ("ecp5", {"liberty": __file__}, "takes no liberty file"),
        ("ecp5", {"activity": 0.1}, "has no power by activity"),
        ("cyclonev", {"device": "25k"}, "no devices to choose from"),
        ("ecp5", {"device": "12k"}, "unknown ECP5 device '12k'"),
        ("ecp5", {"seeds": ()}, "seeds must be at least 1"),
    ],
)
def test_bad_options_are_refused(
    bundle: Path, target: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as error:
        synthesize(bundle, target, **options)
    assert "\n" not in str(error.value)


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no manifest"):
        synthesize(tmp_path)


def test_an_iterative_core_between_registers(tmp_path: Path) -> None:
    """Its reset and its handshake are not constants, which would leave nothing of it."""
    from asnet_mlir.cores import core_from_verilog
    from asnet_mlir.hardware import synthesize as synthesize_core

    examples = Path(__file__).parents[2] / "examples" / "cores"
    divider = core_from_verilog([examples / "div16_restoring.v"], op="divi").instance()
    result = synthesize_core(divider)
    assert 40 < result["luts"] < 200
    assert result["ffs"] > 38 + 3 * 16  # its own, operands and result
    assert result["fmax_mhz"] > 50
    serial = core_from_verilog([examples / "mul16_serial.v"], op="muli", interval=4).instance()
    assert synthesize_core(serial, route=False)["ffs"] > 28 + 32 + 32
