// The body of fmul and fmul_dsp: operands to the rounded product.
//
// Purpose:  fmul.sv says what it computes. Dsp = 0: the product of significands in soft logic
//           (asnet_sigmul24); Dsp = 1: in multiplier blocks with registers between their partial
//           products and their sums (asnet_sigmul24_dsp).
// Latency:  up to seven registers are spread over seven cut points: four inside the product, one after
//           it, inside and after the shifter. An eighth is after the rounding, a ninth inside the
//           shifter, a tenth after the operands' classes. A new operand pair is taken every cycle.
module asnet_fmul #(
  parameter bit          Dsp     = 1'b0,
  parameter bit          Flush   = 1'b0,
  parameter int unsigned Latency = 3
) (
  input  logic        clk_i,
  input  logic [31:0] a_i,
  input  logic [31:0] b_i,
  output logic [31:0] result_o
);

  // The eighth and ninth cut point are there where the others are not enough; the tenth register has
  // no number among them.
  localparam bit          Fine         = (Latency > 7);
  localparam bit          Decoded      = (Latency > 9);
  localparam int unsigned Spread       = Decoded ? 9 : Latency;
  localparam int unsigned Cuts         = Fine ? Spread : 7;
  localparam int unsigned Cut6         = (Latency > 8) ? 7 : 6;
  localparam int unsigned Cut7         = (Latency > 8) ? 8 : 7;
  localparam int unsigned RoundLatency = Fine ? Spread : 0;
  localparam int unsigned ShiftLatency = (Latency > 8) ? Spread : 0;

  // ---- Operands. A subnormal has hidden bit 0 and the exponent of the smallest normal number, 1.
  // With Flush the result is zero then, whatever the significand.
  logic [31:0] a, b;
  logic        a_tiny, b_tiny, a_top, b_top, a_frac, b_frac, a_zero, b_zero;
  logic [23:0] a_sig, b_sig;
  logic [7:0]  a_exp, b_exp;
  logic        sign, nan, inf, zero;

  asnet_pipe_reg #(.Width(70), .Latency(32'(Decoded))) u_decoded (
    .clk_i(clk_i),
    .d_i({(a_i[30:23] == 8'h00), (a_i[30:23] == 8'hFF), (a_i[22:0] != '0), a_i,
          (b_i[30:23] == 8'h00), (b_i[30:23] == 8'hFF), (b_i[22:0] != '0), b_i}),
    .q_o({a_tiny, a_top, a_frac, a, b_tiny, b_top, b_frac, b}));

  assign a_sig = {~a_tiny | Flush, a[22:0]};
  assign b_sig = {~b_tiny | Flush, b[22:0]};
  assign a_exp = {a[30:24], a[23] | (a_tiny & ~Flush)};
  assign b_exp = {b[30:24], b[23] | (b_tiny & ~Flush)};

  assign a_zero = a_tiny & (~a_frac | Flush);
  assign b_zero = b_tiny & (~b_frac | Flush);
  assign sign = a[31] ^ b[31];
  assign nan  = (a_top & a_frac) | (b_top & b_frac) | (a_top & b_zero) | (b_top & a_zero);
  assign inf  = a_top | b_top;
  assign zero = a_zero | b_zero;

  logic [3:0] flags_1, flags_2, flags_3, flags_4, flags_5, flags_f, flags_6, flags_7;
  asnet_pipe_reg #(.Width(4), .Cut(1), .Cuts(Cuts), .Latency(Spread)) u_flags_1 (
    .clk_i(clk_i), .d_i({sign, nan, inf, zero}), .q_o(flags_1));
  asnet_pipe_reg #(.Width(4), .Cut(2), .Cuts(Cuts), .Latency(Spread)) u_flags_2 (
    .clk_i(clk_i), .d_i(flags_1), .q_o(flags_2));
  asnet_pipe_reg #(.Width(4), .Cut(3), .Cuts(Cuts), .Latency(Spread)) u_flags_3 (
    .clk_i(clk_i), .d_i(flags_2), .q_o(flags_3));
  asnet_pipe_reg #(.Width(4), .Cut(4), .Cuts(Cuts), .Latency(Spread)) u_flags_4 (
    .clk_i(clk_i), .d_i(flags_3), .q_o(flags_4));
  asnet_pipe_reg #(.Width(4), .Cut(5), .Cuts(Cuts), .Latency(Spread)) u_flags_5 (
    .clk_i(clk_i), .d_i(flags_4), .q_o(flags_5));
  asnet_pipe_reg #(.Width(4), .Cut(6), .Cuts(9), .Latency(ShiftLatency)) u_flags_f (
    .clk_i(clk_i), .d_i(flags_5), .q_o(flags_f));
  asnet_pipe_reg #(.Width(4), .Cut(Cut6), .Cuts(Cuts), .Latency(Spread)) u_flags_6 (
    .clk_i(clk_i), .d_i(flags_f), .q_o(flags_6));
  asnet_pipe_reg #(.Width(4), .Cut(Cut7), .Cuts(Cuts), .Latency(Spread)) u_flags_7 (
    .clk_i(clk_i), .d_i(flags_6), .q_o(flags_7));

  // ---- Product, cut points 1..4 inside.
  logic [47:0] product, product_5;
  if (Dsp) begin : gen_dsp
    asnet_sigmul24_dsp #(.FirstCut(1), .Cuts(Cuts), .Latency(Spread)) u_sigmul24 (
      .clk_i(clk_i), .a_i(a_sig), .b_i(b_sig), .product_o(product));
  end else begin : gen_soft
    asnet_sigmul24 #(.FirstCut(1), .Cuts(Cuts), .Latency(Spread)) u_sigmul24 (
      .clk_i(clk_i), .a_i(a_sig), .b_i(b_sig), .product_o(product));
  end
  asnet_pipe_reg #(.Width(48), .Cut(5), .Cuts(Cuts), .Latency(Spread)) u_product_5 (
    .clk_i(clk_i), .d_i(product), .q_o(product_5));

  // 10 bits, signed: 1 + 1 - 128 = -126 up to 255 + 255 - 128 = 382. The result's biased exponent is
  // exp_sum + 1 if the product's leading one is bit 46.
  logic [9:0] exp_sum;
  assign exp_sum = {2'b0, a_exp} + {2'b0, b_exp} - 10'd128;

  // What is rounded: the product's bits 47..22, the rest of it as a sticky bit, the exponent to add
  // the leading one to. That exponent is negative with Flush only.
  logic [9:0]   exp_base_7;
  logic [47:22] sig_7;
  logic         sticky_7;

  if (Flush) begin : gen_flush
    // ---- The product of two significands in [1, 2) is normalised but for one position.
    logic [9:0]   exp_1, exp_2, exp_3, exp_4, exp_5, exp_f, exp_6;
    logic [47:22] sig_f, sig_6;
    logic         sticky, sticky_f, sticky_6;

    asnet_pipe_reg #(.Width(10), .Cut(1), .Cuts(Cuts), .Latency(Spread)) u_exp_1 (
      .clk_i(clk_i), .d_i(exp_sum), .q_o(exp_1));
    asnet_pipe_reg #(.Width(10), .Cut(2), .Cuts(Cuts), .Latency(Spread)) u_exp_2 (
      .clk_i(clk_i), .d_i(exp_1), .q_o(exp_2));
    asnet_pipe_reg #(.Width(10), .Cut(3), .Cuts(Cuts), .Latency(Spread)) u_exp_3 (
      .clk_i(clk_i), .d_i(exp_2), .q_o(exp_3));
    asnet_pipe_reg #(.Width(10), .Cut(4), .Cuts(Cuts), .Latency(Spread)) u_exp_4 (
      .clk_i(clk_i), .d_i(exp_3), .q_o(exp_4));
    asnet_pipe_reg #(.Width(10), .Cut(5), .Cuts(Cuts), .Latency(Spread)) u_exp_5 (
      .clk_i(clk_i), .d_i(exp_4), .q_o(exp_5));
    assign sticky = (product_5[21:0] != '0);
    asnet_pipe_reg #(.Width(37), .Cut(6), .Cuts(9), .Latency(ShiftLatency)) u_shift_f (
      .clk_i(clk_i), .d_i({exp_5, sticky, product_5[47:22]}), .q_o({exp_f, sticky_f, sig_f}));
    asnet_pipe_reg #(.Width(37), .Cut(Cut6), .Cuts(Cuts), .Latency(Spread)) u_shift_6 (
      .clk_i(clk_i), .d_i({exp_f, sticky_f, sig_f}), .q_o({exp_6, sticky_6, sig_6}));
    asnet_pipe_reg #(.Width(37), .Cut(Cut7), .Cuts(Cuts), .Latency(Spread)) u_shift_7 (
      .clk_i(clk_i), .d_i({exp_6, sticky_6, sig_6}), .q_o({exp_base_7, sticky_7, sig_7}));
  end else begin : gen_ieee
    // ---- Beside it, the distance to shift. If both operands are subnormal, the product is below half
    // the smallest subnormal wherever its leading one is; so the leading zeros of one operand suffice.
    // With a register at every cut point the count has two stages: what follows it is done a cut
    // point later, as it has time until the product is there.
    logic [9:0]  exp_sum_1, exp_sum_c, exp_sum_2, exp_norm;
    logic [23:0] tiny_sig, tiny_sig_1;
    logic [4:0]  zeros, zeros_2;

    assign tiny_sig = a_tiny ? a_sig : b_sig;
    asnet_pipe_reg #(.Width(34), .Cut(1), .Cuts(Cuts), .Latency(Spread)) u_exp_1 (
      .clk_i(clk_i), .d_i({exp_sum, tiny_sig}), .q_o({exp_sum_1, tiny_sig_1}));
    asnet_clz32 #(.Register(Fine)) u_clz32 (
      .clk_i(clk_i), .word_i({tiny_sig_1, 8'hFF}), .count_o(zeros));
    asnet_pipe_reg #(.Width(10), .Latency(32'(Fine))) u_exp_c (
      .clk_i(clk_i), .d_i(exp_sum_1), .q_o(exp_sum_c));
    asnet_pipe_reg #(.Width(15), .Cut(2), .Cuts(Cuts), .Latency(Spread)) u_exp_2 (
      .clk_i(clk_i), .d_i({exp_sum_c, zeros}), .q_o({exp_sum_2, zeros_2}));

    // The product is put 31 bits too high and shifted right by 31 - m, where m, the wanted left shift,
    // is `zeros` but at most exp_sum (which brings the exponent to 1, that of subnormals). 31 - m in
    // 0..63 is then m inverted, with the sign of m as the top bit; below m = -32 nothing but the
    // sticky bit is left.
    logic        below;
    logic [5:0]  shift, shift_3, shift_4, shift_5;
    logic [8:0]  exp_base, exp_base_3, exp_base_4, exp_base_5, exp_base_f, exp_base_6;

    assign exp_norm = exp_sum_2 - {5'b0, zeros_2};
    assign below    = exp_norm[9];
    assign exp_base = exp_norm[8:0] & {9{~below}};
    assign shift[5] = exp_sum_2[9];
    assign shift[4:0] = ~(below ? exp_sum_2[4:0] : zeros_2) |
                        {5{exp_sum_2[9] & (exp_sum_2[8:5] != 4'hF)}};

    asnet_pipe_reg #(.Width(15), .Cut(3), .Cuts(Cuts), .Latency(Spread)) u_exp_3 (
      .clk_i(clk_i), .d_i({exp_base, shift}), .q_o({exp_base_3, shift_3}));
    asnet_pipe_reg #(.Width(15), .Cut(4), .Cuts(Cuts), .Latency(Fine ? 0 : Spread)) u_exp_4 (
      .clk_i(clk_i), .d_i({exp_base_3, shift_3}), .q_o({exp_base_4, shift_4}));
    asnet_pipe_reg #(.Width(15), .Cut(5), .Cuts(Cuts), .Latency(Spread)) u_exp_5 (
      .clk_i(clk_i), .d_i({exp_base_4, shift_4}), .q_o({exp_base_5, shift_5}));

    // ---- Shifter. Weights are those of the product: what counts ends up in bits 47..22 (24 bits of
    // significand behind an overflow bit, and a bit for rounding); bits that fall out below are only
    // remembered as sticky. Before a step with at most n more positions to go, bits above 47 + n are
    // zero, which is why the words get narrower.
    logic [78:22] frame, by_32;
    logic [62:22] by_16, by_16_f;
    logic [54:22] by_8, by_8_6;
    logic [50:22] by_4;
    logic [48:22] by_2;
    logic [47:22] by_1;
    logic         sticky_top, sticky_f, sticky_high, sticky_6, sticky_low;
    logic [3:0]   shift_f;
    logic [2:0]   shift_6;

    assign frame = {product_5, 9'b0};
    assign by_32 = shift_5[5] ? {32'b0, frame[78:54]} : frame;
    assign by_16 = shift_5[4] ? by_32[78:38] : by_32[62:22];
    assign sticky_top = (shift_5[5] & (frame[53:31] != '0)) |
                        (shift_5[4] & (by_32[37:22] != '0));
    asnet_pipe_reg #(.Width(55), .Cut(6), .Cuts(9), .Latency(ShiftLatency)) u_shift_f (
      .clk_i(clk_i), .d_i({exp_base_5, shift_5[3:0], sticky_top, by_16}),
      .q_o({exp_base_f, shift_f, sticky_f, by_16_f}));

    assign by_8  = shift_f[3] ? by_16_f[62:30] : by_16_f[54:22];
    assign sticky_high = sticky_f | (shift_f[3] & (by_16_f[29:22] != '0));
    asnet_pipe_reg #(.Width(46), .Cut(Cut6), .Cuts(Cuts), .Latency(Spread)) u_shift_6 (
      .clk_i(clk_i), .d_i({exp_base_f, shift_f[2:0], sticky_high, by_8}),
      .q_o({exp_base_6, shift_6, sticky_6, by_8_6}));

    assign by_4 = shift_6[2] ? by_8_6[54:26] : by_8_6[50:22];
    assign by_2 = shift_6[1] ? by_4[50:24] : by_4[48:22];
    assign by_1 = shift_6[0] ? by_2[48:23] : by_2[47:22];
    assign sticky_low = sticky_6 | (shift_6[2] & (by_8_6[25:22] != '0)) |
                        (shift_6[1] & (by_4[23:22] != '0)) | (shift_6[0] & by_2[22]);

    asnet_pipe_reg #(.Width(36), .Cut(Cut7), .Cuts(Cuts), .Latency(Spread)) u_shift_7 (
      .clk_i(clk_i), .d_i({exp_base_6, sticky_low, by_1}),
      .q_o({exp_base_7[8:0], sticky_7, sig_7}));
    assign exp_base_7[9] = 1'b0;
  end

  // ---- Rounding. Exponent and fraction are one number: its increment carries from the fraction into
  // the exponent, from the largest subnormal into the normals, from the largest number into
  // infinity. The leading one is *added* to the exponent base, at bit 23, or at 24 if it is bit 47.
  logic        up, tiny;
  logic [22:0] frac;
  logic [32:0] rounded, rounded_r;
  logic        nan_r, inf_r, zero_r, sign_r;

  assign frac = sig_7[47] ? sig_7[46:24] : sig_7[45:23];
  assign up   = sig_7[47] ? sig_7[23] & (sig_7[24] | sig_7[22] | sticky_7)
                          : sig_7[22] & (sig_7[23] | sticky_7);
  assign rounded = {exp_base_7, 22'b0, up} + {8'b0, sig_7[47], ~sig_7[47] & sig_7[46], frac};
  asnet_pipe_reg #(.Width(37), .Cut(Cuts), .Cuts(Cuts), .Latency(RoundLatency)) u_rounded (
    .clk_i(clk_i), .d_i({flags_7, rounded}), .q_o({sign_r, nan_r, inf_r, zero_r, rounded_r}));

  assign tiny = Flush & (rounded_r[32] | (rounded_r[31:23] == '0));

  always_comb begin
    if (nan_r)                                    result_o = 32'h7FC00000;
    else if (inf_r)                               result_o = {sign_r, 8'hFF, 23'b0};
    else if (zero_r | tiny)                       result_o = {sign_r, 31'b0};
    else if (rounded_r[31] | (&rounded_r[30:23])) result_o = {sign_r, 8'hFF, 23'b0};
    else                                          result_o = {sign_r, rounded_r[30:0]};
  end

endmodule
