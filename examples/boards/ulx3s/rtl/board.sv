// What is on the board behind the clock: the network and its link.
//
// NETWORK, IN_BYTES, OUT_BYTES are macros that the makefile takes from the bundle.
module board #(
  parameter int unsigned ClocksPerBit = 20,
  parameter int unsigned Pause        = 60000,
  parameter              RomFolder    = "rom"
) (
  input  logic       clk_i,
  input  logic       rst_i,
  input  logic       rx_i,
  output logic       tx_o,
  output logic [7:0] led_o
);

  logic [7:0] s_data, m_data;
  logic       s_valid, s_last, s_ready, m_valid, m_last, m_ready, error, busy;
  logic [2:0] status;

  link #(
    .ClocksPerBit(ClocksPerBit), .InBytes(`IN_BYTES), .OutBytes(`OUT_BYTES), .Pause(Pause)
  ) link (
    .clk_i(clk_i), .rst_i(rst_i), .rx_i(rx_i), .tx_o(tx_o), .s_data_o(s_data),
    .s_valid_o(s_valid), .s_last_o(s_last), .s_ready_i(s_ready), .m_data_i(m_data),
    .m_valid_i(m_valid), .m_last_i(m_last), .m_ready_o(m_ready), .status_o(status),
    .busy_o(busy)
  );

  `NETWORK #(.RomFolder(RomFolder)) network (
    .clk(clk_i), .rst(rst_i), .s_axis_tdata(s_data), .s_axis_tvalid(s_valid),
    .s_axis_tlast(s_last), .s_axis_tready(s_ready), .m_axis_tdata(m_data),
    .m_axis_tvalid(m_valid), .m_axis_tlast(m_last), .m_axis_tuser(), .m_axis_tready(m_ready),
    .frame_error(error), .frame_error_clear(1'b0)
  );

  // LEDs: packets answered (4 bits), a packet's error, frame_error, busy.
  logic [3:0] packets_q;
  logic       busy_q;
  always_ff @(posedge clk_i) begin
    busy_q <= busy;
    if (rst_i) packets_q <= '0;
    else if (busy_q && !busy) packets_q <= packets_q + 1'b1;
  end
  assign led_o = {busy, error, status != '0, 1'b0, packets_q};

endmodule
