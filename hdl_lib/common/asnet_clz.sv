// Count of leading zeros of a word of any width.
//
// Purpose:  where the leading one of a word is that could have it anywhere. CountWidth = clog2(Width).
// Method:   binary search: each step looks at the upper half of what is left. Narrower words are
//           left-aligned in 2^CountWidth bits; what is padded below is removed in synthesis.
// Latency:  0, combinational.
// Special:  an all-zero word gives zero_o = 1 and a count of all ones.
module asnet_clz #(
  parameter int unsigned Width      = 48,
  parameter int unsigned CountWidth = 6
) (
  input  logic [Width-1:0]      word_i,
  output logic [CountWidth-1:0] count_o,
  output logic                  zero_o
);

  localparam int unsigned Padded = 1 << CountWidth;

  if (Width > Padded) begin : gen_bad_width
    $error("asnet_clz: Width must not exceed 2^CountWidth");
  end

  for (genvar step = 0; step < CountWidth; step++) begin : gen_step
    localparam int unsigned Half = Padded >> (step + 1);
    logic [2*Half-1:0] word;
    logic [Half-1:0]   rest;
    if (step == 0) begin : gen_first
      assign word = Padded'(word_i) << (Padded - Width);
    end else begin : gen_next
      assign word = gen_step[step-1].rest;
    end
    assign count_o[CountWidth-1-step] = (word[2*Half-1:Half] == '0);
    assign rest = (word[2*Half-1:Half] == '0) ? word[Half-1:0] : word[2*Half-1:Half];
  end
  assign zero_o = ~gen_step[CountWidth-1].rest[0];

endmodule
