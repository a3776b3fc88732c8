// SPDX-License-Identifier: Apache-2.0
// A multiplier of significands that ignores the C lowest bits of both operands.  Latency 0.
module cut_mul #(
  parameter C = 16
) (
  input  [23:0] a,
  input  [23:0] b,
  output [47:0] y
);
  assign y = (a >> C) * (b >> C) << 2 * C;
endmodule
