// Index of the greatest of each Classes words.
//
// Purpose:  a network's answer as the class that it names. Of equal words the first one counts, of NaNs
//           the first NaN, as numpy's argmax.
// Latency:  1 cycle from the last of the words; a word a cycle.
module asnet_argmax #(
  parameter int unsigned Bits     = 8, // of a word
  parameter bit          IsSigned = 1,
  parameter int unsigned Exponent = 0, // bits of it, of a float; 0: an integer
  parameter int unsigned Classes  = 10,
  parameter int unsigned OutBits  = 8
) (
  input  logic               clk_i,
  input  logic               rst_i,
  input  logic [Bits-1:0]    data_i,
  input  logic               valid_i,
  input  logic               last_i,
  input  logic               user_i,
  output logic               ready_o,
  output logic [OutBits-1:0] data_o,
  output logic               valid_o,
  output logic               last_o,
  output logic               user_o,
  input  logic               ready_i
);

  localparam int unsigned CountBits = Classes > 1 ? $clog2(Classes) : 1;

  // A key that is ordered as an unsigned number.
  logic [Bits-1:0] key;
  if (Exponent != 0) begin : gen_float
    logic is_nan;
    assign is_nan = &data_i[Bits-2-:Exponent] && data_i[Bits-2-Exponent:0] != '0;
    assign key    = is_nan ? '1
                  : data_i[Bits-2:0] == '0 ? {1'b1, (Bits - 1)'(0)}
                  : data_i[Bits-1] ? ~data_i : {1'b1, data_i[Bits-2:0]};
  end else begin : gen_integer
    assign key = {data_i[Bits-1] ^ IsSigned, data_i[Bits-2:0]};
  end

  logic [CountBits-1:0] count_q, best_index_q, index;
  logic [Bits-1:0]      best_q;
  logic                 take, is_better, is_end;

  assign ready_o   = !valid_o || ready_i;
  assign take      = valid_i && ready_o;
  assign is_better = count_q == '0 || key > best_q;
  assign is_end    = count_q == CountBits'(Classes - 1);
  assign index     = is_better ? count_q : best_index_q;

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      count_q <= '0;
      valid_o <= 1'b0;
    end else if (take) begin
      count_q <= is_end ? '0 : count_q + 1'b1;
      valid_o <= is_end;
    end else if (ready_i) begin
      valid_o <= 1'b0;
    end
    if (take) begin
      best_q       <= is_better ? key : best_q;
      best_index_q <= index;
      data_o       <= OutBits'(index);
      last_o       <= last_i;
      user_o       <= user_i;
    end
  end

endmodule
