// SPDX-License-Identifier: Apache-2.0
#include "passes/Passes.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Transforms/RegionUtils.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_HOISTFROMLOOPS
#include "passes/Passes.h.inc"

namespace {
/// Whether an op computes elements of others; or moves some, if `movements` count.
bool readsElements(Operation *op, bool movements) {
  bool reads = llvm::any_of(op->getOperandTypes(), llvm::IsaPred<ShapedType>);
  if (auto generic = dyn_cast<linalg::GenericOp>(op))
    reads = llvm::any_of(generic.getDpsInputOperands(), [](OpOperand *operand) {
      return isa<ShapedType>(operand->get().getType());
    });
  bool moves = !isa<linalg::GenericOp>(op) ||
               llvm::hasSingleElement(op->getRegion(0).front().getOperations());
  return reads && (movements || !moves) && !isa<linalg::FillOp>(op);
}

SmallVector<Value> usedValues(Operation *op) {
  llvm::SetVector<Value> values(op->operand_begin(), op->operand_end());
  getUsedValuesDefinedAbove(op->getRegions(), values);
  return values.takeVector();
}

void hoist(scf::ForOp loop, bool movements) {
  SetVector<Operation *> same;
  for (Operation &op : loop.getBody()->without_terminator())
    if (isMemoryEffectFree(&op) && llvm::all_of(usedValues(&op), [&](Value value) {
          Operation *def = value.getDefiningOp();
          return loop.isDefinedOutsideOfLoop(value) || (def && same.contains(def));
        }))
      same.insert(&op);
  DenseSet<Operation *> moved;
  auto require = [&](auto &self, Operation *op) -> void {
    if (!same.contains(op) || !moved.insert(op).second)
      return;
    for (Value value : usedValues(op))
      if (Operation *def = value.getDefiningOp())
        self(self, def);
  };
  for (Operation *op : same)
    if (readsElements(op, movements))
      require(require, op);
  for (Operation *op : same)
    if (moved.contains(op))
      op->moveBefore(loop);
}

struct HoistFromLoops : impl::HoistFromLoopsBase<HoistFromLoops> {
  using Base::Base;
  void runOnOperation() override {
    getOperation()->walk<WalkOrder::PostOrder>([&](scf::ForOp loop) { hoist(loop, movements); });
  }
};
} // namespace
} // namespace asnet
