// Codes become words of several codes.
//
// Purpose:  a stream as wide as a bus behind a network that gives a code a cycle. The first code lies
//           in a word's lowest bits; a frame's last word is filled up with 0, and keep_o says which
//           of its bytes are codes.
// Latency:  1 cycle from a word's last code; a code a cycle.
module asnet_pack #(
  parameter int unsigned Bits  = 8, // of a code, whole bytes
  parameter int unsigned Lanes = 4  // codes a word
) (
  input  logic                    clk_i,
  input  logic                    rst_i,
  input  logic [Bits-1:0]         data_i,
  input  logic                    valid_i,
  input  logic                    last_i,
  input  logic                    user_i,
  output logic                    ready_o,
  output logic [Bits*Lanes-1:0]   data_o,
  output logic [Bits*Lanes/8-1:0] keep_o,
  output logic                    valid_o,
  output logic                    last_o,
  output logic                    user_o,
  input  logic                    ready_i
);

  localparam int unsigned LaneBits = $clog2(Lanes);

  logic [LaneBits-1:0] lane_q;
  logic                take, is_full;

  assign ready_o = !valid_o || ready_i;
  assign take    = valid_i && ready_o;
  assign is_full = last_i || lane_q == LaneBits'(Lanes - 1);

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      lane_q  <= '0;
      valid_o <= 1'b0;
    end else if (take) begin
      lane_q  <= is_full ? '0 : lane_q + 1'b1;
      valid_o <= is_full;
    end else if (ready_i) begin
      valid_o <= 1'b0;
    end
    if (take) begin
      last_o <= last_i;
      user_o <= user_i;
      for (int i = 0; i < Lanes; i++) begin
        if (lane_q == LaneBits'(i)) begin
          data_o[Bits*i+:Bits]     <= data_i;
          keep_o[Bits/8*i+:Bits/8] <= '1;
        end else if (lane_q == '0) begin
          data_o[Bits*i+:Bits]     <= '0;
          keep_o[Bits/8*i+:Bits/8] <= '0;
        end
      end
    end
  end

endmodule
