// SPDX-License-Identifier: Apache-2.0
#include "passes/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_WIDENBOOLEANS
#include "passes/Passes.h.inc"

namespace {
bool isBooleans(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && tensor.getElementType().isInteger(1);
}

Type widen(Type type) {
  return cast<RankedTensorType>(type).clone(IntegerType::get(type.getContext(), 32));
}

struct WidenBooleans : impl::WidenBooleansBase<WidenBooleans> {
  void runOnOperation() override {
    SmallVector<Operation *> ops;
    WalkResult result = getOperation()->walk([&](Operation *op) -> WalkResult {
      if (!llvm::any_of(op->getOperandTypes(), isBooleans) &&
          !llvm::any_of(op->getResultTypes(), isBooleans))
        return WalkResult::advance();
      if (!isa<linalg::GenericOp, linalg::FillOp, tensor::EmptyOp, tensor::ExtractOp,
               tensor::InsertSliceOp, tensor::ExtractSliceOp, tensor::ExpandShapeOp,
               tensor::CollapseShapeOp, tensor::PadOp, arith::ConstantOp, scf::ForOp, scf::YieldOp>(
              op))
        return op->emitError() << "'" << op->getName()
                               << "' on a tensor of booleans is not supported; use numbers";
      ops.push_back(op);
      return WalkResult::advance();
    });
    if (result.wasInterrupted())
      return signalPassFailure();
    for (Operation *op : ops)
      rewrite(op);
  }

  /// Operands have their new types already where their owners come before; types are all that
  /// changes, so that the order does not matter.
  void rewrite(Operation *op) {
    OpBuilder b(op);
    Type word = b.getI32Type(), bit = b.getI1Type();
    Location loc = op->getLoc();
    auto extended = [&](Operation *at, Value value) {
      b.setInsertionPoint(at);
      return arith::ExtUIOp::create(b, loc, word, value).getResult();
    };
    // What an op reads from such a tensor is a bit again, what it writes there a word.
    if (auto generic = dyn_cast<linalg::GenericOp>(op)) {
      Operation *yield = generic.getBody()->getTerminator();
      for (OpOperand &operand : op->getOpOperands()) {
        BlockArgument argument = generic.getMatchingBlockArgument(&operand);
        if (!isa<RankedTensorType>(operand.get().getType()) || argument.getType() != bit)
          continue;
        argument.setType(word);
        b.setInsertionPointToStart(generic.getBody());
        auto truncated = arith::TruncIOp::create(b, loc, bit, argument);
        argument.replaceAllUsesExcept(truncated, truncated);
      }
      for (OpOperand &operand : yield->getOpOperands())
        if (operand.get().getType() == bit)
          operand.set(extended(yield, operand.get()));
    } else if (auto fill = dyn_cast<linalg::FillOp>(op)) {
      op->setOperand(0, extended(op, fill.getInputs().front()));
      for (BlockArgument argument : op->getRegion(0).getArguments())
        argument.setType(word);
    } else if (auto pad = dyn_cast<tensor::PadOp>(op)) {
      Operation *yield = pad.getBody()->getTerminator();
      yield->setOperand(0, extended(yield, yield->getOperand(0)));
    } else if (auto extract = dyn_cast<tensor::ExtractOp>(op)) {
      extract.getResult().setType(word);
      b.setInsertionPointAfter(op);
      auto truncated = arith::TruncIOp::create(b, loc, bit, extract.getResult());
      extract.getResult().replaceAllUsesExcept(truncated, truncated);
    } else if (auto loop = dyn_cast<scf::ForOp>(op)) {
      for (BlockArgument argument : loop.getRegionIterArgs())
        if (isBooleans(argument.getType()))
          argument.setType(widen(argument.getType()));
    } else if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
      auto elements = cast<DenseElementsAttr>(constant.getValue());
      constant.setValueAttr(
          elements.mapValues(word, [](const APInt &value) { return value.zext(32); }));
    }
    for (OpResult value : op->getResults())
      if (isBooleans(value.getType()))
        value.setType(widen(value.getType()));
  }
};
} // namespace
} // namespace asnet
