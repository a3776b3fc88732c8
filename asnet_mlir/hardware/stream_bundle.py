"""What a bundle of the streaming hardware holds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.hardware import streams
from asnet_mlir.hardware.rom import RomPart, array_words, rom_files, rom_image, rom_text

__all__ = ["contents"]


def contents(
    network: str,
    weights: Mapping[str, np.ndarray],
    attachments: Mapping[int, Mapping[str, Any]],
    top: str,
    lanes: Sequence[str],
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Return the generated files of a bundle, and what its manifest says about them.

    Args:
      network: see `bundle.generate`.
      weights: as there.
      attachments: how each instance's core is attached.
      top: name of the top module.
      lanes: see `streams.parse_lanes`.

    Returns:
      Files by path; keys of the manifest, and `units`: the instances that are used.

    Raises:
      InputError: a weight is missing or of the wrong size.
    """
    made = json.loads(streams.hw_opt(streams.schedule(network, lanes), "all", top, attachments))
    files = {f"rtl/{file}": text.encode() for file, text in made["sv"].items()}
    memories: dict[str, dict[str, Any]] = {}
    layers = []
    used: set[int] = set()

    def add_rom(parts: Sequence[RomPart], data: bytes) -> None:
        its_files, its_memories = rom_files(data, parts)
        files.update(its_files)
        memories.update(its_memories)

    for stage in made["stages"]:
        used |= set(stage["units"])
        if "engine" in stage:
            for number, parts in stage["roms"].items():
                operand = stage["operands"][int(number)]
                lane_count = 1 if operand["is_epilogue"] else stage["engine"]["lanes"]
                words = _operand_words(stage["engine"], operand, weights)
                data = rom_text(operand["weight"], words, 32 * lane_count)
                add_rom(parts, data)
            layers.append(_engine_entry(stage))
        else:
            machine = stage["machine"]
            microcode = stage["microcode_hex"].encode()
            add_rom(stage["roms"]["microcode"], microcode)
            if machine["rom_words"]:
                data = rom_image(machine["memories"], weights)
                add_rom(stage["roms"]["weights"], data)
            files[f"rtl/{stage['module']}.lst"] = stage["microcode_listing"].encode()
            layers.append(_machine_entry(stage))
    engines = [entry for entry in layers if entry["kind"] == "engine"]
    observed = _observed(top, engines)
    files["tb/observed.sv"] = observed.encode()
    output = made["stages"][-1]
    entries = {
        "kind": "stream",
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
        "units": [unit for unit in made["units"] if unit["id"] in used],
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
        "resources": engine["resources"],
        "utilisation_bound": engine["work"] / (engine["bound"] * engine["lanes"]),
    }


def _machine_entry(stage: Mapping[str, Any]) -> dict[str, Any]:
    from asnet_mlir.hardware.bundle import predicted_cycles

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


def _observed(top: str, engines: Sequence[Mapping[str, Any]]) -> str:
    """Return the top module of the test bench: the hardware, and which engines issue."""
    count = max(len(engines), 1)
    taps = "\n".join(
        f"  assign issue[{number}] = dut.{entry['module'].removeprefix(top + '_')}.issue;"
        for number, entry in enumerate(engines)
    )
    return f"""// The hardware with a look inside: which engines begin a step in this cycle.
module asnet_observed (
  input  logic        clk,
  input  logic        rst,
  input  logic [31:0] s_axis_tdata,
  input  logic        s_axis_tvalid,
  input  logic        s_axis_tlast,
  output logic        s_axis_tready,
  output logic [31:0] m_axis_tdata,
  output logic        m_axis_tvalid,
  output logic        m_axis_tlast,
  input  logic        m_axis_tready,
  output logic        frame_error,
  output logic [{count - 1}:0] issue
);
  {top} dut (
    .clk(clk), .rst(rst),
    .s_axis_tdata(s_axis_tdata), .s_axis_tvalid(s_axis_tvalid), .s_axis_tlast(s_axis_tlast),
    .s_axis_tready(s_axis_tready), .m_axis_tdata(m_axis_tdata), .m_axis_tvalid(m_axis_tvalid),
    .m_axis_tlast(m_axis_tlast), .m_axis_tready(m_axis_tready), .frame_error(frame_error)
  );
{taps or "  assign issue = '0;"}
endmodule
"""
