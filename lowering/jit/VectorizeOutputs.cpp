#include "lowering/Lowering.h"

#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/TileUsingInterface.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_VECTORIZEOUTPUTS
#include "lowering/Lowering.h.inc"

namespace {
/// A model derived from Verilog is hundreds of integer ops, each value live in several registers:
/// wide tiles of those only spill.
constexpr unsigned kLargeBody = 32;
/// Longer vectors only make LLVM split them, slowly.
constexpr int64_t kLongestVector = 32;

/// The whole range where it fits, else the largest power of two that divides it: other lengths waste
/// lanes, and LLVM takes long to legalize them.
int64_t chooseSize(int64_t range, int64_t limit) {
  limit = std::min(limit, kLongestVector);
  if (range <= limit)
    return range;
  int64_t size = 1;
  while (size * 2 <= limit && range % (size * 2) == 0)
    size *= 2;
  return size;
}

/// Collects the dimensions of a sum of dimensions with constant factors; fails on anything else.
LogicalResult collectTerms(AffineExpr expr, int64_t factor,
                           SmallVectorImpl<std::pair<unsigned, int64_t>> &terms) {
  if (auto dim = dyn_cast<AffineDimExpr>(expr)) {
    terms.emplace_back(dim.getPosition(), factor);
    return success();
  }
  if (isa<AffineConstantExpr>(expr))
    return success();
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary)
    return failure();
  if (binary.getKind() == AffineExprKind::Add)
    return success(succeeded(collectTerms(binary.getLHS(), factor, terms)) &&
                   succeeded(collectTerms(binary.getRHS(), factor, terms)));
  auto constant = dyn_cast<AffineConstantExpr>(binary.getRHS());
  if (binary.getKind() == AffineExprKind::Mul && constant)
    return collectTerms(binary.getLHS(), factor * constant.getValue(), terms);
  return failure();
}

/// Finds the outputs' dimensions that a block may extend along.  Of a window, `i + k` with k a
/// reduction, one step is an interval of i: it may.  A stride, `2 * i + k`, or two dimensions of
/// outputs in one sum leave gaps: they may not.  Fails where an operand is not read by such sums.
FailureOr<SmallVector<bool>> findBlockDims(linalg::GenericOp op) {
  SmallVector<utils::IteratorType> iterators = op.getIteratorTypesArray();
  SmallVector<bool> mayBlock;
  for (utils::IteratorType iterator : iterators)
    mayBlock.push_back(iterator == utils::IteratorType::parallel);
  for (AffineMap map : op.getIndexingMapsArray()) {
    for (AffineExpr expr : map.getResults()) {
      SmallVector<std::pair<unsigned, int64_t>> terms;
      if (failed(collectTerms(expr, 1, terms)))
        return failure();
      llvm::erase_if(terms, [&](auto term) {
        return iterators[term.first] != utils::IteratorType::parallel;
      });
      if (terms.size() > 1 || (terms.size() == 1 && terms.front().second != 1))
        for (auto [position, factor] : terms)
          mayBlock[position] = false;
    }
  }
  return mayBlock;
}

/// Tile sizes that leave a block of outputs of about `budget` elements, one step of every reduction.
/// Tiles divide their dimensions, so that no remainder needs code of its own.
SmallVector<int64_t> chooseTile(linalg::GenericOp op, ArrayRef<int64_t> ranges,
                                ArrayRef<bool> mayBlock, int64_t budget) {
  SmallVector<int64_t> tile(ranges.size(), 1);
  AffineMap output = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
  // The last dimension of the output is contiguous: it gets its share first.
  for (AffineExpr result : llvm::reverse(output.getResults())) {
    auto dim = dyn_cast<AffineDimExpr>(result);
    if (!dim || !mayBlock[dim.getPosition()])
      continue;
    unsigned position = dim.getPosition();
    tile[position] = chooseSize(ranges[position], budget);
    budget /= tile[position];
  }
  return tile;
}

bool isCandidate(linalg::GenericOp op, ArrayRef<int64_t> ranges) {
  // A call that is left is one of a model that computes arrays; `approx-block-calls` sees to it.
  return op.hasPureTensorSemantics() && op.getNumDpsInits() == 1 && !op.hasIndexSemantics() &&
         op.getBody()->getOps<func::CallOp>().empty() &&
         llvm::none_of(ranges, ShapedType::isDynamic);
}

LogicalResult vectorizeOutputs(IRRewriter &rewriter, linalg::GenericOp op, int64_t elements) {
  SmallVector<int64_t> ranges = op.getStaticLoopRanges();
  if (!isCandidate(op, ranges))
    return failure();
  FailureOr<SmallVector<bool>> mayBlock = findBlockDims(op);
  if (failed(mayBlock))
    return failure();
  unsigned bodySize = llvm::range_size(op.getBody()->without_terminator());
  int64_t budget = bodySize > kLargeBody ? std::min<int64_t>(elements, 16) : elements;
  SmallVector<int64_t> tile = chooseTile(op, ranges, *mayBlock, budget);
  int64_t block = 1;
  for (int64_t size : tile)
    block *= size;
  if (block == 1)
    return failure();

  // Loops over outputs outside, reductions inside: each output still sees its reduction in the
  // defined order, and the block of accumulators stays in registers.
  SmallVector<int64_t> interchange;
  for (auto kind : {utils::IteratorType::parallel, utils::IteratorType::reduction})
    for (auto [position, iterator] : llvm::enumerate(op.getIteratorTypesArray()))
      if (iterator == kind)
        interchange.push_back(position);

  // A dimension that is whole needs no loop.
  SmallVector<OpFoldResult> sizes;
  for (auto [size, range] : llvm::zip_equal(tile, ranges))
    sizes.push_back(rewriter.getIndexAttr(size == range ? 0 : size));
  scf::SCFTilingOptions options;
  options.setTileSizes(sizes).setInterchange(interchange);
  rewriter.setInsertionPoint(op);
  auto tiled =
      scf::tileUsingSCF(rewriter, cast<TilingInterface>(op.getOperation()), options);
  if (failed(tiled))
    return failure();
  rewriter.replaceOp(op, tiled->replacements);
  auto inner = cast<linalg::GenericOp>(tiled->tiledOps.front());

  // Reductions have one step left: without their unit dimensions the op is elementwise, so that the
  // vectorizer meets no reduction, which it would reassociate or reject.
  linalg::ControlDropUnitDims control;
  control.rankReductionStrategy =
      linalg::ControlDropUnitDims::RankReductionStrategy::ExtractInsertSlice;
  rewriter.setInsertionPoint(inner);
  if (auto dropped = linalg::dropUnitDims(rewriter, inner, control); succeeded(dropped)) {
    rewriter.replaceOp(inner, dropped->replacements);
    inner = cast<linalg::GenericOp>(dropped->resultOp.getOperation());
  }
  if (inner.getNumReductionLoops() != 0)
    return success(); // stays a scalar loop nest, in the defined order
  rewriter.setInsertionPoint(inner);
  auto vectorized = linalg::vectorize(rewriter, inner);
  if (succeeded(vectorized))
    rewriter.replaceOp(inner, vectorized->replacements);
  return success();
}

struct VectorizeOutputs : impl::VectorizeOutputsBase<VectorizeOutputs> {
  using Base::Base;
  void runOnOperation() override {
    SmallVector<linalg::GenericOp> ops;
    getOperation()->walk([&](linalg::GenericOp op) { ops.push_back(op); });
    IRRewriter rewriter(&getContext());
    for (linalg::GenericOp op : ops)
      (void)vectorizeOutputs(rewriter, op, elements);
  }
};
} // namespace
} // namespace asnet
