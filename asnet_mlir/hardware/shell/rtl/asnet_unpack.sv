// Words of several codes become codes.
//
// Purpose:  a stream as wide as a bus in front of a network that takes a code a cycle. The code in a
//           word's lowest bits comes first. What the last word of a frame has beyond Codes is left out;
//           the end of a frame that is too short or too long stays one.
// Latency:  0 cycles; a code a cycle.
module asnet_unpack #(
  parameter int unsigned Bits  = 8, // of a code
  parameter int unsigned Lanes = 4, // codes a word
  parameter int unsigned Codes = 4  // a frame
) (
  input  logic                  clk_i,
  input  logic                  rst_i,
  input  logic [Bits*Lanes-1:0] data_i,
  input  logic                  valid_i,
  input  logic                  last_i,
  output logic                  ready_o,
  output logic [Bits-1:0]       data_o,
  output logic                  valid_o,
  output logic                  last_o,
  input  logic                  ready_i
);

  localparam int unsigned Words    = (Codes + Lanes - 1) / Lanes;
  localparam int unsigned Rest     = Codes - (Words - 1) * Lanes; // codes in the last word
  localparam int unsigned LaneBits = $clog2(Lanes);
  localparam int unsigned WordBits = $clog2(Words + 1);

  logic [LaneBits-1:0] lane_q, end_lane;
  logic [WordBits-1:0] word_q; // Words: the frame is too long
  logic                is_end, step;

  assign end_lane = last_i && word_q == WordBits'(Words - 1) ? LaneBits'(Rest - 1)
                                                             : LaneBits'(Lanes - 1);
  assign is_end   = lane_q == end_lane;
  assign data_o   = data_i[Bits*lane_q+:Bits];
  assign valid_o  = valid_i;
  assign last_o   = last_i && is_end;
  assign ready_o  = ready_i && is_end;
  assign step     = valid_i && ready_i;

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      lane_q <= '0;
      word_q <= '0;
    end else if (step) begin
      lane_q <= is_end ? '0 : lane_q + 1'b1;
      if (is_end && last_i) word_q <= '0;
      else if (is_end && word_q != WordBits'(Words)) word_q <= word_q + 1'b1;
    end
  end

endmodule
