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

  localparam int unsigned Digits = N / 2;

  logic [N-1:0]               a, b;
  logic [2*N-1:0]             product;
  logic [Digits:0][2*N-1:0]   sum;

  asnet_magnitudes #(.N(N), .Signed(SIGNED)) u_magnitudes (
    .a_i(a_i), .b_i(b_i), .product_i(product), .a_o(a), .b_o(b), .result_o(result_o));

  assign sum[0] = '0;
  for (genvar j = 0; j < Digits; j++) begin : gen_digit
    // Blocks of three bits, two positions apart: those of even digits in a word, of odd ones in another.
    logic [1:0][N+1:0] word;
    always_comb begin
      word = '0;
      for (int unsigned i = 0; i < Digits; i++) begin
        word[i%2][2*i]   = a[2*i] & b[2*j];
        word[i%2][2*i+1] = (a[2*i] & b[2*j+1]) | (a[2*i+1] & b[2*j]);
        word[i%2][2*i+2] = a[2*i+1] & b[2*j+1];
      end
    end
    assign sum[j+1] = sum[j] + ((2*N)'(word[0]) << (2 * j)) + ((2*N)'(word[1]) << (2 * j));
  end
  assign product = sum[Digits];

endmodule
