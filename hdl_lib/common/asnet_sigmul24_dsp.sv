// Product of two 24-bit significands by multiplier blocks, with cut points around and inside it.
//
// Purpose:  the multiplier inside fmul_dsp: four 12 x 12 bit products, which fit the blocks of any
//           FPGA, and two additions.
// Latency:  the cut points FirstCut..FirstCut+3 of the Cuts of the core around it, see asnet_pipe_reg:
//           at the operands, after the products, after the sum of the middle ones, and after the low
//           half of the last sum.
module asnet_sigmul24_dsp #(
  parameter int unsigned FirstCut = 1,
  parameter int unsigned Cuts     = 4,
  parameter int unsigned Latency  = 0
) (
  input  logic        clk_i,
  input  logic [23:0] a_i,
  input  logic [23:0] b_i,
  output logic [47:0] product_o
);

  logic [1:0][11:0] a, b;
  asnet_pipe_reg #(.Width(48), .Cut(FirstCut), .Cuts(Cuts), .Latency(Latency)) u_operands (
    .clk_i(clk_i), .d_i({a_i, b_i}), .q_o({a, b}));

  // Part [2i+j] is that of half i of a and half j of b.
  logic [3:0][23:0] part, part_q;
  for (genvar i = 0; i < 4; i++) begin : gen_part
    assign part[i] = {12'b0, a[i/2]} * {12'b0, b[i%2]};
  end
  asnet_pipe_reg #(.Width(96), .Cut(FirstCut + 1), .Cuts(Cuts), .Latency(Latency)) u_parts (
    .clk_i(clk_i), .d_i(part), .q_o(part_q));

  logic [24:0] middle, middle_q;
  logic [47:0] outer_q;
  assign middle = {1'b0, part_q[1]} + {1'b0, part_q[2]};
  asnet_pipe_reg #(.Width(73), .Cut(FirstCut + 2), .Cuts(Cuts), .Latency(Latency)) u_middle (
    .clk_i(clk_i), .d_i({middle, part_q[3], part_q[0]}), .q_o({middle_q, outer_q}));

  // ---- The last sum begins at bit 12: 18 bits, then with their carry the other 18.
  logic [18:0] low, low_q;
  logic [11:0] least_q;
  logic [17:0] high_q;
  logic [6:0]  middle_high_q;
  assign low = {1'b0, outer_q[29:12]} + {1'b0, middle_q[17:0]};
  asnet_pipe_reg #(.Width(56), .Cut(FirstCut + 3), .Cuts(Cuts), .Latency(Latency)) u_low (
    .clk_i(clk_i), .d_i({outer_q[47:30], middle_q[24:18], low, outer_q[11:0]}),
    .q_o({high_q, middle_high_q, low_q, least_q}));

  logic [17:0] high;
  assign high      = high_q + {11'b0, middle_high_q} + {17'b0, low_q[18]};
  assign product_o = {high, low_q[17:0], least_q};

endmodule
