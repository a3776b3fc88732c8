"""Area and clock: what synthesis reports, and what it must not lose."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from asnet_mlir.cores import load_core
from asnet_mlir.errors import InputError, ToolError
from asnet_mlir.hardware import bundle as bundles
from asnet_mlir.hardware.bundle import CoreFiles
from asnet_mlir.hardware.synth import synthesize

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
    clock=None,
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
    bundles.generate(NETWORK, {"bias": bias}, {1: XOR}, folder, name="tiny")
    return folder


def core(name: str, **parameters: int) -> CoreFiles:
    instance = load_core(name).instance(parameters)
    ports = instance.core.ports
    return CoreFiles(
        op=instance.core.op or "",
        module=instance.core.module,
        sources=tuple((source.path.name, source.text) for source in instance.core.sources),
        parameters=dict(instance.parameters),
        latency=instance.latency,
        a=ports.a,
        b=ports.b,
        result=ports.result,
        clock=ports.clock,
    )


def test_a_machine_is_small_and_quick(bundle: Path) -> None:
    result = synthesize(bundle)
    assert set(result) == KEYS
    assert result["target"] == "ecp5"
    # Control, addresses and memories around a core of 32 LUTs.
    assert 200 < result["luts"] < 1000
    assert result["dsps"] == 0
    assert result["brams"] >= 3  # RAM, weights, microcode
    assert result["fmax_mhz"] > 90
    assert synthesize(bundle) == result  # from the cache: even `seconds` is that of the first


@pytest.mark.parametrize("target", ["ecp5", "cyclonev"])
def test_a_lost_rom_is_an_error(bundle: Path, tmp_path: Path, target: str) -> None:
    folder = shutil.copytree(bundle, tmp_path / "bundle")
    rom = folder / "rtl" / "asnet_rom.sv"
    text = rom.read_text()
    assert "  initial $readmemh" in text
    rom.write_text(
        text.replace("  initial $readmemh", "`ifdef NEVER\n  initial $readmemh").replace(
            "words);\n", "words);\n`endif\n", 1
        )
    )
    with pytest.raises(ToolError, match=r"contents of rom/microcode.hex are not in the netlist"):
        synthesize(folder, target)


def test_other_weights_in_the_netlist_are_an_error() -> None:
    from asnet_mlir.hardware.synth import _holds

    values = np.random.default_rng(6).standard_normal(64).astype(np.float32).view(np.uint32)
    rows = [f"{value:032b}" for value in values.tolist()]
    assert _holds(rows, rows, "rom/weights.hex")
    assert _holds([row[:20] for row in rows], rows, "rom/weights.hex")  # the core ignores the rest
    flipped = "0" if rows[2][8] == "1" else "1"
    assert not _holds(
        [*rows[:2], rows[2][:8] + flipped + rows[2][9:], *rows[3:]], rows, "weights.hex"
    )
    assert not _holds([row[9:] for row in rows], rows, "rom/weights.hex")  # no exponents
    assert not _holds(["x" * 32] * len(rows), rows, "rom/weights.hex")


def test_truncation_saves_area() -> None:
    coarse, coarser = (synthesize(core("fmul_trunc", P=p)) for p in (20, 22))
    assert coarser["luts"] < coarse["luts"]
    assert synthesize(core("fmul_trunc", P=22), "cyclonev")["fmax_mhz"] is None


def test_unknown_targets_are_refused(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="targets are ecp5, cyclonev"):
        synthesize(bundle, "asic")
    with pytest.raises(InputError, match="no manifest"):
        synthesize(tmp_path)
