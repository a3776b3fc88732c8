// Frames of any length become frames of the right one, and answers say which were wrong.
//
// Purpose:  the edges of a network. A frame ends at its tlast: what a short one lacks counts as 0, what
//           a long one has too much is taken and dropped. A queue of one bit a frame marks answers.
// Latency:  0 cycles; a code a cycle.
module asnet_frames #(
  parameter int unsigned InBits   = 8,
  parameter int unsigned OutBits  = 8,
  parameter int unsigned InWords  = 1,
  parameter int unsigned OutWords = 1
) (
  input  logic               clk_i,
  input  logic               rst_i,
  input  logic [InBits-1:0]  s_data_i,
  input  logic               s_valid_i,
  input  logic               s_last_i,
  output logic               s_ready_o,
  output logic [InBits-1:0]  data_o,
  output logic               valid_o,
  input  logic               ready_i,
  input  logic [OutBits-1:0] data_i,
  input  logic               valid_i,
  output logic               ready_o,
  output logic [OutBits-1:0] m_data_o,
  output logic               m_valid_o,
  output logic               m_last_o,
  output logic               m_user_o,
  input  logic               m_ready_i,
  output logic               error_o,
  input  logic               clear_i
);

  localparam int unsigned InCount  = $clog2(InWords + 1);
  localparam int unsigned OutCount = $clog2(OutWords + 1);
  localparam int unsigned Frames   = 16; // under way at most, a power of two; more wait outside

  // In: a frame that ended early is filled up, one that goes on is dropped until it ends.
  logic [InCount-1:0] in_q;
  logic               in_last_q, filling_q, dropping_q, room, pass, push, wrong;

  assign valid_o   = room && !dropping_q && (filling_q || s_valid_i);
  assign data_o    = filling_q ? '0 : s_data_i;
  assign s_ready_o = dropping_q || (room && !filling_q && ready_i);
  assign pass      = valid_o && ready_i;
  assign push      = pass && in_last_q;
  assign wrong     = filling_q || !s_last_i;

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      in_q       <= '0;
      in_last_q  <= InWords == 1;
      filling_q  <= 1'b0;
      dropping_q <= 1'b0;
    end else begin
      if (pass) begin
        in_q      <= in_last_q ? '0 : in_q + 1'b1;
        in_last_q <= InWords == 1 || (!in_last_q && in_q == InCount'(InWords - 2));
        if (in_last_q) filling_q <= 1'b0;
        else if (s_last_i) filling_q <= 1'b1;
        if (in_last_q && !filling_q && !s_last_i) dropping_q <= 1'b1;
      end
      if (dropping_q && s_valid_i && s_last_i) dropping_q <= 1'b0;
    end
  end

  // Which frames under way were wrong.
  localparam int unsigned FrameBits = $clog2(Frames);
  (* ram_style = "distributed" *) logic marks[Frames];
  logic [FrameBits-1:0] newest_q, oldest_q;
  logic [FrameBits:0]   under_way_q;
  logic                 pop;

  assign room = !under_way_q[FrameBits];
  assign pop  = m_valid_o && m_ready_i && m_last_o;

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      under_way_q <= '0;
      newest_q    <= '0;
      oldest_q    <= '0;
    end else begin
      if (push && !pop) under_way_q <= under_way_q + 1'b1;
      if (pop && !push) under_way_q <= under_way_q - 1'b1;
      if (push) newest_q <= newest_q + 1'b1;
      if (pop) oldest_q <= oldest_q + 1'b1;
    end
  end
  always_ff @(posedge clk_i) if (push) marks[newest_q] <= wrong;

  // Out.
  logic [OutCount-1:0] out_q;
  logic                out_last_q;

  assign m_data_o  = data_i;
  assign m_valid_o = valid_i;
  assign ready_o   = m_ready_i;
  assign m_last_o  = out_last_q;
  assign m_user_o  = out_last_q && marks[oldest_q];

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      out_q      <= '0;
      out_last_q <= OutWords == 1;
      error_o    <= 1'b0;
    end else begin
      if (valid_i && m_ready_i) begin
        out_q      <= out_last_q ? '0 : out_q + 1'b1;
        out_last_q <= OutWords == 1 || (!out_last_q && out_q == OutCount'(OutWords - 2));
      end
      if (push && wrong) error_o <= 1'b1;
      else if (clear_i) error_o <= 1'b0;
    end
  end

endmodule
