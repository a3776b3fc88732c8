// Mitchell's logarithmic divider.
//
// Purpose:  result_o ~ a_i / b_i, unsigned, N / N -> N bits, by one subtraction of logarithms.
// Source:   J. N. Mitchell, "Computer Multiplication and Division Using Binary Logarithms", IRE
//           Transactions on Electronic Computers EC-11(4), 1962.
// Method:   with a leading one at bit k, x = 2^k (1 + f), k + f is nearly the logarithm of x; the
//           difference of two such, K + F, stands for 2^K (1 + F). Quotients are up to 1/8 too large;
//           the fraction of the quotient is then cut off.
// Latency:  0, combinational.
// Special:  0 / b is 0; a / 0 is all ones.
module mitchell_div #(
  parameter int unsigned N = 16
) (
  input  logic [N-1:0] a_i,
  input  logic [N-1:0] b_i,
  output logic [N-1:0] result_o
);

  if (N < 2 || N > 32) begin : gen_bad_parameter
    $error("mitchell_div: N must be in 2..32");
  end

  localparam int unsigned CountWidth = $clog2(N);
  localparam int unsigned LogWidth   = CountWidth + N;  // N-1 bits of fraction, a sign above

  logic [1:0][N-1:0]        operand;
  logic [1:0][LogWidth-1:0] logarithm;
  logic [1:0]               zero;
  logic [LogWidth-1:0]      difference;
  logic [CountWidth-1:0]    exponent;
  logic [2*N-2:0]           shifted;
  logic                     unused_low;

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

  assign difference = logarithm[0] - logarithm[1];
  assign exponent   = difference[LogWidth-2:N-1];
  assign shifted    = (2*N-1)'({1'b1, difference[N-2:0]}) << exponent;
  assign result_o   = zero[1] ? '1 : (zero[0] || difference[LogWidth-1]) ? '0 : shifted[2*N-2:N-1];
  assign unused_low = ^shifted[N-2:0];

endmodule
