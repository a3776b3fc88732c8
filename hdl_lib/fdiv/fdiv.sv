// IEEE-754 binary32 divider.
//
// Purpose:  result_o = a_i / b_i, round to nearest even: an unrolled array divider.
// Source:   IEEE 754-2019, 5.4.1; restoring division, one quotient bit a row: Ercegovac and Lang,
//           Digital Arithmetic, 2004, chapter 5. Normalisation shifts left only, so operand bits
//           that are constant zero stay zero in every row and their subtractors disappear.
// Latency:  LATENCY = 0..33 registers between operands and result, up to 29 of them spread over 29 cut
//           points: inside and after the normalisation, after each of the 26 rows, after the shift of
//           subnormal results. More are spread over 33: these and, between them, two more inside the
//           normalisation, one inside the shift, one after the rounding. A new operand pair is taken
//           every cycle.
// Special:  subnormals exact, in and out. Any NaN result is 0x7FC00000 (NaN operand, 0/0, inf/inf).
//           x/0 is infinite, x/inf is zero, with the sign of the quotient.
//           FLUSH = 1: subnormal operands count as zeros of their sign, results that are below the
//           smallest normal number after rounding are zeros of theirs; no shifters are left.
module fdiv #(
  parameter int unsigned LATENCY = 15,
  parameter int unsigned FLUSH   = 0
) (
  input  logic        clk_i,
  input  logic [31:0] a_i,
  input  logic [31:0] b_i,
  output logic [31:0] result_o
);

  // 24 bits of significand, one more as a quotient in (1/2, 1) has its first bit zero, one to round.
  localparam int unsigned Rows = 26;
  // The fine cut points are there where the coarse ones are not enough, and shift their numbers.
  localparam bit          Fine        = (LATENCY > Rows + 3);
  localparam int unsigned FineCuts    = Rows + 7;
  localparam int unsigned Cuts        = Fine ? FineCuts : Rows + 3;
  localparam int unsigned FineLatency = Fine ? LATENCY : 0;
  localparam int unsigned FirstRowCut = Fine ? 5 : 3;

  if (LATENCY > FineCuts) begin : gen_bad_latency
    $error("fdiv: LATENCY must be in 0..33");
  end
  if (FLUSH > 1) begin : gen_bad_flush
    $error("fdiv: FLUSH must be 0 or 1");
  end

  localparam bit Flush = (FLUSH != 0);

  // ---- Operands. A subnormal has hidden bit 0 and the exponent of the smallest normal number, 1.
  // With Flush it is a zero, which decides the result whatever the significand.
  logic       a_tiny, b_tiny, a_top, b_top, a_frac, b_frac, a_zero, b_zero;
  logic [7:0] a_exp, b_exp;
  logic       sign, nan, inf, zero;

  assign a_tiny = (a_i[30:23] == 8'h00);
  assign b_tiny = (b_i[30:23] == 8'h00);
  assign a_top  = (a_i[30:23] == 8'hFF);
  assign b_top  = (b_i[30:23] == 8'hFF);
  assign a_frac = (a_i[22:0] != '0);
  assign b_frac = (b_i[22:0] != '0);
  assign a_zero = a_tiny & (~a_frac | Flush);
  assign b_zero = b_tiny & (~b_frac | Flush);
  assign a_exp  = {a_i[30:24], a_i[23] | (a_tiny & ~Flush)};
  assign b_exp  = {b_i[30:24], b_i[23] | (b_tiny & ~Flush)};

  assign sign = a_i[31] ^ b_i[31];
  assign nan  = (a_top & a_frac) | (b_top & b_frac) | (a_top & b_top) | (a_zero & b_zero);
  assign inf  = a_top | b_zero;
  assign zero = a_zero | b_top;

  // ---- Normalisation: a shift step is taken where all the bits it would push out are zero. With
  // Flush none is: the hidden bit is constant, which removes the shifters in synthesis.
  logic [23:0] a_sig, a_16, a_16_f, a_8, a_8_1, a_4, a_4_f, a_2, a_1;
  logic [23:0] b_sig, b_16, b_16_f, b_8, b_8_1, b_4, b_4_f, b_2, b_1;
  logic [4:0]  a_zeros, b_zeros;
  logic [1:0]  a_zeros_1, b_zeros_1;
  logic [2:0]  a_zeros_f, b_zeros_f;
  logic        a_zeros_16, b_zeros_16;

  assign a_sig = {~a_tiny | Flush, a_i[22:0]};
  assign b_sig = {~b_tiny | Flush, b_i[22:0]};
  assign a_zeros[4] = (a_sig[23:8] == '0);
  assign b_zeros[4] = (b_sig[23:8] == '0);
  assign a_16 = a_zeros[4] ? {a_sig[7:0], 16'b0} : a_sig;
  assign b_16 = b_zeros[4] ? {b_sig[7:0], 16'b0} : b_sig;

  // Signed; the quotient's biased exponent if it is in [1, 2), before the shifts are accounted for:
  // 1 - 255 + 127 = -127 up to 255 - 1 + 127 = 381; after them, within 24 of that.
  logic [9:0] exp_raw, exp_raw_0, exp_raw_1, exp_raw_f, exp_1, exp_2;
  assign exp_raw = {2'b0, a_exp} - {2'b0, b_exp} + 10'd127;

  // Packed arrays throughout: Yosys 0.70 leaves elements of unpacked ones undriven by instances.
  logic [Rows+2:0][3:0] flags;
  logic [3:0] flags_0, flags_f, flags_s;
  asnet_pipe_reg #(.Width(64), .Cut(1), .Cuts(FineCuts), .Latency(FineLatency)) u_norm_0 (
    .clk_i(clk_i),
    .d_i({sign, nan, inf, zero, a_zeros[4], b_zeros[4], exp_raw, a_16, b_16}),
    .q_o({flags_0, a_zeros_16, b_zeros_16, exp_raw_0, a_16_f, b_16_f}));

  assign a_zeros[3] = (a_16_f[23:16] == '0);
  assign b_zeros[3] = (b_16_f[23:16] == '0);
  assign a_8 = a_zeros[3] ? {a_16_f[15:0], 8'b0} : a_16_f;
  assign b_8 = b_zeros[3] ? {b_16_f[15:0], 8'b0} : b_16_f;
  asnet_pipe_reg #(.Width(66), .Cut(Fine ? 2 : 1), .Cuts(Cuts), .Latency(LATENCY)) u_norm_1 (
    .clk_i(clk_i),
    .d_i({flags_0, a_zeros_16, a_zeros[3], b_zeros_16, b_zeros[3], exp_raw_0, a_8, b_8}),
    .q_o({flags[0], a_zeros_1, b_zeros_1, exp_raw_1, a_8_1, b_8_1}));

  assign a_zeros[2] = (a_8_1[23:20] == '0);
  assign b_zeros[2] = (b_8_1[23:20] == '0);
  assign a_4 = a_zeros[2] ? {a_8_1[19:0], 4'b0} : a_8_1;
  assign b_4 = b_zeros[2] ? {b_8_1[19:0], 4'b0} : b_8_1;
  asnet_pipe_reg #(.Width(68), .Cut(3), .Cuts(FineCuts), .Latency(FineLatency)) u_norm_f (
    .clk_i(clk_i),
    .d_i({flags[0], a_zeros_1, a_zeros[2], b_zeros_1, b_zeros[2], exp_raw_1, a_4, b_4}),
    .q_o({flags_f, a_zeros_f, b_zeros_f, exp_raw_f, a_4_f, b_4_f}));

  assign a_zeros[1] = (a_4_f[23:22] == '0);
  assign b_zeros[1] = (b_4_f[23:22] == '0);
  assign a_2 = a_zeros[1] ? {a_4_f[21:0], 2'b0} : a_4_f;
  assign b_2 = b_zeros[1] ? {b_4_f[21:0], 2'b0} : b_4_f;
  assign a_zeros[0] = ~a_2[23];
  assign b_zeros[0] = ~b_2[23];
  assign a_1 = a_zeros[0] ? {a_2[22:0], 1'b0} : a_2;
  assign b_1 = b_zeros[0] ? {b_2[22:0], 1'b0} : b_2;
  assign exp_1 = exp_raw_f - {5'b0, a_zeros_f, a_zeros[1:0]} + {5'b0, b_zeros_f, b_zeros[1:0]};

  // ---- Rows. The remainder before a row is below twice the divisor: 25 bits; so is the difference,
  // with its sign. A remainder is below the divisor after a row, and doubled on the way to the next.
  logic [Rows:0][23:0]   remainder;
  logic [Rows:0][25:0]   quotient;
  logic [Rows-1:0][23:0] divisor;
  logic [Rows-1:0][9:0]  exponent;
  logic [9:0]  exp_base, exp_base_r, exp_base_end;  // negative with Flush only
  logic        normal, normal_r, normal_end;
  logic [4:0]  shift, shift_r;

  asnet_pipe_reg #(.Width(62), .Cut(Fine ? 4 : 2), .Cuts(Cuts), .Latency(LATENCY)) u_norm_2 (
    .clk_i(clk_i), .d_i({flags_f, exp_1, a_1, b_1}),
    .q_o({flags[1], exp_2, remainder[0], divisor[0]}));
  assign exponent[0] = exp_2;
  assign quotient[0] = '0;

  for (genvar i = 0; i < Rows; i++) begin : gen_row
    logic [24:0] partial, difference;
    logic        bit_of_row;
    logic [23:0] rest;

    if (i == 0) begin : gen_first
      assign partial = {1'b0, remainder[i]};
    end else begin : gen_next
      assign partial = {remainder[i], 1'b0};
    end
    assign difference = partial - {1'b0, divisor[i]};
    assign bit_of_row = ~difference[24];
    assign rest       = bit_of_row ? difference[23:0] : partial[23:0];

    // The 26 quotient bits start as zeros that synthesis removes; a bit is born in each row.
    asnet_pipe_reg #(.Width(54), .Cut(i + FirstRowCut), .Cuts(Cuts), .Latency(LATENCY)) u_row (
      .clk_i(clk_i), .d_i({flags[i+1], rest, quotient[i][24:0], bit_of_row}),
      .q_o({flags[i+2], remainder[i+1], quotient[i+1]}));
    if (i < Rows - 1) begin : gen_carry_on
      asnet_pipe_reg #(.Width(34), .Cut(i + FirstRowCut), .Cuts(Cuts), .Latency(LATENCY)) u_carry_on (
        .clk_i(clk_i), .d_i({exponent[i], divisor[i]}), .q_o({exponent[i+1], divisor[i+1]}));
    end
  end

  // ---- A quotient with exponent e below 1 is shifted right by 1 - e, by 31 if that is more. One with
  // e of 2 or more is normal whether or not its first bit is set; its base is e - 2.
  logic [9:0] exp_last, exp_less;

  assign exp_last = exponent[Rows-1];
  assign exp_less = exp_last - 10'd2;
  assign normal   = ~exp_less[9] | Flush;
  assign exp_base = {Flush & exp_less[9], exp_less[8:0] & {9{normal}}};
  // 1 - e = -(e - 2) - 1, which is e - 2 inverted; e = 1 gives 0.
  assign shift    = {5{~normal}} & (~exp_less[4:0] | {5{exp_less[8:5] != 4'hF}});
  asnet_pipe_reg #(.Width(16), .Cut(Rows - 1 + FirstRowCut), .Cuts(Cuts), .Latency(LATENCY))
  u_exp_base (
    .clk_i(clk_i), .d_i({normal, exp_base, shift}), .q_o({normal_r, exp_base_r, shift_r}));

  logic [25:0] frame, by_16, by_8, by_8_s, by_4, by_2, by_1, sig;
  logic        sticky_high, sticky_s, sticky, sticky_end, normal_s;
  logic [2:0]  shift_s;
  logic [9:0]  exp_base_s;

  assign frame = quotient[Rows];
  assign by_16 = shift_r[4] ? {16'b0, frame[25:16]} : frame;
  assign by_8  = shift_r[3] ? {8'b0, by_16[25:8]} : by_16;
  assign sticky_high = (remainder[Rows] != '0) |
                       (shift_r[4] & (frame[15:0] != '0)) | (shift_r[3] & (by_16[7:0] != '0));
  asnet_pipe_reg #(.Width(45), .Cut(Rows + 5), .Cuts(FineCuts), .Latency(FineLatency)) u_shift_s (
    .clk_i(clk_i), .d_i({flags[Rows+1], normal_r, exp_base_r, sticky_high, shift_r[2:0], by_8}),
    .q_o({flags_s, normal_s, exp_base_s, sticky_s, shift_s, by_8_s}));

  assign by_4  = shift_s[2] ? {4'b0, by_8_s[25:4]} : by_8_s;
  assign by_2  = shift_s[1] ? {2'b0, by_4[25:2]} : by_4;
  assign by_1  = shift_s[0] ? {1'b0, by_2[25:1]} : by_2;
  assign sticky = sticky_s | (shift_s[2] & (by_8_s[3:0] != '0)) |
                  (shift_s[1] & (by_4[1:0] != '0)) | (shift_s[0] & by_2[0]);

  asnet_pipe_reg #(.Width(42), .Cut(Rows + (Fine ? 6 : 3)), .Cuts(Cuts), .Latency(LATENCY))
  u_shift (
    .clk_i(clk_i), .d_i({flags_s, normal_s, exp_base_s, sticky, by_1}),
    .q_o({flags[Rows+2], normal_end, exp_base_end, sticky_end, sig}));

  // ---- Rounding. Exponent and fraction are one number: its increment carries from the fraction into
  // the exponent, from the largest subnormal into the normals, from the largest number into
  // infinity. The leading one is *added* to the exponent base.
  logic        low, up, tiny, sign_z, nan_z, inf_z, zero_z;
  logic [22:0] frac;
  logic [32:0] rounded, rounded_z;

  assign low  = normal_end & ~sig[25];
  assign frac = low ? sig[23:1] : sig[24:2];
  assign up   = low ? sig[0] & (sig[1] | sticky_end) : sig[1] & (sig[2] | sig[0] | sticky_end);
  assign rounded = {exp_base_end, 22'b0, up} +
                   {8'b0, normal_end & sig[25], low | (~normal_end & sig[25]), frac};
  asnet_pipe_reg #(.Width(37), .Cut(FineCuts), .Cuts(FineCuts), .Latency(FineLatency)) u_rounded (
    .clk_i(clk_i), .d_i({flags[Rows+2], rounded}),
    .q_o({sign_z, nan_z, inf_z, zero_z, rounded_z}));

  assign tiny = Flush & (rounded_z[32] | (rounded_z[31:23] == '0));

  always_comb begin
    if (nan_z)                                    result_o = 32'h7FC00000;
    else if (inf_z)                               result_o = {sign_z, 8'hFF, 23'b0};
    else if (zero_z | tiny)                       result_o = {sign_z, 31'b0};
    else if (rounded_z[31] | (&rounded_z[30:23])) result_o = {sign_z, 8'hFF, 23'b0};
    else                                          result_o = {sign_z, rounded_z[30:0]};
  end

endmodule
