// SPDX-License-Identifier: Apache-2.0
// What the loops of contractions for several kinds of vectors share.

#ifndef ASNET_MLIR_LIBS_CONTRACTION_VECTORS_H
#define ASNET_MLIR_LIBS_CONTRACTION_VECTORS_H

#include <cstddef>
#include <cstdint>

namespace asnet {

constexpr int64_t kVectorLanes = 16; // samples in a register of AVX-512, as sums of 32 bits
constexpr int64_t kRegister = 64; // its bytes
constexpr int64_t kHalfLanes = 8; // samples in one of AVX2

/// Bytes whose sum fits 16 bits.
constexpr int64_t kMostBytes = 257;

/// Scratch memory of this thread, at a multiple of 64 bytes.
uint8_t *scratch(size_t size);

inline int64_t roundUp(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

/// What a block of filters needs besides codes and weights.
struct Target {
  const int32_t *constants; // of the block's filters
  const int64_t *filters, *pixels; // offsets of sums; with AVX2 `pixels` are in words of 32 bits
  int32_t *sums;
  bool adds;
  int64_t lanes = kVectorLanes;
};

} // namespace asnet

#endif // ASNET_MLIR_LIBS_CONTRACTION_VECTORS_H
