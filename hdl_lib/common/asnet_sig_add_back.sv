// The back of a floating-point addition: the sum of a significand unit to a rounded number.
//
// Purpose:  undoes the inversion of asnet_sig_add_front and packs. N and W are those of the front;
//           the unit's sum has R = N or N+1 bits.
// Latency:  cut points 3..6 of the Cuts of the core around it, see asnet_pipe_reg.
// Special:  a difference below zero, which only an inexact unit with a carry out (R = N+1) can show,
//           counts as zero.
module asnet_sig_add_back #(
  parameter int unsigned E        = 8,
  parameter int unsigned F        = 23,
  parameter int unsigned N        = 27,
  parameter int unsigned W        = 27,
  parameter int unsigned R        = 28,
  parameter int unsigned ExpWidth = 10,
  parameter int unsigned Cuts     = 6,
  parameter int unsigned Latency  = 0
) (
  input  logic         clk_i,
  input  logic [R-1:0] sum_i,
  input  logic [E-1:0] exp_i,
  input  logic         subtract_i,
  input  logic         sign_i,
  input  logic         zero_sign_i,
  input  logic [2:0]   flags_i,
  output logic [E+F:0] result_o
);

  logic [R-1:0]        word;
  logic [ExpWidth-1:0] limit;

  if (R > N) begin : gen_carry
    assign word = subtract_i ? {1'b0, ~sum_i[N-1:0] & {N{~sum_i[N]}}} : sum_i;
  end else begin : gen_no_carry
    assign word = sum_i ^ {R{subtract_i}};
  end
  // Bit W-1 has the larger operand's exponent.
  assign limit = ExpWidth'(exp_i) + ExpWidth'(R - W - 1);

  asnet_sig_pack #(.E(E), .F(F), .Width(R), .ExpWidth(ExpWidth), .Below(1'b0), .FirstCut(3),
                   .Cuts(Cuts), .Latency(Latency))
  u_pack (
    .clk_i(clk_i), .word_i(word), .limit_i(limit), .sign_i(sign_i), .zero_sign_i(zero_sign_i),
    .flags_i(flags_i), .result_o(result_o));

endmodule
