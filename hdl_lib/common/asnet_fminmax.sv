// IEEE-754 binary32 maximum or minimum.
//
// Purpose:  shared body of fmax (Maximum = 1) and fmin (Maximum = 0).
// Source:   IEEE 754-2019, 9.6, maximum and minimum (not maximumNumber and minimumNumber).
// Latency:  LATENCY = 0..1, one cut point after the comparison.
// Special:  a NaN operand gives 0x7FC00000; +0 is greater than -0; subnormals as they are.
module asnet_fminmax #(
  parameter bit          Maximum = 1'b1,
  parameter int unsigned LATENCY = 0
) (
  input  logic        clk_i,
  input  logic [31:0] a_i,
  input  logic [31:0] b_i,
  output logic [31:0] result_o
);

  logic [31:0] a_key, b_key, a_q, b_q;
  logic        nan, take_b, nan_q, take_b_q;

  // Keys that compare as unsigned integers in the order of the numbers, -0 below +0.
  assign a_key  = a_i ^ {1'b1, {31{a_i[31]}}};
  assign b_key  = b_i ^ {1'b1, {31{b_i[31]}}};
  assign take_b = (a_key < b_key) ^ ~Maximum;
  assign nan    = ((a_i[30:23] == 8'hFF) & (a_i[22:0] != '0)) |
                  ((b_i[30:23] == 8'hFF) & (b_i[22:0] != '0));

  asnet_pipe_reg #(.Width(66), .Cut(1), .Cuts(1), .Latency(LATENCY)) u_compare_1 (
    .clk_i(clk_i), .d_i({nan, take_b, a_i, b_i}), .q_o({nan_q, take_b_q, a_q, b_q}));

  assign result_o = nan_q ? 32'h7FC00000 : take_b_q ? b_q : a_q;

endmodule
