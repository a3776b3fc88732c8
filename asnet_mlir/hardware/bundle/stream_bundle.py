# SPDX-License-Identifier: Apache-2.0
"""What a bundle of the streaming hardware holds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.hardware.bundle.manifest import predicted_cycles
from asnet_mlir.hardware.bundle.rom_images import (
    RomPart,
    array_words,
    rom_files,
    rom_image,
    rom_text,
)
from asnet_mlir.hardware.schedule import stream as streams
from asnet_mlir.hardware.schedule.registers import Registers

__all__ = ["contents"]


def contents(
    network: str,
    weights: Mapping[str, np.ndarray],
    attachments: Mapping[int, Mapping[str, Any]],
    top: str,
    lanes: Sequence[str],
    registers: Registers,
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Return the generated files of a bundle, and what its manifest says about them.

    Args:
      network: see `bundle.generate`.
      weights: as there.
      attachments: how each instance's core is attached.
      top: name of the top module.
      lanes: see `schedule.stream.parse_lanes`.
      registers: see `write_bundle`.

    Returns:
      Files by path; keys of the manifest, and `units`: the instances that are used, `counts`: how
      often each of them is built.

    Raises:
      InputError: a weight is missing or of the wrong size.
    """
    scheduled = streams.schedule(network, lanes, registers)
    made = json.loads(streams.hw_opt(scheduled, "all", top, attachments))
    files = {f"rtl/{file}": text.encode() for file, text in made["sv"].items()}
    memories: dict[str, dict[str, Any]] = {}
    layers = []
    counts: Counter[int] = Counter()

    def add_rom(parts: Sequence[RomPart], data: bytes) -> None:
        its_files, its_memories = rom_files(top, data, parts)
        files.update(its_files)
        memories.update(its_memories)

    for stage in made["stages"]:
        if "engine" in stage:
            for key, number in stage["engine"]["resources"].items():
                if key.startswith("unit_"):
                    counts[int(key.removeprefix("unit_"))] += number
            for number, parts in stage["roms"].items():
                operand = stage["operands"][int(number)]
                lane_count = 1 if operand["is_epilogue"] else stage["engine"]["lanes"]
                words = _operand_words(stage["engine"], operand, weights)
                data = rom_text(operand["weight"], words, 32 * lane_count)
                add_rom(parts, data)
            layers.append(_engine_entry(stage))
        else:
            machine = stage["machine"]
            counts.update(stage["units"])
            microcode = stage["microcode_hex"].encode()
            add_rom(stage["roms"]["microcode"], microcode)
            if machine["rom_words"]:
                data = rom_image(machine["memories"], weights)
                add_rom(stage["roms"]["weights"], data)
            files[f"rtl/{stage['module']}.lst"] = stage["microcode_listing"].encode()
            layers.append(_machine_entry(stage))
    output = made["stages"][-1]
    entries = {
        "kind": "stream",
        "lanes": list(lanes),
        "input_words": made["input_words"],
        "output_words": output["engine"]["outputs"]
        if "engine" in output
        else output["machine"]["output_words"],
        # The slowest stage decides; a word of the input takes a cycle.
        "predicted_cycles_per_sample": max(
            made["input_words"], *(entry["cycles"] for entry in layers)
        ),
        "layers": layers,
        "memories": memories,
        "units": [unit for unit in made["units"] if counts[unit["id"]]],
        "counts": counts,
    }
    return files, entries


def _engine_entry(stage: Mapping[str, Any]) -> dict[str, Any]:
    engine = stage["engine"]
    keys = (
        "cycles",
        "issue_cycles",
        "bound",
        "work",
        "depth",
        "interleave",
        "lanes",
        "outputs",
        "slots",
    )
    return {
        "layer": stage["layer"],
        "kind": "engine",
        "module": stage["module"],
        **{key: engine[key] for key in keys},
        "interval": engine.get("interval", 1),
        "resources": engine["resources"],
        "utilisation_bound": engine["work"] / (engine["bound"] * engine["lanes"]),
    }


def _machine_entry(stage: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "layer": stage["layer"],
        "kind": "machine",
        "module": stage["module"],
        "reason": stage["reason"],
        "cycles": predicted_cycles(stage["machine"]),
    }


def _operand_words(
    engine: Mapping[str, Any], operand: Mapping[str, Any], weights: Mapping[str, np.ndarray]
) -> list[int]:
    """Return the words of an operand's ROM; lane i of a word is in its bits 32 i and up."""
    name = operand["weight"]
    if name not in weights:
        raise InputError(f"no weight '{name}' was given; there are {', '.join(weights)}")
    source = array_words(weights[name], name)
    if operand["is_epilogue"]:
        if source.size != operand["words"]:
            raise InputError(
                f"weight '{name}' has {source.size} elements, the network wants {operand['words']}"
            )
        return [int(word) for word in source]
    ranges, strides = operand["ranges"], operand["strides"]
    place = np.full(tuple(ranges), operand["source_base"], np.int64)
    for axis, (size, stride) in enumerate(zip(ranges, strides, strict=True)):
        shape = [1] * len(ranges)
        shape[axis] = size
        place = place + (np.arange(size) * stride).reshape(shape)
    words = [0] * place.size
    lanes, stride = engine["lanes"], operand["lane_stride"]
    for lane in range(lanes):
        positions = place + lane * stride
        missing = np.zeros(place.shape, bool)
        if stride and lane >= engine["last_lanes"]:
            missing[..., -1] = True
        positions = np.where(missing, 0, positions)
        if positions.min() < 0 or positions.max() >= source.size:
            raise InputError(f"weight '{name}' has {source.size} elements, the network wants more")
        values = np.where(missing, 0, source[positions]).reshape(-1)
        for index, value in enumerate(values.tolist()):
            words[index] |= value << (32 * lane)
    return words
