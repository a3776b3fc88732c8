// SPDX-License-Identifier: Apache-2.0
// A broken-array multiplier of significands (Mahdiani et al., IEEE TCAS-I, 2010): the cells of the
// V lowest columns of the array of partial products are left out.  Latency 0.
module broken_mul #(
  parameter V = 32
) (
  input  [23:0] a,
  input  [23:0] b,
  output [47:0] y
);
  wire [47:0] sum [0:24];
  assign sum[0] = 48'd0;
  genvar row;
  generate
    for (row = 0; row < 24; row = row + 1) begin : rows
      wire [47:0] partial = {24'd0, b[row] ? a : 24'd0} << row;
      assign sum[row + 1] = sum[row] + (partial >> V << V);
    end
  endgenerate
  assign y = sum[24];
endmodule
