// SPDX-License-Identifier: Apache-2.0
// What an engine of the streaming hardware does when (EngineSchedule.cpp).

#ifndef LOWERING_SCHEDULE_ENGINESCHEDULE_H
#define LOWERING_SCHEDULE_ENGINESCHEDULE_H

#include "lowering/schedule/Engines.h"
#include "lowering/schedule/Timing.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/MapVector.h"

namespace asnet {

struct Operand {
  mlir::BlockArgument argument;
  bool isWeight = false, isEpilogue = false;
  int64_t words = 0, base = 0;
  int64_t load = 0; // words of a frame that come
  llvm::SmallVector<int64_t> outer, inner;
  mlir::tensor::PadOp pad;
  // Of weights: what lies where in the ROM, and what the lanes of a word hold.
  llvm::SmallVector<int64_t> ranges, strides;
  int64_t laneStride = 0;
  int64_t frames = 2;
  // Of values whose words do not come in row-major order: loops over them, and where they belong.
  llvm::SmallVector<int64_t> writeRanges, writeStrides;
};

/// A reduction or elementwise op with the elementwise ops that follow it.
class Engine {
public:
  /// `mayReorder`: who reads the outputs can put them in order.
  Engine(mlir::func::FuncOp func, const llvm::DenseMap<int64_t, approx::CoreOp> &cores,
         const EngineTiming &timing, int64_t lanes, bool mayReorder)
      : func(func), cores(cores), timing(timing), lanesWanted(lanes), mayReorder(mayReorder),
        b(func.getContext()) {}

  /// False if the machine has to do it; `reason` says why.
  bool analyze();
  void annotate();

  std::string reason;
  std::vector<Operand> operands;
  int64_t outputs = 1, depth = 1, slots = 1, interleave = 1, lanes = 1, lastLanes = 1;
  int64_t issueCycles = 0, cycles = 0, bound = 0, done = 0, sum = 0, sumReady = 0;
  /// Cycles from one issue to the next, and from one output to the next in the epilogue: what the
  /// slowest unit there wants.
  int64_t interval = 1, epilogueInterval = 1;
  /// Whether finished slots wait in a queue, from which the epilogue takes them at its own pace.
  bool isQueued() const {
    return lanes > 1 || epilogueInterval > interval * (interleave == 1 ? depth : 1);
  }
  /// The order in which outputs leave where it is not row-major: loops, and where their words belong.
  llvm::SmallVector<int64_t> orderRanges, orderStrides;
  /// Cycles from the first to the last word of a frame that leaves.
  int64_t span() const {
    return std::max(outputs * epilogueInterval, issueCycles - interleave * (depth - 1) * interval);
  }

private:
  bool no(const llvm::Twine &why) {
    reason = why.str();
    return false;
  }
  bool findChain();
  bool collectOperands();
  bool collectOperand(mlir::linalg::GenericOp op, mlir::OpOperand &use, bool isEpilogue,
                      llvm::ArrayRef<unsigned> outerDims, llvm::ArrayRef<unsigned> innerDims);
  bool formLoops();
  void chooseLaneLoop();
  /// Whether the iterations of an outer loop read the same words of values.
  bool isShared(unsigned loop) {
    return llvm::all_of(operands, [&](Operand &operand) {
      return operand.isEpilogue || operand.isWeight || operand.outer[loop] == 0;
    });
  }
  void placeWeight(Operand &operand);
  void annotateOp(mlir::linalg::GenericOp op, bool isMain, mlir::Operation *before);
  void annotateOperands();
  void annotateEngine();
  mlir::IntegerAttr i64(int64_t value) { return b.getI64IntegerAttr(value); }
  mlir::DenseI64ArrayAttr array(llvm::ArrayRef<int64_t> values) {
    return b.getDenseI64ArrayAttr(values);
  }
  void mergeLoops(llvm::SmallVectorImpl<int64_t> &ranges, bool isEpilogue, bool isInner);
  int64_t scheduleBody(mlir::linalg::GenericOp op, int64_t ready, bool isMain);
  void chooseInterleave(int64_t latency);
  approx::CoreOp coreOf(mlir::Operation *op) {
    return cores.lookup(op->getAttrOfType<mlir::IntegerAttr>("instance").getInt());
  }
  int64_t latencyOf(mlir::Operation *op) { return coreOf(op).getLatency(); }
  int64_t intervalOf(mlir::Operation *op) { return coreOf(op).getInterval(); }
  /// The longest interval of the units in a body.
  int64_t intervalOf(mlir::linalg::GenericOp op) {
    int64_t longest = 1;
    for (mlir::Operation &inner : op.getBody()->without_terminator())
      if (isUnit(inner))
        longest = std::max(longest, intervalOf(&inner));
    return longest;
  }
  static bool isUnit(mlir::Operation &op) { return op.getName().getDialectNamespace() == "approx"; }
  int64_t readyOf(mlir::Value value) {
    auto it = ready.find(value);
    return it == ready.end() ? 0 : it->second;
  }

  mlir::func::FuncOp func;
  const llvm::DenseMap<int64_t, approx::CoreOp> &cores;
  EngineTiming timing;
  int64_t lanesWanted;
  bool mayReorder;
  mlir::Builder b;
  mlir::linalg::GenericOp main;
  llvm::SmallVector<mlir::linalg::GenericOp> epilogue;
  llvm::DenseMap<std::pair<mlir::Operation *, unsigned>, unsigned> operandOf;
  llvm::SmallVector<int64_t> outerRanges, innerRanges, epilogueRanges;
  llvm::SmallVector<unsigned> outerDims, innerDims, epilogueDims;
  llvm::DenseMap<mlir::Value, int64_t> ready;
  llvm::DenseMap<mlir::Operation *, int64_t> starts;
  uint32_t initial = 0;
  llvm::MapVector<int64_t, int64_t> units; // how many of each instance
  int64_t ramWords = 0, romWords = 0;
};

} // namespace asnet

#endif // LOWERING_SCHEDULE_ENGINESCHEDULE_H
