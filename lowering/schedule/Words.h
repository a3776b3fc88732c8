// SPDX-License-Identifier: Apache-2.0
// What a word of generated hardware is, in both styles: a number of one floating-point format, or an
// integer of as many bits. Conditions have one bit.

#ifndef LOWERING_SCHEDULE_WORDS_H
#define LOWERING_SCHEDULE_WORDS_H

#include "dialects/approx/Formats.h"

namespace asnet {

inline constexpr const approx::FloatFormat &kWordFormat = approx::kF32;
inline constexpr unsigned kWordBits = kWordFormat.getWidth();

inline bool isFloatWord(mlir::Type type) { return approx::getFloatFormat(type) == &kWordFormat; }
inline bool isIntegerWord(mlir::Type type) { return type.isInteger(kWordBits); }
inline bool isWord(mlir::Type type) { return isFloatWord(type) || isIntegerWord(type); }
inline bool isBit(mlir::Type type) { return type.isInteger(1); }

/// What messages call the integers.
inline std::string getIntegerWordName() {
  return approx::NumberFormat{nullptr, kWordBits}.getName();
}

} // namespace asnet

#endif // LOWERING_SCHEDULE_WORDS_H
