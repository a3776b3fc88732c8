// Iterative logarithmic multiplier.
//
// Purpose:  result_o ~ a_i * b_i, N x N -> 2N bits, by shifts and additions.
// Source:   Z. Babic, A. Avramovic, P. Bulic, "An Iterative Logarithmic Multiplier", Microprocessors
//           and Microsystems 35(1), 2011, (11) to (16).
// Method:   with leading ones at k and l, the basic block gives A B - (A - 2^k) (B - 2^l); each
//           of CORRECTIONS further blocks approximates the product that is left out in the same way,
//           and is added. Products are too small by at most 4^-(CORRECTIONS+1).
// Signed:   SIGNED = 1 multiplies magnitudes and sets the sign (our way: the paper is unsigned).
// Latency:  0, combinational.
// Special:  exact where an operand has at most CORRECTIONS+1 ones.
module ilm #(
  parameter int unsigned N           = 16,
  parameter int unsigned CORRECTIONS = 1,
  parameter int unsigned SIGNED      = 0
) (
  input  logic [N-1:0]   a_i,
  input  logic [N-1:0]   b_i,
  output logic [2*N-1:0] result_o
);

  if (N < 2 || N > 32 || CORRECTIONS + 1 >= N || SIGNED > 1) begin : gen_bad_parameter
    $error("ilm: N must be in 2..32, CORRECTIONS in 0..N-2 and SIGNED 0 or 1");
  end

  localparam int unsigned CountWidth = $clog2(N);

  logic [CORRECTIONS+1:0][1:0][N-1:0]        rest;
  logic [CORRECTIONS:0][1:0][CountWidth-1:0] place;
  logic [CORRECTIONS+1:0][2*N-1:0]           sum;
  logic                                      unused_rest;

  asnet_magnitudes #(.N(N), .Signed(SIGNED)) u_magnitudes (
    .a_i(a_i), .b_i(b_i), .product_i(sum[CORRECTIONS+1]), .a_o(rest[0][0]), .b_o(rest[0][1]),
    .result_o(result_o));

  assign sum[0] = '0;
  for (genvar block = 0; block <= CORRECTIONS; block++) begin : gen_block
    logic [1:0]     zero;
    logic [2*N-1:0] first, second;
    for (genvar i = 0; i < 2; i++) begin : gen_operand
      logic [CountWidth-1:0] zeros;
      asnet_clz #(.Width(N), .CountWidth(CountWidth)) u_clz (
        .word_i(rest[block][i]), .count_o(zeros), .zero_o(zero[i]));
      assign place[block][i]  = CountWidth'(N - 1) - zeros;
      assign rest[block+1][i] = rest[block][i] & ~(N'(1) << place[block][i]);
    end
    // A 2^l + (B - 2^l) 2^k
    assign first        = (2*N)'(rest[block][0]) << place[block][1];
    assign second       = (2*N)'(rest[block+1][1]) << place[block][0];
    assign sum[block+1] = sum[block] + ((zero != '0) ? '0 : first + second);
  end
  assign unused_rest = ^rest[CORRECTIONS+1];

endmodule
