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

/// Replace the op that reads `operand` by one, of its layer, that computes the operand's producer too.
LogicalResult fuse(PatternRewriter &rewriter, OpOperand &operand) {
  Operation *consumer = operand.getOwner(), *producer = operand.get().getDefiningOp();
  auto fused = linalg::fuseElementwiseOps(rewriter, &operand);
  if (failed(fused))
    return failure();
  if (Attribute layer = consumer->getAttr(approx::kLayerAttrName))
    fused->fusedOp->setAttr(approx::kLayerAttrName, layer);
  for (auto [from, to] : fused->replacements)
    rewriter.replaceUsesWithIf(
        from, to, [&](OpOperand &use) { return use.get().getDefiningOp() != producer; });
  rewriter.eraseOp(consumer);
  return success();
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
      if (succeeded(fuse(rewriter, operand)))
        return success();
    }
    return failure();
  }
};

/// Whether an op only widens integers, operand for operand.
bool isWidening(linalg::GenericOp op) {
  Block::OpListType &ops = op.getBody()->getOperations();
  return op.getNumParallelLoops() == op.getNumLoops() && ops.size() == 2 &&
         isa<arith::ExtSIOp, arith::ExtUIOp>(ops.front()) &&
         approx::isIntegerOfFormat(ops.front().getOperand(0).getType()) &&
         ops.back().getOperand(0) == ops.front().getResult(0);
}

/// Integers are given another shape before they are widened: a depthwise convolution has its weights
/// widened first, and then without the dimension of 1.
template <typename Reshape>
struct WidenLast : OpRewritePattern<Reshape> {
  using OpRewritePattern<Reshape>::OpRewritePattern;

  LogicalResult matchAndRewrite(Reshape op, PatternRewriter &rewriter) const override {
    auto widening = op.getSrc().template getDefiningOp<linalg::GenericOp>();
    if (!widening || !isWidening(widening) || widening.getNumDpsInputs() != 1 ||
        !llvm::all_of(widening.getIndexingMapsArray(), [](AffineMap m) { return m.isIdentity(); }))
      return rewriter.notifyMatchFailure(op, "not of integers that are widened");
    Value narrow = widening.getDpsInputOperand(0)->get();
    Type element = cast<RankedTensorType>(narrow.getType()).getElementType();
    auto type = cast<RankedTensorType>(op.getResultType());
    Location loc = op.getLoc();
    Value shaped;
    if constexpr (std::is_same_v<Reshape, tensor::CollapseShapeOp>)
      shaped = Reshape::create(rewriter, loc, type.clone(element), narrow,
                               op.getReassociationIndices());
    else
      shaped = Reshape::create(rewriter, loc, type.clone(element), narrow,
                               op.getReassociationIndices(), op.getMixedOutputShape());
    Value empty = tensor::EmptyOp::create(
        rewriter, loc, tensor::getMixedSizes(rewriter, loc, shaped), type.getElementType());
    AffineMap identity = rewriter.getMultiDimIdentityMap(type.getRank());
    SmallVector<utils::IteratorType> iterators(type.getRank(), utils::IteratorType::parallel);
    Operation &extension = widening.getBody()->front();
    auto widened = linalg::GenericOp::create(
        rewriter, loc, type, shaped, empty, ArrayRef{identity, identity}, iterators,
        [&](OpBuilder &b, Location inside, ValueRange arguments) {
          Value wide = b.create(inside, extension.getName().getIdentifier(), arguments.front(),
                                type.getElementType())
                           ->getResult(0);
          linalg::YieldOp::create(b, inside, wide);
        });
    if (Attribute layer = op->getAttr(approx::kLayerAttrName))
      widened->setAttr(approx::kLayerAttrName, layer);
    rewriter.replaceOp(op, widened);
    return success();
  }
};

/// Integers that are only widened, operand for operand, before a reduction reads them: the body of the
/// reduction widens them, so that its products have the operands that the network has.
struct FuseWidening : OpRewritePattern<linalg::GenericOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(linalg::GenericOp consumer,
                                PatternRewriter &rewriter) const override {
    if (consumer.getNumReductionLoops() == 0)
      return rewriter.notifyMatchFailure(consumer, "is no reduction");
    for (OpOperand *operand : consumer.getDpsInputOperands()) {
      auto producer = operand->get().getDefiningOp<linalg::GenericOp>();
      if (!producer || !isWidening(producer) || !linalg::areElementwiseOpsFusable(operand))
        continue;
      if (succeeded(fuse(rewriter, *operand)))
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
    patterns.add<FuseIntoConsumer, FuseWidening, WidenLast<tensor::CollapseShapeOp>,
                 WidenLast<tensor::ExpandShapeOp>>(&getContext());
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
