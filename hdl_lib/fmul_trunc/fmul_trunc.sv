// IEEE-754 binary32 multiplier that ignores low fraction bits.
//
// Purpose:  result_o = fmul(mask(a_i), mask(b_i)), where mask clears the last P fraction bits.
// Source:   J. Y. F. Tong, D. Nagle, R. A. Rutenbar, "Reducing Power by Optimizing the Necessary
//           Precision/Range of Floating-Point Arithmetic", IEEE TVLSI 8(3), 2000.
// Latency:  LATENCY = 0..10, that of fmul.
// Flush:    FLUSH, that of fmul.
// Special:  those of fmul on the masked operands: the rounding is to nearest even of their exact
//           product. A NaN whose only fraction bits are masked is read as an infinity.
// The body is one instance of the exact core and nothing else, its operand bits port bits or zero:
// this structure is the proof that the core is the exact one behind masks. Keep it so.
module fmul_trunc #(
  parameter int unsigned P       = 0,
  parameter int unsigned LATENCY = 3,
  parameter int unsigned FLUSH   = 0
) (
  input  logic        clk_i,
  input  logic [31:0] a_i,
  input  logic [31:0] b_i,
  output logic [31:0] result_o
);

  if (P > 22) begin : gen_bad_p
    $error("fmul_trunc: P must be in 0..22");
  end

  localparam logic [31:0] Mask = ~((32'd1 << P) - 32'd1);

  fmul #(.LATENCY(LATENCY), .FLUSH(FLUSH)) u_fmul (
    .clk_i   (clk_i),
    .a_i     (a_i & Mask),
    .b_i     (b_i & Mask),
    .result_o(result_o)
  );

endmodule
