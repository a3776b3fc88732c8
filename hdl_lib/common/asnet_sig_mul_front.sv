// The front of a floating-point multiplication: operands to the words that a significand unit takes.
//
// Purpose:  unit_a_o and unit_b_o are for an unsigned N x N multiplier; asnet_sig_pack makes the
//           result of its product.
// Widths:   N <= F+1: the top N bits of the significands, hidden bit first. N > F+1: the significand
//           at the bottom (Left = 0) or at the top (Left = 1), zeros elsewhere.
// Latency:  cut point 1 of the Cuts of the core around it, see asnet_pipe_reg.
// Special:  subnormal operands are not normalised, the product is. An operand of which the unit would
//           see nothing but zeros counts as zero, so that a unit need not have 0 * x = 0.
module asnet_sig_mul_front #(
  parameter int unsigned E        = 8,
  parameter int unsigned F        = 23,
  parameter int unsigned N        = 24,
  parameter bit          Left     = 1'b0,
  parameter int unsigned ExpWidth = 10,
  parameter int unsigned Cuts     = 5,
  parameter int unsigned Latency  = 0
) (
  input  logic                clk_i,
  input  logic [E+F:0]        a_i,
  input  logic [E+F:0]        b_i,
  output logic [N-1:0]        unit_a_o,
  output logic [N-1:0]        unit_b_o,
  output logic [ExpWidth-1:0] limit_o,
  output logic                sign_o,
  output logic [2:0]          flags_o
);

  // Positions by which a product of 2N bits has its top bit above that of significands in [1, 2).
  localparam int unsigned Headroom = (N > F + 1 && !Left) ? 2 * (N - F - 1) : 0;
  localparam int unsigned Bias     = (1 << (E - 1)) - 1;

  // ---- Operands. A subnormal has hidden bit 0 and the exponent of the smallest normal number, 1.
  logic         a_tiny, b_tiny, a_top, b_top, a_frac, b_frac;
  logic [F:0]   a_sig, b_sig;
  logic [E-1:0] a_exp, b_exp;
  logic [N-1:0] a_word, b_word;
  logic         sign, nan, inf, zero;

  assign a_tiny = (a_i[E+F-1:F] == '0);
  assign b_tiny = (b_i[E+F-1:F] == '0);
  assign a_top  = (&a_i[E+F-1:F]);
  assign b_top  = (&b_i[E+F-1:F]);
  assign a_frac = (a_i[F-1:0] != '0);
  assign b_frac = (b_i[F-1:0] != '0);
  assign a_sig  = {~a_tiny, a_i[F-1:0]};
  assign b_sig  = {~b_tiny, b_i[F-1:0]};
  assign a_exp  = {a_i[E+F-1:F+1], a_i[F] | a_tiny};
  assign b_exp  = {b_i[E+F-1:F+1], b_i[F] | b_tiny};

  if (N <= F + 1) begin : gen_narrow
    assign a_word = a_sig[F-:N];
    assign b_word = b_sig[F-:N];
  end else if (Left) begin : gen_left
    assign a_word = {a_sig, {(N-F-1){1'b0}}};
    assign b_word = {b_sig, {(N-F-1){1'b0}}};
  end else begin : gen_right
    assign a_word = N'(a_sig);
    assign b_word = N'(b_sig);
  end

  assign sign = a_i[E+F] ^ b_i[E+F];
  assign nan  = (a_top & a_frac) | (b_top & b_frac) |
                (a_top & b_tiny & ~b_frac) | (b_top & a_tiny & ~a_frac);
  assign inf  = a_top | b_top;
  assign zero = (a_word == '0) | (b_word == '0);

  // The biased exponent of the product's top bit, less one; two's complement.
  logic [ExpWidth-1:0] limit;
  assign limit = ExpWidth'(a_exp) + ExpWidth'(b_exp) + ExpWidth'(Headroom) - ExpWidth'(Bias);

  asnet_pipe_reg #(.Width(2 * N + ExpWidth + 4), .Cut(1), .Cuts(Cuts), .Latency(Latency)) u_operands (
    .clk_i(clk_i), .d_i({a_word, b_word, limit, sign, nan, inf, zero}),
    .q_o({unit_a_o, unit_b_o, limit_o, sign_o, flags_o}));

endmodule
