// ROM with contents from a file.
//
// Purpose:  ROM that any synthesis infers, block ROM unless it is small: a synchronous read, contents
//           loaded by an initial block that no macro guards, as a ROM without contents would be
//           removed silently.
// Latency:  1 cycle from address to word.
// The file is Folder/File, from the folder in which the tool runs where that is no absolute path.
// Without a file there are no contents, so that a tool may read this module alone. A power of two of
// words needs no logic to choose among block RAMs.
module asnet_rom #(
  parameter int unsigned Words       = 2,
  parameter int unsigned Width       = 32,
  parameter int unsigned AddressBits = 1,
  parameter              Folder      = "",
  parameter              File        = ""
) (
  input  logic                   clk_i,
  input  logic [AddressBits-1:0] address_i,
  output logic [Width-1:0]       data_o
);

  if (Words <= 32) begin : gen_small
    (* rom_style = "logic" *) logic [Width-1:0] words[Words];
    if (File != "") begin : gen_contents
      initial $readmemh({Folder, "/", File}, words, 0, Words - 1);
    end
    always_ff @(posedge clk_i) data_o <= words[address_i];
  end else begin : gen_large
    (* rom_style = "block" *) logic [Width-1:0] words[1 << AddressBits];
    if (File != "") begin : gen_contents
      initial $readmemh({Folder, "/", File}, words, 0, Words - 1);
    end
    always_ff @(posedge clk_i) data_o <= words[address_i];
  end

endmodule
