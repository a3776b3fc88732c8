# SPDX-License-Identifier: Apache-2.0
"""The public verbs of the hardware side, in terms of networks, bindings and data sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from asnet_mlir.binding import Binding
from asnet_mlir.compiler import bind, bind_for_hardware, model_texts, to_approx
from asnet_mlir.cores import Instance, ensure_checked
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.frontends import load_model
from asnet_mlir.hardware.bundle import systemverilog as verilog
from asnet_mlir.hardware.bundle.core_files import unit_files
from asnet_mlir.hardware.bundle.manifest import check_name
from asnet_mlir.hardware.bundle.unit import attachment
from asnet_mlir.hardware.bundle.write import check_output, write_bundle
from asnet_mlir.hardware.integers.codes import codes_of, is_on_codes
from asnet_mlir.hardware.integers.sizing import MOST_MHZ, Sizing
from asnet_mlir.hardware.integers.weight_memories import WeightSources
from asnet_mlir.hardware.schedule import shared
from asnet_mlir.hardware.schedule import stream as streams
from asnet_mlir.hardware.shell.options import PLAIN, Shell
from asnet_mlir.hardware.synthesis import area, clock
from asnet_mlir.hardware.synthesis.needs import needs_of
from asnet_mlir.hardware.synthesis.synthesize import synthesize
from asnet_mlir.hardware.synthesis.targets import ecp5_misfit, ecp5_multipliers
from asnet_mlir.network import Network
from asnet_mlir.support.formats import F32
from asnet_mlir.support.parts import Parts
from asnet_mlir.worker import in_mlir_process

__all__ = ["emit_hardware", "generate"]

#: What `generate` can build.
STYLES = ("shared", "stream")


@in_mlir_process(load=load_model)
def generate(
    model: Any,
    binding: Any = None,
    *,
    output: str | Path,
    force: bool = False,
    style: str | None = None,
    lanes: Sequence[str] = (),
    target_fps: float | None = None,
    fit: str | None = None,
    dsp: bool = False,
    clock_mhz: float | None = None,
    prefix: str | None = None,
    predict_area: bool = False,
    device: str | None = None,
    stream_width: int | None = None,
    argmax: bool = False,
    ports: str = "plain",
    control: bool = False,
    weights_from: Sequence[str] = (),
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Write the hardware of a network as a bundle.

    Args:
      model: whatever `load_model` takes.
      binding: which cores compute which ops, whatever `Binding.of` takes; the library's exact
        cores compute the rest.
      output: a folder that does not exist yet (or with `force`, a bundle to replace).
      style: one of `STYLES`: `shared`, one machine with a unit of each kind (least area); `stream`,
        an engine a layer (most throughput), the only one of networks on integer codes.  By default
        `shared`, for codes `stream`.
      lanes: of a stream: outputs that an engine computes at once, `"4"` for all layers or
        `"LAYER=4"`.  A layer gets no more than it has outputs that read the same inputs (filters,
        neurons); a pooling gets one, on integer codes as many as it has channels.
      target_fps: of networks on integer codes: the fewest lanes of each layer with which so many
        images a second go through at the clock (100 MHz where none is asked for); `lanes` give
        those of single layers.
      fit: of networks on integer codes: the lanes with which most images a second go through of all
        that fit an ECP5 device, `25k`, `45k` or `85k`, by what `predict_area` says.
      dsp: exact products of codes are for the device's multipliers, for `fit` and `predict_area`;
        with a `device` or one to `fit`, terms beyond its multipliers are in logic.
      clock_mhz: the fewest pipeline stages are chosen with which each core, alone between registers
        on ECP5, reaches this clock and, if it can, a tenth more: where the binding says nothing
        about the parameter that gives its latency.  Bits stay the same, cycles do not.  Engines on
        integer codes have registers for up to 120 MHz always.
      prefix: the name of the top module, with which the names of all other modules and of the ROMs'
        files begin; by default the network's.
      predict_area: say roughly how many LUT4 it takes on ECP5: its cores are mapped alone by Yosys
        (seconds each, cached), what is around them is estimated; on integer codes also how many
        multipliers and block RAMs.
      device: of ECP5, `25k`, `45k` or `85k`: say whether the bundle fits it.
      stream_width: bits of a word of both streams, 8, 16 or 32: as many numbers a word as fit.
      argmax: answers are indices of the greatest number of the output's last axis, the first one
        where several are.
      ports: `plain` (`clk`, `rst`) or `vivado` (`aclk`, `aresetn`).
      control: add registers behind an AXI4-Lite port.
      weights_from: of networks on integer codes: `"rom"`; `"load"`, RAM that is loaded through a
        port; `"stream"`, external memory that is read through an AXI4 port; or `"LAYER=MODE"`.
      progress: is told of every step of synthesis that begins, for the last two.

    Returns:
      The bundle's manifest; with `clock_mhz`, each instance has its `fmax_mhz` and what was chosen;
      with `predict_area`, `predicted_luts` has `cores`, `control` and `total` (not in the bundle);
      `needs` is what `synthesis.needs.needs_of` returns (not in the bundle).

    Raises:
      InputError: see `load_model`, `compile`; an unknown style, lanes that are no number or of no
        layer, a rate that no lanes reach, or a device that is too small; or the folder exists:
        nothing in it is changed.  A core that does not reach the clock.
      UnsupportedError: the network has something that hardware can't do, named with its layer.
    """
    _check_style(style)
    shell = Shell(stream_width, argmax, ports, control, WeightSources(weights_from).mode)
    parsed: Sequence[str] = streams.parse_lanes(lanes)
    misfit = None if fit is None else partial(ecp5_misfit, fit)
    named = [one for one in (fit, device) if one is not None]
    multipliers = min(map(ecp5_multipliers, named), default=None)
    sizing = Sizing(
        tuple(lanes), target_fps, clock_mhz, tuple(weights_from), misfit, dsp, multipliers
    )
    if prefix is not None:
        check_name(prefix)
    if clock_mhz is not None:
        clock.check_clock(clock_mhz)
        check_output(output, force)  # before what takes long
    network = load_model(model)
    _check_parts(network, shell)
    binding = network.complete(binding)
    ensure_checked(binding.instances.values())
    style = _style_of(network, style, sizing)
    if style != "integers" and shell.weights != "rom":
        raise UnsupportedError(
            f"{network.name}: weights outside of the hardware are those of networks on codes"
        )
    if style == "integers":
        network = codes_of(network)
    approx = to_approx(network, 1)
    text, instances = _bound(style, approx, binding)
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
        text, instances = _bound(style, approx, binding, found.exact)
        clocks = {key: found.entries[one.content_hash] for key, one in instances.items()}
    cores = {key: unit_files(instance) for key, instance in instances.items()}
    if fit is not None:
        luts = {key: area.core_luts(core, progress) for key, core in cores.items()}
        sizing = replace(sizing, core_luts=luts)
    manifest = write_bundle(
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
        sizing=sizing,
        clock_mhz=clock_mhz,
        clocks=clocks,
        registers=clock.registers(clock_mhz),
        shell=shell,
    )
    if predict_area:
        manifest["predicted_luts"] = area.predict_luts(manifest, cores, progress, dsp)
    return manifest | {"needs": needs_of(output, manifest, device)}


def _bound(
    style: str, approx: str, binding: Binding, exact: Mapping[str, Instance] | None = None
) -> tuple[str, dict[int, Instance]]:
    """Return a network with its instances; on codes, what no rule reaches has no core."""
    if style == "integers":
        return bind(approx, binding), dict(binding.instances)
    return bind_for_hardware(approx, binding, exact)


def _style_of(network: Network, style: str | None, sizing: Sizing) -> str:
    """Return the style of a network's hardware, `integers` for networks on codes.

    Raises:
      InputError: lanes are asked of a machine that has none, or a rate of floats, or a clock that
        engines on codes don't reach.
      UnsupportedError: networks on codes have no such hardware.
    """
    if not is_on_codes(network):
        if sizing.images_per_second is not None or sizing.misfit is not None:
            raise InputError(
                f"{network.name} takes {network.input_format.name}: rates and devices to fill are "
                "for networks that take integer codes, as those do that were quantized with bytes"
            )
        if sizing.lanes and style in (None, "shared"):
            raise InputError(
                "lanes are for the style 'stream'; the shared machine has one of each unit"
            )
        return style or "shared"
    if style == "shared":
        raise UnsupportedError(
            f"{network.name}: networks on integer codes have hardware of the style 'stream' only"
        )
    if sizing.clock_mhz is not None and sizing.clock_mhz > MOST_MHZ:
        raise InputError(
            f"{network.name}: engines on integer codes are made for {MOST_MHZ:g} MHz on ECP5 at "
            f"most, not {sizing.clock_mhz:g}"
        )
    return "integers"


def _check_style(style: str | None) -> None:
    if style is not None and style not in STYLES:
        raise InputError(f"unknown style '{style}'; styles are {', '.join(STYLES)}")


def emit_hardware(
    network: Network,
    binding: Binding,
    form: str,
    style: str | None = None,
    lanes: Sequence[str] = (),
) -> str:
    """Return the text of a hardware form, `scheduled`, `hw` or `sv`; see `generate`."""
    _check_style(style)
    _check_parts(network, PLAIN)
    parsed = streams.parse_lanes(lanes)
    if _style_of(network, style, Sizing(tuple(lanes))) == "integers":
        raise UnsupportedError(
            f"{network.name}: hardware on integer codes has no form '{form}'; "
            "'asnet generate' writes its SystemVerilog"
        )
    text, instances = bind_for_hardware(to_approx(network, 1), binding)
    cores = {key: unit_files(instance) for key, instance in instances.items()}
    attachments = {key: attachment(core, core.module) for key, core in cores.items()}
    name = verilog.identifier(network.name)
    if style == "stream":
        scheduled = streams.schedule(text, parsed)
        return (
            scheduled.complete_text
            if form == "scheduled"
            else streams.hw_opt(scheduled, form, name, attachments)
        )
    return shared.emit(text, form, name, attachments)


def _info(network: Network, binding: Binding) -> Mapping[str, Any]:
    edges = {"input_format": network.input_format, "output_format": network.output_format}
    return {
        "network": network.name,
        "binding": binding.to_json(),
        "input_shape": list(network.input_shape),
        "output_shape": list(network.output_shape),
        "weights": [weight.name for weight in network.weights],
        **{edge: format.name for edge, format in edges.items() if format != F32},
        **{edge: parts.placed() for edge, parts in _several(network).items()},
    }


def _several(network: Network) -> dict[str, Parts]:
    """Return the parts of the network's frames, where there are several."""
    edges = {"inputs": network.inputs, "outputs": network.outputs}
    return {edge: parts for edge, parts in edges.items() if parts is not None}


def _check_parts(network: Network, shell: Shell) -> None:
    """Refuse what hardware has of one output only.

    Raises:
      InputError: there is an argmax of several outputs.
    """
    if shell.argmax and network.outputs is not None:
        raise InputError(
            f"{network.name}: argmax is of one output; the network has {network.outputs}"
        )
