# SPDX-License-Identifier: Apache-2.0
"""Simulate a bundle with Verilator."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asnet_mlir.errors import InputError, ToolError
from asnet_mlir.hardware.bundle.manifest import (
    STREAM_KINDS,
    edge_formats,
    engine_steps,
    read_manifest,
)
from asnet_mlir.hardware.bundle.shelled import bundle_framing
from asnet_mlir.hardware.simulation.layer_words import Layers
from asnet_mlir.hardware.simulation.stage_models import StageModels
from asnet_mlir.support import processes, verilator
from asnet_mlir.support.cache import cached_directory, content_hash

__all__ = ["Difference", "Simulation", "engines", "simulate"]

# From how many clock cycles on (of a small network; a large one takes longer for both) better code
# is worth the time of its compilation.  That of -Og is two to four times as fast as that of -O0,
# and takes up to twice as long to make; -O2 makes the last tenth faster in five times as long.
_LEVELS = ((0, "-O0"), (50_000, "-Og"), (10_000_000, "-O2"))
# X as 0, as block RAM starts.
_VERILATOR_OPTIONS = (
    "-O3",
    "--x-assign",
    "fast",
    "--x-initial",
    "fast",
    "-Wno-WIDTH",
    "-Wno-UNOPTFLAT",
    "--output-split",
    "20000",
)
#: From how many stages on most of a stream waits for the rest.
_DEEP = 8
#: Of a waveform without a bound of its own: a hundred megabytes, as VCD files are large.
_TRACE_CYCLES = 20_000
#: Below this pace something is wrong; the cycles themselves are bounded by the bench.
_CYCLES_PER_SECOND = 500
_LEAST_SECONDS = 1800.0


@dataclass(frozen=True)
class Difference:
    """The first word of a layer that is not the software's.

    Attributes:
      image: number of the sample.
      value: number of the value in `Layers.values`.
      position: of the word in the value's `places`.
      hardware, software: the words' bits.
    """

    image: int
    value: int
    position: int
    hardware: int
    software: int


@dataclass(frozen=True)
class Simulation:
    """What came out of a simulation.

    Attributes:
      outputs: uint32 (samples, output words), the bits of the results.
      cycles_per_sample: clock cycles between the starts of two samples.
      latency_cycles: from a sample's first word in to its last word out.
      busy_cycles: of each engine of a stream, from its first issue to its last for one sample.
      traced_cycles: clock cycles in the waveform.
      mismatches: words of each of `Layers.values` that are not the software's, of all samples.
      first: the first of these, by sample and then in the order of computation; None if there is
        none.
    """

    outputs: np.ndarray
    cycles_per_sample: float
    latency_cycles: int
    busy_cycles: tuple[int, ...] = ()
    traced_cycles: int = 0
    mismatches: tuple[int, ...] = ()
    first: Difference | None = None


def engines(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the layers that are engines of a stream."""
    return [layer for layer in manifest.get("layers", ()) if layer.get("kind") == "engine"]


def _built(
    bundle: Path, manifest: Mapping[str, Any], layers: bool, trace: bool, level: str
) -> Path:
    """Return the folder of the simulation as a program, which is built if it is not there yet."""
    # The ROMs are read at run time and are no part of the program.
    sources = (bundle / "filelist.f").read_text().split()
    top = manifest["top"]
    is_stream = manifest.get("kind") in STREAM_KINDS
    defines = [f"-DASNET_ENGINES={len(engines(manifest))}"]
    if manifest.get("has_integer_words"):
        defines.append("-DASNET_INTEGERS")
    options: list[str] = []
    if is_stream or layers or "shell" in manifest:
        if not (bundle / "tb" / "observed.sv").is_file():
            raise InputError(f"{bundle}: lacks tb/observed.sv; generate the bundle anew")
        if (bundle / "tb" / "memory.sv").is_file():
            sources.append("tb/memory.sv")
        sources.append("tb/observed.sv")
        top = f"{top}_observed"
    if layers and is_stream:
        options.append("+define+ASNET_LAYERS")
        defines.append(f"-DASNET_LAYERS={len(manifest['layers'])}")
    elif layers:
        defines.append("-DASNET_WRITES=1")
    if trace:
        options.append("--trace-vcd")
    # A waveform is of one model.
    is_deep = is_stream and len(manifest["layers"]) >= _DEEP and level != "-O0" and not trace
    models = StageModels(bundle, manifest, _VERILATOR_OPTIONS, level) if is_deep else None
    key = content_hash(
        verilator.version(),
        top,
        *defines,
        *_VERILATOR_OPTIONS,
        *options,
        level,
        *sources,
        *((bundle / name).read_bytes() for name in (*sources, "tb/bench.cpp")),
        str(trace),
        StageModels.version() if is_deep else "",
    )

    def build(folder: Path) -> None:
        objects: list[Path] = []
        if models is not None:
            objects = models.write(folder, top, sources, options)
        else:
            verilator.translate(
                sources,
                top=top,
                prefix="Vtop",
                into=folder,
                cwd=bundle,
                options=[*_VERILATOR_OPTIONS, *options],
                purpose=f"translating {bundle} with Verilator",
            )
        shutil.copyfile(bundle / "tb" / "bench.cpp", folder / "bench.cpp")
        # What is between stages is little code that runs in every cycle.
        best = level if models is None else "-O2"
        _compile(folder, objects, best, defines, trace, f"compiling the simulation of {bundle}")

    return cached_directory("bundle-simulation", key, build)


def _compile(
    folder: Path,
    objects: Sequence[Path],
    level: str,
    defines: Sequence[str],
    trace: bool,
    purpose: str,
) -> None:
    """Compile the bench and the models beside it to the program `bench`; leave nothing else."""
    # One translation unit: quicker than several with their headers on few cores.
    unit = folder / "all.cpp"
    parts = [*sorted(path.name for path in folder.glob("V*.cpp")), "bench.cpp"]
    unit.write_text("".join(f'#include "{part}"\n' for part in parts))
    verilator.compile_model(
        [unit, *objects],
        folder / "bench",
        level=level,
        defines=defines,
        includes=[folder],
        trace=trace,
        cwd=folder,
        purpose=purpose,
    )
    for path in folder.iterdir():
        if path.name != "bench":
            path.unlink()


def simulate(
    bundle_dir: str | Path,
    inputs: np.ndarray,
    *,
    stall_seed: int = 0,
    reset_cycle: int = 0,
    frames: Sequence[int] | None = None,
    layers: Layers | None = None,
    trace: str | Path | None = None,
    trace_cycles: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    timeout_seconds: float | None = None,
) -> Simulation:
    """Stream samples through the machine of a bundle.

    Args:
      bundle_dir: the bundle; the files as they are now are simulated, edits included.
      inputs: (samples, ..) of the network's format, with as many numbers a sample as the machine
        takes words.
      stall_seed: other than 0, both sides of the stream pause at random, by this seed.
      reset_cycle: other than 0, the hardware is reset in that cycle and gets all samples again.
      frames: how many words of each sample are sent, words without a meaning behind them where it
        has fewer.  That frames of another length, and no others, are reported is checked.
      layers: what to compare inside the hardware.
      trace: the file that gets a waveform (VCD) of the first sample.
      trace_cycles: its bound, by default 20,000 cycles.
      progress: is told how many samples are out and how many cycles have passed, by another thread.
      timeout_seconds: bound on the simulation, without its build; by default half an hour, or more
        where many cycles are to be simulated.

    Raises:
      InputError: no bundle, inputs of the wrong shape, or a reset after the end.
      ToolError: Verilator or the compiler failed, or the machine never answered.
    """
    bundle = Path(bundle_dir).resolve()
    manifest = read_manifest(bundle)
    words_in, words_out = manifest["input_words"], manifest["output_words"]
    data, lengths = _checked(bundle, manifest, inputs, frames)
    sent = edge_formats(manifest.get("info", {}))[0].to_words(data.reshape(len(data), -1))
    if "shell" in manifest:
        sent = bundle_framing(manifest).to_input(sent)
    for what, number in (("stall seed", stall_seed), ("reset cycle", reset_cycle)):
        if not 0 <= number < 1 << 63:
            raise InputError(f"{what} {number} is not in 0..2^63-1")
    samples = data.shape[0]
    target = None if trace is None else _trace_file(trace, trace_cycles)
    cycles = samples * manifest["predicted_cycles_per_sample"]
    level = [level for least, level in _LEVELS if cycles >= least][-1]
    built = _built(bundle, manifest, layers is not None, target is not None, level)

    limit = _limit(manifest, samples, 16 if stall_seed else 2, lengths) + reset_cycle
    if timeout_seconds is None:
        timeout_seconds = max(_LEAST_SECONDS, limit / _CYCLES_PER_SECOND)
    steps = [engine_steps(layer) for layer in engines(manifest)]
    with tempfile.TemporaryDirectory(prefix="asnet-sim-") as scratch:
        source, words = Path(scratch) / "input.bin", Path(scratch) / "output.bin"
        sent.tofile(source)
        numbers = [samples, words_in, words_out, stall_seed, limit, reset_cycle, *steps]
        command: list[Any] = [built / "bench", source, words, *map(str, numbers)]
        if layers is not None:
            shape = manifest["info"].get("input_shape", (words_in,))
            command += _layer_options(layers, data.reshape(samples, *shape), Path(scratch))
        if target is not None:
            cycles = _TRACE_CYCLES if trace_cycles is None else trace_cycles
            command += [f"--trace={target}", f"--trace-cycles={cycles}"]
        if frames is not None:
            command.append("--frames=" + ",".join(map(str, lengths)))
        if progress is not None:
            command.append("--progress")
        # The files are mapped, and count.
        mapped = 4 * data.size + (4 * samples * layers.words if layers is not None else 0)
        try:
            result = processes.run(
                command,
                purpose=f"simulating {bundle}",
                cwd=bundle,
                timeout_seconds=timeout_seconds,
                memory_bytes=(8 << 30) + mapped,
                check=False,
                watch=None if progress is None else lambda line: _watched(line, progress),
            )
        except KeyboardInterrupt:
            if target is not None:
                target.unlink(missing_ok=True)
            raise
        report = _report(bundle, result, layers)
        _check_report(bundle, report, any(length != words_in for length in lengths), reset_cycle)
        outputs = np.fromfile(words, np.uint32).reshape(samples, words_out)
    return Simulation(
        outputs,
        report["cycles_per_sample"],
        report["latency_cycles"],
        tuple(report["busy_cycles"]),
        report["traced_cycles"],
        tuple(entry[0] for entry in report.get("layers", ())),
        _first(report),
    )


def _limit(manifest: Mapping[str, Any], samples: int, slack: int, lengths: Sequence[int]) -> int:
    """Return by which cycle a machine that works has answered."""
    # A sample goes through all stages before the next ones follow at the pace of the slowest.
    stages = max(len(manifest.get("layers", ())), 1) if engines(manifest) else 0
    cycles = (samples + stages) * slack * (manifest["predicted_cycles_per_sample"] + 1000)
    return int(cycles + slack * sum(lengths))


def _layer_options(layers: Layers, inputs: np.ndarray, folder: Path) -> list[str]:
    """Write what is expected inside the hardware; return the bench's options."""
    table, expected = folder / "layers.bin", folder / "expected.bin"
    layers.table().tofile(table)
    layers.write_expected(expected, inputs)
    return [f"--layers={table}", f"--layer-words={expected}"]


def _check_report(
    bundle: Path, report: Mapping[str, Any], has_other_frames: bool, reset_cycle: int
) -> None:
    if report["frame_error"] and not has_other_frames:
        raise ToolError(
            f"simulating {bundle}: the hardware reported a wrong tlast, or that a core took "
            "longer than its latency"
        )
    if reset_cycle >= report["cycles"]:
        raise InputError(
            f"reset cycle {reset_cycle}: the simulation is over after {report['cycles']} cycles"
        )


def _checked(
    bundle: Path,
    manifest: Mapping[str, Any],
    inputs: np.ndarray,
    frames: Sequence[int] | None,
) -> tuple[np.ndarray, list[int]]:
    """Return the samples, (samples, ..) of the format, and how many words of each are sent."""
    info, words_in = manifest.get("info", {}), manifest["input_words"]
    data = np.ascontiguousarray(inputs, dtype=edge_formats(info)[0].dtype)
    numbers = words_in if "shell" not in manifest else math.prod(info["input_shape"])
    if data.ndim < 1 or data.size == 0 or data.size != data.shape[0] * numbers:
        raise InputError(
            f"{bundle}: takes samples of {numbers} words, got an array of shape {data.shape}"
        )
    samples = data.shape[0]
    lengths = [words_in] * samples if frames is None else list(frames)
    if len(lengths) != samples or not all(0 < length < 1 << 32 for length in lengths):
        raise InputError(f"{bundle}: {samples} samples want as many lengths of frames, 1 or more")
    return data, lengths


def _report(
    bundle: Path, result: subprocess.CompletedProcess[str], layers: Layers | None
) -> dict[str, Any]:
    """Return what the bench said of a simulation that came to its end."""
    said = " | ".join((result.stderr.strip() or result.stdout.strip()).splitlines()[-5:])
    try:
        report: dict[str, Any] = json.loads(result.stdout)
    except ValueError:
        raise ToolError(
            f"simulating {bundle}: the bench ended with status {result.returncode}: {said[:500]}"
        ) from None
    if result.returncode:
        first, where = _first(report), ""
        if first is not None and layers is not None:
            layer = layers.values[first.value].layer
            where = f"; image {first.image}, layer '{layer}' is the first that differs"
        raise ToolError(
            f"simulating {bundle}: bench ended with status {result.returncode}: {said}{where}"
        )
    return report


def _trace_file(trace: str | Path, cycles: int | None) -> Path:
    """Return where the waveform goes.  It is opened, so that a bad place is known at once; what is
    there stays until the simulation begins.
    """
    path = Path(trace).resolve()
    if path.suffix != ".vcd":
        raise InputError(f"{trace}: waveforms are VCD files; give a name that ends in .vcd")
    if cycles is not None and cycles < 1:
        raise InputError(f"the number of traced cycles must be at least 1, not {cycles}")
    is_new = not path.exists()
    try:
        path.open("ab").close()
        if is_new:
            path.unlink()
    except OSError as error:
        raise InputError(f"{trace}: can't be written: {error.strerror}") from None
    return path


def _watched(line: str, progress: Callable[[int, int], None]) -> bool:
    images, _, cycles = line.partition(" ")
    if not (images.isdecimal() and cycles.isdecimal()):
        return False
    progress(int(images), int(cycles))
    return True


def _first(report: Mapping[str, Any]) -> Difference | None:
    """Return the first difference that the bench saw: earliest sample, then earliest value."""
    found = [
        Difference(image, number, position, hardware, software)
        for number, (count, image, position, hardware, software, _) in enumerate(
            report.get("layers", ())
        )
        if count
    ]
    return min(found, key=lambda entry: (entry.image, entry.value), default=None)
