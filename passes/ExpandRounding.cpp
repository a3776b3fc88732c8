// SPDX-License-Identifier: Apache-2.0
// Exact functions of floats that are plain logic on bits: absf, copysign, floor, ceil, trunc, round,
// roundeven. No core takes part in them.

#include "passes/ExpandMath.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace asnet {
namespace {
enum class Rounding { TowardZero, Up, Down, NearestAway, NearestEven };

/// With biased exponent e, the 150 - e lowest bits of the significand are the fraction: something is
/// added to the bits, where a carry runs into the exponent as it should, and the fraction cut.
template <Rounding rounding> Value emitRound(ElementwiseBuilder &b, Value x) {
  using arith::CmpIPredicate;
  Value bits = b.toBits(x);
  Value sign = b.andi(bits, b.i32(0x80000000));
  Value magnitude = b.andi(bits, b.i32(0x7FFFFFFF));
  Value exponent = b.shrui(magnitude, b.i32(23));
  Value shift = b.minsi(b.maxsi(b.subi(b.i32(150), exponent), b.i32(1)), b.i32(23));
  Value unit = b.shli(b.i32(1), shift);
  Value mask = b.subi(unit, b.i32(1));
  Value half = b.shrui(unit, b.i32(1));

  Value isNegative = b.cmpi(CmpIPredicate::ne, sign, b.i32(0));
  Value one = b.i32(0x3F800000), zero = b.i32(0);
  Value isZero = b.cmpi(CmpIPredicate::eq, magnitude, zero);
  // What is added to numbers from 1 on, and what numbers below 1 become.
  Value addend, below;
  switch (rounding) {
  case Rounding::TowardZero:
    addend = below = zero;
    break;
  case Rounding::Up:
    addend = b.select(isNegative, zero, mask);
    below = b.select(isZero, zero, b.select(isNegative, zero, one));
    break;
  case Rounding::Down:
    addend = b.select(isNegative, mask, zero);
    below = b.select(isZero, zero, b.select(isNegative, one, zero));
    break;
  case Rounding::NearestAway:
    addend = half;
    below = b.select(b.cmpi(CmpIPredicate::uge, magnitude, b.i32(0x3F000000)), one, zero);
    break;
  case Rounding::NearestEven:
    // The integer's lowest bit; that of a number below 2 is 1, like its exponent field's.
    addend = b.addi(b.subi(half, b.i32(1)), b.andi(b.shrui(magnitude, shift), b.i32(1)));
    below = b.select(b.cmpi(CmpIPredicate::ugt, magnitude, b.i32(0x3F000000)), one, zero);
    break;
  }
  Value rounded = b.andi(b.addi(magnitude, addend), b.xori(mask, b.i32(0xFFFFFFFF)));
  rounded = b.select(b.cmpi(CmpIPredicate::uge, exponent, b.i32(127)), rounded, below);
  // From 2^23 on every float is an integer; infinities and NaNs pass as well.
  rounded = b.select(b.cmpi(CmpIPredicate::uge, exponent, b.i32(150)), magnitude, rounded);
  return b.fromBits(b.ori(rounded, sign));
}

Value emitAbs(ElementwiseBuilder &b, Value x) { return b.absf(x); }

struct ExpandCopySign : OpRewritePattern<math::CopySignOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(math::CopySignOp op, PatternRewriter &rewriter) const override {
    if (!ElementwiseBuilder::supports(op.getType()))
      return rewriter.notifyMatchFailure(op, "not floats of a static shape");
    ElementwiseBuilder b(rewriter, op.getLoc(), op.getType());
    // A NaN's sign is not defined: as everywhere, a NaN is the canonical one.
    Value sign = b.andi(b.toBits(b.widen(op.getRhs())), b.i32(0x80000000));
    Value magnitude = b.andi(b.toBits(b.widen(op.getLhs())), b.i32(0x7FFFFFFF));
    rewriter.replaceOp(op, b.narrow(b.fromBits(b.ori(magnitude, sign))));
    return success();
  }
};
} // namespace

void populateExpandRoundingPatterns(RewritePatternSet &patterns) {
  patterns.add<ExpandUnary<math::AbsFOp, emitAbs>, ExpandCopySign,
               ExpandUnary<math::FloorOp, emitRound<Rounding::Down>>,
               ExpandUnary<math::CeilOp, emitRound<Rounding::Up>>,
               ExpandUnary<math::TruncOp, emitRound<Rounding::TowardZero>>,
               ExpandUnary<math::RoundOp, emitRound<Rounding::NearestAway>>,
               ExpandUnary<math::RoundEvenOp, emitRound<Rounding::NearestEven>>>(
      patterns.getContext());
}
} // namespace asnet
