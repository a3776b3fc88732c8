// A frame of weights, to the memories that hold them.
//
// Purpose:  Sizes[i] words for memory i, one memory after the other, then the sum of all of them modulo
//           2^32. The network is open once such a frame has come whole and its sum is right. A frame
//           that comes while samples are in the hardware is taken and has no effect; one of another
//           length or sum leaves the network closed. Either way error_o is 1 until a frame was right or
//           it is cleared.
//           Engines hold while there are no weights: with padding they begin before a sample does. So
//           the first word waits until no engine reads any more.
// Latency:  0 cycles, 5 before the first word; a word a cycle.
module asnet_load #(
  parameter int unsigned           Memories = 1,
  parameter logic [32*Memories-1:0] Sizes   = 1
) (
  input  logic                clk_i,
  input  logic                rst_i,
  input  logic [31:0]         data_i,
  input  logic                valid_i,
  input  logic                last_i,
  output logic                ready_o,
  input  logic                busy_i,
  input  logic                clear_i,
  output logic                open_o,
  output logic                is_loaded_o,
  output logic                error_o,
  output logic                start_o,
  output logic [Memories-1:0] write_o,
  output logic [31:0]         word_o
);

  localparam int unsigned MemoryBits = $clog2(Memories + 2);

  logic                  step, begins, in_frame_q, refuses_q, refuses, is_sum, is_over;
  logic [MemoryBits-1:0] memory_q; // Memories: the sum; Memories + 1: too much
  logic [31:0]           left_q, sum_q, size_next;

  logic [3:0] is_closed_q;

  assign ready_o = in_frame_q || busy_i || &is_closed_q;
  assign step    = valid_i && ready_o;
  assign begins  = valid_i && !in_frame_q;
  assign refuses = begins ? busy_i : refuses_q;
  assign open_o  = is_loaded_o && !begins;
  assign is_sum  = memory_q == MemoryBits'(Memories);
  assign is_over = memory_q == MemoryBits'(Memories + 1);
  assign word_o  = data_i;
  // A frame's end brings the memories' places back to their first one.
  assign start_o = rst_i || (step && last_i);
  always_comb begin
    write_o   = '0;
    size_next = '0;
    for (int i = 0; i < Memories; i++) begin
      if (memory_q == MemoryBits'(i)) write_o[i] = step && !refuses;
      if (i > 0 && memory_q == MemoryBits'(i - 1)) size_next = Sizes[32*i+:32];
    end
  end

  always_ff @(posedge clk_i) begin
    if (clear_i) error_o <= 1'b0;
    is_closed_q <= {is_closed_q[2:0], !is_loaded_o};
    if (begins && !busy_i) is_loaded_o <= 1'b0;
    if (step) begin
      in_frame_q <= !last_i;
      refuses_q  <= refuses;
      sum_q      <= sum_q + data_i;
      left_q     <= left_q - 1'b1;
      if (!is_sum && !is_over && left_q == 32'd1) begin
        memory_q <= memory_q + 1'b1;
        left_q   <= size_next;
      end
      if (is_sum) memory_q <= MemoryBits'(Memories + 1);
      if (refuses) error_o <= 1'b1;
      else if (last_i) begin
        is_loaded_o <= is_sum && data_i == sum_q;
        error_o     <= !(is_sum && data_i == sum_q);
      end
    end
    if (rst_i || (step && last_i)) begin
      memory_q <= '0;
      left_q   <= Sizes[31:0];
      sum_q    <= '0;
    end
    if (rst_i) begin
      in_frame_q  <= 1'b0;
      refuses_q   <= 1'b0;
      is_closed_q <= '0;
      is_loaded_o <= 1'b0;
      error_o     <= 1'b0;
    end
  end

endmodule
