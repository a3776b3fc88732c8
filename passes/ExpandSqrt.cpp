// SPDX-License-Identifier: Apache-2.0
// sqrt and rsqrt on f32, by multiplications and additions only.
//
// x = 4^e m with 1 <= m < 4, by shifts. 1/sqrt(m) from a first guess on the bits of m (3.5 % off; C.
// Lomont, Fast Inverse Square Root, 2003) by three of Newton's steps y += y (1/2 - (m/2 y) y), each of
// which squares the relative error: 1.8e-3, 4.7e-6, then roundings only. sqrt(m) is s = m y and one
// more of Newton's steps for the square root, s += (m - s s) y/2, which needs no division either (P. W.
// Markstein, Computation of Elementary Functions on the IBM RISC System/6000, 1990).

#include "passes/ExpandMath.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <limits>

using namespace mlir;

namespace asnet {
namespace {
constexpr uint32_t kFirstGuess = 0x5F3759DF;
constexpr int kSteps = 3;

/// x = 4^e m and y = 1/sqrt(m), for positive finite x.
struct Root {
  Value m, y, e;
};

Root reciprocalRoot(ElementwiseBuilder &b, Value x) {
  Value bits = b.extendedBits(x);
  // Half of the exponent, rounded down.
  Value e = b.shrsi(b.subi(bits, b.i32(0x3F800000)), b.i32(24));
  Value mBits = b.subi(bits, b.shli(e, b.i32(24)));
  Value half = b.fromBits(b.subi(mBits, b.i32(0x00800000)));
  Value y = b.fromBits(b.subi(b.i32(kFirstGuess), b.shrui(mBits, b.i32(1))));
  // 1/2 - a b as an addition of a negated product: one adder less.
  Value minusHalf = b.flipSign(half, b.i32(0x80000000));
  for (int step = 0; step < kSteps; ++step) {
    Value error = b.addf(b.mulf(b.mulf(minusHalf, y), y), b.f32(0.5f));
    y = b.addf(y, b.mulf(y, error));
  }
  return {b.fromBits(mBits), y, e};
}
} // namespace

Value emitSqrt(ElementwiseBuilder &b, Value x) {
  using arith::CmpFPredicate;
  auto [m, y, e] = reciprocalRoot(b, x);
  Value s = b.mulf(m, y);
  Value rest = b.addf(m, b.flipSign(b.mulf(s, s), b.i32(0x80000000)));
  s = b.addf(s, b.mulf(rest, b.mulf(y, b.f32(0.5f))));
  Value result = b.scaleByPowerOfTwo(s, e);

  Value infinity = b.f32(std::numeric_limits<float>::infinity()), zero = b.f32(0.0f);
  result = b.select(b.cmpf(CmpFPredicate::OEQ, x, infinity), infinity, result);
  // A zero is its own root, of either sign.
  result = b.select(b.cmpf(CmpFPredicate::OEQ, x, zero), x, result);
  return b.select(b.cmpf(CmpFPredicate::OGE, x, zero), result, b.nan());
}

Value emitRsqrt(ElementwiseBuilder &b, Value x) {
  using arith::CmpFPredicate;
  auto [m, y, e] = reciprocalRoot(b, x);
  Value result = b.scaleByPowerOfTwo(y, b.subi(b.i32(0), e));

  Value infinity = b.f32(std::numeric_limits<float>::infinity()), zero = b.f32(0.0f);
  // IEEE 754-2019, 9.2.1: rSqrt(+-0) is an infinity of the zero's sign.
  Value sign = b.andi(b.toBits(x), b.i32(0x80000000));
  result = b.select(b.cmpf(CmpFPredicate::OEQ, x, infinity), zero, result);
  result = b.select(b.cmpf(CmpFPredicate::OEQ, x, zero), b.flipSign(infinity, sign), result);
  return b.select(b.cmpf(CmpFPredicate::OGE, x, zero), result, b.nan());
}

void populateExpandSqrtPatterns(RewritePatternSet &patterns) {
  patterns.add<ExpandUnary<math::SqrtOp, emitSqrt>, ExpandUnary<math::RsqrtOp, emitRsqrt>>(
      patterns.getContext());
}
} // namespace asnet
