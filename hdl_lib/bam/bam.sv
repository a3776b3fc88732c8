// Broken-array multiplier.
//
// Purpose:  result_o ~ a_i * b_i, unsigned, N x N -> 2N bits: an array multiplier without the cells
//           of its last columns and rows.
// Source:   H. R. Mahdiani, A. Ahmadi, S. M. Fakhraie, C. Lucas, "Bio-Inspired Imprecise
//           Computational Blocks for Efficient VLSI Implementation of Soft-Computing Applications",
//           IEEE TCAS-I 57(4), 2010.
// Method:   the cell of a_i[i] and b_i[j] is left out below the vertical break level, i + j < VBL,
//           and below the horizontal one, j < HBL.
// Latency:  0, combinational.
// Special:  exact with VBL = HBL = 0; never too large.
module bam #(
  parameter int unsigned N   = 8,
  parameter int unsigned VBL = 5,
  parameter int unsigned HBL = 0
) (
  input  logic [N-1:0]   a_i,
  input  logic [N-1:0]   b_i,
  output logic [2*N-1:0] result_o
);

  if (N < 2 || N > 32 || VBL > 2 * N || HBL > N) begin : gen_bad_parameter
    $error("bam: N must be in 2..32, VBL in 0..2N and HBL in 0..N");
  end

  logic [N:0][2*N-1:0] sum;

  assign sum[0] = '0;
  for (genvar j = 0; j < N; j++) begin : gen_row
    localparam int unsigned Broken = (j < HBL) ? N : (j >= VBL) ? 0 : (VBL - j > N) ? N : VBL - j;
    // N+1 bits, because all N may be broken.
    localparam logic [N-1:0] Kept = N'({N{1'b1}} - (((N+1)'(1) << Broken) - (N+1)'(1)));
    logic [2*N-1:0] row;
    assign row      = {{N{1'b0}}, a_i & Kept & {N{b_i[j]}}};
    assign sum[j+1] = sum[j] + (row << j);
  end
  assign result_o = sum[N];

endmodule
