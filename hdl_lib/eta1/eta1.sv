// ETA I, an error-tolerant adder.
//
// Purpose:  result_o ~ a_i + b_i, unsigned, N + N -> N+1 bits; the low K bits without carries.
// Source:   N. Zhu, W. L. Goh, W. Zhang, K. S. Yeo, Z. H. Kong, "Design of Low-Power High-Speed
//           Truncation-Error-Tolerant Adder and Its Application in Digital Signal Processing", IEEE
//           TVLSI 18(8), 2010.
// Method:   the upper bits are added without a carry from the low part. There, from bit K-1 down, a
//           bit of the sum is the exclusive or, until both operands have a one: that bit and all below
//           it are set.
// Latency:  0, combinational.
// Special:  exact where the operands have no one in common in their low K bits; never too large.
module eta1 #(
  parameter int unsigned N = 16,
  parameter int unsigned K = 8
) (
  input  logic [N-1:0] a_i,
  input  logic [N-1:0] b_i,
  output logic [N:0]   result_o
);

  if (N < 2 || N > 63 || K < 1 || K >= N) begin : gen_bad_parameter
    $error("eta1: N must be in 2..63 and K in 1..N-1");
  end

  logic [N-K:0] high;
  logic [K:0]   set;  // from a common one on downwards

  assign set[K] = 1'b0;
  for (genvar i = 0; i < K; i++) begin : gen_low
    assign set[i]      = set[i+1] | (a_i[i] & b_i[i]);
    assign result_o[i] = set[i] | a_i[i] | b_i[i];
  end
  assign high          = {1'b0, a_i[N-1:K]} + {1'b0, b_i[N-1:K]};
  assign result_o[N:K] = high;

endmodule
