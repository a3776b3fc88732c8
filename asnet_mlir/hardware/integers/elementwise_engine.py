# SPDX-License-Identifier: Apache-2.0
"""Engines of nodes without a reduction: pipelines whose operands come in the results' order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from asnet_mlir.hardware.integers.code_graph import Generic, gathered
from asnet_mlir.hardware.integers.datapath import (
    Datapath,
    Rom,
    Unit,
    datapath,
    given,
    header,
    literal,
)
from asnet_mlir.hardware.integers.engine import (
    Engine,
    delayed,
    power,
    resting,
    results_queue,
    rom_text,
)
from asnet_mlir.hardware.integers.loop_windows import output_order
from asnet_mlir.hardware.integers.parts_area import Area, rom
from asnet_mlir.hardware.integers.queues import is_late, queue_area
from asnet_mlir.hardware.integers.scalars import Interval

__all__ = ["Function", "function_path", "map_engine"]

#: Cycles from an output to its constants.
_CONSTANTS = 2


@dataclass(frozen=True)
class Function:
    """A pipeline of a node without a reduction, with the ROM of its constants.

    Attributes:
      path: the pipeline.
      roms: of it.
      constants: those of them that have a word an output.
      text: of the instance; takes `f_fire`, `f_x0`, .., gives `f_y`.
    """

    path: Datapath
    roms: tuple[Rom, ...]
    constants: tuple[Rom, ...]
    text: str

    @property
    def latency(self) -> int:
        return self.path.latency

    @property
    def area(self) -> Area:
        constants = sum((rom(len(one.words), one.width) for one in self.constants), Area())
        return self.path.area + constants + Area(luts=10.0 * len(self.constants))


def function_path(
    design: str,
    name: str,
    node: Generic,
    streams: Sequence[Interval],
    units: Mapping[int, Unit],
    interval: int,
) -> Function:
    """Return the pipeline of a node without a reduction; `streams` bound what it reads, an output
    is computed every `interval` cycles at most."""
    order = output_order(node)
    order += [loop for loop in range(len(node.sizes)) if loop not in order]
    bounds, arrivals, sources = [], [], []
    columns: list[tuple[np.ndarray, int]] = []
    stream = 0
    for tensor, access in node.operands:
        if tensor.constant is None:
            bounds.append(streams[stream])
            arrivals.append(0)
            sources.append(f"f_x{stream}")
            stream += 1
            continue
        values = gathered(tensor, access, node.sizes).transpose(order).reshape(-1)
        found = Interval(int(values.min()), int(values.max()))
        bounds.append(found)
        if found.single is None:
            arrivals.append(_CONSTANTS)
            low = sum(width for _, width in columns)
            # As wide as its port, which has the sign: Yosys fails on $signed of a whole signal.
            sources.append(f"f_constants_q[{low + found.width - 1}:{low}]")
            columns.append((values, found.width))
        else:
            arrivals.append(0)
            sources.append(literal(found.low, found.width))
    path = datapath(f"{design}_{name}_f", node.body, bounds, arrivals, units, design, interval)
    text, roms = "", []
    if columns:
        rom, counter = _constants(design, f"{name}_constants", columns)
        roms.append(rom)
        text += counter
    width = path.result.width
    text += f"  logic signed [{width - 1}:0] f_y;\n"
    ports = "".join(f", .x{number}_i({source})" for number, source in enumerate(sources))
    start = ", .rst_i(rst_i), .start_i(f_fire)" if path.has_start else ""
    text += f"  {path.module}{given(bool(path.roms))} f (.clk_i(clk_i){start}{ports}, .y_o(f_y));\n"
    return Function(path, (*path.roms, *roms), tuple(roms), text)


def _constants(
    design: str, name: str, columns: Sequence[tuple[np.ndarray, int]]
) -> tuple[Rom, str]:
    """Return the ROM of what outputs want, and a counter that goes through it."""
    period = max(_period(values) for values, _ in columns)
    words = [0] * period
    low = 0
    for values, width in columns:
        for index, value in enumerate(values[:period].tolist()):
            words[index] |= (value & ((1 << width) - 1)) << low
        low += width
    bits = max(1, (period - 1).bit_length())
    rom = Rom(name, tuple(words), low)
    text = f"""  // What each output takes of constants, by its channel.
  logic [{bits - 1}:0] f_count_q;
  logic [{low - 1}:0] f_constants, f_constants_q;
  always_ff @(posedge clk_i) begin
    if (rst_i) f_count_q <= '0;
    else if (f_fire) f_count_q <= f_count_q == {bits}'d{period - 1} ? '0 : f_count_q + 1'b1;
    f_constants_q <= f_constants;
  end
"""
    return rom, text + rom_text(design, rom, "f_count_q", bits, "f_constants")


def _period(values: np.ndarray) -> int:
    """Return after how many outputs constants are the same again."""
    for period in (n for n in range(1, len(values) + 1) if len(values) % n == 0):
        if (values.reshape(-1, period) == values[:period]).all():
            return period
    raise AssertionError


def map_engine(
    design: str,
    name: str,
    node: Generic,
    streams: Sequence[Interval],
    units: Mapping[int, Unit],
    interval: int = 1,
) -> Engine:
    """Return the engine of a node without a reduction, whose operands come in its order; it begins
    an output every `interval` cycles."""
    function = function_path(design, name, node, streams, units, interval)
    interval = interval if function.path.has_start else 1
    depth = power(-(-(function.latency + 5) // interval) + 1)
    width, count = function.path.result.width, len(streams)
    ports = "".join(
        f"  input  logic signed [{one.width - 1}:0] x{k}_i,\n" for k, one in enumerate(streams)
    )
    inputs = "".join(
        f"  logic signed [{one.width - 1}:0] f_x{k};\n  assign f_x{k} = x{k}_i;\n"
        for k, one in enumerate(streams)
    )
    bits = depth.bit_length()
    pause = rests = ""
    if interval > 1:
        pause, rests = " && rest_q == '0", resting(interval)
    text = f"""module {design}_{name}{header(bool(function.roms))} (
  input  logic clk_i,
  input  logic rst_i,
{ports}  input  logic [{count - 1}:0] valid_i,
  output logic [{count - 1}:0] ready_o,
  output logic [{width - 1}:0] y_o,
  output logic valid_o,
  input  logic ready_i
);

  // An output is begun if it has a place in the queue.
  logic [{bits - 1}:0] space_q;
  logic f_fire;
{rests}  assign f_fire  = &valid_i && space_q != '0{pause};
  assign ready_o = {{{count}{{f_fire}}}};
  always_ff @(posedge clk_i) begin
    if (rst_i) space_q <= {bits}'d{depth};
    else space_q <= space_q - {bits}'(f_fire) + {bits}'(valid_o && ready_i);
  end
{inputs}{function.text}{delayed("f_done", "f_fire", function.latency)}\
{results_queue(design, depth, width)}
endmodule
"""
    return Engine(
        f"{design}_{name}",
        text,
        function.path.result,
        function.roms,
        function.path.units,
        {function.path.module: function.path.text},
        function.latency + 3 + is_late(depth),
        interval,
        area=function.area + queue_area(depth, width) + Area(luts=3.0 * bits),
    )
