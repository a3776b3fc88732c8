// SPDX-License-Identifier: Apache-2.0
// approx-verify-schedule: whether a schedule is one, as CIRCT's `Problem::verify` asks.  What the
// schedulers wrote is compared with the code it stands on, by no code of theirs that decided it.

#include "lowering/schedule/Engines.h"
#include "lowering/schedule/Schedule.h"

#include "mlir/Dialect/Affine/LoopUtils.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_VERIFYSCHEDULE
#include "lowering/Lowering.h.inc"

namespace {
FailureOr<int64_t> number(Operation *op, StringRef name) {
  if (auto attr = op->getAttrOfType<IntegerAttr>(name))
    return attr.getInt();
  return scheduleError(op, "has no '", name, "'; run the scheduling pass again");
}

/// What takes a slot of a cycle.
struct Issue {
  int64_t start, latency, interval;
  std::optional<int64_t> unit;

  int64_t ready(const MachineTiming &timing) const { return start + latency + timing.issueToUse; }
};

/// Straight-line code, or the body of an innermost loop.
class Segment {
public:
  Segment(ArrayRef<Operation *> ops, int64_t length, affine::AffineForOp loop,
          const Memories &memories, Units &units, const MachineTiming &timing)
      : ops(ops), length(length), loop(loop), memories(memories), units(units), timing(timing) {}

  LogicalResult verify() {
    if (loop)
      ii = loop->getAttrOfType<IntegerAttr>(approx::kInitiationIntervalAttrName).getInt();
    for (Operation *op : ops)
      if (failed(readIssue(op)))
        return failure();
    for (Operation *op : ops)
      if (failed(verifyOp(op)) || failed(takeSlots(op)))
        return failure();
    return success(succeeded(verifyUnits()) && succeeded(verifyAccesses()));
  }

private:
  LogicalResult readIssue(Operation *op);
  LogicalResult verifyOp(Operation *op);
  LogicalResult verifyOperand(Operation *op, int64_t start, Operation *maker, bool isRegister);
  LogicalResult verifyImmediates(Operation *op);
  LogicalResult verifyStore(Operation *store);
  LogicalResult verifyUnits();
  LogicalResult verifyAccesses();
  LogicalResult takeSlots(Operation *op);
  LogicalResult take(Operation *op, StringRef what, int64_t cycle);

  int64_t startOf(Operation *access) const {
    return access->getAttrOfType<IntegerAttr>(approx::kStartAttrName).getInt();
  }
  /// " when an iteration begins every 2 cycles"
  std::string everyInterval() const {
    return ii ? " when an iteration begins every " + std::to_string(ii) + " cycles" : "";
  }

  ArrayRef<Operation *> ops;
  int64_t length, ii = 0;
  affine::AffineForOp loop; // whose iterations overlap, or none
  const Memories &memories;
  Units &units;
  const MachineTiming &timing;
  llvm::MapVector<Operation *, Issue> issues;
  std::map<std::pair<StringRef, int64_t>, Operation *> taken; // by slot and cycle
};

LogicalResult Segment::readIssue(Operation *op) {
  bool isAccess = isLoad(op) || isStore(op);
  if (isAccess) {
    FailureOr<int64_t> start = number(op, approx::kStartAttrName);
    if (failed(start))
      return failure();
    if (*start < 0 || *start >= length)
      return scheduleError(op, "is in cycle ", *start, ", but its code has ", length, " cycles");
  }
  bool isMove = op->hasAttr(approx::kMoveAttrName);
  if ((isAccess || isa<arith::ConstantOp>(op)) && !isMove)
    return success();
  FailureOr<int64_t> start = number(op, isMove ? approx::kMoveAttrName : approx::kStartAttrName);
  if (failed(start))
    return failure();
  Issue issue{*start, timing.plain, 1, std::nullopt};
  if (isApprox(op)) {
    FailureOr<int64_t> unit = number(op, approx::kUnitAttrName),
                       latency = number(op, approx::kLatencyAttrName);
    if (failed(unit) || failed(latency))
      return failure();
    if (*unit != op->getAttrOfType<IntegerAttr>("instance").getInt())
      return scheduleError(op, "is bound to instance ", op->getAttr("instance"), ", but uses unit ",
                           *unit);
    int64_t id = *unit;
    issue.unit = id;
    issue.latency = units.latencyOf(id);
    issue.interval = units.intervalOf(id);
    if (*latency != issue.latency)
      return scheduleError(op, "has 'approx.latency = ", *latency, "', but unit ", *unit, " takes ",
                           issue.latency, " cycles");
  } else if (!isMove) {
    auto function = op->getAttrOfType<StringAttr>(approx::kAluAttrName);
    if (!function || function.getValue() != plainFunction(op))
      return scheduleError(op, "is '", plainFunction(op),
                           "' of the plain logic, but has another 'approx.alu'");
  }
  int64_t done = std::max(issue.ready(timing) + 1, issue.start + issue.interval);
  if (issue.start < 0 || done > length)
    return scheduleError(op, "starts in cycle ", issue.start, " and is done in cycle ", done,
                         ", but its code has ", length, " cycles");
  issues[op] = issue;
  return success();
}

LogicalResult Segment::verifyOp(Operation *op) {
  auto it = issues.find(op);
  if (isLoad(op)) {
    // A move reads for itself; another load is read for the one that uses it.
    if (it != issues.end() && startOf(op) + timing.memory != it->second.start)
      return scheduleError(op, "is moved in cycle ", it->second.start, ", but read for cycle ",
                           startOf(op) + timing.memory);
    if (auto offset = op->getAttrOfType<IntegerAttr>(approx::kOffsetAttrName))
      return verifyOperand(op, startOf(op), producer(op->getOperand(offset.getInt())), true);
    return success();
  }
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    auto bits = op->getAttrOfType<IntegerAttr>(approx::kBitsAttrName);
    if (!bits || uint32_t(bits.getInt()) != wordOf(constant))
      return scheduleError(op, "has other 'approx.bits' than its value");
    return success();
  }
  if (isStore(op) && failed(verifyStore(op)))
    return failure();
  if (it == issues.end())
    return success();
  bool isSelect = isa<arith::SelectOp>(op);
  for (auto [number, operand] : llvm::enumerate(op->getOperands()))
    if (!isa<IndexType, MemRefType>(operand.getType()) &&
        failed(verifyOperand(op, it->second.start, producer(operand), isSelect && number == 0)))
      return failure();
  return verifyImmediates(op);
}

/// `isRegister`: of a condition or an address, which come from nowhere else.
LogicalResult Segment::verifyOperand(Operation *op, int64_t start, Operation *maker,
                                     bool isRegister) {
  if (!maker)
    return scheduleError(op, "has an operand that nothing computes");
  bool isMoved = maker->hasAttr(approx::kMoveAttrName);
  bool isDirect = (isLoad(maker) || isa<arith::ConstantOp>(maker)) && !isMoved;
  if (isDirect && isRegister)
    return scheduleError(op, "has a condition or an address that comes from no register");
  if (isDirect && isLoad(maker)) {
    int64_t read = startOf(maker) + timing.memory;
    if (maker->getBlock() != op->getBlock() || read != start)
      return scheduleError(op, "starts in cycle ", start, ", but an operand is read for cycle ",
                           read);
  }
  auto it = issues.find(maker);
  if (it == issues.end())
    return success(); // it comes from code before this one, which is done
  int64_t ready = it->second.ready(timing);
  if (start < ready)
    return scheduleError(op, "starts in cycle ", start, ", but an operand is there in cycle ",
                         ready);
  if (ii && start > ready + ii)
    return scheduleError(op, "starts in cycle ", start,
                         ", but the next iteration's operand is in "
                         "its register from cycle ",
                         ready + ii);
  return success();
}

/// An issue carries one immediate.
LogicalResult Segment::verifyImmediates(Operation *op) {
  std::optional<uint32_t> word;
  for (Value operand : op->getOperands()) {
    auto constant = dyn_cast_or_null<arith::ConstantOp>(producer(operand));
    if (!constant || constant.getType().isIndex() || constant->hasAttr(approx::kMoveAttrName))
      continue;
    std::optional<uint32_t> other = wordOf(constant);
    if (word && other != word)
      return scheduleError(op, "has two constants as operands, of which none is moved");
    word = other;
  }
  return success();
}

LogicalResult Segment::verifyStore(Operation *store) {
  auto it = issues.find(store);
  if (it == issues.end())
    it = issues.find(producer(store->getOperand(0)));
  if (it == issues.end())
    return scheduleError(store, "takes its value from neither a unit nor a move");
  int64_t ready = it->second.ready(timing);
  if (startOf(store) != ready)
    return scheduleError(store, "writes in cycle ", startOf(store),
                         " what the machine has in cycle ", ready, " only");
  return success();
}

LogicalResult Segment::take(Operation *op, StringRef what, int64_t cycle) {
  auto [it, isFree] = taken.try_emplace({what, ii ? cycle % ii : cycle}, op);
  if (isFree)
    return success();
  return scheduleError(op, "uses the ", what, " in cycle ", cycle, ", as does '",
                       it->second->getName(), "'", everyInterval());
}

LogicalResult Segment::takeSlots(Operation *op) {
  if (isLoad(op) && failed(take(op, memories.isRom(op) ? "ROM" : "RAM", startOf(op))))
    return failure();
  if (isStore(op) && failed(take(op, "RAM's write port", startOf(op))))
    return failure();
  auto it = issues.find(op);
  if (it == issues.end())
    return success();
  return success(succeeded(take(op, "issue slot", it->second.start)) &&
                 succeeded(take(op, "result bus", it->second.start + it->second.latency)));
}

/// A unit is kept for its interval.
LogicalResult Segment::verifyUnits() {
  for (auto &[op, issue] : issues) {
    if (!issue.unit)
      continue;
    if (ii && issue.interval > ii)
      return scheduleError(op, "keeps its unit for ", issue.interval, " cycles", everyInterval());
    for (auto &[other, its] : issues) {
      if (op == other || its.unit != issue.unit)
        continue;
      int64_t behind = its.start - issue.start;
      if (ii)
        behind = ((behind % ii) + ii) % ii;
      if (behind >= 0 && behind < issue.interval)
        return scheduleError(other, "starts in cycle ", its.start, ", when unit ", *its.unit,
                             " is busy since cycle ", issue.start, everyInterval());
    }
  }
  return success();
}

/// Of accesses to one word, of which one writes, the later one comes in a later cycle: in the order
/// of the code, and where iterations overlap, in that of the iterations.
LogicalResult Segment::verifyAccesses() {
  SmallVector<Operation *> all =
      llvm::filter_to_vector(ops, [](Operation *op) { return isLoad(op) || isStore(op); });
  for (auto [i, first] : llvm::enumerate(all)) {
    for (auto [j, second] : llvm::enumerate(all)) {
      if (!isStore(first) && !isStore(second))
        continue;
      if (i < j && memories.mayAlias(first, second) && startOf(second) <= startOf(first))
        return scheduleError(second, "is in cycle ", startOf(second), ", but '", first->getName(),
                             "' before it touches the same word in cycle ", startOf(first));
      if (!ii)
        continue;
      std::optional<int64_t> iterations = memories.carried(first, second, loop.getInductionVar(),
                                                           tripsOf(loop));
      if (iterations && startOf(second) + *iterations * ii <= startOf(first))
        return scheduleError(second, "is in cycle ", startOf(second), ", but '", first->getName(),
                             "' of ", *iterations, " iterations before touches the same word in ",
                             "cycle ", startOf(first), everyInterval());
    }
  }
  return success();
}

/// A function of approx-schedule.
class Verifier {
public:
  explicit Verifier(func::FuncOp func) : func(func), memories(func) {}

  LogicalResult verify() {
    FailureOr<MachineTiming> stated = MachineTiming::of(func);
    if (failed(stated) || failed(verifyUnits(func)) || failed(memories.collect()) ||
        failed(memories.verify()) || failed(units.collect(func)))
      return failure();
    timing = *stated;
    for (Attribute unit : func->getAttrOfType<ArrayAttr>(approx::kUnitsAttrName)) {
      auto attrs = cast<DictionaryAttr>(unit);
      if (auto pad = attrs.getAs<IntegerAttr>("pad"))
        units.pads[attrs.getAs<IntegerAttr>("id").getInt()] = pad.getInt();
    }
    return verifyBlock(func.getBody().front(), {});
  }

private:
  LogicalResult verifyBlock(Block &block, affine::AffineForOp overlapping);
  LogicalResult verifyLoop(affine::AffineForOp loop);

  func::FuncOp func;
  Memories memories;
  Units units;
  MachineTiming timing;
};

LogicalResult Verifier::verifyBlock(Block &block, affine::AffineForOp overlapping) {
  Operation *parent = block.getParentOp();
  auto lengths = parent->getAttrOfType<DenseI64ArrayAttr>(approx::kLengthsAttrName);
  size_t loops = llvm::range_size(block.getOps<affine::AffineForOp>());
  if (!lengths || size_t(lengths.size()) != loops + 1)
    return scheduleError(parent, "has ", loops, " loops, so 'approx.lengths' needs ", loops + 1,
                         " numbers");
  SmallVector<Operation *> ops;
  size_t index = 0;
  auto flush = [&]() -> LogicalResult {
    LogicalResult result =
        Segment(ops, lengths[index++], overlapping, memories, units, timing).verify();
    ops.clear();
    return result;
  };
  for (Operation &op : block) {
    if (auto loop = dyn_cast<affine::AffineForOp>(op)) {
      if (failed(flush()) || failed(verifyLoop(loop)))
        return failure();
    } else if (isAlias(&op)) {
      if (!op.hasAttr(approx::kAliasAttrName))
        return scheduleError(&op, "needs no hardware, but has no 'approx.alias'");
    } else if (!isStructural(&op)) {
      ops.push_back(&op);
    }
  }
  return flush();
}

LogicalResult Verifier::verifyLoop(affine::AffineForOp loop) {
  if (!loop.hasConstantBounds())
    return scheduleError(loop, "must have constant bounds");
  FailureOr<int64_t> trips = number(loop, approx::kTripAttrName);
  if (failed(trips))
    return failure();
  if (*trips != tripsOf(loop))
    return scheduleError(loop, "has 'approx.trip = ", *trips, "', but ", tripsOf(loop),
                         " iterations");
  bool isOverlapping = loop->hasAttr(approx::kInitiationIntervalAttrName);
  if (isOverlapping && !isInnermost(loop))
    return scheduleError(loop, "has 'approx.ii', but is no innermost loop");
  if (failed(verifyBlock(*loop.getBody(), isOverlapping ? loop : affine::AffineForOp())))
    return failure();
  if (isOverlapping &&
      loop->getAttr(approx::kKernelAttrName) != overlapOf(loop, timing).toAttr(loop.getContext()))
    return scheduleError(loop, "has another 'approx.kernel' than its times give, ",
                         overlapOf(loop, timing).toAttr(loop.getContext()));
  if (!loop->hasAttr(approx::kOverlapAttrName))
    return success();
  SmallVector<affine::AffineForOp> band;
  affine::getPerfectlyNestedLoops(band, loop);
  if (band.size() != 2 || !band[1]->hasAttr(approx::kInitiationIntervalAttrName) ||
      !mayOverlapRuns(loop, band[1], memories, timing))
    return scheduleError(loop, "has 'approx.overlap', but its iterations cannot overlap");
  return success();
}

/// The function of an engine.
class EngineVerifier {
public:
  EngineVerifier(func::FuncOp func, const EngineTiming &timing) : func(func), timing(timing) {
    func->getParentOfType<ModuleOp>().walk(
        [&](approx::CoreOp core) { cores[core.getId()] = core; });
  }

  LogicalResult verify() {
    engine = func->getAttrOfType<DictionaryAttr>(approx::kEngineAttrName);
    int64_t from = timing.operands();
    bool hasMain = false;
    for (auto op : func.getOps<linalg::GenericOp>()) {
      auto phase = op->getAttrOfType<StringAttr>(approx::kPhaseAttrName);
      if (!phase)
        continue;
      bool isMain = phase.getValue() == "main";
      if (isMain == hasMain)
        return op.emitOpError("must be the engine's only main operation, or follow it");
      hasMain = true;
      FailureOr<int64_t> done = verifyBody(op, from, isMain);
      if (failed(done) || (isMain && failed(verifyNumbers(op))))
        return failure();
      from = *done;
    }
    if (!hasMain)
      return func.emitOpError("is an engine without a main operation");
    if (numberOf("done") < from)
      return func.emitOpError("has an engine that is done in cycle ")
             << numberOf("done") << ", but its last result is there in cycle " << from;
    return success();
  }

private:
  FailureOr<int64_t> verifyBody(linalg::GenericOp op, int64_t from, bool isMain);
  LogicalResult verifyUnit(Operation &op);
  LogicalResult verifyNumbers(linalg::GenericOp main);
  int64_t numberOf(StringRef name, int64_t otherwise = -1) {
    auto number = engine.getAs<IntegerAttr>(name);
    return number ? number.getInt() : otherwise;
  }

  func::FuncOp func;
  const EngineTiming &timing;
  DictionaryAttr engine;
  llvm::DenseMap<int64_t, approx::CoreOp> cores;
};

/// Each operation starts when its operands are there. Returns when the body's result is.
FailureOr<int64_t> EngineVerifier::verifyBody(linalg::GenericOp op, int64_t from, bool isMain) {
  llvm::DenseMap<Value, int64_t> ready;
  for (Operation &inner : op.getBody()->without_terminator()) {
    if (isa<arith::ConstantOp>(inner)) {
      ready[inner.getResult(0)] = 0;
      continue;
    }
    FailureOr<int64_t> start = number(&inner, approx::kStartAttrName);
    if (failed(start) || failed(verifyUnit(inner)))
      return failure();
    int64_t earliest = from, latency = 0;
    for (Value operand : inner.getOperands())
      if (auto it = ready.find(operand); it != ready.end())
        earliest = std::max(earliest, it->second);
    if (isApprox(&inner)) {
      approx::CoreOp core = cores.lookup(inner.getAttrOfType<IntegerAttr>("instance").getInt());
      latency = core.getLatency();
      if (core.getInterval() > 1)
        ++earliest; // operands wait in a register that keeps still
    }
    if (*start < earliest)
      return scheduleError(&inner, "starts in cycle ", *start,
                           ", but an operand is there in cycle ", earliest);
    ready[inner.getResult(0)] = *start + latency + 1;
    if (isMain && engine.get("accumulate") && numberOf("accumulate") != *start &&
        llvm::is_contained(inner.getOperands(),
                           op.getMatchingBlockArgument(op.getDpsInitOperand(0))))
      return scheduleError(&inner, "starts in cycle ", *start, ", but the sum is at its adder in ",
                           "cycle ", numberOf("accumulate"));
  }
  auto it = ready.find(op.getBody()->getTerminator()->getOperand(0));
  return std::max(from, it == ready.end() ? 0 : it->second);
}

LogicalResult EngineVerifier::verifyUnit(Operation &op) {
  if (!isApprox(&op)) {
    auto function = op.getAttrOfType<StringAttr>(approx::kAluAttrName);
    if (!function || function.getValue() != plainName(&op))
      return scheduleError(&op, "is '", plainName(&op), "' of the plain logic, but has another ",
                           "'approx.alu'");
    return success();
  }
  auto instance = op.getAttrOfType<IntegerAttr>("instance");
  approx::CoreOp core = instance ? cores.lookup(instance.getInt()) : approx::CoreOp();
  if (!core)
    return scheduleError(&op, "is not bound to an instance that 'approx.library' declares");
  FailureOr<int64_t> unit = number(&op, approx::kUnitAttrName),
                     latency = number(&op, approx::kLatencyAttrName);
  if (failed(unit) || failed(latency))
    return failure();
  if (*unit != instance.getInt())
    return scheduleError(&op, "is bound to instance ", instance, ", but uses unit ", *unit);
  int64_t takes = core.getLatency(), kept = core.getInterval();
  if (*latency != takes)
    return scheduleError(&op, "has 'approx.latency = ", *latency, "', but unit ", *unit, " takes ",
                         takes, " cycles");
  auto interval = op.getAttrOfType<IntegerAttr>(approx::kIntervalAttrName);
  if ((interval ? interval.getInt() : 1) != kept)
    return scheduleError(&op, "has another 'approx.interval' than unit ", *unit, ", ", kept);
  return success();
}

LogicalResult EngineVerifier::verifyNumbers(linalg::GenericOp main) {
  int64_t outputs = 1, depth = 1;
  for (auto [range, kind] :
       llvm::zip_equal(main.getStaticLoopRanges(), main.getIteratorTypesArray()))
    (kind == utils::IteratorType::reduction ? depth : outputs) *= range;
  auto expect = [&](StringRef name, int64_t wanted) -> LogicalResult {
    if (numberOf(name) == wanted)
      return success();
    return func.emitOpError("has an engine with '")
           << name << " = " << numberOf(name) << "', but its code gives " << wanted;
  };
  int64_t interval = numberOf("interval", 1), interleave = numberOf("interleave");
  int64_t slots = numberOf("slots");
  if (interval < 1 || interleave < 1 || slots < 1)
    return func.emitOpError("has an engine without outputs in turn");
  if (failed(expect("outputs", outputs)) || failed(expect("depth", depth)) ||
      failed(expect("work", outputs * depth)) ||
      failed(expect("issue_cycles",
                    llvm::divideCeil(slots, interleave) * interleave * depth * interval)))
    return failure();
  if (depth == 1)
    return success();
  Operation *add = main.getBody()->getTerminator()->getOperand(0).getDefiningOp();
  if (!add || !isApprox(add))
    return scheduleError(main, "gives a reduction's value that no unit computes");
  int64_t addition =
      cores.lookup(add->getAttrOfType<IntegerAttr>("instance").getInt()).getLatency();
  if (interleave * interval < addition + timing.sumToAdder)
    return scheduleError(add, "takes ", addition, " cycles and its sum ", timing.sumToAdder,
                         " more, but the next step is there after ", interleave * interval);
  return success();
}

struct VerifySchedule : impl::VerifyScheduleBase<VerifySchedule> {
  using VerifyScheduleBase::VerifyScheduleBase;

  void runOnOperation() override {
    for (auto func : getOperation().getOps<func::FuncOp>())
      if (func->hasAttr(approx::kLengthsAttrName) && failed(verifySchedule(func)))
        return signalPassFailure();
    if (failed(verifyStream(getOperation())))
      signalPassFailure();
  }
};
} // namespace

LogicalResult verifyUnits(func::FuncOp func) {
  llvm::DenseMap<int64_t, approx::CoreOp> cores;
  func->getParentOfType<ModuleOp>().walk([&](approx::CoreOp core) { cores[core.getId()] = core; });
  auto units = func->getAttrOfType<ArrayAttr>(approx::kUnitsAttrName);
  if (!units)
    return func.emitOpError("has no 'approx.units'; run the scheduling pass again");
  for (Attribute attr : units) {
    auto unit = dyn_cast<DictionaryAttr>(attr);
    auto id = unit ? unit.getAs<IntegerAttr>("id") : IntegerAttr();
    approx::CoreOp core = id ? cores.lookup(id.getInt()) : approx::CoreOp();
    if (!core)
      return func.emitOpError("was scheduled for ") << attr << ", which the library lacks";
    for (StringRef name : {"op", "module", "parameters", "latency"})
      if (unit.get(name) != core->getAttr(name))
        return core.emitOpError() << id.getInt() << " has " << name << " " << core->getAttr(name)
                                  << ", but was scheduled with " << unit.get(name)
                                  << "; schedule again";
  }
  return success();
}

LogicalResult verifySchedule(func::FuncOp func) { return Verifier(func).verify(); }

LogicalResult verifyStream(ModuleOp module) {
  auto main = module.lookupSymbol<func::FuncOp>("main");
  if (!main || !main->hasAttr(approx::kOutputsAttrName))
    return success();
  FailureOr<EngineTiming> timing = EngineTiming::of(main);
  if (failed(timing) || failed(verifyUnits(main)))
    return failure();
  for (auto func : module.getOps<func::FuncOp>())
    if (func->hasAttr(approx::kEngineAttrName) && failed(EngineVerifier(func, *timing).verify()))
      return failure();
  return success();
}

} // namespace asnet
