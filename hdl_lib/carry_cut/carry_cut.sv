// Adder whose carry chain is cut.
//
// Purpose:  result_o ~ a_i + b_i, unsigned, N + N -> N+1 bits, with a carry chain in two parts.
// Source:   A. Qureshi, O. Hasan, "Formal Probabilistic Analysis of Low Latency Approximate Adders",
//           IEEE TCAD 38(1), 2019: adders of parts whose carries are not handed on.
// Method:   the low K bits and the others are added separately; the carry of the low part is dropped.
// Latency:  0, combinational.
// Special:  too small by 2^K where the low part has a carry, which are (1 - 2^-K) / 2 of all pairs, else
//           exact. Where N = 2 K it is `gear` with R = K and P = 0, which cuts in several places.
module carry_cut #(
  parameter int unsigned N = 16,
  parameter int unsigned K = 8
) (
  input  logic [N-1:0] a_i,
  input  logic [N-1:0] b_i,
  output logic [N:0]   result_o
);

  if (N < 2 || N > 63 || K < 1 || K >= N) begin : gen_bad_parameter
    $error("carry_cut: N must be in 2..63 and K in 1..N-1");
  end

  assign result_o[K-1:0] = a_i[K-1:0] + b_i[K-1:0];
  assign result_o[N:K]   = {1'b0, a_i[N-1:K]} + {1'b0, b_i[N-1:K]};

endmodule
