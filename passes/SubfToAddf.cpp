// SPDX-License-Identifier: Apache-2.0
#include "passes/Passes.h"

#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_SUBFTOADDF
#include "passes/Passes.h.inc"

namespace {
struct SubfToAddfPattern : OpRewritePattern<approx::SubFOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(approx::SubFOp op, PatternRewriter &rewriter) const override {
    if (op.getInstance())
      return rewriter.notifyMatchFailure(op, "bound to an instance");
    Value negated = arith::NegFOp::create(rewriter, op.getLoc(), op.getRhs());
    auto sum = approx::AddFOp::create(rewriter, op.getLoc(), op.getLhs(), negated);
    sum->setDiscardableAttrs(op->getDiscardableAttrDictionary());
    rewriter.replaceOp(op, sum);
    return success();
  }
};

struct SubfToAddf : impl::SubfToAddfBase<SubfToAddf> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<SubfToAddfPattern>(&getContext());
    walkAndApplyPatterns(getOperation(), std::move(patterns));
  }
};
} // namespace
} // namespace asnet
