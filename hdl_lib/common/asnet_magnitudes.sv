// Magnitudes and sign of two operands, for multipliers that work on magnitudes.
//
// Purpose:  where Signed is 1, a_o and b_o are the magnitudes of two's complement operands (that of
//           -2^(N-1) has its N bits), and result_o is product_i with the sign of their product. Where
//           it is 0, operands and product are unsigned and go through.
// Latency:  0, combinational.
module asnet_magnitudes #(
  parameter int unsigned N      = 8,
  parameter int unsigned Signed = 0
) (
  input  logic [N-1:0]   a_i,
  input  logic [N-1:0]   b_i,
  input  logic [2*N-1:0] product_i,
  output logic [N-1:0]   a_o,
  output logic [N-1:0]   b_o,
  output logic [2*N-1:0] result_o
);

  if (Signed != 0) begin : gen_signed
    logic negative;
    assign negative = a_i[N-1] ^ b_i[N-1];
    assign a_o      = (a_i ^ {N{a_i[N-1]}}) + N'(a_i[N-1]);
    assign b_o      = (b_i ^ {N{b_i[N-1]}}) + N'(b_i[N-1]);
    assign result_o = (product_i ^ {2*N{negative}}) + (2*N)'(negative);
  end else begin : gen_unsigned
    assign a_o      = a_i;
    assign b_o      = b_i;
    assign result_o = product_i;
  end

endmodule
