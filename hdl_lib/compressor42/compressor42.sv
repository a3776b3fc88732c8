// Multiplier whose partial products are added by approximate 4:2 compressors.
//
// Purpose:  result_o ~ a_i * b_i, N x N -> 2N bits.
// Source:   DESIGN 1: A. Momeni, J. Han, P. Montuschi, F. Lombardi, "Design and Analysis of Approximate
//           Compressors for Multiplication", IEEE Transactions on Computers 64(4), 2015, design 2.
//           2: S. Venkatachalam, S.-B. Ko, "Design of Power and Area Efficient Approximate
//           Multipliers", IEEE TVLSI 25(5), 2017. 3: Z. Yang, J. Han, F. Lombardi, "Approximate
//           Compressors for Error-Resilient Multiplier Design", DFTS 2015, design 1. 4: C.-H. Lin, I.-C.
//           Lin, "High Accuracy Approximate Multiplier with Error Correction", ICCD 2013.
// Method:   rows are added four at a time, from the first on, in a tree; compressors of the COLUMNS
//           lowest columns are approximate where they have four bits (see asnet_compress42). The
//           compressors are the papers', the tree is ours: in theirs, bits of a column are put together
//           in other ways, so that errors of the whole multiplier differ from those stated there.
// Signed:   SIGNED = 1 is the array of Baugh and Wooley.
// Latency:  0, combinational.
// Special:  exact with COLUMNS below 4, where no column has four bits. DESIGN 1 gives 0 * 0 more
//           than 0.
module compressor42 #(
  parameter int unsigned N       = 8,
  parameter int unsigned COLUMNS = 8,
  parameter int unsigned DESIGN  = 1,
  parameter int unsigned SIGNED  = 0
) (
  input  logic [N-1:0]   a_i,
  input  logic [N-1:0]   b_i,
  output logic [2*N-1:0] result_o
);

  if (N < 4 || N > 32 || N % 2 != 0 || COLUMNS > 2 * N || DESIGN < 1 || DESIGN > 4 || SIGNED > 1)
  begin : gen_bad_parameter
    $error("compressor42: N must be even in 4..32, COLUMNS in 0..2N, DESIGN in 1..4, SIGNED < 2");
  end

  localparam logic [2*N-1:0] Sign =
    (SIGNED == 1) ? ((2*N)'(1) << N) | ((2*N)'(1) << (2 * N - 1)) : '0;

  function automatic logic [2*N*N-1:0] live(input logic one);
    live = '0;
    for (int unsigned j = 0; j < N; j++) begin
      for (int unsigned i = 0; i < N; i++) live[2*N*j+j+i] = one;
    end
  endfunction

  logic [N-1:0][2*N-1:0] rows;
  logic [2*N-1:0]        sum;

  for (genvar j = 0; j < N; j++) begin : gen_row
    localparam logic [N-1:0] Top      = N'(1) << (N - 1);
    localparam logic [N-1:0] Inverted = (SIGNED == 0) ? '0 : (j == N - 1) ? ~Top : Top;
    logic [N-1:0] cells;
    assign cells   = (a_i & {N{b_i[j]}}) ^ Inverted;
    assign rows[j] = (2*N)'(cells) << j;
  end

  asnet_compress42 #(.Rows(N), .Width(2 * N), .Approximate(COLUMNS), .Design(DESIGN),
                     .Live(live(1'b1))) u_tree (.rows_i(rows), .sum_o(sum));

  assign result_o = sum + Sign;

endmodule
