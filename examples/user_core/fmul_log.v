// A logarithmic multiplier (J. N. Mitchell, "Computer Multiplication and Division Using Binary
// Logarithms", IRE Transactions on Electronic Computers, 1962) on binary32: the exponent with the
// fraction behind it is nearly a logarithm, so the product is one integer addition.  Results are up
// to 11.1 % too small.  Subnormals count as zero; a NaN gives 0x7FC00000.
//
// Plain Verilog-2001 with names of its own, as a user would bring it: one register behind the adder.
module fmul_log (
    input  wire        CLK,
    input  wire [31:0] X,
    input  wire [31:0] Y,
    output wire [31:0] Z
);
    wire        s     = X[31] ^ Y[31];
    wire        x_nan = &X[30:23] & |X[22:0];
    wire        y_nan = &Y[30:23] & |Y[22:0];
    wire        x_inf = &X[30:23] & ~|X[22:0];
    wire        y_inf = &Y[30:23] & ~|Y[22:0];
    wire        x_0   = ~|X[30:23];
    wire        y_0   = ~|Y[30:23];
    // 33 bits: the sum of two 31-bit logarithms, and a sign for what falls below the bias.
    wire [32:0] log   = {2'b00, X[30:0]} + {2'b00, Y[30:0]} - 33'h03F800000;

    reg  [31:0] z;
    always @(posedge CLK)
        if (x_nan | y_nan | (x_inf & y_0) | (x_0 & y_inf)) z <= 32'h7FC00000;
        else if (x_inf | y_inf)                            z <= {s, 8'hFF, 23'd0};
        else if (x_0 | y_0 | log[32] | ~|log[31:23])       z <= {s, 31'd0};
        else if (log[31] | &log[30:23])                    z <= {s, 8'hFF, 23'd0};
        else                                               z <= {s, log[30:0]};
    assign Z = z;
endmodule
