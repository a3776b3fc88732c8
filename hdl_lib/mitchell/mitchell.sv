// Mitchell's logarithmic multiplier.
//
// Purpose:  result_o ~ a_i * b_i, unsigned, N x N -> 2N bits, by one addition of logarithms.
// Source:   J. N. Mitchell, "Computer Multiplication and Division Using Binary Logarithms", IRE
//           Transactions on Electronic Computers EC-11(4), 1962.
// Method:   with a leading one at bit k, x = 2^k (1 + f), k + f is nearly the logarithm of x; the sum
//           of two such, K + F, stands for 2^K (1 + F). Products are up to 1/9 too small.
// Latency:  0, combinational.
// Special:  a zero operand gives zero. Bits of a small product below its lowest are cut off.
module mitchell #(
  parameter int unsigned N = 16
) (
  input  logic [N-1:0]   a_i,
  input  logic [N-1:0]   b_i,
  output logic [2*N-1:0] result_o
);

  if (N < 2 || N > 32) begin : gen_bad_parameter
    $error("mitchell: N must be in 2..32");
  end

  localparam int unsigned CountWidth = $clog2(N);
  localparam int unsigned LogWidth   = CountWidth + N;  // N-1 bits of fraction, a carry above

  logic [1:0][N-1:0]        operand;
  logic [1:0][LogWidth-1:0] logarithm;
  logic [1:0]               zero;
  logic [LogWidth-1:0]      log_sum;
  logic [CountWidth:0]      exponent;
  logic [N-1:0]             significand;
  logic [2*N-1:0]           raised, lowered;

  assign operand = {b_i, a_i};

  for (genvar i = 0; i < 2; i++) begin : gen_operand
    logic [CountWidth-1:0] zeros, place;
    logic [N-1:0]          normalised;
    logic                  unused_top;
    asnet_clz #(.Width(N), .CountWidth(CountWidth)) u_clz (
      .word_i(operand[i]), .count_o(zeros), .zero_o(zero[i]));
    assign normalised   = operand[i] << zeros;
    assign place        = CountWidth'(N - 1) - zeros;
    assign logarithm[i] = {1'b0, place, normalised[N-2:0]};
    assign unused_top   = normalised[N-1];
  end

  assign log_sum     = logarithm[0] + logarithm[1];
  assign exponent    = log_sum[LogWidth-1:N-1];
  assign significand = {1'b1, log_sum[N-2:0]};
  assign raised      = (2*N)'(significand) << (exponent - (CountWidth+1)'(N - 1));
  assign lowered     = (2*N)'(significand) >> ((CountWidth+1)'(N - 1) - exponent);
  assign result_o    = (zero != '0) ? '0 : (exponent < (CountWidth+1)'(N - 1)) ? lowered : raised;

endmodule
