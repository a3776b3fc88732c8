# SPDX-License-Identifier: Apache-2.0
"""`asnet generate`: a network as a bundle of SystemVerilog."""

from __future__ import annotations

import sys
from typing import Any

import asnet_mlir
from asnet_mlir.cli.arguments import (
    Verbs,
    add_style,
    add_verb,
    binding_arguments,
    binding_of,
    integer,
    model_of,
    network_arguments,
    number,
)
from asnet_mlir.cli.printing import print_json

__all__ = ["add"]


def add(verbs: Verbs) -> None:
    """Add the verb with its arguments."""
    command = add_verb(
        verbs,
        "generate",
        run,
        "the network as a bundle of SystemVerilog",
        network_arguments(),
        binding_arguments(),
    )
    add_style(command)
    command.add_argument("-o", "--output", required=True, metavar="DIR", help="a new folder")
    command.add_argument("--force", action="store_true", help="replace an existing folder")
    command.add_argument(
        "--prefix",
        metavar="NAME",
        help="name of the top module, with which all other names begin (default: the network's)",
    )
    command.add_argument(
        "--target-fps",
        type=number,
        metavar="F",
        help="of networks on integer codes: the fewest lanes of each layer for F images a second "
        "at the clock (100 MHz unless --clock-mhz is given)",
    )
    command.add_argument(
        "--fit",
        metavar="DEVICE",
        help="of networks on integer codes: the lanes with which the network is fastest of all "
        "that fit ECP5 25k, 45k or 85k",
    )
    command.add_argument(
        "--dsp",
        action="store_true",
        help="exact products of codes are for multipliers, in --fit and --predict-area; more than "
        "--device or --fit has are in logic",
    )
    command.add_argument(
        "--clock-mhz",
        type=number,
        metavar="F",
        help="give each core the fewest pipeline stages for F MHz on ECP5, a tenth to spare alone",
    )
    command.add_argument(
        "--stream-width",
        type=integer,
        metavar="N",
        help="bits of a word of both streams: 8, 16 or 32, as many numbers a word as fit",
    )
    command.add_argument(
        "--argmax",
        action="store_true",
        help="answer with the index of the greatest number, as the evaluator counts classes",
    )
    command.add_argument(
        "--ports",
        metavar="STYLE",
        default="plain",
        help="plain: clk and rst (default); vivado: aclk and aresetn, which resets while it is 0",
    )
    command.add_argument(
        "--control",
        action="store_true",
        help="registers behind an AXI4-Lite port: run, state, wrong frames, cycles, version",
    )
    command.add_argument(
        "--weights-from",
        action="append",
        default=[],
        metavar="[LAYER=]MODE ..",
        help="of networks on integer codes: rom (default); load: RAM, loaded through a port; "
        "stream: external memory, read through an AXI4 port",
    )
    command.add_argument(
        "--predict-area",
        action="store_true",
        help="say roughly how many LUT4 of ECP5 it takes; maps each core alone",
    )
    command.add_argument(
        "--device",
        metavar="NAME",
        help="say whether it fits this ECP5: 25k, 45k or 85k (its LUTs with --predict-area)",
    )


def run(options: Any) -> None:
    """Carry the verb out."""
    from asnet_mlir.support.progress import ProgressLine

    line = ProgressLine()
    try:
        manifest = asnet_mlir.generate(
            model_of(options.model, options.weights, options.module),
            binding_of(options),
            output=options.output,
            force=options.force,
            style=options.style,
            lanes=options.lanes,
            target_fps=options.target_fps,
            fit=options.fit,
            dsp=options.dsp,
            clock_mhz=options.clock_mhz,
            prefix=options.prefix,
            predict_area=options.predict_area,
            device=options.device,
            stream_width=options.stream_width,
            argmax=options.argmax,
            ports=options.ports,
            control=options.control,
            weights_from=options.weights_from,
            progress=None if options.json and not sys.stderr.isatty() else line.show,
        )
    finally:
        line.close()
    if options.json:
        print_json(manifest)
    else:
        _print_manifest(manifest, options)


def _print_manifest(manifest: Any, options: Any) -> None:
    """Say what a bundle holds."""
    print(f"bundle written to {options.output}")
    _print_needs(manifest["needs"], has_luts=options.predict_area)
    outside = manifest.get("outside_weights")
    if outside is not None:
        words = sum(memory["words"] for memory in outside["memories"])
        print(f"weights outside: {4 * words:,} bytes, {outside['file']}")
    if outside is not None and "bytes_per_sample" in outside:
        print(
            f"  {outside['bytes_per_sample']:,} bytes of them an image, "
            f"{outside['bytes_per_cycle']:.2f} a cycle of 4 that the port brings"
        )
    if options.predict_area:
        luts = manifest["predicted_luts"]
        print(f"about {luts['total']} LUT4 on ECP5, {luts['cores']} of them in cores")
        if "dsps" in luts:
            print(f"  {luts['dsps']} multipliers, {luts['brams']} block RAMs")
    if options.clock_mhz is not None:
        for entry in manifest["instances"]:
            print(
                f"  {entry['op']}: {entry['core']}, {entry['latency']} cycles"
                + (f", {entry['fmax_mhz']} MHz alone" if entry["fmax_mhz"] else "")
            )
    for entry in manifest["layers"]:
        name = entry["layer"] or entry.get("module", "")  # what takes inputs apart is no layer
        if entry.get("kind") == "engine" and "interleave" not in entry:
            print(
                f"  {name}: {entry['cycles']} cycles, {entry['lanes']} terms at once, "
                f"used {entry['utilisation_bound']:.1%} of the time"
            )
        elif entry.get("kind") == "engine":
            print(
                f"  {name}: {entry['cycles']} cycles, the order of the sums demands "
                f"{entry['bound']}; {entry['lanes']} lanes, {entry['interleave']} outputs in turn"
            )
        elif entry.get("kind") == "machine":
            print(f"  {name}: {entry['cycles']} cycles, by the sequential machine")


def _print_needs(needs: Any, has_luts: bool) -> None:
    """Say what a bundle needs before synthesis, and whether a device has it."""
    print(
        f"throughput: {needs['cycles_per_sample']} cycles an image, "
        f"{needs['seconds_per_sample']:.3g} s at {needs['clock_mhz']:g} MHz (predicted)"
    )
    print(
        f"latency: at most {needs['latency_cycles']} cycles, {needs['seconds_latency']:.3g} s "
        "(predicted)"
    )
    print(
        f"needs {needs['memory_bits']:,} bits of memory, about {needs['block_rams']} block RAMs of "
        f"18 kbit, {needs['multipliers']} multiplying cores"
    )
    if "device" in needs:
        fit = needs["device"]
        if fit["fits"]:
            without = "" if has_luts else " (LUTs not counted: --predict-area)"
            print(f"fits ECP5 {fit['name']}{without}")
        else:
            advice = f"it fits {fit['larger']}" if fit["larger"] else "no larger one has it"
            print(f"does not fit ECP5 {fit['name']}: {fit['excess']}; {advice}")
