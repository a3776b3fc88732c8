// Product of two 24-bit significands in soft logic, with cut points between the levels of its adder tree.
//
// Purpose:  the multiplier inside fmul. Constant-zero low operand bits remove their rows, columns and
//           adders in synthesis, so that 24-P live bits cost a (24-P) x (24-P) multiplier.
// Method:   twelve rows of two multiplier bits each, added pairwise on carry chains.
// Source:   textbook; see Ercegovac and Lang, Digital Arithmetic, 2004, chapter 4.
// Latency:  the cut points FirstCut..FirstCut+3 of the Cuts of the core around it, see asnet_pipe_reg.
module asnet_sigmul24 #(
  parameter int unsigned FirstCut = 1,
  parameter int unsigned Cuts     = 4,
  parameter int unsigned Latency  = 0
) (
  input  logic        clk_i,
  input  logic [23:0] a_i,
  input  logic [23:0] b_i,
  output logic [47:0] product_o
);

  // Widths: 24 bits times n bits need 24 + n bits. `keep` stops Yosys (alumacc) from merging the tree
  // into one carry-save array, which costs 2.5 times the LUTs on FPGAs with carry chains.
  // Packed arrays: Yosys 0.70 leaves elements of unpacked ones undriven by instances.
  (* keep *) logic [11:0][25:0] row;
  (* keep *) logic [5:0][27:0]  sum4;
  (* keep *) logic [2:0][31:0]  sum8;
  (* keep *) logic [39:0]       sum16;
  logic [11:0][25:0] row_q;
  logic [5:0][27:0]  sum4_q;
  logic [2:0][31:0]  sum8_q;
  logic [31:0] sum8_top_q;
  logic [39:0] sum16_q;

  for (genvar i = 0; i < 12; i++) begin : gen_row
    assign row[i] = {2'b0, a_i} * {24'b0, b_i[2*i+:2]};
    asnet_pipe_reg #(.Width(26), .Cut(FirstCut), .Cuts(Cuts), .Latency(Latency)) u_reg (
      .clk_i(clk_i), .d_i(row[i]), .q_o(row_q[i]));
  end

  for (genvar i = 0; i < 6; i++) begin : gen_sum4
    assign sum4[i] = {row_q[2*i+1], 2'b0} + {2'b0, row_q[2*i]};
    asnet_pipe_reg #(.Width(28), .Cut(FirstCut + 1), .Cuts(Cuts), .Latency(Latency)) u_reg (
      .clk_i(clk_i), .d_i(sum4[i]), .q_o(sum4_q[i]));
  end

  for (genvar i = 0; i < 3; i++) begin : gen_sum8
    assign sum8[i] = {sum4_q[2*i+1], 4'b0} + {4'b0, sum4_q[2*i]};
    asnet_pipe_reg #(.Width(32), .Cut(FirstCut + 2), .Cuts(Cuts), .Latency(Latency)) u_reg (
      .clk_i(clk_i), .d_i(sum8[i]), .q_o(sum8_q[i]));
  end

  assign sum16 = {sum8_q[1], 8'b0} + {8'b0, sum8_q[0]};
  asnet_pipe_reg #(.Width(72), .Cut(FirstCut + 3), .Cuts(Cuts), .Latency(Latency)) u_reg_sum16 (
    .clk_i(clk_i), .d_i({sum8_q[2], sum16}), .q_o({sum8_top_q, sum16_q}));

  assign product_o = {sum8_top_q, 16'b0} + {8'b0, sum16_q};

endmodule
