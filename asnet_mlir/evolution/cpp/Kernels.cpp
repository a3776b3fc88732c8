// SPDX-License-Identifier: Apache-2.0
// Compiled once for each instruction set; ASNET_ISA is its name.  Plain loops that the compiler
// vectorises: nothing here depends on the width of registers.  Sums of doubles have a fixed order
// (eight partial sums), so that every instruction set gives the same bits.

#include "Kernels.h"

#include <algorithm>
#include <cmath>

namespace asnet::evolution {
namespace {

constexpr unsigned kLanes = 8;
/// Words side by side, in however many registers they take.
using Words = uint64_t __attribute__((vector_size(8 * kLanes), may_alias));
/// Weights, which may begin anywhere.
using Doubles = double __attribute__((vector_size(8 * kLanes), aligned(8), may_alias));

template <bool isXor>
inline void gate(const GateOperation &operation, uint64_t offset) {
  const uint64_t *a = operation.a + offset, *b = operation.b + offset;
  uint64_t *__restrict result = operation.result + offset;
  const uint64_t invertA = operation.invertA, invertB = operation.invertB;
  for (unsigned i = 0; i < kBlockWords; ++i) {
    uint64_t x = a[i] ^ invertA, y = b[i] ^ invertB;
    result[i] = isXor ? x ^ y : x & y;
  }
}

void gates(const GateOperation *operations, unsigned count, uint64_t offset) {
  for (unsigned g = 0; g < count; ++g) {
    if (operations[g].isXor)
      gate<true>(operations[g], offset);
    else
      gate<false>(operations[g], offset);
  }
}

inline uint64_t countOnes(const uint64_t *words) {
  uint64_t partial[kLanes] = {};
  for (unsigned i = 0; i < kBlockWords; i += kLanes)
    for (unsigned j = 0; j < kLanes; ++j)
      partial[j] += static_cast<uint64_t>(__builtin_popcountll(words[i + j]));
  uint64_t total = 0;
  for (uint64_t part : partial)
    total += part;
  return total;
}

/// Adds up values whose bits are `planes`, each inverted by `mask`.
inline uint64_t sumOfValues(const uint64_t (*planes)[kBlockWords], unsigned bits,
                            const uint64_t *mask) {
  uint64_t partial[kLanes] = {};
  for (unsigned k = 0; k < bits; ++k)
    for (unsigned i = 0; i < kBlockWords; i += kLanes)
      for (unsigned j = 0; j < kLanes; ++j)
        partial[j] += static_cast<uint64_t>(__builtin_popcountll(planes[k][i + j] ^ mask[i + j]))
                      << k;
  uint64_t total = 0;
  for (uint64_t part : partial)
    total += part;
  return total;
}

/// Exchanges rows and columns of 8 x 8 matrices of bits, a row in each byte.
inline void transpose(Words &x) {
  Words t = (x ^ (x >> 7)) & 0x00AA00AA00AA00AAull;
  x ^= t ^ (t << 7);
  t = (x ^ (x >> 14)) & 0x0000CCCC0000CCCCull;
  x ^= t ^ (t << 14);
  t = (x ^ (x >> 28)) & 0x00000000F0F0F0F0ull;
  x ^= t ^ (t << 28);
}

/// Adds up weight times value, of values whose bits are in `planes`.  Weights are in the order of
/// `weightPosition`, so that eight words are handled side by side.  Of a sum above `most` only so
/// much is computed that it is above.
double weightedSum(const uint64_t (*planes)[kBlockWords], unsigned bits, const double *weights,
                   double most) {
  Doubles partial = {};
  const unsigned bytes = (bits + 7) / 8;
  double total = 0;
  for (unsigned i = 0; i < kBlockWords; i += kLanes) {
    for (unsigned group = 0; group < 8; ++group, weights += 64) {
      Words value[8] = {};
      for (unsigned byte = 0; byte < bytes; ++byte) {
        // Eight bits of eight pairs of each word, as a matrix whose columns are the pairs.
        const unsigned low = 8 * byte, high = std::min(bits, low + 8);
        Words rows = {};
        for (unsigned k = low; k < high; ++k) {
          const Words plane = *reinterpret_cast<const Words *>(planes[k] + i);
          rows |= (plane >> (8 * group) & 0xFF) << (8 * (k - low));
        }
        transpose(rows);
        for (unsigned j = 0; j < 8; ++j)
          value[j] |= (rows >> (8 * j) & 0xFF) << (8 * byte);
      }
      // A number below 2^52, put into the mantissa of 2^52: what every processor converts quickly.
      for (unsigned j = 0; j < 8; ++j) {
        const Words inMantissa = value[j] | 0x4330000000000000ull;
        partial += *reinterpret_cast<const Doubles *>(weights + kLanes * j) *
                   (reinterpret_cast<const Doubles &>(inMantissa) - 0x1p52);
      }
    }
    total = 0;
    for (unsigned lane = 0; lane < kLanes; ++lane)
      total += partial[lane];
    if (total > most)
      break;
  }
  return total;
}

void errors(const uint64_t *const *outputs, const uint64_t *inverted, const uint64_t *const *exact,
            unsigned bits, bool isSigned, const ErrorRequest &request, ErrorSums &sums) {
  alignas(64) uint64_t difference[kMostOutputs + 1][kBlockWords];
  alignas(64) uint64_t borrow[kBlockWords] = {};
  for (unsigned k = 0; k < bits; ++k) {
    // With their highest bits inverted, signed numbers are unsigned ones of the same difference.
    const uint64_t flip = isSigned && k + 1 == bits ? ~0ull : 0;
    const uint64_t invert = inverted[k] ^ flip;
    const auto *y = reinterpret_cast<const Words *>(outputs[k]);
    const auto *x = reinterpret_cast<const Words *>(exact[k]);
    auto *d = reinterpret_cast<Words *>(difference[k]);
    auto *borrows = reinterpret_cast<Words *>(borrow);
    for (unsigned i = 0; i < kBlockWords / kLanes; ++i) {
      const Words left = y[i] ^ invert, right = x[i] ^ flip, differ = left ^ right;
      d[i] = differ ^ borrows[i];
      borrows[i] = (differ & right) | (~differ & borrows[i]);
    }
  }
  // `borrow` is the sign now.  |d| is d, or where it is negative its one's complement, and 1.
  if (request.absolute)
    sums.absolute += sumOfValues(difference, bits, borrow) + countOnes(borrow);
  if (request.error) {
    alignas(64) const uint64_t none[kBlockWords] = {};
    const uint64_t total = sumOfValues(difference, bits, none);
    sums.error += static_cast<int64_t>(total - (countOnes(borrow) << bits));
  }
  if (request.wrong) {
    alignas(64) uint64_t any[kBlockWords] = {};
    for (unsigned k = 0; k < bits; ++k)
      for (unsigned i = 0; i < kBlockWords; ++i)
        any[i] |= difference[k][i];
    sums.wrong += countOnes(any);
  }
  constexpr unsigned kLast = kWeightings - 1;
  if (request.weightedError && request.weights[kLast]) {
    // Two's complement, whose highest bit is `borrow`.
    const double infinity = std::numeric_limits<double>::infinity();
    const double low = weightedSum(difference, bits, request.weights[kLast], infinity);
    const double high = weightedSum(&borrow, 1, request.weights[kLast], infinity);
    const double sum = low - std::ldexp(high, static_cast<int>(bits));
    sums.weightedError += std::nearbyint(sum * request.scale[kLast]) / request.scale[kLast];
  }
  const bool isWeighted = request.weights[0] || request.weights[1];
  if (!request.worst && !isWeighted)
    return;
  alignas(64) uint64_t carry[kBlockWords];
  std::copy(borrow, borrow + kBlockWords, carry);
  for (unsigned k = 0; k < bits; ++k)
    for (unsigned i = 0; i < kBlockWords; ++i) {
      const uint64_t bit = difference[k][i] ^ borrow[i];
      difference[k][i] = bit ^ carry[i];
      carry[i] &= bit;
    }
  for (unsigned i = 0; i < kBlockWords; ++i)
    difference[bits][i] = carry[i];
  if (request.worst) {
    // From the highest bit down: of the pairs that are still largest, keep those with a one.
    alignas(64) uint64_t largest[kBlockWords];
    std::fill(largest, largest + kBlockWords, ~0ull);
    uint64_t worst = 0;
    for (unsigned k = bits + 1; k-- > 0;) {
      uint64_t any = 0;
      for (unsigned i = 0; i < kBlockWords; ++i)
        any |= largest[i] & difference[k][i];
      if (!any)
        continue;
      worst |= 1ull << k;
      for (unsigned i = 0; i < kBlockWords; ++i)
        largest[i] &= difference[k][i];
    }
    sums.worst = std::max(sums.worst, worst);
  }
  for (unsigned w = 0; w < kWeightings; ++w)
    if (request.weights[w]) {
      // Two units of the scale more, so that what is rounded is above as well.
      const double most = request.most[w] - sums.weighted[w] + 2 / request.scale[w];
      const double sum = weightedSum(difference, bits + 1, request.weights[w], most);
      sums.weighted[w] += std::nearbyint(sum * request.scale[w]) / request.scale[w];
    }
}

uint64_t distance(const uint64_t *x, const uint64_t *y) {
  alignas(64) uint64_t difference[kBlockWords];
  for (unsigned i = 0; i < kBlockWords; ++i)
    difference[i] = x[i] ^ y[i];
  return countOnes(difference);
}

uint64_t ones(const uint64_t *x, uint64_t words) {
  uint64_t total = 0;
  for (uint64_t i = 0; i < words; i += kBlockWords)
    total += countOnes(x + i);
  return total;
}

} // namespace

#define ASNET_JOIN_(x, y) x##y
#define ASNET_JOIN(x, y) ASNET_JOIN_(x, y)
#define ASNET_TEXT_(x) #x
#define ASNET_TEXT(x) ASNET_TEXT_(x)
extern const Kernels ASNET_JOIN(kernels_, ASNET_ISA);
const Kernels ASNET_JOIN(kernels_, ASNET_ISA) = {ASNET_TEXT(ASNET_ISA), gates, errors, distance,
                                                 ones};

} // namespace asnet::evolution
