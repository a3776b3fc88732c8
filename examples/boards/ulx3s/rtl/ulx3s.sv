// The ULX3S (LFE5U-85F): 60 MHz from its 25 MHz, reset, pins.
//
// The PLL: 25 MHz / 5 * 12 = 60 MHz, of a VCO at 600 MHz. The reset ends 256 cycles after it is locked;
// fire 1 resets.
module ulx3s (
  input  logic       clk_25mhz,
  input  logic       ftdi_txd, // from the FTDI chip
  output logic       ftdi_rxd, // to it
  input  logic [1:1] btn,
  output logic [7:0] led,
  output logic       wifi_gpio0
);

  assign wifi_gpio0 = 1'b1; // the ESP32 leaves the board alone

  logic clk, locked;
  (* FREQUENCY_PIN_CLKI = "25", FREQUENCY_PIN_CLKOP = "60", ICP_CURRENT = "12",
     LPF_RESISTOR = "8", MFG_ENABLE_FILTEROPAMP = "1", MFG_GMCREF_SEL = "2" *)
  EHXPLLL #(
    .CLKI_DIV(5), .CLKFB_DIV(12), .CLKOP_DIV(10), .CLKOP_ENABLE("ENABLED"), .CLKOP_CPHASE(4),
    .CLKOP_FPHASE(0), .FEEDBK_PATH("CLKOP"), .PLLRST_ENA("DISABLED"), .INTFB_WAKE("DISABLED"),
    .STDBY_ENABLE("DISABLED"), .DPHASE_SOURCE("DISABLED"), .OUTDIVIDER_MUXA("DIVA"),
    .OUTDIVIDER_MUXB("DIVB"), .OUTDIVIDER_MUXC("DIVC"), .OUTDIVIDER_MUXD("DIVD")
  ) pll (
    .CLKI(clk_25mhz), .CLKFB(clk), .CLKOP(clk), .LOCK(locked), .RST(1'b0), .STDBY(1'b0),
    .PHASESEL0(1'b0), .PHASESEL1(1'b0), .PHASEDIR(1'b1), .PHASESTEP(1'b1), .PHASELOADREG(1'b1),
    .PLLWAKESYNC(1'b0), .ENCLKOP(1'b0), .CLKINTFB()
  );

  logic [8:0] reset_q = '0;
  logic [1:0] button_q;
  always_ff @(posedge clk) begin
    button_q <= {button_q[0], btn[1]};
    if (!locked || button_q[1]) reset_q <= '0;
    else if (!reset_q[8]) reset_q <= reset_q + 1'b1;
  end

  board #(.ClocksPerBit(20)) board ( // 3 Mbaud
    .clk_i(clk), .rst_i(!reset_q[8]), .rx_i(ftdi_txd), .tx_o(ftdi_rxd), .led_o(led)
  );

endmodule
