# SPDX-License-Identifier: Apache-2.0
"""What a bundle needs, before synthesis; whether a device has it."""

import json

import numpy as np
import pytest
from conftest import make_mlp

from asnet_mlir.cli.main import main
from asnet_mlir.errors import InputError
from asnet_mlir.frontends.jax import from_jax_function
from asnet_mlir.frontends.program import from_program
from asnet_mlir.hardware import comparison, generate
from asnet_mlir.hardware.synthesis.needs import block_rams, needs_of
from asnet_mlir.hardware.synthesis.targets import ecp5_fit
from asnet_mlir.quantized import Builder, Quantization


@pytest.mark.parametrize(
    ("words", "width", "expected"),
    [(512, 36, 1), (512, 37, 2), (513, 36, 2), (1024, 32, 2), (8192, 32, 16), (16384, 1, 1)],
)
def test_block_rams_in_their_best_mode(words, width, expected) -> None:
    assert block_rams(words, width) == expected


def test_memories_are_those_that_the_verilog_declares(tmp_path) -> None:
    (tmp_path / "rtl").mkdir()
    (tmp_path / "rtl" / "n.sv").write_text(
        """module n_fifo #(
  parameter int unsigned Words = 16
) (input clk);
endmodule
module n(input clk);
  n_fifo #(.Words(65), .Width(10), .AddressBits(7)) small (.clk_i(clk));
  n_rom #(
    .Words(600),
    .Width(40),
    .AddressBits(10)
  ) rom (.clk_i(clk));
  n_ram #(
    .Words(2),
    .AddressBits(1)
  ) ram (.clk_i(clk));
  n_register_file #(.Words(4), .Width(13), .IndexBits(2)) file (.clk_i(clk));
  n_window #(.Bits(8), .Pack(2), .RingBits(4)) window (.clk_i(clk));
endmodule
"""
    )
    manifest = {
        "name": "n",
        "kind": "stream",
        "input_words": 5,
        "predicted_cycles_per_sample": 100,
        "layers": [{"cycles": 100}, {"cycles": 30}],
        "instances": [{"op": "mulf", "count": 3}, {"op": "addf", "count": 9}],
    }
    needs = needs_of(tmp_path, manifest)
    # By hand, as the library's Verilog has them: queue, ROM, RAM; registers and ring are logic.
    assert needs["memory_bits"] == 65 * 10 + 1024 * 40 + 2 * 32 + 4 * 13 + 16 * 16
    assert needs["block_rams"] == 1 + 3 + 1
    assert needs["multipliers"] == 3
    assert needs["cycles_per_sample"] == 100 and needs["latency_cycles"] == 5 + 164 + 94
    assert needs["clock_mhz"] == 50 and needs["seconds_per_sample"] == pytest.approx(2e-6)
    assert "device" not in needs


def test_what_a_device_lacks_is_said() -> None:
    assert ecp5_fit({"brams": 56}, "25K") == {
        "name": "25k",
        "fits": True,
        "excess": "",
        "larger": None,
    }
    lacking = ecp5_fit({"brams": 60, "luts": 30000}, "25k")
    assert lacking["excess"] == (
        "30000 LUTs where there are 24288 (5712 too many), "
        "60 block RAMs where there are 56 (4 too many)"
    )
    assert not lacking["fits"] and lacking["larger"] == "45k"
    assert ecp5_fit({"brams": 300}, "45k")["larger"] is None


def test_an_unknown_device_is_refused_before_anything_is_written(tmp_path) -> None:
    function, arguments = make_mlp((3, 2), 1)
    network = from_jax_function(function, arguments, name="tiny")
    with pytest.raises(InputError, match="unknown ECP5 device '30k'; devices are 25k, 45k, 85k"):
        generate(network, output=tmp_path / "b", device="30k")
    assert not (tmp_path / "b").exists()


def test_generate_says_throughput_latency_and_needs(tmp_path, capsys) -> None:
    function, arguments = make_mlp((200, 90, 2), 1, softmax=False)
    network = from_jax_function(function, arguments, name="small")
    manifest = generate(network, output=tmp_path / "b", style="stream", device="25k")
    needs = manifest["needs"]
    assert needs["block_rams"] >= -(-200 * 90 * 32 // 18432)
    assert needs["device"]["fits"]
    assert needs["cycles_per_sample"] <= needs["latency_cycles"]
    stored = json.loads((tmp_path / "b" / "manifest.json").read_text())
    assert "needs" not in stored
    assert stored == {key: value for key, value in manifest.items() if key != "needs"}

    text = """module {
func.func @main(%x: tensor<1x4xf32>) -> tensor<1x4xf32> {
  %y = stablehlo.add %x, %x : tensor<1x4xf32>
  return %y : tensor<1x4xf32>
}
}
"""
    path = tmp_path / "double.mlir"
    path.write_text(text)
    arguments = ["generate", str(path), "-o", str(tmp_path / "c"), "--device", "85k"]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "throughput: " in said and " at 50 MHz (predicted)" in said
    assert "latency: at most " in said
    assert "bits of memory, about " in said
    assert "fits ECP5 85k (LUTs not counted: --predict-area)" in said


def test_networks_on_codes_have_needs(tmp_path) -> None:
    scale = Quantization(np.array([0.05]), np.array([-3]))
    builder = Builder("dense", (12,), scale)
    codes = np.arange(-60, 60, dtype=np.int8).reshape(12, 10)
    kernel = codes, Quantization(np.full(10, 0.01), np.zeros(10, int))
    sums = builder.dense(builder.input, *kernel, None, scale, layer="dense")
    network = from_program(builder.program(sums))
    needs = generate(network, output=tmp_path / "b", lanes=["4"], device="25k")["needs"]
    assert needs["cycles_per_sample"] == 31
    assert needs["memory_bits"] >= 12 * 10 * 7  # bits of a weight
    assert needs["device"]["fits"]
    manifest = generate(network, output=tmp_path / "c", predict_area=True, dsp=True, device="25k")
    assert manifest["predicted_luts"]["dsps"] > 0
    assert manifest["needs"]["device"]["fits"]
    manifest["predicted_luts"]["dsps"] = 30
    lacking = needs_of(tmp_path / "c", manifest, "25k")["device"]
    assert lacking["excess"] == "30 multipliers where there are 28 (2 too many)"


def test_the_time_left_is_that_of_the_cycles_left(monkeypatch) -> None:
    """The first sample of a deep stream takes its latency, the others do not."""
    clock = iter([10.0, 12.0, 20.0, 30.0])
    monkeypatch.setattr(comparison.time, "monotonic", lambda: next(clock))
    manifest = {"kind": "stream", "input_words": 36, "predicted_cycles_per_sample": 100}
    manifest["layers"] = [{"cycles": 836}]  # and 64: a latency of 936
    pace = comparison._Pace(manifest, 5, 0)
    assert pace.text(0, 0) == "0/5 images"
    assert pace.text(0, 200) == "0/5 images, 100 cycles/s, 11 s left"  # of 1,336 cycles
    assert pace.text(2, 1000) == "2/5 images, 100 cycles/s, 3 s left"
    assert pace.text(4, 1400) == "4/5 images, 70 cycles/s"
