// Unsigned 32 x 32 bit multiplier that ignores the low CUT bits of both operands.
// Purpose: an example of a parameterised integer core that is wider than a significand of binary32.
// Licence: Apache-2.0.
module mul32_low_cut #(parameter CUT = 8) (
    input  wire [31:0] op1,
    input  wire [31:0] op2,
    output wire [63:0] prod
);
    wire [31:0] keep = 32'hFFFFFFFF << CUT;
    assign prod = (op1 & keep) * (op2 & keep);
endmodule
