"""The public verbs of the hardware side, in terms of networks, bindings and data sets."""

from __future__ import annotations

import re
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asnet_mlir import verilator
from asnet_mlir.binding import Binding
from asnet_mlir.compiler import bind_for_hardware, model_texts, to_approx
from asnet_mlir.cores import Core, Instance, ensure_checked, native_masks, parse_instance
from asnet_mlir.cores import netlist as netlists
from asnet_mlir.data import Dataset, load_data
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.frontends import Network, load_model
from asnet_mlir.hardware import (
    area,
    clock,
    data_files,
    iterative,
    kit,
    projects,
    stages,
    streams,
    verilog,
)
from asnet_mlir.hardware import bundle as bundles
from asnet_mlir.hardware import layers as layer_values
from asnet_mlir.hardware import simulate as simulation
from asnet_mlir.hardware import synth as synthesis
from asnet_mlir.progress import duration
from asnet_mlir.worker import in_mlir_process

__all__ = ["Comparison", "compare_words", "emit_hardware", "generate", "simulate", "synthesize"]

#: What `generate` can build.
STYLES = ("shared", "stream")

_SHOWN_DIFFERENCES = 10


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
        of cores allow.
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


@in_mlir_process
def generate(
    model: Any,
    binding: Any = None,
    *,
    output: str | Path,
    force: bool = False,
    style: str = "shared",
    lanes: Sequence[str] = (),
    clock_mhz: float | None = None,
    prefix: str | None = None,
    predict_area: bool = False,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Write the hardware of a network as a bundle.

    Args:
      model: whatever `load_model` takes.
      binding: which cores compute which ops, whatever `Binding.of` takes; the library's exact
        cores compute the rest.
      output: a folder that does not exist yet (or with `force`, a bundle to replace).
      style: one of `STYLES`: `shared`, one machine with a unit of each kind (least area); `stream`,
        an engine a layer (most throughput).
      lanes: of a stream: outputs that an engine computes at once, `"4"` for all layers or
        `"LAYER=4"`.  A layer gets no more than it has outputs that read the same inputs (filters,
        neurons); a pooling gets one.
      clock_mhz: the fewest pipeline stages are chosen with which each core, alone between registers
        on ECP5, reaches this clock: where the binding says nothing about the parameter that gives
        its latency.  Bits stay the same, cycles do not.
      prefix: the name of the top module, with which the names of all other modules and of the ROMs'
        files begin; by default the network's.
      predict_area: say roughly how many LUT4 it takes on ECP5: its cores are mapped alone by Yosys
        (seconds each, cached), what is around them is estimated.
      progress: is told of every stage of synthesis that begins, for the last two.

    Returns:
      The bundle's manifest; with `clock_mhz`, each instance has its `fmax_mhz` and what was chosen;
      with `predict_area`, `predicted_luts` has `cores`, `control` and `total` (not in the bundle).

    Raises:
      InputError: see `load_model`, `compile`; an unknown style, lanes that are no number or of no
        layer; or the folder exists: nothing in it is changed.  A core that does not reach the
        clock.
      UnsupportedError: the network has something that hardware can't do, named with its layer.
    """
    _check_style(style, lanes)
    parsed = streams.parse_lanes(lanes)
    if prefix is not None:
        bundles.check_name(prefix)
    if clock_mhz is not None:
        clock.check_clock(clock_mhz)
        bundles.check_output(output, force)  # before what takes long
    network = load_model(model)
    binding = network.complete(binding)
    ensure_checked(binding.instances.values())
    approx = to_approx(network, 1)
    text, instances = bind_for_hardware(approx, binding)
    clocks: dict[int, dict[str, Any]] = {}
    if clock_mhz is not None:
        found = clock.choose(
            binding,
            instances.values(),
            clock_mhz,
            lambda instance: synthesize(instance, progress=progress),
        )
        binding = found.binding
        ensure_checked([*binding.instances.values(), *found.exact.values()])
        text, instances = bind_for_hardware(approx, binding, found.exact)
        clocks = {key: found.entries[one.content_hash] for key, one in instances.items()}
    cores = {key: _unit_files(instance) for key, instance in instances.items()}
    manifest = bundles.generate(
        text,
        {weight.name: weight.value for weight in network.weights},
        cores,
        output,
        name=verilog.identifier(network.name) if prefix is None else prefix,
        force=force,
        models=model_texts(instances),
        info=_info(network, binding),
        style=style,
        lanes=parsed,
        clock_mhz=clock_mhz,
        clocks=clocks,
    )
    if predict_area:
        manifest["predicted_luts"] = area.predict_luts(manifest, cores, progress)
    return manifest


def _check_style(style: str, lanes: Sequence[str]) -> None:
    if style not in STYLES:
        raise InputError(f"unknown style '{style}'; styles are {', '.join(STYLES)}")
    if lanes and style != "stream":
        raise InputError(
            "lanes are for the style 'stream'; the shared machine has one of each unit"
        )


def emit_hardware(
    network: Network,
    binding: Binding,
    stage: str,
    style: str = "shared",
    lanes: Sequence[str] = (),
) -> str:
    """Return the text of a hardware stage, `scheduled`, `hw` or `sv`; see `generate`."""
    _check_style(style, lanes)
    parsed = streams.parse_lanes(lanes)
    text, instances = bind_for_hardware(to_approx(network, 1), binding)
    cores = {key: _unit_files(instance) for key, instance in instances.items()}
    attachments = {key: bundles.attachment(core, core.module) for key, core in cores.items()}
    name = verilog.identifier(network.name)
    if style == "stream":
        scheduled = streams.schedule(text, parsed)
        return (
            scheduled.complete_text
            if stage == "scheduled"
            else streams.hw_opt(scheduled, stage, name, attachments)
        )
    return stages.emit(text, stage, name, attachments)


@in_mlir_process
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
      data: whatever `load_data` takes; labels are not used.
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
    manifest = bundles.read_manifest(bundle)
    if not modified:
        bundles.check_files(bundle)
    vectors = kit.read_vectors(Path(bundle), manifest)
    dataset = load_data(data)
    if samples is not None:
        if samples < 1:
            raise InputError(f"the number of samples must be at least 1, not {samples}")
        dataset = dataset.head(samples)
    shape = manifest["info"].get("input_shape")
    if not isinstance(shape, list) or not all(isinstance(size, int) for size in shape):
        raise InputError(f"{bundle}: damaged (input_shape); generate the bundle anew")
    x = dataset.shaped(tuple(shape)).x
    say = progress or (lambda text, last: None)

    def counted(what: str) -> Callable[[int], None]:
        return lambda done: say(f"{what}: {done}/{len(x)} images", done == len(x))

    expected = software_outputs(Path(bundle), x, counted("software"))
    inputs = x.reshape(len(x), -1)
    if vectors is not None:
        inputs = np.concatenate([inputs, vectors.inputs.view(np.float32)])
    inside = None
    if layers:
        inside = _inside(Path(bundle), manifest)
    began = time.monotonic()

    def simulated(done: int, cycles: int) -> None:
        seconds = time.monotonic() - began
        left = f", {duration(seconds / done * (len(inputs) - done))} left" if done else ""
        say(f"{done}/{len(inputs)} images, {cycles / seconds:,.0f} cycles/s{left}", False)

    result = simulation.simulate(
        bundle,
        inputs,
        stall_seed=stall_seed,
        reset_cycle=reset_cycle,
        layers=inside,
        trace=trace,
        trace_cycles=trace_cycles,
        progress=simulated if progress else None,
    )
    different = compare_words(result.outputs[: len(x)], expected)
    wrong = [] if vectors is None else compare_words(result.outputs[len(x) :], vectors.outputs)
    lines = [
        f"image {image}, output {index}: hardware {result.outputs[image, index]:08x}, software "
        f"{expected[image, index]:08x}"
        for image, index in different[:_SHOWN_DIFFERENCES]
    ]
    if len(different) > len(lines):
        lines.append(f"... and {len(different) - len(lines)} more")
    if vectors is not None:
        got = result.outputs[len(x) :]
        lines += [
            f"vector {vector}, output {index}: hardware {got[vector, index]:08x}, stated "
            f"{vectors.outputs[vector, index]:08x}"
            for vector, index in wrong[:_SHOWN_DIFFERENCES]
        ]
        if len(wrong) > _SHOWN_DIFFERENCES:
            lines.append(f"... and {len(wrong) - _SHOWN_DIFFERENCES} more")
    engines = simulation.engines(manifest)
    busy = [
        cycles + layer.get("interval", 1) - 1
        for layer, cycles in zip(engines, result.busy_cycles, strict=True)
    ]
    used = [
        {
            "layer": layer["layer"],
            "work": layer["work"],
            "busy_cycles": cycles,
            "utilisation": layer["work"] / (cycles * layer["lanes"]),
            "utilisation_bound": layer["utilisation_bound"],
        }
        for layer, cycles in zip(engines, busy, strict=True)
        # Elementwise layers go on as their inputs come.
        if layer["depth"] > 1
    ]
    return Comparison(
        len(x),
        len(different),
        result.cycles_per_sample,
        result.latency_cycles,
        tuple(lines),
        tuple(used),
        tuple(layer_values.summary(inside.values, result.mismatches)) if inside else (),
        _located(inside, result.first) if inside and result.first else None,
        result.traced_cycles,
        0 if vectors is None else len(vectors.inputs),
        len(wrong),
    )


def _inside(bundle: Path, manifest: Mapping[str, Any]) -> layer_values.Layers:
    """Return what a bundle's layers should compute."""
    network, models, weights, _ = _software(bundle)
    if manifest.get("kind") != "stream":
        return layer_values.machine_layers(network, models, weights, manifest.get("buffers", ()))
    lanes = manifest.get("lanes")
    if not isinstance(lanes, list):
        raise InputError(f"{bundle}: does not say its lanes; generate the bundle anew")
    return layer_values.stream_layers(network, models, weights, lanes, manifest["layers"])


def _located(inside: layer_values.Layers, first: simulation.Difference) -> dict[str, Any]:
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


def _software(bundle: Path) -> tuple[str, str, list[np.ndarray], tuple[int, ...]]:
    """Return a bundle's bound network, its models, its weights in order and its output's shape."""
    info = bundles.read_manifest(bundle)["info"]
    try:
        with np.load(bundle / "weights.npz") as archive:
            weights = [np.ascontiguousarray(archive[name]) for name in info["weights"]]
        network = (bundle / "network.mlir").read_text()
        models = (bundle / "models.mlir").read_text()
        shape = tuple(int(size) for size in info["output_shape"])
    except (KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{bundle}: damaged ({error}); generate the bundle anew") from None
    return network, models, weights, shape


def software_outputs(
    bundle: Path, x: np.ndarray, progress: Callable[[int], None] | None = None
) -> np.ndarray:
    """Return uint32[n, words]: what the bundle's own network and models compute for `x`, by JIT."""
    network, models, weights, shape = _software(bundle)
    return kit.software_words(network, models, weights, x, shape, progress)


def compare_words(got: np.ndarray, expected: np.ndarray) -> list[tuple[int, int]]:
    """Return the places (image, index) at which uint32[n, words] differ; NaN equals NaN."""
    if got.shape != expected.shape:
        raise InputError(f"outputs of shape {got.shape} can't equal {expected.shape}")
    nan = np.isnan(got.view(np.float32)) & np.isnan(expected.view(np.float32))
    return [(int(i), int(j)) for i, j in np.argwhere((got != expected) & ~nan)]


def synthesize(
    design: str | Path | Instance,
    *,
    target: str = "ecp5",
    seed: int = 1,
    seeds: int = 1,
    dsp: bool = False,
    route: bool = True,
    device: str | None = None,
    liberty: str | Path | None = None,
    activity: float | None = None,
    clock_mhz: float = 100.0,
    project: str | Path | None = None,
    modified: bool = False,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Return area and clock frequency of a bundle, or of a core between registers.

    Args:
      design: a bundle's folder, a core's text (`fmul_trunc:P=20`) or an instance.
      target: `ecp5` (Yosys and nextpnr), or without place and route, so without a clock frequency
        but with the delay of the cells: `cyclonev`, `xilinx7`, `asic`; or of a bundle, by the
        vendor's tool where it is in PATH: `quartus`, `vivado`.
      seed: of place and route; the first of them.
      seeds: how many are placed; the clock is the median.
      dsp: let multipliers use the device's DSP blocks; by default they are soft logic, where
        approximation saves area.
      route: without, the design is only mapped: quicker, and there is no clock frequency.
      device: of ECP5: `25k`, `45k` or `85k`; by default the smallest with room.  Of a vendor's
        tool: its name there; by default a Cyclone V 5CSEMA5F31C6, an Artix-7 xc7a100tcsg324-1.
      liberty: the gates of an ASIC library.
      activity: of an ASIC: changes of every net in a cycle; with it, OpenSTA reports the power at
        `clock_mhz`.
      project: the folder of a vendor's project; by default `DIR-quartus` beside the bundle.
      modified: take a bundle whose files are not those that were generated.
      progress: is told of every stage that begins.

    Returns:
      See `asnet_mlir.hardware.synth.synthesize`; of a vendor's tool,
      `asnet_mlir.hardware.projects.synthesize`.

    Raises:
      InputError: neither a bundle nor a core; a bundle that was changed; an unknown target or
        device; too large a design; a project's folder that exists.
      ToolError: a tool failed, or a ROM was lost on the way.
    """
    if target in projects.VENDOR_TARGETS:
        if isinstance(design, Instance) or not Path(design).is_dir():
            raise InputError(f"target {target} takes a bundle's folder, not '{design}'")
        if liberty is not None or activity is not None:
            raise InputError(f"target {target} takes no liberty file and no activity; asic does")
        if seeds != 1 or not route:
            raise InputError(f"target {target} places once, as the project says")
        if not modified:
            bundles.check_files(design)
        return projects.synthesize(
            Path(design),
            target,
            project=None if project is None else Path(project),
            device=device,
            dsp=dsp,
            **({"progress": progress} if progress else {}),
        )
    if project is not None:
        vendors = " and ".join(projects.VENDOR_TARGETS)
        raise InputError(f"target {target} writes no project; {vendors} do")
    what: Path | bundles.CoreFiles
    if isinstance(design, Instance):
        what = _core_files(design)
    elif Path(design).is_dir():
        what = Path(design)
        if not modified:
            bundles.check_files(what)
    else:
        what = _core_files(parse_instance(str(design)))
    return synthesis.synthesize(
        what,
        target,
        seeds=range(seed, seed + seeds),
        dsp=dsp,
        route=route,
        device=device,
        liberty=liberty,
        activity=activity,
        clock_mhz=clock_mhz,
        **({"progress": progress} if progress else {}),
    )


def _unit_files(instance: Instance) -> bundles.CoreFiles:
    """Return an instance as hardware has it: an iterative core in its adapter."""
    files = _core_files(instance)
    if not instance.core.is_stateful:
        return files
    return iterative.adapted(files, instance.unit_latency, instance.unit_interval)


def _core_files(instance: Instance) -> bundles.CoreFiles:
    core = instance.core
    # Before the language: a data file that is missing is no matter of keywords.
    sources, data = _sources(core)
    netlists.check_systemverilog(instance)
    widths = _widths(instance) if core.ports.tied or core.format != "f32" else {}
    tied = core.ports.tied
    roles: dict[str, Any] = {}
    if core.is_stateful:
        roles = {
            "interval": instance.interval,
            "reset": core.ports.reset,
            "reset_active_low": core.ports.reset_active_low,
        }
        for role in ("start", "done", "busy", "ready", "start_b", "ready_b"):
            roles[role] = getattr(core.ports, role)
        tied.pop(core.ports.reset or "", None)
    return bundles.CoreFiles(
        op=core.op or "",
        module=core.module,
        sources=sources,
        data=data,
        parameters=dict(instance.parameters),
        latency=instance.latency,
        # An exact core behind masks gives the exact core's NaN.
        canonical_nan=native_masks(instance) is not None,
        a=core.ports.a,
        b=core.ports.b,
        result=core.ports.result,
        clock=core.ports.clock,
        widths=(32, 32, 32)
        if core.format == "f32"
        else (widths[core.ports.a], widths[core.ports.b], widths[core.ports.result]),
        tied={name: (widths[name], value) for name, value in tied.items()},
        label=instance.label,
        **roles,
        license=core.license,
        reference=core.reference,
    )


def _widths(instance: Instance) -> dict[str, int]:
    """Return the bits of each port."""
    core = instance.core
    interface = netlists.read_interface(
        core.sources,
        core.module,
        includes=core.includes,
        parameters=dict(instance.parameters),
    )
    return {port.name: port.width for port in interface.ports}


def _sources(core: Core) -> tuple[tuple[data_files.File, ...], tuple[data_files.File, ...]]:
    """Return name and text of each of a core's files, such that they can stand beside others.

    The second ones are what its memories are read from.

    Macros would reach from one core into the next, and included files would be missing: a core that
    has such things becomes one file without them, of all its files in the order they are read.
    """
    path = core.sources[0].path
    files = [
        (re.sub(r"[^\w.-]", "_", source.path.name, flags=re.ASCII), source.text)
        for source in core.sources
    ]
    several = len(files) > 1
    if any(
        verilog.directives(text) or (several and "`default_nettype" in text) for _, text in files
    ):
        with tempfile.TemporaryDirectory(prefix="asnet-verilog-") as name:
            # A suffix says the language: names that are keywords of the other one stay names.
            suffixes = [".v" if s.path.suffix == ".v" else ".sv" for s in core.sources]
            names = [f"f{number}{suffix}" for number, suffix in enumerate(suffixes)]
            for copy, (_, text) in zip(names, files, strict=True):
                (Path(name) / copy).write_text(text, encoding="utf-8")
            text = verilator.preprocess(
                names,
                includes=core.include_folders,
                cwd=Path(name),
                purpose=f"expanding the macros of {path}",
            )
        files = [(files[0][0], text)]
        left = verilog.directives(text)
        if left:
            raise UnsupportedError(
                f"{path}: {core.name} uses {min(left)}, whose effect would reach other cores of a "
                "bundle; remove it"
            )
    return data_files.placed(core, files)


def _info(network: Network, binding: Binding) -> Mapping[str, Any]:
    return {
        "network": network.name,
        "binding": binding.to_json(),
        "input_shape": list(network.input_shape),
        "output_shape": list(network.output_shape),
        "weights": [weight.name for weight in network.weights],
    }
