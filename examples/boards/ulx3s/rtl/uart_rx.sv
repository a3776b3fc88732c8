// Receiver of a UART: 8 bits, no parity, 1 stop bit.
//
// Purpose:  a byte a frame, sampled in the middle of its bits. Where the stop bit is 0 there is no byte
//           but error_o, and nothing is received until the line is 1 again.
// Latency:  half a bit from the stop bit's begin, and the two registers against metastability.
module uart_rx #(
  parameter int unsigned ClocksPerBit = 20
) (
  input  logic       clk_i,
  input  logic       rst_i,
  input  logic       rx_i,
  output logic [7:0] data_o,
  output logic       valid_o,
  output logic       error_o,
  output logic       busy_o
);

  localparam int unsigned CountBits = $clog2(ClocksPerBit);

  typedef enum logic [1:0] {Idle, Bits, Stop, Broken} state_e;
  state_e               state_q;
  logic [2:0]           line_q; // the last one is what the line was before
  logic [CountBits-1:0] count_q;
  logic [3:0]           bit_q; // 0: the start bit
  logic                 sample;

  assign sample = count_q == '0;
  assign busy_o = state_q != Idle;

  always_ff @(posedge clk_i) begin
    line_q  <= {line_q[1:0], rx_i};
    valid_o <= 1'b0;
    error_o <= 1'b0;
    count_q <= sample ? CountBits'(ClocksPerBit - 1) : count_q - 1'b1;
    case (state_q)
      Idle: begin
        count_q <= CountBits'(ClocksPerBit / 2 - 1);
        bit_q   <= '0;
        if (!line_q[1] && line_q[2]) state_q <= Bits;
      end
      Bits:
        if (sample) begin
          bit_q <= bit_q + 1'b1;
          if (bit_q == '0 && line_q[1]) state_q <= Idle; // a spike
          if (bit_q != '0) data_o <= {line_q[1], data_o[7:1]};
          if (bit_q == 4'd8) state_q <= Stop;
        end
      Stop:
        if (sample) begin
          valid_o <= line_q[1];
          error_o <= !line_q[1];
          state_q <= line_q[1] ? Idle : Broken;
        end
      Broken: if (line_q[1]) state_q <= Idle;
    endcase
    if (rst_i) begin
      state_q <= Idle;
      line_q  <= '1;
      valid_o <= 1'b0;
      error_o <= 1'b0;
    end
  end

endmodule
