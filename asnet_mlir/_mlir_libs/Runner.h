// SPDX-License-Identifier: Apache-2.0
// Runs the stages of a network over blocks of samples, on several threads.

#ifndef ASNET_MLIR_LIBS_RUNNER_H
#define ASNET_MLIR_LIBS_RUNNER_H

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

namespace asnet {

/// What a stage gets as one of its arguments.
struct StageArgument {
  enum Kind : int64_t { Value, Constant, Arena } kind;
  int64_t payload; // number of the value, address of the constant, or bytes of scratch memory
};

struct Stage {
  using Entry = void (*)(void **);
  Entry entry;
  std::vector<StageArgument> arguments;
};

/// Where the blocks of a value lie: `base + block * size`, or in a thread's own memory.
struct Placement {
  char *base; // null: each thread has one of its own, overwritten by every block
};

class Plan {
public:
  /// `valueSizes` are the bytes of a block of each value.
  Plan(std::vector<Stage> stages, std::vector<int64_t> valueSizes)
      : stages(std::move(stages)), valueSizes(std::move(valueSizes)) {}
  ~Plan();
  Plan(const Plan &) = delete;
  Plan &operator=(const Plan &) = delete;

  size_t countValues() const { return valueSizes.size(); }

  /// Bytes that each thread of such a run takes.
  int64_t memoryOf(const std::vector<Placement> &placements);

  /// Runs all stages on blocks 0..`blocks`, on up to `threads` threads of which the caller is one.
  /// `interrupted` is asked by the caller's thread between blocks; true ends the run early.  Returns
  /// whether all blocks were run.
  bool run(const std::vector<Placement> &placements, int64_t blocks, int64_t threads,
           const std::function<bool()> &interrupted);

private:
  class Worker;

  /// Where in a thread's memory values without a base and scratch memory of stages lie.  What is not
  /// needed at the same time shares its bytes.
  struct Layout {
    std::vector<int64_t> offsets, scratch; // by value, by stage
    int64_t size = 0;
    std::vector<char *> memories; // that no thread uses now
  };

  Layout &layoutFor(const std::vector<Placement> &placements);
  Layout makeLayout(const std::vector<bool> &hasBase) const;
  char *takeMemory(Layout &layout);
  void giveMemory(Layout &layout, char *memory);

  std::vector<Stage> stages;
  std::vector<int64_t> valueSizes;
  std::mutex mutex;
  std::map<std::vector<bool>, Layout> layouts; // by which values have a base
};

} // namespace asnet

#endif // ASNET_MLIR_LIBS_RUNNER_H
