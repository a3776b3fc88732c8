// Testbench: streams samples through the machine and records what comes out, and when.
//
//   bench [--expect FILE] INPUT OUTPUT SAMPLES INPUT_WORDS OUTPUT_WORDS STALL_SEED CYCLE_LIMIT
//         RESET_CYCLE [STEPS ..] [--frames=N,N,..] [--progress]
//         [--layers=TABLE --layer-words=FILE] [--trace=FILE --trace-cycles=N]
//
// INPUT and OUTPUT are 32-bit words in the byte order of the host; an INPUT called *.hex is text, a
// word a line. With --expect, what comes out is compared with such words (a NaN equals any NaN), and
// PASS or every difference is said after the JSON. A STALL_SEED other than 0 makes
// both sides of the stream pause at random. With a RESET_CYCLE other than 0, the hardware is reset in
// that cycle, and all samples are sent again from the first. STEPS are those that each engine of a
// stream (built with ASNET_ENGINES, their number) issues for a sample.
//
// --frames sends frames of other lengths, one for each sample: a shorter one has the sample's first
// words, what a longer one has besides are any words. All of them have to be answered in their order,
// those of a wrong length with a tuser of 1 beside the last word; what answers a short one is not
// compared. frame_error has to say that there were such frames, and to be cleared.
//
// --progress writes a line `images cycles` to standard error twice a second. --trace writes a VCD
// file (built with VM_TRACE) until the first sample is out, at most N cycles. --layers compares what
// layers compute inside the hardware, as tb/observed.sv shows it (built with ASNET_LAYERS, the number
// of a stream's stages, or with ASNET_WRITES for the sequential machine), with the words of another
// file: `Layers`.
//
// Prints one JSON object; exit status 3: the limit of cycles was reached, 4: an output frame ended in
// the wrong place, or its tuser is wrong, 5: words differ from those expected, or frame_error is wrong.
#include "Vtop.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

#ifndef VM_TRACE
#define VM_TRACE 0
#endif
#ifndef ASNET_ENGINES
#define ASNET_ENGINES 0
#endif
#ifndef ASNET_LAYERS
#define ASNET_LAYERS 0
#endif
#ifndef ASNET_WRITES
#define ASNET_WRITES 0
#endif
#ifdef ASNET_INTEGERS // words that look like NaNs are none
constexpr bool kHasNans = false;
#else
constexpr bool kHasNans = true;
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

// Verilator has words for wide ports, and a number for others.
template <typename T> [[maybe_unused]] bool bitAt(const T &port, int i) { return port >> i & 1; }
template <std::size_t n> [[maybe_unused]] bool bitAt(const VlWide<n> &port, int i) {
  return port[i / 32] >> (i % 32) & 1;
}
template <typename T> [[maybe_unused]] uint32_t wordAt(const T &port, int i) {
  return uint32_t(port >> (32 * i));
}
template <std::size_t n> [[maybe_unused]] uint32_t wordAt(const VlWide<n> &port, int i) {
  return port[i];
}

// A file in memory: pages come and go with their use, so that any number of samples will do.
template <typename T> struct Mapped {
  const T *data = nullptr;

  bool open(const char *path, uint64_t count) {
    const int file = ::open(path, O_RDONLY);
    struct stat status;
    const bool fits =
        file >= 0 && fstat(file, &status) == 0 && uint64_t(status.st_size) >= count * sizeof(T);
    if (fits && status.st_size) {
      void *pages = mmap(nullptr, status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
      data = pages == MAP_FAILED ? nullptr : static_cast<const T *>(pages);
    }
    if (file >= 0)
      ::close(file);
    return data != nullptr;
  }
};

// Words of a file: mapped as they lie there, or read from text if it is called *.hex.
class Words {
public:
  bool open(const std::string &path, uint64_t count) {
    bool fits = true;
    if (path.size() > 4 && path.compare(path.size() - 4, 4, ".hex") == 0) {
      std::FILE *file = std::fopen(path.c_str(), "r");
      uint32_t word;
      while (file && text.size() < count && std::fscanf(file, "%" SCNx32, &word) == 1)
        text.push_back(word);
      if (file)
        std::fclose(file);
      fits = text.size() == count;
      data = text.data();
    } else {
      fits = mapped.open(path.c_str(), count);
      data = mapped.data;
    }
    if (!fits)
      std::fprintf(stderr, "bench: cannot read %" PRIu64 " words from %s\n", count, path.c_str());
    return fits;
  }
  uint32_t operator[](uint64_t i) const { return data[i]; }

private:
  Mapped<uint32_t> mapped;
  std::vector<uint32_t> text;
  const uint32_t *data = nullptr;
};

bool isNan(uint32_t word) { return kHasNans && (word & 0x7FFFFFFF) > 0x7F800000; }

bool isSame(uint32_t one, uint32_t two) { return one == two || (isNan(one) && isNan(two)); }

// What comes out, beside what should.
class Outputs {
public:
  explicit Outputs(uint64_t words) : words(words) {}
  bool open(const char *path, uint64_t count) { return expected.open(path, count); }
  void reset() { compared = different = 0; }

  void word(uint64_t i, uint32_t word) {
    ++compared;
    if (isSame(word, expected[i]))
      return;
    if (different < kShown)
      shown[different] = {i, word};
    ++different;
  }

  /// Prints the first differences and a line that begins with PASS or FAIL.
  bool print() const {
    for (uint64_t k = 0; k < kShown && k < different; ++k) {
      const auto [i, word] = shown[k];
      std::printf("image %" PRIu64 ", output %" PRIu64 ": hardware %08" PRIx32
                  ", expected %08" PRIx32 "\n",
                  i / words, i % words, word, expected[i]);
    }
    if (different)
      std::printf("FAIL: %" PRIu64 " of %" PRIu64 " words differ\n", different, compared);
    else
      std::printf("PASS: %" PRIu64 " words of %" PRIu64 " images\n", compared, compared / words);
    return different == 0;
  }

private:
  static constexpr uint64_t kShown = 10;
  uint64_t words, compared = 0, different = 0;
  Words expected;
  std::pair<uint64_t, uint32_t> shown[kShown];
};

// What layers compute, beside what they should. TABLE is 64-bit numbers: the values that a sample
// has, and for each of them whether it is floats, how many words it has and, of the sequential
// machine, the writes to the RAM that compute it and the addresses of its words. The words' file has
// all samples of the first value, then all of the second, ..
class Layers {
public:
  bool open(const char *table, const char *expected, uint64_t samples) {
    Mapped<uint64_t> numbers;
    if (!numbers.open(table, 1))
      return false;
    const uint64_t *at = numbers.data;
    uint64_t words = 0;
    values.resize(*at++);
    for (Value &value : values) {
      value.isFloat = *at++;
      value.words = *at++;
      value.start = words;
      if (ASNET_WRITES) {
        value.writes = *at++;
        value.addresses.assign(at, at + value.words);
        at += value.words;
        for (uint64_t address : value.addresses)
          if (address >= ram.size())
            ram.resize(address + 1);
      }
      words += samples * value.words;
    }
    this->samples = samples;
    return words == 0 || this->expected.open(expected, words);
  }

  void reset() {
    for (Value &value : values)
      value.image = value.position = value.mismatches = 0;
    current = written = 0;
  }

  /// The next word of a value, as a stream brings it.
  void word(uint64_t number, uint32_t word) {
    Value &value = values[number];
    if (value.image == samples)
      return;
    compare(value, value.position, word);
    if (++value.position == value.words) {
      value.position = 0;
      ++value.image;
    }
  }

  /// A write to the sequential machine's RAM. When the writes of a step are done, its words are.
  void write(uint64_t address, uint32_t word) {
    if (address >= ram.size())
      ram.resize(address + 1);
    ram[address] = word;
    if (++written < values[current].writes)
      return;
    written = 0;
    do { // A step may write to several buffers: those after the first have no writes of their own.
      Value &value = values[current];
      for (uint64_t k = 0; value.image != samples && k < value.words; ++k)
        compare(value, k, ram[value.addresses[k]]);
      value.image += value.image != samples;
      current = (current + 1) % values.size();
    } while (current && !values[current].writes);
  }

  void print() const {
    std::printf(", \"layers\": [");
    const char *comma = "";
    for (const Value &value : values) {
      std::printf("%s[%" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu32 ", %" PRIu32 ", %" PRIu64 "]",
                  comma, value.mismatches, value.firstImage, value.firstPosition, value.hardware,
                  value.software, value.image);
      comma = ", ";
    }
    std::printf("]");
  }

  bool empty() const { return values.empty(); }

private:
  struct Value {
    bool isFloat = false;
    uint64_t words = 0, writes = 0, start = 0;
    std::vector<uint64_t> addresses;
    uint64_t image = 0, position = 0;
    uint64_t mismatches = 0, firstImage = 0, firstPosition = 0;
    uint32_t hardware = 0, software = 0;
  };

  void compare(Value &value, uint64_t position, uint32_t word) {
    const uint32_t wanted = expected.data[value.start + value.image * value.words + position];
    if (word == wanted || (value.isFloat && isSame(word, wanted)))
      return;
    if (value.mismatches++)
      return;
    value.firstImage = value.image;
    value.firstPosition = position;
    value.hardware = word;
    value.software = wanted;
  }

  std::vector<Value> values;
  Mapped<uint32_t> expected;
  std::vector<uint32_t> ram;
  uint64_t samples = 0, current = 0, written = 0;
};

// The waveform of the first sample.
class Trace {
public:
#if VM_TRACE
  void open(VerilatedContext &context, Vtop &top, const std::string &path) {
    context.traceEverOn(true);
    top.trace(&file, 99);
    file.open(path.c_str());
    isOpen = file.isOpen();
  }
  void dump() {
    if (isOpen)
      file.dump(time);
    time += 5;
  }
  void close() {
    if (isOpen)
      file.close();
    isOpen = false;
  }
  bool isOpen = false;

private:
  VerilatedVcdC file;
  uint64_t time = 0;
#else
  void open(VerilatedContext &, Vtop &, const std::string &) {}
  void dump() {}
  void close() {}
  static constexpr bool isOpen = false;
#endif
};

// The command line; `read` says what is wrong with it.
struct Arguments {
  const char *expectedPath = nullptr, *inputPath = nullptr, *outputPath = nullptr;
  uint64_t samples = 0, inputWords = 0, outputWords = 0, seed = 0, limit = 0, resetCycle = 0;
  std::vector<Engine> engines;
  bool progress = false;
  std::vector<uint64_t> lengths; // of frames
  std::string table, layerWords, traceFile;
  uint64_t traceCycles = UINT64_MAX;

  bool read(int argc, char **argv) {
    if (argc > 2 && !std::strcmp(argv[1], "--expect")) {
      expectedPath = argv[2];
      argc -= 2;
      argv += 2;
    }
    if (argc < 9 + kEngines) {
      std::fprintf(stderr, "bench: %d arguments expected, got %d\n", 8 + kEngines, argc - 1);
      return false;
    }
    inputPath = argv[1];
    outputPath = argv[2];
    int at = 3;
    for (uint64_t *number : {&samples, &inputWords, &outputWords, &seed, &limit, &resetCycle})
      *number = std::strtoull(argv[at++], nullptr, 0);
    for (int i = 0; i < kEngines; ++i)
      engines.push_back({std::strtoull(argv[at++], nullptr, 0)});
    lengths.assign(samples, inputWords);
    for (; at < argc; ++at)
      if (!readOption(argv[at]))
        return false;
    return true;
  }

private:
  bool readOption(const std::string &option) {
    const std::string name = option.substr(0, option.find('='));
    const std::string value = name == option ? "" : option.substr(name.size() + 1);
    if (option == "--progress") {
      progress = true;
    } else if (name == "--frames") {
      const char *at = value.c_str();
      for (uint64_t &length : lengths) {
        char *end;
        length = std::strtoull(at, &end, 10);
        if (!length) {
          std::fprintf(stderr, "bench: '%s' are no %" PRIu64 " lengths\n", option.c_str(), samples);
          return false;
        }
        at = *end ? end + 1 : end;
      }
    } else if (name == "--layers" && (ASNET_LAYERS || ASNET_WRITES)) {
      table = value;
    } else if (name == "--layer-words") {
      layerWords = value;
    } else if (name == "--trace" && VM_TRACE) {
      traceFile = value;
    } else if (name == "--trace-cycles") {
      traceCycles = std::strtoull(value.c_str(), nullptr, 0);
    } else {
      std::fprintf(stderr, "bench: option '%s' is unknown or was not built in\n", option.c_str());
      return false;
    }
    return true;
  }
};

// The hardware between its two streams.
class Bench {
public:
  explicit Bench(const Arguments &given)
      : given(given), engines(given.engines), wanted(given.outputWords), top(&context),
        random{given.seed * 0x9E3779B97F4A7C15ull + 1}, starts(given.samples), ends(given.samples) {}

  // Opens the files; says which one it can't.
  bool open() {
    const Arguments &g = given;
    if (!input.open(g.inputPath, g.samples * g.inputWords) ||
        (g.expectedPath && !wanted.open(g.expectedPath, g.samples * g.outputWords)))
      return false;
    file = std::fopen(g.outputPath, "wb");
    if (!file) {
      std::fprintf(stderr, "bench: cannot write %s\n", g.outputPath);
      return false;
    }
    if (!g.table.empty() && !layers.open(g.table.c_str(), g.layerWords.c_str(), g.samples)) {
      std::fprintf(stderr, "bench: cannot read %s or %s\n", g.table.c_str(), g.layerWords.c_str());
      return false;
    }
    if (!g.traceFile.empty()) {
      trace.open(context, top, g.traceFile);
      if (!trace.isOpen) {
        std::fprintf(stderr, "bench: cannot write %s\n", g.traceFile.c_str());
        return false;
      }
    }
    return true;
  }

  // Streams all samples through; the exit status.
  int run() {
    top.s_axis_tlast = top.frame_error_clear = 0;
    reset();
    const uint64_t outputs = given.samples * given.outputWords;
    for (; received < outputs && cycle < given.limit && wrongSignal.empty(); ++cycle) {
      if (given.resetCycle && cycle == given.resetCycle)
        startAgain();
      if (given.progress && cycle % 4096 == 0)
        showProgress();
      step();
    }
    trace.close();
    int status = 0;
    if (!wrongSignal.empty()) {
      std::fprintf(stderr, "bench: %s with output word %" PRIu64 "\n", wrongSignal.c_str(),
                   received - 1);
      status = 4;
    } else if (received < outputs) {
      std::fprintf(stderr, "bench: %" PRIu64 " of %" PRIu64 " words after %" PRIu64 " cycles\n",
                   received, outputs, cycle);
      status = 3;
    }
    if (std::fclose(file) != 0 || failedWrite) {
      std::fprintf(stderr, "bench: cannot write %s\n", given.outputPath);
      return 2;
    }
    print();
    status = checkFrames(status);
    if (status || !given.expectedPath)
      return status;
    return wanted.print() ? 0 : 5;
  }

private:
  void half(bool clock) {
    top.clk = clock;
    top.eval();
    trace.dump();
  }

  void reset() {
    top.rst = 1;
    top.s_axis_tvalid = 0;
    top.m_axis_tready = 0;
    for (int i = 0; i < 4; ++i) {
      half(false);
      half(true);
    }
    top.rst = 0;
  }

  // Resets the hardware, and sends all samples again.
  void startAgain() {
    reset();
    sent = frame = received = 0;
    std::rewind(file);
    for (Engine &engine : engines)
      engine.issued = 0;
    layers.reset();
    wanted.reset();
  }

  void showProgress() {
    const auto now = std::chrono::steady_clock::now();
    if (now - shown < std::chrono::milliseconds(500))
      return;
    shown = now;
    std::fprintf(stderr, "%" PRIu64 " %" PRIu64 "\n", received / given.outputWords, cycle);
  }

  // One clock cycle.
  void step() {
    offer();
    half(false);
    const bool in = top.s_axis_tvalid && top.s_axis_tready;
    if (in && sent == 0)
      starts[frame] = cycle;
    if (top.m_axis_tvalid && top.m_axis_tready)
      take();
    observe();
    half(true);
    if (trace.isOpen && (++traced >= given.traceCycles || received >= given.outputWords))
      trace.close();
    if (in) {
      if (++sent == given.lengths[frame]) {
        sent = 0;
        ++frame;
      }
      top.s_axis_tvalid = 0;
    }
  }

  // Once offered, a word stays on the bus until it is taken.
  void offer() {
    if (frame < given.samples) {
      if (!top.s_axis_tvalid)
        top.s_axis_tvalid = !given.seed || random.next() % 4 != 0;
      top.s_axis_tdata =
          sent < given.inputWords ? input[frame * given.inputWords + sent] : ~uint32_t(sent);
      top.s_axis_tlast = sent == given.lengths[frame] - 1;
    } else {
      top.s_axis_tvalid = 0;
    }
    top.m_axis_tready = !given.seed || random.next() % 3 != 0;
  }

  // Takes a word out.
  void take() {
    const bool last = received % given.outputWords == given.outputWords - 1;
    const uint64_t length = given.lengths[received / given.outputWords];
    if (last != bool(top.m_axis_tlast))
      wrongSignal = last ? "tlast is 0" : "tlast is 1";
    if ((last && length != given.inputWords) != bool(top.m_axis_tuser))
      wrongSignal = top.m_axis_tuser ? "tuser is 1" : "tuser is 0";
    const uint32_t word = top.m_axis_tdata;
    failedWrite |= std::fwrite(&word, 4, 1, file) != 1;
    if (given.expectedPath && length >= given.inputWords)
      wanted.word(received, word);
    if (last)
      ends[received / given.outputWords] = cycle;
    ++received;
  }

  // Looks at what engines and layers do in this cycle.
  void observe() {
#if ASNET_ENGINES
    for (int i = 0; i < kEngines; ++i) {
      if (!bitAt(top.issue, i))
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
#if ASNET_LAYERS
    if (!layers.empty())
      for (int i = 0; i < ASNET_LAYERS; ++i)
        if (bitAt(top.layer_taken, i))
          layers.word(i, wordAt(top.layer_word, i));
#endif
#if ASNET_WRITES
    if (!layers.empty() && top.ram_write)
      layers.write(top.ram_address, top.ram_word);
#endif
  }

  void print() const {
    const uint64_t samples = given.samples;
    // From start to start; with one sample, as if the next could start right after its end.
    double between = samples > 1 ? double(starts[samples - 1] - starts[0]) / double(samples - 1)
                                 : double(ends[0] + 1 - starts[0]);
    // A stream takes the first samples in faster than it goes on: what leaves in the second half is
    // at its pace.
    const uint64_t middle = samples / 2;
    if (kEngines && samples > 2)
      between = double(ends[samples - 1] - ends[middle - 1]) / double(samples - middle);
    std::printf("{\"cycles\": %" PRIu64 ", \"cycles_per_sample\": %.17g, \"latency_cycles\": %" PRIu64
                ", \"frame_error\": %d, \"traced_cycles\": %" PRIu64 ", \"busy_cycles\": [",
                cycle, between, ends[0] + 1 - starts[0], int(top.frame_error), traced);
    for (int i = 0; i < kEngines; ++i)
      std::printf("%s%" PRIu64, i ? ", " : "", engines[i].shortest);
    std::printf("]");
    if (!layers.empty())
      layers.print();
    std::printf("}\n");
  }

  // Ends the simulation; where nothing else was wrong, 5 if frame_error is or can't be cleared.
  int checkFrames(int status) {
    const uint64_t wrong =
        given.samples - std::count(given.lengths.begin(), given.lengths.end(), given.inputWords);
    const bool error = top.frame_error;
    top.s_axis_tvalid = 0;
    top.frame_error_clear = 1;
    half(false);
    half(true);
    const bool kept = top.frame_error;
    top.final();
    if (status)
      return status;
    if (wrong && (!error || kept)) {
      std::fprintf(stderr, "bench: frame_error is %d after %" PRIu64 " frames of a wrong length, %d "
                   "after it was cleared\n", int(error), wrong, int(kept));
      return 5;
    }
    if (given.expectedPath && error && !wrong) {
      std::printf("FAIL: the hardware reports a wrong tlast, or a core that was too slow\n");
      return 5;
    }
    return 0;
  }

  const Arguments &given;
  std::vector<Engine> engines;
  Words input;
  Outputs wanted;
  Layers layers;
  std::FILE *file = nullptr;
  VerilatedContext context;
  Vtop top;
  Trace trace;
  Random random;
  std::vector<uint64_t> starts, ends; // cycles of each sample's first word in and last word out
  // Words of the frame that is being sent, and how many frames were.
  uint64_t cycle = 0, sent = 0, frame = 0, received = 0, traced = 0;
  bool failedWrite = false;
  std::string wrongSignal; // of the output, and its value
  std::chrono::steady_clock::time_point shown = std::chrono::steady_clock::now();
};
} // namespace

int main(int argc, char **argv) {
  Arguments given;
  if (!given.read(argc, argv))
    return 2;
  Bench bench(given);
  return bench.open() ? bench.run() : 2;
}
