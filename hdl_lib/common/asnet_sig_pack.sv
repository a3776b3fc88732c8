// The back of a floating-point operation: any word and its exponent to a rounded number.
//
// Purpose:  result_o is the number word_i * 2^(limit_i + 1 - bias - (Width-1)), rounded to nearest
//           even into a format of E exponent and F fraction bits, wherever the leading one of word_i
//           is: it is searched in the word itself. So a significand unit that delivers too little or
//           too much gives the number that it delivers, and not another one.
// Ports:    limit_i, two's complement, is the biased exponent that the top bit of word_i has, less
//           one: as many positions the word can be shifted left before its exponent is that of
//           subnormals. Below = 0 promises that it is never negative. flags_i = {nan, inf, zero} of
//           the operands decide before the word does. zero_sign_i is the result's sign if the word
//           is zero, sign_i in all other cases.
// Latency:  the cut points FirstCut..FirstCut+3 of the Cuts of the core around it, see
//           asnet_pipe_reg: at the word, after the count of zeros, inside and after the shifter.
// Special:  subnormals exact; overflow gives infinity; nan: 0, all ones, 1, zeros (0x7FC00000).
module asnet_sig_pack #(
  parameter int unsigned E        = 8,
  parameter int unsigned F        = 23,
  parameter int unsigned Width    = 48,
  parameter int unsigned ExpWidth = 10,
  parameter bit          Below    = 1'b1,
  parameter int unsigned FirstCut = 1,
  parameter int unsigned Cuts     = 4,
  parameter int unsigned Latency  = 0
) (
  input  logic                clk_i,
  input  logic [Width-1:0]    word_i,
  input  logic [ExpWidth-1:0] limit_i,
  input  logic                sign_i,
  input  logic                zero_sign_i,
  input  logic [2:0]          flags_i,
  output logic [E+F:0]        result_o
);

  // A shift by m positions to the left, -2^FineBits <= m < 2^(FineBits+1), is one by a multiple of
  // 2^FineBits, which is -1, 0 or 1 of them, and a fine one to the left. All words stay within 64
  // bits. 2^FineBits positions to the right leave nothing but the sticky bit.
  localparam int unsigned Needed     = F + 2;
  localparam int unsigned ForBelow   = $clog2(Needed);
  localparam int unsigned CountWidth = $clog2(Width);
  localparam int unsigned FineBits   = (ForBelow > CountWidth - 1) ? ForBelow : CountWidth - 1;
  localparam int unsigned Fine       = 1 << FineBits;
  // What the fine shift can bring into the significand and the rounding bit.
  localparam int unsigned Window     = Needed + Fine - 1;
  localparam int unsigned FrameWidth = (Width > Window) ? Width : Window;

  if (Width < 2) begin : gen_bad_width
    $error("asnet_sig_pack: Width must be at least 2");
  end

  // ---- Leading zeros, and the shift: by `zeros`, but at most `limit`.
  logic [Width-1:0]      word, word_2;
  logic [ExpWidth-1:0]   limit, exp_base, exp_base_2, exp_base_3, exp_base_4;
  logic [4:0]            flags;
  logic [CountWidth-1:0] zeros;
  logic                  is_zero;

  asnet_pipe_reg #(.Width(Width + ExpWidth + 5), .Cut(FirstCut), .Cuts(Cuts), .Latency(Latency))
  u_word (
    .clk_i(clk_i), .d_i({zero_sign_i, sign_i, flags_i, limit_i, word_i}), .q_o({flags, limit, word}));

  asnet_clz #(.Width(Width), .CountWidth(CountWidth)) u_clz (
    .word_i(word), .count_o(zeros), .zero_o(is_zero));

  logic [ExpWidth-1:0] less;
  logic [FineBits:0]   zeros_wide, left;
  logic                capped, right, up_2, right_2;
  logic [FineBits-1:0] fine, fine_2;

  assign less       = limit - ExpWidth'(zeros);
  assign capped     = less[ExpWidth-1];
  assign exp_base   = capped ? '0 : less;
  assign zeros_wide = (FineBits+1)'(zeros);
  assign left       = capped ? limit[FineBits:0] : zeros_wide;
  if (Below) begin : gen_below
    // Below -2^FineBits is as good as -2^FineBits.
    logic too_low;
    assign right   = limit[ExpWidth-1];
    assign too_low = right & ~(&limit[ExpWidth-2:FineBits]);
    assign fine    = left[FineBits-1:0] & {FineBits{~too_low}};
  end else begin : gen_not_below
    assign right = 1'b0;
    assign fine  = left[FineBits-1:0];
  end

  // A zero has a sign of its own; an infinity keeps the sign whatever the word is.
  logic       zero_found, sign_found, up_found;
  logic [3:0] kept_2, kept_3, kept_4;  // sign, nan, inf, zero
  assign zero_found = flags[0] | is_zero;
  assign sign_found = (zero_found & ~flags[1]) ? flags[4] : flags[3];
  // Where it is capped, the limit is less than the count of zeros: as short as that.
  if (CountWidth > FineBits) begin : gen_up
    assign up_found = left[FineBits] & ~right;
  end else begin : gen_not_up
    logic unused_left;
    assign unused_left = left[FineBits];
    assign up_found = 1'b0;
  end
  asnet_pipe_reg #(.Width(Width + ExpWidth + FineBits + 6), .Cut(FirstCut + 1), .Cuts(Cuts),
                   .Latency(Latency))
  u_shift (
    .clk_i(clk_i),
    .d_i({sign_found, flags[2:1], zero_found, up_found, right, exp_base, fine, word}),
    .q_o({kept_2, up_2, right_2, exp_base_2, fine_2, word_2}));

  // ---- Coarse shift; what falls out of the window below is only remembered as sticky.
  logic [FrameWidth-1:0] frame, frame_up;
  logic [Window-1:0]     as_is, raised, lowered, window;
  logic                  sticky_as_is, sticky_lowered, sticky_coarse;

  assign frame    = FrameWidth'(word_2) << (FrameWidth - Width);
  assign frame_up = frame << Fine;
  assign as_is    = frame[FrameWidth-1-:Window];
  assign raised   = frame_up[FrameWidth-1-:Window];
  assign lowered  = as_is >> Fine;
  assign window   = right_2 ? lowered : up_2 ? raised : as_is;
  if (FrameWidth > Window) begin : gen_wide
    assign sticky_as_is = (frame[FrameWidth-Window-1:0] != '0);
  end else begin : gen_narrow
    assign sticky_as_is = 1'b0;
  end
  assign sticky_lowered = sticky_as_is | (as_is[Fine-1:0] != '0);
  assign sticky_coarse  = right_2 ? sticky_lowered : ~up_2 & sticky_as_is;

  // ---- Fine shift to the left. With at most n positions to go, n bits below the rounding bit may
  // still matter; a step not taken drops the lowest of them.
  localparam int unsigned Middle = FineBits / 2;

  for (genvar s = FineBits - 1; s >= 0; s--) begin : gen_fine
    localparam int unsigned Step = 1 << s;
    localparam int unsigned Out  = Needed + Step - 1;
    logic [Out+Step-1:0]   in;
    logic                  sticky_in;
    logic [s:0]            amount;
    logic [Out-1:0]        out;
    logic                  sticky_out;
    if (s == FineBits - 1) begin : gen_first
      assign in        = window;
      assign sticky_in = sticky_coarse;
      assign amount    = fine_2;
    end else if (s == Middle - 1) begin : gen_cut
      asnet_pipe_reg #(.Width(Out + Step + s + 2 + ExpWidth + 4), .Cut(FirstCut + 2),
                       .Cuts(Cuts), .Latency(Latency))
      u_middle (
        .clk_i(clk_i),
        .d_i({kept_2, exp_base_2, gen_fine[s+1].amount[s:0], gen_fine[s+1].sticky_out,
              gen_fine[s+1].out}),
        .q_o({kept_3, exp_base_3, amount, sticky_in, in}));
    end else begin : gen_next
      assign in        = gen_fine[s+1].out;
      assign sticky_in = gen_fine[s+1].sticky_out;
      assign amount    = gen_fine[s+1].amount[s:0];
    end
    assign out        = amount[s] ? in[Out-1:0] : in[Out+Step-1:Step];
    assign sticky_out = sticky_in | (~amount[s] & (in[Step-1:0] != '0));
  end

  // ---- Rounding. Exponent and fraction are one number: its increment carries from the fraction
  // into the exponent, from the largest subnormal into the normals, from the largest number into
  // infinity. The leading one is *added* to the exponent base.
  logic [Needed-1:0]     sig;
  logic                  sticky, round_up, sign, nan, inf, zero;
  logic [ExpWidth+F-1:0] rounded;

  asnet_pipe_reg #(.Width(Needed + 1 + ExpWidth + 4), .Cut(FirstCut + 3), .Cuts(Cuts),
                   .Latency(Latency))
  u_sig (
    .clk_i(clk_i), .d_i({kept_3, exp_base_3, gen_fine[0].sticky_out, gen_fine[0].out}),
    .q_o({kept_4, exp_base_4, sticky, sig}));

  assign {sign, nan, inf, zero} = kept_4;
  assign round_up = sig[0] & (sig[1] | sticky);
  assign rounded  = {exp_base_4, {(F-1){1'b0}}, round_up} + (ExpWidth+F)'(sig[Needed-1:1]);

  always_comb begin
    if (nan)       result_o = {1'b0, {E{1'b1}}, 1'b1, {(F-1){1'b0}}};
    else if (inf)  result_o = {sign, {E{1'b1}}, {F{1'b0}}};
    else if (zero) result_o = {sign, {(E+F){1'b0}}};
    else if ((rounded[ExpWidth+F-1:E+F] != '0) | (&rounded[E+F-1:F]))
                   result_o = {sign, {E{1'b1}}, {F{1'b0}}};
    else           result_o = {sign, rounded[E+F-1:0]};
  end

endmodule
