// GeAr, an adder of overlapping sub-adders.
//
// Purpose:  result_o ~ a_i + b_i, unsigned, N + N -> N+1 bits, by sub-adders of R + P bits.
// Source:   M. Shafique, W. Ahmad, R. Hafiz, J. Henkel, "A Low Latency Generic Accuracy Configurable
//           Adder", DAC 2015. R = 1 is the almost correct adder (ACA): A. K. Verma, P. Brisk, P.
//           Ienne, "Variable Latency Speculative Addition", DATE 2008. R = P is ETA II: N. Zhu, W. L.
//           Goh, K. S. Yeo, "An Enhanced Low-Power High-Speed Adder for Error-Tolerant Application",
//           ISIC 2009.
// Method:   the first sub-adder gives R + P bits of the sum, each other one R: it begins P bits below
//           them, without a carry in. The correction of the paper is left out.
// Latency:  0, combinational.
// Special:  a bit is wrong where a carry runs through more than the P bits below its sub-adder's own.
module gear #(
  parameter int unsigned N = 16,
  parameter int unsigned R = 4,
  parameter int unsigned P = 4
) (
  input  logic [N-1:0] a_i,
  input  logic [N-1:0] b_i,
  output logic [N:0]   result_o
);

  if (N < 2 || N > 63 || R < 1 || R + P >= N || (N - P) % R != 0) begin : gen_bad_parameter
    $error("gear: N must be in 2..63, R at least 1, R + P below N and N - P a multiple of R");
  end

  localparam int unsigned Length = R + P;
  localparam int unsigned Count  = (N - P) / R;

  for (genvar i = 0; i < Count; i++) begin : gen_adder
    logic [Length:0] sum;
    assign sum = {1'b0, a_i[i*R+:Length]} + {1'b0, b_i[i*R+:Length]};
    if (i == 0) begin : gen_first
      assign result_o[Length-1:0] = sum[Length-1:0];
    end else begin : gen_next
      assign result_o[i*R+P+:R] = sum[Length-1:P];
      if (P > 0) begin : gen_below
        logic unused_below;
        assign unused_below = ^sum[P-1:0];
      end
    end
    if (i == Count - 1) begin : gen_last
      assign result_o[N] = sum[Length];
    end else begin : gen_inner
      logic unused_carry;
      assign unused_carry = sum[Length];
    end
  end

endmodule
