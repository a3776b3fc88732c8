# SPDX-License-Identifier: Apache-2.0
"""What a bundle of the hardware of integers holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from asnet_mlir.hardware.bundle.rom_images import rom_files
from asnet_mlir.hardware.bundle.unit import CoreFiles
from asnet_mlir.hardware.integers.code_graph import read_graph
from asnet_mlir.hardware.integers.datapath import Unit
from asnet_mlir.hardware.integers.design import Stage, fed_stages, reads
from asnet_mlir.hardware.integers.sizing import Sizing, sized
from asnet_mlir.hardware.shell.options import WeightMemory

__all__ = ["contents"]


def contents(
    network: str,
    weights: Mapping[str, np.ndarray],
    cores: Mapping[int, CoreFiles],
    attachments: Mapping[int, Mapping[str, Any]],
    top: str,
    sizing: Sizing,
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Return the generated files of a bundle, and what its manifest says about them.

    See `stream_bundle.contents`.
    """
    units = {key: Unit(attachments[key], core.widths, core.latency) for key, core in cores.items()}
    graph = read_graph(network, weights)
    design = sized(graph, top, units, sizing)
    outside = [
        WeightMemory(stage.layer, tuple(fed.words()), fed.row_words, fed.room, reads(stage, fed))
        for stage, fed in fed_stages(design.stages)
    ]
    files = {path: text.encode() for path, text in design.files.items()}
    memories: dict[str, dict[str, Any]] = {}
    for rom in design.roms:
        digits = (rom.width + 3) // 4
        data = "".join(f"{word:0{digits}x}\n" for word in rom.words).encode()
        part = (f"{top}_{rom.name}.hex", 0, len(rom.words), 0, rom.width)
        own, described = rom_files(top, data, [part])
        files |= own
        memories |= described
    for stage, fed in fed_stages(design.stages):
        memories[f"{stage.name}_weights"] = {"words": fed.depth, "width": fed.width}
    layers = [_entry(stage, top, design.cycles) for stage in design.stages]
    entries = {
        "kind": "integers",
        "lanes": list(sizing.lanes),
        "input_words": design.input_words,
        "output_words": design.output_words,
        "predicted_cycles_per_sample": design.cycles,
        "predicted_area": {
            "dsp": design.area.counts(True),
            "soft": design.area.counts(False),
        },
        "layers": layers,
        "queues": dict(design.queues),
        "memories": memories,
        "units": [
            {"id": key, "op": cores[key].op, "latency": cores[key].latency}
            for key in sorted(cores)
            if design.counts.get(key)
        ],
        "counts": dict(design.counts),
        "outside": outside,
        "widths": (graph.input.bits, graph.output.bits),
    }
    return files, entries


def _entry(stage: Stage, top: str, cycles: int) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "layer": stage.layer,
        "module": f"{top}_{stage.name}",
        "cycles": stage.cycles,
    }
    window = stage.window
    if window is None or window.depth * window.pack == 1:
        return entry | {"kind": "stage"}
    return entry | {
        "kind": "engine",
        "depth": window.depth * window.pack,
        "lanes": window.lanes * window.pack,
        "outputs": window.outputs,
        "steps": window.steps,
        "work": window.work,
        "utilisation_bound": window.work / (cycles * window.lanes * window.pack),
    }
