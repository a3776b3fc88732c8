// RAM with one read port and one write port.
//
// Purpose:  block RAM that any synthesis infers: a synchronous read, no write mask.
// Latency:  1 cycle from address to word. Reading and writing one word in one cycle is undefined;
//           the schedule never does.
// Block RAMs have depths that are powers of two. Other depths would be put together of blocks with
// logic to choose among many of them; so the words lie in a power of two, or where this would waste
// more than two blocks of 16 kbit, in two powers of two.
module asnet_ram #(
  parameter int unsigned Words       = 2,
  parameter int unsigned AddressBits = 1
) (
  input  logic                   clk_i,
  input  logic [AddressBits-1:0] read_address_i,
  output logic [31:0]            read_data_o,
  input  logic                   write_enable_i,
  input  logic [AddressBits-1:0] write_address_i,
  input  logic [31:0]            write_data_i
);

  localparam int unsigned Half     = 1 << (AddressBits - 1);
  localparam int unsigned HighBits = $clog2(Words > Half ? Words - Half : 1);

  if (Half - (1 << HighBits) > 1024 && Half > (1 << HighBits)) begin : gen_two
    (* ram_style = "block", no_rw_check *) logic [31:0] low [Half];
    (* ram_style = "block", no_rw_check *) logic [31:0] high[1 << HighBits];
    logic [31:0] low_q, high_q;
    logic        is_high_q;

    always_ff @(posedge clk_i) begin
      if (write_enable_i && !write_address_i[AddressBits-1])
        low[write_address_i[AddressBits-2:0]] <= write_data_i;
      low_q <= low[read_address_i[AddressBits-2:0]];
    end
    always_ff @(posedge clk_i) begin
      if (write_enable_i && write_address_i[AddressBits-1])
        high[write_address_i[HighBits-1:0]] <= write_data_i;
      high_q <= high[read_address_i[HighBits-1:0]];
    end
    always_ff @(posedge clk_i) is_high_q <= read_address_i[AddressBits-1];
    assign read_data_o = is_high_q ? high_q : low_q;
  end else begin : gen_one
    (* ram_style = "block", no_rw_check *) logic [31:0] words[1 << AddressBits];

    always_ff @(posedge clk_i) begin
      if (write_enable_i) words[write_address_i] <= write_data_i;
      read_data_o <= words[read_address_i];
    end
  end

endmodule
