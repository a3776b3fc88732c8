// IEEE-754 binary32 multiplier for targets with multiplier blocks.
//
// Purpose:  result_o = a_i * b_i, round to nearest even. In soft logic fmul is the smaller one.
// Source:   IEEE 754-2019, 5.4.1.
// Latency:  LATENCY = 0..10 registers between operands and result. Up to three (and FLUSH = 0) are around
//           one 24 x 24 bit multiplication, between the front and the back of significand cores, so
//           that one with an exact unit has this core's structure; more are inside the product as
//           well, which has four 12 x 12 bit multiplications then: see asnet_fmul.
// Special:  subnormals exact, in and out. Any NaN result is 0x7FC00000 (NaN operand, inf * 0).
//           FLUSH = 1: as for fmul.
module fmul_dsp #(
  parameter int unsigned LATENCY = 3,
  parameter int unsigned FLUSH   = 0
) (
  input  logic        clk_i,
  input  logic [31:0] a_i,
  input  logic [31:0] b_i,
  output logic [31:0] result_o
);

  if (LATENCY > 10) begin : gen_bad_latency
    $error("fmul_dsp: LATENCY must be in 0..10");
  end
  if (FLUSH > 1) begin : gen_bad_flush
    $error("fmul_dsp: FLUSH must be 0 or 1");
  end

  if (LATENCY > 3 || FLUSH != 0) begin : gen_parts
    asnet_fmul #(.Dsp(1'b1), .Flush(FLUSH != 0), .Latency(LATENCY)) u_fmul (
      .clk_i(clk_i), .a_i(a_i), .b_i(b_i), .result_o(result_o));
  end else begin : gen_whole
    logic [23:0] a_sig, b_sig;
    logic [9:0]  limit;
    logic [2:0]  flags;
    logic        sign;

    asnet_sig_mul_front #(.E(8), .F(23), .N(24), .ExpWidth(10), .Cuts(5), .Latency(LATENCY))
    u_front (
      .clk_i(clk_i), .a_i(a_i), .b_i(b_i), .unit_a_o(a_sig), .unit_b_o(b_sig), .limit_o(limit),
      .sign_o(sign), .flags_o(flags));

    asnet_sig_pack #(.E(8), .F(23), .Width(48), .ExpWidth(10), .FirstCut(2), .Cuts(5),
                     .Latency(LATENCY))
    u_back (
      .clk_i(clk_i), .word_i({24'b0, a_sig} * {24'b0, b_sig}), .limit_i(limit), .sign_i(sign),
      .zero_sign_i(sign), .flags_i(flags), .result_o(result_o));
  end

endmodule
