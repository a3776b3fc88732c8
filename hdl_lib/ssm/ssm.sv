// SSM, a static segment multiplier.
//
// Purpose:  result_o ~ a_i * b_i, N x N -> 2N bits, with a K x K multiplier.
// Source:   S. Narayanamoorthy, H. A. Moghaddam, Z. Liu, T. Park, N. S. Kim, "Energy-Efficient
//           Approximate Multiplication for Digital Signal Processing and Classification
//           Applications", IEEE TVLSI 23(6), 2015, section III.
// Method:   of each operand K bits are multiplied, from the top where one of the N - K bits there is
//           set, else from the bottom. EXTENDED = 1 has a third place in the middle of these two, used
//           where the top half of the N - K bits is zero (the paper's ESSM).
// Signed:   SIGNED = 1 multiplies magnitudes and sets the sign (our way: the paper is unsigned).
// Latency:  0, combinational.
// Special:  exact where both operands are below 2^K; never too large.
module ssm #(
  parameter int unsigned N        = 16,
  parameter int unsigned K        = 8,
  parameter int unsigned EXTENDED = 0,
  parameter int unsigned SIGNED   = 0
) (
  input  logic [N-1:0]   a_i,
  input  logic [N-1:0]   b_i,
  output logic [2*N-1:0] result_o
);

  if (N < 3 || N > 32 || 2 * K < N || K >= N || EXTENDED > 1 || SIGNED > 1
      || (EXTENDED == 1 && (N - K) % 2 != 0)) begin : gen_bad_parameter
    $error("ssm: N must be in 3..32, K in N/2..N-1, N-K even with EXTENDED, that and SIGNED < 2");
  end

  localparam int unsigned Top    = N - K;
  localparam int unsigned Middle = (EXTENDED == 1) ? Top / 2 : 0;

  logic [1:0][N-1:0] operand;
  logic [1:0][K-1:0] segment;
  logic [1:0]        is_top, is_middle;
  logic [2*K-1:0]    segments;
  logic [2*N-1:0]    once, product;

  asnet_magnitudes #(.N(N), .Signed(SIGNED)) u_magnitudes (
    .a_i(a_i), .b_i(b_i), .product_i(product), .a_o(operand[0]), .b_o(operand[1]),
    .result_o(result_o));

  for (genvar i = 0; i < 2; i++) begin : gen_operand
    assign is_top[i]    = (operand[i][N-1:K+Middle] != '0);
    assign is_middle[i] = (EXTENDED == 1) & ~is_top[i] & (operand[i][N-1:K] != '0);
    assign segment[i]   = is_top[i] ? operand[i][N-1:Top]
                        : is_middle[i] ? operand[i][K+Middle-1:Middle] : operand[i][K-1:0];
  end

  assign segments = {{K{1'b0}}, segment[0]} * {{K{1'b0}}, segment[1]};
  assign once     = is_top[0] ? (2*N)'(segments) << Top
                  : is_middle[0] ? (2*N)'(segments) << Middle : (2*N)'(segments);
  assign product  = is_top[1] ? once << Top : is_middle[1] ? once << Middle : once;

endmodule
