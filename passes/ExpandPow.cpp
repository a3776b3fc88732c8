// SPDX-License-Identifier: Apache-2.0
// pow on f32 with a constant exponent that a few multiplications, a division and a square root do:
// integers up to 64 in magnitude and half of odd ones, 1/2 and -1/2 among them. Others are left alone:
// exp(y log x) would lose up to seven bits.

#include "passes/ExpandMath.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"

#include <cmath>
#include <limits>

using namespace mlir;

namespace asnet {
namespace {
constexpr float kMaxExponent = 64.0f;

/// x^n, n > 0, by squaring.
Value emitPower(ElementwiseBuilder &b, Value x, unsigned n) {
  Value result;
  for (Value power = x;; power = b.mulf(power, power)) {
    if (n & 1)
      result = result ? b.mulf(result, power) : power;
    if (n >>= 1; n == 0)
      return result;
  }
}

struct ExpandPow : OpRewritePattern<math::PowFOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(math::PowFOp op, PatternRewriter &rewriter) const override {
    if (!ElementwiseBuilder::supports(op.getType()))
      return rewriter.notifyMatchFailure(op, "not floats of a static shape");
    APFloat constant(0.0f);
    if (!matchPattern(op.getRhs(), m_ConstantFloat(&constant)))
      return rewriter.notifyMatchFailure(op, "the exponent is not constant");
    bool losesInfo;
    constant.convert(APFloat::IEEEsingle(), APFloat::rmNearestTiesToEven, &losesInfo);
    float exponent = constant.convertToFloat(), magnitude = std::fabs(exponent);
    if (!(magnitude <= kMaxExponent) || magnitude * 2 != std::floor(magnitude * 2))
      return rewriter.notifyMatchFailure(op, "the exponent is no small multiple of 1/2");

    ElementwiseBuilder b(rewriter, op.getLoc(), op.getType());
    Value x = b.widen(op.getLhs());
    if (magnitude == 0) {
      rewriter.replaceOp(op, b.narrow(b.f32(1.0f))); // of a NaN too (IEEE 754-2019, 9.2.1)
      return success();
    }
    unsigned whole = unsigned(magnitude);
    Value result;
    if (magnitude != whole) {
      // pow(-0, 1/2) = +0 and pow(-inf, 1/2) = +inf, other than sqrt.
      float infinity = std::numeric_limits<float>::infinity();
      Value isZero = b.cmpf(arith::CmpFPredicate::OEQ, x, b.f32(0.0f));
      Value isMinusInfinity = b.cmpf(arith::CmpFPredicate::OEQ, x, b.f32(-infinity));
      x = b.select(isZero, b.f32(0.0f), b.select(isMinusInfinity, b.f32(infinity), x));
      result = emitSqrt(b, x);
    }
    if (whole != 0) {
      Value power = emitPower(b, x, whole);
      result = result ? b.mulf(power, result) : power;
    }
    if (exponent < 0)
      result = b.divf(b.f32(1.0f), result);
    rewriter.replaceOp(op, b.narrow(result));
    return success();
  }
};
} // namespace

void populateExpandPowPatterns(RewritePatternSet &patterns) {
  patterns.add<ExpandPow>(patterns.getContext());
}
} // namespace asnet
