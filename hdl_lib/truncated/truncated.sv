// Truncated multiplier, with or without correction of what its columns would have added.
//
// Purpose:  result_o ~ a_i * b_i, N x N -> 2N bits, by an array without its CUT lowest columns.
// Source:   CORRECTION = 1: M. J. Schulte, E. E. Swartzlander, "Truncated Multiplication with
//           Correction Constant", VLSI Signal Processing VI, 1993. CORRECTION = 2: E. J. King, E. E.
//           Swartzlander, "Data-Dependent Truncation Scheme for Parallel Multipliers", 31st Asilomar
//           Conference on Signals, Systems and Computers, 1997.
// Method:   0 adds nothing; 1 adds the mean of the columns cut off, ((CUT - 1) 2^CUT + 1) / 4, rounded
//           to a multiple of 2^CUT; 2 adds the bits of the highest column cut off with twice their
//           weight, as the other ones together add about as much. The rounding of the result to N
//           bits, which the papers go on with, is not part of it: its low CUT bits are zero.
// Signed:   SIGNED = 1 is the array of Baugh and Wooley, whose inverted bits are all kept.
// Latency:  0, combinational.
// Special:  exact with CUT = 0. CORRECTION = 0 unsigned is `bam` with VBL = CUT and HBL = 0;
//           1 is the same as 0 where CUT is below 3.
module truncated #(
  parameter int unsigned N          = 8,
  parameter int unsigned CUT        = 6,
  parameter int unsigned CORRECTION = 1,
  parameter int unsigned SIGNED     = 0
) (
  input  logic [N-1:0]   a_i,
  input  logic [N-1:0]   b_i,
  output logic [2*N-1:0] result_o
);

  if (N < 2 || N > 32 || CUT >= N || CORRECTION > 2 || SIGNED > 1) begin : gen_bad_parameter
    $error("truncated: N must be in 2..32, CUT in 0..N-1, CORRECTION in 0..2 and SIGNED 0 or 1");
  end

  localparam logic [2*N-1:0] Mean = (CORRECTION == 1) ? (2*N)'((CUT + 1) / 4) << CUT : '0;
  localparam logic [2*N-1:0] Sign =
    (SIGNED == 1) ? ((2*N)'(1) << N) | ((2*N)'(1) << (2 * N - 1)) : '0;

  logic [N:0][2*N-1:0] sum;

  assign sum[0] = Mean + Sign;
  for (genvar j = 0; j < N; j++) begin : gen_row
    localparam int unsigned  Broken   = (CUT > j) ? CUT - j : 0;
    localparam logic [N-1:0] Kept     = {N{1'b1}} << Broken;
    localparam logic [N-1:0] Top      = N'(1) << (N - 1);
    localparam logic [N-1:0] Inverted = (SIGNED == 0) ? '0 : (j == N - 1) ? ~Top : Top;
    // The cell of the highest column cut off counts as one of the next column.
    localparam logic [N-1:0] Twice    = (CORRECTION == 2 && CUT > j) ? N'(1) << (Broken - 1) : '0;
    logic [N-1:0]   cells, twice;
    assign cells    = (a_i & {N{b_i[j]}}) ^ Inverted;
    assign twice    = a_i & {N{b_i[j]}} & Twice;
    assign sum[j+1] = sum[j] + ((2*N)'(cells & Kept) << j) + ((2*N)'(twice) << (j + 1));
  end
  assign result_o = sum[N];

endmodule
