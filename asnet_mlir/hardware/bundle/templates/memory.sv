// External memory of the test bench: AXI4 reads, answered in order after a random time, with pauses.
//
// ASNET_MEMORY_LATENCY and ASNET_MEMORY_PAUSE are the most cycles before a burst and between its words.
`ifndef ASNET_MEMORY_LATENCY
`define ASNET_MEMORY_LATENCY 40
`endif
`ifndef ASNET_MEMORY_PAUSE
`define ASNET_MEMORY_PAUSE 0
`endif
module @NAME@_memory #(
  parameter int unsigned Words   = 1,
  parameter logic [31:0] Address = 0 // of the first word, in bytes
) (
  input  logic        clk_i,
  input  logic        rst_i,
  input  logic [31:0] araddr_i,
  input  logic [7:0]  arlen_i,
  input  logic        arvalid_i,
  output logic        arready_o,
  output logic [31:0] rdata_o,
  output logic        rlast_o,
  output logic        rvalid_o,
  input  logic        rready_i
);

  logic [31:0] words[Words];
  initial $readmemh("tb/vectors/weights.hex", words);

  // Bursts wait in a queue; each one's latency runs from when it is asked for.
  logic [31:0] address[16], due[16], now_q, random_q, place, next_q;
  logic [7:0]  length[16], beat_q;
  logic [3:0]  first_q, last_q;
  logic        step;

  assign place     = ((address[first_q] - Address) >> 2) + 32'(beat_q);
  assign arready_o = 4'(last_q - first_q) < 4'd12 && random_q[7:6] != '0;
  assign rvalid_o  = first_q != last_q && now_q >= due[first_q] && now_q >= next_q;
  assign rdata_o   = words[place];
  assign rlast_o   = beat_q == length[first_q];
  assign step      = rvalid_o && rready_i;

  always_ff @(posedge clk_i) begin
    now_q    <= now_q + 1'b1;
    random_q <= {random_q[30:0], random_q[31] ^ random_q[21] ^ random_q[1] ^ random_q[0]};
    if (arvalid_i && arready_o) begin
      address[last_q] <= araddr_i;
      length[last_q]  <= arlen_i;
      due[last_q]     <= now_q + (random_q >> 8) % (`ASNET_MEMORY_LATENCY + 1);
      last_q          <= last_q + 1'b1;
    end
    if (step) begin
      beat_q <= rlast_o ? '0 : beat_q + 1'b1;
      next_q <= now_q + 32'd1 + (random_q >> 8) % (`ASNET_MEMORY_PAUSE + 1);
      if (rlast_o) first_q <= first_q + 1'b1;
    end
    if (rst_i) begin
      now_q    <= '0;
      next_q   <= '0;
      first_q  <= '0;
      last_q   <= '0;
      beat_q   <= '0;
      random_q <= 32'h2f6e_2b1d;
    end
  end

  // What is asked for is asked for until it is taken, is there, and crosses no 4 KiB.
  logic [39:0] asked_q;
  logic        waits_q;
  always_ff @(posedge clk_i) begin
    waits_q <= !rst_i && arvalid_i && !arready_o;
    asked_q <= {araddr_i, arlen_i};
    if (!rst_i && waits_q && (!arvalid_i || asked_q != {araddr_i, arlen_i}))
      $fatal(1, "a read changed before it was taken");
    if (!rst_i && arvalid_i && 32'(araddr_i[11:0]) + 4 * (32'(arlen_i) + 1) > 4096)
      $fatal(1, "a burst crosses 4 KiB");
    if (step && place >= Words) $fatal(1, "a read of word %0d behind the last one", place);
  end

endmodule
