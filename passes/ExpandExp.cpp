// SPDX-License-Identifier: Apache-2.0
// exp and expm1 on f32, after
//   W. J. Cody and W. Waite, Software Manual for the Elementary Functions (1980), chapter 6:
//     exp(x) = 2^n exp(r), n = round(x / ln 2), r = x - n ln 2 with ln 2 in two parts, of which the
//     first has so few bits that its product with n is exact;
//   S. L. Moshier, Cephes Mathematical Library 2.2, single/expf.c: the two parts and the polynomial
//     of exp(r) on |r| <= ln 2 / 2 (theirs: error 1.7e-7 at the peak).
//
// n is found, and 2^n multiplied, by integer logic.  The usual tricks (adding 1.5 * 2^23, converting
// to an integer) would be wrong with an approximate adder, or poison for large values.

#include "passes/ExpandMath.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace asnet {
namespace {
// Beyond these, the exact result overflows (from 88.73) or is below the smallest normal number (from
// -87.34).  Clamping there keeps infinities out of the arithmetic, where they would meet as NaN.
constexpr float kMax = 89.0f, kMin = -88.0f;

constexpr float kLog2e = 1.44269504088896341f;
// ln 2 = 355/512 - 2.1219...e-4; the first has 9 bits, n at most 8.
constexpr float kMinusLn2Hi = -0.693359375f, kMinusLn2Lo = 2.12194440e-4f;

// exp(r) = 1 + r + r^2 p(r), p's coefficients from the highest.
constexpr float kPolynomial[] = {1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f,
                                 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f};

/// exp(x) = 2^n (1 + q), q = r^2 p(r) + r.
struct Reduced {
  Value q, n;
};

Reduced reduce(ElementwiseBuilder &b, Value input) {
  using arith::CmpFPredicate;
  // Comparisons with a NaN are false: it passes the clamps and is dealt with at the end.
  Value x = b.select(b.cmpf(CmpFPredicate::OGT, input, b.f32(kMax)), b.f32(kMax), input);
  x = b.select(b.cmpf(CmpFPredicate::OLT, x, b.f32(kMin)), b.f32(kMin), x);

  auto [nFloat, n] = b.roundToInteger(b.mulf(x, b.f32(kLog2e)));
  // x - n ln2 as additions of negated products, which are equal bit for bit: one adder less.
  Value r = b.addf(x, b.mulf(nFloat, b.f32(kMinusLn2Hi)));
  r = b.addf(r, b.mulf(nFloat, b.f32(kMinusLn2Lo)));

  Value p = b.horner(r, kPolynomial);
  return {b.addf(b.mulf(p, b.mulf(r, r)), r), n};
}

/// expm1(x) = 2^n q + (2^n - 1), where 2^n - 1 is exact for the n at which it matters: nothing
/// cancels, since q and 2^n - 1 have different signs only where the latter is much larger.
Value emitExpm1(ElementwiseBuilder &b, Value input) {
  using arith::CmpIPredicate;
  auto [q, n] = reduce(b, input);
  Value one = b.f32(1.0f), minusOne = b.f32(-1.0f);
  Value power = b.scaleByPowerOfTwo(one, n);
  Value result = b.addf(b.scaleByPowerOfTwo(q, n), b.addf(power, minusOne));
  // From 2^25 on, the 1 is below half an ulp; and 2^128 is no float where the result is one.
  Value isLarge = b.cmpi(CmpIPredicate::sgt, n, b.i32(25));
  result = b.select(isLarge, b.scaleByPowerOfTwo(b.addf(q, one), n), result);
  // Below 2^-25 the result is x itself, zeros and subnormals included.
  Value magnitude = b.andi(b.toBits(input), b.i32(0x7FFFFFFF));
  Value isTiny = b.cmpi(CmpIPredicate::ult, magnitude, b.i32(0x33000000));
  result = b.select(isTiny, input, result);
  return b.select(b.isNan(input), b.nan(), result);
}
} // namespace

Value emitExp(ElementwiseBuilder &b, Value input) {
  auto [q, n] = reduce(b, input);
  Value result = b.scaleByPowerOfTwo(b.addf(q, b.f32(1.0f)), n);
  return b.select(b.isNan(input), b.nan(), result);
}

void populateExpandExpPatterns(RewritePatternSet &patterns) {
  patterns.add<ExpandUnary<math::ExpOp, emitExp>, ExpandUnary<math::ExpM1Op, emitExpm1>>(
      patterns.getContext());
}
} // namespace asnet
