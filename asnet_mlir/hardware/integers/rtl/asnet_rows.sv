// Product of two's complement numbers in logic, with registers inside.
//
// Purpose:  sums of pairs of rows, a tree of adders with a register behind each, which takes half of the
//           LUTs that tools make of `*` and reaches a higher clock. The fewer the bits of b_i, the fewer
//           the rows.
// Latency:  1 and the tree's levels, $clog2 of the pairs of rows; a product a cycle.
module asnet_rows #(
  parameter int unsigned Left  = 8,
  parameter int unsigned Right = 8
) (
  input  logic                         clk_i,
  input  logic signed [Left-1:0]       a_i,
  input  logic signed [Right-1:0]      b_i,
  output logic signed [Left+Right-1:0] y_o
);

  // A node of level l is a times 2^(l+1) bits of b, of which only the last ones have a sign.
  localparam int unsigned Pairs  = (Right + 1) / 2;
  localparam int unsigned Levels = $clog2(Pairs);

  logic signed [2*Pairs-1:0] b;
  assign b = (2 * Pairs)'(b_i);

  for (genvar l = 0; l <= Levels; l++) begin : gen_level
    localparam int unsigned Digits = 2 << l;
    localparam int unsigned Wide   = Left + Digits;
    localparam int unsigned Count  = (Pairs + (1 << l) - 1) >> l;
    logic [Count*Wide-1:0] nodes_q;
    for (genvar k = 0; k < Count; k++) begin : gen_node
      if (l == 0) begin : gen_pair
        logic signed [Wide-1:0] once, twice;
        assign once  = b[2*k] ? Wide'(a_i) : '0;
        assign twice = b[2*k+1] ? Wide'(a_i) <<< 1 : '0;
        always_ff @(posedge clk_i)
          nodes_q[Wide*k+:Wide] <= k == Pairs - 1 ? once - twice : once + twice;
      end else begin : gen_sum
        localparam int unsigned Half  = Digits / 2;
        localparam int unsigned Short = Wide - Half;
        localparam int unsigned Below = (Pairs + (1 << (l - 1)) - 1) >> (l - 1);
        logic signed [Short-1:0] low;
        assign low = gen_level[l-1].nodes_q[Short*2*k+:Short];
        if (2 * k + 1 < Below) begin : gen_both
          logic signed [Short-1:0] high;
          assign high = gen_level[l-1].nodes_q[Short*(2*k+1)+:Short];
          always_ff @(posedge clk_i)
            nodes_q[Wide*k+:Wide] <= {high + Short'(low >>> Half), low[Half-1:0]};
        end else begin : gen_last
          always_ff @(posedge clk_i) nodes_q[Wide*k+:Wide] <= Wide'(low);
        end
      end
    end
  end

  assign y_o = (Left + Right)'($signed(gen_level[Levels].nodes_q));

endmodule
