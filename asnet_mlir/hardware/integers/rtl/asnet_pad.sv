// Padding of a stream.
//
// Purpose:  passes the codes of a tensor on with a constant around them. Dimension 0 is the innermost
//           one; a code of the tensor lies where Low <= coordinate < High in all of them.
// Latency:  0 cycles; a code a cycle.
module asnet_pad #(
  parameter int unsigned Bits  = 8,
  parameter int unsigned Rank  = 1,
  parameter logic [32*Rank-1:0] Sizes = 1, // of the padded tensor
  parameter logic [32*Rank-1:0] Lows  = 0,
  parameter logic [32*Rank-1:0] Highs = 1,
  parameter logic [Bits-1:0]    Value = 0
) (
  input  logic            clk_i,
  input  logic            rst_i,
  input  logic [Bits-1:0] data_i,
  input  logic            valid_i,
  output logic            ready_o,
  output logic [Bits-1:0] data_o,
  output logic            valid_o,
  input  logic            ready_i
);

  logic [Rank-1:0] last, is_in;
  logic            is_inside, step;

  assign is_inside = &is_in;
  assign valid_o   = !is_inside || valid_i;
  assign ready_o   = is_inside && ready_i;
  assign data_o    = is_inside ? data_i : Value;
  assign step      = valid_o && ready_i;

  for (genvar i = 0; i < Rank; i++) begin : gen_dimension
    localparam int unsigned Size      = Sizes[32*i+:32];
    localparam int unsigned Low       = Lows[32*i+:32];
    localparam int unsigned High      = Highs[32*i+:32];
    localparam int unsigned CountBits = $clog2(Size + 1);
    logic [CountBits-1:0] count_q, next;
    logic                 go, inside_q, last_q;
    if (i == 0) begin : gen_always
      assign go = step;
    end else begin : gen_carry
      assign go = step && &last[i-1:0];
    end
    assign is_in[i] = inside_q;
    assign last[i]   = last_q;
    assign next      = last_q ? '0 : count_q + 1'b1;
    always_ff @(posedge clk_i) begin
      if (rst_i) begin
        count_q  <= '0;
        inside_q <= Low == 0;
        last_q   <= Size == 1;
      end else if (go) begin
        count_q  <= next;
        inside_q <= int'({1'b0, next}) >= int'(Low) && int'({1'b0, next}) < int'(High);
        last_q   <= next == CountBits'(Size - 1);
      end
    end
  end

endmodule
