// Two products of two's complement numbers that have a factor in common, with registers inside.
//
// Purpose:  exact products of neighbouring lanes. With the macro ASNET_PAIRED_PRODUCTS they are one product,
//           where it is 25 bits by 18 at most, as the multipliers of Xilinx 7 are: a (b + c 2^n) with
//           n bits of a product has a b in its low bits and above a c, less one where a b is negative.
// Latency:  Latency cycles, at least those of `asnet_product` and 3; a pair a cycle.
module asnet_pair #(
  parameter int unsigned Common  = 8,
  parameter int unsigned Own     = 8,
  parameter int unsigned Latency = 3
) (
  input  logic                         clk_i,
  input  logic signed [Common-1:0]     a_i,
  input  logic signed [Own-1:0]        b_i,
  input  logic signed [Own-1:0]        c_i,
  output logic signed [Common+Own-1:0] y_o, // a b
  output logic signed [Common+Own-1:0] z_o  // a c
);

  localparam int unsigned Width = Common + Own;
  localparam int unsigned Wide  = Width + Own + 1;
`ifdef ASNET_PAIRED_PRODUCTS
  localparam bit IsOne = Wide <= 25 && Common <= 18;
`else
  localparam bit IsOne = 1'b0;
`endif

  if (IsOne) begin : gen_one
    logic signed [Common-1:0]      a_q;
    logic signed [Wide-1:0]        both_q;
    logic signed [Wide+Common-1:0] product_q;
    logic [2*Width*(Latency-2)-1:0] result_q;
    always_ff @(posedge clk_i) begin
      a_q       <= a_i;
      both_q    <= Wide'(b_i) + (Wide'(c_i) <<< Width);
      product_q <= a_q * both_q;
      result_q  <= (2 * Width * (Latency - 2))'({
        result_q, product_q[Width+:Width] + Width'(product_q[Width-1]), product_q[Width-1:0]
      });
    end
    assign {z_o, y_o} = result_q[2*Width*(Latency-3)+:2*Width];
  end else begin : gen_two
    localparam int unsigned Left  = Common > Own ? Common : Own;
    localparam int unsigned Right = Common > Own ? Own : Common;
    asnet_product #(.Left(Left), .Right(Right), .Latency(Latency)) first (
      .clk_i(clk_i), .a_i(Common > Own ? a_i : b_i), .b_i(Common > Own ? b_i : a_i), .y_o(y_o)
    );
    asnet_product #(.Left(Left), .Right(Right), .Latency(Latency)) second (
      .clk_i(clk_i), .a_i(Common > Own ? a_i : c_i), .b_i(Common > Own ? c_i : a_i), .y_o(z_o)
    );
  end

endmodule
