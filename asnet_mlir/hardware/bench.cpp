// Testbench: streams samples through the machine and records what comes out, and when.
//
//   bench INPUT OUTPUT SAMPLES INPUT_WORDS OUTPUT_WORDS STALL_SEED CYCLE_LIMIT RESET_CYCLE [STEPS ..]
//
// INPUT and OUTPUT are 32-bit words in the byte order of the host. A STALL_SEED other than 0 makes
// both sides of the stream pause at random. With a RESET_CYCLE other than 0, the hardware is reset in
// that cycle, and all samples are sent again from the first. STEPS are those that each engine of a
// stream (built with ASNET_ENGINES, their number) issues for a sample. Prints one JSON object; exit
// status 3: the limit of cycles was reached, 4: an output frame ended in the wrong place.
#include "Vtop.h"
#include "verilated.h"

#include <algorithm>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#ifndef ASNET_ENGINES
#define ASNET_ENGINES 0
#endif

namespace {
constexpr int kEngines = ASNET_ENGINES;

// How long an engine takes for a sample's steps, where nothing holds it up: the shortest time.
struct Engine {
  uint64_t steps, issued = 0, first = 0, shortest = UINT64_MAX;
};

struct Random { // xorshift64*
  uint64_t state;
  uint32_t next() {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return uint32_t((state * 2685821657736338717ull) >> 32);
  }
};

#if ASNET_ENGINES
// Verilator has words for wide ports, and a number for others.
template <typename T> bool isIssued(const T &port, int i) { return port >> i & 1; }
template <std::size_t n> bool isIssued(const VlWide<n> &port, int i) {
  return port[i / 32] >> (i % 32) & 1;
}
#endif
} // namespace

int main(int argc, char **argv) {
  if (argc != 9 + kEngines) {
    std::fprintf(stderr, "bench: %d arguments expected, got %d\n", 8 + kEngines, argc - 1);
    return 2;
  }
  const uint64_t samples = std::strtoull(argv[3], nullptr, 0);
  const uint64_t inputWords = std::strtoull(argv[4], nullptr, 0);
  const uint64_t outputWords = std::strtoull(argv[5], nullptr, 0);
  const uint64_t seed = std::strtoull(argv[6], nullptr, 0);
  const uint64_t limit = std::strtoull(argv[7], nullptr, 0);
  const uint64_t resetCycle = std::strtoull(argv[8], nullptr, 0);
  std::vector<Engine> engines;
  for (int i = 0; i < kEngines; ++i)
    engines.push_back({std::strtoull(argv[9 + i], nullptr, 0)});
  std::vector<uint32_t> input(samples * inputWords), output(samples * outputWords);
  std::FILE *file = std::fopen(argv[1], "rb");
  if (!file || std::fread(input.data(), 4, input.size(), file) != input.size()) {
    std::fprintf(stderr, "bench: cannot read %s\n", argv[1]);
    return 2;
  }
  std::fclose(file);

  VerilatedContext context;
  Vtop top(&context);
  Random random{seed * 0x9E3779B97F4A7C15ull + 1};
  std::vector<uint64_t> starts(samples), ends(samples);
  uint64_t cycle = 0, sent = 0, received = 0;
  top.s_axis_tlast = 0;
  auto reset = [&] {
    top.rst = 1;
    top.s_axis_tvalid = 0;
    top.m_axis_tready = 0;
    for (int i = 0; i < 4; ++i) {
      top.clk = 0;
      top.eval();
      top.clk = 1;
      top.eval();
    }
    top.rst = 0;
  };
  reset();
  for (; received < output.size() && cycle < limit; ++cycle) {
    if (resetCycle && cycle == resetCycle) {
      reset();
      sent = received = 0;
      for (Engine &engine : engines)
        engine.issued = 0;
    }
    // Once offered, a word stays on the bus until it is taken.
    if (sent < input.size()) {
      if (!top.s_axis_tvalid)
        top.s_axis_tvalid = !seed || random.next() % 4 != 0;
      top.s_axis_tdata = input[sent];
      top.s_axis_tlast = sent % inputWords == inputWords - 1;
    } else {
      top.s_axis_tvalid = 0;
    }
    top.m_axis_tready = !seed || random.next() % 3 != 0;
    top.clk = 0;
    top.eval();
    const bool in = top.s_axis_tvalid && top.s_axis_tready;
    const bool out = top.m_axis_tvalid && top.m_axis_tready;
    if (in && sent % inputWords == 0)
      starts[sent / inputWords] = cycle;
    if (out) {
      const bool last = received % outputWords == outputWords - 1;
      if (last != bool(top.m_axis_tlast)) {
        std::fprintf(stderr, "bench: tlast is %d with output word %" PRIu64 "\n",
                     int(top.m_axis_tlast), received);
        return 4;
      }
      output[received] = top.m_axis_tdata;
      if (last)
        ends[received / outputWords] = cycle;
      ++received;
    }
#if ASNET_ENGINES
    for (int i = 0; i < kEngines; ++i) {
      if (!isIssued(top.issue, i))
        continue;
      Engine &engine = engines[i];
      if (engine.issued++ == 0)
        engine.first = cycle;
      if (engine.issued == engine.steps) {
        engine.issued = 0;
        engine.shortest = std::min(engine.shortest, cycle + 1 - engine.first);
      }
    }
#endif
    top.clk = 1;
    top.eval();
    if (in) {
      ++sent;
      top.s_axis_tvalid = 0;
    }
  }
  if (received < output.size()) {
    std::fprintf(stderr, "bench: %" PRIu64 " of %zu words after %" PRIu64 " cycles\n", received,
                 output.size(), cycle);
    return 3;
  }
  file = std::fopen(argv[2], "wb");
  if (!file || std::fwrite(output.data(), 4, output.size(), file) != output.size() ||
      std::fclose(file) != 0) {
    std::fprintf(stderr, "bench: cannot write %s\n", argv[2]);
    return 2;
  }
  // From start to start; with one sample, as if the next could start right after its end.
  double between = samples > 1 ? double(starts[samples - 1] - starts[0]) / double(samples - 1)
                                     : double(ends[0] + 1 - starts[0]);
  // A stream takes the first samples in faster than it goes on: what leaves in the second half is at
  // its pace.
  const uint64_t half = samples / 2;
  if (kEngines && samples > 2)
    between = double(ends[samples - 1] - ends[half - 1]) / double(samples - half);
  std::printf("{\"cycles\": %" PRIu64 ", \"cycles_per_sample\": %.17g, \"latency_cycles\": %" PRIu64
              ", \"frame_error\": %d, \"busy_cycles\": [",
              cycle, between, ends[0] + 1 - starts[0], int(top.frame_error));
  for (int i = 0; i < kEngines; ++i)
    std::printf("%s%" PRIu64, i ? ", " : "", engines[i].shortest);
  std::printf("]}\n");
  top.final();
  return 0;
}
