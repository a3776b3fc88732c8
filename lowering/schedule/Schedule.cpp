// SPDX-License-Identifier: Apache-2.0
// approx-schedule: when and where each operation of an affine loop nest happens on the sequential
// machine (docs/decisions/0005-sequential-machine.md describes the machine and its timing).

#include "lowering/schedule/Schedule.h"

#include "mlir/Dialect/Affine/Analysis/LoopAnalysis.h"
#include "mlir/Dialect/Affine/LoopUtils.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_SCHEDULE
#include "lowering/Lowering.h.inc"

namespace {
class Scheduler {
public:
  Scheduler(func::FuncOp func, MachineTiming timing, int64_t resultRegisters, int64_t pipelineRows)
      : func(func), memories(func), problem{memories, units, timing, pipelineRows},
        resultRegisters(resultRegisters), builder(func.getContext()) {}

  LogicalResult run();

private:
  LogicalResult normalizeLoops();
  void eraseUnused();
  LogicalResult separateConstants();
  void scheduleBlock(Block &block);
  int64_t scheduleSegment(ArrayRef<Operation *> ops);
  void scheduleInnermost(affine::AffineForOp loop);
  void overlapRuns(affine::AffineForOp outer);
  void annotate(MutableArrayRef<Node> nodes);
  void setFlag(Operation *op, StringRef name) {
    op->setDiscardableAttr(name, builder.getUnitAttr());
  }
  void setLengths(Operation *op, ArrayRef<int64_t> lengths) {
    op->setDiscardableAttr(approx::kLengthsAttrName, builder.getDenseI64ArrayAttr(lengths));
  }

  func::FuncOp func;
  Memories memories;
  Units units;
  Problem problem;
  int64_t resultRegisters;
  Builder builder;
};

LogicalResult Scheduler::run() {
  if (!func.getBody().hasOneBlock())
    return func.emitOpError("must have one block");
  if (failed(normalizeLoops()))
    return failure();
  eraseUnused();
  if (failed(separateConstants()) || failed(memories.collect()) || failed(units.collect(func)))
    return failure();
  memories.assignAddresses();
  for (int64_t id : units.ids())
    units.pads[id] = resultRegisters;
  if (problem.pipelineRows != 0) {
    choosePads(func, problem);
    interchangeLoops(func, problem);
  }
  memories.annotate();
  scheduleBlock(func.getBody().front());
  func.walk([&](affine::AffineForOp loop) {
    if (loop->hasAttr(approx::kInitiationIntervalAttrName))
      loop->setDiscardableAttr(approx::kKernelAttrName,
                               overlapOf(loop, problem.timing).toAttr(func.getContext()));
  });
  func->setDiscardableAttr(approx::kUnitsAttrName, units.toAttr(func.getContext()));
  func->setDiscardableAttr(approx::kTimingAttrName, problem.timing.toAttr(func.getContext()));
  return verifySchedule(func);
}

/// Loops of one iteration go, and those of none with what they hold.
LogicalResult Scheduler::normalizeLoops() {
  WalkResult result = func.walk([&](Operation *op) -> WalkResult {
    if (auto loop = dyn_cast<affine::AffineForOp>(op)) {
      if (!loop.hasConstantBounds())
        return scheduleError(op, "must have constant bounds, got bounds that depend on values");
      if (loop.getNumResults() != 0)
        return scheduleError(op, "carries values between iterations; store them to memory");
      uint64_t trips = *affine::getConstantTripCount(loop);
      if (trips == 0) {
        loop.erase();
      } else if (trips == 1) {
        if (auto layer = op->getAttr(approx::kLayerAttrName))
          for (Operation &inner : loop.getBody()->without_terminator())
            inner.setDiscardableAttr(approx::kLayerAttrName, layer);
        if (failed(affine::promoteIfSingleIteration(loop)))
          return WalkResult::interrupt();
      }
    } else if (op != func && op->getNumRegions() != 0) {
      return scheduleError(op, "is no static affine loop; hardware needs static control flow");
    }
    return WalkResult::advance();
  });
  return failure(result.wasInterrupted());
}

void Scheduler::eraseUnused() {
  auto isUnused = [](Operation *op) {
    return op->use_empty() && (isLoad(op) || isMemoryEffectFree(op)) && !isStructural(op);
  };
  SmallVector<Operation *> dead;
  func.walk<WalkOrder::PostOrder>([&](Operation *op) {
    if (isUnused(op))
      dead.push_back(op);
  });
  while (!dead.empty()) {
    Operation *op = dead.pop_back_val();
    SmallVector<Value> operands(op->getOperands());
    op->erase();
    for (Value operand : operands)
      if (Operation *def = operand.getDefiningOp();
          def && isUnused(def) && !llvm::is_contained(dead, def))
        dead.push_back(def);
  }
}

/// Every use of a scalar constant gets a constant of its own, right before it.
LogicalResult Scheduler::separateConstants() {
  SmallVector<arith::ConstantOp> constants;
  func.walk([&](arith::ConstantOp op) {
    if (!op.getType().isIndex())
      constants.push_back(op);
  });
  for (arith::ConstantOp constant : constants) {
    std::optional<uint32_t> word = wordOf(constant);
    if (!word)
      return scheduleError(constant, "is wider than a word of ", kWordBits, " bits or no scalar");
    constant->setDiscardableAttr(approx::kBitsAttrName, builder.getI32IntegerAttr(int32_t(*word)));
    for (OpOperand &use : llvm::make_early_inc_range(constant->getUses())) {
      OpBuilder at(use.getOwner());
      use.set(at.clone(*constant)->getResult(0));
    }
    constant.erase();
  }
  return success();
}

void Scheduler::scheduleBlock(Block &block) {
  SmallVector<int64_t> lengths;
  SmallVector<Operation *> segment;
  auto flush = [&] {
    lengths.push_back(scheduleSegment(segment));
    segment.clear();
  };
  for (Operation &op : block) {
    if (auto loop = dyn_cast<affine::AffineForOp>(op)) {
      flush();
      if (isInnermost(loop))
        scheduleInnermost(loop);
      else
        scheduleBlock(*loop.getBody());
      overlapRuns(loop);
      setInt(loop, approx::kTripAttrName, tripsOf(loop));
    } else if (isAlias(&op)) {
      setFlag(&op, approx::kAliasAttrName);
    } else if (!isStructural(&op)) {
      segment.push_back(&op);
    }
  }
  flush();
  setLengths(block.getParentOp(), lengths);
}

/// Returns its length.
int64_t Scheduler::scheduleSegment(ArrayRef<Operation *> ops) {
  SmallVector<Node> nodes = makeNodes(problem, ops);
  placeInOrder(nodes, problem);
  annotate(nodes);
  return lengthOf(nodes, problem.timing);
}

void Scheduler::scheduleInnermost(affine::AffineForOp loop) {
  for (Operation &op : *loop.getBody())
    if (isAlias(&op))
      setFlag(&op, approx::kAliasAttrName);
  SmallVector<Node> nodes = makeNodes(problem, timedOps(*loop.getBody()));
  Plan best = planLoop(nodes, loop.getInductionVar(), tripsOf(loop), problem);
  for (auto [node, start] : llvm::zip_equal(nodes, best.starts))
    node.start = start;
  annotate(nodes);
  setLengths(loop, best.length);
  if (best.ii)
    setInt(loop, approx::kInitiationIntervalAttrName, best.ii);
}

/// Where a loop holds nothing but one whose iterations overlap, the first iterations of that one's
/// next run may overlap the last ones of this run: the flow of iterations goes on.
void Scheduler::overlapRuns(affine::AffineForOp outer) {
  SmallVector<affine::AffineForOp> band;
  affine::getPerfectlyNestedLoops(band, outer);
  if (problem.pipelineRows == 0 || band.size() != 2 ||
      !band[1]->hasAttr(approx::kInitiationIntervalAttrName) ||
      !mayOverlapRuns(outer, band[1], memories, problem.timing))
    return;
  Overlap overlap = overlapOf(band[1], problem.timing);
  overlap.runs = tripsOf(outer);
  if (overlap.runRows() + overlap.overlapping() * overlap.ii <= problem.pipelineRows)
    setFlag(outer, approx::kOverlapAttrName);
}

void Scheduler::annotate(MutableArrayRef<Node> nodes) {
  const MachineTiming &timing = problem.timing;
  for (Node &node : nodes) {
    setInt(node.op, node.isMove ? approx::kMoveAttrName : approx::kStartAttrName, node.start);
    for (Operation *load : node.loads)
      setInt(load, approx::kStartAttrName, node.start - timing.memory);
    if (node.store)
      setInt(node.store, approx::kStartAttrName, node.start + node.latency + timing.issueToUse);
    if (node.unit) {
      setInt(node.op, approx::kUnitAttrName, *node.unit);
      setInt(node.op, approx::kLatencyAttrName, node.latency);
    } else if (!node.isMove) {
      node.op->setDiscardableAttr(approx::kAluAttrName,
                                  builder.getStringAttr(plainFunction(node.op)));
    }
  }
}

struct Schedule : impl::ScheduleBase<Schedule> {
  using ScheduleBase::ScheduleBase;

  void runOnOperation() override {
    if (!isInRange("memory-latency", memoryLatency, 1) ||
        !isInRange("fetch-latency", fetchLatency, 2) ||
        !isInRange("plain-latency", plainLatency, 0, 3) ||
        !isInRange("result-registers", resultRegisters, 0))
      return signalPassFailure();
    MachineTiming timing;
    timing.fetch = fetchLatency;
    timing.memory = memoryLatency;
    timing.plain = plainLatency;
    for (auto func : getOperation().getOps<func::FuncOp>())
      if (!func.isDeclaration() &&
          failed(Scheduler(func, timing, resultRegisters, pipelineRows).run()))
        return signalPassFailure();
  }

private:
  bool isInRange(StringRef name, int64_t value, int64_t least, int64_t most = 8) {
    if (value >= least && value <= most)
      return true;
    getOperation().emitError("'") << name << "' must be " << least << " to " << most << ", got "
                                  << value;
    return false;
  }
};
} // namespace
} // namespace asnet
