#include "passes/ExpandMath.h"
#include "passes/Passes.h"

#include "mlir/Transforms/WalkPatternRewriteDriver.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_EXPANDMATH
#include "passes/Passes.h.inc"

namespace {
struct ExpandMath : impl::ExpandMathBase<ExpandMath> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    populateExpandExpPatterns(patterns);
    walkAndApplyPatterns(getOperation(), std::move(patterns));
  }
};
} // namespace

//===----------------------------------------------------------------------===//
// ElementwiseBuilder
//===----------------------------------------------------------------------===//

ElementwiseBuilder::ElementwiseBuilder(OpBuilder &builder, Location loc, Type type)
    : b(loc, builder), floatType(type), intType(b.getI32Type()) {
  assert(supports(type));
  if (auto shaped = dyn_cast<ShapedType>(type))
    intType = shaped.clone(intType);
}

bool ElementwiseBuilder::supports(Type type) {
  if (!getElementTypeOrSelf(type).isF32())
    return false;
  // A constant needs a static shape.
  if (auto vector = dyn_cast<VectorType>(type))
    return !vector.isScalable();
  if (auto tensor = dyn_cast<RankedTensorType>(type))
    return tensor.hasStaticShape();
  return type.isF32();
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
  return constant(b.getFloatAttr(b.getF32Type(), APFloat(APFloat::IEEEsingle(), APInt(32, 0x7FC00000))),
                  floatType);
}

Value ElementwiseBuilder::addf(Value lhs, Value rhs) { return approx::AddFOp::create(b, lhs, rhs); }
Value ElementwiseBuilder::mulf(Value lhs, Value rhs) { return approx::MulFOp::create(b, lhs, rhs); }

Value ElementwiseBuilder::toBits(Value value) {
  Value isNan = cmpf(arith::CmpFPredicate::UNO, value, value);
  return select(isNan, i32(0x7FC00000), arith::BitcastOp::create(b, intType, value));
}

Value ElementwiseBuilder::fromBits(Value bits) {
  return arith::BitcastOp::create(b, floatType, bits);
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
