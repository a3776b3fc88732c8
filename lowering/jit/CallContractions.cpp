// SPDX-License-Identifier: Apache-2.0
#include "lowering/Lowering.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_CALLCONTRACTIONS
#include "lowering/Lowering.h.inc"

namespace {
constexpr StringRef kFunction = "asnet_contract";

/// Where an operand's elements lie: a stride for each loop, in elements, and the first one's place.
struct Access {
  SmallVector<int64_t> strides;
  int64_t offset = 0;
};

std::optional<Access> accessOf(Value memref, AffineMap map) {
  auto type = cast<MemRefType>(memref.getType());
  SmallVector<int64_t> layout;
  Access access;
  if (failed(type.getStridesAndOffset(layout, access.offset)) ||
      ShapedType::isDynamic(access.offset) || llvm::any_of(layout, ShapedType::isDynamic))
    return std::nullopt;
  access.strides.assign(map.getNumDims(), 0);
  for (auto [stride, expr] : llvm::zip_equal(layout, map.getResults())) {
    SmallVector<AffineExpr> pending{expr};
    while (!pending.empty()) {
      AffineExpr part = pending.pop_back_val();
      if (auto constant = dyn_cast<AffineConstantExpr>(part)) {
        access.offset += stride * constant.getValue();
      } else if (auto dim = dyn_cast<AffineDimExpr>(part)) {
        access.strides[dim.getPosition()] += stride;
      } else {
        auto binary = cast<AffineBinaryOpExpr>(part);
        if (binary.getKind() == AffineExprKind::Add) {
          pending.append({binary.getLHS(), binary.getRHS()});
        } else {
          auto factor = cast<AffineConstantExpr>(binary.getRHS()).getValue();
          access.strides[cast<AffineDimExpr>(binary.getLHS()).getPosition()] += stride * factor;
        }
      }
    }
  }
  return access;
}

class Caller {
public:
  explicit Caller(func::FuncOp function)
      : function(function), b(function.getContext()),
        module(function->getParentOfType<ModuleOp>()) {}

  LogicalResult run() {
    SmallVector<linalg::GenericOp> found;
    function.walk([&](linalg::GenericOp op) {
      if (op->hasAttr(approx::kProductAttrName))
        found.push_back(op);
    });
    for (linalg::GenericOp op : found)
      if (failed(replace(op)))
        return failure();
    return success();
  }

private:
  LogicalResult replace(linalg::GenericOp op) {
    Location loc = op.getLoc();
    // The body compares what takes part (approx-outline-contractions).
    auto compare = *op.getBody()->getOps<arith::CmpIOp>().begin();
    OpOperand *samples = operandOf(op, compare.getLhs()),
              *weights = operandOf(op, compare.getRhs());
    OpOperand *sums = op.getDpsInitOperand(0);
    if (!samples || !weights)
      return op.emitError("a sum of products lost its operands");
    std::optional<Access> x = accessOf(samples->get(), op.getMatchingIndexingMap(samples));
    std::optional<Access> w = accessOf(weights->get(), op.getMatchingIndexingMap(weights));
    std::optional<Access> y = accessOf(sums->get(), op.getMatchingIndexingMap(sums));
    if (!x || !w || !y)
      return op.emitError("a sum of products on arrays whose layout is not known");
    NamedAttrList entries;
    if (failed(describeWeights(op, weights->get(), entries)))
      return failure();
    SmallVector<int64_t> reduces;
    for (utils::IteratorType kind : op.getIteratorTypesArray())
      reduces.push_back(kind == utils::IteratorType::reduction);
    auto vector = dyn_cast<VectorType>(getElementTypeOrSelf(samples->get().getType()));
    auto put = [&](StringRef name, ArrayRef<int64_t> values) {
      entries.set(name, b.getDenseI64ArrayAttr(values));
    };
    put("ranges", op.getStaticLoopRanges());
    put("reduces", reduces);
    for (auto [name, access] : {std::pair("x", &*x), {"w", &*w}, {"y", &*y}}) {
      put(name, access->strides);
      entries.set((StringRef(name) + "_offset").str(), b.getI64IntegerAttr(access->offset));
    }
    entries.set("lanes", b.getI64IntegerAttr(vector ? vector.getNumElements() : 1));
    entries.set("product", op->getAttr(approx::kProductAttrName));
    bool adds = !dropZeros(op, sums->get());
    entries.set("adds", b.getBoolAttr(adds));

    unsigned position = function.getNumArguments();
    auto type = MemRefType::get({1}, b.getI8Type());
    auto attributes = b.getDictionaryAttr(
        b.getNamedAttr(approx::kContractionAttrName, entries.getDictionary(b.getContext())));
    if (failed(function.insertArgument(position, type, attributes, loc)))
      return failure();
    b.setInsertionPoint(op);
    SmallVector<Value> addresses;
    for (Value memref : {Value(function.getArgument(position)), samples->get(), sums->get()})
      addresses.push_back(memref::ExtractAlignedPointerAsIndexOp::create(b, loc, memref));
    func::CallOp::create(b, loc, declaration(), addresses);
    op.erase();
    return success();
  }

  OpOperand *operandOf(linalg::GenericOp op, Value value) {
    if (auto broadcast = value.getDefiningOp<vector::BroadcastOp>())
      value = broadcast.getSource();
    auto argument = dyn_cast<BlockArgument>(value);
    return argument && argument.getOwner() == op.getBody()
               ? &op->getOpOperand(argument.getArgNumber())
               : nullptr;
  }

  /// Says which array has the weights: one of the network's, one that `@prepare` makes, a constant.
  LogicalResult describeWeights(linalg::GenericOp op, Value weights, NamedAttrList &entries) {
    while (Operation *def = weights.getDefiningOp()) {
      if (auto global = dyn_cast<memref::GetGlobalOp>(def)) {
        auto symbol = module.lookupSymbol<memref::GlobalOp>(global.getName());
        entries.set("constant", *symbol.getInitialValue());
        return success();
      }
      // Views of an array whose layout the operand's own type says.
      if (!isa<memref::CollapseShapeOp, memref::ExpandShapeOp, memref::CastOp, memref::SubViewOp,
               memref::ReinterpretCastOp>(def))
        return op.emitError() << "a sum of products has weights that '" << def->getName()
                              << "' makes in every run";
      weights = def->getOperand(0);
    }
    unsigned number = cast<BlockArgument>(weights).getArgNumber();
    for (StringRef name : {approx::kWeightAttrName, approx::kPreparedAttrName})
      if (Attribute attribute = function.getArgAttr(number, name)) {
        entries.set(name.substr(strlen("approx.")), attribute);
        return success();
      }
    return op.emitError("a sum of products has weights that come from nowhere");
  }

  /// Erases the op that fills the sums with zeros right before, and says whether there is one.
  bool dropZeros(linalg::GenericOp op, Value sums) {
    Operation *previous = op->getPrevNode();
    while (previous &&
           llvm::none_of(previous->getOperands(), [&](Value operand) { return operand == sums; })) {
      if (!isa<memref::AllocOp, memref::GetGlobalOp, memref::CollapseShapeOp,
               memref::ExpandShapeOp>(previous) &&
          !previous->hasTrait<OpTrait::ConstantLike>() && !isa<linalg::GenericOp>(previous))
        return false;
      previous = previous->getPrevNode();
    }
    auto fill = dyn_cast_or_null<linalg::GenericOp>(previous);
    if (!fill || fill.getNumDpsInits() != 1 || fill.getDpsInitOperand(0)->get() != sums ||
        fill.getNumReductionLoops() != 0)
      return false;
    Value filled = fill.getBody()->getTerminator()->getOperand(0);
    if (OpOperand *operand = operandOf(fill, filled))
      filled = operand->get();
    Attribute value;
    if (!matchPattern(filled, m_Constant(&value)))
      return false;
    if (auto elements = dyn_cast<SplatElementsAttr>(value))
      value = elements.getSplatValue<Attribute>();
    auto number = dyn_cast<IntegerAttr>(value);
    if (!number || !number.getValue().isZero())
      return false;
    fill.erase();
    return true;
  }

  func::FuncOp declaration() {
    if (auto declared = module.lookupSymbol<func::FuncOp>(kFunction))
      return declared;
    OpBuilder outside = OpBuilder::atBlockBegin(module.getBody());
    Type index = outside.getIndexType();
    auto declared =
        func::FuncOp::create(outside, function.getLoc(), kFunction,
                             outside.getFunctionType({index, index, index}, TypeRange()));
    declared.setPrivate();
    return declared;
  }

  func::FuncOp function;
  OpBuilder b;
  ModuleOp module;
};

struct CallContractions : impl::CallContractionsBase<CallContractions> {
  void runOnOperation() override {
    if (auto main = getOperation().lookupSymbol<func::FuncOp>("main"))
      if (failed(Caller(main).run()))
        signalPassFailure();
  }
};
} // namespace
} // namespace asnet
