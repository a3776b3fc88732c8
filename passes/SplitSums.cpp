// SPDX-License-Identifier: Apache-2.0
#include "passes/Passes.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_SPLITSUMS
#include "passes/Passes.h.inc"

namespace {
/// Fewer terms in a block, or fewer blocks, gain nothing.
constexpr int64_t kLeastBlock = 8;

/// The divisor of `terms` that is nearest to its square root, from above; 0 where the two factors
/// are too far apart.
int64_t chooseBlock(int64_t terms) {
  for (int64_t blocks = std::sqrt(double(terms)); blocks >= kLeastBlock; --blocks)
    if (terms % blocks == 0)
      return terms / blocks;
  return 0;
}

/// A sum over one dimension.
struct Sum {
  unsigned dim;
  arith::AddFOp add;
};

/// Whether `op` adds terms that don't depend on the sum, over one dimension of more than one step.
std::optional<Sum> matchSum(linalg::GenericOp op) {
  if (!op.hasPureTensorSemantics() || op.getNumDpsInits() != 1 || op.hasIndexSemantics())
    return std::nullopt;
  SmallVector<int64_t> ranges = op.getStaticLoopRanges();
  if (llvm::any_of(ranges, ShapedType::isDynamic))
    return std::nullopt;
  std::optional<unsigned> dim;
  for (auto [position, iterator] : llvm::enumerate(op.getIteratorTypesArray())) {
    if (iterator != utils::IteratorType::reduction)
      continue;
    if (dim)
      return std::nullopt;
    dim = position;
  }
  if (!dim || !op.getMatchingIndexingMap(op.getDpsInitOperand(0)).isProjectedPermutation())
    return std::nullopt;
  BlockArgument accumulator = op.getMatchingBlockArgument(op.getDpsInitOperand(0));
  auto add = op.getBody()->getTerminator()->getOperand(0).getDefiningOp<arith::AddFOp>();
  if (!add || !approx::getFloatFormat(add.getType()) || add.getLhs() != accumulator ||
      !accumulator.hasOneUse())
    return std::nullopt;
  return Sum{*dim, add};
}

/// Gives `map` two dimensions, blocks and steps in a block, for its dimension `dim`.
AffineMap splitDim(AffineMap map, unsigned dim, int64_t block) {
  MLIRContext *context = map.getContext();
  SmallVector<AffineExpr> dims;
  for (unsigned position = 0; position < map.getNumDims(); ++position) {
    AffineExpr expr = getAffineDimExpr(position + (position > dim), context);
    if (position == dim)
      expr = expr * block + getAffineDimExpr(position + 1, context);
    dims.push_back(expr);
  }
  return map.replaceDimsAndSymbols(dims, {}, map.getNumDims() + 1, 0);
}

Value fillZeros(OpBuilder &b, Location loc, RankedTensorType type) {
  Value empty = tensor::EmptyOp::create(b, loc, type.getShape(), type.getElementType());
  Value zero = arith::ConstantOp::create(b, loc, b.getFloatAttr(type.getElementType(), 0.0));
  SmallVector<utils::IteratorType> iterators(type.getRank(), utils::IteratorType::parallel);
  auto scalar = AffineMap::get(type.getRank(), 0, b.getContext());
  return linalg::GenericOp::create(b, loc, type, zero, empty,
                                   ArrayRef{scalar, b.getMultiDimIdentityMap(type.getRank())},
                                   iterators,
                                   [&](OpBuilder &inside, Location, ValueRange arguments) {
                                     linalg::YieldOp::create(inside, loc, arguments[0]);
                                   })
      .getResult(0);
}

void splitSum(IRRewriter &b, linalg::GenericOp op, Sum sum, int64_t block) {
  Location loc = op.getLoc();
  int64_t blocks = op.getStaticLoopRanges()[sum.dim] / block;
  Attribute layer = op->getAttr(approx::kLayerAttrName);
  auto keepLayer = [&](Operation *made) {
    if (layer)
      made->setAttr(approx::kLayerAttrName, layer);
  };
  b.setInsertionPoint(op);
  auto type = cast<RankedTensorType>(op.getResult(0).getType());
  SmallVector<int64_t> shape(type.getShape());
  shape.push_back(blocks);
  Value zeros = fillZeros(b, loc, RankedTensorType::get(shape, type.getElementType()));
  keepLayer(zeros.getDefiningOp());

  // Every block's sum, from 0, as an output of its own.  As for a pooling's window, an operand that
  // nobody reads says how many steps a block has.
  SmallVector<Value> inputs(op.getInputs());
  SmallVector<AffineMap> maps;
  for (OpOperand *input : op.getDpsInputOperands())
    maps.push_back(splitDim(op.getMatchingIndexingMap(input), sum.dim, block));
  inputs.push_back(tensor::EmptyOp::create(b, loc, block, type.getElementType()));
  maps.push_back(AffineMap::get(op.getNumLoops() + 1, 0, b.getAffineDimExpr(sum.dim + 1)));
  AffineMap output = splitDim(op.getMatchingIndexingMap(op.getDpsInitOperand(0)), sum.dim, block);
  maps.push_back(output.insertResult(b.getAffineDimExpr(sum.dim), output.getNumResults()));
  SmallVector<utils::IteratorType> iterators = op.getIteratorTypesArray();
  iterators.insert(iterators.begin() + sum.dim, utils::IteratorType::parallel);
  auto partial = linalg::GenericOp::create(b, loc, zeros.getType(), inputs, zeros, maps, iterators);
  partial->setDiscardableAttrs(op->getDiscardableAttrDictionary());
  b.cloneRegionBefore(op.getRegion(), partial.getRegion(), partial.getRegion().begin());
  partial.getBody()->insertArgument(op.getNumDpsInputs(), type.getElementType(), loc);

  // The sum of the blocks, in order, from where the whole sum began.
  unsigned rank = type.getRank();
  SmallVector<utils::IteratorType> outer(rank, utils::IteratorType::parallel);
  outer.push_back(utils::IteratorType::reduction);
  auto identity = b.getMultiDimIdentityMap(rank + 1);
  auto whole = linalg::GenericOp::create(
      b, loc, type, partial.getResult(0), op.getDpsInitOperand(0)->get(),
      ArrayRef{identity, identity.dropResult(rank)}, outer,
      [&](OpBuilder &inside, Location, ValueRange arguments) {
        Value added = arith::AddFOp::create(inside, sum.add.getLoc(), arguments[1], arguments[0]);
        linalg::YieldOp::create(inside, loc, added);
      });
  whole->setDiscardableAttrs(op->getDiscardableAttrDictionary());
  b.replaceOp(op, whole);
}

struct SplitSums : impl::SplitSumsBase<SplitSums> {
  using Base::Base;

  void runOnOperation() override {
    SmallVector<linalg::GenericOp> ops;
    getOperation()->walk([&](linalg::GenericOp op) { ops.push_back(op); });
    IRRewriter rewriter(&getContext());
    for (linalg::GenericOp op : ops) {
      std::optional<Sum> sum = matchSum(op);
      if (!sum)
        continue;
      int64_t terms = op.getStaticLoopRanges()[sum->dim], block = chooseBlock(terms);
      auto type = cast<RankedTensorType>(op.getResult(0).getType());
      if (terms >= least && block && type.getNumElements() * (terms / block) <= most)
        splitSum(rewriter, op, *sum, block);
    }
  }
};
} // namespace
} // namespace asnet
