// Register in a stream.
//
// Purpose:  behind a queue in block RAM, whose words are there late in a cycle.
// Latency:  1 cycle; a word a cycle.
module asnet_slice #(
  parameter int unsigned Width = 8
) (
  input  logic             clk_i,
  input  logic             rst_i,
  input  logic [Width-1:0] data_i,
  input  logic             valid_i,
  output logic             ready_o,
  output logic [Width-1:0] data_o,
  output logic             valid_o,
  input  logic             ready_i
);

  assign ready_o = !valid_o || ready_i;

  always_ff @(posedge clk_i) begin
    if (rst_i) valid_o <= 1'b0;
    else if (ready_o) valid_o <= valid_i;
    if (ready_o) data_o <= data_i;
  end

endmodule
