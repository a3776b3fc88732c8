// SPDX-License-Identifier: Apache-2.0
// Mitchell's logarithmic multiplier (IRE Trans. EC, 1962) of normalised significands: with a = 1.x
// and b = 1.y the product is 1 + x + y where x + y < 1, and 2 (x + y) otherwise; the T lowest bits
// of x and y are ignored.  An operand without its leading 1 (zero, a subnormal) gives 0.  Latency 0.
module log_mul #(
  parameter T = 8
) (
  input  [23:0] a,
  input  [23:0] b,
  output [47:0] y
);
  wire [23:0] sum = {1'b0, a[22:0] >> T << T} + {1'b0, b[22:0] >> T << T};
  wire [24:0] product = sum[23] ? {sum[23:0], 1'b0} : {1'b0, 1'b1, sum[22:0]};
  assign y = a[23] & b[23] ? {product, 23'd0} : 48'd0;
endmodule
