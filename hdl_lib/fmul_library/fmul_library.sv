// IEEE-754 binary32 multiplier whose significands are multiplied by a circuit of the library.
//
// Purpose:  result_o ~ a_i * b_i: the rounded value of the product that circuit M of mul24_library
//           gives for the significands, which are 24 bits wide.
// Source:   the circuits': docs/library.md.  The wrapper is that of fmul_drum.
// Latency:  LATENCY = 0..5 registers between operands and result, spread over five cut points: before
//           and after the product, after the count of its zeros, inside and after the shifter.
// Special:  those of a significand core: subnormals in and out, zero operands give zero. Any NaN
//           result is 0x7FC00000 (NaN operand, inf * 0).
module fmul_library #(
  parameter int unsigned M       = 0,
  parameter int unsigned LATENCY = 3
) (
  input  logic        clk_i,
  input  logic [31:0] a_i,
  input  logic [31:0] b_i,
  output logic [31:0] result_o
);

  if (LATENCY > 5) begin : gen_bad_latency
    $error("fmul_library: LATENCY must be in 0..5");
  end

  logic [23:0] a_sig, b_sig;
  logic [47:0] product;
  logic [9:0]  limit;
  logic [2:0]  flags;
  logic        sign;

  asnet_sig_mul_front #(.E(8), .F(23), .N(24), .ExpWidth(10), .Cuts(5), .Latency(LATENCY)) u_front (
    .clk_i(clk_i), .a_i(a_i), .b_i(b_i), .unit_a_o(a_sig), .unit_b_o(b_sig), .limit_o(limit),
    .sign_o(sign), .flags_o(flags));

  mul24_library #(.M(M)) u_mul (.a_i(a_sig), .b_i(b_sig), .result_o(product));

  asnet_sig_pack #(.E(8), .F(23), .Width(48), .ExpWidth(10), .FirstCut(2), .Cuts(5),
                   .Latency(LATENCY))
  u_back (
    .clk_i(clk_i), .word_i(product), .limit_i(limit), .sign_i(sign), .zero_sign_i(sign),
    .flags_i(flags), .result_o(result_o));

endmodule
