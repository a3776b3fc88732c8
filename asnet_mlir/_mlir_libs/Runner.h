// SPDX-License-Identifier: Apache-2.0
// Runs the stages of a network over blocks of samples, on several threads.

#ifndef ASNET_MLIR_LIBS_RUNNER_H
#define ASNET_MLIR_LIBS_RUNNER_H

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

namespace asnet {

/// What a stage gets as one of its arguments.
struct StageArgument {
  enum Kind : int64_t { Value, Constant, Arena } kind;
  int64_t payload; // number of the value, or address of the constant
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
  Plan(std::vector<Stage> stages, std::vector<int64_t> valueSizes, int64_t arenaSize);
  ~Plan();
  Plan(const Plan &) = delete;
  Plan &operator=(const Plan &) = delete;

  size_t countValues() const { return valueSizes.size(); }

  /// Runs all stages on blocks 0..`blocks`, on up to `threads` threads of which the caller is one.
  /// `interrupted` is asked by the caller's thread between blocks; true ends the run early.  Returns
  /// whether all blocks were run.
  bool run(const std::vector<Placement> &placements, int64_t blocks, int64_t threads,
           const std::function<bool()> &interrupted);

private:
  class Worker;

  char *takeMemory();
  void giveMemory(char *memory);

  std::vector<Stage> stages;
  std::vector<int64_t> valueSizes, offsets; // of the values in a thread's memory
  int64_t arenaOffset, memorySize;
  std::mutex mutex;
  std::vector<char *> memories;
};

} // namespace asnet

#endif // ASNET_MLIR_LIBS_RUNNER_H
