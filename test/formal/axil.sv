// What AXI4-Lite demands of a subordinate, of asnet_axil, whatever the manager does: an answer stays
// until it is taken, and there are no more of them than there were accesses (IHI 0022, A3.2).
module axil_properties (
  input logic        clk,
  input logic        rst,
  input logic [7:0]  awaddr, araddr,
  input logic        awvalid, wvalid, bready, arvalid, rready,
  input logic [31:0] wdata, read_data,
  input logic [3:0]  wstrb,
  input logic        write_error, read_error
);

  logic        awready, wready, bvalid, arready, rvalid, write;
  logic [1:0]  bresp, rresp;
  logic [31:0] rdata, write_data;
  logic [7:0]  write_address, read_address;
  logic [3:0]  write_enable;
  asnet_axil dut (
    .clk_i(clk), .rst_i(rst), .awaddr_i(awaddr), .awvalid_i(awvalid), .awready_o(awready),
    .wdata_i(wdata), .wstrb_i(wstrb), .wvalid_i(wvalid), .wready_o(wready), .bresp_o(bresp),
    .bvalid_o(bvalid), .bready_i(bready), .araddr_i(araddr), .arvalid_i(arvalid),
    .arready_o(arready), .rdata_o(rdata), .rresp_o(rresp), .rvalid_o(rvalid), .rready_i(rready),
    .write_o(write), .write_address_o(write_address), .write_data_o(write_data),
    .write_enable_o(write_enable), .write_error_i(write_error), .read_address_o(read_address),
    .read_data_i(read_data), .read_error_i(read_error)
  );

  // Accesses that are not answered yet.
  logic [1:0] addresses_q, data_q, reads_q;
  logic       is_reset_q, held_b_q, held_r_q;
  logic [1:0] bresp_q, rresp_q;
  logic [31:0] rdata_q;
  initial is_reset_q = 1'b0;
  always_ff @(posedge clk) begin
    is_reset_q <= rst || is_reset_q;
    if (rst) begin
      addresses_q <= '0;
      data_q      <= '0;
      reads_q     <= '0;
    end else begin
      addresses_q <= addresses_q + 2'(awvalid && awready) - 2'(bvalid && bready);
      data_q      <= data_q + 2'(wvalid && wready) - 2'(bvalid && bready);
      reads_q     <= reads_q + 2'(arvalid && arready) - 2'(rvalid && rready);
    end
    held_b_q <= !rst && bvalid && !bready;
    held_r_q <= !rst && rvalid && !rready;
    bresp_q  <= bresp;
    rresp_q  <= rresp;
    rdata_q  <= rdata;
  end

  always_comb begin
    assume (is_reset_q || rst);
    if (is_reset_q && !rst) begin
      stays_b: assert (!held_b_q || (bvalid && bresp == bresp_q));
      stays_r: assert (!held_r_q || (rvalid && rresp == rresp_q && rdata == rdata_q));
      asked_b: assert (!bvalid || (addresses_q != '0 && data_q != '0));
      asked_r: assert (!rvalid || reads_q != '0);
      // For induction: what the counts are is in the registers.
      count_a: assert (addresses_q == 2'(bvalid) + 2'(!awready));
      count_d: assert (data_q == 2'(bvalid) + 2'(!wready));
      count_r: assert (reads_q == 2'(rvalid));
    end
  end

endmodule
