// SPDX-License-Identifier: Apache-2.0
// log and log1p on f32.
//
// log after S. L. Moshier, Cephes Mathematical Library 2.2, single/logf.c: x = 2^e m with m between
// sqrt(1/2) and sqrt(2); log(1 + f), f = m - 1, is f - f^2/2 + f^3 p(f); e ln 2 is added in two parts.
// log1p after W. Kahan (The HP-15C Advanced Functions Handbook, 1982, appendix): u = 1 + x rounded,
// log1p(x) = log(u) x / (u - 1), in which the rounding error of u cancels.

#include "passes/ExpandMath.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <limits>

using namespace mlir;

namespace asnet {
namespace {
constexpr uint32_t kSqrtHalfBits = 0x3F3504F3;
constexpr float kLn2Hi = 0.693359375f, kMinusLn2Lo = -2.12194440e-4f;
constexpr float kPolynomial[] = {7.0376836292e-2f,  -1.1514610310e-1f, 1.1676998740e-1f,
                                 -1.2420140846e-1f, 1.4249322787e-1f,  -1.6668057665e-1f,
                                 2.0000714765e-1f,  -2.4999993993e-1f, 3.3333331174e-1f};

Value emitLog1p(ElementwiseBuilder &b, Value x) {
  using arith::CmpFPredicate;
  Value u = b.addf(x, b.f32(1.0f));
  // The quotient first: the product of logarithm and x may overflow.
  Value result = b.mulf(emitLog(b, u), b.divf(x, b.addf(u, b.f32(-1.0f))));
  result = b.select(b.cmpf(CmpFPredicate::OEQ, u, b.f32(1.0f)), x, result);
  Value infinity = b.f32(std::numeric_limits<float>::infinity());
  return b.select(b.cmpf(CmpFPredicate::OEQ, x, infinity), infinity, result);
}
} // namespace

Value emitLog(ElementwiseBuilder &b, Value x) {
  using arith::CmpFPredicate;
  Value bits = b.extendedBits(x);
  Value e = b.shrsi(b.subi(bits, b.i32(kSqrtHalfBits)), b.i32(23));
  Value m = b.fromBits(b.subi(bits, b.shli(e, b.i32(23))));
  Value eFloat = b.integerToFloat(e, 8, /*isSigned=*/true);

  Value f = b.addf(m, b.f32(-1.0f));
  Value square = b.mulf(f, f);
  Value y = b.mulf(b.mulf(b.horner(f, kPolynomial), f), square);
  y = b.addf(y, b.mulf(eFloat, b.f32(kMinusLn2Lo)));
  y = b.addf(y, b.mulf(square, b.f32(-0.5f)));
  Value result = b.addf(b.addf(f, y), b.mulf(eFloat, b.f32(kLn2Hi)));

  float infinity = std::numeric_limits<float>::infinity();
  Value zero = b.f32(0.0f);
  result = b.select(b.cmpf(CmpFPredicate::OEQ, x, b.f32(infinity)), b.f32(infinity), result);
  result = b.select(b.cmpf(CmpFPredicate::OEQ, x, zero), b.f32(-infinity), result);
  // Neither a NaN nor a negative number.
  return b.select(b.cmpf(CmpFPredicate::OGE, x, zero), result, b.nan());
}

void populateExpandLogPatterns(RewritePatternSet &patterns) {
  patterns.add<ExpandUnary<math::LogOp, emitLog>, ExpandUnary<math::Log1pOp, emitLog1p>>(
      patterns.getContext());
}
} // namespace asnet
