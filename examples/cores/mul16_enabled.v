// Unsigned 16 x 16 bit multiplier, exact, two registers deep.
// Purpose: an example of a pipeline with a clock enable and an asynchronous reset, active at 0.
// Licence: Apache-2.0.
module mul16_enabled (
    input  wire        clk,
    input  wire        rst_n,
    input  wire        en,
    input  wire [15:0] a,
    input  wire [15:0] b,
    output reg  [31:0] p
);
    reg [23:0] low, high;
    always @(posedge clk or negedge rst_n)
        if (!rst_n) begin
            low  <= 24'd0;
            high <= 24'd0;
            p    <= 32'd0;
        end else if (en) begin
            low  <= a * b[7:0];
            high <= a * b[15:8];
            p    <= {8'd0, low} + {high, 8'd0};
        end
endmodule
