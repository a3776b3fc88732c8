// Testbench: streams samples through the machine and records what comes out, and when.
//
//   bench [--expect FILE] INPUT OUTPUT SAMPLES INPUT_WORDS OUTPUT_WORDS STALL_SEED CYCLE_LIMIT
//         RESET_CYCLE [STEPS ..]
//
// INPUT and OUTPUT are 32-bit words in the byte order of the host; an INPUT called *.hex is text, a
// word a line. With --expect, what comes out is compared with such words (a NaN equals any NaN), and
// PASS or every difference is said after the JSON. A STALL_SEED other than 0 makes
// both sides of the stream pause at random. With a RESET_CYCLE other than 0, the hardware is reset in
// that cycle, and all samples are sent again from the first. STEPS are those that each engine of a
// stream (built with ASNET_ENGINES, their number) issues for a sample. Prints one JSON object; exit
// status 3: the limit of cycles was reached, 4: an output frame ended in the wrong place, 5: words
// differ from those expected, or an input frame's end was not where the hardware wants it.
#include "Vtop.h"
#include "verilated.h"

#include <algorithm>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
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

// Fills `words` from a file, text if it is called *.hex; otherwise as they lie in memory.
bool readWords(const std::string &path, std::vector<uint32_t> &words) {
  const bool text = path.size() > 4 && path.compare(path.size() - 4, 4, ".hex") == 0;
  std::FILE *file = std::fopen(path.c_str(), text ? "r" : "rb");
  std::size_t read = 0;
  if (file && text)
    while (read < words.size() && std::fscanf(file, "%" SCNx32, &words[read]) == 1)
      ++read;
  else if (file)
    read = std::fread(words.data(), 4, words.size(), file);
  if (file)
    std::fclose(file);
  if (read != words.size())
    std::fprintf(stderr, "bench: cannot read %zu words from %s\n", words.size(), path.c_str());
  return read == words.size();
}

bool isNaN(uint32_t word) { return (word & 0x7fffffffu) > 0x7f800000u; }

// Prints the first differences and a line that begins with PASS or FAIL.
bool matches(const std::vector<uint32_t> &got, const std::vector<uint32_t> &expected,
             uint64_t outputWords) {
  uint64_t different = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (got[i] == expected[i] || (isNaN(got[i]) && isNaN(expected[i])))
      continue;
    if (different++ < 10)
      std::printf("image %" PRIu64 ", output %" PRIu64 ": hardware %08" PRIx32
                  ", expected %08" PRIx32 "\n",
                  i / outputWords, i % outputWords, got[i], expected[i]);
  }
  if (different)
    std::printf("FAIL: %" PRIu64 " of %zu words differ\n", different, got.size());
  else
    std::printf("PASS: %zu words of %" PRIu64 " images\n", got.size(),
                uint64_t(got.size() / outputWords));
  return different == 0;
}

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
  const char *expectedPath = nullptr;
  if (argc > 2 && !std::strcmp(argv[1], "--expect")) {
    expectedPath = argv[2];
    argc -= 2;
    argv += 2;
  }
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
  std::vector<uint32_t> expected(expectedPath ? output.size() : 0);
  if (!readWords(argv[1], input) || (expectedPath && !readWords(expectedPath, expected)))
    return 2;

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
  std::FILE *file = std::fopen(argv[2], "wb");
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
  if (expectedPath && top.frame_error) {
    std::printf("FAIL: the hardware reports a wrong tlast\n");
    return 5;
  }
  if (expectedPath && !matches(output, expected, outputWords))
    return 5;
  return 0;
}
