// SPDX-License-Identifier: Apache-2.0
#include "lowering/Lowering.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_ADDLANES
#include "lowering/Lowering.h.inc"

namespace {

class LaneAdder {
public:
  LaneAdder(func::FuncOp function, int64_t lanes)
      : function(function), lanes(lanes), b(function.getContext()) {}

  LogicalResult run() {
    for (BlockArgument argument : function.getArguments())
      if (function.getArgAttr(argument.getArgNumber(), approx::kValueAttrName))
        argument.setType(withLanes(argument.getType()));
    for (Operation &op : llvm::make_early_inc_range(function.getBody().front()))
      if (failed(convert(&op)))
        return failure();
    Block &body = function.getBody().front();
    function.setFunctionType(
        b.getFunctionType(body.getArgumentTypes(), body.getTerminator()->getOperandTypes()));
    return success();
  }

private:
  bool hasLanes(Type type) {
    return isa<VectorType>(getElementTypeOrSelf(type)) || isa<VectorType>(type);
  }
  bool hasLanes(Value value) {
    Type type = value.getType();
    if (auto tensor = dyn_cast<RankedTensorType>(type))
      return isa<VectorType>(tensor.getElementType());
    return isa<VectorType>(type);
  }

  Type withLanes(Type type) {
    if (auto tensor = dyn_cast<RankedTensorType>(type)) {
      if (isa<VectorType>(tensor.getElementType()))
        return type;
      return RankedTensorType::get(tensor.getShape(),
                                   VectorType::get({lanes}, tensor.getElementType()));
    }
    if (isa<VectorType>(type))
      return type;
    return VectorType::get({lanes}, type);
  }

  /// A tensor of which every lane is `value`.
  Value broadcast(Value value) {
    if (hasLanes(value))
      return value;
    Location loc = value.getLoc();
    if (!isa<RankedTensorType>(value.getType()))
      return vector::BroadcastOp::create(b, loc, withLanes(value.getType()), value);
    auto type = cast<RankedTensorType>(withLanes(value.getType()));
    Value empty = tensor::EmptyOp::create(b, loc, type.getShape(), type.getElementType());
    if (value.getDefiningOp<tensor::EmptyOp>())
      return empty;
    // A fill is filled with lanes at once.
    if (auto fill = value.getDefiningOp<linalg::GenericOp>())
      if (Value scalar = filledWith(fill)) {
        Value spread = vector::BroadcastOp::create(b, loc, type.getElementType(), scalar);
        return copyElements(fill->getAttrs(), spread, empty,
                            AffineMap::get(type.getRank(), 0, b.getContext()));
      }
    return copyElements({}, value, empty, b.getMultiDimIdentityMap(type.getRank()));
  }

  /// The scalar that an op writes to every element, or null.
  Value filledWith(linalg::GenericOp op) {
    if (op.getNumDpsInits() != 1 || op.getNumLoops() != op.getNumParallelLoops() ||
        !llvm::hasSingleElement(op.getBody()->getOperations()) ||
        !op.getMatchingIndexingMap(op.getDpsInitOperand(0)).isIdentity())
      return {};
    Value yielded = op.getBody()->getTerminator()->getOperand(0);
    if (auto argument = dyn_cast<BlockArgument>(yielded);
        argument && argument.getOwner() == op.getBody()) {
      Value operand = op.getMatchingOpOperand(argument)->get();
      return isa<RankedTensorType>(operand.getType()) ? Value() : operand;
    }
    return yielded;
  }

  Value copyElements(ArrayRef<NamedAttribute>, Value from, Value to, AffineMap map) {
    Location loc = from.getLoc();
    auto type = cast<RankedTensorType>(to.getType());
    SmallVector<utils::IteratorType> iterators(type.getRank(), utils::IteratorType::parallel);
    auto copy = linalg::GenericOp::create(
        b, loc, type, from, to, ArrayRef{map, b.getMultiDimIdentityMap(type.getRank())}, iterators,
        [&](OpBuilder &inside, Location, ValueRange arguments) {
          Value element = arguments[0];
          if (!isa<VectorType>(element.getType()))
            element = vector::BroadcastOp::create(inside, loc, type.getElementType(), element);
          linalg::YieldOp::create(inside, loc, element);
        });
    return copy.getResult(0);
  }

  LogicalResult convert(Operation *op) {
    bool depends = false;
    op->walk([&](Operation *nested) {
      depends |= llvm::any_of(nested->getOperands(), [&](Value value) { return hasLanes(value); });
    });
    // What a loop carries has lanes.
    if (isa<func::ReturnOp, scf::YieldOp>(op))
      depends = true;
    if (!depends)
      return success();
    b.setInsertionPoint(op);
    if (auto generic = dyn_cast<linalg::GenericOp>(op))
      return convertGeneric(generic);
    if (auto loop = dyn_cast<scf::ForOp>(op))
      return convertLoop(loop);
    if (isa<func::ReturnOp, scf::YieldOp, tensor::PadOp, tensor::InsertSliceOp, tensor::ConcatOp,
            tensor::CollapseShapeOp, tensor::ExpandShapeOp, tensor::ExtractSliceOp, tensor::CastOp,
            tensor::ReshapeOp>(op)) {
      for (OpOperand &operand : op->getOpOperands())
        if (isa<RankedTensorType>(operand.get().getType()) && !isShape(op, operand))
          operand.set(broadcast(operand.get()));
      if (auto pad = dyn_cast<tensor::PadOp>(op)) {
        Operation *yield = pad.getBody()->getTerminator();
        b.setInsertionPoint(yield);
        yield->setOperand(0, broadcast(yield->getOperand(0)));
      }
      setTypes(op);
      return success();
    }
    return op->emitError() << "'" << op->getName() << "' has no form for several samples at once";
  }

  bool isShape(Operation *op, OpOperand &operand) {
    return isa<tensor::ReshapeOp>(op) && operand.getOperandNumber() == 1;
  }

  void setTypes(Operation *op) {
    for (Value result : op->getResults())
      result.setType(withLanes(result.getType()));
  }

  LogicalResult convertLoop(scf::ForOp loop) {
    for (auto [init, argument] :
         llvm::zip_equal(loop.getInitArgsMutable(), loop.getRegionIterArgs())) {
      init.set(broadcast(init.get()));
      argument.setType(init.get().getType());
    }
    for (Operation &inner : llvm::make_early_inc_range(*loop.getBody()))
      if (failed(convert(&inner)))
        return failure();
    setTypes(loop);
    return success();
  }

  LogicalResult convertGeneric(linalg::GenericOp op) {
    for (OpOperand &init : op.getDpsInitsMutable())
      init.set(broadcast(init.get()));
    Block *body = op.getBody();
    for (OpOperand &operand : op->getOpOperands())
      if (hasLanes(operand.get()))
        op.getMatchingBlockArgument(&operand).setType(
            getElementTypeOrSelf(operand.get().getType()));
    for (Operation &inner : llvm::make_early_inc_range(*body)) {
      if (isa<linalg::YieldOp>(inner)) {
        b.setInsertionPoint(&inner);
        for (OpOperand &operand : inner.getOpOperands())
          operand.set(broadcast(operand.get()));
        continue;
      }
      if (llvm::none_of(inner.getOperands(), [&](Value value) { return hasLanes(value); })) {
        if (inner.getNumRegions() != 0)
          return inner.emitError()
                 << "'" << inner.getName() << "' has no form for several samples at once";
        continue;
      }
      // A condition that all lanes share stays a scalar.
      bool isElementwise = inner.hasTrait<OpTrait::Vectorizable>();
      if (!isElementwise)
        return inner.emitError() << "'" << inner.getName()
                                 << "' has no form for several samples at once";
      b.setInsertionPoint(&inner);
      for (OpOperand &operand : inner.getOpOperands())
        if (!(isa<arith::SelectOp>(inner) && operand.getOperandNumber() == 0))
          operand.set(broadcast(operand.get()));
      setTypes(&inner);
    }
    setTypes(op);
    return success();
  }

  func::FuncOp function;
  int64_t lanes;
  OpBuilder b;
};

struct AddLanes : impl::AddLanesBase<AddLanes> {
  using Base::Base;
  void runOnOperation() override {
    if (lanes < 1) {
      getOperation().emitError("cannot have ") << lanes.getValue() << " lanes; expected at least 1";
      return signalPassFailure();
    }
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      bool hasValues = llvm::any_of(llvm::seq(function.getNumArguments()), [&](unsigned position) {
        return static_cast<bool>(function.getArgAttr(position, approx::kValueAttrName));
      });
      if (hasValues && !function.isExternal() && failed(LaneAdder(function, lanes).run()))
        return signalPassFailure();
    }
  }
};
} // namespace
} // namespace asnet
