# SPDX-License-Identifier: Apache-2.0
"""Engines of loop nests: a ring of codes, weights, lanes, and the way of their results."""

from __future__ import annotations

import re
from collections.abc import Mapping

from asnet_mlir.hardware.integers.code_graph import Generic
from asnet_mlir.hardware.integers.datapath import Rom, Unit, header
from asnet_mlir.hardware.integers.elementwise_engine import function_path
from asnet_mlir.hardware.integers.engine import (
    Engine,
    delayed,
    power,
    resting,
    results_queue,
    rom_text,
)
from asnet_mlir.hardware.integers.loop_windows import Window
from asnet_mlir.hardware.integers.parts_area import Area, adder, memory, rom
from asnet_mlir.hardware.integers.queues import is_late, queue_area
from asnet_mlir.hardware.integers.scalars import Interval
from asnet_mlir.hardware.integers.weight_memories import Fed
from asnet_mlir.hardware.integers.window_sums import READ, WindowSums

__all__ = ["window_engine"]


def _gap(cycles: int) -> str:
    """Return a bit that is 0 for so many cycles behind a group's last step."""
    if not cycles:
        return ""
    bits = cycles.bit_length()
    return f"""  logic [{bits - 1}:0] gap_q;
  logic free_q;
  always_ff @(posedge clk_i) begin
    if (rst_i) gap_q <= '0;
    else if (step && group_end) gap_q <= {bits}'d{cycles};
    else if (gap_q != '0) gap_q <= gap_q - 1'b1;
    free_q <= rst_i || (!(step && group_end) && gap_q <= {bits}'d1);
  end
"""


def window_engine(
    design: str,
    name: str,
    node: Generic,
    window: Window,
    x: Interval,
    then: Generic | None,
    units: Mapping[int, Unit],
    weights_from: str = "rom",
    in_logic: int = 0,
) -> Engine:
    """Return the engine of a loop nest, and of the elementwise node `then` behind it.

    `weights_from` is one of `weight_memories.MODES`; products of `in_logic` of its terms are for no
    multiplier of the device.
    """
    return _WindowEngine(design, name, node, window, x, then, units, weights_from, in_logic).build()


class _WindowEngine:
    def __init__(
        self,
        design: str,
        name: str,
        node: Generic,
        window: Window,
        x: Interval,
        then: Generic | None,
        units: Mapping[int, Unit],
        weights_from: str,
        in_logic: int,
    ) -> None:
        self._design, self._name = design, name
        self._weights_from, self._in_logic = weights_from, in_logic
        self._fed: Fed | None = None
        self._window, self._x = window, x
        self._sums = WindowSums(design, name, node, window, x, units, in_logic)
        self._roms: list[Rom] = []
        self._function = None
        if then is not None:
            self._function = function_path(
                design, name, then, [self._sums.bounds], units, window.depth // window.lanes
            )
            self._roms += self._function.roms

    def build(self) -> Engine:
        window, design, term = self._window, self._design, self._sums.term
        result = self._sums.bounds if self._function is None else self._function.path.result
        latency = 0 if self._function is None else self._function.latency
        leaving = window.lanes * self._interval
        flight = -(-(READ + term.latency + self._sums.levels + latency + 8 + leaving)
                   // (window.depth + window.gap)) + 2  # fmt: skip
        depth = power(max(4, window.lanes * (flight + 1)))
        reading = self._reading()
        text = "\n".join(
            [
                self._header(result.width),
                self._control(depth),
                reading,
                self._sums.text(),
                self._leave(depth, result.width),
                "endmodule\n",
            ]
        )
        multiplicity = window.lanes * window.pack
        chosen = [one for one in (term, self._sums.rows) if re.search(rf"\b{one.module}\b", text)]
        parts = {path.module: path.text for path in chosen}
        self._roms += [one for path in chosen for one in path.roms]
        if self._function is not None:
            parts[self._function.path.module] = self._function.path.text
        counts = {key: n * multiplicity for key, n in term.units.items()}
        if self._sums.found.op is not None and self._sums.found.op.instance is not None:
            key = self._sums.found.op.instance
            counts[key] = counts.get(key, 0) + window.lanes
        if self._function is not None:
            for key, n in self._function.path.units.items():
                counts[key] = counts.get(key, 0) + n
        done = READ + term.latency + self._sums.levels + window.depth + leaving + latency + 3
        done += is_late(depth)
        return Engine(
            f"{design}_{self._name}",
            text,
            result,
            tuple(self._roms),
            counts,
            parts,
            done,
            fed=self._fed,
            area=self._area(depth, result.width),
            term=term.area,
        )

    def _area(self, depth: int, width: int) -> Area:
        """Return the area of the engine, with a queue of so many results."""
        w = self._window
        total = self._sums.lane_area() * w.lanes + queue_area(depth, width) + self._loops_area()
        total += self._sums.term.area * (w.lanes * w.pack - self._in_logic)
        total += self._sums.rows.area * self._in_logic
        if self._sums.weight_bits and w.weights:
            words = len(w.weights[0])
            total += rom(words, self._sums.weight_bits * w.weight_lanes * w.pack)
            total += Area(luts=2.0 * words.bit_length())
        return total if self._function is None else total + self._function.area

    def _loops_area(self) -> Area:
        """Return the area of `asnet_window` and of what starts its steps."""
        w = self._window
        ring = memory(1 << w.ring_bits, self._x.width * w.codes)
        counters = sum(2.5 * (size - 1).bit_length() for size in w.sizes)
        addresses = (4 + 2 * w.pixels) * adder(w.ring_bits + 1).luts + len(w.sizes) * w.ring_bits
        return ring * w.pixels + Area(luts=20 + counters + addresses)

    def _header(self, width: int) -> str:
        return f"""module {self._design}_{self._name}{header(bool(self._roms))} (
  input  logic clk_i,
  input  logic rst_i,
  input  logic signed [{self._x.width - 1}:0] x0_i,
  input  logic [0:0] valid_i,
  output logic [0:0] ready_o,
{self._fed.ports() if self._fed else ""}  output logic [{width - 1}:0] y_o,
  output logic valid_o,
  input  logic ready_i
);
"""

    def _control(self, depth: int) -> str:
        """When a step is made: a group of lanes begins if its results have a place."""
        w = self._window
        loops = len(w.sizes)
        bits = depth.bit_length() + 1
        end_of_sum = f"end_of[{max(self._sum_loops - 1, 0)}]" if self._sum_loops else "1'b1"
        partial = w.lanes - w.last_lanes
        back = f" + {bits}'(step && group_end && last_group ? {partial} : 0)" if partial else ""
        sizes = ", ".join(f"32'd{size}" for size in reversed(w.sizes))
        deltas = ", ".join(f"32'h{delta & 0xFFFFFFFF:x}" for delta in reversed(w.deltas))
        enable = f"!first_q || (room_q{' && free_q' if w.gap else ''})"
        ready = ""
        if self._fed is not None and self._fed.mode == "load":
            enable = f"load_ready_i && ({enable})"
        if self._fed is not None and self._fed.mode == "stream":
            enable = f"weights_ready && ({enable})"
            ready = "  logic weights_ready;\n"
        return f"""{ready}  logic step, issue, first_q, group_end, last_group;
  logic [{loops - 1}:0] end_of;
  logic [{self._x.width * w.codes * w.pixels - 1}:0] word;
  logic [{bits - 1}:0] space_q;
  logic room_q;
  assign issue      = step;
  assign group_end  = {end_of_sum};
  assign last_group = {f"end_of[{w.group_loop}]" if partial else "1'b1"};
  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      first_q <= 1'b1;
      room_q  <= 1'b0;
      space_q <= {bits}'d{depth};
    end else begin
      if (step) first_q <= group_end;
      // Room for a group that begins now and for the one that asks in the next cycle.
      room_q  <= space_q >= {bits}'d{2 * w.lanes};
      space_q <= space_q - {bits}'(step && first_q ? {w.lanes} : 0)
        + {bits}'(valid_o && ready_i){back};
    end
  end
{_gap(w.gap)}
  {self._design}_window #(
    .Bits({self._x.width}), .Pack({w.codes}), .RingBits({w.ring_bits}), .Chunks({w.chunks}),
    .Need({w.need}), .NeedLast({w.need_last}), .Step({w.step}), .StepLast({w.step_last}),
    .First({w.first}), .Loops({loops}), .Sizes({{{sizes}}}), .Deltas({{{deltas}}}),
    .Pixels({w.pixels}), .PixelStep({w.pixel_step})
  ) window (
    .clk_i(clk_i), .rst_i(rst_i), .data_i(x0_i), .valid_i(valid_i[0]), .ready_o(ready_o[0]),
    .enable_i({enable}), .step_o(step),
    .end_o(end_of), .data_o(word)
  );
"""

    @property
    def _interval(self) -> int:
        """Cycles from a result to the next one in the function."""
        is_serial = self._function is not None and self._function.path.has_start
        return self._window.depth // self._window.lanes if is_serial else 1

    @property
    def _sum_loops(self) -> int:
        """How many loops are those of the sum; they are the innermost ones."""
        count, product = 0, 1
        while product < self._window.depth:
            product *= self._window.sizes[count]
            count += 1
        return count

    def _reading(self) -> str:
        """The weights of a step, in the cycle in which its codes are there."""
        w = self._window
        if not w.weights or not self._sums.weight_bits:
            return ""
        width = self._sums.weight_bits * w.weight_lanes * w.pack
        words = []
        for step in range(len(w.weights[0])):
            word, place = 0, 0
            for lane in range(w.weight_lanes):
                for code in range(w.pack):
                    for weights, (low, found) in zip(w.weights, self._sums.columns, strict=True):
                        value = int(weights[step, lane, code]) & ((1 << found.width) - 1)
                        word |= value << (place + low)
                    place += self._sums.weight_bits
            words.append(word)
        if self._weights_from != "rom":
            self._fed = Fed(self._weights_from, tuple(words), width)
            if self._weights_from == "stream":
                return self._fed.memory(self._design)
        bits = max(1, (len(words) - 1).bit_length())
        if self._fed is not None:
            memory = self._fed.memory(self._design)
        else:
            rom = Rom(f"{self._name}_weights", tuple(words), width)
            self._roms.append(rom)
            memory = rom_text(self._design, rom, "weight_address_q", bits, "weights_now")
        return f"""  logic [{bits - 1}:0] weight_q, weight_address_q;
  logic [{width - 1}:0] weights_now, weights;
  always_ff @(posedge clk_i) begin
    if (rst_i) weight_q <= '0;
    else if (step) weight_q <= end_of[{w.weight_loop}] ? '0 : weight_q + 1'b1;
    weight_address_q <= weight_q;
    weights          <= weights_now;
  end
{memory}"""

    def _leave(self, depth: int, width: int) -> str:
        """Results of lanes leave one after the other, through the function behind them."""
        w, sums = self._window, self._sums.bounds
        text = f"  logic signed [{sums.width - 1}:0] f_x0;\n  logic f_fire;\n"
        if w.lanes == 1:
            text += "  assign f_x0   = sums[0];\n  assign f_fire = sum_last;\n"
        else:
            bits = w.lanes.bit_length()
            pause = shift = ""
            if self._interval > 1:
                text += resting(self._interval)
                pause, shift = " && rest_q == '0", "f_fire && "
            text += f"""  logic signed [{sums.width - 1}:0] results_q[{w.lanes}];
  logic [{bits - 1}:0] left_q;
  assign f_x0   = results_q[0];
  assign f_fire = left_q != '0{pause};
  always_ff @(posedge clk_i) begin
    if (rst_i) left_q <= '0;
    else if (sum_last) left_q <= sum_partial ? {bits}'d{w.last_lanes} : {bits}'d{w.lanes};
    else if (f_fire) left_q <= left_q - 1'b1;
    for (int i = 0; i < {w.lanes}; i++) begin
      if (sum_last) results_q[i] <= sums[i];
      else if ({shift}i < {w.lanes - 1}) results_q[i] <= results_q[(i+1)%{w.lanes}];
    end
  end
"""
        if self._function is None:
            text += f"  logic [{width - 1}:0] f_y;\n  assign f_y = f_x0;\n"
        else:
            text += self._function.text
        text += delayed("f_done", "f_fire", self._function.latency if self._function else 0)
        return text + results_queue(self._design, depth, width)
