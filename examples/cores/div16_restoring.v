// Unsigned 16-bit divider, one quotient bit a clock cycle.
// Purpose: an example of an iterative core with a handshake: start is 1 for one cycle, the operands
// stay until done is 1; the quotient stays until the next start.  Restoring division; a division by
// zero gives all ones.
// Licence: Apache-2.0.
module div16_restoring (
    input  wire        clk,
    input  wire        rst,
    input  wire        start,
    input  wire [15:0] dividend,
    input  wire [15:0] divisor,
    output reg  [15:0] quotient,
    output reg         done
);
    reg  [15:0] remainder;
    reg  [4:0]  left;
    wire [16:0] partial = {remainder, quotient[15]};
    wire [16:0] rest    = partial - {1'b0, divisor};

    always @(posedge clk)
        if (rst) begin
            done      <= 1'b0;
            left      <= 5'd0;
            quotient  <= 16'd0;
            remainder <= 16'd0;
        end else if (start) begin
            done      <= 1'b0;
            left      <= 5'd16;
            quotient  <= dividend;
            remainder <= 16'd0;
        end else if (left != 5'd0) begin
            done      <= (left == 5'd1);
            left      <= left - 5'd1;
            quotient  <= {quotient[14:0], ~rest[16]};
            remainder <= rest[16] ? partial[15:0] : rest[15:0];
        end
endmodule
