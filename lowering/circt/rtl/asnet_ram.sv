// RAM with one read port and one write port.
//
// Purpose:  block RAM that any synthesis infers: a synchronous read, no write mask.
// Latency:  1 cycle from address to word. Reading and writing one word in one cycle is undefined;
//           the schedule never does.
module asnet_ram #(
  parameter int unsigned Words       = 2,
  parameter int unsigned AddressBits = 1
) (
  input  logic                   clk_i,
  input  logic [AddressBits-1:0] read_address_i,
  output logic [31:0]            read_data_o,
  input  logic                   write_enable_i,
  input  logic [AddressBits-1:0] write_address_i,
  input  logic [31:0]            write_data_i
);

  (* ram_style = "block", no_rw_check *) logic [31:0] words[Words];

  always_ff @(posedge clk_i) begin
    if (write_enable_i) words[write_address_i] <= write_data_i;
    read_data_o <= words[read_address_i];
  end

endmodule
