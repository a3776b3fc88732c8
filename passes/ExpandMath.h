// What the expansions of elementary functions share.  To add a function: a file Expand<Name>.cpp
// with its pattern, its populate function here, a call of it in ExpandMath.cpp.

#ifndef PASSES_EXPANDMATH_H
#define PASSES_EXPANDMATH_H

#include "dialects/approx/Approx.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/PatternMatch.h"

namespace asnet {

/// Builds elementwise code on f32 values of one shape: arithmetic as unbound approx ops, and plain
/// logic on bits.  Only ops that hardware has as plain logic, and none that can give poison.
class ElementwiseBuilder {
public:
  /// `type` is f32, or a vector or static tensor of f32.
  ElementwiseBuilder(mlir::OpBuilder &builder, mlir::Location loc, mlir::Type type);

  /// Whether code on this type can be built.
  static bool supports(mlir::Type type);

  // Constants of the shape.
  mlir::Value f32(float value);
  mlir::Value i32(uint32_t value);
  mlir::Value nan();

  // Arithmetic that a binding reaches.
  mlir::Value addf(mlir::Value lhs, mlir::Value rhs);
  mlir::Value mulf(mlir::Value lhs, mlir::Value rhs);

  /// The bits of a value, those of a NaN as 0x7FC00000: x86 and hardware make different NaNs.
  mlir::Value toBits(mlir::Value value);
  mlir::Value fromBits(mlir::Value bits);

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

private:
  mlir::Value constant(mlir::TypedAttr element, mlir::Type type);

  mlir::ImplicitLocOpBuilder b;
  mlir::Type floatType, intType;
};

void populateExpandExpPatterns(mlir::RewritePatternSet &patterns);

} // namespace asnet

#endif // PASSES_EXPANDMATH_H
