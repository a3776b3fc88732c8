// Ring of codes, and a loop nest that reads windows of it.
//
// Purpose:  the line buffer of a convolution or pool, and the frame buffer of a dense layer: codes
//           come in row-major order, words of Pack codes are read by nested loops. A chunk of the
//           loops, such as a row of the output, begins once what it reads is there, and gives back
//           what no later chunk reads.
// Latency:  3 cycles from a step to its word; a step a cycle, and one cycle between chunks.
// Loop 0 is the innermost one; Deltas[i] is added to the address (in words) when loop i goes on. Pixels
// words are read at once, PixelStep words apart, each out of a copy of the ring; the first is the lowest.
module asnet_window #(
  parameter int unsigned Bits     = 8, // of a code
  parameter int unsigned Pack     = 1,
  parameter int unsigned RingBits = 4,
  parameter int unsigned Chunks   = 1,
  parameter int unsigned Need     = 1, // words from a chunk's first one on that it wants
  parameter int unsigned NeedLast = 1,
  parameter int unsigned Step     = 1, // words that a chunk gives back
  parameter int unsigned StepLast = 1,
  parameter int unsigned First    = 0, // word of a chunk that is read first
  parameter int unsigned Loops    = 1,
  parameter logic [32*Loops-1:0] Sizes  = 1,
  parameter logic [32*Loops-1:0] Deltas = 0,
  parameter int unsigned Pixels    = 1,
  parameter int unsigned PixelStep = 0
) (
  input  logic                 clk_i,
  input  logic                 rst_i,
  input  logic [Bits-1:0]      data_i,
  input  logic                 valid_i,
  output logic                 ready_o,
  input  logic                 enable_i,
  output logic                 step_o,
  output logic [Loops-1:0]     end_o, // the loops up to this one are in their last iterations
  output logic [Bits*Pack*Pixels-1:0] data_o
);

  localparam int unsigned Width     = Bits * Pack;
  localparam int unsigned ChunkBits = Chunks > 1 ? $clog2(Chunks) : 1;

  // Codes to words.
  logic [Width-1:0] word;
  logic             write;
  if (Pack == 1) begin : gen_single
    assign word  = data_i;
    assign write = valid_i && ready_o;
  end else begin : gen_packed
    localparam int unsigned PackBits = $clog2(Pack);
    logic [Bits*(Pack-1)-1:0] codes_q;
    logic [PackBits-1:0]      pack_q;
    assign word  = {data_i, codes_q};
    assign write = valid_i && ready_o && pack_q == PackBits'(Pack - 1);
    always_ff @(posedge clk_i) begin
      if (rst_i) pack_q <= '0;
      else if (valid_i && ready_o) pack_q <= write ? '0 : pack_q + 1'b1;
      if (valid_i && ready_o) codes_q <= word[Width-1:Bits];
    end
  end

  // Words that the reader has not given back, as it sees them, and two cycles later, when they have
  // been read, as the writer does.
  logic [RingBits:0]    level_q, used_q;
  logic [RingBits-1:0]  write_q, base_q;
  logic [ChunkBits-1:0] chunk_q;
  logic                 is_last_q, run_q, end_q, end_qq, last_q, last_qq;
  logic [RingBits:0]    back, back_late;
  logic                 chunk_end;

  assign ready_o   = !used_q[RingBits];
  assign chunk_end = step_o && end_o[Loops-1];
  assign back      = !chunk_end ? '0 : is_last_q ? (RingBits + 1)'(StepLast) : (RingBits + 1)'(Step);
  assign back_late = !end_qq ? '0 : last_qq ? (RingBits + 1)'(StepLast) : (RingBits + 1)'(Step);
  assign step_o    = run_q && enable_i;

  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      level_q   <= '0;
      used_q    <= '0;
      write_q   <= '0;
      base_q    <= '0;
      chunk_q   <= '0;
      is_last_q <= Chunks == 1;
      run_q     <= 1'b0;
      end_q     <= 1'b0;
      end_qq    <= 1'b0;
    end else begin
      level_q <= level_q + (RingBits + 1)'(write) - back;
      used_q  <= used_q + (RingBits + 1)'(write) - back_late;
      if (write) write_q <= write_q + 1'b1;
      end_q  <= chunk_end;
      end_qq <= end_q;
      if (chunk_end) begin
        run_q     <= 1'b0;
        base_q    <= base_q + RingBits'(back);
        chunk_q   <= is_last_q ? '0 : chunk_q + 1'b1;
        is_last_q <= Chunks == 1 || (!is_last_q && chunk_q == ChunkBits'(Chunks - 2));
      end else if (!run_q) begin
        run_q <= level_q >= (is_last_q ? (RingBits + 1)'(NeedLast) : (RingBits + 1)'(Need));
      end
    end
    last_q  <= is_last_q;
    last_qq <= last_q;
  end

  // The loops.
  logic [Loops-1:0] last;
  for (genvar i = 0; i < Loops; i++) begin : gen_loop
    localparam int unsigned Size      = Sizes[32*i+:32];
    localparam int unsigned CountBits = Size > 1 ? $clog2(Size) : 1;
    if (i == 0) begin : gen_first
      assign end_o[i] = last[i];
    end else begin : gen_others
      assign end_o[i] = last[i] && end_o[i-1];
    end
    if (Size == 1) begin : gen_once
      assign last[i] = 1'b1;
    end else begin : gen_counter
      logic [CountBits-1:0] count_q;
      logic                 last_loop_q, go;
      if (i == 0) begin : gen_always
        assign go = step_o;
      end else begin : gen_carry
        assign go = step_o && end_o[i-1];
      end
      assign last[i] = last_loop_q;
      always_ff @(posedge clk_i) begin
        if (rst_i) begin
          count_q     <= '0;
          last_loop_q <= 1'b0;
        end else if (go) begin
          count_q     <= last_loop_q ? '0 : count_q + 1'b1;
          last_loop_q <= !last_loop_q && count_q == CountBits'(Size - 2);
        end
      end
    end
  end

  logic [RingBits-1:0] delta;
  logic                inner;
  always_comb begin
    delta = RingBits'(Deltas[31:0]);
    inner = 1'b1;
    for (int i = 1; i < Loops; i++) begin
      inner = inner && last[i-1];
      if (inner) delta = RingBits'(Deltas[32*i+:32]);
    end
  end

  // The ring, with a register behind it.
  for (genvar p = 0; p < Pixels; p++) begin : gen_pixel
    localparam logic [RingBits-1:0] Begin = RingBits'(First + p * PixelStep);
    logic [RingBits-1:0] offset_q, address_q;
    always_ff @(posedge clk_i) begin
      if (rst_i) offset_q <= Begin;
      else if (step_o) offset_q <= chunk_end ? Begin : offset_q + delta;
      address_q <= base_q + offset_q;
    end

    logic [Width-1:0] read_q;
    if (RingBits <= 6) begin : gen_small
      (* ram_style = "distributed", no_rw_check *) logic [Width-1:0] ring[1 << RingBits];
      always_ff @(posedge clk_i) begin
        if (write) ring[write_q] <= word;
        read_q <= ring[address_q];
      end
    end else begin : gen_large
      (* ram_style = "block", no_rw_check *) logic [Width-1:0] ring[1 << RingBits];
      always_ff @(posedge clk_i) begin
        if (write) ring[write_q] <= word;
        read_q <= ring[address_q];
      end
    end
    always_ff @(posedge clk_i) data_o[Width*p+:Width] <= read_q;
  end

endmodule
