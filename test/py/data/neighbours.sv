// Near misses of fmul_trunc, chosen by KIND: each computes something else than a masked product.
module neighbours #(
  parameter int unsigned KIND = 0,
  parameter int unsigned LATENCY = 2
) (
  input  logic        clk_i,
  input  logic [31:0] a_i,
  input  logic [31:0] b_i,
  output logic [31:0] result_o
);
  logic [31:0] a, b, result;
  always_comb begin
    a = {a_i[31:12], 12'b0};
    b = {b_i[31:12], 12'b0};
    result_o = result;
    case (KIND)
      0: ;                                         // the real thing
      1: a = {a_i[31:21], a_i[19], a_i[20], a_i[18:12], 12'b0};  // two bits swapped
      2: a = {a_i[31:12], 12'h800};                // masked with a constant that is not zero
      3: a[31] = ~a_i[31];                         // sign inverted
      4: result_o = {result[31:1], 1'b0};          // the result is masked
      5: a = {a_i[31:23], 23'b0};                  // bit 22 masked: a NaN would become an infinity
      6: begin a = b_i; b = a_i; end               // operands exchanged
      default: ;
    endcase
  end
  fmul #(.LATENCY(LATENCY)) u_fmul (.clk_i(clk_i), .a_i(a), .b_i(b), .result_o(result));
endmodule
