// SPDX-License-Identifier: Apache-2.0
#include "passes/Passes.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_FUSEELEMENTWISE
#include "passes/Passes.h.inc"

TypedAttr getSplatConstant(Value value) {
  Attribute splat;
  if (matchPattern(value, m_Constant(&splat))) {
    // A scalar, as a fill has it, stays what it is.
    if (auto elements = dyn_cast<DenseElementsAttr>(splat))
      splat = elements.isSplat() ? elements.getSplatValue<Attribute>() : Attribute();
  } else if (auto fill = value.getDefiningOp<linalg::FillOp>()) {
    matchPattern(fill.getInputs().front(), m_Constant(&splat));
  } else if (auto generic = value.getDefiningOp<linalg::GenericOp>()) {
    // A broadcast whose body yields a constant.
    if (generic.getNumParallelLoops() == generic.getNumLoops())
      matchPattern(
          generic.getBody()->getTerminator()->getOperand(cast<OpResult>(value).getResultNumber()),
          m_Constant(&splat));
  }
  return isa_and_nonnull<IntegerAttr, FloatAttr>(splat) ? cast<TypedAttr>(splat) : TypedAttr();
}

namespace {
/// Whether the producer has fewer elements, so that the consumer reads some of them several times;
/// with ranges of 1, `(i, 0)` among `(i, j)`, their ranks may be the same.
bool computesLess(linalg::GenericOp producer, linalg::GenericOp consumer) {
  SmallVector<int64_t> few = producer.getStaticLoopRanges(), many = consumer.getStaticLoopRanges();
  if (llvm::is_contained(few, ShapedType::kDynamic) ||
      llvm::is_contained(many, ShapedType::kDynamic))
    return producer.getNumLoops() < consumer.getNumLoops();
  return llvm::product_of(few) < llvm::product_of(many);
}

struct FuseIntoConsumer : OpRewritePattern<linalg::GenericOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(linalg::GenericOp consumer,
                                PatternRewriter &rewriter) const override {
    if (consumer.getNumParallelLoops() != consumer.getNumLoops())
      return rewriter.notifyMatchFailure(consumer, "is a reduction");
    Attribute layer = consumer->getAttr(approx::kLayerAttrName);
    for (OpOperand &operand : consumer->getOpOperands()) {
      auto producer = operand.get().getDefiningOp<linalg::GenericOp>();
      if (!producer || producer->getAttr(approx::kLayerAttrName) != layer ||
          producer.getNumParallelLoops() != producer.getNumLoops())
        continue;
      // Fusing a producer of several uses, or one whose result is broadcast, would compute it again;
      // a body that only passes a value on costs nothing.
      bool isFree = llvm::hasSingleElement(producer.getBody()->getOperations());
      bool isBroadcast = computesLess(producer, consumer);
      if (!isFree && (!producer->hasOneUse() || isBroadcast))
        continue;
      if (!linalg::areElementwiseOpsFusable(&operand))
        continue;
      auto fused = linalg::fuseElementwiseOps(rewriter, &operand);
      if (failed(fused))
        continue;
      if (layer)
        fused->fusedOp->setAttr(approx::kLayerAttrName, layer);
      for (auto [from, to] : fused->replacements)
        rewriter.replaceUsesWithIf(
            from, to, [&](OpOperand &use) { return use.get().getDefiningOp() != producer; });
      rewriter.eraseOp(consumer);
      return success();
    }
    return failure();
  }
};

/// Integers that are only widened, operand for operand, before a reduction reads them: the body of the
/// reduction widens them, so that its products have the operands that the network has.
struct FuseWidening : OpRewritePattern<linalg::GenericOp> {
  using OpRewritePattern::OpRewritePattern;

  static bool isWidening(linalg::GenericOp op) {
    Block::OpListType &ops = op.getBody()->getOperations();
    return op.getNumParallelLoops() == op.getNumLoops() && ops.size() == 2 &&
           isa<arith::ExtSIOp, arith::ExtUIOp>(ops.front()) &&
           approx::isIntegerOfFormat(ops.front().getOperand(0).getType()) &&
           ops.back().getOperand(0) == ops.front().getResult(0);
  }

  LogicalResult matchAndRewrite(linalg::GenericOp consumer,
                                PatternRewriter &rewriter) const override {
    if (consumer.getNumReductionLoops() == 0)
      return rewriter.notifyMatchFailure(consumer, "is no reduction");
    for (OpOperand *operand : consumer.getDpsInputOperands()) {
      auto producer = operand->get().getDefiningOp<linalg::GenericOp>();
      if (!producer || !isWidening(producer) || !linalg::areElementwiseOpsFusable(operand))
        continue;
      Attribute layer = consumer->getAttr(approx::kLayerAttrName);
      auto fused = linalg::fuseElementwiseOps(rewriter, operand);
      if (failed(fused))
        continue;
      if (layer)
        fused->fusedOp->setAttr(approx::kLayerAttrName, layer);
      for (auto [from, to] : fused->replacements)
        rewriter.replaceUsesWithIf(
            from, to, [&](OpOperand &use) { return use.get().getDefiningOp() != producer; });
      rewriter.eraseOp(consumer);
      return success();
    }
    return failure();
  }
};

/// A body that reads one constant for every element gets it as a scalar, which folds with what the
/// body does to it: StableHLO converts the integer 0 of a padding to a float in such a body.
struct InlineSplatConstant : OpRewritePattern<linalg::GenericOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(linalg::GenericOp op, PatternRewriter &rewriter) const override {
    for (OpOperand *operand : op.getDpsInputOperands()) {
      BlockArgument argument = op.getMatchingBlockArgument(operand);
      if (argument.use_empty())
        continue;
      TypedAttr value = getSplatConstant(operand->get());
      if (!value)
        continue;
      rewriter.setInsertionPoint(op);
      Value scalar = arith::ConstantOp::create(rewriter, op.getLoc(), value);
      rewriter.replaceAllUsesWith(argument, scalar);
      return success();
    }
    return failure();
  }
};

/// The same for a scalar that is read from such a tensor.
struct ExtractSplatConstant : OpRewritePattern<tensor::ExtractOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(tensor::ExtractOp op, PatternRewriter &rewriter) const override {
    TypedAttr value = getSplatConstant(op.getTensor());
    if (!value)
      return rewriter.notifyMatchFailure(op, "not a constant");
    rewriter.replaceOpWithNewOp<arith::ConstantOp>(op, value);
    return success();
  }
};

struct FuseElementwise : impl::FuseElementwiseBase<FuseElementwise> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FuseIntoConsumer, FuseWidening>(&getContext());
    populateInlineSplatConstantPatterns(patterns);
    linalg::populateEraseUnusedOperandsAndResultsPatterns(patterns);
    linalg::GenericOp::getCanonicalizationPatterns(patterns, &getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace

void populateInlineSplatConstantPatterns(RewritePatternSet &patterns) {
  patterns.add<InlineSplatConstant, ExtractSplatConstant>(patterns.getContext());
}
} // namespace asnet
