// MBM, a minimally biased multiplier: Mitchell's with a constant that takes its mean error away.
//
// Purpose:  result_o ~ a_i * b_i, N x N -> 2N bits, by one addition of logarithms.
// Source:   H. Saadat, H. Bokhari, S. Parameswaran, "Minimally Biased Multipliers for Approximate
//           Integer and Floating-Point Multiplication", IEEE TCAD 37(11), 2018.
// Method:   Mitchell's product of 2^k (1 + x) and 2^l (1 + y) is too small by 2^(k+l) times a number
//           whose mean over x and y is 1/12; 5/64 of 2^(k+l) is added to it. The paper's truncation of
//           fractions is left out.
// Signed:   SIGNED = 1 multiplies magnitudes and sets the sign (our way: the paper is unsigned).
// Latency:  0, combinational.
// Special:  a zero operand gives zero; bits of a small product below its lowest are cut off; what
//           does not fit into 2N bits (operands near 2^N) is the largest number.
module mbm #(
  parameter int unsigned N      = 16,
  parameter int unsigned SIGNED = 0
) (
  input  logic [N-1:0]   a_i,
  input  logic [N-1:0]   b_i,
  output logic [2*N-1:0] result_o
);

  if (N < 8 || N > 32 || SIGNED > 1) begin : gen_bad_parameter
    $error("mbm: N must be in 8..32 and SIGNED 0 or 1");
  end

  localparam int unsigned CountWidth = $clog2(N);
  // Of N-1 fraction bits, three before the point.
  localparam logic [N+1:0] Correction = (N+2)'(5) << (N - 7);

  logic [1:0][N-1:0]          operand;
  logic [1:0][N-2:0]          fraction;
  logic [1:0][CountWidth-1:0] place;
  logic [1:0]                 zero;
  logic [N-1:0]               fraction_sum;
  logic [N+1:0]               significand;
  logic [3*N-1:0]             shifted;
  logic [2*N-1:0]             product;
  logic                       unused_low;

  asnet_magnitudes #(.N(N), .Signed(SIGNED)) u_magnitudes (
    .a_i(a_i), .b_i(b_i), .product_i(product), .a_o(operand[0]), .b_o(operand[1]),
    .result_o(result_o));

  for (genvar i = 0; i < 2; i++) begin : gen_operand
    logic [CountWidth-1:0] zeros;
    logic [N-1:0]          normalised;
    logic                  unused_top;
    asnet_clz #(.Width(N), .CountWidth(CountWidth)) u_clz (
      .word_i(operand[i]), .count_o(zeros), .zero_o(zero[i]));
    assign normalised  = operand[i] << zeros;
    assign fraction[i] = normalised[N-2:0];
    assign place[i]    = CountWidth'(N - 1) - zeros;
    assign unused_top  = normalised[N-1];
  end

  assign fraction_sum = {1'b0, fraction[0]} + {1'b0, fraction[1]};
  // 1 + x + y, or 2 (x + y) where that sum has a carry.
  assign significand  = (fraction_sum[N-1] ? {1'b0, fraction_sum, 1'b0}
                                           : {3'b001, fraction_sum[N-2:0]}) + Correction;
  assign shifted      = (3*N)'(significand) << ({1'b0, place[0]} + {1'b0, place[1]});
  assign product      = (zero != '0) ? '0 : shifted[3*N-1] ? '1 : shifted[3*N-2:N-1];
  assign unused_low   = ^shifted[N-2:0];

endmodule
