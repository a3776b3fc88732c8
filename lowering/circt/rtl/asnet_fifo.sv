// Queue of words with one writer and one reader.
//
// Purpose:  decouples two stages of a stream. The writer must know that there is room: it holds
//           credits, or looks at ready_o.
// Latency:  2 cycles from a word's arrival to its appearance at the output; one word a cycle.
// Holds Words words and one more in the output register.
module asnet_fifo #(
  parameter int unsigned Words       = 16,
  parameter int unsigned Width       = 32,
  parameter int unsigned AddressBits = 4
) (
  input  logic             clk_i,
  input  logic             rst_i,
  input  logic [Width-1:0] data_i,
  input  logic             valid_i,
  output logic             ready_o,
  output logic [Width-1:0] data_o,
  output logic             valid_o,
  input  logic             ready_i
);

  localparam logic [AddressBits-1:0] Last = AddressBits'(Words - 1);
  localparam logic [AddressBits:0]   Full = (AddressBits + 1)'(Words);

  logic [AddressBits-1:0] write_q, read_q;
  logic [AddressBits:0]   count_q; // words in the memory
  logic                   valid_q;
  logic                   write, read;

  assign ready_o = count_q != Full;
  assign valid_o = valid_q;
  assign write   = valid_i && ready_o;
  assign read    = count_q != '0 && (!valid_q || ready_i);

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      write_q <= '0;
      read_q  <= '0;
      count_q <= '0;
      valid_q <= 1'b0;
    end else begin
      if (write) write_q <= write_q == Last ? '0 : write_q + 1'b1;
      if (read) read_q <= read_q == Last ? '0 : read_q + 1'b1;
      if (write && !read) count_q <= count_q + 1'b1;
      if (read && !write) count_q <= count_q - 1'b1;
      valid_q <= read || (valid_q && !ready_i);
    end
  end

  // A word is never read in the cycle in which it is written.
  if (Words <= 64) begin : gen_small
    (* ram_style = "distributed", no_rw_check *) logic [Width-1:0] words[Words];
    always_ff @(posedge clk_i) begin
      if (write) words[write_q] <= data_i;
      if (read) data_o <= words[read_q];
    end
  end else begin : gen_large
    (* ram_style = "block", no_rw_check *) logic [Width-1:0] words[Words];
    always_ff @(posedge clk_i) begin
      if (write) words[write_q] <= data_i;
      if (read) data_o <= words[read_q];
    end
  end

endmodule
