# SPDX-License-Identifier: Apache-2.0
"""The streaming hardware in Verilator against the software, bit for bit and cycle for cycle."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stream_networks
from stream_networks import software_outputs

from asnet_mlir.binding import Binding
from asnet_mlir.cli import main as cli
from asnet_mlir.hardware import compare_words, generate
from asnet_mlir.hardware.bundle.manifest import read_manifest

hardware = importlib.import_module("asnet_mlir.hardware.simulation.simulate")

# Exact, truncated and of other latencies, in one design: compiling a simulation takes long.
RULES = (
    "mulf@conv=fmul_trunc:P=9,LATENCY=7",
    "addf@conv=fadd:LATENCY=2",
    "mulf@depthwise=fmul_trunc:P=20,LATENCY=0",
    "addf@average=fadd:LATENCY=5",
    "addf@dense=fadd:LATENCY=0",
)


def samples(bundle: Path, count: int) -> np.ndarray:
    shape = read_manifest(bundle)["info"]["input_shape"]
    x = np.random.default_rng(3).standard_normal((count, *shape)).astype(np.float32)
    x.reshape(count, -1)[0, :4] = [np.nan, np.inf, -0.0, 1e-42]
    return x


def check(bundle: Path, count: int = 8, **options: int) -> Any:
    x = samples(bundle, count)
    result = hardware.simulate(bundle, x, **options)
    different = compare_words(result.outputs, software_outputs(bundle, x))
    assert not different, different[:5]
    return result


def make(tmp_path_factory: Any, lanes: tuple[str, ...]) -> Path:
    folder = tmp_path_factory.mktemp("stream") / "bundle"
    network = stream_networks.residual()
    generate(network, Binding.parse(RULES), output=folder, style="stream", lanes=lanes)
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make(tmp_path_factory, ())


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """6 outputs on 4 lanes are two times 3, 5 outputs three and two; 3 lanes have 4 twice."""
    return make(tmp_path_factory, ("4", "grouped=3"))


def test_every_kind_of_layer_with_cycles_as_predicted(bundle):
    manifest = read_manifest(bundle)
    engines = hardware.engines(manifest)
    assert [entry["layer"] for entry in engines] == [
        "conv",
        "depthwise",
        "average",
        "add",
        "grouped",
        "maximum",
        "global",
        "dense",
    ]
    result = check(bundle)
    assert result.cycles_per_sample == manifest["predicted_cycles_per_sample"]
    for entry, cycles in zip(engines, result.busy_cycles, strict=True):
        # The last group of outputs may have idle slots, behind which nothing is issued.
        assert entry["work"] <= cycles <= entry["issue_cycles"]
        if entry["work"] >= 1000:
            assert entry["work"] / cycles >= 0.95, entry


def test_lanes(wide):
    manifest = read_manifest(wide)
    lanes = {entry["layer"]: entry["lanes"] for entry in hardware.engines(manifest)}
    # Channels of a depthwise convolution and of poolings read different inputs.
    assert lanes["conv"] == lanes["dense"] == 3
    assert lanes["depthwise"] == lanes["average"] == lanes["maximum"] == lanes["add"] == 1
    assert lanes["grouped"] == 2
    result = check(wide)
    assert result.cycles_per_sample == manifest["predicted_cycles_per_sample"]
    conv = hardware.engines(manifest)[0]
    assert conv["work"] / (result.busy_cycles[0] * 3) == conv["utilisation_bound"] == 1
    for seed in (1, 2):
        check(wide, 20, stall_seed=seed)
    check(wide, 5, reset_cycle=1234, stall_seed=3)


@pytest.mark.parametrize("seed", [1, 2])
def test_streams_that_pause(bundle, seed):
    check(bundle, 20, stall_seed=seed)


def check_frames(bundle: Path, lengths: list[int], **options: int) -> None:
    """Short frames are padded with NaNs, long ones cut off; the bench checks who is reported."""
    x = samples(bundle, len(lengths))
    flat = x.reshape(len(x), -1)
    result = hardware.simulate(bundle, x, frames=lengths, **options)
    flat[np.arange(flat.shape[1]) >= np.array(lengths)[:, None]] = np.nan
    different = compare_words(result.outputs, software_outputs(bundle, x))
    assert not different, different[:5]


@pytest.mark.parametrize("seed", [0, 4])
def test_a_frame_ends_at_its_tlast(bundle, seed):
    words = read_manifest(bundle)["input_words"]
    lengths = [words, 1, words, words + 1, words, words - 1, 5, 3 * words, 2, words, words]
    check_frames(bundle, lengths, stall_seed=seed)


@pytest.mark.parametrize("cycle", [1, 40, 700, 2000, 5555])
def test_a_reset_in_the_middle(bundle, cycle):
    check(bundle, 5, reset_cycle=cycle)
    check(bundle, 5, reset_cycle=cycle, stall_seed=9)


def test_only_long_simulations_are_compiled_well(bundle, monkeypatch):
    levels = []

    def never(*arguments):
        levels.append(arguments[-1])
        raise InterruptedError

    monkeypatch.setattr(hardware, "_built", never)
    cycles = read_manifest(bundle)["predicted_cycles_per_sample"]
    for least in (0, 50_000, 10_000_000):
        with pytest.raises(InterruptedError):
            hardware.simulate(bundle, samples(bundle, least // cycles + 1))
    assert levels == ["-O0", "-Og", "-O2"]


def test_one_sample(bundle):
    check(bundle, 1)


def test_the_same_bytes(bundle, tmp_path):
    generate(
        stream_networks.residual(), Binding.parse(RULES), output=tmp_path / "b", style="stream"
    )
    names = sorted(path.relative_to(bundle) for path in bundle.rglob("*") if path.is_file())
    assert all(
        (bundle / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names
    )


def test_another_order_of_the_sum_is_seen(tmp_path):
    """The same products, added from the last to the first by the hardware."""
    generate(stream_networks.dense(), output=tmp_path / "forward", style="stream")
    generate(stream_networks.dense(backwards=True), output=tmp_path / "backward", style="stream")
    x = samples(tmp_path / "forward", 4)
    forward, backward = (software_outputs(tmp_path / name, x) for name in ("forward", "backward"))
    assert compare_words(forward, backward)
    got = hardware.simulate(tmp_path / "backward", x).outputs
    assert not compare_words(got, backward)
    assert compare_words(got, forward)


def test_a_machine_in_the_stream(tmp_path):
    """MNIST's dense layer is an engine, its softmax the sequential machine."""
    from asnet_mlir.hardware import simulate

    manifest = generate(
        "classification_mnist", output=tmp_path / "b", style="stream", lanes=["dense=5"]
    )
    # The sum of the blocks is short, but would keep the machine longer than the engine before it.
    assert [entry["kind"] for entry in manifest["layers"]] == ["engine", "engine", "machine"]
    result = simulate(tmp_path / "b", "mnist:test", samples=6)
    assert result.mismatches == 0, result.differences
    # The sums of blocks leave in another order than they are read.
    assert result.cycles_per_sample == manifest["predicted_cycles_per_sample"]
    assert manifest["layers"][0]["cycles"] == 7840 // 5 < result.cycles_per_sample
    assert result.layers[0]["utilisation"] >= 0.95


def test_branches_and_a_machine_with_two_inputs(tmp_path):
    manifest = generate(
        stream_networks.branches(), output=tmp_path / "b", style="stream", lanes=["2"]
    )
    kinds = {entry["layer"]: entry["kind"] for entry in manifest["layers"]}
    assert "flatten" not in kinds and kinds["gate"] == "machine"
    assert {kinds[layer] for layer in ("left", "maximum", "right", "dense", "sums")} == {"engine"}
    result = check(tmp_path / "b", 9)
    assert result.cycles_per_sample == manifest["predicted_cycles_per_sample"]
    check(tmp_path / "b", 9, stall_seed=4)
    check(tmp_path / "b", 4, reset_cycle=900)


@pytest.mark.parametrize("style", ["stream", "shared"])
def test_deep_memories_are_made_of_several(tmp_path, style):
    manifest = generate(stream_networks.long_sums(), output=tmp_path / "b", style=style)
    parts = [entry for entry in manifest["memories"].values() if "first" in entry]
    weights = [part for part in parts if part["first"] in (0, 2048)]
    # Two rows of two columns: 2,200 weights are 2,048 words and the rest (and two biases).
    assert [(part["first"], part["low"]) for part in weights] == [
        *((0, low) for low in (0, 16)),
        *((2048, low) for low in (0, 16)),
    ]
    assert sum(part["words"] for part in weights[::2]) in (2200, 2202)
    check(tmp_path / "b", 4)


def test_a_wrong_weight_is_seen(bundle, tmp_path):
    shutil.copytree(bundle, tmp_path / "b")
    rom = next((tmp_path / "b" / "rom").iterdir())
    lines = rom.read_text().split("\n")
    lines[1] = f"{int(lines[1], 16) ^ 0x80000000:08x}"
    rom.write_text("\n".join(lines))
    x = samples(bundle, 3)
    got = hardware.simulate(tmp_path / "b", x).outputs
    assert compare_words(got, software_outputs(bundle, x))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--style", "fast"], "unknown style 'fast'; styles are shared, stream"),
        (["--lanes", "2"], "lanes are for the style 'stream'"),
        (["--style", "stream", "--lanes", "0"], "give a number from 1 to 1024"),
        (["--style", "stream", "--lanes", "dense=x"], "give a number from 1 to 1024"),
        (["--style", "stream", "--lanes", "conv9=1"], "no layer 'conv9'"),
    ],
)
def test_bad_options(tmp_path, capfd, options, message):
    arguments = ["generate", "classification_mnist", "-o", str(tmp_path / "b"), *options]
    assert cli.main(arguments) == 2
    error = capfd.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "b").exists()


def test_the_forms_are_shown():
    from asnet_mlir.emit import compile

    text = compile("classification_mnist", "scheduled", style="stream")
    assert "approx.engine" in text and "approx.machine" in text
    text = compile("classification_mnist", "sv", style="stream")
    assert "module classification_mnist\n" in text
