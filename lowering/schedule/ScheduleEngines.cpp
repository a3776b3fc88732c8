// SPDX-License-Identifier: Apache-2.0
// approx-schedule-engines: which engine computes each stage of a network, and what passes between
// them (docs/decisions/0014-streaming-engines.md has the block diagram and the timing).

#include "lowering/schedule/EngineSchedule.h"
#include "lowering/schedule/Schedule.h"

#include "dialects/approx/Layers.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_SCHEDULEENGINES
#include "lowering/Lowering.h.inc"

namespace {
/// The numbers of the values that arguments, or results, are.
SmallVector<int64_t> argumentValues(func::FuncOp func) {
  SmallVector<int64_t> values;
  for (unsigned i = 0; i < func.getNumArguments(); ++i)
    if (auto value = func.getArgAttrOfType<IntegerAttr>(i, approx::kValueAttrName))
      values.push_back(value.getInt());
  return values;
}

SmallVector<int64_t> resultValues(func::FuncOp func) {
  SmallVector<int64_t> values;
  for (unsigned i = 0; i < func.getNumResults(); ++i)
    if (auto value = func.getResultAttrOfType<IntegerAttr>(i, approx::kValueAttrName))
      values.push_back(value.getInt());
  return values;
}

/// How many outputs the engine of a layer computes at once.
class Lanes {
public:
  /// Read the pass's option.
  LogicalResult read(ModuleOp module, ArrayRef<std::string> texts) {
    for (const std::string &text : texts) {
      auto [layer, number] = StringRef(text).rsplit(':');
      if (number.empty()) {
        number = layer;
        layer = "";
      }
      int64_t count;
      if (number.getAsInteger(10, count) || count < 1 || count > 1024)
        return module.emitError("lanes must be 1 to 1024, got '") << number << "'";
      ofScope[approx::decodeLayerName(layer)] = count;
    }
    return success();
  }

  /// As with bindings, a layer's name stands for what is inside it too.
  int64_t of(StringRef layer) {
    auto fitting = llvm::make_filter_range(
        ofScope, [&](const auto &entry) { return approx::isWithin(layer, entry.first); });
    for (const auto &[scope, count] : fitting)
      seen.insert(scope);
    return approx::mostSpecific(fitting, [](const auto &e) -> StringRef { return e.first; })
        ->second;
  }

  /// An error for a name of no layer that was asked for.
  LogicalResult verifySeen(ModuleOp module) {
    for (auto &[layer, count] : ofScope)
      if (!layer.empty() && !seen.contains(layer))
        return module.emitError("lanes: the network has no layer '") << layer << "'";
    return success();
  }

private:
  std::map<std::string, int64_t> ofScope = {{"", 1}};
  llvm::StringSet<> seen;
};

struct Stage {
  func::FuncOp func;
  std::unique_ptr<Engine> engine; // none: the machine computes it
  int64_t level = 0;              // stages that the longest way to it passes through
};

class StreamScheduler {
public:
  StreamScheduler(ModuleOp module, Lanes &lanes, EngineTiming timing)
      : module(module), lanes(lanes), b(module.getContext()), timing(timing) {
    module.walk([&](approx::CoreOp core) { cores[core.getId()] = core; });
    if (auto found = module.lookupSymbol<func::FuncOp>("main"))
      main = found;
  }

  LogicalResult run();

private:
  LogicalResult verifyBound();
  void findOrdered();
  LogicalResult addStage(func::FuncOp func);
  LogicalResult annotateMain();
  void findLevels();
  void annotateOrders(Stage &stage);
  void sizeBuffer(Stage &stage, Operand &operand);
  /// The stage that makes a value; null for the network's input.
  Stage *makerOf(int64_t value) {
    auto it = maker.find(value);
    return it == maker.end() ? nullptr : &stages[it->second];
  }
  void setNumbers(Operation *op, StringRef name, ArrayRef<int64_t> numbers) {
    op->setDiscardableAttr(name, b.getDenseI64ArrayAttr(numbers));
  }

  ModuleOp module;
  Lanes &lanes;
  Builder b;
  EngineTiming timing;
  func::FuncOp main;
  DenseMap<int64_t, approx::CoreOp> cores;
  DenseSet<int64_t> ordered; // values that must be in row-major order
  SmallVector<Stage> stages;
  DenseMap<int64_t, unsigned> maker; // of each value
  int64_t slowest = 1;               // cycles of the slowest engine
};

LogicalResult StreamScheduler::run() {
  if (failed(verifyBound()))
    return failure();
  findOrdered();
  for (auto func : module.getOps<func::FuncOp>())
    if (func.getName().starts_with("stage_") && failed(addStage(func)))
      return failure();
  if ((main && failed(annotateMain())) || failed(lanes.verifySeen(module)))
    return failure();
  findLevels();
  for (Stage &stage : stages) {
    if (!stage.engine) {
      annotateOrders(stage);
      continue;
    }
    for (Operand &operand : stage.engine->operands)
      if (!operand.isWeight)
        sizeBuffer(stage, operand);
    stage.engine->annotate();
  }
  return verifyStream(module);
}

LogicalResult StreamScheduler::verifyBound() {
  WalkResult result = module.walk([&](Operation *op) -> WalkResult {
    auto instance = op->getAttrOfType<IntegerAttr>("instance");
    if (!isApprox(op) || isa<approx::CoreOp, approx::LibraryOp>(op))
      return WalkResult::advance();
    if (!instance || !cores.contains(instance.getInt()))
      return op->emitOpError("is not bound to an instance that 'approx.library' declares; hardware "
                             "needs a core for every operation");
    return WalkResult::advance();
  });
  return failure(result.wasInterrupted());
}

/// Results, and what is padded.
void StreamScheduler::findOrdered() {
  if (main)
    for (int64_t value : resultValues(main))
      ordered.insert(value);
  for (auto func : module.getOps<func::FuncOp>())
    if (func.getName().starts_with("stage_") && !func.getOps<tensor::PadOp>().empty())
      for (int64_t value : argumentValues(func))
        ordered.insert(value);
}

LogicalResult StreamScheduler::addStage(func::FuncOp func) {
  auto layer = func->getAttrOfType<StringAttr>(approx::kStageAttrName);
  SmallVector<int64_t> results = resultValues(func);
  bool mayReorder = func.getNumResults() == 1 && !ordered.contains(results.front());
  auto engine = std::make_unique<Engine>(func, cores, timing,
                                         lanes.of(layer ? layer.getValue() : ""), mayReorder);
  if (!engine->analyze()) {
    func->setDiscardableAttr(approx::kMachineAttrName, b.getStringAttr(engine->reason));
    engine = nullptr;
  }
  if (results.size() != 1)
    return func.emitError("layer '")
           << (layer ? layer.getValue() : "") << "' gives " << results.size()
           << " values that others read, which the style 'stream' does not support; name its parts "
              "as layers, or use the style 'shared'";
  maker[results.front()] = stages.size();
  setNumbers(func, approx::kInputsAttrName, argumentValues(func));
  setNumbers(func, approx::kResultsAttrName, results);
  setInt(func, approx::kIndexAttrName, stages.size());
  stages.push_back({func, std::move(engine)});
  return success();
}

LogicalResult StreamScheduler::annotateMain() {
  SmallVector<int64_t> outputs = resultValues(main);
  if (outputs.size() != 1 || !makerOf(outputs.front()))
    return main.emitError("gives other than one value that a layer computes; the style 'stream' "
                          "needs exactly one");
  setNumbers(main, approx::kOutputsAttrName, outputs);
  int64_t inputWords = 0;
  for (unsigned i = 0; i < main.getNumArguments(); ++i)
    if (main.getArgAttr(i, approx::kValueAttrName))
      inputWords += cast<RankedTensorType>(main.getArgumentTypes()[i]).getNumElements();
  setInt(main, approx::kInputWordsAttrName, inputWords);
  // Properties of operations are not visible in CIRCT's process.
  std::map<int64_t, Attribute> units;
  for (auto &[id, core] : cores) {
    NamedAttrList attrs;
    for (StringRef name : {"op", "module", "parameters", "latency"})
      attrs.set(name, core->getAttr(name));
    attrs.set("id", b.getI64IntegerAttr(id));
    units[id] = attrs.getDictionary(b.getContext());
  }
  main->setDiscardableAttr(approx::kUnitsAttrName,
                           b.getArrayAttr(llvm::to_vector(llvm::make_second_range(units))));
  main->setDiscardableAttr(approx::kTimingAttrName, timing.toAttr(b.getContext()));
  return success();
}

void StreamScheduler::findLevels() {
  for (Stage &stage : stages) {
    for (int64_t value : argumentValues(stage.func))
      if (Stage *from = makerOf(value))
        stage.level = std::max(stage.level, from->level + 1);
    if (stage.engine)
      slowest = std::max(slowest, stage.engine->cycles);
  }
}

/// Of a stage for the machine: in which order its inputs come.
void StreamScheduler::annotateOrders(Stage &stage) {
  SmallVector<Attribute> orders;
  for (int64_t value : argumentValues(stage.func)) {
    NamedAttrList order;
    if (Stage *from = makerOf(value); from && from->engine) {
      order.set("ranges", b.getDenseI64ArrayAttr(from->engine->orderRanges));
      order.set("strides", b.getDenseI64ArrayAttr(from->engine->orderStrides));
    }
    orders.push_back(order.getDictionary(b.getContext()));
  }
  stage.func->setDiscardableAttr(approx::kOrdersAttrName, b.getArrayAttr(orders));
}

/// A buffer holds a frame that is read, one that is written, and one for each engine that a longer
/// way to the same reader passes through.
void StreamScheduler::sizeBuffer(Stage &stage, Operand &operand) {
  int64_t number = operand.argument.getArgNumber();
  Stage *from =
      makerOf(stage.func.getArgAttrOfType<IntegerAttr>(number, approx::kValueAttrName).getInt());
  Engine *other = from ? from->engine.get() : nullptr;
  if (other && !other->orderRanges.empty()) {
    operand.writeRanges = other->orderRanges;
    operand.writeStrides = other->orderStrides;
    operand.frames = 2;
  }
  if (operand.frames == 0)
    return;
  int64_t load = other ? std::max(operand.load, other->span()) : operand.load;
  operand.frames = 1 + stage.level - (from ? from->level : -1);
  if (operand.isEpilogue)
    ++operand.frames;
  // Filling and reading in turn must not be slower than the slowest engine.
  while (load + stage.engine->issueCycles + timing.handover > operand.frames * slowest)
    ++operand.frames;
}

struct ScheduleEngines : impl::ScheduleEnginesBase<ScheduleEngines> {
  using ScheduleEnginesBase::ScheduleEnginesBase;

  void runOnOperation() override {
    Lanes counts;
    EngineTiming timing;
    timing.memory = memoryLatency;
    if (memoryLatency < 1) {
      getOperation().emitError("'memory-latency' must be at least 1, got ")
          << static_cast<int64_t>(memoryLatency);
      return signalPassFailure();
    }
    if (failed(counts.read(getOperation(), llvm::to_vector(lanes))) ||
        failed(StreamScheduler(getOperation(), counts, timing).run()))
      signalPassFailure();
  }
};
} // namespace
} // namespace asnet
