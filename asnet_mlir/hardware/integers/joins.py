# SPDX-License-Identifier: Apache-2.0
"""Tensors that are joined along a dimension: codes of each in turn, and how many wait meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

from asnet_mlir.hardware.integers.engine import Engine
from asnet_mlir.hardware.integers.scalars import Interval

__all__ = ["join_engine", "waiting_codes"]


def waiting_codes(inner: Sequence[int]) -> list[int]:
    """Return how many codes of each stream wait while a join takes those of the others.

    A join takes `inner[k]` codes of stream k in turn. If all of them, and what reads the joined
    ones, work at one pace, then stream k has its turn in a share `inner[k] / sum(inner)` of the
    time, and gives codes all the time: those of the rest of it wait. With room for them there is a
    schedule at that pace, so the engines, which do everything as early as they can, keep it.
    """
    total = sum(inner)
    return [-(-own * (total - own) // total) for own in inner]


def join_engine(
    top: str, name: str, streams: Sequence[Interval], inner: Sequence[int], bounds: Interval
) -> Engine:
    """Return the engine that takes so many codes of each stream in turn."""
    count, width = len(streams), bounds.width
    most = max(inner)
    bits = max(1, (most - 1).bit_length())
    turn_bits = max(1, (count - 1).bit_length())
    ports = "".join(
        f"  input  logic signed [{one.width - 1}:0] x{k}_i,\n" for k, one in enumerate(streams)
    )
    data = "".join(f"      {turn_bits}'d{k}: y_o = {width}'(x{k}_i);\n" for k in range(count))
    last = "".join(
        f"      {turn_bits}'d{k}: last = count_q == {bits}'d{size - 1};\n"
        for k, size in enumerate(inner)
    )
    text = f"""module {top}_{name} (
  input  logic clk_i,
  input  logic rst_i,
{ports}  input  logic [{count - 1}:0] valid_i,
  output logic [{count - 1}:0] ready_o,
  output logic signed [{width - 1}:0] y_o,
  output logic valid_o,
  input  logic ready_i
);

  logic [{turn_bits - 1}:0] turn_q;
  logic [{bits - 1}:0] count_q;
  logic last;
  assign valid_o = valid_i[turn_q];
  assign ready_o = ready_i ? {count}'d1 << turn_q : '0;
  always_comb begin
    case (turn_q)
{data}      default: y_o = '0;
    endcase
    case (turn_q)
{last}      default: last = 1'b1;
    endcase
  end
  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      turn_q  <= '0;
      count_q <= '0;
    end else if (valid_o && ready_i) begin
      count_q <= last ? '0 : count_q + 1'b1;
      if (last) turn_q <= turn_q == {turn_bits}'d{count - 1} ? '0 : turn_q + 1'b1;
    end
  end

endmodule
"""
    return Engine(f"{top}_{name}", text, bounds, ())
