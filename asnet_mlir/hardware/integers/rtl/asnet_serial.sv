// Product of two's complement numbers, some bits of the second one a cycle.
//
// Purpose:  the product of a requantization, where a result is wanted every Cycles cycles at most: an
//           adder instead of multipliers, and of several bits a cycle their product in logic.
// Latency:  Cycles + 2 and that of a digit's product from start_i, in whose cycle the factors are there;
//           the product stays until the next one is there. A reset ends what is under way.
module asnet_serial #(
  parameter int unsigned Left   = 24,
  parameter int unsigned Right  = 32,
  parameter int unsigned Cycles = 32
) (
  input  logic                         clk_i,
  input  logic                         rst_i,
  input  logic                         start_i,
  input  logic signed [Left-1:0]       a_i,
  input  logic signed [Right-1:0]      b_i,
  output logic signed [Left+Right-1:0] y_o
);

  localparam int unsigned Digit = (Right + Cycles - 1) / Cycles;
  localparam int unsigned All   = Digit * Cycles;
  localparam int unsigned Wide  = Left + Digit;
  // Cycles of a digit's product: one bit is a choice.
  localparam int unsigned Product = Digit == 1 ? 1 : 1 + $clog2((Digit + 2) / 2);

  logic signed [Left-1:0] a_q, a_qq;
  logic [All-1:0]         b_q;    // what is left of b
  logic [Cycles+Product:0] step_q; // bit n is 1 in the cycle n + 1 from a start
  logic signed [Digit:0]  digit_q;
  logic signed [Wide-1:0] term, high, total;
  logic                   carry_q;
  logic signed [Left-1:0] high_q;
  logic [All-1:0]         low_q;

  assign high  = Wide'(high_q);
  assign total = high + term + Wide'(carry_q);

  always_ff @(posedge clk_i) begin
    step_q <= rst_i ? '0 : (Cycles + Product + 1)'({step_q, start_i});
    if (start_i) a_q <= a_i;
    b_q <= start_i ? All'(b_i) : b_q >> Digit;
    // The last digit alone has a sign.
    digit_q <= {step_q[Cycles-1] && b_q[Digit-1], b_q[Digit-1:0]};
    if (step_q[0]) a_qq <= a_q;
    high_q <= step_q[Product] ? '0 : total[Wide-1:Digit];
    low_q  <= All'({total[Digit-1:0], low_q} >> Digit);
    if (step_q[Cycles+Product]) y_o <= (Left + Right)'({total, (All - Digit)'(low_q >> Digit)});
  end

  if (Digit == 1) begin : gen_bit
    logic signed [Wide-1:0] a, term_q;
    assign a    = Wide'(a_qq);
    assign term = term_q;
    always_ff @(posedge clk_i) begin
      term_q  <= digit_q[0] ? (digit_q[1] ? ~a : a) : '0;
      carry_q <= digit_q[0] && digit_q[1];
    end
  end else begin : gen_digit
    logic signed [Wide:0] product;
    assign carry_q = 1'b0;
    assign term    = Wide'(product);
    asnet_rows #(.Left(Left), .Right(Digit + 1)) rows (
      .clk_i(clk_i), .a_i(a_qq), .b_i(digit_q), .y_o(product)
    );
  end

endmodule
