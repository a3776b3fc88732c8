// The front of a floating-point addition: operands to the words that a significand unit takes.
//
// Purpose:  unit_a_o and unit_b_o are for an unsigned adder; asnet_sig_add_back makes the result of
//           its sum. The operand of larger magnitude is a, the other one, aligned to it, is b. Where
//           signs differ a is inverted, because x - y = ~(~x + y) needs no carry into the adder.
// Widths:   the unit has N bits, of which the low W hold the significands, left-aligned in them:
//           W <= F+1 cuts them to their top W bits. W >= F+3 has room for a sticky bit, the lowest;
//           W >= F+4, with guard and round bits, makes the result of an exact adder that of IEEE 754.
// Latency:  cut points 1 and 2 of the Cuts of the core around it, see asnet_pipe_reg: after the swap
//           and inside the alignment.
// Special:  zero_sign_o is the sign of a zero result: x - x is +0, -0 + -0 is -0.
module asnet_sig_add_front #(
  parameter int unsigned E        = 8,
  parameter int unsigned F        = 23,
  parameter int unsigned N        = 27,
  parameter int unsigned W        = 27,
  parameter bit          Subtract = 1'b0,
  parameter int unsigned Cuts     = 6,
  parameter int unsigned Latency  = 0
) (
  input  logic                clk_i,
  input  logic [E+F:0]        a_i,
  input  logic [E+F:0]        b_i,
  output logic [N-1:0]        unit_a_o,
  output logic [N-1:0]        unit_b_o,
  output logic [E-1:0]        exp_o,
  output logic                subtract_o,
  output logic                sign_o,
  output logic                zero_sign_o,
  output logic [2:0]          flags_o
);

  if (W > N || W < 2) begin : gen_bad_width
    $error("asnet_sig_add_front: W must be in 2..N");
  end

  // ---- The operand of larger magnitude goes first, so that the difference is never negative.
  logic         swap;
  logic [E+F:0] b_signed, big, big_1, lesser, lesser_1;

  assign b_signed = {b_i[E+F] ^ Subtract, b_i[E+F-1:0]};
  assign swap     = a_i[E+F-1:0] < b_i[E+F-1:0];
  assign big      = swap ? b_signed : a_i;
  assign lesser   = swap ? a_i : b_signed;
  asnet_pipe_reg #(.Width(2 * (E + F + 1)), .Cut(1), .Cuts(Cuts), .Latency(Latency)) u_swap (
    .clk_i(clk_i), .d_i({big, lesser}), .q_o({big_1, lesser_1}));

  // ---- A subnormal has hidden bit 0 and the exponent of the smallest normal number, 1.
  logic         big_tiny, lesser_tiny, subtract, sign, zero_sign, nan, inf, zero;
  logic [E-1:0] exp, lesser_exp, distance;
  logic [F:0]   big_sig, lesser_sig;
  logic [W-1:0] big_word, lesser_word;

  assign big_tiny    = (big_1[E+F-1:F] == '0);
  assign lesser_tiny = (lesser_1[E+F-1:F] == '0);
  assign big_sig     = {~big_tiny, big_1[F-1:0]};
  assign lesser_sig  = {~lesser_tiny, lesser_1[F-1:0]};
  assign exp         = {big_1[E+F-1:F+1], big_1[F] | big_tiny};
  assign lesser_exp  = {lesser_1[E+F-1:F+1], lesser_1[F] | lesser_tiny};
  assign subtract    = big_1[E+F] ^ lesser_1[E+F];
  assign sign        = big_1[E+F];
  assign zero_sign   = sign & ~subtract;
  // A NaN has the larger magnitude, or both operands have the top exponent.
  assign inf  = (&big_1[E+F-1:F]);
  assign nan  = inf & ((big_1[F-1:0] != '0) | (subtract & (&lesser_1[E+F-1:F])));
  assign zero = (big_word == '0);

  if (W <= F + 1) begin : gen_narrow
    assign big_word    = big_sig[F-:W];
    assign lesser_word = lesser_sig[F-:W];
  end else begin : gen_wide
    assign big_word    = {big_sig, {(W-F-1){1'b0}}};
    assign lesser_word = {lesser_sig, {(W-F-1){1'b0}}};
  end

  // ---- Alignment. From W positions on nothing but the sticky bit is left.
  localparam int unsigned ShiftBits = $clog2(W + 1);
  localparam int unsigned Middle    = ShiftBits / 2;
  logic [ShiftBits-1:0] align;
  logic                 too_far;

  assign distance = exp - lesser_exp;
  if (E > ShiftBits) begin : gen_saturate
    assign too_far = (distance[E-1:ShiftBits] != '0);
    assign align   = distance[ShiftBits-1:0] | {ShiftBits{too_far}};
  end else begin : gen_as_is
    assign too_far = 1'b0;
    assign align   = ShiftBits'(distance);
  end

  logic [E-1:0] exp_2;
  logic [5:0]   kept_2;
  logic [W-1:0] big_word_2;

  for (genvar s = ShiftBits - 1; s >= 0; s--) begin : gen_align
    localparam int unsigned Step = 1 << s;
    logic [W-1:0]         in, out;
    logic                 sticky_in, sticky_out;
    logic [s:0]           amount;
    if (s == ShiftBits - 1) begin : gen_first
      assign in        = lesser_word;
      assign sticky_in = 1'b0;
      assign amount    = align;
    end else if (s == Middle) begin : gen_cut
      asnet_pipe_reg #(.Width(2 * W + s + 2 + E + 6), .Cut(2), .Cuts(Cuts),
                       .Latency(Latency))
      u_middle (
        .clk_i(clk_i),
        .d_i({subtract, sign, zero_sign, nan, inf, zero, exp, big_word, gen_align[s+1].amount[s:0],
              gen_align[s+1].sticky_out, gen_align[s+1].out}),
        .q_o({kept_2, exp_2, big_word_2, amount, sticky_in, in}));
    end else begin : gen_next
      assign in        = gen_align[s+1].out;
      assign sticky_in = gen_align[s+1].sticky_out;
      assign amount    = gen_align[s+1].amount[s:0];
    end
    if (Step < W) begin : gen_part
      assign out        = amount[s] ? in >> Step : in;
      assign sticky_out = sticky_in | (amount[s] & (in[Step-1:0] != '0));
    end else begin : gen_all
      assign out        = amount[s] ? '0 : in;
      assign sticky_out = sticky_in | (amount[s] & (in != '0));
    end
  end

  logic [W-1:0] aligned;
  if (W >= F + 3) begin : gen_sticky
    assign aligned = {gen_align[0].out[W-1:1], gen_align[0].out[0] | gen_align[0].sticky_out};
  end else begin : gen_cut_off
    assign aligned = gen_align[0].out;
  end

  assign {subtract_o, sign_o, zero_sign_o, flags_o} = kept_2;
  assign exp_o    = exp_2;
  assign unit_a_o = N'(big_word_2) ^ {N{subtract_o}};
  assign unit_b_o = N'(aligned);

endmodule
