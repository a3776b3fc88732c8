# SPDX-License-Identifier: Apache-2.0
"""The top module of a network in its shell, and how a bench is connected to it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from asnet_mlir.hardware.shell.options import Edge, Framing, Shell, WeightMemory, weight_places
from asnet_mlir.hardware.shell.register_map import ADDRESS_BITS, Register, decoder

__all__ = [
    "HELPERS",
    "LITE_PREFIX",
    "RTL",
    "Port",
    "bench_instance",
    "clock_and_reset",
    "control_ports",
    "ports",
    "renamed",
    "top_module",
]

#: Modules of the library, beside those of networks.
HELPERS = ("unpack", "pack", "argmax", "axil", "counters", "load", "fetch")
#: Where they are, as `asnet_NAME.sv`.
RTL = Path(__file__).parent / "rtl"

#: What names of the control block's ports begin with.
LITE_PREFIX = "s_axi_"
#: Of AXI4-Lite, each with its width and whether it comes from the manager.
_LITE = (
    ("awaddr", ADDRESS_BITS, True),
    ("awprot", 3, True),
    ("awvalid", 1, True),
    ("awready", 1, False),
    ("wdata", 32, True),
    ("wstrb", 4, True),
    ("wvalid", 1, True),
    ("wready", 1, False),
    ("bresp", 2, False),
    ("bvalid", 1, False),
    ("bready", 1, True),
    ("araddr", ADDRESS_BITS, True),
    ("arprot", 3, True),
    ("arvalid", 1, True),
    ("arready", 1, False),
    ("rdata", 32, False),
    ("rresp", 2, False),
    ("rvalid", 1, False),
    ("rready", 1, True),
)
#: Of the port that weights are loaded through, and of the one that reads them.
_LOAD = (
    ("s_weights_tdata", 32, True),
    ("s_weights_tvalid", 1, True),
    ("s_weights_tlast", 1, True),
    ("s_weights_tready", 1, False),
    ("weights_loaded", 1, False),
    ("weights_error", 1, False),
)
_FETCH = (
    ("m_axi_araddr", 32, False),
    ("m_axi_arlen", 8, False),
    ("m_axi_arsize", 3, False),
    ("m_axi_arburst", 2, False),
    ("m_axi_arcache", 4, False),
    ("m_axi_arprot", 3, False),
    ("m_axi_arvalid", 1, False),
    ("m_axi_arready", 1, True),
    ("m_axi_rdata", 32, True),
    ("m_axi_rresp", 2, True),
    ("m_axi_rlast", 1, True),
    ("m_axi_rvalid", 1, True),
    ("m_axi_rready", 1, False),
    ("weights_address", 32, True),
    ("weights_error", 1, False),
)
#: Where the weights lie in the external memory of the bench.
WEIGHTS_ADDRESS = 0x1000


class Port:
    """A port of the top module: its name, its bits and whether it is an input."""

    def __init__(self, name: str, bits: int, is_input: bool) -> None:
        self.name, self.bits, self.is_input = name, bits, is_input

    def declaration(self) -> str:
        """Return it as a module declares it."""
        bits = f"[{self.bits - 1}:0] " if self.bits > 1 else ""
        return f"  {'input ' if self.is_input else 'output'} logic {bits}{self.name}"


def clock_and_reset(shell: Shell) -> tuple[str, str]:
    """Return the names of clock and reset."""
    return ("aclk", "aresetn") if shell.ports == "vivado" else ("clk", "rst")


def ports(shell: Shell, framing: Framing) -> list[Port]:
    """Return the ports of the top module."""
    clock, reset = clock_and_reset(shell)
    result = [Port(clock, 1, True), Port(reset, 1, True)]
    result += [
        Port("s_axis_tdata", framing.input.width, True),
        Port("s_axis_tvalid", 1, True),
        Port("s_axis_tlast", 1, True),
        Port("s_axis_tready", 1, False),
        Port("m_axis_tdata", framing.output.width, False),
    ]
    if framing.output.lanes > 1:
        result.append(Port("m_axis_tkeep", framing.output.width // 8, False))
    result += [
        Port("m_axis_tvalid", 1, False),
        Port("m_axis_tlast", 1, False),
        Port("m_axis_tuser", 1, False),
        Port("m_axis_tready", 1, True),
        Port("frame_error", 1, False),
        Port("frame_error_clear", 1, True),
    ]
    outside = {"load": _LOAD, "stream": _FETCH}.get(shell.weights, ())
    result += [Port(*one) for one in outside]
    if shell.control:
        result += [Port(f"{LITE_PREFIX}{name}", bits, is_input) for name, bits, is_input in _LITE]
    return result


def renamed(text: str, name: str) -> str:
    """Return the text of a network's top module NAME as that of its module NAME_network."""
    return re.sub(rf"\bmodule {re.escape(name)}\b", f"module {name}_network", text, count=1)


def top_module(
    name: str,
    shell: Shell,
    framing: Framing,
    words: Sequence[Register],
    outside: Sequence[WeightMemory],
) -> str:
    """Return the text of the top module around NAME_network.

    Args:
      words: of the control block; none without one.
      outside: weights that are not in the network.
    """
    clock, reset = clock_and_reset(shell)
    declared = ",\n".join(port.declaration() for port in ports(shell, framing))
    names = ""
    if shell.ports == "vivado":
        names = f"  logic clk, rst;\n  assign clk = {clock};\n  assign rst = !{reset};\n\n"
    block = " with a control block" if words else ""
    return f"""// A network between streams as wide as a bus{block}.
module {name} #(
  parameter RomFolder = "rom"
) (
{declared}
);

{names}{_gate(shell)}{_input(name, framing.input)}{_weights(name, shell, outside)}\
{_network(name, framing, shell)}{_output(name, framing)}{_counters(name, shell)}\
{_control(name, words)}
endmodule
"""


def _gate(shell: Shell) -> str:
    """The input, held back between frames while a register or missing weights say so."""
    conditions = ["run"] if shell.control else []
    conditions += ["weights_open"] if shell.weights == "load" else []
    text = "  // Words in, as the network may take them.\n  logic taken_valid, taken_ready;\n"
    text += "  logic run, clear;\n" if shell.control else ""
    if not conditions:
        return (
            text
            + """  assign taken_valid   = s_axis_tvalid;
  assign s_axis_tready = taken_ready;
"""
        )
    opened = " && ".join(conditions)
    loading = ", weights_open" if shell.weights == "load" else ""
    return (
        text
        + f"""  logic is_open, in_frame, busy{loading};
  assign is_open       = ({opened}) || in_frame;
  assign taken_valid   = s_axis_tvalid && is_open;
  assign s_axis_tready = taken_ready && is_open;
"""
    )


def _weights(name: str, shell: Shell, outside: Sequence[WeightMemory]) -> str:
    """What brings weights that lie outside."""
    if not outside:
        return ""

    def packed(values: Sequence[int]) -> str:
        return "{" + ", ".join(f"32'd{value}" for value in reversed(values)) + "}"

    count = len(outside)
    sizes = packed([len(memory.words) for memory in outside])
    text = f"""
  // Weights.
  logic [{count - 1}:0] weights_write;
  logic [31:0] weights_word;
"""
    if shell.weights == "load":
        clear = "frame_error_clear || clear" if shell.control else "frame_error_clear"
        return (
            text
            + f"""  logic weights_start, weights_ready;
  assign weights_ready = weights_loaded;
  {name}_load #(.Memories({count}), .Sizes({sizes})) load (
    .clk_i(clk), .rst_i(rst), .data_i(s_weights_tdata), .valid_i(s_weights_tvalid),
    .last_i(s_weights_tlast), .ready_o(s_weights_tready), .busy_i(busy), .clear_i({clear}),
    .open_o(weights_open), .is_loaded_o(weights_loaded), .error_o(weights_error),
    .start_o(weights_start), .write_o(weights_write), .word_o(weights_word)
  );
"""
        )
    places = packed(weight_places(outside))
    rooms = packed([memory.room for memory in outside])
    rows = packed([memory.row_words for memory in outside])
    return (
        text
        + f"""  logic [{count - 1}:0] weights_free;
  assign m_axi_arsize  = 3'd2; // words of 4 bytes
  assign m_axi_arburst = 2'b01; // one after the other
  assign m_axi_arcache = 4'b0011;
  assign m_axi_arprot  = '0;
  {name}_fetch #(
    .Streams({count}), .Sizes({sizes}), .Places({places}),
    .Rooms({rooms}), .Rows({rows})
  ) fetch (
    .clk_i(clk), .rst_i(rst), .address_i(weights_address), .araddr_o(m_axi_araddr),
    .arlen_o(m_axi_arlen), .arvalid_o(m_axi_arvalid), .arready_i(m_axi_arready),
    .rdata_i(m_axi_rdata), .rresp_i(m_axi_rresp), .rlast_i(m_axi_rlast),
    .rvalid_i(m_axi_rvalid), .rready_o(m_axi_rready), .free_i(weights_free),
    .write_o(weights_write), .word_o(weights_word), .error_o(weights_error)
  );
"""
    )


def _stream(name: str, bits: int) -> str:
    return f"  logic [{bits - 1}:0] {name};\n  logic {name}_valid, {name}_last, {name}_ready;\n"


def _input(name: str, edge: Edge) -> str:
    text = _stream("sample", edge.bits)
    if edge.lanes == 1:
        return (
            text
            + """  assign sample       = s_axis_tdata;
  assign sample_valid = taken_valid;
  assign sample_last  = s_axis_tlast;
  assign taken_ready  = sample_ready;
"""
        )
    return (
        text
        + f"""  {name}_unpack #(
    .Bits({edge.bits}), .Lanes({edge.lanes}), .Codes({edge.codes})
  ) unpack (
    .clk_i(clk), .rst_i(rst), .data_i(s_axis_tdata), .valid_i(taken_valid),
    .last_i(s_axis_tlast), .ready_o(taken_ready), .data_o(sample), .valid_o(sample_valid),
    .last_o(sample_last), .ready_i(sample_ready)
  );
"""
    )


def _network(name: str, framing: Framing, shell: Shell) -> str:
    bits = 32 if framing.format.is_float else framing.format.width
    clear = "frame_error_clear || clear" if shell.control else "frame_error_clear"
    own = {
        "rom": (),
        "load": ("ready", "start", "write", "word"),
        "stream": ("write", "word", "free"),
    }
    weights = "".join(f"    .weights_{one}(weights_{one}),\n" for one in own[shell.weights])
    text = _stream("answer", bits)
    return f"""{text}  logic answer_user;
  {name}_network #(.RomFolder(RomFolder)) network (
    .clk(clk), .rst(rst),
{weights}    .s_axis_tdata(sample), .s_axis_tvalid(sample_valid),
    .s_axis_tlast(sample_last), .s_axis_tready(sample_ready), .m_axis_tdata(answer),
    .m_axis_tvalid(answer_valid), .m_axis_tlast(answer_last), .m_axis_tuser(answer_user),
    .m_axis_tready(answer_ready), .frame_error(frame_error), .frame_error_clear({clear})
  );
"""


def _output(name: str, framing: Framing) -> str:
    """The answers, through what they go through, to the port."""
    text, net = "", "answer"
    if framing.classes:
        f = framing.format
        bits = 32 if f.is_float else f.width
        text += (
            _stream("index", framing.output.bits)
            + f"""  logic index_user;
  {name}_argmax #(
    .Bits({bits}), .IsSigned(1'b{int(f.is_signed)}), .Exponent({f.exponent_bits}),
    .Classes({framing.classes}), .OutBits({framing.output.bits})
  ) argmax (
    .clk_i(clk), .rst_i(rst), .data_i(answer), .valid_i(answer_valid), .last_i(answer_last),
    .user_i(answer_user), .ready_o(answer_ready), .data_o(index), .valid_o(index_valid),
    .last_o(index_last), .user_o(index_user), .ready_i(index_ready)
  );
"""
        )
        net = "index"
    if framing.output.lanes == 1:
        return (
            text
            + f"""  assign m_axis_tdata  = {net};
  assign m_axis_tvalid = {net}_valid;
  assign m_axis_tlast  = {net}_last;
  assign m_axis_tuser  = {net}_user;
  assign {net}_ready = m_axis_tready;
"""
        )
    return (
        text
        + f"""  {name}_pack #(
    .Bits({framing.output.bits}), .Lanes({framing.output.lanes})
  ) pack (
    .clk_i(clk), .rst_i(rst), .data_i({net}), .valid_i({net}_valid), .last_i({net}_last),
    .user_i({net}_user), .ready_o({net}_ready), .data_o(m_axis_tdata), .keep_o(m_axis_tkeep),
    .valid_o(m_axis_tvalid), .last_o(m_axis_tlast), .user_o(m_axis_tuser),
    .ready_i(m_axis_tready)
  );
"""
    )


_COUNTERS = (
    "frames_in", "frames_out", "frames_wrong", "latency", "interval", "cycles", "input_waits",
    "output_waits",
)  # fmt: skip


def _counters(name: str, shell: Shell) -> str:
    """What is under way, and figures for the registers."""
    if not shell.control and shell.weights != "load":
        return ""
    outputs = ", ".join(f".{one}_o({one if shell.control else ''})" for one in _COUNTERS)
    nets = f"  logic [31:0] {', '.join(_COUNTERS)};\n" if shell.control else ""
    return f"""
  // What is under way.
{nets}  {name}_counters counters (
    .clk_i(clk), .rst_i(rst), .clear_i({"clear" if shell.control else "1'b0"}),
    .s_valid_i(taken_valid), .s_ready_i(taken_ready), .s_last_i(s_axis_tlast),
    .m_valid_i(m_axis_tvalid), .m_ready_i(m_axis_tready), .m_last_i(m_axis_tlast),
    .m_user_i(m_axis_tuser), .in_frame_o(in_frame), .busy_o(busy),
    {outputs}
  );
"""


def _control(name: str, words: Sequence[Register]) -> str:
    if not words:
        return ""
    lite = ", ".join(
        f".{one}_{'i' if is_input else 'o'}({LITE_PREFIX}{one})"
        for one, _, is_input in _LITE
        if not one.endswith("prot")
    )
    high = ADDRESS_BITS - 1
    return f"""
  // Registers.
  logic write, write_error, read_error;
  logic [{high}:0] write_address, read_address;
  logic [31:0] write_data, read_data;
  logic [3:0] write_enable;
  {name}_axil #(.AddressBits({ADDRESS_BITS})) axil (
    .clk_i(clk), .rst_i(rst), {lite},
    .write_o(write), .write_address_o(write_address), .write_data_o(write_data),
    .write_enable_o(write_enable), .write_error_i(write_error), .read_address_o(read_address),
    .read_data_i(read_data), .read_error_i(read_error)
  );
{decoder(words)}  assign run   = run_q[0];
  assign clear = clear_set;
"""


def control_ports(shell: Shell, framing: Framing) -> str:
    """Return the ports of the control block as a bench declares them, a line each."""
    own = [port for port in ports(shell, framing) if port.name.startswith(LITE_PREFIX)]
    return "".join(f"{port.declaration()},\n" for port in own)


def bench_instance(name: str, shell: Shell, framing: Framing, words: int) -> str:
    """Return the instance `dut` of the top module on the ports of a bench, which are those of a
    network without a shell and the control block's; what a bench has not is tied, and so many
    words of weights are brought.
    """
    clock, reset = clock_and_reset(shell)
    own = {clock: "clk", reset: "!rst" if shell.ports == "vivado" else "rst"}
    parts = []
    for port in ports(shell, framing):
        if port.name in ("m_axis_tkeep", "weights_loaded", "weights_error"):
            own[port.name] = ""
        elif port.name == "weights_address":
            own[port.name] = f"32'h{WEIGHTS_ADDRESS:x}"
        parts.append(f".{port.name}({own.get(port.name, port.name)})")
    lines = ",\n".join(f"    {part}" for part in parts)
    return f"{_bench_weights(name, shell, words)}  {name} dut (\n{lines}\n  );\n"


def _bench_weights(name: str, shell: Shell, words: int) -> str:
    """What brings weights in a bench: so many words, from `tb/vectors/weights.hex`."""
    nets = "".join(
        f"  logic {f'[{port[1] - 1}:0] ' if port[1] > 1 else ''}{port[0]};\n"
        for port in {"load": _LOAD, "stream": _FETCH}.get(shell.weights, ())
        if not port[0].startswith("weights_")
    )
    if shell.weights == "load":
        return (
            nets
            + f"""  // The weights come before everything else, and again after a reset.
  logic [31:0] weight_words[{words}];
  logic [31:0] weights_sent_q;
  initial $readmemh("tb/vectors/weights.hex", weight_words);
  assign s_weights_tdata  = weight_words[weights_sent_q];
  assign s_weights_tvalid = !rst && weights_sent_q < {words};
  assign s_weights_tlast  = weights_sent_q == {words - 1};
  always_ff @(posedge clk)
    if (rst) weights_sent_q <= '0;
    else if (s_weights_tvalid && s_weights_tready) weights_sent_q <= weights_sent_q + 1'b1;
"""
        )
    if shell.weights == "stream":
        return (
            nets
            + f"""  assign m_axi_rresp = '0;
  {name}_memory #(.Words({words}), .Address(32'h{WEIGHTS_ADDRESS:x})) memory (
    .clk_i(clk), .rst_i(rst), .araddr_i(m_axi_araddr), .arlen_i(m_axi_arlen),
    .arvalid_i(m_axi_arvalid), .arready_o(m_axi_arready), .rdata_o(m_axi_rdata),
    .rlast_o(m_axi_rlast), .rvalid_o(m_axi_rvalid), .rready_i(m_axi_rready)
  );
"""
        )
    return ""
