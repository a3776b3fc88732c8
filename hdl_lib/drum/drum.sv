// DRUM, a multiplier of dynamic range: K bits of each operand, from its leading one on.
//
// Purpose:  result_o ~ a_i * b_i, unsigned, N x N -> 2N bits, with a K x K multiplier.
// Source:   S. Hashemi, R. I. Bahar, S. Reda, "DRUM: A Dynamic Range Unbiased Multiplier for
//           Approximate Applications", ICCAD 2015.
// Method:   an operand of more than K bits is cut to the K from its leading one on, of which the
//           lowest is set to 1: the mean of what was cut off. So errors have both signs.
// Latency:  0, combinational.
// Special:  operands below 2^K are multiplied exactly.
module drum #(
  parameter int unsigned N = 16,
  parameter int unsigned K = 6
) (
  input  logic [N-1:0]   a_i,
  input  logic [N-1:0]   b_i,
  output logic [2*N-1:0] result_o
);

  if (N < 3 || N > 32 || K < 2 || K >= N) begin : gen_bad_parameter
    $error("drum: N must be in 3..32 and K in 2..N-1");
  end

  localparam int unsigned CountWidth = $clog2(N);

  logic [1:0][N-1:0]          operand;
  logic [1:0][K-1:0]          segment;
  logic [1:0][CountWidth-1:0] shift;
  logic [CountWidth:0]        shift_sum;
  logic [2*K-1:0]             product;

  assign operand = {b_i, a_i};

  for (genvar i = 0; i < 2; i++) begin : gen_operand
    logic [CountWidth-1:0] zeros;
    logic [N-1:0]          normalised;
    logic                  is_short, unused_zero;
    asnet_clz #(.Width(N), .CountWidth(CountWidth)) u_clz (
      .word_i(operand[i]), .count_o(zeros), .zero_o(unused_zero));
    assign is_short   = (operand[i][N-1:K] == '0);
    assign normalised = operand[i] << zeros;
    assign segment[i] = is_short ? operand[i][K-1:0] : {normalised[N-1:N-K+1], 1'b1};
    assign shift[i]   = is_short ? '0 : CountWidth'(N - K) - zeros;
    logic unused_rest;
    assign unused_rest = ^normalised[N-K:0];
  end

  assign product   = {{K{1'b0}}, segment[0]} * {{K{1'b0}}, segment[1]};
  assign shift_sum = {1'b0, shift[0]} + {1'b0, shift[1]};
  assign result_o  = (2*N)'(product) << shift_sum;

endmodule
