// AXI4-Lite to accesses of registers.
//
// Purpose:  the subordinate's side of the five channels; what registers there are is decided outside.
//           write_o is 1 for a cycle, with its address, data and byte enables; a read's address is
//           answered in the same cycle. *_error_i gives the response SLVERR.
// Latency:  a read is answered 1 cycle after its address, a write 2 after the later of address and data.
module asnet_axil #(
  parameter int unsigned AddressBits = 8
) (
  input  logic                   clk_i,
  input  logic                   rst_i,
  input  logic [AddressBits-1:0] awaddr_i,
  input  logic                   awvalid_i,
  output logic                   awready_o,
  input  logic [31:0]            wdata_i,
  input  logic [3:0]             wstrb_i,
  input  logic                   wvalid_i,
  output logic                   wready_o,
  output logic [1:0]             bresp_o,
  output logic                   bvalid_o,
  input  logic                   bready_i,
  input  logic [AddressBits-1:0] araddr_i,
  input  logic                   arvalid_i,
  output logic                   arready_o,
  output logic [31:0]            rdata_o,
  output logic [1:0]             rresp_o,
  output logic                   rvalid_o,
  input  logic                   rready_i,
  output logic                   write_o,
  output logic [AddressBits-1:0] write_address_o,
  output logic [31:0]            write_data_o,
  output logic [3:0]             write_enable_o,
  input  logic                   write_error_i,
  output logic [AddressBits-1:0] read_address_o,
  input  logic [31:0]            read_data_i,
  input  logic                   read_error_i
);

  localparam logic [1:0] Okay   = 2'b00;
  localparam logic [1:0] SlvErr = 2'b10;

  logic has_address_q, has_data_q;

  assign awready_o      = !has_address_q;
  assign wready_o       = !has_data_q;
  assign write_o        = has_address_q && has_data_q && (!bvalid_o || bready_i);
  assign arready_o      = !rvalid_o || rready_i;
  assign read_address_o = araddr_i;

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      has_address_q <= 1'b0;
      has_data_q    <= 1'b0;
      bvalid_o      <= 1'b0;
      rvalid_o      <= 1'b0;
    end else begin
      if (awvalid_i && awready_o) has_address_q <= 1'b1;
      else if (write_o) has_address_q <= 1'b0;
      if (wvalid_i && wready_o) has_data_q <= 1'b1;
      else if (write_o) has_data_q <= 1'b0;
      if (write_o) bvalid_o <= 1'b1;
      else if (bready_i) bvalid_o <= 1'b0;
      if (arvalid_i && arready_o) rvalid_o <= 1'b1;
      else if (rready_i) rvalid_o <= 1'b0;
    end
    if (awvalid_i && awready_o) write_address_o <= awaddr_i;
    if (wvalid_i && wready_o) begin
      write_data_o   <= wdata_i;
      write_enable_o <= wstrb_i;
    end
    if (write_o) bresp_o <= write_error_i ? SlvErr : Okay;
    if (arvalid_i && arready_o) begin
      rdata_o <= read_data_i;
      rresp_o <= read_error_i ? SlvErr : Okay;
    end
  end

endmodule
