// Test bench of the control block: reads and writes registers over AXI4-Lite, with ready and valid at
// random, while samples stream through the hardware.
//
//   control SEED CYCLE_LIMIT
//
// In every cycle it checks that what the hardware offers stays until it is taken and answers no more
// than was asked. Prints PASS, or a line that begins with FAIL and status 1.
#include "@NAME@_registers.h"
#include "Vtop.h"
#include "verilated.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <vector>

namespace {
constexpr uint32_t kState = @PREFIX@_STATUS_BUSY_MASK | @PREFIX@_STATUS_IN_FRAME_MASK |
                            @PREFIX@_STATUS_ERROR_MASK;
constexpr uint32_t kInputWords = @INPUT_WORDS@, kOutputWords = @OUTPUT_WORDS@;

struct Random { // xorshift64*
  uint64_t state;
  uint32_t next() {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return uint32_t((state * 2685821657736338717ull) >> 32);
  }
};

[[noreturn]] void fail(const char *what, uint64_t cycle) {
  std::printf("FAIL: %s in cycle %llu\n", what, (unsigned long long)cycle);
  std::exit(1);
}

struct Answer {
  uint32_t data, response;
};

class Bench {
public:
  Bench(uint64_t seed, uint64_t limit) : random{seed * 0x9E3779B97F4A7C15ull + 1}, limit(limit) {
    top.rst = 1;
    top.frame_error_clear = 0;
    for (int i = 0; i < 4; ++i)
      step();
    top.rst = 0;
  }
  ~Bench() { top.final(); }

  uint32_t read(uint32_t address, uint32_t response = 0) {
    bool sent = false;
    top.s_axi_araddr = address;
    for (;;) {
      top.s_axi_arvalid = !sent && (top.s_axi_arvalid || coin());
      top.s_axi_rready = coin();
      low();
      const bool go = top.s_axi_arvalid && top.s_axi_arready;
      const bool done = top.s_axi_rvalid && top.s_axi_rready;
      const Answer answer{top.s_axi_rdata, top.s_axi_rresp};
      if (done && !sent && !go)
        fail("a read is answered that was not asked for", cycle);
      high();
      sent |= go;
      if (sent)
        top.s_axi_arvalid = 0;
      if (done) {
        top.s_axi_rready = 0;
        if (answer.response != response)
          fail("a read has the wrong response", cycle);
        return answer.data;
      }
    }
  }

  void write(uint32_t address, uint32_t data, uint32_t response = 0, uint32_t strobes = 15) {
    bool sentAddress = false, sentData = false;
    top.s_axi_awaddr = address;
    top.s_axi_wdata = data;
    top.s_axi_wstrb = strobes;
    for (;;) {
      top.s_axi_awvalid = !sentAddress && (top.s_axi_awvalid || coin());
      top.s_axi_wvalid = !sentData && (top.s_axi_wvalid || coin());
      top.s_axi_bready = coin();
      low();
      const bool address = top.s_axi_awvalid && top.s_axi_awready;
      const bool data = top.s_axi_wvalid && top.s_axi_wready;
      const bool done = top.s_axi_bvalid && top.s_axi_bready;
      const uint32_t got = top.s_axi_bresp;
      if (done && !(sentAddress && sentData))
        fail("a write is answered before it is complete", cycle);
      high();
      sentAddress |= address;
      sentData |= data;
      if (sentAddress)
        top.s_axi_awvalid = 0;
      if (sentData)
        top.s_axi_wvalid = 0;
      if (done) {
        top.s_axi_bready = 0;
        if (got != response)
          fail("a write has the wrong response", cycle);
        return;
      }
    }
  }

  // Sends a frame of so many words behind those that wait.
  void send(uint32_t words) {
    for (uint32_t i = 0; i < words; ++i)
      waiting.push_back({random.next(), i == words - 1});
  }
  void idle(uint64_t cycles) {
    while (cycles--)
      step();
  }
  void untilAnswers(uint32_t frames) {
    while (answered < frames)
      step();
  }
  void check(uint32_t address, uint32_t value, const char *what, uint32_t mask = ~0u) {
    if ((read(address) & mask) != value)
      fail(what, cycle);
  }

  uint32_t answered = 0, taken = 0; // answers, and words of samples
  uint64_t latency = 0;             // of the last answer, where nothing else was under way
  bool keepsPace = false;           // no pauses of either stream

private:
  struct Word {
    uint32_t data;
    bool isLast;
  };

  bool coin() { return random.next() % 2; }
  void step() {
    low();
    high();
  }

  void low() {
    if (++cycle > limit)
      fail("no end", cycle);
    if (!top.s_axis_tvalid)
      top.s_axis_tvalid = !waiting.empty() && (keepsPace || coin());
    if (top.s_axis_tvalid) {
      top.s_axis_tdata = waiting.front().data;
      top.s_axis_tlast = waiting.front().isLast;
    }
    top.m_axis_tready = keepsPace || coin();
    top.clk = 0;
    top.eval();
    observe();
  }

  // What is offered and was not taken is offered again, unchanged.
  void observe() {
    const Answer r{top.s_axi_rdata, top.s_axi_rresp};
    if (heldRead && (!top.s_axi_rvalid || r.data != lastRead.data || r.response != lastRead.response))
      fail("the answer to a read did not stay", cycle);
    if (heldWrite && (!top.s_axi_bvalid || top.s_axi_bresp != lastWrite))
      fail("the answer to a write did not stay", cycle);
    if (heldWord && (!top.m_axis_tvalid || top.m_axis_tdata != lastWord))
      fail("a word of an answer did not stay", cycle);
    const bool runs = !top.rst;
    heldRead = runs && top.s_axi_rvalid && !top.s_axi_rready;
    heldWrite = runs && top.s_axi_bvalid && !top.s_axi_bready;
    heldWord = runs && top.m_axis_tvalid && !top.m_axis_tready;
    lastRead = r;
    lastWrite = top.s_axi_bresp;
    lastWord = top.m_axis_tdata;
  }

  void high() {
    const bool in = top.s_axis_tvalid && top.s_axis_tready;
    const bool out = top.m_axis_tvalid && top.m_axis_tready;
    if (in && isFirst)
      start = cycle;
    if (in) {
      ++taken;
      isFirst = waiting.front().isLast;
      waiting.pop_front();
    }
    if (out && top.m_axis_tlast) {
      ++answered;
      latency = cycle + 1 - start;
    }
    top.clk = 1;
    top.eval();
    if (in)
      top.s_axis_tvalid = 0;
  }

  VerilatedContext context;
  Vtop top{&context};
  Random random;
  uint64_t limit, cycle = 0, start = 0;
  std::deque<Word> waiting;
  bool isFirst = true, heldRead = false, heldWrite = false, heldWord = false;
  Answer lastRead{};
  uint32_t lastWrite = 0, lastWord = 0;
};

// Constants, and accesses that are refused.
void constants(Bench &bench) {
  bench.check(@PREFIX@_ID, 0x41534e54u, "the identification is wrong");
  bench.check(@PREFIX@_INPUT_WORDS, kInputWords, "input_words is wrong");
  bench.check(@PREFIX@_OUTPUT_WORDS, kOutputWords, "output_words is wrong");
  bench.check(@PREFIX@_CONTROL, @PREFIX@_CONTROL_RUN_MASK, "control is not 1 after a reset");
  bench.read(0xfc, 2);
  bench.write(0xfc, 1, 2);
  bench.write(@PREFIX@_ID, 0, 2);
  bench.check(@PREFIX@_ID, 0x41534e54u, "the identification was written");
}

// While `run` is 0 nothing begins; what is begun ends.
void runs(Bench &bench) {
  bench.write(@PREFIX@_CONTROL, 0);
  bench.check(@PREFIX@_CONTROL, 0, "run is not 0");
  bench.write(@PREFIX@_CONTROL, 1, 0, 0xe);
  bench.check(@PREFIX@_CONTROL, 0, "a byte was written without its strobe");
  bench.send(kInputWords);
  bench.idle(200);
  if (bench.taken)
    fail("a sample is taken though run is 0", 200);
  bench.check(@PREFIX@_STATUS, 0, "the hardware is busy with nothing", kState);
  bench.write(@PREFIX@_CONTROL, @PREFIX@_CONTROL_RUN_MASK);
  bench.untilAnswers(1);
  bench.check(@PREFIX@_FRAMES_IN, 1, "frames_in is not 1");
  bench.check(@PREFIX@_FRAMES_OUT, 1, "frames_out is not 1");
  bench.check(@PREFIX@_FRAMES_WRONG, 0, "a right frame is counted as wrong");
  bench.check(@PREFIX@_STATUS, 0, "the hardware is busy after its answer", kState);
}

void wrongFrames(Bench &bench) {
  bench.send(kInputWords + 3);
  bench.send(kInputWords);
  bench.untilAnswers(3);
  bench.check(@PREFIX@_FRAMES_OUT, 3, "frames_out is not 3");
  bench.check(@PREFIX@_FRAMES_WRONG, 1, "a wrong frame is not counted");
  bench.check(@PREFIX@_STATUS, @PREFIX@_STATUS_ERROR_MASK, "a wrong frame is not said", kState);
  bench.write(@PREFIX@_CONTROL, @PREFIX@_CONTROL_RUN_MASK | @PREFIX@_CONTROL_CLEAR_MASK);
  bench.check(@PREFIX@_STATUS, 0, "error is not cleared", kState);
  bench.check(@PREFIX@_FRAMES_OUT, 0, "frames_out is not cleared");
}

// Cycles, as the bench counts them.
void cycles(Bench &bench) {
  bench.keepsPace = true;
  bench.send(kInputWords);
  bench.untilAnswers(4);
  bench.check(@PREFIX@_LATENCY, uint32_t(bench.latency), "latency is wrong");
  bench.check(@PREFIX@_OUTPUT_WAITS, 0, "a word waited that was taken at once");
}
} // namespace

int main(int argc, char **argv) {
  const uint64_t seed = argc > 1 ? std::strtoull(argv[1], nullptr, 0) : 1;
  const uint64_t limit = argc > 2 ? std::strtoull(argv[2], nullptr, 0) : 10000000;
  Bench bench(seed, limit);
  constants(bench);
  runs(bench);
  wrongFrames(bench);
  cycles(bench);
  std::printf("PASS: registers, %u samples\n", bench.answered);
}
