# SPDX-License-Identifier: Apache-2.0
"""The top module of the test bench: the hardware, and what happens inside it.

Nothing of this is part of the hardware: it looks at signals from outside, by hierarchical names.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["sequential", "stream"]

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


def _ports(widths: tuple[int, int]) -> str:
    return _PORTS.format(bits=[width - 1 for width in widths])


def stream(
    top: str, engines: Sequence[str], stages: Sequence[str], widths: tuple[int, int] = (32, 32)
) -> str:
    """Return the module for a stream: which engines issue, and the words that leave each stage.

    Args:
      top: the hardware's module.
      engines: instances in it that are engines.
      stages: instances in it of all stages.
      widths: bits of a word of its streams.
    """
    issues = "\n".join(
        f"  assign issue[{number}] = dut.{name}.issue;" for number, name in enumerate(engines)
    )
    words = "\n".join(
        f"  assign layer_taken[{number}] = dut.{name}.m_axis_tvalid & dut.{name}.m_axis_tready;\n"
        f"  assign layer_word[{32 * number} +: 32] = dut.{name}.m_axis_tdata;"
        for number, name in enumerate(stages)
    )
    return f"""\
// The hardware with a look inside: which engines begin a step in this cycle and, with ASNET_LAYERS,
// which stages pass on a word.
module {top}_observed (
{_ports(widths)},
`ifdef ASNET_LAYERS
  output logic [{len(stages) - 1}:0] layer_taken,
  output logic [{32 * len(stages) - 1}:0] layer_word,
`endif
  output logic [{max(len(engines), 1) - 1}:0] issue
);
{_INSTANCE.format(top=top)}\
{issues or "  assign issue = '0;"}
`ifdef ASNET_LAYERS
{words}
`endif
endmodule
"""


def sequential(top: str) -> str:
    """Return the module for the sequential machine: what its program writes to the RAM."""
    return f"""\
// The hardware with a look inside: what the program writes to the RAM in this cycle.
module {top}_observed (
{_ports((32, 32))},
  output logic        ram_write,
  output logic [31:0] ram_address,
  output logic [31:0] ram_word
);
{_INSTANCE.format(top=top)}\
  assign ram_write = dut.running & dut.ram.write_enable_i;
  assign ram_address = 32'(dut.ram.write_address_i);
  assign ram_word = dut.ram.write_data_i;
endmodule
"""
