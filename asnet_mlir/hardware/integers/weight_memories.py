# SPDX-License-Identifier: Apache-2.0
"""Weights that lie outside of the design: in RAM that is loaded, or in external memory."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from asnet_mlir.errors import InputError

__all__ = ["MODES", "Fed", "WeightSources", "top_ports"]

#: Where weights are: in ROMs; in RAM, loaded before samples; in external memory, read with each.
MODES = ("rom", "load", "stream")
#: Words of a burst; a ring holds as many as come on their way while others are read.
_BURST, _BURSTS = 16, 4


class WeightSources:
    """Where weights are: `MODE` for all layers, `LAYER=MODE` for one.

    Attributes:
      mode: `load` or `stream`, whichever is asked for; else `rom`.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._all, self._of = "rom", {}
        for text in texts:
            layer, equals, mode = text.rpartition("=")
            if mode not in MODES or (equals and not layer):
                raise InputError(
                    f"weights '{text}': give MODE or LAYER=MODE; modes are {', '.join(MODES)}"
                )
            if layer:
                self._of[layer] = mode
            else:
                self._all = mode
        asked = {self._all, *self._of.values()} - {"rom"}
        if len(asked) > 1:
            raise InputError("weights: a design loads them or streams them, not both")
        self.mode = next(iter(asked), "rom")

    def of(self, layer: str) -> str:
        """Return the mode of a layer; that of one that it is inside of is its own."""
        for name in (layer, *(layer[: m.start()] for m in re.finditer("/", layer))):
            if name in self._of:
                return self._of[name]
        return self._all

    def check(self, layers: Sequence[str]) -> None:
        """Refuse modes of layers without weights of their own."""
        for name in self._of:
            if not any(layer == name or layer.startswith(f"{name}/") for layer in layers):
                known = ", ".join(dict.fromkeys(layers))
                raise InputError(f"weights of '{name}': no such layer; those with weights: {known}")


@dataclass(frozen=True)
class Fed:
    """The weights of an engine that lie outside.

    Attributes:
      mode: `load` or `stream`.
      rows: what a step takes, as integers.
      width: bits of a row.
    """

    mode: str
    rows: tuple[int, ...]
    width: int

    @property
    def row_words(self) -> int:
        """Words of 32 bits of a row."""
        return -(-self.width // 32)

    @property
    def ring_bits(self) -> int:
        """Bits of a row's number in the ring of a stream."""
        rows = max(8, -(-_BURST * _BURSTS // self.row_words))
        return (rows - 1).bit_length()

    @property
    def room(self) -> int:
        """Words of the ring."""
        return self.row_words << self.ring_bits

    @property
    def depth(self) -> int:
        """Rows of the memory in the design."""
        return len(self.rows) if self.mode == "load" else 1 << self.ring_bits

    def words(self) -> list[int]:
        """Return all rows as words of 32 bits, the lowest bits first."""
        return [
            row >> 32 * part & 0xFFFFFFFF for row in self.rows for part in range(self.row_words)
        ]

    def ports(self) -> str:
        """Return the ports that the engine has for them."""
        own = ""
        if self.mode == "load":
            own = "  input  logic load_ready_i,\n  input  logic load_start_i,\n"
        last = "  output logic load_free_o,\n" if self.mode == "stream" else ""
        return f"{own}  input  logic load_write_i,\n  input  logic [31:0] load_word_i,\n{last}"

    def connections(self, number: int) -> str:
        """Return how the engine's instance is connected, as memory `number` of the design."""
        text = f".load_write_i(weights_write[{number}]), .load_word_i(weights_word), "
        if self.mode == "load":
            return f".load_ready_i(weights_ready), .load_start_i(weights_start), {text}"
        return f"{text}.load_free_o(weights_free[{number}]), "

    def memory(self, design: str) -> str:
        """Return what stands for the ROM in the engine."""
        if self.mode == "stream":
            return f"""  logic [{self.width - 1}:0] weights;
  {design}_weight_ring #(.Width({self.width}), .RowBits({self.ring_bits})) weight_ring (
    .clk_i(clk_i), .rst_i(rst_i), .write_i(load_write_i), .word_i(load_word_i), .step_i(step),
    .ready_o(weights_ready), .free_o(load_free_o), .data_o(weights)
  );
"""
        bits = max(1, (len(self.rows) - 1).bit_length())
        return f"""  {design}_weights #(
    .Words({len(self.rows)}), .Width({self.width}), .AddressBits({bits})
  ) weight_memory (
    .clk_i(clk_i), .start_i(load_start_i), .write_i(load_write_i), .word_i(load_word_i),
    .address_i(weight_address_q), .data_o(weights_now)
  );
"""


def top_ports(fed: Sequence[Fed]) -> str:
    """Return the ports of the design for the weights of its engines."""
    if not fed:
        return ""
    own = ""
    if fed[0].mode == "load":
        own = "  input  logic        weights_ready,\n  input  logic        weights_start,\n"
    last = f"  output logic [{len(fed) - 1}:0] weights_free,\n" if fed[0].mode == "stream" else ""
    return (
        f"{own}  input  logic [{len(fed) - 1}:0] weights_write,\n"
        f"  input  logic [31:0] weights_word,\n{last}"
    )
