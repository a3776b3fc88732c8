// SPDX-License-Identifier: Apache-2.0
// Number formats: what the elements of a network's tensors, the operands of a core and its result are.
// Python has them from here (tools/asnet-tables).

#ifndef DIALECTS_APPROX_FORMATS_H
#define DIALECTS_APPROX_FORMATS_H

#include "mlir/IR/BuiltinTypes.h"

#include <optional>
#include <string>

namespace asnet::approx {

/// A floating-point format as IEEE 754 lays it out.
struct FloatFormat {
  llvm::StringLiteral name; // of the type in MLIR
  unsigned exponentBits, fractionBits;

  constexpr unsigned getWidth() const { return 1 + exponentBits + fractionBits; }
  /// The NaN that a core sees, and that an exact core gives: quiet, positive, no payload.
  constexpr uint32_t getCanonicalNan() const {
    return ((1u << (exponentBits + 1)) - 1) << (fractionBits - 1);
  }
};

inline constexpr FloatFormat kFloatFormats[] = {{"f32", 8, 23}, {"bf16", 8, 7}, {"f16", 5, 10}};
inline constexpr const FloatFormat &kF32 = kFloatFormats[0];
inline constexpr uint32_t kCanonicalNan = kF32.getCanonicalNan();
static_assert(kCanonicalNan == 0x7FC00000);

/// The word that holds an f32, the canonical NaN for any NaN.
uint32_t getWord(const llvm::APFloat &number);

/// Integers have 2 to 32 bits: `i8` in two's complement, `u8` without a sign.
inline constexpr unsigned kLeastIntegerBits = 2, kMostIntegerBits = 32;

/// The format of a type among these, or null.
const FloatFormat *getFloatFormat(mlir::Type element);

/// Whether `element` is a signless integer that a format fits.
bool isIntegerOfFormat(mlir::Type element);

/// What bits mean: a floating-point format, or an integer.
struct NumberFormat {
  const FloatFormat *floating = nullptr;
  unsigned width = 0;
  bool isUnsigned = false;

  /// The format of numbers of a type, which says nothing about the sign of integers.
  static NumberFormat of(mlir::Type element, bool isUnsigned = false);

  /// `f32`, `i8`, `u8`.
  std::string getName() const;
};

} // namespace asnet::approx

#endif // DIALECTS_APPROX_FORMATS_H
