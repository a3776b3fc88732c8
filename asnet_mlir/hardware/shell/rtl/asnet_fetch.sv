// Weights from external memory, by AXI4 reads.
//
// Purpose:  each stream wants the words of its part of the memory in order, again and again: Sizes[i]
//           words from byte Places[i] on. Bursts of 16 words are asked for as long as the stream's ring
//           has room for them, the streams in turn, up to 8 ahead; so a slow memory makes streams
//           wait, and nothing else. Places and address_i are multiples of 64, so that no burst crosses
//           4 KiB. After an error of the bus nothing goes on, and error_o is 1.
module asnet_fetch #(
  parameter int unsigned          Streams = 1,
  parameter logic [32*Streams-1:0] Sizes  = 1,
  parameter logic [32*Streams-1:0] Places = 0,
  parameter logic [32*Streams-1:0] Rooms  = 32, // words of each ring
  parameter logic [32*Streams-1:0] Rows   = 1   // words of a row of each ring
) (
  input  logic               clk_i,
  input  logic               rst_i,
  input  logic [31:0]        address_i,
  output logic [31:0]        araddr_o,
  output logic [7:0]         arlen_o,
  output logic               arvalid_o,
  input  logic               arready_i,
  input  logic [31:0]        rdata_i,
  input  logic [1:0]         rresp_i,
  input  logic               rlast_i,
  input  logic               rvalid_i,
  output logic               rready_o,
  input  logic [Streams-1:0] free_i,
  output logic [Streams-1:0] write_o,
  output logic [31:0]        word_o,
  output logic               error_o
);

  localparam int unsigned StreamBits = Streams > 1 ? $clog2(Streams) : 1;
  localparam int unsigned Burst      = 16;
  localparam int unsigned Ahead      = 8;

  // Of the stream whose turn it is.
  logic [StreamBits-1:0] turn_q;
  logic [31:0]           done_q[Streams], room_q[Streams];
  logic [31:0]           size, place, left, length;
  logic                  asks, is_taken;

  always_comb begin
    size  = Sizes[32*turn_q+:32];
    place = Places[32*turn_q+:32];
  end
  assign left   = size - done_q[turn_q];
  assign length = left < Burst ? left : Burst;

  // Whose words come, in order.
  logic [StreamBits-1:0] order[Ahead];
  logic [2:0]            first_q, last_q;
  logic [3:0]            under_way_q;
  logic                  is_last;

  assign asks     = room_q[turn_q] >= length && under_way_q != 4'(Ahead) && !arvalid_o && !error_o;
  assign is_last  = rvalid_i && rready_o && rlast_i;
  assign is_taken = arvalid_o && arready_i;
  assign rready_o = 1'b1;
  assign word_o   = rdata_i;
  always_comb begin
    write_o = '0;
    for (int i = 0; i < Streams; i++)
      write_o[i] = rvalid_i && order[first_q] == StreamBits'(i) && rresp_i == '0 && !error_o;
  end

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      turn_q      <= '0;
      arvalid_o   <= 1'b0;
      first_q     <= '0;
      last_q      <= '0;
      under_way_q <= '0;
      error_o     <= 1'b0;
    end else begin
      if (asks) begin
        arvalid_o     <= 1'b1;
        araddr_o      <= address_i + place + {done_q[turn_q][29:0], 2'b00};
        arlen_o       <= 8'(length - 1);
        order[last_q] <= turn_q;
        last_q        <= last_q + 1'b1;
      end else if (is_taken) begin
        arvalid_o <= 1'b0;
      end
      if (!arvalid_o) turn_q <= turn_q == StreamBits'(Streams - 1) ? '0 : turn_q + 1'b1;
      if (is_last) first_q <= first_q + 1'b1;
      under_way_q <= under_way_q + 4'(asks) - 4'(is_last);
      if (rvalid_i && rresp_i != '0) error_o <= 1'b1;
    end
    for (int i = 0; i < Streams; i++) begin
      if (asks && turn_q == StreamBits'(i)) done_q[i] <= left == length ? '0 : done_q[i] + length;
      room_q[i] <= room_q[i] + (free_i[i] ? Rows[32*i+:32] : '0)
                 - (asks && turn_q == StreamBits'(i) ? length : '0);
      if (rst_i) begin
        done_q[i] <= '0;
        room_q[i] <= Rooms[32*i+:32];
      end
    end
  end

endmodule
