// SPDX-License-Identifier: Apache-2.0
// What circuits are measured against: operand pairs and their exact results, bit by bit.

#pragma once

#include "Kernels.h"

#include <cstdlib>
#include <memory>
#include <vector>

namespace asnet::evolution {

/// An array whose words begin where registers of 512 bits want them.
class Plane {
public:
  explicit Plane(uint64_t words)
      : data(static_cast<uint64_t *>(std::aligned_alloc(64, words * sizeof(uint64_t)))) {
    if (!data)
      throw std::bad_alloc();
  }
  uint64_t *get() const { return data.get(); }

private:
  struct Free {
    void operator()(uint64_t *pointer) const { std::free(pointer); }
  };
  std::unique_ptr<uint64_t, Free> data;
};

/// A gate over literals: twice a variable's number, plus 1 where it is inverted.  Variable 0 is
/// the constant false, then come the inputs, then the gates.
struct Gate {
  uint32_t a, b;
  bool isXor;
};

/// Gates whose operands stand before them.
struct Circuit {
  std::vector<Gate> gates;
  std::vector<uint32_t> outputs;
};

struct Problem {
  uint64_t words; ///< of each plane that errors are of: whole blocks
  /// Words of `inputs` behind these: pairs drawn as operands occur, of which signals' activity is.
  /// Without any it is of the pairs that errors are of.
  uint64_t drawnWords = 0;
  bool isSigned;
  std::vector<Plane> inputs, exact;
  std::vector<double> weights[kWeightings]; ///< in the order of `weightPosition`; empty: none
  double scale[kWeightings]; ///< see `ErrorRequest`
  /// Blocks up to the last one with a pair of `weights[1]`, where pairs are sorted by these, the
  /// largest first; else 0.
  unsigned weightedBlocks = 0;
  const Kernels *kernels;

  uint64_t pairs() const { return 64 * words; }
  uint64_t allWords() const { return words + drawnWords; }
  uint64_t activityOffset() const { return drawnWords ? words : 0; }
  uint64_t activityWords() const { return drawnWords ? drawnWords : words; }
  unsigned blocks() const { return static_cast<unsigned>(words / kBlockWords); }
};

/// Error figures, of all pairs.
enum class Metric { MAE, WCE, EP, Bias, Weighted0, Weighted1, WeightedBias };
constexpr unsigned kMetrics = 7;

/// Returns a figure: MAE, both |biases| and the weighted ones are means, EP is a share of the pairs.
double figure(Metric metric, const ErrorSums &sums, uint64_t pairs);

/// Measures a circuit on all pairs, every sum.
ErrorSums measure(const Problem &problem, const Circuit &circuit);

/// Counts the ones of each gate, over the pairs that activity is of.
std::vector<uint64_t> countOnes(const Problem &problem, const Circuit &circuit);

/// Measures a circuit against an exact one on the pairs of some blocks of all pairs, where pair
/// number n has bit k of the inputs as its bit k; the weighted sums stay 0.  `worstBlock` is where
/// the largest error is.
ErrorSums measureAll(const Kernels &kernels, unsigned inputs, bool isSigned, const Circuit &circuit,
                     const Circuit &exact, uint64_t firstBlock, uint64_t blocks,
                     uint64_t &worstBlock);

} // namespace asnet::evolution
