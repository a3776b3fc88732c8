// Registers with one write port and one read port.
//
// Purpose:  distributed RAM where the target has it: an asynchronous read.
// Latency:  0 cycles from index to word; a word written is read from the next cycle on.
module asnet_register_file #(
  parameter int unsigned Words     = 2,
  parameter int unsigned Width     = 32,
  parameter int unsigned IndexBits = 1
) (
  input  logic                 clk_i,
  input  logic [IndexBits-1:0] read_index_i,
  output logic [Width-1:0]     read_data_o,
  input  logic                 write_enable_i,
  input  logic [IndexBits-1:0] write_index_i,
  input  logic [Width-1:0]     write_data_i
);

  (* ram_style = "distributed", no_rw_check *) logic [Width-1:0] words[Words];

  always_ff @(posedge clk_i) begin
    if (write_enable_i) words[write_index_i] <= write_data_i;
  end

  assign read_data_o = words[read_index_i];

endmodule
