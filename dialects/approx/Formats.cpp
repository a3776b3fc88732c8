// SPDX-License-Identifier: Apache-2.0
#include "dialects/approx/Formats.h"

#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace asnet::approx;

uint32_t asnet::approx::getWord(const APFloat &number) {
  return number.isNaN() ? kCanonicalNan : number.bitcastToAPInt().getZExtValue();
}

const FloatFormat *asnet::approx::getFloatFormat(Type element) {
  if (element.isF32())
    return &kFloatFormats[0];
  if (element.isBF16())
    return &kFloatFormats[1];
  if (element.isF16())
    return &kFloatFormats[2];
  return nullptr;
}

bool asnet::approx::isIntegerOfFormat(Type element) {
  return element.isSignlessInteger() && element.getIntOrFloatBitWidth() >= kLeastIntegerBits &&
         element.getIntOrFloatBitWidth() <= kMostIntegerBits;
}

NumberFormat NumberFormat::of(Type element, bool isUnsigned) {
  return {getFloatFormat(element), element.getIntOrFloatBitWidth(), isUnsigned};
}

std::string NumberFormat::getName() const {
  if (floating)
    return floating->name.str();
  return (isUnsigned ? "u" : "i") + std::to_string(width);
}
