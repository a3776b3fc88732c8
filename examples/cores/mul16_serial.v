// Unsigned 16 x 16 bit multiplier, exact, four bits of an operand a clock cycle.
// Purpose: an example of an iterative core without a handshake: it starts by itself when it sees
// operands that it has not multiplied yet, which are held for four cycles; the product is there four
// cycles after they were applied, and stays as long as they do.
// Licence: Apache-2.0.
module mul16_serial (
    input  wire        clk,
    input  wire        rst,
    input  wire [15:0] a,
    input  wire [15:0] b,
    output reg  [31:0] p
);
    reg  [15:0] seen_a, seen_b;
    reg  [27:0] sum;
    reg  [1:0]  step;
    reg         valid;
    wire        fresh = ~valid | (a != seen_a) | (b != seen_b);
    wire [1:0]  now   = fresh ? 2'd0 : step;
    wire [19:0] part  = a * (b >> {now, 2'b00} & 16'h000F);
    // The running sum is that of the digits so far, put at its weight.
    wire [31:0] next  = (fresh ? 32'd0 : {4'd0, sum}) + ({12'd0, part} << {now, 2'b00});
    reg         busy;

    always @(posedge clk)
        if (rst) begin
            valid <= 1'b0;
            busy  <= 1'b0;
            step  <= 2'd0;
            sum   <= 28'd0;
            p     <= 32'd0;
        end else if (fresh) begin
            valid  <= 1'b1;
            busy   <= 1'b1;
            seen_a <= a;
            seen_b <= b;
            step   <= 2'd1;
            sum    <= next[27:0];
        end else if (busy) begin
            busy <= (step != 2'd3);
            step <= step + 2'd1;
            sum  <= next[27:0];
            if (step == 2'd3) p <= next;
        end
endmodule
