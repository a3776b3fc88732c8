# SPDX-License-Identifier: Apache-2.0
"""The verb `simulate`: a bundle's outputs against the software's, bit for bit."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asnet_mlir.data import Dataset, load_named
from asnet_mlir.errors import InputError
from asnet_mlir.hardware.bundle import kit
from asnet_mlir.hardware.bundle.manifest import (
    check_files,
    edge_formats,
    edges_of,
    predicted_latency,
    read_manifest,
)
from asnet_mlir.hardware.bundle.shelled import bundle_framing
from asnet_mlir.hardware.simulation import layer_words
from asnet_mlir.hardware.simulation import simulate as simulation
from asnet_mlir.support.formats import F32, NumberFormat, parse_format
from asnet_mlir.support.progress import duration
from asnet_mlir.worker import in_mlir_process

__all__ = ["Comparison", "compare_words", "simulate"]

_SHOWN_DIFFERENCES = 10
#: Of a shell's words, which are no floats.
_INTEGERS = parse_format("u32")


@dataclass(frozen=True)
class Comparison:
    """A simulation's outputs beside the software's.

    Attributes:
      samples: how many were simulated.
      mismatches: output words whose bits differ (a NaN equals any NaN).
      vectors: how many of the bundle's own test vectors were simulated as well.
      vector_mismatches: output words that differ from what these state.
      cycles_per_sample: clock cycles between the starts of two samples.
      latency_cycles: from a sample's first word in to its last word out.
      differences: the first mismatches as lines with image, index and both words in hex.
      layers: of each engine of a stream that has a reduction: `layer`; `work`, its
        multiply-accumulates (or other steps) for a sample; `busy_cycles`, from its first issue to
        its last, whose interval included, of the quickest sample; `utilisation`, work over these
        cycles and the lanes; `utilisation_bound`, what the defined order of sums and the intervals
        of cores allow.  On integer codes all layers go at the pace of the slowest: there both are
        over the cycles of a sample, measured and predicted.
      compared: where layers were compared, of each layer `layer`, `words` a sample, `mismatches`,
        those of the vectors included.
      first_difference: where they were, the first word of a layer that differs, by sample and then
        in the order of computation: `image` (those of the vectors follow those of the data),
        `layer`, `step` and `steps` (of the layer's loop nests), `index` (row-major), `coordinates`,
        `shape`, `hardware` and `software` (bits); else None.
      traced_cycles: clock cycles in the waveform.
    """

    samples: int
    mismatches: int
    cycles_per_sample: float
    latency_cycles: int
    differences: tuple[str, ...]
    layers: tuple[Mapping[str, Any], ...] = ()
    compared: tuple[Mapping[str, Any], ...] = ()
    first_difference: Mapping[str, Any] | None = None
    traced_cycles: int = 0
    vectors: int = 0
    vector_mismatches: int = 0

    @property
    def equal(self) -> bool:
        """Whether every word that was compared is the software's."""
        wrong = self.mismatches or self.vector_mismatches
        return not wrong and self.first_difference is None

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        return {
            "samples": self.samples,
            "mismatches": self.mismatches,
            "vectors": self.vectors,
            "vector_mismatches": self.vector_mismatches,
            "cycles_per_sample": self.cycles_per_sample,
            "latency_cycles": self.latency_cycles,
            "differences": list(self.differences),
            "layers": [dict(layer) for layer in self.layers],
            "compared": [dict(layer) for layer in self.compared],
            "first_difference": self.first_difference and dict(self.first_difference),
            "traced_cycles": self.traced_cycles,
        }


@in_mlir_process()
def simulate(
    bundle: str | Path,
    data: str | Path | Dataset | tuple[Any, Any],
    *,
    samples: int | None = None,
    stall_seed: int = 0,
    reset_cycle: int = 0,
    layers: bool = False,
    trace: str | Path | None = None,
    trace_cycles: int | None = None,
    modified: bool = False,
    progress: Callable[[str, bool], None] | None = None,
) -> Comparison:
    """Run a bundle in Verilator and compare every output word with the software's.

    The bundle's own test vectors, which reach what data may leave alone, are run behind the data.

    Args:
      bundle: a folder that `generate` wrote.
      data: whatever `load_named` takes; labels are not used.
      samples: only the first so many.
      stall_seed: other than 0, both streams pause at random, by this seed.
      reset_cycle: other than 0, the hardware is reset in that cycle and gets all samples again.
      layers: compare what each layer computes as well, so that the first difference is located.
      trace: the file that gets a waveform (VCD) of the first sample.
      trace_cycles: the waveform's bound, by default 20,000 cycles.
      modified: take a bundle whose files are not those that were generated.
      progress: is told in words how far the work is, and whether a part of it is done.

    Raises:
      InputError: no bundle, or one that was changed; data of another shape; a trace that can't be
        written; a reset after the end.
      ToolError: Verilator failed, or the machine never answered.
    """
    manifest = read_manifest(bundle)
    if not modified:
        check_files(bundle)
    vectors = kit.read_vectors(Path(bundle), manifest)
    formats = edge_formats(manifest["info"])
    framing = bundle_framing(manifest)
    words = formats[1] if framing.has_floats else _INTEGERS
    if formats[1].width == F32.width and not manifest.get("has_integer_words"):
        words = F32  # among others: a row of integers may hold the bits of floats
    x = _inputs(bundle, manifest, data, samples)
    say = progress or (lambda text, last: None)
    expected = software_outputs(
        Path(bundle),
        x,
        lambda done: say(f"software: {done}/{len(x)} images", done == len(x)),
    )
    expected = framing.to_output(expected)
    inputs = x.reshape(len(x), -1)
    if vectors is not None:
        numbers = framing.input.from_words(vectors.inputs)
        inputs = np.concatenate([inputs, formats[0].from_words(numbers)])
    inside = _inside(Path(bundle), manifest) if layers else None
    pace = _Pace(manifest, len(inputs), reset_cycle)
    result = simulation.simulate(
        bundle,
        inputs,
        stall_seed=stall_seed,
        reset_cycle=reset_cycle,
        layers=inside,
        trace=trace,
        trace_cycles=trace_cycles,
        progress=(lambda *done: say(pace.text(*done), False)) if progress else None,
    )
    got, of_vectors = result.outputs[: len(x)], result.outputs[len(x) :]
    different = compare_words(got, expected, words)
    lines = _difference_lines("image", "software", got, expected, different)
    wrong = []
    if vectors is not None:
        wrong = compare_words(of_vectors, vectors.outputs, words)
        lines += _difference_lines("vector", "stated", of_vectors, vectors.outputs, wrong)
    return Comparison(
        len(x),
        len(different),
        result.cycles_per_sample,
        result.latency_cycles,
        tuple(lines),
        tuple(_use_of_engines(manifest, result)),
        tuple(layer_words.summary(inside.values, result.mismatches)) if inside else (),
        _located(inside, result.first) if inside and result.first else None,
        result.traced_cycles,
        0 if vectors is None else len(vectors.inputs),
        len(wrong),
    )


class _Pace:
    """How quick a simulation is, and how long it takes yet, by the cycles that are predicted."""

    def __init__(self, manifest: Mapping[str, Any], samples: int, reset_cycle: int) -> None:
        again = (samples - 1) * manifest["predicted_cycles_per_sample"]
        self._cycles = predicted_latency(manifest) + again + reset_cycle
        self._samples = samples
        self._began: tuple[float, int] | None = None

    def text(self, done: int, cycles: int) -> str:
        """Return what is known after so many samples and cycles; it was built before the first."""
        said = f"{done}/{self._samples} images"
        now = time.monotonic()
        if self._began is None:
            self._began = now, cycles
        seconds, passed = now - self._began[0], cycles - self._began[1]
        if seconds <= 0 or passed <= 0:
            return said
        said += f", {passed / seconds:,.0f} cycles/s"
        if cycles >= self._cycles:  # pauses, or more than was predicted
            return said
        return f"{said}, {duration((self._cycles - cycles) * seconds / passed)} left"


def _inputs(
    bundle: str | Path,
    manifest: Mapping[str, Any],
    data: str | Path | Dataset | tuple[Any, Any],
    samples: int | None,
) -> np.ndarray:
    """Return the samples to simulate, [n, ..] of the network's input shape and format."""
    dataset = load_named(data, edges_of(bundle, manifest["info"]))
    if samples is not None:
        if samples < 1:
            raise InputError(f"the number of samples must be at least 1, not {samples}")
        dataset = dataset.head(samples)
    return dataset.x


def _difference_lines(
    what: str,
    source: str,
    got: np.ndarray,
    expected: np.ndarray,
    places: Sequence[tuple[int, int]],
) -> list[str]:
    """Return lines about the first of the places at which uint32[n, words] differ."""
    lines = [
        f"{what} {number}, output {index}: hardware {got[number, index]:08x}, {source} "
        f"{expected[number, index]:08x}"
        for number, index in places[:_SHOWN_DIFFERENCES]
    ]
    if len(places) > len(lines):
        lines.append(f"... and {len(places) - len(lines)} more")
    return lines


def _use_of_engines(
    manifest: Mapping[str, Any], result: simulation.Simulation
) -> list[dict[str, Any]]:
    """Return how well each engine with a reduction was used; see `Comparison.layers`."""
    used = []
    has_pace = manifest.get("kind") == "integers"
    for layer, issuing in zip(simulation.engines(manifest), result.busy_cycles, strict=True):
        if layer["depth"] <= 1:
            continue  # elementwise layers go on as their inputs come
        cycles = issuing + layer.get("interval", 1) - 1
        over = result.cycles_per_sample if has_pace else cycles
        used.append(
            {
                "layer": layer["layer"],
                "work": layer["work"],
                "busy_cycles": cycles,
                "utilisation": layer["work"] / (over * layer["lanes"]),
                "utilisation_bound": layer["utilisation_bound"],
            }
        )
    return used


def _inside(bundle: Path, manifest: Mapping[str, Any]) -> layer_words.Layers:
    """Return what a bundle's layers should compute."""
    network, models, weights, _, _ = _software(bundle)
    if manifest.get("kind") == "integers":
        raise InputError(f"{bundle}: the layers of hardware on integer codes can't be compared yet")
    if manifest.get("kind") != "stream":
        return layer_words.machine_layers(network, models, weights, manifest.get("buffers", ()))
    lanes = manifest.get("lanes")
    if not isinstance(lanes, list):
        raise InputError(f"{bundle}: does not say its lanes; generate the bundle anew")
    return layer_words.stream_layers(network, models, weights, lanes, manifest["layers"])


def _located(inside: layer_words.Layers, first: simulation.Difference) -> dict[str, Any]:
    value = inside.values[first.value]
    index, coordinates = value.coordinates(first.position)
    return {
        "image": first.image,
        "layer": value.layer,
        "step": value.step,
        "steps": value.steps,
        "index": index,
        "coordinates": list(coordinates),
        "shape": list(value.shape),
        "hardware": first.hardware,
        "software": first.software,
    }


def _software(bundle: Path) -> tuple[str, str, list[np.ndarray], tuple[int, ...], NumberFormat]:
    """Return a bundle's bound network, its models, its weights in order, its output's shape and
    format.
    """
    info = read_manifest(bundle)["info"]
    try:
        with np.load(bundle / "weights.npz") as archive:
            weights = [np.ascontiguousarray(archive[name]) for name in info["weights"]]
        network = (bundle / "network.mlir").read_text()
        models = (bundle / "models.mlir").read_text()
        shape = tuple(int(size) for size in info["output_shape"])
    except (KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{bundle}: damaged ({error}); generate the bundle anew") from None
    return network, models, weights, shape, edge_formats(info)[1]


def software_outputs(
    bundle: Path, x: np.ndarray, progress: Callable[[int], None] | None = None
) -> np.ndarray:
    """Return uint32[n, words]: what the bundle's own network and models compute for `x`, by JIT."""
    network, models, weights, shape, format = _software(bundle)
    return kit.software_words(network, models, weights, x, shape, format, progress)


def compare_words(
    got: np.ndarray, expected: np.ndarray, format: NumberFormat = F32
) -> list[tuple[int, int]]:
    """Return the places (image, index) at which uint32[n, words] differ; NaN equals NaN.

    Args:
      format: of the words.
    """
    if got.shape != expected.shape:
        raise InputError(f"outputs of shape {got.shape} can't equal {expected.shape}")
    differ = got != expected
    if format.is_float:
        differ &= ~(format.is_nan(got) & format.is_nan(expected))
    return [(int(i), int(j)) for i, j in np.argwhere(differ)]
