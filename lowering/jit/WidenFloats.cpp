// SPDX-License-Identifier: Apache-2.0
// approx-widen-floats: arithmetic on bf16 and f16, each operation in f32 and rounded once.
//
// Rounding twice never shows: f32 has 24 bits, at least 2p + 2 for operands of p bits (S. Figueroa,
// When is double rounding innocuous?, SIGNUM Newsletter 30(3), 1995).  LLVM does the same where a
// processor has no such arithmetic, but x86's rounding to bf16 flushes subnormals.

#include "lowering/Lowering.h"
#include "passes/ExpandMath.h"

#include "mlir/Transforms/WalkPatternRewriteDriver.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_WIDENFLOATS
#include "lowering/Lowering.h.inc"

namespace {
template <typename Op> struct Widen : OpRewritePattern<Op> {
  using OpRewritePattern<Op>::OpRewritePattern;

  LogicalResult matchAndRewrite(Op op, PatternRewriter &rewriter) const override {
    if (!ElementwiseBuilder::supports(op.getType()) || getElementTypeOrSelf(op.getType()).isF32())
      return rewriter.notifyMatchFailure(op, "not bf16 or f16 of a static shape");
    ElementwiseBuilder b(rewriter, op.getLoc(), op.getType());
    // LLVM narrows the larger of two extended numbers to one of bf16, which processors without such
    // arithmetic leave to a function: slow.
    bool chooses = std::is_same_v<Op, arith::MaximumFOp> || std::is_same_v<Op, arith::MinimumFOp>;
    bool byBits = chooses && getElementTypeOrSelf(op.getType()).isBF16();
    auto wide = [&](Value value) { return byBits ? b.widenBits(value) : b.widen(value); };
    Value lhs = wide(op.getLhs()), rhs = wide(op.getRhs());
    rewriter.replaceOp(op, b.narrow(Op::create(rewriter, op.getLoc(), lhs, rhs)));
    return success();
  }
};

struct WidenFloats : impl::WidenFloatsBase<WidenFloats> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<Widen<arith::AddFOp>, Widen<arith::SubFOp>, Widen<arith::MulFOp>,
                 Widen<arith::DivFOp>, Widen<arith::MaximumFOp>, Widen<arith::MinimumFOp>>(
        &getContext());
    walkAndApplyPatterns(getOperation(), std::move(patterns));
  }
};
} // namespace
} // namespace asnet
