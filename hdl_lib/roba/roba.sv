// RoBA, a rounding-based multiplier: operands rounded to powers of two.
//
// Purpose:  result_o ~ a_i * b_i, N x N -> 2N bits, by three shifts, an addition and a subtraction.
// Source:   R. Zendegani, M. Kamal, M. Bahadori, A. Afzali-Kusha, M. Pedram, "RoBA Multiplier: A
//           Rounding-Based Approximate Multiplier for High-Speed yet Energy-Efficient Digital Signal
//           Processing", IEEE TVLSI 25(2), 2017, (2) and (3).
// Method:   with A and B rounded to the nearest powers of two, Ar and Br, the product is
//           Ar B + A Br - Ar Br: without (A - Ar) (B - Br). What lies in the middle, 3 * 2^k, is
//           rounded up, but 3 to 2. Errors are up to 1/9, of both signs.
// Signed:   SIGNED = 1 multiplies magnitudes and sets the sign (the paper's S-RoBA).
// Latency:  0, combinational.
// Special:  exact where an operand is a power of two or zero.
module roba #(
  parameter int unsigned N      = 8,
  parameter int unsigned SIGNED = 0
) (
  input  logic [N-1:0]   a_i,
  input  logic [N-1:0]   b_i,
  output logic [2*N-1:0] result_o
);

  if (N < 3 || N > 32 || SIGNED > 1) begin : gen_bad_parameter
    $error("roba: N must be in 3..32 and SIGNED 0 or 1");
  end

  localparam int unsigned CountWidth = $clog2(N);

  logic [1:0][N-1:0]        operand;
  logic [1:0][CountWidth:0] power;  // up to N
  logic [1:0]               zero;
  logic [2*N-1:0]           first, second, both, product;

  asnet_magnitudes #(.N(N), .Signed(SIGNED)) u_magnitudes (
    .a_i(a_i), .b_i(b_i), .product_i(product), .a_o(operand[0]), .b_o(operand[1]),
    .result_o(result_o));

  for (genvar i = 0; i < 2; i++) begin : gen_operand
    logic [CountWidth-1:0] zeros;
    logic [N-1:0]          normalised;
    logic                  up, unused_rest;
    asnet_clz #(.Width(N), .CountWidth(CountWidth)) u_clz (
      .word_i(operand[i]), .count_o(zeros), .zero_o(zero[i]));
    assign normalised  = operand[i] << zeros;
    assign up          = normalised[N-2] & (zeros != CountWidth'(N - 2));
    assign power[i]    = (CountWidth+1)'(N - 1) - {1'b0, zeros} + (CountWidth+1)'(up);
    assign unused_rest = ^{normalised[N-1], normalised[N-3:0]};
  end

  // Modulo 2^(2N), which holds the result.
  assign first   = (2*N)'(operand[0]) << power[1];
  assign second  = (2*N)'(operand[1]) << power[0];
  assign both    = (2*N)'(1) << ({1'b0, power[0]} + {1'b0, power[1]});
  assign product = (zero != '0) ? '0 : first + second - both;

endmodule
