// exp on f32, after
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

struct ExpandExp : OpRewritePattern<math::ExpOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(math::ExpOp op, PatternRewriter &rewriter) const override {
    using arith::CmpFPredicate;
    if (!ElementwiseBuilder::supports(op.getType()))
      return rewriter.notifyMatchFailure(op, "not f32 of a static shape");
    ElementwiseBuilder b(rewriter, op.getLoc(), op.getType());
    Value input = op.getOperand();

    // Comparisons with a NaN are false: it passes the clamps and is dealt with at the end.
    Value x = b.select(b.cmpf(CmpFPredicate::OGT, input, b.f32(kMax)), b.f32(kMax), input);
    x = b.select(b.cmpf(CmpFPredicate::OLT, x, b.f32(kMin)), b.f32(kMin), x);

    auto [nFloat, n] = b.roundToInteger(b.mulf(x, b.f32(kLog2e)));
    // x - n ln2 as additions of negated products, which are equal bit for bit: one adder less.
    Value r = b.addf(x, b.mulf(nFloat, b.f32(kMinusLn2Hi)));
    r = b.addf(r, b.mulf(nFloat, b.f32(kMinusLn2Lo)));

    Value p = b.f32(kPolynomial[0]);
    for (float coefficient : ArrayRef(kPolynomial).drop_front())
      p = b.addf(b.mulf(p, r), b.f32(coefficient));
    Value y = b.mulf(p, b.mulf(r, r));
    y = b.addf(b.addf(y, r), b.f32(1.0f));

    Value result = b.scaleByPowerOfTwo(y, n);
    Value isNan = b.cmpf(CmpFPredicate::UNO, input, input);
    rewriter.replaceOp(op, b.select(isNan, b.nan(), result));
    return success();
  }
};
} // namespace

void populateExpandExpPatterns(RewritePatternSet &patterns) {
  patterns.add<ExpandExp>(patterns.getContext());
}
} // namespace asnet
