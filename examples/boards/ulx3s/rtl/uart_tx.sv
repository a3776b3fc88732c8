// Transmitter of a UART: 8 bits, no parity, 1 stop bit.
module uart_tx #(
  parameter int unsigned ClocksPerBit = 20
) (
  input  logic       clk_i,
  input  logic       rst_i,
  input  logic [7:0] data_i,
  input  logic       valid_i,
  output logic       ready_o,
  output logic       tx_o
);

  localparam int unsigned CountBits = $clog2(ClocksPerBit);

  logic [CountBits-1:0] count_q;
  logic [3:0]           left_q; // bits
  logic [9:0]           bits_q;

  assign ready_o = left_q == '0;
  assign tx_o    = bits_q[0];

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      left_q <= '0;
      bits_q <= '1;
    end else if (ready_o) begin
      count_q <= CountBits'(ClocksPerBit - 1);
      if (valid_i) begin
        bits_q <= {1'b1, data_i, 1'b0};
        left_q <= 4'd10;
      end
    end else if (count_q != '0) begin
      count_q <= count_q - 1'b1;
    end else begin
      count_q <= CountBits'(ClocksPerBit - 1);
      bits_q  <= {1'b1, bits_q[9:1]};
      left_q  <= left_q - 1'b1;
    end
  end

endmodule
