# SPDX-License-Identifier: Apache-2.0
"""What an engine is, and pieces of SystemVerilog that engines of all kinds are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from asnet_mlir.hardware.integers.datapath import Rom
from asnet_mlir.hardware.integers.parts_area import NOTHING, Area
from asnet_mlir.hardware.integers.queues import queue_text
from asnet_mlir.hardware.integers.scalars import Interval
from asnet_mlir.hardware.integers.weight_memories import Fed

__all__ = ["Engine", "delayed", "power", "resting", "results_queue", "rom_text"]


@dataclass(frozen=True)
class Engine:
    """A module that takes codes and gives codes.

    Attributes:
      module: its name; ports are `x0_i`, .., `y_o`, each with valid and ready.
      text: it.
      parts: modules that it instantiates, by name.
      fed: its weights, where they lie outside.
      result: bounds of what it gives.
      roms: their contents.
      units: how often each bound core is in it.
      latency: cycles from its last input to an output, roughly.
      interval: cycles from an output to the next one, where it is computed serially.
      area: of it, cores left out.
      term: of that, each of the terms that it computes at once, where it has loops.
    """

    module: str
    text: str
    result: Interval
    roms: tuple[Rom, ...]
    units: Mapping[int, int] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)
    latency: int = 0
    interval: int = 1
    fed: Fed | None = None
    area: Area = NOTHING
    term: Area = NOTHING


def rom_text(design: str, rom: Rom, address: str, bits: int, output: str) -> str:
    """Return the instance of a ROM, whose word at `address` is the net `output`."""
    return (
        f"  {design}_rom #(.Words({len(rom.words)}), .Width({rom.width}), .AddressBits({bits}),\n"
        f'    .Folder(RomFolder), .File("{design}_{rom.name}.hex")) rom_{output} (\n'
        f"    .clk_i(clk_i), .address_i({address}), .data_o({output})\n  );\n"
    )


def delayed(name: str, source: str, cycles: int, resets: bool = True) -> str:
    """Return a shift register of a bit; `NAME` is the bit `cycles` later."""
    if cycles == 0:
        return f"  logic {name};\n  assign {name} = {source};\n"
    value = source if cycles == 1 else f"{{{name}_q[{cycles - 2}:0], {source}}}"
    reset = f"rst_i ? '0 : {value}" if resets else value
    return (
        f"  logic {name};\n  logic [{cycles - 1}:0] {name}_q;\n"
        f"  always_ff @(posedge clk_i) {name}_q <= {reset};\n"
        f"  assign {name} = {name}_q[{cycles - 1}];\n"
    )


def resting(interval: int) -> str:
    """Return a counter that is 0 if the last `f_fire` is so many cycles ago."""
    bits = (interval - 1).bit_length()
    return f"""  logic [{bits - 1}:0] rest_q;
  always_ff @(posedge clk_i) begin
    if (rst_i) rest_q <= '0;
    else if (f_fire) rest_q <= {bits}'d{interval - 1};
    else if (rest_q != '0) rest_q <= rest_q - 1'b1;
  end
"""


def results_queue(design: str, depth: int, width: int) -> str:
    """Return the queue of results `f_y`, which come with `f_done`, at the ports of an engine."""
    return queue_text(
        design, "queue", depth, width, ("f_y", "f_done", ""), ("y_o", "valid_o", "ready_i")
    )


def power(number: int) -> int:
    """Return the least power of two that is not below a number."""
    return 1 << (number - 1).bit_length()
