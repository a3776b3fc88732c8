// Exact multiplier of integers.
//
// Purpose:  result_o = a_i * b_i, N x N -> 2N bits, as a synthesis tool makes it of the operator.
// Source:   the operator of SystemVerilog.
// Signed:   SIGNED = 1: operands and result are two's complement.
// Latency:  0, combinational.
// Special:  none.
module imul #(
  parameter int unsigned N      = 8,
  parameter int unsigned SIGNED = 0
) (
  input  logic [N-1:0]   a_i,
  input  logic [N-1:0]   b_i,
  output logic [2*N-1:0] result_o
);

  if (N < 2 || N > 32 || SIGNED > 1) begin : gen_bad_parameter
    $error("imul: N must be in 2..32 and SIGNED 0 or 1");
  end

  if (SIGNED == 1) begin : gen_signed
    assign result_o = (2*N)'($signed(a_i)) * (2*N)'($signed(b_i));
  end else begin : gen_unsigned
    assign result_o = (2*N)'(a_i) * (2*N)'(b_i);
  end

endmodule
