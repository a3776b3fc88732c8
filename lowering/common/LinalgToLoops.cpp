// SPDX-License-Identifier: Apache-2.0
#include "lowering/Lowering.h"

#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_LINALGTOLOOPS
#include "lowering/Lowering.h.inc"

namespace {
/// The loop that a rewrite of `op`, now gone, left at its place: linalg gives the loops from the
/// outermost to the innermost, and none for a scalar op.
void keepLayer(StringAttr layer, ArrayRef<Operation *> loops) {
  if (layer && !loops.empty())
    loops.front()->setAttr(approx::kLayerAttrName, layer);
}

LogicalResult lowerLinalgOp(IRRewriter &rewriter, linalg::LinalgOp op) {
  if (!op.hasPureBufferSemantics())
    return op.emitOpError("must work on memrefs, got tensors; run 'one-shot-bufferize' first");
  auto layer = op->getAttrOfType<StringAttr>(approx::kLayerAttrName);
  rewriter.setInsertionPoint(op);
  FailureOr<linalg::LinalgLoops> loops = linalg::linalgOpToAffineLoops(rewriter, op);
  if (failed(loops))
    return op.emitOpError("cannot be lowered to affine loops");
  keepLayer(layer, *loops);
  rewriter.eraseOp(op);
  return success();
}

LogicalResult lowerCopy(IRRewriter &rewriter, memref::CopyOp op) {
  if (!isa<MemRefType>(op.getSource().getType()) || !isa<MemRefType>(op.getTarget().getType()))
    return op.emitOpError("must copy between ranked memrefs");
  rewriter.setInsertionPoint(op);
  auto copy = linalg::CopyOp::create(rewriter, op.getLoc(), op.getSource(), op.getTarget());
  copy->setDiscardableAttrs(op->getDiscardableAttrDictionary());
  rewriter.eraseOp(op);
  return lowerLinalgOp(rewriter, cast<linalg::LinalgOp>(copy.getOperation()));
}

struct LinalgToLoops : impl::LinalgToLoopsBase<LinalgToLoops> {
  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    WalkResult result = getOperation()->walk([&](Operation *op) -> WalkResult {
      if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op))
        return lowerLinalgOp(rewriter, linalgOp);
      if (auto copy = dyn_cast<memref::CopyOp>(op))
        return lowerCopy(rewriter, copy);
      return WalkResult::advance();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }
};
} // namespace
} // namespace asnet
