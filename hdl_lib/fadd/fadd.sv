// IEEE-754 binary32 adder.
//
// Purpose:  result_o = a_i + b_i, round to nearest even.
// Source:   IEEE 754-2019, 5.4.1; the single-path algorithm of Ercegovac and Lang, Digital
//           Arithmetic, 2004, chapter 8.
// Latency:  LATENCY = 0..9 registers between operands and result, up to five of them spread over five
//           cut points: after the swap, inside the alignment, after the sum, after the count of
//           leading zeros, after the normalisation. More are spread over nine: these and, between
//           them, after the distance, after the alignment, inside the count of zeros, after the
//           rounding. A new operand pair is taken every cycle.
// Special:  subnormals exact, in and out. Any NaN result is 0x7FC00000 (NaN operand, inf - inf).
//           x - x is +0; -0 + -0 is -0.
//           FLUSH = 1: subnormal operands count as zeros of their sign, results below the smallest
//           normal number are zeros of theirs.
module fadd #(
  parameter int unsigned LATENCY = 4,
  parameter int unsigned FLUSH   = 0
) (
  input  logic        clk_i,
  input  logic [31:0] a_i,
  input  logic [31:0] b_i,
  output logic [31:0] result_o
);

  // A coarse cut point has its number among five or, where the fine ones are there too, among nine.
  localparam bit          Fine        = (LATENCY > 5);
  localparam int unsigned Cuts        = Fine ? 9 : 5;
  localparam int unsigned FineLatency = Fine ? LATENCY : 0;

  if (LATENCY > 9) begin : gen_bad_latency
    $error("fadd: LATENCY must be in 0..9");
  end
  if (FLUSH > 1) begin : gen_bad_flush
    $error("fadd: FLUSH must be 0 or 1");
  end

  localparam bit Flush = (FLUSH != 0);

  // ---- The operand of larger magnitude goes first, so that the difference is never negative.
  logic        swap;
  logic [31:0] big, big_1, lesser, lesser_1;

  assign swap   = a_i[30:0] < b_i[30:0];
  assign big    = swap ? b_i : a_i;
  assign lesser = swap ? a_i : b_i;
  asnet_pipe_reg #(.Width(64), .Cut(1), .Cuts(Cuts), .Latency(LATENCY)) u_swap_1 (
    .clk_i(clk_i), .d_i({big, lesser}), .q_o({big_1, lesser_1}));

  // ---- A subnormal has hidden bit 0 and the exponent of the smallest normal number, 1. With Flush it
  // has exponent 0, and no fraction if it is the lesser one; as the larger one, it makes the result
  // tiny whatever its fraction is, and only the sign of a sum of two zeros has to be seen to.
  logic        big_tiny, lesser_tiny, subtract, sign, nan, inf;
  logic [7:0]  exp, lesser_exp, distance;
  logic [4:0]  align, align_d;
  logic [23:0] big_sig, lesser_sig, big_sig_d, lesser_sig_d;

  assign big_tiny    = (big_1[30:23] == 8'h00);
  assign lesser_tiny = (lesser_1[30:23] == 8'h00);
  assign big_sig     = {~big_tiny, big_1[22:0]};
  assign lesser_sig  = {~lesser_tiny, lesser_1[22:0] & {23{~(Flush & lesser_tiny)}}};
  assign exp         = {big_1[30:24], big_1[23] | (big_tiny & ~Flush)};
  assign lesser_exp  = {lesser_1[30:24], lesser_1[23] | (lesser_tiny & ~Flush)};
  assign subtract    = big_1[31] ^ lesser_1[31];
  assign sign        = big_1[31] & ~(Flush & big_tiny & subtract);
  // A NaN has the larger magnitude, or both operands have the top exponent.
  assign inf = (big_1[30:23] == 8'hFF);
  assign nan = inf & ((big_1[22:0] != '0) | (subtract & (lesser_1[30:23] == 8'hFF)));

  // ---- Alignment to three more bits: guard, round and sticky are enough for one rounding, also
  // after a subtraction. From 27 positions on only the sticky bit is left.
  logic [26:0] frame, by_16, by_8, by_8_2, by_4, by_2, by_1, aligned, aligned_a;
  logic        sticky_high, sticky_2, sticky_low;
  logic [2:0]  align_2;
  logic [3:0]  flags_d, flags_2, flags_a, flags_3;
  logic [7:0]  exp_d, exp_2, exp_a, exp_3;
  logic [23:0] big_sig_2, big_sig_a;

  assign distance = exp - lesser_exp;
  assign align    = distance[4:0] | {5{distance[7:5] != '0}};
  asnet_pipe_reg #(.Width(65), .Cut(2), .Cuts(9), .Latency(FineLatency)) u_distance (
    .clk_i(clk_i),
    .d_i({sign, subtract, nan, inf, exp, align, big_sig, lesser_sig}),
    .q_o({flags_d, exp_d, align_d, big_sig_d, lesser_sig_d}));

  assign frame    = {lesser_sig_d, 3'b0};
  assign by_16    = align_d[4] ? {16'b0, frame[26:16]} : frame;
  assign by_8     = align_d[3] ? {8'b0, by_16[26:8]} : by_16;
  assign sticky_high = (align_d[4] & (frame[15:3] != '0)) | (align_d[3] & (by_16[7:0] != '0));

  asnet_pipe_reg #(.Width(67), .Cut(Fine ? 3 : 2), .Cuts(Cuts), .Latency(LATENCY)) u_align_2 (
    .clk_i(clk_i),
    .d_i({flags_d, exp_d, big_sig_d, align_d[2:0], sticky_high, by_8}),
    .q_o({flags_2, exp_2, big_sig_2, align_2, sticky_2, by_8_2}));

  assign by_4 = align_2[2] ? {4'b0, by_8_2[26:4]} : by_8_2;
  assign by_2 = align_2[1] ? {2'b0, by_4[26:2]} : by_4;
  assign by_1 = align_2[0] ? {1'b0, by_2[26:1]} : by_2;
  assign sticky_low = sticky_2 | (align_2[2] & (by_8_2[3:0] != '0)) |
                      (align_2[1] & (by_4[1:0] != '0)) | (align_2[0] & by_2[0]);
  assign aligned    = {by_1[26:1], by_1[0] | sticky_low};
  asnet_pipe_reg #(.Width(63), .Cut(4), .Cuts(9), .Latency(FineLatency)) u_aligned (
    .clk_i(clk_i), .d_i({flags_2, exp_2, big_sig_2, aligned}),
    .q_o({flags_a, exp_a, big_sig_a, aligned_a}));

  // ---- Sum: a carry above 27 bits, and one bit below them which carries the +1 of the complement
  // into a single carry chain.
  logic [27:0] sum, sum_3, sum_4;
  logic        subtract_a, unused_below;

  assign subtract_a = flags_a[2];
  assign {sum, unused_below} = {1'b0, big_sig_a, 3'b0, 1'b1} +
                               {{1'b0, aligned_a} ^ {28{subtract_a}}, subtract_a};
  asnet_pipe_reg #(.Width(40), .Cut(Fine ? 5 : 3), .Cuts(Cuts), .Latency(LATENCY)) u_sum_3 (
    .clk_i(clk_i), .d_i({flags_a, exp_a, sum}), .q_o({flags_3, exp_3, sum_3}));

  // ---- Left shift that brings the leading one to bit 27, but at most `exp`, which is where the
  // exponent has come down to that of subnormals. 28 leading zeros, the sum is zero, and negative
  // only if both operands are.
  logic        sign_z, subtract_z, nan_z, inf_z, is_zero, sign_of_sum;
  logic [4:0]  zeros, shift, shift_4;
  logic [1:0]  zeros_high;
  logic [15:0] half;
  logic [7:0]  quarter, quarter_z;
  logic [3:0]  nibble;
  logic        unused_last_bit;  // once 31 bits are zero the count is 31, whatever the last bit
  logic [3:0]  flags_4, flags_5;
  logic [7:0]  exp_z, exp_4;
  logic [8:0]  exp_base, exp_base_5;  // negative with Flush only
  logic [27:0] sum_z;

  // A binary search: each step looks at the upper half of what is left of the sum and ones below it.
  assign zeros_high[1] = (sum_3[27:12] == '0);
  assign half          = zeros_high[1] ? {sum_3[11:0], 4'hF} : sum_3[27:12];
  assign zeros_high[0] = (half[15:8] == '0);
  assign quarter       = zeros_high[0] ? half[7:0] : half[15:8];
  asnet_pipe_reg #(.Width(50), .Cut(6), .Cuts(9), .Latency(FineLatency)) u_zeros (
    .clk_i(clk_i), .d_i({flags_3, exp_3, zeros_high, quarter, sum_3}),
    .q_o({sign_z, subtract_z, nan_z, inf_z, exp_z, zeros[4:3], quarter_z, sum_z}));

  assign zeros[2] = (quarter_z[7:4] == '0);
  assign nibble   = zeros[2] ? quarter_z[3:0] : quarter_z[7:4];
  assign zeros[1] = (nibble[3:2] == '0);
  assign zeros[0] = zeros[1] ? ~nibble[1] : ~nibble[3];
  assign unused_last_bit = nibble[0];

  assign is_zero     = (zeros[4:2] == 3'd7);
  assign shift       = (!Flush && exp_z < {3'b0, zeros}) ? exp_z[4:0] : zeros;
  assign sign_of_sum = sign_z & ~(is_zero & subtract_z);
  asnet_pipe_reg #(.Width(45), .Cut(Fine ? 7 : 4), .Cuts(Cuts), .Latency(LATENCY)) u_shift_4 (
    .clk_i(clk_i), .d_i({sign_of_sum, nan_z, inf_z, is_zero, exp_z, shift, sum_z}),
    .q_o({flags_4, exp_4, shift_4, sum_4}));

  logic [27:0] up_16, up_8, up_4, up_2, up_1, sig_5;
  assign up_16 = shift_4[4] ? {sum_4[11:0], 16'b0} : sum_4;
  assign up_8  = shift_4[3] ? {up_16[19:0], 8'b0} : up_16;
  assign up_4  = shift_4[2] ? {up_8[23:0], 4'b0} : up_8;
  assign up_2  = shift_4[1] ? {up_4[25:0], 2'b0} : up_4;
  assign up_1  = shift_4[0] ? {up_2[26:0], 1'b0} : up_2;
  if (Flush) begin : gen_flush
    assign exp_base = {1'b0, exp_4} - {4'b0, shift_4};
  end else begin : gen_ieee
    logic [7:0] difference;
    assign difference = exp_4 - {3'b0, shift_4};
    assign exp_base   = {1'b0, difference};
  end
  asnet_pipe_reg #(.Width(41), .Cut(Fine ? 8 : 5), .Cuts(Cuts), .Latency(LATENCY)) u_shift_5 (
    .clk_i(clk_i), .d_i({flags_4, exp_base, up_1}), .q_o({flags_5, exp_base_5, sig_5}));

  // ---- Rounding. Exponent and fraction are one number: its increment carries from the fraction into
  // the exponent, from the largest subnormal into the normals, from the largest number into
  // infinity. The leading one is *added* to the exponent base. The ninth exponent bit is the carry
  // of 254 + leading one + round-up.
  logic        round_up, tiny, sign_r, nan_r, inf_r, is_zero_r;
  logic [32:0] rounded, rounded_r;

  assign round_up = sig_5[3] & (sig_5[4] | (sig_5[2:0] != '0));
  assign rounded  = {exp_base_5[8], exp_base_5, 22'b0, round_up} + {9'b0, sig_5[27:4]};
  asnet_pipe_reg #(.Width(37), .Cut(9), .Cuts(9), .Latency(FineLatency)) u_rounded (
    .clk_i(clk_i), .d_i({flags_5, rounded}), .q_o({sign_r, nan_r, inf_r, is_zero_r, rounded_r}));

  assign tiny = Flush & (rounded_r[32] | (rounded_r[31:23] == '0));

  always_comb begin
    if (nan_r)                                    result_o = 32'h7FC00000;
    else if (inf_r)                               result_o = {sign_r, 8'hFF, 23'b0};
    else if (is_zero_r | tiny)                    result_o = {sign_r, 31'b0};
    else if (rounded_r[31] | (&rounded_r[30:23])) result_o = {sign_r, 8'hFF, 23'b0};
    else                                          result_o = {sign_r, rounded_r[30:0]};
  end

endmodule
