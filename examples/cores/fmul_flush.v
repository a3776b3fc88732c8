// A binary32 multiplier that flushes subnormals, written plainly.
// Purpose: an example of a whole floating-point core.  Round to nearest even; subnormal operands and
// results count as zeros of their sign, and a result is subnormal if it is below the smallest normal
// number before rounding; a NaN result is 7FC00000.
// Licence: Apache-2.0.
module fmul_flush (
    input  wire [31:0] a,
    input  wire [31:0] b,
    output reg  [31:0] y
);
    wire        sign   = a[31] ^ b[31];
    wire        a_zero = (a[30:23] == 8'd0);
    wire        b_zero = (b[30:23] == 8'd0);
    wire        a_max  = (a[30:23] == 8'd255);
    wire        b_max  = (b[30:23] == 8'd255);
    wire        a_nan  = a_max & (a[22:0] != 23'd0);
    wire        b_nan  = b_max & (b[22:0] != 23'd0);
    wire [47:0] full   = {1'b1, a[22:0]} * {1'b1, b[22:0]};
    wire        top    = full[47];
    wire [22:0] frac   = top ? full[46:24] : full[45:23];
    wire        guard  = top ? full[23] : full[22];
    wire        sticky = top ? (full[22:0] != 23'd0) : (full[21:0] != 22'd0);
    wire        up     = guard & (sticky | frac[0]);
    wire signed [10:0] exponent = $signed({3'b000, a[30:23]}) + $signed({3'b000, b[30:23]})
                                - 11'sd127 + $signed({10'd0, top});
    wire [23:0] rounded  = {1'b0, frac} + {23'd0, up};
    wire signed [10:0] final_exponent = exponent + $signed({10'd0, rounded[23]});

    always @* begin
        y = {sign, final_exponent[7:0], rounded[22:0]};
        if (a_nan | b_nan | (a_max & b_zero) | (b_max & a_zero)) y = 32'h7FC00000;
        else if (a_max | b_max)                                  y = {sign, 8'd255, 23'd0};
        else if (a_zero | b_zero | exponent <= 11'sd0)           y = {sign, 31'd0};
        else if (final_exponent >= 11'sd255)                     y = {sign, 8'd255, 23'd0};
    end
endmodule
