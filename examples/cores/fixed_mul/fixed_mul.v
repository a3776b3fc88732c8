// Signed fixed-point multiplier, 8 bits before and 8 bits behind the point, that saturates.
// Purpose: an example of a core of two files and an include folder.  The product is cut towards
// minus infinity.
// Licence: Apache-2.0.
`include "fixed_format.vh"
module fixed_mul (
    input  wire signed [`FIXED_WIDTH-1:0] x,
    input  wire signed [`FIXED_WIDTH-1:0] y,
    output wire signed [`FIXED_WIDTH-1:0] z
);
    wire signed [2*`FIXED_WIDTH-1:0] full = x * y;
    saturate limiter (.wide(full), .narrow(z));
endmodule
