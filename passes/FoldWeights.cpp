// SPDX-License-Identifier: Apache-2.0
// Outline the arithmetic that depends on weights and constants only.

#include "passes/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "mlir/Transforms/RegionUtils.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/SmallBitVector.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_FOLDWEIGHTS
#include "passes/Passes.h.inc"

namespace {
constexpr StringLiteral kOutlined = "folded_weights";

/// Whether a weight can be of this type: floats of a format.
bool isStaticFloatTensor(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && tensor.hasStaticShape() && approx::getFloatFormat(tensor.getElementType());
}

/// Values from outside that an op uses, those in its regions included.
SmallVector<Value> usedValues(Operation *op) {
  llvm::SetVector<Value> values(op->operand_begin(), op->operand_end());
  getUsedValuesDefinedAbove(op->getRegions(), values);
  return values.takeVector();
}

/// Whether an op makes new floats, rather than moving some.
bool computesFloats(Operation *op) {
  return op
      ->walk([&](Operation *inner) {
        bool moves = inner->getNumRegions() != 0 || inner->hasTrait<OpTrait::IsTerminator>() ||
                     isa<arith::ConstantOp>(inner) ||
                     isa<tensor::TensorDialect, linalg::LinalgDialect>(inner->getDialect());
        bool isFloat = llvm::any_of(inner->getResultTypes(), [](Type type) {
          return isa<FloatType, ComplexType>(getElementTypeOrSelf(type));
        });
        return !moves && isFloat ? WalkResult::interrupt() : WalkResult::advance();
      })
      .wasInterrupted();
}

/// The iterators that a body can tell apart: those in the maps of inputs or read as indices.
llvm::SmallBitVector usedIterators(linalg::GenericOp op) {
  llvm::SmallBitVector used(op.getNumLoops());
  for (OpOperand *operand : op.getDpsInputOperands())
    for (unsigned i = 0; i < op.getNumLoops(); ++i)
      if (op.getMatchingIndexingMap(operand).isFunctionOfDim(i))
        used.set(i);
  op.getBody()->walk([&](linalg::IndexOp index) { used.set(index.getDim()); });
  return used;
}

/// One result, each element of which depends on the inputs only: on a tensor of static shape whose
/// dimensions are iterators, in their order, and that starts from a constant if it is a reduction.
bool isMapping(linalg::GenericOp op) {
  if (op->getNumResults() != 1 || !op.hasPureTensorSemantics() ||
      !cast<RankedTensorType>(op->getResult(0).getType()).hasStaticShape())
    return false;
  bool reads = !op.getRegionOutputArgs().front().use_empty();
  if (reads && !getSplatConstant(op.getDpsInits().front()))
    return false;
  SmallVector<unsigned> parallel;
  op.getParallelDims(parallel);
  AffineMap map = op.getIndexingMapsArray().back();
  return map.isProjectedPermutation() &&
         llvm::equal(map.getResults(), parallel, [](AffineExpr result, unsigned dim) {
           return cast<AffineDimExpr>(result).getPosition() == dim;
         });
}

bool isElementwise(linalg::GenericOp op) {
  return isMapping(op) && op.getNumParallelLoops() == op.getNumLoops() &&
         op.getRegionOutputArgs().front().use_empty();
}

/// Let `op` read what broadcasts and transposes among its producers read, so that its maps show on what
/// its elements depend.
void readThroughMovements(linalg::GenericOp op) {
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  for (OpOperand *operand : op.getDpsInputOperands()) {
    AffineMap &map = maps[operand->getOperandNumber()];
    while (auto producer = operand->get().getDefiningOp<linalg::GenericOp>()) {
      auto yielded = dyn_cast<BlockArgument>(producer.getBody()->getTerminator()->getOperand(0));
      if (!isElementwise(producer) || !yielded || yielded.getOwner() != producer.getBody())
        break;
      OpOperand *source = producer.getDpsInputOperand(yielded.getArgNumber());
      if (!isa<RankedTensorType>(source->get().getType()))
        break;
      map = producer.getMatchingIndexingMap(source).compose(map);
      operand->set(source->get());
    }
  }
  op.setIndexingMapsAttr(Builder(op.getContext()).getAffineMapArrayAttr(maps));
}

/// Compute without the dimensions along which everything is equal, and broadcast the result, so that
/// what is folded is no larger than what it is made of, and does not depend on the batch size.
void broadcastLast(IRRewriter &rewriter, linalg::GenericOp op) {
  bool hasIndex = !op.getBody()->getOps<linalg::IndexOp>().empty();
  SmallVector<utils::IteratorType> iterators = op.getIteratorTypesArray();
  llvm::SmallBitVector used = usedIterators(op);
  for (auto [i, iterator] : llvm::enumerate(iterators))
    if (iterator == utils::IteratorType::reduction)
      used.set(i);
  if (used.all() || !(hasIndex || computesFloats(op)))
    return;

  MLIRContext *context = rewriter.getContext();
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  Type element = type.getElementType();
  // The iterators that stay get new numbers; `kept` and `shape` are those of the small result among
  // the dimensions of the whole one.
  SmallVector<AffineExpr> renumbered(op.getNumLoops(), rewriter.getAffineConstantExpr(0)), kept;
  SmallVector<AffineExpr> results;
  SmallVector<utils::IteratorType> smallIterators;
  SmallVector<int64_t> shape;
  unsigned dimension = 0;
  for (auto [i, iterator] : llvm::enumerate(iterators)) {
    bool isParallel = iterator == utils::IteratorType::parallel;
    if (used[i]) {
      renumbered[i] = rewriter.getAffineDimExpr(smallIterators.size());
      smallIterators.push_back(iterator);
      if (isParallel) {
        results.push_back(renumbered[i]);
        kept.push_back(rewriter.getAffineDimExpr(dimension));
        shape.push_back(type.getDimSize(dimension));
      }
    }
    dimension += isParallel;
  }
  unsigned loops = smallIterators.size();
  SmallVector<AffineMap> maps;
  for (OpOperand *operand : op.getDpsInputOperands())
    maps.push_back(
        op.getMatchingIndexingMap(operand).replaceDimsAndSymbols(renumbered, {}, loops, 0));
  maps.push_back(AffineMap::get(loops, 0, results, context));

  rewriter.setInsertionPoint(op);
  Location loc = op.getLoc();
  Value init = tensor::EmptyOp::create(rewriter, loc, shape, element);
  if (TypedAttr start = getSplatConstant(op.getDpsInits().front())) {
    Value scalar = arith::ConstantOp::create(rewriter, loc, start);
    init = linalg::FillOp::create(rewriter, loc, scalar, init).getResult(0);
  }
  auto small = linalg::GenericOp::create(rewriter, loc, TypeRange(init.getType()), op.getInputs(),
                                         ValueRange(init), maps, smallIterators);
  rewriter.cloneRegionBefore(op.getRegion(), small.getRegion(), small.getRegion().begin());
  small.walk([&](linalg::IndexOp index) {
    index.setDim(cast<AffineDimExpr>(renumbered[index.getDim()]).getPosition());
  });

  SmallVector<AffineMap> copyMaps = {AffineMap::get(type.getRank(), 0, kept, context),
                                     rewriter.getMultiDimIdentityMap(type.getRank())};
  SmallVector<utils::IteratorType> parallel(type.getRank(), utils::IteratorType::parallel);
  Value whole = tensor::EmptyOp::create(rewriter, loc, type.getShape(), element);
  auto broadcast = linalg::GenericOp::create(
      rewriter, loc, TypeRange(type), ValueRange(small->getResult(0)), ValueRange(whole), copyMaps,
      parallel, [](OpBuilder &b, Location at, ValueRange arguments) {
        linalg::YieldOp::create(b, at, arguments.front());
      });
  for (Operation *made : {small.getOperation(), broadcast.getOperation()})
    if (Attribute layer = op->getAttr(approx::kLayerAttrName))
      made->setAttr(approx::kLayerAttrName, layer);
  rewriter.replaceOp(op, broadcast);
}

/// The numbers 0, 1, .. of one dimension as a constant: hardware has no indices to compute with.
struct MaterializeIota : OpRewritePattern<linalg::GenericOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(linalg::GenericOp op, PatternRewriter &rewriter) const override {
    if (op.getNumLoops() != 1 || op->getNumResults() != 1 || !op.hasPureTensorSemantics())
      return rewriter.notifyMatchFailure(op, "not one-dimensional");
    auto yield = cast<linalg::YieldOp>(op.getBody()->getTerminator());
    auto cast = yield.getOperand(0).getDefiningOp<arith::IndexCastOp>();
    auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
    if (!cast || !cast.getIn().getDefiningOp<linalg::IndexOp>() || !type.hasStaticShape() ||
        !op.getIndexingMapsArray().back().isIdentity())
      return rewriter.notifyMatchFailure(op, "no iota");
    SmallVector<APInt> values;
    unsigned width = type.getElementTypeBitWidth();
    for (int64_t i = 0; i < type.getNumElements(); ++i)
      values.push_back(APInt(64, i).zextOrTrunc(width));
    rewriter.replaceOpWithNewOp<arith::ConstantOp>(op, DenseElementsAttr::get(type, values));
    return success();
  }
};

class Folder {
public:
  explicit Folder(func::FuncOp main) : main(main), block(main.getBody().front()) {}

  /// Find what depends on weights and constants only, in the order of the block.
  void collect() {
    constant.clear();
    holdsArithmetic.clear();
    for (BlockArgument argument : main.getArguments())
      if (main.getArgAttr(argument.getArgNumber(), approx::kWeightAttrName))
        constant.insert(argument);
    for (Operation &op : block) {
      SmallVector<Value> used = usedValues(&op);
      if (op.hasTrait<OpTrait::IsTerminator>() || !isMemoryEffectFree(&op) ||
          !llvm::all_of(used, [&](Value value) { return constant.contains(value); }))
        continue;
      constant.insert(op.result_begin(), op.result_end());
      bool holds = computesFloats(&op) ||
                   llvm::any_of(used, [&](Value value) { return holdsArithmetic.contains(value); });
      if (holds)
        holdsArithmetic.insert(op.result_begin(), op.result_end());
    }
  }

  bool isConstant(Operation *op) const {
    return op->getBlock() == &block &&
           llvm::all_of(op->getResults(), [&](Value v) { return constant.contains(v); });
  }

  /// The values to fold: results of arithmetic that are used outside, looked at through movements of
  /// data, which stay where they are.
  llvm::SetVector<Value> findRoots() const {
    llvm::SetVector<Value> roots;
    SmallPtrSet<Operation *, 16> seen;
    auto visit = [&](auto &self, Value value) -> void {
      Operation *op = value.getDefiningOp();
      if (!op || !holdsArithmetic.contains(value))
        return;
      if (computesFloats(op) && isStaticFloatTensor(value.getType())) {
        roots.insert(value);
        return;
      }
      if (seen.insert(op).second)
        for (Value operand : usedValues(op))
          self(self, operand);
    };
    for (Operation &op : block)
      if (!isConstant(&op) || op.hasTrait<OpTrait::IsTerminator>())
        for (Value value : usedValues(&op))
          visit(visit, value);
    return roots;
  }

  /// Move the computation of `roots` to a function of its own and make them arguments.
  void outline(ArrayRef<Value> roots) {
    llvm::SetVector<Operation *> needed;
    auto require = [&](auto &self, Value value) -> void {
      Operation *op = value.getDefiningOp();
      if (op && needed.insert(op))
        for (Value operand : usedValues(op))
          self(self, operand);
    };
    for (Value root : roots)
      require(require, root);

    SmallVector<unsigned> weights;
    for (BlockArgument argument : main.getArguments())
      if (main.getArgAttr(argument.getArgNumber(), approx::kWeightAttrName))
        weights.push_back(argument.getArgNumber());
    SmallVector<Type> inputs, results;
    for (unsigned index : weights)
      inputs.push_back(main.getArgument(index).getType());
    for (Value root : roots)
      results.push_back(root.getType());

    OpBuilder builder(main);
    builder.setInsertionPointAfter(main);
    auto function = func::FuncOp::create(builder, main.getLoc(), kOutlined,
                                         builder.getFunctionType(inputs, results));
    builder.setInsertionPointToStart(function.addEntryBlock());
    IRMapping mapping;
    for (auto [index, argument] : llvm::zip_equal(weights, function.getArguments())) {
      mapping.map(main.getArgument(index), argument);
      function.setArgAttr(argument.getArgNumber(), approx::kWeightAttrName,
                          main.getArgAttr(index, approx::kWeightAttrName));
    }
    for (Operation &op : block)
      if (needed.contains(&op))
        builder.clone(op, mapping);
    SmallVector<Value> returned;
    for (Value root : roots)
      returned.push_back(mapping.lookup(root));
    func::ReturnOp::create(builder, main.getLoc(), returned);

    SmallVector<bool> wasUsed;
    for (unsigned index : weights)
      wasUsed.push_back(!main.getArgument(index).use_empty());
    for (auto [position, root] : llvm::enumerate(roots)) {
      auto name = StringAttr::get(main.getContext(), makeName(root));
      function.setResultAttr(position, approx::kWeightAttrName, name);
      auto attributes = DictionaryAttr::get(main.getContext(),
                                            NamedAttribute(approx::kWeightAttrName, name));
      unsigned index = main.getNumArguments();
      (void)main.insertArgument(index, root.getType(), attributes, root.getLoc());
      Value(root).replaceAllUsesWith(main.getArgument(index));
    }
    // What only the folded values needed goes, weights included.
    SmallVector<Operation *> ops = llvm::map_to_vector(block, [](Operation &op) { return &op; });
    for (Operation *op : llvm::reverse(ops))
      if (op->use_empty() && isConstant(op) && !op->hasTrait<OpTrait::IsTerminator>())
        op->erase();
    llvm::BitVector unused(main.getNumArguments());
    for (auto [index, used] : llvm::zip_equal(weights, wasUsed))
      unused[index] = used && main.getArgument(index).use_empty();
    (void)main.eraseArguments(unused);
  }

private:
  /// A name that no other weight has, after the layer.
  std::string makeName(Value root) {
    llvm::StringSet<> taken;
    for (BlockArgument argument : main.getArguments())
      if (auto name = main.getArgAttrOfType<StringAttr>(argument.getArgNumber(),
                                                        approx::kWeightAttrName))
        taken.insert(name.getValue());
    std::string base = "folded";
    if (StringAttr layer = approx::getLayer(root.getDefiningOp()))
      base = (layer.getValue() + "/folded").str();
    std::string name = base;
    for (unsigned i = 1; taken.contains(name); ++i)
      name = base + "_" + std::to_string(i);
    return name;
  }

  func::FuncOp main;
  Block &block;
  DenseSet<Value> constant, holdsArithmetic;
};

struct FoldWeights : impl::FoldWeightsBase<FoldWeights> {
  void runOnOperation() override {
    auto main = getOperation().lookupSymbol<func::FuncOp>("main");
    if (!main || main.isExternal() || !main.getBody().hasOneBlock()) {
      getOperation().emitError("must hold a function 'main' of one block");
      return signalPassFailure();
    }
    if (Operation *other = getOperation().lookupSymbol(kOutlined)) {
      other->emitError() << "the name '" << kOutlined << "' is taken; rename it";
      return signalPassFailure();
    }
    Folder folder(main);
    folder.collect();
    if (failed(simplify(main, folder)))
      return signalPassFailure();
    folder.collect();
    llvm::SetVector<Value> roots = folder.findRoots();
    if (!roots.empty())
      folder.outline(roots.getArrayRef());
  }

  LogicalResult simplify(func::FuncOp main, Folder &folder) {
    // Constants first: what is computed of single numbers folds by itself.
    RewritePatternSet constants(&getContext());
    populateInlineSplatConstantPatterns(constants);
    linalg::populateEraseUnusedOperandsAndResultsPatterns(constants);
    linalg::GenericOp::getCanonicalizationPatterns(constants, &getContext());
    if (failed(applyPatternsGreedily(main, std::move(constants))))
      return failure();
    folder.collect();

    IRRewriter rewriter(&getContext());
    for (auto op : llvm::to_vector(main.getOps<linalg::GenericOp>()))
      if (folder.isConstant(op) && isMapping(op)) {
        readThroughMovements(op);
        broadcastLast(rewriter, op);
      }

    RewritePatternSet rest(&getContext());
    rest.add<MaterializeIota>(&getContext());
    linalg::populateEraseUnusedOperandsAndResultsPatterns(rest);
    if (failed(applyPatternsGreedily(main, std::move(rest))))
      return failure();
    return success();
  }
};
} // namespace
} // namespace asnet
