# SPDX-License-Identifier: Apache-2.0
"""What `asnet simulate` sees inside the hardware, and what it does to it: layers, waveforms, pauses
and resets, in both styles."""

from __future__ import annotations

import importlib
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stream_networks

from asnet_mlir.cli import main as cli
from asnet_mlir.errors import InputError, ToolError
from asnet_mlir.hardware import compare_words, generate, simulate
from asnet_mlir.hardware.bundle.manifest import read_manifest
from asnet_mlir.hardware.comparison import _inside, software_outputs
from asnet_mlir.hardware.simulation import layer_words
from asnet_mlir.support import processes
from asnet_mlir.support.formats import F32

hardware = importlib.import_module("asnet_mlir.hardware.simulation.simulate")

IMAGES = 4
STYLES = ("shared", "stream")
LAYERS = ["left", "maximum", "right", "gate", "dense", "sums", "last"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: Any) -> dict[str, Path]:
    """A network with two readers of a value, pooling and an exponential, in each style."""
    folder = tmp_path_factory.mktemp("observed")
    for style in STYLES:
        lanes = ["2"] if style == "stream" else []
        generate(stream_networks.branches(), output=folder / style, style=style, lanes=lanes)
    x = np.random.default_rng(3).standard_normal((IMAGES, 2, 5, 4)).astype(np.float32)
    x.reshape(IMAGES, -1)[1, :4] = [np.nan, np.inf, -0.0, 1e-42]
    np.savez(folder / "data.npz", x=x, y=np.zeros(IMAGES, int))
    return {style: folder / style for style in STYLES} | {"data": folder / "data.npz"}


@pytest.fixture(params=STYLES)
def bundle(made: dict[str, Path], request: Any) -> Path:
    return made[request.param]


@pytest.fixture(scope="module")
def data(made: dict[str, Path]) -> str:
    return str(made["data"])


def inputs(data: str) -> np.ndarray:
    with np.load(data) as archive:
        return np.array(archive["x"])


# ---- Layers


def test_layers_are_those_of_the_software(bundle, data):
    result = simulate(bundle, data, layers=True, stall_seed=5)
    assert result.equal and result.first_difference is None
    assert [entry["layer"] for entry in result.compared] == LAYERS
    assert all(entry["words"] and not entry["mismatches"] for entry in result.compared)


def test_both_styles_have_the_same_values(made, data):
    """What a layer's last loop nest leaves in the RAM is what the stage of a stream passes on."""
    machine, stream = (_inside(made[style], read_manifest(made[style])) for style in STYLES)
    x = inputs(data)[:1]
    of_stream = {
        value.layer: (value, words)
        for value, words in zip(stream.values, stream.compute(x), strict=True)
    }
    seen = set()
    for value, words in zip(machine.values, machine.compute(x), strict=True):
        other, wanted = of_stream[value.layer]
        if value.step < value.steps or value.places.size != other.places.size:
            continue
        row_major = wanted[np.argsort(other.places)]
        assert np.array_equal(words[np.argsort(value.places)], row_major), value.layer
        seen.add(value.layer)
    assert {"left", "right", "dense", "last"} <= seen


def rom_of(bundle: Path, layer: str, weight: str) -> tuple[Path, int]:
    """Return the file that holds a weight of a layer, and the line of its first word."""
    manifest = read_manifest(bundle)
    if manifest["kind"] != "stream":
        buffer = next(entry for entry in manifest["buffers"] if entry["name"] == weight)
        return bundle / "rom" / f"{manifest['top']}_weights.hex", buffer["base"]
    module = next(e["module"] for e in manifest["layers"] if e["layer"] == layer)
    return next((bundle / "rom").glob(f"{module}_*.hex")), 0


def flip(path: Path, word: int, mask: int = 0x80000000) -> None:
    lines = path.read_text().split("\n")
    row = [k for k, line in enumerate(lines) if re.fullmatch(r"[0-9a-fA-F]+", line)][word]
    lines[row] = f"{int(lines[row], 16) ^ mask:0{len(lines[row])}x}"
    path.write_text("\n".join(lines))


@pytest.mark.parametrize("layer", ["left", "right", "dense"])
def test_a_wrong_word_in_a_rom_is_located(bundle, data, tmp_path, layer):
    shutil.copytree(bundle, tmp_path / "b")
    names = read_manifest(bundle)["info"]["weights"]
    suffix = {"left": "k1", "right": "k2", "dense": "w"}[layer]
    weight = next(name for name in names if re.search(rf"\b{suffix}\b", name))
    path, first = rom_of(tmp_path / "b", layer, weight)
    flip(path, first + 1)
    result = simulate(tmp_path / "b", data, layers=True, modified=True)
    found = result.first_difference
    assert found is not None and (found["image"], found["layer"]) == (0, layer)
    assert not result.equal
    # Layers before it are right.
    before = {entry["layer"]: entry["mismatches"] for entry in result.compared}
    assert not any(before[name] for name in LAYERS[: LAYERS.index(layer)] if name != "maximum")
    assert before[layer] > 0
    index = int(np.ravel_multi_index(found["coordinates"], found["shape"]))
    assert index == found["index"]
    if layer == "dense":
        # The output that is wrong is that of the same neuron.
        assert result.differences[0].startswith(f"image 0, output {index}: ")


def test_a_wrong_operation_in_the_rtl_of_a_stage_is_located(made, data, tmp_path):
    """The multiplier of one stage adds."""
    shutil.copytree(made["stream"], tmp_path / "b")
    manifest = read_manifest(tmp_path / "b")
    module = next(e["module"] for e in manifest["layers"] if e["layer"] == "right")
    path = tmp_path / "b" / "rtl" / f"{module}.sv"
    text = re.sub(r"_fmul #", "_fadd #", path.read_text())
    assert text != path.read_text()
    path.write_text(text)
    result = simulate(tmp_path / "b", data, layers=True, samples=1, modified=True)
    found = result.first_difference
    assert found is not None and found["layer"] == "right" and found["index"] == 0
    mismatches = {entry["layer"]: entry["mismatches"] for entry in result.compared}
    assert not mismatches["left"] and not mismatches["maximum"] and mismatches["gate"]


def test_the_command_line_names_the_first_difference(bundle, data, tmp_path, capfd):
    shutil.copytree(bundle, tmp_path / "b")
    names = read_manifest(bundle)["info"]["weights"]
    weight = next(name for name in names if re.search(r"\bw\b", name))
    path, first = rom_of(tmp_path / "b", "dense", weight)
    flip(path, first)
    arguments = ["simulate", str(tmp_path / "b"), "--data", data, "--layers", "--modified"]
    assert cli.main(arguments) == 1
    out = capfd.readouterr().out
    line = next(line for line in out.splitlines() if line.startswith("first difference"))
    assert re.fullmatch(
        r"first difference: image 0, layer 'dense'( \(step \d of \d\))?, index \d+ \([\d, ]+\): "
        r"hardware [0-9a-f]{8}, software [0-9a-f]{8}",
        line,
    )
    assert cli.main([*arguments, "--json"]) == 1
    captured = capfd.readouterr()
    value = json.loads(captured.out)
    assert value["first_difference"]["layer"] == "dense" and captured.err.count("\n") == 1


def test_a_machine_that_hangs_says_what_differs(made, data, tmp_path):
    """The microcode is gone: nothing is ever written."""
    shutil.copytree(made["shared"], tmp_path / "b")
    path = next((tmp_path / "b" / "rom").glob("*_microcode.hex"))
    lines = path.read_text().split()
    # The last row but one says `done`.
    done = next(k for k in reversed(range(len(lines))) if int(lines[k], 16))
    lines[done] = "0" * len(lines[done])
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(ToolError, match=r"status 3: bench: 0 of 24 words after \d+ cycles"):
        simulate(tmp_path / "b", data, samples=1, layers=True, modified=True)


def test_a_bundle_of_another_version_is_refused(made, data, tmp_path):
    for style, key in (("shared", "buffers"), ("stream", "layers"), ("stream", "lanes")):
        copy = tmp_path / f"{style}-{key}"
        shutil.copytree(made[style], copy)
        manifest = json.loads((copy / "manifest.json").read_text())
        if key == "lanes":
            del manifest["lanes"]
        else:
            manifest[key][0]["words" if key == "buffers" else "outputs"] += 1
        (copy / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(InputError, match="generate the bundle anew"):
            simulate(copy, data, samples=1, layers=True)


def test_values_are_compared_at_their_place():
    places = np.array([2, 0, 5])
    value = layer_words.Value("conv", 1, 2, (2, 3), places, F32)
    assert value.coordinates(0) == (2, (0, 2)) and value.coordinates(2) == (5, (1, 2))
    inside = layer_words.Layers((value,), lambda x: [])
    assert inside.words == 3 and inside.table().tolist() == [1, 1, 3]


# ---- Pauses and resets


def test_a_reset_in_mid_frame_recovers_at_any_time(bundle, data):
    """The first cycle, the last ones of the first frame, and 24 others with and without pauses."""
    x = inputs(data)[:2]
    expected = software_outputs(bundle, x)
    once = hardware.simulate(bundle, x)
    rng = random.Random(7)
    cycles = [1, once.latency_cycles - 2, once.latency_cycles - 1, once.latency_cycles]
    cycles += [rng.randrange(2, once.latency_cycles) for _ in range(24)]
    for number, cycle in enumerate(cycles):
        result = hardware.simulate(
            bundle, x, reset_cycle=cycle, stall_seed=number if number % 2 else 0
        )
        assert not compare_words(result.outputs, expected), (cycle, number)


def test_layers_are_compared_from_the_start_after_a_reset(bundle, data):
    result = simulate(bundle, data, layers=True, reset_cycle=333, stall_seed=2)
    assert result.equal


def test_many_ways_to_pause(bundle, data):
    x = inputs(data)
    expected = software_outputs(bundle, x)
    for seed in range(1, 33):
        result = hardware.simulate(bundle, x, stall_seed=seed * 7919)
        assert not compare_words(result.outputs, expected), seed


def test_a_reset_after_the_end_is_refused(bundle, data):
    with pytest.raises(InputError, match=r"reset cycle 10000000: the simulation is over after \d+"):
        simulate(bundle, data, samples=1, reset_cycle=10_000_000)


def test_pauses_and_resets_on_the_command_line(bundle, data, capfd):
    arguments = ["simulate", str(bundle), "--data", data]
    assert cli.main([*arguments, "--stall-seed", "3", "--reset-cycle", "100"]) == 0
    assert "4 images simulated, 0 mismatching words" in capfd.readouterr().out
    assert cli.main([*arguments, "--stall-seed", "-1"]) == 2
    assert "stall seed -1 is not in 0..2^63-1" in capfd.readouterr().err


# ---- Waveforms, progress, interruption


def test_a_waveform(bundle, data, tmp_path, capfd):
    target = tmp_path / "w.vcd"
    arguments = ["simulate", str(bundle), "--data", data, "--trace", str(target)]
    assert cli.main([*arguments, "--trace-cycles", "60"]) == 0
    assert f"60 cycles in {target}" in capfd.readouterr().out
    text = target.read_text()
    assert text.startswith("$version Generated by VerilatedVcd $end")
    assert re.search(r"\$var wire +32 \S+ s_axis_tdata \[31:0\] \$end", text)
    inner = "issue" if bundle.name == "stream" else "ram_write_enable"
    assert re.search(rf"\$var wire +1 \S+ {inner} \$end", text)
    # Four cycles of reset, two edges a cycle.
    times = [int(line[1:]) for line in text.splitlines() if line.startswith("#")]
    assert 60 < len(times) <= 2 * 64 and max(times) < 10 * 64
    # Without a bound it ends with the first sample.
    result = simulate(bundle, data, samples=2, trace=target)
    assert result.equal and result.traced_cycles == result.latency_cycles


@pytest.mark.parametrize(
    ("name", "message"),
    [("w.fst", "waveforms are VCD files"), ("none/w.vcd", "can't be written")],
)
def test_a_waveform_that_cannot_be_written(made, data, tmp_path, capfd, name, message):
    arguments = ["simulate", str(made["shared"]), "--data", data]
    assert cli.main([*arguments, "--trace", str(tmp_path / name)]) == 2
    error = capfd.readouterr().err
    assert message in error and error.count("\n") == 1


def test_progress_is_told(made, data):
    texts: list[str] = []
    simulate(made["shared"], data, progress=lambda text, last: texts.append(text))
    assert f"software: {IMAGES}/{IMAGES} images" in texts


def test_lines_of_a_process_are_watched():
    script = "import sys; [print(k, file=sys.stderr) for k in ('1 2', 'no', '3 4')]; print('out')"
    seen: list[tuple[int, int]] = []
    done = processes.run(
        [sys.executable, "-c", script],
        purpose="watching",
        watch=lambda line: hardware._watched(line, lambda *pair: seen.append(pair)),
    )
    assert seen == [(1, 2), (3, 4)] and (done.stdout, done.stderr) == ("out\n", "no\n")

    def fails(line: str) -> bool:
        raise InputError(line)

    with pytest.raises(InputError, match="1 2"):
        processes.run([sys.executable, "-c", script], purpose="watching", watch=fails)


def test_an_interrupt_leaves_nothing(made, tmp_path):
    """Ctrl-C while the bench writes a waveform of a long run."""
    x = np.random.default_rng(0).standard_normal((4_000, 2, 5, 4)).astype(np.float32)
    np.savez(tmp_path / "d.npz", x=x, y=np.zeros(len(x), int))
    target = tmp_path / "w.vcd"
    program = "import sys; from asnet_mlir.cli.main import main; sys.exit(main(sys.argv[1:]))"
    arguments = ["simulate", str(made["shared"]), "--data", str(tmp_path / "d.npz")]
    simulate(made["shared"], str(tmp_path / "d.npz"), samples=1, trace=target)  # is built then
    target.unlink()
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments, "--trace", str(target)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 60
    while not (target.is_file() and target.stat().st_size) and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    # Where it takes long, progress stands before.
    assert (process.returncode, out, err.splitlines()[-1]) == (130, "", "asnet: interrupted")
    assert not target.exists()


def test_layers_with_a_core_of_gates(tmp_path, data):
    """Its model is one of blocks of operands (where that is fastest): single ones are the same."""
    from asnet_mlir.binding import Binding, Rule
    from asnet_mlir.cores import core_from_verilog

    lines = ["module g(input [31:0] a, b, output [31:0] y);"]
    for bit in range(32):
        before = f"a[{bit}]"
        for k in range(8):
            name = f"w{8 * bit + k}"
            gate = "xor" if k % 2 else "nand"
            lines.append(f"  wire {name}; {gate} ({name}, {before}, b[{(bit + 5 * k) % 32}]);")
            before = name
        lines.append(f"  assign y[{bit}] = {before};")
    (tmp_path / "g.v").write_text("\n".join([*lines, "endmodule\n"]))
    core = core_from_verilog([tmp_path / "g.v"], op="mulf").instance()
    binding = Binding((Rule("mulf", core),))
    generate(stream_networks.branches(), binding, output=tmp_path / "b")
    result = simulate(tmp_path / "b", data, layers=True)
    assert result.equal and sum(entry["words"] for entry in result.compared) > 50


def chain(seed: int) -> Any:
    """Return a network of scalars: all its layers are straight-line code."""
    import jax
    import jax.numpy as jnp

    from asnet_mlir.frontends.jax import from_jax_function

    def function(x: Any) -> Any:
        rng = random.Random(seed)
        values = [x]
        for k in range(7):
            with jax.named_scope(f"layer{k}"):
                one, two = rng.choice(values[-3:]), rng.choice(values[-3:])
                choices = [one / 3.0, one + two, jnp.maximum(one, two), one * 1.5]
                choices += [jnp.sum(value, axis=1, keepdims=True) for value in (one, two) * 2]
                values.append(rng.choice(choices))
        with jax.named_scope("last"):
            return values[-1] + values[-2] + values[-3]

    return from_jax_function(function, (np.zeros((1, 1), np.float32),), name="chain")


@pytest.mark.parametrize("seed", [1, 3, 7])
def test_words_that_buffers_share_in_straight_line_code(tmp_path, seed):
    manifest = generate(chain(seed), output=tmp_path / "b")
    x = np.float32([[1.5], [2.25], [-3.0]])
    np.savez(tmp_path / "d.npz", x=x, y=np.zeros(3, int))
    scratch = [entry for entry in manifest["buffers"] if entry["role"] == "scratch"]
    result = simulate(tmp_path / "b", str(tmp_path / "d.npz"), layers=True)
    assert result.equal, (result.first_difference, len(scratch))
    assert len({entry["layer"] for entry in result.compared}) > 1
