// SPDX-License-Identifier: Apache-2.0
// tanh on f32, after S. L. Moshier, Cephes Mathematical Library 2.2, single/tanhf.c: an odd polynomial
// below 0.625, above it 1 - 2 / (exp(2x) + 1). Computed for |x|, the sign put back.

#include "passes/ExpandMath.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace asnet {
namespace {
constexpr float kBorder = 0.625f;
constexpr float kPolynomial[] = {-5.70498872745e-3f, 2.06390887954e-2f, -5.37397155531e-2f,
                                 1.33314422036e-1f, -3.33332819422e-1f};

Value emitTanh(ElementwiseBuilder &b, Value input) {
  Value bits = b.toBits(input);
  Value sign = b.andi(bits, b.i32(0x80000000));
  Value x = b.fromBits(b.andi(bits, b.i32(0x7FFFFFFF)));

  Value square = b.mulf(x, x);
  Value small = b.addf(b.mulf(b.mulf(b.horner(square, kPolynomial), square), x), x);

  Value denominator = b.addf(emitExp(b, b.addf(x, x)), b.f32(1.0f));
  Value large = b.addf(b.divf(b.f32(-2.0f), denominator), b.f32(1.0f));

  Value isLarge = b.cmpf(arith::CmpFPredicate::OGE, x, b.f32(kBorder));
  Value result = b.flipSign(b.select(isLarge, large, small), sign);
  return b.select(b.isNan(input), b.nan(), result);
}
} // namespace

void populateExpandTanhPatterns(RewritePatternSet &patterns) {
  patterns.add<ExpandUnary<math::TanhOp, emitTanh>>(patterns.getContext());
}
} // namespace asnet
