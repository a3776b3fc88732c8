// Weights that come from outside as they are wanted: a ring of rows.
//
// Purpose:  stands where a ROM of weights does whose rows are read in order, again and again. A row is
//           Width bits of words of 32, the lowest bits first. A step takes a row, if ready_o is 1;
//           free_o says that a row has been read and may be overwritten. Whoever writes knows how many
//           rows there are and never writes too many.
// Latency:  3 cycles from a step to its row; a row a cycle.
module asnet_weight_ring #(
  parameter int unsigned Width    = 32,
  parameter int unsigned RowBits  = 3 // of a row's number in the ring
) (
  input  logic             clk_i,
  input  logic             rst_i,
  input  logic             write_i,
  input  logic [31:0]      word_i,
  input  logic             step_i,
  output logic             ready_o,
  output logic             free_o,
  output logic [Width-1:0] data_o
);

  localparam int unsigned Parts    = (Width + 31) / 32;
  localparam int unsigned PartBits = Parts > 1 ? $clog2(Parts) : 1;

  logic [32*Parts-1:0] row;
  logic [PartBits-1:0] part_q;
  logic [RowBits-1:0]  write_q, read_q, address_q;
  logic [RowBits:0]    level_q;
  logic                write_row;
  logic [2:0]          steps_q;

  assign write_row = write_i && part_q == PartBits'(Parts - 1);
  assign ready_o   = level_q != '0;
  assign free_o    = steps_q[2];
  if (Parts == 1) begin : gen_one
    assign row = word_i;
  end else begin : gen_several
    logic [32*(Parts-1)-1:0] before_q;
    assign row = {word_i, before_q};
    always_ff @(posedge clk_i) if (write_i) before_q <= row[32*Parts-1:32];
  end

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      part_q  <= '0;
      write_q <= '0;
      read_q  <= '0;
      level_q <= '0;
      steps_q <= '0;
    end else begin
      if (write_i) part_q <= write_row ? '0 : part_q + 1'b1;
      if (write_row) write_q <= write_q + 1'b1;
      if (step_i) read_q <= read_q + 1'b1;
      level_q <= level_q + (RowBits + 1)'(write_row) - (RowBits + 1)'(step_i);
      steps_q <= {steps_q[1:0], step_i};
    end
    address_q <= read_q;
  end

  (* ram_style = "block", no_rw_check *) logic [Width-1:0] rows[1 << RowBits];
  logic [Width-1:0] now_q;
  always_ff @(posedge clk_i) begin
    if (write_row) rows[write_q] <= row[Width-1:0];
    now_q  <= rows[address_q];
    data_o <= now_q;
  end

endmodule
