// SPDX-License-Identifier: Apache-2.0
#include "lowering/Lowering.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_CARRYINPLACE
#include "lowering/Lowering.h.inc"

namespace {
/// Whether `value` is made by writing parts of `target`, whose memory it then is.
bool isWrittenInto(Value value, Value target) {
  while (auto insertion = value.getDefiningOp<tensor::InsertSliceOp>())
    value = insertion.getDest();
  return value == target;
}

/// Memory without contents, or of which every element is one number: cheaper made than kept.
bool isFilled(Operation *op) {
  if (isa<tensor::EmptyOp>(op))
    return true;
  auto generic = dyn_cast<linalg::GenericOp>(op);
  return generic && generic.getNumReductionLoops() == 0 && generic.getNumDpsInits() == 1 &&
         llvm::none_of(
             generic.getDpsInputOperands(),
             [](OpOperand *operand) { return isa<ShapedType>(operand->get().getType()); }) &&
         generic.getRegionOutputArgs().front().use_empty() &&
         llvm::hasSingleElement(generic.getBody()->getOperations());
}

class LoopCarrier {
public:
  explicit LoopCarrier(scf::ForOp loop) : loop(loop), b(loop.getContext()) {}

  void run() {
    loop.getBody()->walk([&](Operation *op) {
      for (OpOperand &operand : op->getOpOperands())
        makeInside(operand);
    });
    for (Operation &op : llvm::make_early_inc_range(loop.getBody()->without_terminator()))
      if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op); slice && !slice.getOffsets().empty())
        copySlice(slice);
    Operation *yield = loop.getBody()->getTerminator();
    for (auto [operand, argument] :
         llvm::zip_equal(yield->getOpOperands(), loop.getRegionIterArgs())) {
      if (isWrittenInto(operand.get(), argument))
        continue;
      b.setInsertionPoint(yield);
      operand.set(linalg::CopyOp::create(b, yield->getLoc(), operand.get(), argument).getResult(0));
    }
  }

private:
  /// What is cheaper made than kept is made where it is used, so that an iteration has its own.
  void makeInside(OpOperand &operand) {
    Operation *def = operand.get().getDefiningOp();
    if (!def || !isFilled(def) || loop->isAncestor(def))
      return;
    unsigned result = cast<OpResult>(operand.get()).getResultNumber();
    b.setInsertionPoint(operand.getOwner());
    Operation *copy = b.clone(*def);
    for (OpOperand &init : copy->getOpOperands())
      makeInside(init);
    operand.set(copy->getResult(result));
  }

  /// What lies at another place in each iteration is copied to one place.
  void copySlice(tensor::ExtractSliceOp slice) {
    b.setInsertionPointAfter(slice);
    RankedTensorType type = slice.getType();
    Value empty = tensor::EmptyOp::create(b, slice.getLoc(), type.getShape(),
                                          type.getElementType());
    auto copy = linalg::CopyOp::create(b, slice.getLoc(), slice.getResult(), empty);
    slice.getResult().replaceAllUsesExcept(copy.getResult(0), copy);
  }

  scf::ForOp loop;
  OpBuilder b;
};

struct CarryInPlace : impl::CarryInPlaceBase<CarryInPlace> {
  void runOnOperation() override {
    SmallVector<scf::ForOp> loops;
    getOperation()->walk([&](scf::ForOp loop) {
      if (llvm::all_of(loop.getResultTypes(), llvm::IsaPred<RankedTensorType>))
        loops.push_back(loop);
    });
    for (scf::ForOp loop : loops)
      LoopCarrier(loop).run();
  }
};
} // namespace
} // namespace asnet
