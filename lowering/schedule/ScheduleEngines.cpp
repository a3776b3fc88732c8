// approx-schedule-engines: what each engine of the streaming hardware does when
// (docs/decisions/0014-streaming-engines.md has the block diagram and the timing).

#include "lowering/schedule/Engines.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"

#include <map>

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_SCHEDULEENGINES
#include "lowering/Lowering.h.inc"

namespace {
// Cycle 0 forms an address, 1 reads the memory, 2 brings the word to a register: in cycle 3 it lies
// at a core's input.
constexpr int64_t kOperandsReady = 3;
// A sum goes through a register file back to its adder's input register.
constexpr int64_t kSumToAdder = 2;
// Words of distributed RAM are cheap up to here.
constexpr int64_t kSmallRam = 16, kMostInterleave = 32;
// From a slot of a buffer that was read to the first word that may be written there, and from the
// last word written to the first that is read.
constexpr int64_t kHandover = 4;

struct Loop {
  int64_t range;
  SmallVector<int64_t> strides; // one for each operand of the phase
};

struct Operand {
  BlockArgument argument;
  bool isWeight = false, isEpilogue = false;
  int64_t words = 0, base = 0;
  int64_t load = 0; // words of a frame that come
  SmallVector<int64_t> outer, inner;
  tensor::PadOp pad;
  // Of weights: what lies where in the ROM, and what the lanes of a word hold.
  SmallVector<int64_t> ranges, strides;
  int64_t laneStride = 0;
  int64_t frames = 2;
  // Of values whose words do not come in row-major order: loops over them, and where they belong.
  SmallVector<int64_t> writeRanges, writeStrides;
};

/// A reduction or elementwise op with the elementwise ops that follow it.
class Engine {
public:
  /// `mayReorder`: who reads the outputs can put them in order.
  Engine(func::FuncOp func, const DenseMap<int64_t, approx::CoreOp> &cores, int64_t lanes,
         bool mayReorder)
      : func(func), cores(cores), lanesWanted(lanes), mayReorder(mayReorder),
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
  SmallVector<int64_t> orderRanges, orderStrides;
  /// Cycles from the first to the last word of a frame that leaves.
  int64_t span() const {
    return std::max(outputs * epilogueInterval,
                    issueCycles - interleave * (depth - 1) * interval);
  }

private:
  bool no(const Twine &why) {
    reason = why.str();
    return false;
  }
  bool findChain();
  bool collectOperands();
  bool collectOperand(linalg::GenericOp op, OpOperand &use, bool isEpilogue,
                      ArrayRef<unsigned> outerDims, ArrayRef<unsigned> innerDims);
  bool formLoops();
  void chooseLaneLoop();
  /// Whether the iterations of an outer loop read the same words of values.
  bool isShared(unsigned loop) {
    return llvm::all_of(operands, [&](Operand &operand) {
      return operand.isEpilogue || operand.isWeight || operand.outer[loop] == 0;
    });
  }
  void placeWeight(Operand &operand, ArrayRef<unsigned> outerDims, ArrayRef<unsigned> innerDims);
  void mergeLoops(SmallVectorImpl<int64_t> &ranges, bool isEpilogue, bool isInner);
  int64_t scheduleBody(linalg::GenericOp op, int64_t ready, bool isMain);
  void chooseInterleave(int64_t latency);
  approx::CoreOp coreOf(Operation *op) {
    return cores.lookup(op->getAttrOfType<IntegerAttr>("instance").getInt());
  }
  int64_t latencyOf(Operation *op) { return coreOf(op).getLatency(); }
  int64_t intervalOf(Operation *op) { return coreOf(op).getInterval(); }
  /// The longest interval of the units in a body.
  int64_t intervalOf(linalg::GenericOp op) {
    int64_t longest = 1;
    for (Operation &inner : op.getBody()->without_terminator())
      if (isUnit(inner))
        longest = std::max(longest, intervalOf(&inner));
    return longest;
  }
  static bool isUnit(Operation &op) { return op.getName().getDialectNamespace() == "approx"; }
  int64_t readyOf(Value value) {
    auto it = ready.find(value);
    return it == ready.end() ? 0 : it->second;
  }

  func::FuncOp func;
  const DenseMap<int64_t, approx::CoreOp> &cores;
  int64_t lanesWanted;
  bool mayReorder;
  Builder b;
  linalg::GenericOp main;
  SmallVector<linalg::GenericOp> epilogue;
  DenseMap<std::pair<Operation *, unsigned>, unsigned> operandOf;
  SmallVector<int64_t> outerRanges, innerRanges, epilogueRanges;
  SmallVector<unsigned> outerDims, innerDims, epilogueDims;
  DenseMap<Value, int64_t> ready;
  DenseMap<Operation *, int64_t> starts;
  uint32_t initial = 0;
};

bool Engine::findChain() {
  if (func.getNumResults() != 1)
    return no("gives several values");
  Value result = func.getBody().front().getTerminator()->getOperand(0);
  DenseSet<Operation *> covered;
  for (Value value = skipReshapes(result);;) {
    auto op = value.getDefiningOp<linalg::GenericOp>();
    std::string why;
    if (!op)
      return no("has an operation that is no linalg.generic");
    if (!isEngineOp(op, why))
      return no(why);
    covered.insert(op);
    linalg::GenericOp before;
    if (op.getNumReductionLoops() == 0)
      for (OpOperand *operand : op.getDpsInputOperands())
        if (auto other = skipReshapes(operand->get()).getDefiningOp<linalg::GenericOp>()) {
          if (!findChained(op, other.getResult(0)))
            return no("reads what it computes more than once");
          before = other;
        }
    if (!before) {
      main = op;
      break;
    }
    epilogue.insert(epilogue.begin(), op);
    value = before.getResult(0);
  }
  for (Operation &op : func.getBody().front().without_terminator()) {
    if (isa<tensor::CollapseShapeOp, tensor::ExpandShapeOp, tensor::PadOp, tensor::EmptyOp,
            arith::ConstantOp>(op) ||
        covered.contains(&op))
      continue;
    auto fill = dyn_cast<linalg::GenericOp>(op);
    if (!fill || main.getDpsInitOperand(0)->get() != fill.getResult(0))
      return no("has more operations than a reduction and what follows it");
  }
  if (main.getNumReductionLoops() == 0)
    return true;

  auto fill = main.getDpsInitOperand(0)->get().getDefiningOp<linalg::GenericOp>();
  std::optional<uint32_t> word;
  if (fill && fill.getNumResults() == 1) {
    Value yielded = fill.getBody()->getTerminator()->getOperand(0);
    if (auto argument = dyn_cast<BlockArgument>(yielded);
        argument && argument.getOwner() == fill.getBody())
      yielded = fill->getOperand(argument.getArgNumber());
    word = constantWord(yielded);
  }
  if (!word)
    return no("has sums that do not start from a constant");
  initial = *word;
  return true;
}

bool Engine::collectOperand(linalg::GenericOp op, OpOperand &use, bool isEpilogue,
                            ArrayRef<unsigned> outerDims, ArrayRef<unsigned> innerDims) {
  Operand operand;
  operand.isEpilogue = isEpilogue;
  AffineMap map = op.getMatchingIndexingMap(&use);
  auto type = cast<RankedTensorType>(use.get().getType());
  operand.words = operand.load = type.getNumElements();
  SmallVector<int64_t> coefficients =
      *linearCoefficients(linearPosition(map, type), map.getNumDims());
  operand.base = coefficients.back();
  for (unsigned dim : outerDims)
    operand.outer.push_back(coefficients[dim]);
  for (unsigned dim : innerDims)
    operand.inner.push_back(coefficients[dim]);
  Value source = skipReshapes(use.get());
  if (auto pad = source.getDefiningOp<tensor::PadOp>()) {
    if (!pad.getConstantPaddingValue() || !constantWord(pad.getConstantPaddingValue()) ||
        !pad.getLow().empty() || !pad.getHigh().empty() ||
        llvm::any_of(pad.getStaticLow(), [](int64_t size) { return size < 0; }) ||
        llvm::any_of(pad.getStaticHigh(), [](int64_t size) { return size < 0; }))
      return no("has a padding that is not constant or negative");
    operand.pad = pad;
    operand.load = pad.getSourceType().getNumElements();
    operand.words = pad.getResultType().getNumElements();
    source = skipReshapes(pad.getSource());
  }
  operand.argument = dyn_cast<BlockArgument>(source);
  if (!operand.argument)
    return no("reads what is neither a weight nor a value of another layer");
  operand.isWeight = func.getArgAttr(operand.argument.getArgNumber(), "approx.weight") != nullptr;
  if (operand.isWeight && operand.pad)
    return no("pads a weight");
  operandOf[{op, use.getOperandNumber()}] = operands.size();
  operands.push_back(operand);
  return true;
}

bool Engine::collectOperands() {
  SmallVector<int64_t> ranges = main.getStaticLoopRanges();
  AffineMap output = main.getMatchingIndexingMap(main.getDpsInitOperand(0));
  // Outputs leave in row-major order of the result.
  for (AffineExpr expr : output.getResults())
    if (unsigned dim = cast<AffineDimExpr>(expr).getPosition(); ranges[dim] > 1)
      outerDims.push_back(dim);
  for (auto [dim, iterator] : llvm::enumerate(main.getIteratorTypesArray()))
    if (iterator == utils::IteratorType::reduction && ranges[dim] > 1)
      innerDims.push_back(dim);
  for (unsigned dim : outerDims)
    outerRanges.push_back(ranges[dim]);
  for (unsigned dim : innerDims)
    innerRanges.push_back(ranges[dim]);
  auto collect = [&](linalg::GenericOp op, bool isEpilogue, Operation *before,
                     ArrayRef<unsigned> outer, ArrayRef<unsigned> inner) {
    for (OpOperand *use : op.getDpsInputOperands())
      if (isa<RankedTensorType>(use->get().getType()) &&
          !op.getMatchingBlockArgument(use).use_empty() &&
          (!before || skipReshapes(use->get()).getDefiningOp() != before) &&
          !collectOperand(op, *use, isEpilogue, outer, inner))
        return false;
    return true;
  };
  if (!collect(main, false, nullptr, outerDims, innerDims))
    return false;
  Operation *before = main;
  SmallVector<int64_t> shape;
  for (linalg::GenericOp op : epilogue) {
    SmallVector<int64_t> own = op.getStaticLoopRanges();
    SmallVector<unsigned> dims;
    for (auto [dim, range] : llvm::enumerate(own))
      if (range > 1)
        dims.push_back(dim);
    size_t known = operands.size();
    if (!collect(op, true, before, dims, {}))
      return false;
    if (operands.size() > known) {
      if (!shape.empty() && shape != own)
        return no("reshapes between operations that read weights");
      shape = own;
      epilogueRanges.clear();
      for (unsigned dim : dims)
        epilogueRanges.push_back(own[dim]);
    }
    before = op;
  }
  return true;
}

/// Weights of the reduction lie in the order of the loops, so that a word holds what the lanes need.
void Engine::placeWeight(Operand &operand, ArrayRef<unsigned>, ArrayRef<unsigned>) {
  SmallVector<int64_t> inner(operand.inner), outer(operand.outer);
  operand.laneStride = lanes > 1 ? outer.back() : 0;
  if (lanes > 1)
    outer.back() *= lanes;
  int64_t words = 1;
  SmallVector<int64_t *> strides;
  for (auto [stride, range, own] : llvm::zip_equal(inner, innerRanges, operand.inner))
    if (stride != 0) {
      operand.ranges.push_back(range);
      operand.strides.push_back(stride);
      strides.push_back(&own);
    }
  for (auto [stride, range, own] : llvm::zip_equal(outer, outerRanges, operand.outer))
    if (stride != 0) {
      operand.ranges.push_back(range);
      operand.strides.push_back(stride);
      strides.push_back(&own);
    }
  for (auto [stride, range] : llvm::zip_equal(llvm::reverse(strides), llvm::reverse(operand.ranges))) {
    *stride = words;
    words *= range;
  }
  operand.words = words;
}

/// Adjacent loops over which all addresses go on alike become one.
void Engine::mergeLoops(SmallVectorImpl<int64_t> &ranges, bool isEpilogue, bool isInner) {
  auto stridesOf = [&](Operand &operand) -> SmallVector<int64_t> & {
    return isInner ? operand.inner : operand.outer;
  };
  for (size_t i = ranges.size(); i-- > 1;) {
    bool fits = llvm::all_of(operands, [&](Operand &operand) {
      ArrayRef<int64_t> strides = stridesOf(operand);
      return operand.isEpilogue != isEpilogue || strides[i - 1] == strides[i] * ranges[i];
    });
    if (!fits)
      continue;
    ranges[i - 1] *= ranges[i];
    ranges.erase(ranges.begin() + i);
    for (Operand &operand : operands)
      if (operand.isEpilogue == isEpilogue) {
        SmallVector<int64_t> &strides = stridesOf(operand);
        strides.erase(strides.begin() + i - 1);
      }
  }
}

/// Lanes compute neighbours in the innermost loop over outputs. Where these read different words of
/// a value, a loop whose iterations read the same ones can become the innermost, if the outputs may
/// leave in that order.
void Engine::chooseLaneLoop() {
  unsigned count = outerRanges.size();
  if (count < 2 || isShared(count - 1) || !mayReorder || !epilogue.empty())
    return;
  for (unsigned loop = count - 1; loop-- > 0;) {
    if (!isShared(loop))
      continue;
    SmallVector<int64_t> strides(count, 1);
    for (unsigned i = count - 1; i-- > 0;)
      strides[i] = strides[i + 1] * outerRanges[i + 1];
    auto rotate = [&](SmallVectorImpl<int64_t> &values) {
      std::rotate(values.begin() + loop, values.begin() + loop + 1, values.end());
    };
    rotate(strides);
    rotate(outerRanges);
    for (Operand &operand : operands)
      rotate(operand.outer);
    orderRanges = outerRanges;
    orderStrides = strides;
    return;
  }
}

bool Engine::formLoops() {
  auto product = [](ArrayRef<int64_t> ranges) {
    int64_t all = 1;
    for (int64_t range : ranges)
      all *= range;
    return all;
  };
  outputs = product(outerRanges);
  depth = product(innerRanges);
  // Lanes share what they read of a stream.
  if (depth > 1 && lanesWanted > 1)
    chooseLaneLoop();
  bool canShare = depth > 1 && !outerRanges.empty() && isShared(outerRanges.size() - 1);
  lanes = canShare ? std::min(lanesWanted, outerRanges.back()) : 1;
  lastLanes = lanes;
  if (lanes > 1) {
    int64_t blocks = llvm::divideCeil(outerRanges.back(), lanes);
    // As many as make a difference: 10 lanes for 16 filters take as long as 8.
    lanes = llvm::divideCeil(outerRanges.back(), blocks);
    lastLanes = outerRanges.back() - (blocks - 1) * lanes;
    outerRanges.back() = blocks;
  }
  slots = product(outerRanges);
  for (Operand &operand : operands)
    if (operand.isWeight && !operand.isEpilogue)
      placeWeight(operand, outerDims, innerDims);
  // The innermost loop decides which lanes of a word count.
  SmallVector<int64_t> kept;
  if (lanes == 1 || lastLanes == lanes)
    mergeLoops(outerRanges, false, false);
  mergeLoops(innerRanges, false, true);
  mergeLoops(epilogueRanges, true, false);
  return true;
}

/// As soon as possible, with a register before each operation. Operands of a unit with an interval
/// wait in one more register, which keeps still for that long. Returns when the result is ready.
int64_t Engine::scheduleBody(linalg::GenericOp op, int64_t from, bool isMain) {
  for (BlockArgument argument : op.getBody()->getArguments())
    ready[argument] = from;
  Value yielded = op.getBody()->getTerminator()->getOperand(0);
  for (Operation &inner : op.getBody()->without_terminator()) {
    if (isa<arith::ConstantOp>(inner)) {
      ready[inner.getResult(0)] = 0;
      continue;
    }
    int64_t start = from, latency = 0;
    for (Value operand : inner.getOperands())
      start = std::max(start, readyOf(operand));
    if (isUnit(inner)) {
      latency = latencyOf(&inner);
      if (intervalOf(&inner) > 1)
        ++start;
    }
    starts[&inner] = start;
    ready[inner.getResult(0)] = start + latency + 1;
    if (isMain && op.getNumReductionLoops() != 0 && inner.getResult(0) == yielded) {
      sum = start;
      chooseInterleave(latency);
    }
  }
  return std::max(from, readyOf(yielded));
}

void Engine::chooseInterleave(int64_t latency) {
  if (depth > 1)
    bound = std::max(bound, depth * latency);
  interleave = 1;
  if (depth == 1)
    return;
  int64_t least = llvm::divideCeil(latency + kSumToAdder, interval);
  auto total = [&](int64_t size) { return llvm::divideCeil(slots, size) * size; };
  interleave = least;
  for (int64_t size = least; size <= std::max(least, kMostInterleave); ++size) {
    // More than fits a small RAM only for what it saves.
    double worth = interleave <= kSmallRam && size > kSmallRam ? 1.01 : 1.0;
    if (total(size) * worth < total(interleave))
      interleave = size;
  }
}

bool Engine::analyze() {
  if (!findChain() || !collectOperands() || !formLoops())
    return false;
  if (llvm::none_of(operands, [](const Operand &operand) { return !operand.isWeight; }))
    return no("reads no value of another layer");
  for (linalg::GenericOp op : epilogue)
    for (Operation &inner : op.getBody()->without_terminator())
      if (isUnit(inner) && !inner.hasAttr("instance"))
        return no("is not bound");
  interval = intervalOf(main);
  for (linalg::GenericOp op : epilogue)
    epilogueInterval = std::max(epilogueInterval, intervalOf(op));
  bound = slots * depth * interval;
  if (epilogueInterval > 1)
    bound = std::max(bound, outputs * epilogueInterval);
  done = sumReady = scheduleBody(main, kOperandsReady, true);
  for (linalg::GenericOp op : epilogue)
    done = scheduleBody(op, done, false);
  issueCycles = llvm::divideCeil(slots, interleave) * interleave * depth * interval;
  cycles = std::max(issueCycles, outputs * epilogueInterval);
  // What is read in the order in which it comes needs no buffer.
  int64_t values = llvm::count_if(operands, [](Operand &operand) { return !operand.isWeight; });
  for (Operand &operand : operands) {
    if (operand.isWeight)
      continue;
    bool inOrder = values == 1 && depth == 1 && !operand.isEpilogue && !operand.pad &&
                   operand.base == 0 && operand.words == outputs && operand.outer.size() <= 1 &&
                   (operand.outer.empty() || operand.outer.front() == 1);
    operand.frames = inOrder ? 0 : 2;
    cycles = std::max(cycles, operand.load);
  }
  return true;
}

void Engine::annotate() {
  auto i64 = [&](int64_t value) { return b.getI64IntegerAttr(value); };
  auto array = [&](ArrayRef<int64_t> values) { return b.getDenseI64ArrayAttr(values); };
  llvm::MapVector<int64_t, int64_t> units;
  auto annotateOp = [&](linalg::GenericOp op, bool isMain, Operation *before) {
    op->setDiscardableAttr("approx.phase", b.getStringAttr(isMain ? "main" : "epilogue"));
    SmallVector<Attribute> sources;
    SmallVector<int32_t> words;
    for (OpOperand &use : op->getOpOperands()) {
      std::string source = "none";
      uint32_t word = 0;
      if (auto it = operandOf.find({op, use.getOperandNumber()}); it != operandOf.end()) {
        source = ("operand:" + Twine(it->second)).str();
      } else if (op.isDpsInit(&use)) {
        source = isMain && op.getNumReductionLoops() != 0 ? "accumulator" : "none";
      } else if (auto constant = constantWord(use.get())) {
        source = "constant";
        word = *constant;
      } else if (before && skipReshapes(use.get()).getDefiningOp() == before) {
        source = "result";
      }
      sources.push_back(b.getStringAttr(source));
      words.push_back(word);
    }
    op->setDiscardableAttr("approx.sources", b.getArrayAttr(sources));
    op->setDiscardableAttr("approx.bits", b.getDenseI32ArrayAttr(words));
    for (Operation &inner : op.getBody()->without_terminator()) {
      if (isa<arith::ConstantOp>(inner))
        continue;
      inner.setDiscardableAttr("approx.start", i64(starts[&inner]));
      if (isUnit(inner)) {
        int64_t id = inner.getAttrOfType<IntegerAttr>("instance").getInt();
        inner.setDiscardableAttr("approx.unit", i64(id));
        inner.setDiscardableAttr("approx.latency", i64(latencyOf(&inner)));
        if (int64_t cycles = intervalOf(&inner); cycles > 1)
          inner.setDiscardableAttr("approx.interval", i64(cycles));
        units[id] += isMain ? lanes : 1;
      } else {
        inner.setDiscardableAttr("approx.alu", b.getStringAttr(plainName(&inner)));
      }
    }
  };
  annotateOp(main, true, nullptr);
  Operation *before = main;
  for (linalg::GenericOp op : epilogue) {
    annotateOp(op, false, before);
    before = op;
  }
  // Constants give their words to CIRCT's process.
  func.walk([&](arith::ConstantOp constant) {
    if (auto word = constantWord(constant.getResult()))
      constant->setDiscardableAttr("approx.bits", b.getI32IntegerAttr(int32_t(*word)));
  });

  SmallVector<Attribute> operandAttrs;
  int64_t ramWords = 0, romWords = 0;
  for (Operand &operand : operands) {
    NamedAttrList attrs;
    unsigned number = operand.argument.getArgNumber();
    if (operand.isWeight) {
      attrs.set("weight", func.getArgAttr(number, "approx.weight"));
      if (!operand.isEpilogue) {
        attrs.set("ranges", array(operand.ranges));
        attrs.set("strides", array(operand.strides));
        attrs.set("lane_stride", i64(operand.laneStride));
        attrs.set("source_base", i64(operand.base));
        operand.base = 0;
      }
      romWords += operand.words * (operand.isEpilogue ? 1 : lanes);
    } else {
      attrs.set("value", func.getArgAttr(number, "approx.value"));
      attrs.set("frames", i64(operand.frames));
      ramWords += operand.words * operand.frames;
    }
    if (!operand.writeRanges.empty()) {
      attrs.set("write_ranges", array(operand.writeRanges));
      attrs.set("write_strides", array(operand.writeStrides));
    }
    attrs.set("phase", b.getStringAttr(operand.isEpilogue ? "epilogue" : "main"));
    attrs.set("words", i64(operand.words));
    attrs.set("base", i64(operand.base));
    attrs.set("outer", array(operand.outer));
    attrs.set("inner", array(operand.inner));
    if (operand.pad) {
      attrs.set("shape", array(operand.pad.getResultType().getShape()));
      attrs.set("low", array(operand.pad.getStaticLow()));
      attrs.set("high", array(operand.pad.getStaticHigh()));
      attrs.set("pad", b.getI32IntegerAttr(
                           int32_t(*constantWord(operand.pad.getConstantPaddingValue()))));
    }
    operandAttrs.push_back(attrs.getDictionary(func.getContext()));
  }
  func->setDiscardableAttr("approx.operands", b.getArrayAttr(operandAttrs));

  NamedAttrList attrs;
  // Outputs under way when the first comes back with its credit: no more can be there at once.
  int64_t window = llvm::divideCeil(done + kHandover, interval), round = interleave * depth;
  int64_t fifo = window / round * interleave + std::min(window % round, interleave);
  if (isQueued()) {
    // Words of finished slots leave one after the other: a group may wait while the next one is finished.
    attrs.set("slot_fifo", i64(2 * interleave + llvm::divideCeil(sumReady + kHandover, lanes)));
    fifo = done - sumReady + 2 + kHandover;
  }
  NamedAttrList resources;
  for (auto [id, count] : units)
    resources.set(("unit_" + Twine(id)).str(), i64(count));
  resources.set("ram_words", i64(ramWords));
  resources.set("rom_words", i64(romWords));
  attrs.set("outputs", i64(outputs));
  attrs.set("slots", i64(slots));
  attrs.set("depth", i64(depth));
  attrs.set("interleave", i64(interleave));
  if (interval > 1)
    attrs.set("interval", i64(interval));
  if (epilogueInterval > 1)
    attrs.set("epilogue_interval", i64(epilogueInterval));
  attrs.set("lanes", i64(lanes));
  attrs.set("last_lanes", i64(lastLanes));
  attrs.set("outer", array(outerRanges));
  attrs.set("inner", array(innerRanges));
  attrs.set("epilogue_loops", array(epilogueRanges));
  if (main.getNumReductionLoops() != 0) {
    attrs.set("initial", b.getI32IntegerAttr(int32_t(initial)));
    attrs.set("accumulate", i64(sum));
  }
  attrs.set("done", i64(done));
  attrs.set("fifo", i64(fifo));
  attrs.set("issue_cycles", i64(issueCycles));
  attrs.set("cycles", i64(cycles));
  attrs.set("bound", i64(bound));
  attrs.set("work", i64(outputs * depth));
  attrs.set("resources", resources.getDictionary(func.getContext()));
  func->setDiscardableAttr("approx.engine", attrs.getDictionary(func.getContext()));
}

struct ScheduleEngines : impl::ScheduleEnginesBase<ScheduleEngines> {
  using ScheduleEnginesBase::ScheduleEnginesBase;

  void runOnOperation() override {
    Builder b(&getContext());
    if (!parseLanes())
      return signalPassFailure();
    DenseMap<int64_t, approx::CoreOp> cores;
    getOperation().walk([&](approx::CoreOp core) { cores[core.getId()] = core; });
    WalkResult bound = getOperation().walk([&](Operation *op) -> WalkResult {
      auto instance = op->getAttrOfType<IntegerAttr>("instance");
      if (op->getName().getDialectNamespace() != "approx" || isa<approx::CoreOp, approx::LibraryOp>(op))
        return WalkResult::advance();
      if (!instance || !cores.contains(instance.getInt()))
        return op->emitOpError("is not bound to an instance that 'approx.library' declares; hardware "
                               "needs a core for every operation");
      return WalkResult::advance();
    });
    if (bound.wasInterrupted())
      return signalPassFailure();

    struct Stage {
      func::FuncOp func;
      std::unique_ptr<Engine> engine;
      int64_t level = 0;
    };
    SmallVector<Stage> stages;
    DenseMap<int64_t, unsigned> maker; // of each value
    // Values that must be in row-major order: results, and what is padded.
    DenseSet<int64_t> ordered;
    if (auto main = getOperation().lookupSymbol<func::FuncOp>("main"))
      for (unsigned i = 0; i < main.getNumResults(); ++i)
        if (auto value = main.getResultAttrOfType<IntegerAttr>(i, "approx.value"))
          ordered.insert(value.getInt());
    for (auto func : getOperation().getOps<func::FuncOp>())
      if (func.getName().starts_with("stage_") && !func.getOps<tensor::PadOp>().empty())
        for (unsigned i = 0; i < func.getNumArguments(); ++i)
          if (auto value = func.getArgAttrOfType<IntegerAttr>(i, "approx.value"))
            ordered.insert(value.getInt());
    for (auto func : getOperation().getOps<func::FuncOp>()) {
      if (!func.getName().starts_with("stage_"))
        continue;
      Stage stage{func, nullptr, 0};
      auto layer = func->getAttrOfType<StringAttr>("approx.stage");
      bool mayReorder =
          func.getNumResults() == 1 &&
          !ordered.contains(func.getResultAttrOfType<IntegerAttr>(0, "approx.value").getInt());
      auto engine = std::make_unique<Engine>(
          func, cores, lanesOf(layer ? layer.getValue() : ""), mayReorder);
      if (engine->analyze())
        stage.engine = std::move(engine);
      else
        func->setDiscardableAttr("approx.machine", b.getStringAttr(engine->reason));
      SmallVector<int64_t> inputs, results;
      for (unsigned i = 0; i < func.getNumArguments(); ++i)
        if (auto value = func.getArgAttrOfType<IntegerAttr>(i, "approx.value"))
          inputs.push_back(value.getInt());
      for (unsigned i = 0; i < func.getNumResults(); ++i) {
        results.push_back(func.getResultAttrOfType<IntegerAttr>(i, "approx.value").getInt());
        maker[results.back()] = stages.size();
      }
      if (results.size() != 1) {
        func.emitError("layer '")
            << (layer ? layer.getValue() : "") << "' gives " << results.size()
            << " values that others read, which the style 'stream' does not support; name its parts "
               "as layers, or use the style 'shared'";
        return signalPassFailure();
      }
      func->setDiscardableAttr("approx.inputs", b.getDenseI64ArrayAttr(inputs));
      func->setDiscardableAttr("approx.results", b.getDenseI64ArrayAttr(results));
      func->setDiscardableAttr("approx.index", b.getI64IntegerAttr(stages.size()));
      stages.push_back(std::move(stage));
    }
    if (auto main = getOperation().lookupSymbol<func::FuncOp>("main")) {
      SmallVector<int64_t> outputs;
      for (unsigned i = 0; i < main.getNumResults(); ++i)
        if (auto value = main.getResultAttrOfType<IntegerAttr>(i, "approx.value"))
          outputs.push_back(value.getInt());
      if (outputs.size() != 1 || !maker.contains(outputs.front())) {
        main.emitError("gives other than one value that a layer computes; the style 'stream' needs "
                       "exactly one");
        return signalPassFailure();
      }
      main->setDiscardableAttr("approx.outputs", b.getDenseI64ArrayAttr(outputs));
      int64_t inputWords = 0;
      for (unsigned i = 0; i < main.getNumArguments(); ++i)
        if (main.getArgAttr(i, "approx.value"))
          inputWords += cast<RankedTensorType>(main.getArgumentTypes()[i]).getNumElements();
      main->setDiscardableAttr("approx.input_words", b.getI64IntegerAttr(inputWords));
      // Properties of operations are not visible in CIRCT's process.
      std::map<int64_t, Attribute> units;
      for (auto &[id, core] : cores) {
        NamedAttrList attrs;
        for (StringRef name : {"op", "module", "parameters", "latency"})
          attrs.set(name, core->getAttr(name));
        attrs.set("id", b.getI64IntegerAttr(id));
        units[id] = attrs.getDictionary(&getContext());
      }
      main->setDiscardableAttr("approx.units",
                               b.getArrayAttr(llvm::to_vector(llvm::make_second_range(units))));
    }
    for (auto &[layer, count] : ofLayer)
      if (!seen.contains(layer)) {
        getOperation().emitError("lanes: the network has no layer '") << layer << "'";
        return signalPassFailure();
      }

    // A buffer holds a frame that is read, one that is written, and one for each engine that a
    // longer way to the same reader passes through.
    int64_t slowest = 1;
    for (Stage &stage : stages) {
      for (unsigned i = 0; i < stage.func.getNumArguments(); ++i)
        if (auto value = stage.func.getArgAttrOfType<IntegerAttr>(i, "approx.value"))
          if (auto it = maker.find(value.getInt()); it != maker.end())
            stage.level = std::max(stage.level, stages[it->second].level + 1);
      if (stage.engine)
        slowest = std::max(slowest, stage.engine->cycles);
    }
    for (Stage &stage : stages) {
      if (!stage.engine) {
        SmallVector<Attribute> orders;
        for (int64_t value : stage.func->getAttrOfType<DenseI64ArrayAttr>("approx.inputs").asArrayRef()) {
          NamedAttrList order;
          if (auto it = maker.find(value); it != maker.end() && stages[it->second].engine) {
            Engine &from = *stages[it->second].engine;
            order.set("ranges", b.getDenseI64ArrayAttr(from.orderRanges));
            order.set("strides", b.getDenseI64ArrayAttr(from.orderStrides));
          }
          orders.push_back(order.getDictionary(&getContext()));
        }
        stage.func->setDiscardableAttr("approx.orders", b.getArrayAttr(orders));
        continue;
      }
      for (Operand &operand : stage.engine->operands) {
        if (operand.isWeight)
          continue;
        int64_t read = stage.func
                           .getArgAttrOfType<IntegerAttr>(operand.argument.getArgNumber(),
                                                          "approx.value")
                           .getInt();
        if (auto it = maker.find(read); it != maker.end() && stages[it->second].engine &&
                                        !stages[it->second].engine->orderRanges.empty()) {
          operand.writeRanges = stages[it->second].engine->orderRanges;
          operand.writeStrides = stages[it->second].engine->orderStrides;
          operand.frames = 2;
        }
        if (operand.frames == 0)
          continue;
        int64_t load = operand.load, level = -1;
        if (auto it = maker.find(read); it != maker.end()) {
          level = stages[it->second].level;
          if (stages[it->second].engine)
            load = std::max(load, stages[it->second].engine->span());
        }
        operand.frames = 1 + stage.level - level;
        if (operand.isEpilogue)
          ++operand.frames;
        // Filling and reading in turn must not be slower than the slowest engine.
        while ((load + stage.engine->issueCycles + kHandover) > operand.frames * slowest)
          ++operand.frames;
      }
      stage.engine->annotate();
    }
  }

private:
  bool parseLanes() {
    for (const std::string &text : lanes) {
      auto [layer, number] = StringRef(text).rsplit(':');
      if (number.empty()) {
        number = layer;
        layer = "";
      }
      int64_t count;
      if (number.getAsInteger(10, count) || count < 1 || count > 1024) {
        getOperation().emitError("lanes must be 1 to 1024, got '") << number << "'";
        return false;
      }
      if (layer.empty())
        everywhere = count;
      else
        ofLayer[approx::decodeLayerName(layer)] = count;
    }
    return true;
  }
  /// As with bindings, a layer's name stands for what is inside it too, and the longest one wins.
  int64_t lanesOf(StringRef layer) {
    int64_t count = everywhere;
    size_t longest = 0;
    for (auto &[name, number] : ofLayer) {
      if (layer != name && !layer.starts_with(name + "/"))
        continue;
      seen.insert(name);
      if (name.size() > longest) {
        longest = name.size();
        count = number;
      }
    }
    return count;
  }

  int64_t everywhere = 1;
  std::map<std::string, int64_t> ofLayer;
  llvm::StringSet<> seen;
};
} // namespace
} // namespace asnet
