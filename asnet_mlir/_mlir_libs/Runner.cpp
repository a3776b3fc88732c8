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
  Worker(Plan &plan, const Layout &layout, const std::vector<Placement> &placements, char *memory) {
    size_t count = 0;
    for (const Stage &stage : plan.stages)
      count += stage.arguments.size();
    descriptors.resize(count);
    size_t next = 0;
    for (size_t number = 0; number < plan.stages.size(); ++number) {
      const Stage &stage = plan.stages[number];
      std::vector<void *> pointers;
      for (const StageArgument &argument : stage.arguments) {
        Descriptor &descriptor = descriptors[next++];
        pointers.push_back(&descriptor);
        if (argument.kind == StageArgument::Constant) {
          point(descriptor, reinterpret_cast<char *>(argument.payload));
        } else if (argument.kind == StageArgument::Arena) {
          point(descriptor, memory + layout.scratch[number]);
        } else if (char *base = placements[argument.payload].base) {
          moving.push_back({&descriptor, base, plan.valueSizes[argument.payload]});
        } else {
          point(descriptor, memory + layout.offsets[argument.payload]);
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

  std::vector<Descriptor> descriptors;
  std::vector<Moving> moving;
  std::vector<std::pair<Stage::Entry, std::vector<void *>>> calls;
};

Plan::~Plan() {
  for (auto &[hasBase, layout] : layouts)
    for (char *memory : layout.memories)
      std::free(memory);
}

Plan::Layout Plan::makeLayout(const std::vector<bool> &hasBase) const {
  Layout layout;
  layout.offsets.assign(valueSizes.size(), 0);
  layout.scratch.assign(stages.size(), 0);
  // What needs memory, from the first stage that names it to the last one.
  struct Item {
    int64_t size;
    size_t first, last;
    int64_t *offset;
  };
  std::vector<Item> items, placed;
  std::map<int64_t, size_t> itemOf;
  for (size_t number = 0; number < stages.size(); ++number)
    for (const StageArgument &argument : stages[number].arguments) {
      if (argument.kind == StageArgument::Arena) {
        items.push_back({align(argument.payload), number, number, &layout.scratch[number]});
      } else if (argument.kind == StageArgument::Value && !hasBase[argument.payload]) {
        auto [found, isNew] = itemOf.try_emplace(argument.payload, items.size());
        if (isNew)
          items.push_back({align(valueSizes[argument.payload]), number, number,
                           &layout.offsets[argument.payload]});
        items[found->second].last = number;
      }
    }
  // The largest first, each in the lowest gap among those that live at the same time.
  std::stable_sort(items.begin(), items.end(),
                   [](const Item &a, const Item &b) { return a.size > b.size; });
  for (Item &item : items) {
    int64_t offset = 0;
    for (const Item &other : placed) { // by offset
      if (other.first > item.last || other.last < item.first)
        continue;
      if (*other.offset - offset >= item.size)
        break;
      offset = std::max(offset, *other.offset + other.size);
    }
    *item.offset = offset;
    layout.size = std::max(layout.size, offset + item.size);
    placed.insert(
        std::upper_bound(placed.begin(), placed.end(), item,
                         [](const Item &a, const Item &b) { return *a.offset < *b.offset; }),
        item);
  }
  layout.size = std::max(layout.size, kAlignment);
  return layout;
}

Plan::Layout &Plan::layoutFor(const std::vector<Placement> &placements) {
  std::vector<bool> hasBase;
  for (const Placement &placement : placements)
    hasBase.push_back(placement.base != nullptr);
  std::lock_guard<std::mutex> lock(mutex);
  auto found = layouts.find(hasBase);
  if (found == layouts.end())
    found = layouts.emplace(hasBase, makeLayout(hasBase)).first;
  return found->second;
}

int64_t Plan::memoryOf(const std::vector<Placement> &placements) {
  return layoutFor(placements).size;
}

char *Plan::takeMemory(Layout &layout) {
  {
    std::lock_guard<std::mutex> lock(mutex);
    if (!layout.memories.empty()) {
      char *memory = layout.memories.back();
      layout.memories.pop_back();
      return memory;
    }
  }
  void *memory = std::aligned_alloc(kAlignment, layout.size);
  if (!memory)
    throw std::bad_alloc();
  return static_cast<char *>(memory);
}

void Plan::giveMemory(Layout &layout, char *memory) {
  std::lock_guard<std::mutex> lock(mutex);
  layout.memories.push_back(memory);
}

bool Plan::run(const std::vector<Placement> &placements, int64_t blocks, int64_t threads,
               const std::function<bool()> &interrupted) {
  threads = std::max<int64_t>(1, std::min(threads, blocks));
  Layout &layout = layoutFor(placements);
  std::vector<char *> taken;
  try {
    for (int64_t i = 0; i < threads; ++i)
      taken.push_back(takeMemory(layout));
  } catch (...) {
    for (char *memory : taken)
      giveMemory(layout, memory);
    throw;
  }
  std::atomic<int64_t> next{0};
  std::atomic<bool> stop{false};
  auto work = [&](char *memory, bool isCaller) {
    DefaultRounding rounding;
    Worker worker(*this, layout, placements, memory);
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
    giveMemory(layout, memory);
  return !stop;
}
} // namespace asnet
