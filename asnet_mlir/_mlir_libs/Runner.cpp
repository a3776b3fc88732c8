// SPDX-License-Identifier: Apache-2.0
#include "Runner.h"

#include <algorithm>
#include <cstdlib>
#include <new>
#include <thread>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace asnet {
namespace {
constexpr int64_t kAlignment = 64;

/// MLIR's descriptor of a ranked memref.  Stages take memrefs of static shape and identity layout,
/// of which native code reads no more than the aligned pointer.
struct Descriptor {
  void *allocated = nullptr, *aligned = nullptr;
  int64_t offset = 0;
};

/// Round to nearest, neither flush nor zero subnormals (docs/semantics.md, E2), for as long as it
/// lives: another library may have changed the mode of the thread.
class DefaultRounding {
public:
#if defined(__x86_64__)
  DefaultRounding() : before(_mm_getcsr()) { _mm_setcsr(0x1F80); }
  ~DefaultRounding() { _mm_setcsr(before); }

private:
  unsigned before;
#endif
};

int64_t align(int64_t size) { return (size + kAlignment - 1) / kAlignment * kAlignment; }
} // namespace

/// One thread's descriptors and memory.
class Plan::Worker {
public:
  Worker(Plan &plan, const std::vector<Placement> &placements, char *memory) : memory(memory) {
    size_t count = 0;
    for (const Stage &stage : plan.stages)
      count += stage.arguments.size();
    descriptors.resize(count);
    size_t next = 0;
    for (const Stage &stage : plan.stages) {
      std::vector<void *> pointers;
      for (const StageArgument &argument : stage.arguments) {
        Descriptor &descriptor = descriptors[next++];
        pointers.push_back(&descriptor);
        if (argument.kind == StageArgument::Constant) {
          point(descriptor, reinterpret_cast<char *>(argument.payload));
        } else if (argument.kind == StageArgument::Arena) {
          point(descriptor, memory + plan.arenaOffset);
        } else if (char *base = placements[argument.payload].base) {
          moving.push_back({&descriptor, base, plan.valueSizes[argument.payload]});
        } else {
          point(descriptor, memory + plan.offsets[argument.payload]);
        }
      }
      calls.emplace_back(stage.entry, std::move(pointers));
    }
  }

  void run(int64_t block) {
    for (const Moving &value : moving)
      point(*value.descriptor, value.base + block * value.size);
    for (auto &[entry, pointers] : calls)
      entry(pointers.data());
  }

private:
  struct Moving {
    Descriptor *descriptor;
    char *base;
    int64_t size;
  };

  static void point(Descriptor &descriptor, char *to) {
    descriptor.allocated = descriptor.aligned = to;
  }

  char *memory;
  std::vector<Descriptor> descriptors;
  std::vector<Moving> moving;
  std::vector<std::pair<Stage::Entry, std::vector<void *>>> calls;
};

Plan::Plan(std::vector<Stage> stages, std::vector<int64_t> valueSizes, int64_t arenaSize)
    : stages(std::move(stages)), valueSizes(std::move(valueSizes)) {
  int64_t size = 0;
  for (int64_t value : this->valueSizes) {
    offsets.push_back(size);
    size += align(value);
  }
  arenaOffset = size;
  memorySize = std::max(size + align(arenaSize), kAlignment);
}

Plan::~Plan() {
  for (char *memory : memories)
    std::free(memory);
}

char *Plan::takeMemory() {
  {
    std::lock_guard<std::mutex> lock(mutex);
    if (!memories.empty()) {
      char *memory = memories.back();
      memories.pop_back();
      return memory;
    }
  }
  void *memory = std::aligned_alloc(kAlignment, memorySize);
  if (!memory)
    throw std::bad_alloc();
  return static_cast<char *>(memory);
}

void Plan::giveMemory(char *memory) {
  std::lock_guard<std::mutex> lock(mutex);
  memories.push_back(memory);
}

bool Plan::run(const std::vector<Placement> &placements, int64_t blocks, int64_t threads,
               const std::function<bool()> &interrupted) {
  threads = std::max<int64_t>(1, std::min(threads, blocks));
  std::vector<char *> taken;
  try {
    for (int64_t i = 0; i < threads; ++i)
      taken.push_back(takeMemory());
  } catch (...) {
    for (char *memory : taken)
      giveMemory(memory);
    throw;
  }
  std::atomic<int64_t> next{0};
  std::atomic<bool> stop{false};
  auto work = [&](char *memory, bool isCaller) {
    DefaultRounding rounding;
    Worker worker(*this, placements, memory);
    while (!stop.load(std::memory_order_relaxed)) {
      int64_t block = next.fetch_add(1, std::memory_order_relaxed);
      if (block >= blocks)
        break;
      worker.run(block);
      if (isCaller && interrupted())
        stop = true;
    }
  };
  std::vector<std::thread> others;
  for (int64_t i = 1; i < threads; ++i)
    others.emplace_back(work, taken[i], false);
  work(taken[0], true);
  for (std::thread &other : others)
    other.join();
  for (char *memory : taken)
    giveMemory(memory);
  return !stop;
}
} // namespace asnet
