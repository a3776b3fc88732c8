// Weights in RAM, written in order through a port of 32 bits.
//
// Purpose:  stands where a ROM of weights does. start_i begins anew; each Width bits of the words that
//           follow, filled up to whole words, the lowest bits first, are a row.
// Latency:  1 cycle from address to row. What is read while it is written is undefined.
module asnet_weights #(
  parameter int unsigned Words       = 2,
  parameter int unsigned Width       = 32,
  parameter int unsigned AddressBits = 1
) (
  input  logic                   clk_i,
  input  logic                   start_i,
  input  logic                   write_i,
  input  logic [31:0]            word_i,
  input  logic [AddressBits-1:0] address_i,
  output logic [Width-1:0]       data_o
);

  localparam int unsigned Parts    = (Width + 31) / 32;
  localparam int unsigned PartBits = Parts > 1 ? $clog2(Parts) : 1;

  logic [32*Parts-1:0]    row;
  logic [PartBits-1:0]    part_q;
  logic [AddressBits-1:0] row_q;
  logic                   is_whole;

  assign is_whole = part_q == PartBits'(Parts - 1);
  if (Parts == 1) begin : gen_one
    assign row = word_i;
  end else begin : gen_several
    logic [32*(Parts-1)-1:0] before_q;
    assign row = {word_i, before_q};
    always_ff @(posedge clk_i) if (write_i) before_q <= row[32*Parts-1:32];
  end
  always_ff @(posedge clk_i) begin
    if (start_i) begin
      part_q <= '0;
      row_q  <= '0;
    end else if (write_i) begin
      part_q <= is_whole ? '0 : part_q + 1'b1;
      if (is_whole) row_q <= row_q + 1'b1;
    end
  end

  if (Words <= 32) begin : gen_small
    (* ram_style = "distributed", no_rw_check *) logic [Width-1:0] rows[1 << AddressBits];
    always_ff @(posedge clk_i) begin
      if (write_i && is_whole) rows[row_q] <= row[Width-1:0];
      data_o <= rows[address_i];
    end
  end else begin : gen_large
    (* ram_style = "block", no_rw_check *) logic [Width-1:0] rows[1 << AddressBits];
    always_ff @(posedge clk_i) begin
      if (write_i && is_whole) rows[row_q] <= row[Width-1:0];
      data_o <= rows[address_i];
    end
  end

endmodule
