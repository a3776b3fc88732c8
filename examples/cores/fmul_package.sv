// A binary32 multiplier of 12-bit significands, with its formats in a SystemVerilog package.
// Purpose: an example of packages, packed structs and functions in a user's core.  Operands keep
// their top 11 fraction bits, results are cut, not rounded; subnormals count as zero; overflow gives
// the largest number; there are no NaNs: exponent 255 is taken for an ordinary one.
// Licence: Apache-2.0.
package small_float_pkg;
  localparam int unsigned Kept = 11;

  typedef struct packed {
    logic        sign;
    logic [7:0]  exponent;
    logic [22:0] fraction;
  } float_t;

  typedef struct packed {
    logic          zero;
    logic [Kept:0] significand;
  } operand_t;

  function automatic operand_t unpack(float_t value);
    operand_t result;
    result.zero        = (value.exponent == 8'd0);
    result.significand = {1'b1, value.fraction[22-:Kept]};
    return result;
  endfunction
endpackage

module fmul_package
  import small_float_pkg::*;
(
  input  float_t left,
  input  float_t right,
  output float_t product
);
  operand_t            l, r;
  logic [2*Kept+1:0]   full;
  logic signed [10:0]  exponent;

  always_comb begin
    l        = unpack(left);
    r        = unpack(right);
    full     = {{(Kept+1){1'b0}}, l.significand} * {{(Kept+1){1'b0}}, r.significand};
    exponent = $signed({3'b0, left.exponent}) + $signed({3'b0, right.exponent}) - 11'sd127
             + $signed({10'b0, full[2*Kept+1]});
    product.sign     = left.sign ^ right.sign;
    product.exponent = exponent[7:0];
    product.fraction = full[2*Kept+1] ? {full[2*Kept:0]} : {full[2*Kept-1:0], 1'b0};
    if (l.zero || r.zero || exponent <= 11'sd0) begin
      product.exponent = 8'd0;
      product.fraction = 23'd0;
    end else if (exponent >= 11'sd255) begin
      product.exponent = 8'd254;
      product.fraction = 23'h7FFFFF;
    end
  end
endmodule
