// Adder of an accumulator of N bits, in words of 32.
//
// Purpose:  result_o = a_i + b_i in N bits, two's complement, extended by its sign to 32 bits.
// Source:   the accumulators of digital signal processors, which wrap or saturate.
// Method:   SATURATE = 0: modulo 2^N. SATURATE = 1: a sum beyond the least or the greatest number of
//           N bits is that number.
// Latency:  0, combinational.
// Special:  exact modulo 2^32 with N = 32 and SATURATE = 0.
module accumulator #(
  parameter int unsigned N        = 32,
  parameter int unsigned SATURATE = 0
) (
  input  logic signed [31:0] a_i,
  input  logic signed [31:0] b_i,
  output logic signed [31:0] result_o
);

  if (N < 2 || N > 32 || SATURATE > 1) begin : gen_bad_parameter
    $error("accumulator: N must be in 2..32 and SATURATE 0 or 1");
  end

  if (SATURATE == 1) begin : gen_saturate
    localparam logic signed [32:0] High = (33'sd1 <<< (N - 1)) - 33'sd1;
    localparam logic signed [32:0] Low  = -(33'sd1 <<< (N - 1));
    logic signed [32:0] sum;
    assign sum      = 33'(a_i) + 33'(b_i);
    assign result_o = (sum > High) ? High[31:0] : (sum < Low) ? Low[31:0] : sum[31:0];
  end else begin : gen_wrap
    logic [N-1:0] sum;
    assign sum      = a_i[N-1:0] + b_i[N-1:0];
    assign result_o = {{(33 - N){sum[N-1]}}, sum[N-2:0]};
  end

endmodule
