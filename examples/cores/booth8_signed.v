// Signed 8 x 8 bit multiplier after Booth (radix 4), approximate in its low CUT columns.
// Purpose: an example of a core of two's complement numbers.  The low CUT bits of every partial
// product are left out, and so is the +1 of negative ones where it would fall there.
// Source: A. D. Booth, "A Signed Binary Multiplication Technique", 1951.
// Licence: Apache-2.0.
module booth8_signed #(parameter CUT = 4) (
    input  signed [7:0]  m,
    input  signed [7:0]  r,
    output signed [15:0] y
);
    wire signed [8:0]  digits = {r, 1'b0};
    wire        [15:0] columns = 16'hFFFF << CUT;
    wire        [63:0] rows;
    genvar i;
    generate
        for (i = 0; i < 4; i = i + 1) begin : row
            wire [2:0] d = digits[2*i+2:2*i];
            // The digit is 0, 1 or 2 times m, inverted if it is negative; d = 7 is zero.
            wire        negative = d[2] & ~(d[1] & d[0]);
            wire        twice    = (d == 3'b011) | (d == 3'b100);
            wire        once     = d[1] ^ d[0];
            wire signed [9:0]  multiple = twice ? {m[7], m, 1'b0} : once ? {m[7], m[7], m} : 10'sd0;
            wire signed [15:0] extended = multiple;
            wire        [15:0] placed   = ((extended ^ {16{negative}}) << 2 * i) & columns;
            wire        [15:0] plus_one = ({15'd0, negative} << 2 * i) & columns;
            assign rows[16*i +: 16] = placed + plus_one;
        end
    endgenerate
    assign y = rows[15:0] + rows[31:16] + rows[47:32] + rows[63:48];
endmodule
