// IEEE-754 binary32 maximum.
//
// Purpose:  result_o = maximum(a_i, b_i).
// Source:   IEEE 754-2019, 9.6, maximum (not maximumNumber).
// Latency:  LATENCY = 0..1 registers between operands and result.
// Special:  a NaN operand gives 0x7FC00000; +0 is greater than -0; subnormals as they are.
module fmax #(
  parameter int unsigned LATENCY = 0
) (
  input  logic        clk_i,
  input  logic [31:0] a_i,
  input  logic [31:0] b_i,
  output logic [31:0] result_o
);

  if (LATENCY > 1) begin : gen_bad_latency
    $error("fmax: LATENCY must be in 0..1");
  end

  asnet_fminmax #(.Maximum(1'b1), .LATENCY(LATENCY)) u_fminmax (
    .clk_i   (clk_i),
    .a_i     (a_i),
    .b_i     (b_i),
    .result_o(result_o)
  );

endmodule
