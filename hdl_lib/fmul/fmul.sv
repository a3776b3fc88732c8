// IEEE-754 binary32 multiplier.
//
// Purpose:  result_o = a_i * b_i, round to nearest even, multiplier in soft logic.
// Source:   IEEE 754-2019, 5.4.1; raw significands are multiplied and the *product* is normalised, so
//           that constant-zero low operand bits shrink the multiplier.
// Latency:  LATENCY = 0..10, see asnet_fmul.
// Special:  subnormals exact, in and out. Any NaN result is 0x7FC00000 (NaN operand, inf * 0).
//           FLUSH = 1: subnormal operands count as zeros of their sign, results that are below the
//           smallest normal number after rounding are zeros of theirs; no shifter is left.
module fmul #(
  parameter int unsigned LATENCY = 3,
  parameter int unsigned FLUSH   = 0
) (
  input  logic        clk_i,
  input  logic [31:0] a_i,
  input  logic [31:0] b_i,
  output logic [31:0] result_o
);

  if (LATENCY > 10) begin : gen_bad_latency
    $error("fmul: LATENCY must be in 0..10");
  end
  if (FLUSH > 1) begin : gen_bad_flush
    $error("fmul: FLUSH must be 0 or 1");
  end

  asnet_fmul #(.Dsp(1'b0), .Flush(FLUSH != 0), .Latency(LATENCY)) u_fmul (
    .clk_i   (clk_i),
    .a_i     (a_i),
    .b_i     (b_i),
    .result_o(result_o)
  );

endmodule
