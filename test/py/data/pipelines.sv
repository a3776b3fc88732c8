// Registers of all kinds, chosen by KIND; 0, 1 and 2 are feed-forward pipelines of that depth.
module pipelines #(parameter int KIND = 1) (
  input  logic       clk,
  input  logic [7:0] a,
  input  logic [7:0] b,
  output logic [7:0] result
);
  logic [7:0] p, q, q2, r;
  always_ff @(posedge clk) begin p <= a; q <= p; end
  generate
    case (KIND)
      0: assign result = a ^ b;
      1: begin always_ff @(posedge clk) r <= a ^ b; assign result = r; end
      2: begin always_ff @(posedge clk) begin q2 <= b; r <= p ^ q2; end assign result = r; end
      3: begin always_ff @(posedge clk) r <= r + a; assign result = r; end
      4: begin always_ff @(posedge clk) if (b[0]) r <= a; assign result = r; end
      5: begin always_ff @(posedge clk or posedge b[0]) if (b[0]) r <= 0; else r <= a;
         assign result = r; end
      6: begin always_ff @(negedge clk) r <= a; assign result = r; end
      7: assign result = p ^ b;
      8: begin always_latch if (b[0]) r = a; assign result = r; end
      9: begin assign r = r ^ a; assign result = r | b; end
      10: assign result = a & r;
      11: assign result = {8{1'bx}};
      12: assign result = a / b;
      13: begin always_ff @(posedge clk) r <= b[0] ? a : 8'd0; assign result = r; end
      default: assign result = {q[7:4], p[3:0]};
    endcase
  endgenerate
endmodule
