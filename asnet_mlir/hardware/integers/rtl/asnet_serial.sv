// Product of two's complement numbers, some bits of the second one a cycle.
//
// Purpose:  the product of a requantization, where a result is wanted every Cycles cycles at most: an
//           adder instead of multipliers.
// Latency:  Cycles + 1 from start_i, in whose cycle the factors are there; the product stays until
//           the next one is there.
module asnet_serial #(
  parameter int unsigned Left   = 24,
  parameter int unsigned Right  = 32,
  parameter int unsigned Cycles = 32
) (
  input  logic                         clk_i,
  input  logic                         start_i,
  input  logic signed [Left-1:0]       a_i,
  input  logic signed [Right-1:0]      b_i,
  output logic signed [Left+Right-1:0] y_o
);

  localparam int unsigned Digit = (Right + Cycles - 1) / Cycles;
  localparam int unsigned All   = Digit * Cycles;
  localparam int unsigned Wide  = Left + Digit;

  logic signed [Left-1:0]  a_q;
  logic [All-1:0]          b_q;  // what is left of b
  logic [Cycles-1:0]       step_q;
  logic signed [Left-1:0]  high_q;
  logic [All-1:0]          low_q;
  logic signed [Wide-1:0]  total, high;
  assign high = Wide'(high_q);

  // The last digit alone has a sign.
  if (Digit == 1) begin : gen_bit
    logic signed [Wide-1:0] a, term;
    assign a     = a_q;
    assign term  = b_q[0] ? (step_q[Cycles-1] ? ~a : a) : '0;
    assign total = high + term + $signed({1'b0, step_q[Cycles-1] && b_q[0]});
  end else begin : gen_digit
    logic signed [Digit:0]   digit;
    logic signed [Wide-1:0]  term;
    assign digit = {step_q[Cycles-1] && b_q[Digit-1], b_q[Digit-1:0]};
    assign term  = a_q * digit;
    assign total = high + term;
  end

  always_ff @(posedge clk_i) begin
    step_q <= Cycles'({step_q, start_i});
    b_q    <= start_i ? All'(b_i) : b_q >> Digit;
    high_q <= start_i ? '0 : total[Wide-1:Digit];
    low_q  <= All'({total[Digit-1:0], low_q} >> Digit);
    if (start_i) a_q <= a_i;
    if (step_q[Cycles-1])
      y_o <= (Left + Right)'({total, (All - Digit)'(low_q >> Digit)});
  end

endmodule
