// What a network's streams do, counted.
//
// Purpose:  the figures of a control block. Counters wrap; clear_i makes them 0.
//   latency:  cycles from a frame's first word to its answer's last one, of one frame at a time
//   interval: cycles from one answer's last word to the next one's
module asnet_counters (
  input  logic        clk_i,
  input  logic        rst_i,
  input  logic        clear_i,
  input  logic        s_valid_i, // the input, as the network sees it
  input  logic        s_ready_i,
  input  logic        s_last_i,
  input  logic        m_valid_i,
  input  logic        m_ready_i,
  input  logic        m_last_i,
  input  logic        m_user_i,
  output logic        in_frame_o,
  output logic        busy_o,
  output logic [31:0] frames_in_o,
  output logic [31:0] frames_out_o,
  output logic [31:0] frames_wrong_o,
  output logic [31:0] latency_o,
  output logic [31:0] interval_o,
  output logic [31:0] cycles_o,
  output logic [31:0] input_waits_o,
  output logic [31:0] output_waits_o
);

  logic        s_step, s_end, m_end, has_answered_q;
  logic [15:0] under_way_q; // frames whose last word is in and whose answer is not out

  assign s_step = s_valid_i && s_ready_i;
  assign s_end  = s_step && s_last_i;
  assign m_end  = m_valid_i && m_ready_i && m_last_i;
  assign busy_o = in_frame_o || under_way_q != '0;

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      in_frame_o  <= 1'b0;
      under_way_q <= '0;
    end else begin
      if (s_step) in_frame_o <= !s_last_i;
      if (s_end && !m_end) under_way_q <= under_way_q + 1'b1;
      if (m_end && !s_end) under_way_q <= under_way_q - 1'b1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (rst_i || clear_i) begin
      frames_in_o    <= '0;
      frames_out_o   <= '0;
      frames_wrong_o <= '0;
      cycles_o       <= '0;
      input_waits_o  <= '0;
      output_waits_o <= '0;
    end else begin
      if (s_end) frames_in_o <= frames_in_o + 1'b1;
      if (m_end) frames_out_o <= frames_out_o + 1'b1;
      if (m_end && m_user_i) frames_wrong_o <= frames_wrong_o + 1'b1;
      cycles_o <= cycles_o + 1'b1;
      if (s_ready_i && !s_valid_i) input_waits_o <= input_waits_o + 1'b1;
      if (m_valid_i && !m_ready_i) output_waits_o <= output_waits_o + 1'b1;
    end
  end

  // A frame is timed while no other is; so many answers come before its own.
  logic        is_timing_q;
  logic [15:0] before_q;
  logic [31:0] time_q, since_q;
  always_ff @(posedge clk_i) begin
    if (rst_i || clear_i) begin
      is_timing_q    <= 1'b0;
      has_answered_q <= 1'b0;
      latency_o      <= '0;
      interval_o     <= '0;
    end else begin
      if (!is_timing_q && s_step && !in_frame_o) begin
        is_timing_q <= 1'b1;
        before_q    <= under_way_q - 16'(m_end);
        time_q      <= 32'd2;
      end else if (is_timing_q) begin
        time_q <= time_q + 1'b1;
        if (m_end) before_q <= before_q - 1'b1;
        if (m_end && before_q == '0) begin
          is_timing_q <= 1'b0;
          latency_o   <= time_q;
        end
      end
      since_q <= m_end ? 32'd1 : since_q + 1'b1;
      if (m_end) has_answered_q <= 1'b1;
      if (m_end && has_answered_q) interval_o <= since_q;
    end
  end

endmodule
