// A network behind a UART: packets with a check sum in, answers with the cycles that they took out.
//
// Purpose:  to the board:   a5, length (2 bytes, lower first), the sample, CRC-16 of length and sample
//           from the board: 5a, status, length, the answer and, if there is one, cycles (4 bytes),
//                           CRC-16 of all from status on
//           status: 0, an answer; 1, wrong CRC; 2, a framing error of the UART; 3, the line paused in a
//           packet; 4, a sample of another length. All but 0 have no answer, and length 0.
//           A sample reaches the network once its packet is known to be right. After an error what is
//           left of the packet is skipped: until the line has paused for Pause bits.
module link #(
  parameter int unsigned ClocksPerBit = 20,
  parameter int unsigned InBytes      = 784,
  parameter int unsigned OutBytes     = 10,
  parameter int unsigned Pause        = 60000 // bits; USB pauses for milliseconds
) (
  input  logic       clk_i,
  input  logic       rst_i,
  input  logic       rx_i,
  output logic       tx_o,
  output logic [7:0] s_data_o, // to the network
  output logic       s_valid_o,
  output logic       s_last_o,
  input  logic       s_ready_i,
  input  logic [7:0] m_data_i, // from it
  input  logic       m_valid_i,
  input  logic       m_last_i,
  output logic       m_ready_o,
  output logic [2:0] status_o, // of the last packet
  output logic       busy_o
);

  localparam int unsigned AddressBits = $clog2(InBytes) > 0 ? $clog2(InBytes) : 1;
  localparam int unsigned PauseClocks = Pause * ClocksPerBit;
  localparam int unsigned PauseBits   = $clog2(PauseClocks + 1);

  localparam logic [2:0] Right = 3'd0, WrongCrc = 3'd1, Framing = 3'd2, Paused = 3'd3,
                         WrongLength = 3'd4;

  typedef enum logic [3:0] {
    Sync, LengthLow, LengthHigh, Sample, CrcLow, CrcHigh, Skip, Send, Answer
  } state_e;
  state_e state_q;

  logic [7:0] byte_in;
  logic       has_byte, is_broken, rx_busy;
  uart_rx #(.ClocksPerBit(ClocksPerBit)) rx (
    .clk_i(clk_i), .rst_i(rst_i), .rx_i(rx_i), .data_o(byte_in), .valid_o(has_byte),
    .error_o(is_broken), .busy_o(rx_busy)
  );

  // The packet.
  logic [7:0]             sample[1 << AddressBits];
  logic [15:0]            length_q, crc_q, crc_next, count_q;
  logic [7:0]             crc_low_q;
  logic [PauseBits-1:0]   pause_q;
  logic                   is_paused, is_summed, in_packet, reply_q;
  logic [2:0]             status_q;
  crc16 crc_in (.crc_i(crc_q), .data_i(byte_in), .crc_o(crc_next));

  assign is_paused = pause_q == PauseBits'(PauseClocks);
  assign is_summed = state_q == LengthLow || state_q == LengthHigh || state_q == Sample;
  assign in_packet = is_summed || state_q == CrcLow || state_q == CrcHigh;
  assign status_o  = status_q;
  assign busy_o    = state_q != Sync;

  // To the network: a byte is read, then offered.
  logic [7:0]  read_q;
  logic        has_read_q;
  logic [15:0] sent_q;
  assign s_data_o  = read_q;
  assign s_valid_o = has_read_q;
  assign s_last_o  = sent_q == 16'(InBytes);

  logic is_sent; // the packet back

  always_ff @(posedge clk_i) begin
    if (has_byte && state_q == Sample) sample[count_q[AddressBits-1:0]] <= byte_in;
    if (state_q == Send && (!has_read_q || s_ready_i)) read_q <= sample[sent_q[AddressBits-1:0]];
  end

  always_ff @(posedge clk_i) begin
    pause_q <= rx_busy || !rx_i ? '0 : is_paused ? pause_q : pause_q + 1'b1;
    reply_q <= 1'b0;
    case (state_q)
      Sync: if (has_byte && byte_in == 8'ha5) state_q <= LengthLow;
      LengthLow:
        if (has_byte) begin
          length_q[7:0] <= byte_in;
          state_q       <= LengthHigh;
        end
      LengthHigh:
        if (has_byte) begin
          length_q[15:8] <= byte_in;
          state_q        <= Sample;
          if ({byte_in, length_q[7:0]} != 16'(InBytes)) begin
            state_q  <= Skip;
            status_q <= WrongLength;
          end
        end
      Sample: if (has_byte && count_q == 16'(InBytes - 1)) state_q <= CrcLow;
      CrcLow:
        if (has_byte) begin
          crc_low_q <= byte_in;
          state_q   <= CrcHigh;
        end
      CrcHigh:
        if (has_byte) begin
          status_q <= {byte_in, crc_low_q} == crc_q ? Right : WrongCrc;
          state_q  <= {byte_in, crc_low_q} == crc_q ? Send : Skip;
        end
      Skip:
        if (is_paused) begin
          reply_q <= 1'b1;
          state_q <= Answer;
        end
      Send: if (s_valid_o && s_ready_i && s_last_o) state_q <= Answer;
      default: if (is_sent) state_q <= Sync;
    endcase
    if (state_q == Sync) begin
      count_q <= '0;
      crc_q   <= '1;
    end else if (has_byte && is_summed) begin
      crc_q <= crc_next;
      if (state_q == Sample) count_q <= count_q + 1'b1;
    end
    if (in_packet && (is_broken || is_paused)) begin
      state_q  <= Skip;
      status_q <= is_broken ? Framing : Paused;
    end
    if (state_q != Send) begin
      sent_q     <= '0;
      has_read_q <= 1'b0;
    end else if (!has_read_q || s_ready_i) begin
      has_read_q <= sent_q != 16'(InBytes);
      sent_q     <= sent_q + 1'b1;
    end
    if (rst_i) begin
      state_q  <= Sync;
      status_q <= Right;
      pause_q  <= '0;
      reply_q  <= 1'b0;
    end
  end

  // Cycles from the sample's first byte to the answer's last.
  logic        is_timing_q;
  logic [31:0] cycles_q;
  always_ff @(posedge clk_i) begin
    if (rst_i || state_q == Sync) begin
      is_timing_q <= 1'b0;
      cycles_q    <= '0;
    end else if (s_valid_o && s_ready_i && !is_timing_q && cycles_q == '0) begin
      is_timing_q <= 1'b1;
      cycles_q    <= 32'd1;
    end else if (is_timing_q) begin
      cycles_q <= cycles_q + 1'b1;
      if (m_valid_i && m_ready_o && m_last_i) is_timing_q <= 1'b0;
    end
  end

  // The packet back. The answer waits in a memory, so that the line does not slow the network down.
  localparam int unsigned OutBits = $clog2(OutBytes) > 0 ? $clog2(OutBytes) : 1;
  localparam int unsigned Head    = 4;
  localparam int unsigned Whole   = Head + OutBytes + 4;
  logic [7:0]  answer[1 << OutBits];
  logic [15:0] got_q, place_q, crc_out_q, crc_out_next, end_q;
  logic        is_ready_q, is_answered_q, tx_ready;
  logic [7:0]  byte_out;
  logic [7:0]  answer_q;

  assign m_ready_o = !is_answered_q;
  always_ff @(posedge clk_i) begin
    if (m_valid_i && m_ready_o) answer[got_q[OutBits-1:0]] <= m_data_i;
    answer_q <= answer[OutBits'(place_q - 16'(Head))];
  end

  always_comb begin
    case (place_q)
      16'd0: byte_out = 8'h5a;
      16'd1: byte_out = {5'd0, status_q};
      16'd2: byte_out = status_q == Right ? 8'(OutBytes) : 8'd0;
      16'd3: byte_out = status_q == Right ? 8'(OutBytes >> 8) : 8'd0;
      default: byte_out = answer_q;
    endcase
    for (int i = 0; i < 4; i++)
      if (status_q == Right && place_q == 16'(Head + OutBytes + i)) byte_out = cycles_q[8*i+:8];
    if (place_q == end_q) byte_out = crc_out_q[7:0];
    if (place_q == end_q + 1'b1) byte_out = crc_out_q[15:8];
  end
  crc16 crc_out (.crc_i(crc_out_q), .data_i(byte_out), .crc_o(crc_out_next));

  logic tx_valid, tx_step;
  // A byte of the answer is there a cycle after its place.
  logic is_settled_q;
  assign tx_valid = is_ready_q && is_settled_q;
  assign tx_step  = tx_valid && tx_ready;
  assign is_sent  = tx_step && place_q == end_q + 1'b1;

  always_ff @(posedge clk_i) begin
    is_settled_q <= is_ready_q && !tx_step;
    if (rst_i || is_sent) begin
      got_q         <= '0;
      is_answered_q <= 1'b0;
      is_ready_q    <= 1'b0;
      place_q       <= '0;
      crc_out_q     <= '1;
    end else begin
      if (m_valid_i && m_ready_o) begin
        got_q <= got_q + 1'b1;
        if (m_last_i) is_answered_q <= 1'b1;
      end
      if ((is_answered_q || reply_q) && !is_ready_q) begin
        is_ready_q <= 1'b1;
        end_q      <= status_q == Right ? 16'(Whole) : 16'(Head);
      end
      if (tx_step) begin
        place_q <= place_q + 1'b1;
        if (place_q != '0 && place_q < end_q) crc_out_q <= crc_out_next;
      end
    end
  end
  uart_tx #(.ClocksPerBit(ClocksPerBit)) tx (
    .clk_i(clk_i), .rst_i(rst_i), .data_i(byte_out), .valid_i(tx_valid), .ready_o(tx_ready),
    .tx_o(tx_o)
  );

endmodule
