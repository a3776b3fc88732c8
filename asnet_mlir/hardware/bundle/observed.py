# SPDX-License-Identifier: Apache-2.0
"""The top module of the test bench: the hardware, and what happens inside it.

Nothing of this is part of the hardware: it looks at signals from outside, by hierarchical names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Instance", "sequential", "stream"]

_PORTS = """\
  input  logic        clk,
  input  logic        rst,
  input  logic [{bits[0]}:0] s_axis_tdata,
  input  logic        s_axis_tvalid,
  input  logic        s_axis_tlast,
  output logic        s_axis_tready,
  output logic [{bits[1]}:0] m_axis_tdata,
  output logic        m_axis_tvalid,
  output logic        m_axis_tlast,
  output logic        m_axis_tuser,
  input  logic        m_axis_tready,
  output logic        frame_error,
  input  logic        frame_error_clear"""

_INSTANCE = """\
  {top} dut (
    .clk(clk), .rst(rst),
    .s_axis_tdata(s_axis_tdata), .s_axis_tvalid(s_axis_tvalid), .s_axis_tlast(s_axis_tlast),
    .s_axis_tready(s_axis_tready), .m_axis_tdata(m_axis_tdata), .m_axis_tvalid(m_axis_tvalid),
    .m_axis_tlast(m_axis_tlast), .m_axis_tuser(m_axis_tuser), .m_axis_tready(m_axis_tready),
    .frame_error(frame_error), .frame_error_clear(frame_error_clear)
  );
"""


@dataclass(frozen=True)
class Instance:
    """The hardware in a bench.

    Attributes:
      widths: bits of a word of its streams.
      text: its instance.
      network: where in it the network is.
      ports: declarations of more ports that it has.
    """

    widths: tuple[int, int]
    text: str
    network: str
    ports: str = ""

    @staticmethod
    def plain(top: str, widths: tuple[int, int]) -> Instance:
        """Return that of a network without a shell."""
        return Instance(widths, _INSTANCE.format(top=top), "dut")


def _ports(widths: tuple[int, int]) -> str:
    return _PORTS.format(bits=[width - 1 for width in widths])


def stream(top: str, dut: Instance, engines: Sequence[str], stages: Sequence[str]) -> str:
    """Return the module for a stream: which engines issue, and the words that leave each stage.

    Args:
      top: the hardware's module.
      dut: its instance.
      engines: instances in the network that are engines.
      stages: instances in it of all stages.
    """
    network = dut.network
    issues = "\n".join(
        f"  assign issue[{number}] = {network}.{name}.issue;" for number, name in enumerate(engines)
    )
    words = "\n".join(
        f"  assign layer_taken[{number}] = {network}.{name}.m_axis_tvalid & "
        f"{network}.{name}.m_axis_tready;\n"
        f"  assign layer_word[{32 * number} +: 32] = {network}.{name}.m_axis_tdata;"
        for number, name in enumerate(stages)
    )
    return f"""\
// The hardware with a look inside: which engines begin a step in this cycle and, with ASNET_LAYERS,
// which stages pass on a word.
module {top}_observed (
{_ports(dut.widths)},
{dut.ports}`ifdef ASNET_LAYERS
  output logic [{len(stages) - 1}:0] layer_taken,
  output logic [{32 * len(stages) - 1}:0] layer_word,
`endif
  output logic [{max(len(engines), 1) - 1}:0] issue
);
{dut.text}\
{issues or "  assign issue = '0;"}
`ifdef ASNET_LAYERS
{words}
`endif
endmodule
"""


def sequential(top: str, dut: Instance) -> str:
    """Return the module for the sequential machine: what its program writes to the RAM."""
    return f"""\
// The hardware with a look inside: what the program writes to the RAM in this cycle.
module {top}_observed (
{_ports(dut.widths)},
{dut.ports}  output logic        ram_write,
  output logic [31:0] ram_address,
  output logic [31:0] ram_word
);
{dut.text}\
  assign ram_write = {dut.network}.running & {dut.network}.ram.write_enable_i;
  assign ram_address = 32'({dut.network}.ram.write_address_i);
  assign ram_word = {dut.network}.ram.write_data_i;
endmodule
"""
