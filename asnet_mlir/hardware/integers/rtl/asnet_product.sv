// Product of two's complement numbers, with registers inside.
//
// Purpose:  exact products of an engine. By default one that a tool finds the device's multipliers for;
//           in logic (`asnet_rows`) with the macro ASNET_SOFT_PRODUCTS, with InLogic, and where b_i has few
//           bits: few rows are smaller than the way to a multiplier is long.
// Latency:  Latency cycles, at least 2 and those of `asnet_rows`; a product a cycle.
module asnet_product #(
  parameter int unsigned Left    = 8,
  parameter int unsigned Right   = 8,
  parameter int unsigned Latency = 3,
  parameter bit          InLogic = 1'b0
) (
  input  logic                         clk_i,
  input  logic signed [Left-1:0]       a_i,
  input  logic signed [Right-1:0]      b_i,
  output logic signed [Left+Right-1:0] y_o
);

`ifdef ASNET_SOFT_PRODUCTS
  localparam bit HasRows = 1'b1;
`else
  localparam bit HasRows = InLogic || Right <= 4;
`endif
  localparam int unsigned Width = Left + Right;
  localparam int unsigned Least = HasRows ? 1 + $clog2((Right + 1) / 2) : 2;
  localparam int unsigned Rest  = Latency - Least;

  logic signed [Width-1:0] product;
  if (HasRows) begin : gen_rows
    asnet_rows #(.Left(Left), .Right(Right)) rows (
      .clk_i(clk_i), .a_i(a_i), .b_i(b_i), .y_o(product)
    );
  end else begin : gen_block
    // Registers in front of the multiplier are beside it. Many multipliers may have a factor in common,
    // whose registers tools must not make one.
    logic signed [Left-1:0]  a_q;
    logic signed [Right-1:0] b_q;
    (* keep *)
    always_ff @(posedge clk_i) begin
      a_q <= a_i;
      b_q <= b_i;
    end
    always_ff @(posedge clk_i) product <= a_q * b_q;
  end

  if (Rest == 0) begin : gen_direct
    assign y_o = product;
  end else begin : gen_delayed
    logic [Width*Rest-1:0] delay_q;
    always_ff @(posedge clk_i) delay_q <= (Width * Rest)'({delay_q, product});
    assign y_o = delay_q[Width*(Rest-1)+:Width];
  end

endmodule
