// Count of leading zeros of a 32-bit word.
//
// Purpose:  distance by which a significand has to be normalised. Narrower words are left-aligned
//           and padded below with ones, which bounds the count by their width and costs nothing.
// Method:   binary search: each step looks at the upper half of what is left.
// Latency:  0, or with Register = 1 one cycle: a register amid the search.
// Special:  an all-zero word counts 31, not 32; callers pad with a one or treat zero apart.
module asnet_clz32 #(
  parameter bit Register = 1'b0
) (
  input  logic        clk_i,
  input  logic [31:0] word_i,
  output logic [4:0]  count_o
);

  logic [15:0] half;
  logic [7:0]  quarter, quarter_q;
  logic [3:0]  nibble;
  logic [1:0]  high, pair;
  logic        unused_last_bit;  // once 31 bits are zero the count is 31, whatever the last bit

  always_comb begin
    high[1] = (word_i[31:16] == '0);
    half    = high[1] ? word_i[15:0] : word_i[31:16];
    high[0] = (half[15:8] == '0);
    quarter = high[0] ? half[7:0] : half[15:8];
  end

  asnet_pipe_reg #(.Width(10), .Latency(32'(Register))) u_middle (
    .clk_i(clk_i), .d_i({high, quarter}), .q_o({count_o[4:3], quarter_q}));

  always_comb begin
    count_o[2] = (quarter_q[7:4] == '0);
    nibble     = count_o[2] ? quarter_q[3:0] : quarter_q[7:4];
    count_o[1] = (nibble[3:2] == '0);
    pair       = count_o[1] ? nibble[1:0] : nibble[3:2];
    count_o[0] = ~pair[1];
  end
  assign unused_last_bit = pair[0];

endmodule
