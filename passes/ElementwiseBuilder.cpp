// SPDX-License-Identifier: Apache-2.0
#include "passes/ExpandMath.h"

using namespace mlir;

namespace asnet {
ElementwiseBuilder::ElementwiseBuilder(OpBuilder &builder, Location loc, Type type)
    : b(loc, builder), type(type), floatType(b.getF32Type()), intType(b.getI32Type()) {
  assert(supports(type));
  if (auto shaped = dyn_cast<ShapedType>(type)) {
    floatType = shaped.clone(floatType);
    intType = shaped.clone(intType);
  }
}

bool ElementwiseBuilder::supports(Type type) {
  if (!approx::getFloatFormat(getElementTypeOrSelf(type)))
    return false;
  // A constant needs a static shape.
  if (auto vector = dyn_cast<VectorType>(type))
    return !vector.isScalable();
  if (auto tensor = dyn_cast<RankedTensorType>(type))
    return tensor.hasStaticShape();
  return !isa<ShapedType>(type);
}

Value ElementwiseBuilder::widen(Value value) {
  return value.getType() == floatType ? value : arith::ExtFOp::create(b, floatType, value);
}

Value ElementwiseBuilder::widenBits(Value value) {
  Type half = b.getI16Type();
  if (auto shaped = dyn_cast<ShapedType>(value.getType()))
    half = shaped.clone(half);
  Value bits = arith::ExtUIOp::create(b, intType, arith::BitcastOp::create(b, half, value));
  return arith::BitcastOp::create(b, floatType, shli(bits, i32(16)));
}

Value ElementwiseBuilder::narrow(Value value) {
  using arith::CmpIPredicate;
  const approx::FloatFormat &format = *approx::getFloatFormat(getElementTypeOrSelf(type));
  if (type == floatType)
    return value;
  // Not by `arith.truncf`: x86's instruction for bf16 flushes subnormals.
  unsigned cut = approx::kF32.fractionBits - format.fractionBits;
  auto roundedShift = [&](Value number, Value amount) {
    // To nearest, ties to even: half a unit less one, and one more where the unit's bit is set.
    Value half = shli(i32(1), subi(amount, i32(1)));
    Value tie = andi(shrui(number, amount), i32(1));
    return shrui(addi(addi(number, subi(half, i32(1))), tie), amount);
  };
  Value bits = arith::BitcastOp::create(b, intType, value);
  Value magnitude = andi(bits, i32(0x7FFFFFFF));
  // A carry runs from the fraction into the exponent, and at its end into infinity.
  Value result;
  if (format.exponentBits == approx::kF32.exponentBits) {
    result = roundedShift(magnitude, i32(cut));
  } else {
    unsigned rebias = 127 - ((1u << (format.exponentBits - 1)) - 1);
    uint32_t infinity = ((1u << format.exponentBits) - 1) << format.fractionBits;
    result = roundedShift(subi(magnitude, i32(rebias << 23)), i32(cut));
    result = select(cmpi(CmpIPredicate::ugt, result, i32(infinity)), i32(infinity), result);
    // Below the format's normal numbers: units of the smallest one, 2^(rebias - 126 - fraction).
    Value exponent = shrui(magnitude, i32(23));
    Value significand = ori(andi(magnitude, i32(0x007FFFFF)), i32(0x00800000));
    Value shift = subi(i32(rebias + 1 + cut), exponent);
    Value subnormal = roundedShift(significand, minsi(maxsi(shift, i32(1)), i32(25)));
    result = select(cmpi(CmpIPredicate::ule, exponent, i32(rebias)), subnormal, result);
    result = select(cmpi(CmpIPredicate::uge, magnitude, i32(0x7F800000)), i32(infinity), result);
  }
  Value sign = shrui(andi(bits, i32(0x80000000)), i32(16));
  result = select(isNan(value), i32(format.getCanonicalNan()), ori(result, sign));
  Type half = b.getI16Type();
  if (auto shaped = dyn_cast<ShapedType>(type))
    half = shaped.clone(half);
  return arith::BitcastOp::create(b, type, arith::TruncIOp::create(b, half, result));
}

Value ElementwiseBuilder::constant(TypedAttr element, Type type) {
  if (auto shaped = dyn_cast<ShapedType>(type))
    element = DenseElementsAttr::get(shaped, cast<Attribute>(element));
  return arith::ConstantOp::create(b, element);
}

Value ElementwiseBuilder::f32(float value) { return constant(b.getF32FloatAttr(value), floatType); }

Value ElementwiseBuilder::i32(uint32_t value) {
  return constant(b.getI32IntegerAttr(static_cast<int32_t>(value)), intType);
}

Value ElementwiseBuilder::nan() {
  APFloat value(APFloat::IEEEsingle(), APInt(32, approx::kCanonicalNan));
  return constant(b.getFloatAttr(b.getF32Type(), value), floatType);
}

Value ElementwiseBuilder::addf(Value lhs, Value rhs) { return approx::AddFOp::create(b, lhs, rhs); }
Value ElementwiseBuilder::mulf(Value lhs, Value rhs) { return approx::MulFOp::create(b, lhs, rhs); }

Value ElementwiseBuilder::divf(Value lhs, Value rhs) { return approx::DivFOp::create(b, lhs, rhs); }

Value ElementwiseBuilder::toBits(Value value) {
  Value isNan = cmpf(arith::CmpFPredicate::UNO, value, value);
  return select(isNan, i32(approx::kCanonicalNan), arith::BitcastOp::create(b, intType, value));
}

Value ElementwiseBuilder::fromBits(Value bits) {
  return arith::BitcastOp::create(b, floatType, bits);
}

Value ElementwiseBuilder::absf(Value value) {
  return fromBits(andi(toBits(value), i32(0x7FFFFFFF)));
}

Value ElementwiseBuilder::flipSign(Value value, Value signBit) {
  return fromBits(xori(toBits(value), signBit));
}

Value ElementwiseBuilder::isNan(Value value) {
  return cmpf(arith::CmpFPredicate::UNO, value, value);
}

Value ElementwiseBuilder::horner(Value x, ArrayRef<float> coefficients) {
  Value p = f32(coefficients.front());
  for (float coefficient : coefficients.drop_front())
    p = addf(mulf(p, x), f32(coefficient));
  return p;
}

#define BINARY(NAME, OP)                                                                           \
  Value ElementwiseBuilder::NAME(Value lhs, Value rhs) { return arith::OP::create(b, lhs, rhs); }
BINARY(addi, AddIOp)
BINARY(subi, SubIOp)
BINARY(andi, AndIOp)
BINARY(ori, OrIOp)
BINARY(xori, XOrIOp)
BINARY(maxsi, MaxSIOp)
BINARY(minsi, MinSIOp)
BINARY(shli, ShLIOp)
BINARY(shrui, ShRUIOp)
BINARY(shrsi, ShRSIOp)
#undef BINARY

Value ElementwiseBuilder::cmpi(arith::CmpIPredicate predicate, Value lhs, Value rhs) {
  return arith::CmpIOp::create(b, predicate, lhs, rhs);
}

Value ElementwiseBuilder::cmpf(arith::CmpFPredicate predicate, Value lhs, Value rhs) {
  return arith::CmpFOp::create(b, predicate, lhs, rhs);
}

Value ElementwiseBuilder::select(Value condition, Value ifTrue, Value ifFalse) {
  return arith::SelectOp::create(b, condition, ifTrue, ifFalse);
}

std::pair<Value, Value> ElementwiseBuilder::normalize(Value value, unsigned top, unsigned bits) {
  assert(llvm::isPowerOf2_32(bits) && top < 32);
  Value shift = i32(0);
  for (unsigned step = bits / 2; step != 0; step /= 2) {
    // Room for `step` zeros above: below 2^(top + 1 - step).
    Value fits = cmpi(arith::CmpIPredicate::ult, value, i32(uint32_t(1) << (top + 1 - step)));
    value = select(fits, shli(value, i32(step)), value);
    shift = select(fits, addi(shift, i32(step)), shift);
  }
  return {value, shift};
}

Value ElementwiseBuilder::extendedBits(Value value) {
  Value magnitude = andi(toBits(value), i32(0x7FFFFFFF));
  // Normal numbers have a bit at 23 or above, so that only subnormal ones are shifted.
  auto [normal, shift] = normalize(magnitude, 23, 32);
  return subi(normal, shli(shift, i32(23)));
}

Value ElementwiseBuilder::integerToFloat(Value value, unsigned bits, bool isSigned) {
  using arith::CmpIPredicate;
  Value sign = isSigned ? andi(value, i32(0x80000000)) : i32(0);
  Value isNegative = cmpi(CmpIPredicate::ne, sign, i32(0));
  Value magnitude = isSigned ? select(isNegative, subi(i32(0), value), value) : value;
  // The leading one goes to bit 31; the significand is what remains above bit 8, rounded.
  Value aligned = bits < 32 ? shli(magnitude, i32(32 - bits)) : magnitude;
  auto [normal, shift] = normalize(aligned, 31, bits);
  Value significand = shrui(normal, i32(8));
  if (bits > 24) {
    Value rest = addi(andi(normal, i32(0xFF)), andi(significand, i32(1)));
    significand = addi(significand, shrui(addi(rest, i32(0x7F)), i32(8)));
  }
  // The significand's leading one adds 1 to the exponent, a carry of the rounding another.
  Value exponent = shli(subi(i32(127 + bits - 2), shift), i32(23));
  Value result = addi(significand, exponent);
  result = select(cmpi(CmpIPredicate::eq, magnitude, i32(0)), i32(0), result);
  return fromBits(ori(result, sign));
}

ElementwiseBuilder::Integer ElementwiseBuilder::roundToInteger(Value value) {
  using arith::CmpIPredicate;
  // With biased exponent e and significand m (24 bits), |value| = m 2^(e-150).  The point lies
  // 150 - e bits to the left of m's end: half of the integer's unit is added there, the fraction cut.
  // Kept within 16..25: from 25 on the sum shifts to 0; 16 and e = 135 is |value| = 256.
  Value bits = toBits(value);
  Value sign = andi(bits, i32(0x80000000));
  Value magnitude = andi(bits, i32(0x7FFFFFFF));
  Value exponent = shrui(magnitude, i32(23));
  Value shift = minsi(maxsi(subi(i32(150), exponent), i32(16)), i32(25));
  Value half = shli(i32(1), subi(shift, i32(1)));

  Value significand = ori(andi(bits, i32(0x007FFFFF)), i32(0x00800000));
  Value count = shrui(addi(significand, half), shift);
  // The same on the float's own bits: a carry runs from the significand into the exponent.
  Value fractionMask = subi(shli(half, i32(1)), i32(1));
  Value rounded = andi(addi(magnitude, half), xori(fractionMask, i32(0xFFFFFFFF)));

  // Below 1, there is no bit for the integer in the significand: 0.5 and above is 1, else 0.
  Value atLeastOne = cmpi(CmpIPredicate::uge, exponent, i32(127));
  Value atLeastHalf = cmpi(CmpIPredicate::uge, exponent, i32(126));
  Value large = cmpi(CmpIPredicate::uge, exponent, i32(135));
  rounded = select(atLeastOne, rounded, select(atLeastHalf, i32(0x3F800000), i32(0)));
  rounded = select(large, i32(0x43800000), rounded);
  count = select(large, i32(256), count);

  Value isNegative = cmpi(CmpIPredicate::ne, sign, i32(0));
  return {fromBits(ori(rounded, sign)), select(isNegative, subi(i32(0), count), count)};
}

Value ElementwiseBuilder::scaleByPowerOfTwo(Value value, Value n) {
  using arith::CmpIPredicate;
  Value bits = toBits(value);
  Value sign = andi(bits, i32(0x80000000));
  Value oldExponent = andi(shrui(bits, i32(23)), i32(0xFF));
  Value newExponent = addi(oldExponent, n);

  Value result = addi(bits, shli(n, i32(23)));
  Value overflows = cmpi(CmpIPredicate::sge, newExponent, i32(255));
  result = select(overflows, ori(sign, i32(0x7F800000)), result);
  Value underflows = cmpi(CmpIPredicate::sle, newExponent, i32(0));
  result = select(underflows, sign, result);
  Value isZero = cmpi(CmpIPredicate::eq, oldExponent, i32(0));
  result = select(isZero, sign, result);
  Value isSpecial = cmpi(CmpIPredicate::eq, oldExponent, i32(255));
  return fromBits(select(isSpecial, bits, result));
}
} // namespace asnet
