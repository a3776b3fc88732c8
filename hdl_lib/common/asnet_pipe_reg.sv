// Optional pipeline register.
//
// Purpose:  a core numbers its candidate cut points 1..Cuts in the order in which data flows through
//           them and puts one of these on every signal that crosses cut point Cut. Latency of the Cuts
//           points are then real registers, the others wires. Which ones depends on (Cut, Cuts,
//           Latency) alone, so all signals that cross one cut point agree, and every path from
//           operands to result passes exactly Latency registers.
// Choice:   cut i is a register iff floor(i*(Latency+1)/(Cuts+1)) > floor((i-1)*(Latency+1)/(Cuts+1)).
//           The quotient rises from 0 by Latency over i = 1..Cuts, in steps of at most one as long as
//           Latency <= Cuts, and cuts the Cuts+1 segments into Latency+1 runs of nearly equal length.
// Latency:  0 or 1.
module asnet_pipe_reg #(
  parameter int unsigned Width   = 1,
  parameter int unsigned Cut     = 1,
  parameter int unsigned Cuts    = 1,
  parameter int unsigned Latency = 0
) (
  input  logic             clk_i,
  input  logic [Width-1:0] d_i,
  output logic [Width-1:0] q_o
);

  localparam int unsigned RegistersUpToHere = (Cut * (Latency + 1)) / (Cuts + 1);
  localparam int unsigned RegistersBefore   = ((Cut - 1) * (Latency + 1)) / (Cuts + 1);

  if (Cut < 1 || Cut > Cuts) begin : gen_bad_cut
    $error("asnet_pipe_reg: Cut must be in 1..Cuts");
  end
  if (Latency > Cuts) begin : gen_bad_latency
    $error("asnet_pipe_reg: Latency must not exceed the number of cut points");
  end

  if (RegistersUpToHere > RegistersBefore) begin : gen_register
    // No reset: a pipeline without feedback flushes itself in Latency cycles.
    logic [Width-1:0] q;
    always_ff @(posedge clk_i) q <= d_i;
    assign q_o = q;
  end else begin : gen_wire
    logic unused_clk;
    assign unused_clk = clk_i;
    assign q_o = d_i;
  end

endmodule
