// Sum of rows of bits by a tree of 4:2 compressors, approximate ones in the low columns.
//
// Purpose:  sum_o ~ the sum of an even number of rows, modulo 2^Width.
// Method:   four rows become two, by a compressor in each column, until two are left, which are added.
//           Live says which bits of rows_i are there; the others are 0. In the columns below
//           Approximate, compressors of Design take four bits that are there; fewer go through half
//           and full adders. From there on all are exact 4:2 compressors, two full adders each, whose
//           inner carry goes to the next column.
// Designs:  1, Momeni et al. 2015, design 2: 1 for no ones; 1 for two ones that are a pair; 3 for four.
//           2, Venkatachalam and Ko 2017: 1 for two ones that are not a pair; 3 for four.
//           3, Yang et al. 2015, design 1: 3 for four ones. 4, Lin and Lin 2013: 2 for four ones.
//           Pairs are the first two and the last two rows of four.
// Latency:  0, combinational.
module asnet_compress42 #(
  parameter int unsigned             Rows        = 8,
  parameter int unsigned             Width       = 16,
  parameter int unsigned             Approximate = 8,
  parameter int unsigned             Design      = 1,
  parameter logic [Rows*Width-1:0]   Live        = '1
) (
  input  logic [Rows-1:0][Width-1:0] rows_i,
  output logic [Width-1:0]           sum_o
);

  localparam int unsigned Groups = Rows / 4;
  localparam int unsigned Rest   = Rows % 4;
  localparam int unsigned Next   = 2 * Groups + Rest;

  function automatic logic [Next*Width-1:0] live_next(input logic [Rows*Width-1:0] live);
    int unsigned count;
    live_next = '0;
    for (int unsigned g = 0; g != Groups; g++) begin
      for (int unsigned c = 0; c < Width; c++) begin
        count = 0;
        for (int unsigned k = 0; k < 4; k++) count = count + 32'(live[(4*g+k)*Width+c]);
        live_next[2*g*Width+c] = count > 0;
        if (c + 1 < Width) live_next[(2*g+1)*Width+c+1] = count > 1;
      end
    end
    for (int unsigned k = 0; k != Rest * Width; k++) begin
      live_next[2*Groups*Width+k] = live[4*Groups*Width+k];
    end
  endfunction

  localparam logic [Next*Width-1:0] LiveNext = live_next(Live);

  logic [Next-1:0][Width-1:0] next;

  if (Rows == 2) begin : gen_last
    assign next  = rows_i;
    assign sum_o = next[0] + next[1];
  end else begin : gen_level
    for (genvar g = 0; g < Groups; g++) begin : gen_group
      logic [Width-1:0] total, above;
      logic [Width:0]   inner;
      assign inner[0] = 1'b0;
      for (genvar c = 0; c < Width; c++) begin : gen_column
        localparam bit Full = Live[4*g*Width+c] & Live[(4*g+1)*Width+c] & Live[(4*g+2)*Width+c]
                              & Live[(4*g+3)*Width+c];
        logic x0, x1, x2, x3;
        assign {x3, x2, x1, x0} = {rows_i[4*g+3][c], rows_i[4*g+2][c], rows_i[4*g+1][c],
                                   rows_i[4*g][c]};
        if (c >= Approximate || !Full) begin : gen_exact
          logic first;
          assign first    = x0 ^ x1 ^ x2;
          assign total[c] = first ^ x3 ^ inner[c];
          if (c >= Approximate) begin : gen_chain
            assign inner[c+1] = (x0 & x1) | (x0 & x2) | (x1 & x2);
            assign above[c]   = (first & x3) | (first & inner[c]) | (x3 & inner[c]);
          end else begin : gen_adder  // of at most three bits
            assign inner[c+1] = 1'b0;
            assign above[c]   = (x0 & x1) | (x2 & x3) | ((x0 | x1) & (x2 | x3));
          end
        end else begin : gen_approximate
          logic parity, all;
          assign parity     = x0 ^ x1 ^ x2 ^ x3;
          assign all        = x0 & x1 & x2 & x3;
          assign inner[c+1] = 1'b0;
          if (Design == 1) begin : gen_momeni
            assign total[c] = ~(x0 ^ x1) | ~(x2 ^ x3);
            assign above[c] = (x0 | x1) & (x2 | x3);
          end else if (Design == 2) begin : gen_venkatachalam
            assign total[c] = (x0 ^ x1) | (x2 ^ x3) | all;
            assign above[c] = (x0 & x1) | (x2 & x3);
          end else begin : gen_one_wrong
            assign total[c] = (Design == 3) ? parity | all : parity;
            assign above[c] = (x0 & x1) | (x2 & x3) | ((x0 | x1) & (x2 | x3));
          end
          logic unused;
          assign unused = ^{parity, all, inner[c]};
        end
      end
      assign next[2*g]   = total;
      assign next[2*g+1] = {above[Width-2:0], 1'b0};
      logic unused_top;
      assign unused_top = ^{above[Width-1], inner[Width]};
    end
    if (Rest != 0) begin : gen_rest
      assign next[Next-1:Next-Rest] = rows_i[Rows-1:Rows-Rest];
    end

    asnet_compress42 #(.Rows(Next), .Width(Width), .Approximate(Approximate), .Design(Design),
                       .Live(LiveNext)) u_next (.rows_i(next), .sum_o(sum_o));
  end

endmodule
