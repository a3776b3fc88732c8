// Underdesigned multiplier of Kulkarni, Gupta and Ercegovac, made of 2 x 2 blocks.
//
// Purpose:  result_o ~ a_i * b_i, N x N -> 2N bits.
// Source:   P. Kulkarni, P. Gupta, M. Ercegovac, "Trading Accuracy for Power with an Underdesigned
//           Multiplier Architecture", VLSI Design 2011, Table I and section II.
// Method:   a block multiplies two digits of two bits and gives three bits: 3 * 3 = 7, everything
//           else is right. The products of all pairs of digits are added exactly, in whatever order
//           the recursion of the paper names them.
// Signed:   SIGNED = 1 multiplies magnitudes and sets the sign (our way: the paper is unsigned).
// Latency:  0, combinational.
// Special:  never too large; errors are up to 2/9 of the product.
module kulkarni #(
  parameter int unsigned N      = 8,
  parameter int unsigned SIGNED = 0
) (
  input  logic [N-1:0]   a_i,
  input  logic [N-1:0]   b_i,
  output logic [2*N-1:0] result_o
);

  if (N < 2 || N > 32 || N % 2 != 0 || SIGNED > 1) begin : gen_bad_parameter
    $error("kulkarni: N must be even and in 2..32 and SIGNED 0 or 1");
  end

  localparam int unsigned  Digits = N / 2;
  localparam logic [N-1:0] Odd    = {Digits{2'b10}};

  logic [N-1:0]             a, b;
  logic [2*N-1:0]           product;
  logic [Digits:0][2*N-1:0] sum;

  asnet_magnitudes #(.N(N), .Signed(SIGNED)) u_magnitudes (
    .a_i(a_i), .b_i(b_i), .product_i(product), .a_o(a), .b_o(b), .result_o(result_o));

  assign sum[0] = '0;
  for (genvar j = 0; j < Digits; j++) begin : gen_digit
    // Of the three bits of each block, the lower two lie side by side; the others are another word.
    logic [N-1:0] low, high;
    assign low      = (a & {N{b[2*j]}}) | (((a & ~Odd) << 1) & {N{b[2*j+1]}});
    assign high     = a & Odd & {N{b[2*j+1]}};
    assign sum[j+1] = sum[j] + ((2*N)'(low) << (2 * j)) + ((2*N)'(high) << (2 * j + 1));
  end
  assign product = sum[Digits];

endmodule
