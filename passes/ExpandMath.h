// SPDX-License-Identifier: Apache-2.0
// What the expansions of elementary functions share.  To add a function: its pattern in a
// file Expand<Name>.cpp, whose populate function is declared here and called in ExpandMath.cpp.

#ifndef PASSES_EXPANDMATH_H
#define PASSES_EXPANDMATH_H

#include "dialects/approx/Approx.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/PatternMatch.h"

namespace asnet {

/// Builds elementwise code on f32 values of one shape: arithmetic as unbound approx ops, and plain
/// logic on bits.  Only ops that hardware has as plain logic, and none that can give poison.  Values
/// of the narrower formats are widened before and rounded once behind.
class ElementwiseBuilder {
public:
  /// `type` is f32, bf16 or f16, or a vector or static tensor of these.
  ElementwiseBuilder(mlir::OpBuilder &builder, mlir::Location loc, mlir::Type type);

  /// Whether code on this type can be built.
  static bool supports(mlir::Type type);

  /// A value of any format as f32, which holds it exactly.
  mlir::Value widen(mlir::Value value);
  /// A bf16 as f32 by its bits, which LLVM does not take for a conversion.
  mlir::Value widenBits(mlir::Value value);
  /// An f32 as a value of the builder's type, rounded to nearest, ties to even; a NaN is canonical.
  mlir::Value narrow(mlir::Value value);

  // Constants of the shape.
  mlir::Value f32(float value);
  mlir::Value i32(uint32_t value);
  mlir::Value nan();

  // Arithmetic that a binding reaches.
  mlir::Value addf(mlir::Value lhs, mlir::Value rhs);
  mlir::Value mulf(mlir::Value lhs, mlir::Value rhs);
  mlir::Value divf(mlir::Value lhs, mlir::Value rhs);
  /// A polynomial by Horner's rule, coefficients from the highest.
  mlir::Value horner(mlir::Value x, llvm::ArrayRef<float> coefficients);

  /// The bits of a value, those of a NaN as 0x7FC00000: x86 and hardware make different NaNs.
  mlir::Value toBits(mlir::Value value);
  mlir::Value fromBits(mlir::Value bits);
  mlir::Value absf(mlir::Value value);
  /// `signBit` is 0 or 0x80000000.
  mlir::Value flipSign(mlir::Value value, mlir::Value signBit);
  mlir::Value isNan(mlir::Value value);

  // Integers modulo 2^32.
  mlir::Value addi(mlir::Value lhs, mlir::Value rhs);
  mlir::Value subi(mlir::Value lhs, mlir::Value rhs);
  mlir::Value andi(mlir::Value lhs, mlir::Value rhs);
  mlir::Value ori(mlir::Value lhs, mlir::Value rhs);
  mlir::Value xori(mlir::Value lhs, mlir::Value rhs);
  mlir::Value maxsi(mlir::Value lhs, mlir::Value rhs);
  mlir::Value minsi(mlir::Value lhs, mlir::Value rhs);
  /// Shifts; the caller sees to it that 0 <= amount < 32.
  mlir::Value shli(mlir::Value value, mlir::Value amount);
  mlir::Value shrui(mlir::Value value, mlir::Value amount);
  mlir::Value shrsi(mlir::Value value, mlir::Value amount);

  mlir::Value cmpi(mlir::arith::CmpIPredicate predicate, mlir::Value lhs, mlir::Value rhs);
  mlir::Value cmpf(mlir::arith::CmpFPredicate predicate, mlir::Value lhs, mlir::Value rhs);
  mlir::Value select(mlir::Value condition, mlir::Value ifTrue, mlir::Value ifFalse);

  /// A float rounded to the nearest integer, ties away from zero, with |n| <= 256: larger ones and
  /// infinities become +-256, a NaN 256.
  struct Integer {
    mlir::Value asFloat, asInt;
  };
  Integer roundToInteger(mlir::Value value);

  /// value * 2^n by an addition to the exponent, for |n| <= 256.  Zero and subnormal values, and
  /// results that would be subnormal, give a zero of the value's sign; results beyond the largest
  /// finite one an infinity of its sign; infinities and NaNs pass.
  mlir::Value scaleByPowerOfTwo(mlir::Value value, mlir::Value n);

  /// An unsigned integer below 2^(top+1), shifted left until bit `top` is set, and by how many bits:
  /// at most `bits` - 1, a power of two less one, which is what a zero is shifted by. Larger integers
  /// are not shifted.
  std::pair<mlir::Value, mlir::Value> normalize(mlir::Value value, unsigned top, unsigned bits);

  /// The bits of |value| with subnormals normalized: their exponent field goes on below 1, so that
  /// the signed integer is 2^23 (exponent + 127) + fraction for every positive finite value.
  mlir::Value extendedBits(mlir::Value value);

  /// An integer as the nearest float, ties to even. `bits`, a power of two, says how many bits its
  /// magnitude needs at most.
  mlir::Value integerToFloat(mlir::Value value, unsigned bits, bool isSigned);

private:
  mlir::Value constant(mlir::TypedAttr element, mlir::Type type);

  mlir::ImplicitLocOpBuilder b;
  mlir::Type type, floatType, intType;
};

// The functions that others are made of.
mlir::Value emitExp(ElementwiseBuilder &b, mlir::Value input);
mlir::Value emitLog(ElementwiseBuilder &b, mlir::Value input);
mlir::Value emitSqrt(ElementwiseBuilder &b, mlir::Value input);
mlir::Value emitRsqrt(ElementwiseBuilder &b, mlir::Value input);

/// `Op` on floats of a static shape becomes what `emit` makes of its operand.
template <typename Op, mlir::Value (*emit)(ElementwiseBuilder &, mlir::Value)>
struct ExpandUnary : mlir::OpRewritePattern<Op> {
  using mlir::OpRewritePattern<Op>::OpRewritePattern;

  mlir::LogicalResult matchAndRewrite(Op op, mlir::PatternRewriter &rewriter) const override {
    if (!ElementwiseBuilder::supports(op.getType()))
      return rewriter.notifyMatchFailure(op, "not floats of a static shape");
    ElementwiseBuilder b(rewriter, op.getLoc(), op.getType());
    rewriter.replaceOp(op, b.narrow(emit(b, b.widen(op.getOperand()))));
    return mlir::success();
  }
};

void populateExpandConversionPatterns(mlir::RewritePatternSet &patterns);
void populateExpandExpPatterns(mlir::RewritePatternSet &patterns);
void populateExpandLogPatterns(mlir::RewritePatternSet &patterns);
void populateExpandPowPatterns(mlir::RewritePatternSet &patterns);
void populateExpandRoundingPatterns(mlir::RewritePatternSet &patterns);
void populateExpandSqrtPatterns(mlir::RewritePatternSet &patterns);
void populateExpandTanhPatterns(mlir::RewritePatternSet &patterns);

} // namespace asnet

#endif // PASSES_EXPANDMATH_H
