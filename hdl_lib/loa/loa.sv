// Lower-part-OR adder.
//
// Purpose:  result_o ~ a_i + b_i, unsigned, N + N -> N+1 bits; the low K bits without carries.
// Source:   H. R. Mahdiani, A. Ahmadi, S. M. Fakhraie, C. Lucas, "Bio-Inspired Imprecise
//           Computational Blocks for Efficient VLSI Implementation of Soft-Computing Applications",
//           IEEE TCAS-I 57(4), 2010.
// Method:   the low K bits of the sum are those of `a | b`; the others are added, with the carry that
//           the top bits of the low parts make.
// Latency:  0, combinational.
// Special:  exact where the operands have no one in common in their low K bits but in the highest of
//           them; there, the sum keeps that one besides making the carry of it.
module loa #(
  parameter int unsigned N = 16,
  parameter int unsigned K = 8
) (
  input  logic [N-1:0] a_i,
  input  logic [N-1:0] b_i,
  output logic [N:0]   result_o
);

  if (N < 2 || N > 64 || K < 1 || K >= N) begin : gen_bad_parameter
    $error("loa: N must be in 2..64 and K in 1..N-1");
  end

  logic [N-K:0] high;
  logic         carry;

  assign carry    = a_i[K-1] & b_i[K-1];
  assign high     = {1'b0, a_i[N-1:K]} + {1'b0, b_i[N-1:K]} + (N-K+1)'(carry);
  assign result_o = {high, a_i[K-1:0] | b_i[K-1:0]};

endmodule
