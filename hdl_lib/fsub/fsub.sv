// IEEE-754 binary32 subtractor.
//
// Purpose:  result_o = a_i - b_i, round to nearest even: fadd with the sign of b_i flipped.
// Source:   IEEE 754-2019, 5.4.1.
// Latency:  LATENCY = 0..9, that of fadd.
// Flush:    FLUSH, that of fadd.
// Special:  those of fadd. The flipped sign of a NaN does not matter: any NaN result is 0x7FC00000.
module fsub #(
  parameter int unsigned LATENCY = 4,
  parameter int unsigned FLUSH   = 0
) (
  input  logic        clk_i,
  input  logic [31:0] a_i,
  input  logic [31:0] b_i,
  output logic [31:0] result_o
);

  fadd #(.LATENCY(LATENCY), .FLUSH(FLUSH)) u_fadd (
    .clk_i   (clk_i),
    .a_i     (a_i),
    .b_i     ({~b_i[31], b_i[30:0]}),
    .result_o(result_o)
  );

endmodule
