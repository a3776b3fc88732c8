// The part of a product that fits the format, or the nearest number that does.
// Purpose: second file of fixed_mul.
// Licence: Apache-2.0.
`include "fixed_format.vh"
module saturate (
    input  wire signed [2*`FIXED_WIDTH-1:0] wide,
    output wire signed [`FIXED_WIDTH-1:0]   narrow
);
    wire signed [2*`FIXED_WIDTH-1:0] scaled = wide >>> `FIXED_FRACTION;
    wire fits = (scaled[2*`FIXED_WIDTH-1:`FIXED_WIDTH-1] == {(`FIXED_WIDTH+1){1'b0}}) |
                (scaled[2*`FIXED_WIDTH-1:`FIXED_WIDTH-1] == {(`FIXED_WIDTH+1){1'b1}});
    assign narrow = fits ? scaled[`FIXED_WIDTH-1:0]
                         : {wide[2*`FIXED_WIDTH-1], {(`FIXED_WIDTH-1){~wide[2*`FIXED_WIDTH-1]}}};
endmodule
