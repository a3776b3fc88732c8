// Delay by a number of clock cycles.
//
// Purpose:  carries what belongs to an operand pair past a unit of that latency.
// Latency:  Cycles, 0 or more.
module asnet_delay #(
  parameter int unsigned Width  = 1,
  parameter int unsigned Cycles = 0
) (
  input  logic             clk_i,
  input  logic [Width-1:0] d_i,
  output logic [Width-1:0] q_o
);

  if (Cycles == 0) begin : gen_wire
    logic unused_clk;
    assign unused_clk = clk_i;
    assign q_o = d_i;
  end else begin : gen_registers
    logic [Cycles*Width-1:0] stages;
    if (Cycles == 1) begin : gen_one
      always_ff @(posedge clk_i) stages <= d_i;
    end else begin : gen_more
      always_ff @(posedge clk_i) stages <= {stages[(Cycles-1)*Width-1:0], d_i};
    end
    assign q_o = stages[Cycles*Width-1-:Width];
  end

endmodule
