"""Simulate a bundle with Verilator."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asnet_mlir import processes, verilator
from asnet_mlir.cache import cached_directory, content_hash
from asnet_mlir.errors import InputError, ToolError
from asnet_mlir.hardware.bundle import read_manifest

__all__ = ["Simulation", "engines", "simulate"]

_FLAGS = ("-O2",)
# No tracing, and X as 0, as block RAM starts.
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


@dataclass(frozen=True)
class Simulation:
    """What came out of a simulation.

    Attributes:
      outputs: uint32 (samples, output words), the bits of the results.
      cycles_per_sample: clock cycles between the starts of two samples.
      latency_cycles: from a sample's first word in to its last word out.
      busy_cycles: of each engine of a stream, from its first issue to its last for one sample.
    """

    outputs: np.ndarray
    cycles_per_sample: float
    latency_cycles: int
    busy_cycles: tuple[int, ...] = ()


def engines(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the layers that are engines of a stream."""
    return [layer for layer in manifest.get("layers", ()) if layer.get("kind") == "engine"]


def _build(bundle: Path, top: str, sources: list[str], engines: int, folder: Path) -> None:
    verilator.translate(
        sources,
        top=top,
        prefix="Vtop",
        into=folder,
        cwd=bundle,
        options=_VERILATOR_OPTIONS,
        purpose=f"translating {bundle} with Verilator",
    )
    # One translation unit: quicker than several with their headers on few cores.
    unit = folder / "all.cpp"
    parts = sorted(folder.glob("Vtop*.cpp"))
    unit.write_text("".join(f'#include "{part.name}"\n' for part in parts))
    verilator.compile_model(
        [unit, bundle / "tb" / "bench.cpp"],
        folder / "bench",
        flags=(*_FLAGS, f"-DASNET_ENGINES={engines}"),
        includes=[folder],
        cwd=folder,
        purpose=f"compiling the simulation of {bundle}",
    )


def simulate(
    bundle_dir: str | Path,
    inputs: np.ndarray,
    *,
    stall_seed: int = 0,
    reset_cycle: int = 0,
    timeout_seconds: float = 1800.0,
) -> Simulation:
    """Stream samples through the machine of a bundle.

    Args:
      bundle_dir: the bundle; the files as they are now are simulated, edits included.
      inputs: float32 (samples, ..) with as many words a sample as the machine takes.
      stall_seed: other than 0, both sides of the stream pause at random, by this seed.
      reset_cycle: other than 0, the hardware is reset in that cycle and gets all samples again.
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
    top, layers = manifest["top"], engines(manifest)
    if layers:
        sources.append("tb/observed.sv")
        top = "asnet_observed"
    texts = [(bundle / name).read_bytes() for name in (*sources, "tb/bench.cpp")]
    key = content_hash(
        verilator.version(), top, str(len(layers)), *_VERILATOR_OPTIONS, *_FLAGS, *sources, *texts
    )
    built = cached_directory(
        "bundle-simulation",
        key,
        lambda folder: _build(bundle, top, sources, len(layers), folder),
    )
    slack = 16 if stall_seed else 2
    # A sample goes through all stages before the next ones follow at the pace of the slowest.
    stages = max(len(manifest.get("layers", ())), 1) if layers else 0
    limit = (samples + stages) * slack * (manifest["predicted_cycles_per_sample"] + 1000)
    limit += reset_cycle
    steps = [layer["work"] // layer["outputs"] * layer["slots"] for layer in layers]
    with tempfile.TemporaryDirectory(prefix="asnet-sim-") as scratch:
        source, target = Path(scratch) / "input.bin", Path(scratch) / "output.bin"
        source.write_bytes(data.tobytes())
        arguments = (samples, words_in, words_out, stall_seed, limit, reset_cycle, *steps)
        result = processes.run(
            [built / "bench", source, target, *map(str, arguments)],
            purpose=f"simulating {bundle}",
            cwd=bundle,
            timeout_seconds=timeout_seconds,
        )
        try:
            report = json.loads(result.stdout)
        except ValueError:
            said = " ".join(result.stdout.split())[:200]
            raise ToolError(f"simulating {bundle}: the bench said: {said}") from None
        if report["frame_error"]:
            raise ToolError(
                f"simulating {bundle}: the hardware reported a wrong tlast, or that a core took "
                "longer than its latency"
            )
        outputs = np.frombuffer(target.read_bytes(), np.uint32).reshape(samples, words_out)
    return Simulation(
        outputs,
        report["cycles_per_sample"],
        report["latency_cycles"],
        tuple(report["busy_cycles"]),
    )
