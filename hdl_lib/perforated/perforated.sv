// Multiplier with perforated partial products.
//
// Purpose:  result_o ~ a_i * b_i, N x N -> 2N bits, without K of its N rows.
// Source:   G. Zervakis, K. Tsoumanis, S. Xydis, D. Soudris, K. Pekmestzi, "Design-Efficient
//           Approximate Multiplication Circuits Through Partial Product Perforation", IEEE TVLSI
//           24(10), 2016, (2) to (5).
// Method:   the K partial products from the one of b_i[J] on are left out; the others are added exactly.
// Signed:   SIGNED = 1: rows are a_i extended by its sign; that of the top bit of b_i is subtracted.
// Latency:  0, combinational.
// Special:  the result is a_i * (b_i without its bits J..J+K-1).
module perforated #(
  parameter int unsigned N      = 8,
  parameter int unsigned J      = 0,
  parameter int unsigned K      = 2,
  parameter int unsigned SIGNED = 0
) (
  input  logic [N-1:0]   a_i,
  input  logic [N-1:0]   b_i,
  output logic [2*N-1:0] result_o
);

  if (N < 2 || N > 32 || K < 1 || J + K > N || K >= N || SIGNED > 1) begin : gen_bad_parameter
    $error("perforated: N must be in 2..32, K in 1..N-1, J + K at most N and SIGNED 0 or 1");
  end

  logic [2*N-1:0]      extended;
  logic [N:0][2*N-1:0] sum;

  assign extended = {{N{(SIGNED == 1) & a_i[N-1]}}, a_i};
  assign sum[0]   = '0;
  for (genvar j = 0; j < N; j++) begin : gen_row
    if (j >= J && j < J + K) begin : gen_perforated
      logic unused_bit;
      assign unused_bit = b_i[j];
      assign sum[j+1]   = sum[j];
    end else if (SIGNED == 1 && j == N - 1) begin : gen_sign
      assign sum[j+1] = sum[j] - ((extended & {2*N{b_i[j]}}) << j);
    end else begin : gen_kept
      assign sum[j+1] = sum[j] + ((extended & {2*N{b_i[j]}}) << j);
    end
  end
  assign result_o = sum[N];

endmodule
