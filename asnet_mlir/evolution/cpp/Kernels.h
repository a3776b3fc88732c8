// SPDX-License-Identifier: Apache-2.0
// Gates and errors over blocks of operand pairs, a pair in each bit: compiled once for every
// instruction set (CMakeLists.txt), the best of this machine chosen at run time.

#pragma once

#include <cstdint>
#include <limits>

namespace asnet::evolution {

/// Words of a block: 4,096 pairs, in registers of 512 bits eight.
constexpr unsigned kBlockWords = 64;
/// The most outputs that a circuit may have.
constexpr unsigned kMostOutputs = 64;
/// Weighted means that are kept beside the others.
constexpr unsigned kWeightings = 2;

/// A gate of two inputs: their words are inverted by the masks (0 or all ones).
struct GateOperation {
  const uint64_t *a, *b;
  uint64_t *result;
  uint64_t invertA, invertB;
  bool isXor;
};

/// What is added up over blocks.  An error is the result minus the exact one.
struct ErrorSums {
  uint64_t absolute = 0; ///< of |error|
  uint64_t wrong = 0;    ///< pairs whose result is not the exact one
  int64_t error = 0;     ///< of the error with its sign
  uint64_t worst = 0;    ///< the largest |error|
  /// Multiples of 2^-s of each block, s from the request: exact in any order of blocks.
  double weighted[kWeightings] = {};
  double weightedError = 0; ///< of the error with its sign, by the last weighting; likewise
};

/// Which sums a caller needs; the others are left as they are.
struct ErrorRequest {
  bool absolute, wrong, error, worst;
  /// For each weighting the weights of the block's pairs, or null.
  const double *weights[kWeightings];
  /// 2^s for each weighting.
  double scale[kWeightings];
  /// Above which a weighted sum need not be exact, only above.
  double most[kWeightings] = {std::numeric_limits<double>::infinity(),
                              std::numeric_limits<double>::infinity()};
  bool weightedError = false;
};

/// Where the weight of a block's pair (bit `pair % 64` of word `pair / 64`) stands among its weights.
constexpr unsigned weightPosition(unsigned pair) {
  const unsigned word = pair / 64, group = pair % 64 / 8, j = pair % 8;
  return ((word / 8 * 8 + group) * 8 + j) * 8 + word % 8;
}

/// Functions of one instruction set; all of them give the same values.
struct Kernels {
  const char *name;
  /// Computes gates, one after the other, on the block that begins `offset` words in.
  void (*gates)(const GateOperation *operations, unsigned count, uint64_t offset);
  /// Adds up a block's errors.  `outputs` and `exact` point to the block's words of each bit,
  /// lowest first; `inverted` are masks of the outputs.  Signed numbers are two's complement.
  void (*errors)(const uint64_t *const *outputs, const uint64_t *inverted,
                 const uint64_t *const *exact, unsigned bits, bool isSigned,
                 const ErrorRequest &request, ErrorSums &sums);
  /// Returns how many bits of a block differ.
  uint64_t (*distance)(const uint64_t *x, const uint64_t *y);
  /// Returns how many bits of `words` words are ones.
  uint64_t (*ones)(const uint64_t *x, uint64_t words);
};

/// The kernels of an instruction set ("avx512", "avx2", "baseline"), or null where this machine has
/// not got it; of the best one for null.
const Kernels *chooseKernels(const char *name);

} // namespace asnet::evolution
