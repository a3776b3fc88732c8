// SPDX-License-Identifier: Apache-2.0
#include "lowering/schedule/Schedule.h"

#include "dialects/approx/Formats.h"

#include "mlir/Dialect/Affine/Analysis/LoopAnalysis.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace asnet {

bool isLoad(Operation *op) { return isa<affine::AffineLoadOp, memref::LoadOp>(op); }

bool isStore(Operation *op) { return isa<affine::AffineStoreOp, memref::StoreOp>(op); }

bool isApprox(Operation *op) { return op->getName().getDialectNamespace() == "approx"; }

bool isAlias(Operation *op) {
  if (isa<arith::ExtUIOp>(op))
    return true;
  if (isa<arith::IndexCastOp>(op))
    return isIntegerWord(op->getOperand(0).getType());
  return isa<arith::BitcastOp>(op) && op->getResult(0).getType().isInteger();
}

bool isStructural(Operation *op) {
  return isa<memref::AllocOp, memref::AllocaOp, memref::DeallocOp, memref::GetGlobalOp,
             affine::AffineApplyOp>(op) ||
         isa<ViewLikeOpInterface>(op) || op->hasTrait<OpTrait::IsTerminator>() ||
         (isa<arith::ConstantOp>(op) && op->getResult(0).getType().isIndex());
}

bool isInnermost(affine::AffineForOp loop) {
  return loop.getBody()->getOps<affine::AffineForOp>().empty();
}

int64_t tripsOf(affine::AffineForOp loop) { return *affine::getConstantTripCount(loop); }

SmallVector<Operation *> timedOps(Block &block) {
  SmallVector<Operation *> ops;
  for (Operation &op : block)
    if (!isa<affine::AffineForOp>(op) && !isAlias(&op) && !isStructural(&op))
      ops.push_back(&op);
  return ops;
}

Operation *producer(Value value) {
  Operation *op = value.getDefiningOp();
  while (op && isAlias(op))
    op = op->getOperand(0).getDefiningOp();
  return op;
}

void collectUsers(Operation *op, SmallVectorImpl<Operation *> &users) {
  for (Operation *user : op->getUsers()) {
    if (isAlias(user))
      collectUsers(user, users);
    else
      users.push_back(user);
  }
}

std::string plainFunction(Operation *op) {
  bool integers = llvm::all_of(op->getOperandTypes(), isIntegerWord);
  bool logic = llvm::all_of(op->getOperandTypes(),
                            [](Type type) { return isIntegerWord(type) || isBit(type); });
  return llvm::TypeSwitch<Operation *, std::string>(op)
      .Case<arith::AndIOp>([&](auto) { return logic ? "andi" : ""; })
      .Case<arith::OrIOp>([&](auto) { return logic ? "ori" : ""; })
      .Case<arith::XOrIOp>([&](auto) { return logic ? "xori" : ""; })
      .Case<arith::AddIOp>([&](auto) { return integers ? "addi" : ""; })
      .Case<arith::SubIOp>([&](auto) { return integers ? "subi" : ""; })
      .Case<arith::MulIOp>([&](auto) { return integers ? "muli" : ""; })
      .Case<arith::ShLIOp>([&](auto) { return integers ? "shli" : ""; })
      .Case<arith::ShRUIOp>([&](auto) { return integers ? "shrui" : ""; })
      .Case<arith::ShRSIOp>([&](auto) { return integers ? "shrsi" : ""; })
      .Case<arith::MaxSIOp>([&](auto) { return integers ? "maxsi" : ""; })
      .Case<arith::MinSIOp>([&](auto) { return integers ? "minsi" : ""; })
      .Case<arith::MaxUIOp>([&](auto) { return integers ? "maxui" : ""; })
      .Case<arith::MinUIOp>([&](auto) { return integers ? "minui" : ""; })
      .Case<arith::TruncIOp>([&](auto trunc) { return isBit(trunc.getType()) ? "trunci" : ""; })
      .Case<arith::NegFOp>([&](auto neg) { return isFloatWord(neg.getType()) ? "negf" : ""; })
      .Case<arith::SelectOp>([&](auto select) {
        return isWord(select.getType()) || isBit(select.getType()) ? "select" : "";
      })
      // Integer to float: a NaN becomes the canonical one.
      .Case<arith::BitcastOp>([&](auto cast) { return isFloatWord(cast.getType()) ? "canon" : ""; })
      .Case<arith::CmpIOp>([&](auto compare) {
        return integers ? ("cmpi_" + arith::stringifyCmpIPredicate(compare.getPredicate())).str()
                        : std::string();
      })
      .Case<arith::CmpFOp>([&](auto compare) {
        return isFloatWord(compare.getLhs().getType())
                   ? ("cmpf_" + arith::stringifyCmpFPredicate(compare.getPredicate())).str()
                   : std::string();
      })
      .Default([](auto) { return std::string(); });
}

std::optional<uint32_t> wordOf(arith::ConstantOp constant) {
  if (auto value = dyn_cast<FloatAttr>(constant.getValue()); value && isFloatWord(value.getType()))
    return approx::getWord(value.getValue());
  if (auto value = dyn_cast<IntegerAttr>(constant.getValue());
      value && value.getType().getIntOrFloatBitWidth() <= kWordBits)
    return value.getValue().getZExtValue();
  return std::nullopt;
}

void setInt(Operation *op, StringRef name, int64_t value) {
  op->setDiscardableAttr(name, Builder(op->getContext()).getI64IntegerAttr(value));
}

} // namespace asnet
