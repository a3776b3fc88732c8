// SPDX-License-Identifier: Apache-2.0
// Conversions between floats and integers of at most 32 bits, as plain logic on bits: `arith.fptosi` and
// `fptoui` are poison out of range, here they saturate (a NaN gives 0); `arith.sitofp` and `uitofp` of
// more than 24 bits, and `arith.truncf`, round to nearest, ties to even.

#include "passes/ExpandMath.h"

using namespace mlir;

namespace asnet {
namespace {
template <typename Op> struct ExpandToInteger : OpRewritePattern<Op> {
  using OpRewritePattern<Op>::OpRewritePattern;
  static constexpr bool isSigned = std::is_same_v<Op, arith::FPToSIOp>;

  LogicalResult matchAndRewrite(Op op, PatternRewriter &rewriter) const override {
    using arith::CmpIPredicate;
    unsigned width = getElementTypeOrSelf(op.getType()).getIntOrFloatBitWidth();
    if (!ElementwiseBuilder::supports(op.getIn().getType()) || width > 32 || width < 2)
      return rewriter.notifyMatchFailure(op, "not from floats of a static shape to 2..32 bits");
    ElementwiseBuilder b(rewriter, op.getLoc(), op.getIn().getType());
    Value in = b.widen(op.getIn()), bits = b.toBits(in);
    Value isNegative = b.cmpi(CmpIPredicate::slt, bits, b.i32(0));
    Value exponent = b.andi(b.shrui(bits, b.i32(23)), b.i32(0xFF));
    Value significand = b.ori(b.andi(bits, b.i32(0x007FFFFF)), b.i32(0x00800000));

    // |x| = significand 2^(exponent-150). Right by 24 and more gives 0; left by at most 8.
    Value right = b.minsi(b.maxsi(b.subi(b.i32(150), exponent), b.i32(0)), b.i32(24));
    Value left = b.minsi(b.maxsi(b.subi(exponent, b.i32(150)), b.i32(0)), b.i32(8));
    Value magnitude = b.shli(b.shrui(significand, right), left);

    // The greatest magnitudes of either sign; from 2^32 on (exponent 159) the shift lost bits.
    uint32_t most = isSigned ? (uint32_t(1) << (width - 1)) - 1
                             : uint32_t((uint64_t(1) << width) - 1);
    Value limit = b.select(isNegative, b.i32(isSigned ? most + 1 : 0), b.i32(most));
    Value exceeds = b.cmpi(CmpIPredicate::ugt, magnitude, limit);
    magnitude = b.select(exceeds, limit, magnitude);
    magnitude = b.select(b.cmpi(CmpIPredicate::uge, exponent, b.i32(159)), limit, magnitude);
    Value result = b.select(isNegative, b.subi(b.i32(0), magnitude), magnitude);
    result = b.select(b.isNan(in), b.i32(0), result);
    if (width < 32)
      result = arith::TruncIOp::create(rewriter, op.getLoc(), op.getType(), result);
    rewriter.replaceOp(op, result);
    return success();
  }
};

template <typename Op> struct ExpandFromInteger : OpRewritePattern<Op> {
  using OpRewritePattern<Op>::OpRewritePattern;
  static constexpr bool isSigned = std::is_same_v<Op, arith::SIToFPOp>;

  LogicalResult matchAndRewrite(Op op, PatternRewriter &rewriter) const override {
    Value input = op.getIn();
    unsigned width = getElementTypeOrSelf(input.getType()).getIntOrFloatBitWidth();
    if (!ElementwiseBuilder::supports(op.getType()))
      return rewriter.notifyMatchFailure(op, "not to floats of a static shape");
    ElementwiseBuilder b(rewriter, op.getLoc(), op.getType());
    if (width == 1) {
      rewriter.replaceOp(op,
                         b.narrow(b.select(input, b.f32(isSigned ? -1.0f : 1.0f), b.f32(0.0f))));
      return success();
    }
    const approx::FloatFormat &format = *approx::getFloatFormat(getElementTypeOrSelf(op.getType()));
    // Nothing is rounded, and every target converts alike.
    if (width <= format.fractionBits + 1)
      return rewriter.notifyMatchFailure(op, "converts exactly");
    if (width <= 24) {
      Type wide = rewriter.getF32Type();
      if (auto shaped = dyn_cast<ShapedType>(op.getType()))
        wide = shaped.clone(wide);
      rewriter.replaceOp(op, b.narrow(Op::create(rewriter, op.getLoc(), wide, input)));
      return success();
    }
    // Rounding twice, to f32 and from there, could differ from rounding once.
    if (width > 32 || format.getWidth() < 32)
      return rewriter.notifyMatchFailure(op, "not from at most 24 bits, or 32 to f32");
    if (width < 32) {
      Type wide = rewriter.getI32Type();
      if (auto shaped = dyn_cast<ShapedType>(input.getType()))
        wide = shaped.clone(wide);
      input = isSigned ? arith::ExtSIOp::create(rewriter, op.getLoc(), wide, input).getResult()
                       : arith::ExtUIOp::create(rewriter, op.getLoc(), wide, input).getResult();
    }
    rewriter.replaceOp(op, b.integerToFloat(input, 32, isSigned));
    return success();
  }
};

struct ExpandTruncF : OpRewritePattern<arith::TruncFOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(arith::TruncFOp op, PatternRewriter &rewriter) const override {
    if (!ElementwiseBuilder::supports(op.getType()) ||
        !getElementTypeOrSelf(op.getIn().getType()).isF32())
      return rewriter.notifyMatchFailure(op, "not from f32 of a static shape to a narrower format");
    ElementwiseBuilder b(rewriter, op.getLoc(), op.getType());
    rewriter.replaceOp(op, b.narrow(op.getIn()));
    return success();
  }
};
} // namespace

void populateExpandConversionPatterns(RewritePatternSet &patterns) {
  patterns
      .add<ExpandToInteger<arith::FPToSIOp>, ExpandToInteger<arith::FPToUIOp>,
           ExpandFromInteger<arith::SIToFPOp>, ExpandFromInteger<arith::UIToFPOp>, ExpandTruncF>(
          patterns.getContext());
}
} // namespace asnet
