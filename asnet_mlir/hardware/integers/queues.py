# SPDX-License-Identifier: Apache-2.0
"""Queues of codes between and in engines, as SystemVerilog."""

from __future__ import annotations

from asnet_mlir.hardware.integers.parts_area import Area, queue

__all__ = ["Ends", "is_late", "queue_area", "queue_text"]

#: Words of a queue in logic at most: see `asnet_fifo`.
_IN_LOGIC = 64

#: What a queue's data, valid and ready are connected to.
Ends = tuple[str, str, str]


def is_late(words: int) -> bool:
    """Whether words come out of block RAM, so that there is a register behind it."""
    return words > _IN_LOGIC


def queue_area(words: int, width: int) -> Area:
    """Return the area of a queue."""
    return queue(words, width) + Area(luts=2.0 if is_late(words) else 0.0)


def queue_text(
    design: str,
    name: str,
    words: int,
    width: int,
    source: Ends,
    sink: Ends,
    clocks: tuple[str, str] = ("clk_i", "rst_i"),
) -> str:
    """Return the instance of a queue, and of the register behind it.

    Args:
      name: of the instance.
      source, sink: what it is connected to.
      clocks: clock and reset.
    """
    sizes = f".Words({words}), .Width({width}), .AddressBits({max(1, (words - 1).bit_length())})"
    own = f".clk_i({clocks[0]}), .rst_i({clocks[1]})"
    data, valid, ready = sink
    text = register = ""
    if is_late(words):
        data, valid, ready = (f"{name}_{what}" for what in ("word", "valid", "ready"))
        text = f"  logic [{width - 1}:0] {data};\n  logic {valid}, {ready};\n"
        register = (
            f"  {design}_slice #(.Width({width})) {name}_slice (\n    {own}, .data_i({data}), "
            f".valid_i({valid}), .ready_o({ready}),\n    .data_o({sink[0]}), "
            f".valid_o({sink[1]}), .ready_i({sink[2]})\n  );\n"
        )
    return (
        f"{text}  {design}_fifo #({sizes}) {name} (\n"
        f"    {own}, .data_i({source[0]}), .valid_i({source[1]}),\n    .ready_o({source[2]}), "
        f".data_o({data}), .valid_o({valid}), .ready_i({ready})\n  );\n{register}"
    )
