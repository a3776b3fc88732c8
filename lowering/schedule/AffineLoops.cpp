// SPDX-License-Identifier: Apache-2.0
#include "lowering/Lowering.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_AFFINELOOPS
#include "lowering/Lowering.h.inc"

namespace {
struct AffineLoops : impl::AffineLoopsBase<AffineLoops> {
  void runOnOperation() override {
    SmallVector<scf::ForOp> loops;
    getOperation()->walk([&](scf::ForOp loop) { loops.push_back(loop); });
    IRRewriter rewriter(&getContext());
    for (scf::ForOp loop : loops) {
      APInt low, high, step;
      if (loop.getNumResults() != 0 || !matchPattern(loop.getLowerBound(), m_ConstantInt(&low)) ||
          !matchPattern(loop.getUpperBound(), m_ConstantInt(&high)) ||
          !matchPattern(loop.getStep(), m_ConstantInt(&step)))
        continue;
      rewriter.setInsertionPoint(loop);
      auto affine = affine::AffineForOp::create(rewriter, loop.getLoc(), low.getSExtValue(),
                                                high.getSExtValue(), step.getSExtValue());
      affine->setDiscardableAttrs(loop->getDiscardableAttrDictionary());
      rewriter.eraseOp(loop.getBody()->getTerminator());
      rewriter.inlineBlockBefore(loop.getBody(), affine.getBody()->getTerminator(),
                                 affine.getInductionVar());
      rewriter.eraseOp(loop);
    }
  }
};
} // namespace
} // namespace asnet
